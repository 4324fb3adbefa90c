#![doc = include_str!("../README.md")]

mod actors;
mod background;
mod clock;
mod console;
mod database;
mod event;
mod http_client;
mod js;
mod kv;
mod objects;
mod ports;
mod props;
mod queue;
mod random;
mod storage;
mod stored;
mod streams;
mod values;

pub use actors::WorkerActors;
pub use background::WorkerBackground;
pub use clock::WorkerClock;
pub use console::{ConsoleLevel, console_log};
pub use database::WorkerDatabase;
pub use event::{request, respond};
pub use http_client::{WorkerHttp, WorkerService};
pub use kv::WorkerKv;
pub use objects::WorkerObjects;
pub use ports::{WorkerPorts, secret, var, version_id};
pub use props::{Props, props};
pub use queue::{WorkerQueue, queue_text};
pub use random::WorkerRandom;
pub use storage::WorkerStorage;
