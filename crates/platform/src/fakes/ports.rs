//! All fakes of one test.

use super::{
    FakeActors, FakeBackground, FakeClock, FakeHttp, FakeKv, FakeObjects, FakeQueue, FakeRandom,
    FakeStorage, SqliteDatabase, World,
};
use crate::{DbError, Ops, Ports};
use std::path::Path;

/// The family of fakes, and one of each.
#[derive(Clone, Debug)]
pub struct FakePorts {
    /// Clock, randomness, faults and counter.
    pub world: World,
    /// Key-value store.
    pub kv: FakeKv,
    /// Bucket.
    pub objects: FakeObjects,
    /// Database.
    pub database: SqliteDatabase,
    /// Queue.
    pub queue: FakeQueue,
    /// Objects of one class.
    pub actors: FakeActors,
    /// The outside.
    pub http: FakeHttp,
    /// Another worker.
    pub service: FakeHttp,
    /// After the answer.
    pub background: FakeBackground,
}

impl FakePorts {
    /// All ports of that world, with an empty database.
    pub fn new(world: World) -> Result<Self, DbError> {
        Ok(Self {
            kv: FakeKv::new(&world),
            objects: FakeObjects::new(&world),
            database: SqliteDatabase::empty(&world)?,
            queue: FakeQueue::new(&world),
            actors: FakeActors::new(&world),
            http: FakeHttp::outside(&world),
            service: FakeHttp::service(&world),
            background: FakeBackground::new(),
            world,
        })
    }

    /// All ports of that world, with a database of their own that begins as a copy.
    pub fn with_copy(world: World, database: &SqliteDatabase) -> Result<Self, DbError> {
        let copy = database.copied(&world)?;
        Ok(Self {
            database: copy,
            ..Self::new(world)?
        })
    }

    /// All ports of that world, with the migrations of that folder applied.
    pub fn migrated(world: World, folder: &Path) -> Result<Self, DbError> {
        let ports = Self::new(world)?;
        ports.database.apply(folder)?;
        Ok(ports)
    }

    /// Another object's storage in this world.
    pub fn storage(&self) -> Result<FakeStorage, crate::PortError> {
        FakeStorage::new(&self.world)
    }

    /// The same ports with another counter, as each request has its own.
    #[must_use]
    pub fn with_ops(&self, ops: Ops) -> Self {
        let world = self.world.with_ops(ops);
        Self {
            kv: self.kv.with_world(&world),
            objects: self.objects.with_world(&world),
            database: self.database.with_world(&world),
            queue: self.queue.with_world(&world),
            actors: self.actors.with_world(&world),
            http: self.http.with_world(&world),
            service: self.service.with_world(&world),
            background: self.background.clone(),
            world,
        }
    }
}

impl Ports for FakePorts {
    type Clock = FakeClock;
    type Random = FakeRandom;
    type Kv = FakeKv;
    type Objects = FakeObjects;
    type Database = SqliteDatabase;
    type Queue = FakeQueue;
    type Actors = FakeActors;
    type Http = FakeHttp;
    type Service = FakeHttp;
    type Background = FakeBackground;
}
