#![doc = include_str!("../README.md")]

mod bindings;
mod forward;
pub mod gateway;
pub mod headers;
mod health;
mod home;
pub mod openapi;
pub mod routes;
mod state;

pub use state::{Console, Deps, Upstream};

use errors::{Code, Error};
use gateway::{Decision, Head};
use worker::{Context, Env, Result, event, web_sys};

/// Every request: its own routes by the router, `/api/..` by one call of another worker, body and answer untouched.
#[event(fetch)]
async fn fetch(raw: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    let deps = bindings::deps(&env, &context);
    let console = Console::new(deps.clone());
    let head = Head::new(&raw.method(), &raw.url(), forward::headers(&raw));
    let secure = head.secure;
    let response = match gateway::decide(&head, deps.gateway) {
        // The runtime takes URLs that the `http` crate does not.
        Decision::Own => match platform_workers::request(raw) {
            Ok(request) => console.own(request).await,
            Err(error) => {
                let refused = Error::new(Code::InvalidRequest, "The URL is malformed.")
                    .with_internal(error.to_string());
                console.refuse(head.into_request(), refused).await
            }
        },
        Decision::Reject(error) => console.refuse(head.into_request(), error).await,
        Decision::Forward(target) => {
            let sent = forward::Sent::new(&head, &deps);
            match forward::send(&raw, &target, &sent, &env, &deps.git_sha).await {
                Ok(response) => return Ok(response),
                Err(error) => console.refuse(sent.into_request(head), error).await,
            }
        }
    };
    platform_workers::respond(headers::secured(response, secure)).await
}
