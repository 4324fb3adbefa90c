//! The console's own routes and nothing else.

use crate::state::Deps;
use crate::{health, home, openapi};
use auth::permission::console;
use http::Method;
use middleware::Routes;
use platform::Ports;

/// The table.
pub fn routes<P: Ports>() -> Routes<Deps<P>> {
    Routes::new()
        .body_cap(16 * 1024)
        .route(&console::HOME, Method::GET, "/", home::page::<P>)
        .route(&console::HOME, Method::GET, "/style.css", home::style)
        .route(
            &console::HEALTH,
            Method::GET,
            "/health",
            health::health::<P>,
        )
        .route(
            &console::OPENAPI,
            Method::GET,
            "/openapi.json",
            openapi::serve,
        )
}
