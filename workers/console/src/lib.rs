#![doc = include_str!("../README.md")]

pub mod assets;
mod bindings;
mod control_plane;
pub mod cookie;
mod forward;
pub mod gateway;
mod head;
pub mod headers;
mod health;
pub mod openapi;
pub mod registry;
pub mod routes;
mod session;
mod state;
mod user_agent;

pub use head::Head;
pub use state::{Console, Deps, Upstream, upstreams};

use errors::{Code, Error};
use gateway::Decision;
use worker::{Context, Env, Result, event, web_sys};

/// Every request, those for files too: own routes by the router, `/api/..` by one call of another worker, body and answer
/// untouched.
#[event(fetch)]
async fn fetch(raw: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    let deps = bindings::deps(&env, &context);
    let console = Console::new(deps.clone());
    let head = Head::new(&raw.method(), &raw.url(), forward::headers(&raw));
    let secure = head.secure;
    let response = match console.decide(&head) {
        Decision::Forward(target) => {
            let context = middleware::Context::open(&head.headers, &deps.clock, &deps.random);
            let located = console.locate(&context, &head, &target).await;
            let sent = forward::Sent::new(&head, &target, context);
            let answer = match &located {
                Ok(to) => forward::send(&raw, &target, to, &sent, &env, &deps.git_sha).await,
                Err(error) => Err(error.clone()),
            };
            match answer {
                Ok(response) => return Ok(response),
                Err(error) => console.refuse(sent.into_request(head), error).await,
            }
        }
        Decision::Reject(error) => console.refuse(head.into_request(), error).await,
        Decision::File => console.file(head).await,
        // The runtime takes URLs that the `http` crate does not.
        decision => match (platform_workers::request(raw), decision) {
            (Ok(request), Decision::Page) => console.page(request).await,
            (Ok(request), _) => console.own(request).await,
            (Err(error), _) => {
                let refused = Error::new(Code::InvalidRequest, "The URL is malformed.")
                    .with_internal(error.to_string());
                console.refuse(head.into_request(), refused).await
            }
        },
    };
    platform_workers::respond(headers::secured(response, secure, &deps.git_sha)).await
}
