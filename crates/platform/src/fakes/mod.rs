//! In-memory ports for tests: they can fail before, fail after having persisted, be slow, and lag.
//!
//! In scope: one fake per port, one shared [`World`] (clock, randomness, faults, counter) that all of them obey,
//! and [`FakePorts`], the bundle. Out of scope: the meaning of anything stored, and wasm: this is for native tests.

mod actors;
mod background;
mod canary;
mod clock;
mod faults;
mod http_client;
mod journal;
mod kept;
mod kv;
mod multipart;
mod objects;
mod ports;
mod queue;
mod random;
mod reply;
mod sqlite;
mod sqlite_database;
mod storage;
mod stored;
mod world;

pub use actors::{ActorCall, FakeActors};
pub use background::FakeBackground;
pub use canary::{Canaries, Watch, encodings};
pub use clock::{FakeClock, START_MS};
pub use faults::{Faults, When};
pub use http_client::FakeHttp;
pub use journal::{Journal, Ran};
pub use kept::Kept;
pub use kv::FakeKv;
pub use objects::FakeObjects;
pub use ports::FakePorts;
pub use queue::{Delivery, FakeQueue};
pub use random::FakeRandom;
pub use reply::FakeReply;
pub use sqlite_database::SqliteDatabase;
pub use storage::FakeStorage;
pub use world::World;
