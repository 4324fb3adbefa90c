//! A running simulator: its listeners, its addresses, its end.
//!
//! In scope: start, stop, addresses, reading the books in-process. Not in scope: HTTP (`exchange`, `control`).

use crate::clock::{Clock, RealClock};
use crate::config::SimConfig;
use crate::control;
use crate::exchange::{self, App, Door};
use crate::journal::{Entry, Violation};
use crate::ledger::{Charge, Duplicates};
use crate::links::Links;
use crate::listener::{CuttableListener, Wire};
use crate::vendor::Vendor;
use crate::world::World;
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use std::io;
use std::sync::Arc;
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Runtime};

/// Vendors on 127.0.0.1, until dropped.
///
/// It runs on threads of its own, so a test may block its runtime and still be answered.
pub struct Simulator {
    app: Arc<App>,
    ports: [u16; 3],
    /// Always there until the drop takes it.
    runtime: Option<Runtime>,
    /// Bound and never listened to, so that nobody else takes it.
    _closed: TcpSocket,
}

impl Simulator {
    /// Binds the listeners and starts to answer.
    ///
    /// # Errors
    /// A port is taken, or the machine gives no threads.
    pub async fn start(config: SimConfig) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("provider-sim")
            .enable_all()
            .build()?;
        match runtime.spawn(bind(config)).await {
            Ok(Ok((app, ports, closed))) => Ok(Self {
                app,
                ports,
                runtime: Some(runtime),
                _closed: closed,
            }),
            Ok(Err(error)) => {
                runtime.shutdown_background();
                Err(error)
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(io::Error::other(error))
            }
        }
    }

    /// Base URL to put into the settings of this adapter: `ideogram`, `openai`, `localai`.
    /// Another name gives an address that answers 404.
    #[must_use]
    pub fn base(&self, adapter: &str) -> String {
        let api = &self.app.links.api;
        match Vendor::from_name(adapter) {
            Some(vendor) => format!("{api}{}", vendor.prefix()),
            None => format!("{api}/{adapter}"),
        }
    }

    /// Base URL of the host that serves the pictures.
    #[must_use]
    pub fn image_host(&self) -> String {
        self.app.links.image.clone()
    }

    /// Base URL of the second API host.
    #[must_use]
    pub fn alt_host(&self) -> String {
        self.app.links.alt.clone()
    }

    /// Base URL of a host that no list should hold; each request to it is a violation.
    #[must_use]
    pub fn off_list_host(&self) -> String {
        self.app.links.offlist.clone()
    }

    /// Base URL of a port that refuses connections.
    #[must_use]
    pub fn closed_base(&self) -> String {
        self.app.links.closed.clone()
    }

    /// Base URL of the control calls, to which `/_sim/..` is added.
    #[must_use]
    pub fn control(&self) -> String {
        self.app.links.api.clone()
    }

    /// Ports of the API, the pictures and the second API host.
    #[must_use]
    pub const fn ports(&self) -> [u16; 3] {
        self.ports
    }

    /// Milliseconds since 1970 on the simulator's clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.app.clock.now_ms()
    }

    /// Moves the virtual clock; gives the new time in milliseconds since 1970.
    ///
    /// # Errors
    /// The clock is the real one.
    pub fn advance_ms(&self, by_ms: u64) -> Result<u64, RealClock> {
        self.app.clock.advance(by_ms)
    }

    /// What is billed, oldest first.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        self.app.world().ledger.billed().cloned().collect()
    }

    /// Work that was billed more than once; must be empty.
    #[must_use]
    pub fn duplicates(&self) -> Vec<Duplicates> {
        self.app.world().ledger.duplicates(None)
    }

    /// Mistakes of the callers; must be empty unless a test announced them.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.app.world().journal.violations().cloned().collect()
    }

    /// The request log, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Entry> {
        self.app.world().journal.entries().cloned().collect()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting would be wrong inside another runtime, and silent calls never end.
            runtime.shutdown_background();
        }
    }
}

async fn bind(config: SimConfig) -> io::Result<(Arc<App>, [u16; 3], TcpSocket)> {
    let api = CuttableListener::bind(config.port).await?;
    let image = CuttableListener::bind(config.image_port).await?;
    let alt = CuttableListener::bind(config.alt_port).await?;
    let offlist = CuttableListener::bind(0).await?;
    let closed = closed_port()?;
    let mut ports = [0; 5];
    for (port, listener) in ports.iter_mut().zip([&api, &image, &alt, &offlist]) {
        *port = listener.socket_addr()?.port();
    }
    let [api_port, image_port, alt_port, offlist_port, _] = ports;
    let links = Links::new(
        config.seed,
        [
            api_port,
            image_port,
            alt_port,
            offlist_port,
            closed.local_addr()?.port(),
        ],
    );
    let world = World::new(&config);
    let app = Arc::new(App::new(Clock::new(config.clock), links, config.log, world));
    let control = control::routes().with_state(app.clone());
    tokio::spawn(serve(api, control, app.clone(), Door::Api));
    for (listener, door) in [
        (image, Door::Image),
        (alt, Door::Alt),
        (offlist, Door::OffList),
    ] {
        tokio::spawn(serve(listener, Router::new(), app.clone(), door));
    }
    Ok((app, [api_port, image_port, alt_port], closed))
}

/// A port of which only the number is taken: bound through a socket that never listens.
fn closed_port() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(std::net::SocketAddr::from(([127, 0, 0, 1], 0)))?;
    Ok(socket)
}

async fn serve(listener: CuttableListener, routes: Router, app: Arc<App>, door: Door) {
    let router = routes.fallback(
        move |ConnectInfo(wire): ConnectInfo<Wire>, request: Request| {
            exchange::handle(app.clone(), door, wire, request)
        },
    );
    let service = router.into_make_service_with_connect_info::<Wire>();
    // Serving ends only with the runtime.
    axum::serve(listener, service).await.ok();
}
