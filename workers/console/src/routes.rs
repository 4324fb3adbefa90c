//! The console's own routes and nothing else.

use crate::state::Deps;
use crate::{assets, health, openapi, session};
use auth::permission::console;
use http::Method;
use middleware::Routes;
use platform::Ports;

/// The table. `/` stands for every page of the application.
pub fn routes<P: Ports>() -> Routes<Deps<P>> {
    Routes::new()
        .body_cap(4 * 1024)
        .route(&console::PAGE, Method::GET, "/", assets::page::<P>)
        .route(
            &console::MOVED,
            Method::GET,
            "/testing-gui",
            assets::testing_gui,
        )
        .route(
            &console::MOVED,
            Method::GET,
            "/admin-panel",
            assets::admin_panel,
        )
        .route(
            &console::SIGN_IN,
            Method::POST,
            "/auth/session",
            session::create::<P>,
        )
        .route(
            &console::SIGNED_IN,
            Method::GET,
            "/auth/session",
            session::read::<P>,
        )
        .route(
            &console::SIGN_OUT,
            Method::DELETE,
            "/auth/session",
            session::end::<P>,
        )
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
