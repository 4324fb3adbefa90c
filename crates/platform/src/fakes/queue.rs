//! A queue that keeps, loses, doubles and reorders.

use super::world::{World, lock};
use crate::{MessageQueue, PortError, Random};
use std::sync::{Arc, Mutex};

/// The platform's cap of one message.
const MAX_MESSAGE_BYTES: usize = 128 * 1_000;

/// What becomes of messages on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Each once, in order.
    #[default]
    Once,
    /// None arrives.
    Lost,
    /// Each arrives twice.
    Twice,
    /// Each once, shuffled.
    Shuffled,
}

#[derive(Debug, Default)]
struct State {
    sent: Vec<String>,
    waiting: Vec<String>,
    delivery: Delivery,
}

/// Records what is sent; the test delivers it with [`FakeQueue::take`].
#[derive(Clone, Debug)]
pub struct FakeQueue {
    world: World,
    state: Arc<Mutex<State>>,
}

impl FakeQueue {
    /// An empty queue that delivers once and in order.
    pub fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            state: Arc::default(),
        }
    }

    /// The same queue in another world.
    #[must_use]
    pub fn with_world(&self, world: &World) -> Self {
        Self {
            world: world.clone(),
            ..self.clone()
        }
    }

    /// What becomes of messages from now on.
    pub fn deliver(&self, delivery: Delivery) {
        lock(&self.state).delivery = delivery;
    }

    /// All that was ever accepted.
    pub fn sent(&self) -> Vec<String> {
        lock(&self.state).sent.clone()
    }

    /// What arrives at the consumer now.
    pub fn take(&self) -> Vec<String> {
        let (mut waiting, delivery) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.waiting), state.delivery)
        };
        match delivery {
            Delivery::Once => waiting,
            Delivery::Lost => Vec::new(),
            Delivery::Twice => waiting
                .iter()
                .flat_map(|m| [m.clone(), m.clone()])
                .collect(),
            Delivery::Shuffled => {
                for last in (1..waiting.len()).rev() {
                    let other = self.world.random.next_u64() % (last as u64 + 1);
                    waiting.swap(last, other as usize);
                }
                waiting
            }
        }
    }
}

fn failed(cause: impl Into<String>) -> PortError {
    PortError::new("queue", cause)
}

impl MessageQueue for FakeQueue {
    async fn send(&self, body: &str) -> Result<(), PortError> {
        let leaving = self.world.enter("queue", "send").await.map_err(failed)?;
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(failed("the message is larger than 128 KB"));
        }
        if serde_json::from_str::<serde::de::IgnoredAny>(body).is_err() {
            return Err(failed("the message is not JSON"));
        }
        {
            let mut state = lock(&self.state);
            state.sent.push(body.to_owned());
            state.waiting.push(body.to_owned());
        }
        leaving.leave().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn three(delivery: Delivery) -> Vec<String> {
        let queue = FakeQueue::new(&World::manual());
        queue.deliver(delivery);
        for n in ["1", "2", "3"] {
            queue.send(n).await.unwrap();
        }
        let taken = queue.take();
        assert!(queue.take().is_empty());
        taken
    }

    #[tokio::test]
    async fn messages_are_kept_lost_doubled_and_shuffled() {
        assert_eq!(three(Delivery::Once).await, ["1", "2", "3"]);
        assert_eq!(three(Delivery::Lost).await, [""; 0]);
        assert_eq!(three(Delivery::Twice).await, ["1", "1", "2", "2", "3", "3"]);
        let mut shuffled = three(Delivery::Shuffled).await;
        shuffled.sort();
        assert_eq!(shuffled, ["1", "2", "3"]);
    }
}
