//! Requests to the outside or to another worker, answered by the test.

use super::FakeReply;
use super::world::{World, lock};
use crate::{
    ByteStream, Clock, HttpClient, HttpRequest, HttpResponse, PortError, SendFailure, SendPhase,
};
use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::{FutureExt, StreamExt, stream};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};

type Handler = Arc<dyn Fn(HttpRequest) -> BoxFuture<'static, FakeReply> + Send + Sync>;

#[derive(Default)]
struct State {
    scripted: VecDeque<FakeReply>,
    handler: Option<Handler>,
    requests: Vec<HttpRequest>,
}

/// Answers from the script, else from the handler, else not at all. Faults: `http` or `service`, `.send`:
/// before is `NotSent`, after is handled and then `MaybeSent`.
#[derive(Clone)]
pub struct FakeHttp {
    world: World,
    port: &'static str,
    state: Arc<Mutex<State>>,
}

impl FakeHttp {
    /// The outside; port `http`.
    pub fn outside(world: &World) -> Self {
        Self::named(world, "http")
    }

    /// Another worker; port `service`.
    pub fn service(world: &World) -> Self {
        Self::named(world, "service")
    }

    fn named(world: &World, port: &'static str) -> Self {
        Self {
            world: world.clone(),
            port,
            state: Arc::default(),
        }
    }

    /// The same other side in another world.
    #[must_use]
    pub fn with_world(&self, world: &World) -> Self {
        Self {
            world: world.clone(),
            ..self.clone()
        }
    }

    /// Appends an answer to the script.
    pub fn reply(&self, reply: FakeReply) {
        lock(&self.state).scripted.push_back(reply);
    }

    /// Answers what the script does not: `|request| async { FakeReply }`.
    pub fn handle<F, A>(&self, handler: F)
    where
        F: Fn(HttpRequest) -> A + Send + Sync + 'static,
        A: Future<Output = FakeReply> + Send + 'static,
    {
        let boxed: Handler = Arc::new(move |request| handler(request).boxed());
        lock(&self.state).handler = Some(boxed);
    }

    /// All requests that arrived, in order.
    pub fn requests(&self) -> Vec<HttpRequest> {
        lock(&self.state).requests.clone()
    }

    /// Scripted answers that nobody asked for yet.
    pub fn unused(&self) -> usize {
        lock(&self.state).scripted.len()
    }

    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, SendFailure> {
        let until_ms = self.deadline(request.timeout_ms);
        let (scripted, handler) = {
            let mut state = lock(&self.state);
            state.requests.push(request.clone());
            (state.scripted.pop_front(), state.handler.clone())
        };
        let reply = match (scripted, handler) {
            (Some(reply), _) => reply,
            (None, Some(handler)) => handler(request).await,
            (None, None) => {
                let cause = format!("no answer scripted for {} {}", request.method, request.url);
                FakeReply::failure(SendPhase::MaybeSent, &cause)
            }
        };
        if reply.delay_ms > 0 {
            self.world.clock.sleep(reply.delay_ms).await;
        }
        if let Some((phase, cause)) = reply.failure {
            return Err(failure(phase, cause));
        }
        Ok(HttpResponse {
            status: reply.status,
            headers: reply.headers.clone(),
            body: self.body(reply, until_ms),
        })
    }

    fn deadline(&self, timeout_ms: u64) -> i64 {
        let now_ms = self.world.clock.now_ms();
        now_ms.saturating_add_unsigned(timeout_ms)
    }

    fn body(&self, reply: FakeReply, until_ms: i64) -> ByteStream {
        let (port, clock, wait_ms) = (self.port, self.world.clock.clone(), reply.chunk_delay_ms);
        let broken = Err(PortError::new(port, "Network connection lost."));
        let mut items: VecDeque<Result<Bytes, PortError>> =
            reply.chunks.into_iter().map(Ok).collect();
        items.extend(reply.cut.then_some(broken));
        let next = move |mut items: VecDeque<Result<Bytes, PortError>>| {
            let clock = clock.clone();
            async move {
                let item = items.pop_front()?;
                if wait_ms > 0 {
                    clock.sleep(wait_ms).await;
                }
                if clock.now_ms() >= until_ms {
                    let late = PortError::new(port, "The operation was aborted due to timeout");
                    return Some((Err(late), VecDeque::new()));
                }
                Some((item, items))
            }
        };
        stream::unfold(items, next).boxed()
    }
}

impl std::fmt::Debug for FakeHttp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let requests = lock(&self.state).requests.len();
        write!(f, "FakeHttp({}, {requests} requests)", self.port)
    }
}

/// Absolute, and of a scheme that can be fetched.
fn usable(url: &str) -> bool {
    let uri = url.parse::<http::Uri>().ok();
    let scheme = uri.as_ref().and_then(http::Uri::scheme_str);
    matches!(scheme, Some("http" | "https"))
}

fn failure(phase: SendPhase, cause: impl Into<String>) -> SendFailure {
    SendFailure {
        phase,
        timed_out: false,
        cause: cause.into(),
    }
}

impl HttpClient for FakeHttp {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, SendFailure> {
        match self.port {
            "service" => self.world.ops.add_service_calls(1),
            _ => self.world.ops.add_subrequests(1),
        }
        let timeout = self.world.clock.sleep(request.timeout_ms);
        let exchange = async {
            let entered = self.world.enter(self.port, "send").await;
            let leaving = entered.map_err(|cause| failure(SendPhase::NotSent, cause))?;
            if !usable(&request.url) {
                let cause = format!("Invalid URL: {}", request.url);
                return Err(failure(SendPhase::NotSent, cause));
            }
            let response = self.answer(request).await?;
            let left = leaving.leave();
            left.map_err(|cause| failure(SendPhase::MaybeSent, cause))?;
            Ok(response)
        };
        match select(pin!(exchange), pin!(timeout)).await {
            Either::Left((result, _)) => result,
            Either::Right(((), _)) => Err(SendFailure {
                timed_out: true,
                ..failure(
                    SendPhase::MaybeSent,
                    "The operation was aborted due to timeout",
                )
            }),
        }
    }
}
