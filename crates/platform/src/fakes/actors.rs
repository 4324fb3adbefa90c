//! Single-writer objects answered by the test.

use super::world::{World, lock};
use crate::{ActorError, ActorReply, Actors, CallContext};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::future::Future;
use std::sync::{Arc, Mutex};

/// One command that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorCall {
    /// The object's name.
    pub name: String,
    /// The command.
    pub command: String,
    /// JSON text.
    pub body: String,
    /// The caller's correlation.
    pub context: CallContext,
}

type Handler = Arc<dyn Fn(ActorCall) -> BoxFuture<'static, ActorReply> + Send + Sync>;

#[derive(Default)]
struct State {
    handler: Option<Handler>,
    calls: Vec<ActorCall>,
}

/// Routes commands to a closure. Faults: `actors` or `actors.<command>`; a cause with `overloaded` in it says so.
#[derive(Clone)]
pub struct FakeActors {
    world: World,
    state: Arc<Mutex<State>>,
}

impl FakeActors {
    /// Objects that answer 404 until [`FakeActors::handle`] is called.
    pub fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            state: Arc::default(),
        }
    }

    /// The same objects in another world.
    #[must_use]
    pub fn with_world(&self, world: &World) -> Self {
        Self {
            world: world.clone(),
            ..self.clone()
        }
    }

    /// Answers all commands from now on: `|name, command, body| async { ActorReply }`.
    pub fn handle<F, A>(&self, handler: F)
    where
        F: Fn(String, String, String) -> A + Send + Sync + 'static,
        A: Future<Output = ActorReply> + Send + 'static,
    {
        let boxed: Handler =
            Arc::new(move |call| handler(call.name, call.command, call.body).boxed());
        lock(&self.state).handler = Some(boxed);
    }

    /// All commands that arrived, in order.
    pub fn calls(&self) -> Vec<ActorCall> {
        lock(&self.state).calls.clone()
    }
}

impl std::fmt::Debug for FakeActors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FakeActors({} calls)", lock(&self.state).calls.len())
    }
}

fn failed(cause: String) -> ActorError {
    ActorError {
        overloaded: cause.contains("overloaded"),
        cause,
    }
}

impl Actors for FakeActors {
    async fn call(
        &self,
        name: &str,
        command: &str,
        body: String,
        context: &CallContext,
    ) -> Result<ActorReply, ActorError> {
        self.world.ops.add_do_calls(1);
        let leaving = self.world.enter("actors", command).await.map_err(failed)?;
        let call = ActorCall {
            name: name.to_owned(),
            command: command.to_owned(),
            body,
            context: context.clone(),
        };
        let handler = {
            let mut state = lock(&self.state);
            state.calls.push(call.clone());
            state.handler.clone()
        };
        let reply = match handler {
            Some(handler) => handler(call).await,
            None => ActorReply {
                status: 404,
                body: "{}".to_owned(),
            },
        };
        leaving.leave().map_err(failed)?;
        Ok(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::When;

    #[tokio::test]
    async fn a_lost_answer_has_still_been_handled() {
        let world = World::manual();
        let actors = FakeActors::new(&world);
        actors.handle(|_, _, body| async move { ActorReply { status: 200, body } });
        let context = CallContext::default();
        world.faults.fail("actors.acquire", 1, When::After);
        let lost = actors.call("a", "acquire", "{}".into(), &context).await;
        assert!(!lost.unwrap_err().overloaded);
        assert_eq!(actors.calls().len(), 1);
        let cause = "Durable Object is overloaded.";
        world.faults.fail_with("actors", 1, When::Before, cause);
        let refused = actors.call("a", "acquire", "{}".into(), &context).await;
        assert!(refused.unwrap_err().overloaded);
        assert_eq!(actors.calls().len(), 1);
        assert_eq!(world.ops.count().do_calls, 2);
    }
}
