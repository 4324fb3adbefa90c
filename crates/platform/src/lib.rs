#![doc = include_str!("../README.md")]

mod actors;
mod background;
mod clock;
mod context;
#[cfg(feature = "contract")]
pub mod contract;
mod database;
mod error;
#[cfg(feature = "fakes")]
pub mod fakes;
mod http_client;
mod kv;
mod objects;
mod ops;
mod ports;
mod queue;
mod random;

pub use actors::{ActorError, ActorReply, ActorStorage, Actors};
pub use background::Background;
pub use clock::Clock;
pub use context::CallContext;
pub use database::{Database, DbError, DbErrorKind, Row, Rows, SqlValue, Statement};
pub use error::PortError;
pub use http_client::{
    ByteStream, HttpClient, HttpRequest, HttpResponse, ReplyError, ReplyReader, SendFailure,
    SendPhase, collect,
};
pub use kv::KvStore;
pub use objects::{
    ByteRange, NativeBody, ObjectInfo, ObjectRead, ObjectServe, ObjectStore, PutBody, PutOptions,
    ServedBody,
};
pub use ops::{Ops, OpsCount};
pub use ports::Ports;
pub use queue::MessageQueue;
pub use random::{Random, new_uuid};
