//! All ports of a worker as one type parameter, so that services are generic over one thing.

use crate::{
    Actors, Background, Clock, Database, HttpClient, KvStore, MessageQueue, ObjectStore, Random,
};

/// The family of ports: `platform_workers::WorkerPorts` on Workers, `platform::fakes::FakePorts` in tests.
pub trait Ports: Clone + Send + Sync + 'static {
    /// Time.
    type Clock: Clock;
    /// Randomness.
    type Random: Random;
    /// Key-value store.
    type Kv: KvStore;
    /// One bucket.
    type Objects: ObjectStore;
    /// Database.
    type Database: Database;
    /// Queue.
    type Queue: MessageQueue;
    /// Objects of one class.
    type Actors: Actors;
    /// The outside.
    type Http: HttpClient;
    /// Another worker.
    type Service: HttpClient;
    /// After the answer.
    type Background: Background;
}
