//! The relational database as SQLite in memory.

use super::journal::Journal;
use super::sqlite;
use super::world::{World, lock};
use crate::{Database, DbError, Rows, Statement};
use rusqlite::Connection;
use rusqlite::backup::Backup;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// To SQLite's backup: all at once.
const ALL_PAGES: i32 = -1;

/// SQLite in memory with foreign keys on, and D1's rules and error texts.
///
/// `rows_read` is what was returned or stepped over by full scans, whichever is more; `rows_written` counts
/// changed rows without their indexes: both are lower bounds of what D1 bills.
/// Faults: `database`, `database.batch`; the injected text makes the error `Unavailable`.
#[derive(Clone)]
pub struct SqliteDatabase {
    world: World,
    connection: Arc<Mutex<Connection>>,
    journal: Option<Journal>,
}

impl SqliteDatabase {
    /// An empty database.
    pub fn empty(world: &World) -> Result<Self, DbError> {
        let connection = sqlite::open().map_err(DbError::from_text)?;
        Ok(Self {
            world: world.clone(),
            connection: Arc::new(Mutex::new(connection)),
            journal: None,
        })
    }

    /// A database with all `*.sql` files of the folder applied in the order of their names, in a world of its own.
    pub fn from_migrations(folder: &Path) -> Result<Self, DbError> {
        Self::migrated(&World::auto(), folder)
    }

    /// As [`SqliteDatabase::from_migrations`], in that world.
    pub fn migrated(world: &World, folder: &Path) -> Result<Self, DbError> {
        let database = Self::empty(world)?;
        database.apply(folder)?;
        Ok(database)
    }

    /// Applies all `*.sql` files of the folder in the order of their names; each file is one transaction.
    pub fn apply(&self, folder: &Path) -> Result<(), DbError> {
        let unreadable = |error: std::io::Error| {
            DbError::from_text(format!("cannot read {}: {error}", folder.display()))
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                files.push(path);
            }
        }
        if files.is_empty() {
            let cause = format!("no migrations in {}", folder.display());
            return Err(DbError::from_text(cause));
        }
        files.sort();
        for file in files {
            let sql = std::fs::read_to_string(&file).map_err(unreadable)?;
            let run = |connection: &Connection| {
                let transaction = connection.unchecked_transaction()?;
                transaction.execute_batch(&sql)?;
                transaction.commit()
            };
            self.with(run).map_err(|error| {
                let text = sqlite::text(&error);
                DbError::from_text(format!("D1_ERROR: {}: {text}", file.display()))
            })?;
        }
        Ok(())
    }

    /// A database of its own with the same content, in that world: what many tests begin with is made once.
    pub fn copied(&self, world: &World) -> Result<Self, DbError> {
        let mut connection = sqlite::open().map_err(DbError::from_text)?;
        {
            let from = lock(&self.connection);
            let copy = Backup::new(&from, &mut connection).map_err(d1)?;
            copy.step(ALL_PAGES).map_err(d1)?;
        }
        Ok(Self {
            world: world.clone(),
            connection: Arc::new(Mutex::new(connection)),
            journal: None,
        })
    }

    /// The same database in another world.
    #[must_use]
    pub fn with_world(&self, world: &World) -> Self {
        Self {
            world: world.clone(),
            ..self.clone()
        }
    }

    /// The same database by a handle that keeps what runs through it: the code under test gets it, the test itself does not.
    #[must_use]
    pub fn journaled(&self, journal: &Journal) -> Self {
        Self {
            journal: Some(journal.clone()),
            ..self.clone()
        }
    }

    /// Uses the connection directly, past faults and counters.
    pub fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        work(&lock(&self.connection))
    }

    /// How SQLite would run that query: the lines of `EXPLAIN QUERY PLAN`.
    pub fn plan(&self, sql: &str) -> Result<Vec<String>, DbError> {
        let lines = |connection: &Connection| {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let mut rows = statement.raw_query();
            let mut lines = Vec::new();
            while let Some(row) = rows.next()? {
                lines.push(row.get("detail")?);
            }
            Ok(lines)
        };
        self.with(lines).map_err(d1)
    }

    /// Steps that SQLite's machine takes for that query. D1 bills rows read, which nothing here counts; a query whose
    /// steps do not grow with a table does not read more rows of it.
    pub fn steps(&self, statement: &Statement) -> Result<u64, DbError> {
        let count = |connection: &Connection| {
            let mut prepared = connection.prepare(&statement.sql)?;
            let mut rows = prepared.query(rusqlite::params_from_iter(&statement.params))?;
            while rows.next()?.is_some() {}
            drop(rows);
            let steps = prepared.get_status(rusqlite::StatementStatus::VmStep);
            Ok(u64::try_from(steps).unwrap_or(0))
        };
        self.with(count).map_err(d1)
    }

    /// The results, each with the steps that it took.
    fn transact(&self, statements: &[Statement]) -> Result<Vec<(Rows, u64)>, DbError> {
        let connection = lock(&self.connection);
        let transaction = connection.unchecked_transaction().map_err(d1)?;
        let mut results = Vec::with_capacity(statements.len());
        for statement in statements {
            let ran = sqlite::run_counted(&transaction, &statement.sql, &statement.params);
            results.push(ran.map_err(|text| DbError::from_text(format!("D1_ERROR: {text}")))?);
        }
        transaction.commit().map_err(d1)?;
        Ok(results)
    }
}

impl std::fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteDatabase")
    }
}

#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
fn d1(error: rusqlite::Error) -> DbError {
    DbError::from_text(format!("D1_ERROR: {}", sqlite::text(&error)))
}

impl Database for SqliteDatabase {
    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Rows>, DbError> {
        let count = u32::try_from(statements.len()).unwrap_or(u32::MAX);
        self.world.ops.add_d1_round_trips(u32::from(count > 0));
        self.world.ops.add_d1_queries(count);
        let lost = |cause: String| DbError::from_text(format!("D1_ERROR: {cause}"));
        let leaving = self.world.enter("database", "batch").await.map_err(lost)?;
        let results = self.transact(&statements)?;
        if let Some(journal) = &self.journal {
            journal.note(&statements, &results);
        }
        for (rows, _) in &results {
            let (read, written) = (rows.rows_read as u32, rows.rows_written as u32);
            self.world.ops.add_d1_rows_read(read);
            self.world.ops.add_d1_rows_written(written);
        }
        leaving.leave().map_err(lost)?;
        Ok(results.into_iter().map(|(rows, _)| rows).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DbErrorKind;
    use crate::fakes::When;

    fn database() -> (World, SqliteDatabase) {
        let world = World::auto();
        let database = SqliteDatabase::empty(&world).unwrap();
        let schema = "CREATE TABLE parent (id TEXT PRIMARY KEY) STRICT;
            CREATE TABLE child (id TEXT PRIMARY KEY, parent TEXT REFERENCES parent(id), n INTEGER CHECK (n > 0)) STRICT;
            CREATE TRIGGER guard BEFORE INSERT ON parent WHEN NEW.id = 'stale'
            BEGIN SELECT RAISE(ABORT, 'guard_failed'); END;";
        database.with(|connection| connection.execute_batch(schema).unwrap());
        (world, database)
    }

    async fn kind(database: &SqliteDatabase, sql: &'static str) -> DbErrorKind {
        database.query(Statement::new(sql)).await.unwrap_err().kind
    }

    #[tokio::test]
    async fn errors_are_classified_as_those_of_the_platform() {
        let (_, database) = database();
        let insert = "INSERT INTO parent VALUES ('a')";
        database.query(Statement::new(insert)).await.unwrap();
        assert_eq!(kind(&database, insert).await, DbErrorKind::Constraint);
        let orphan = "INSERT INTO child VALUES ('c', 'nobody', 1)";
        assert_eq!(kind(&database, orphan).await, DbErrorKind::Constraint);
        let negative = "INSERT INTO child VALUES ('c', 'a', -1)";
        assert_eq!(kind(&database, negative).await, DbErrorKind::Constraint);
        let stale = "INSERT INTO parent VALUES ('stale')";
        assert_eq!(kind(&database, stale).await, DbErrorKind::Guard);
        assert_eq!(
            kind(&database, "SELECT * FROM nothing").await,
            DbErrorKind::Other
        );
        assert_eq!(kind(&database, "BEGIN").await, DbErrorKind::Other);
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_rows_and_a_lost_request_does_not() {
        let (world, database) = database();
        world.faults.fail("database", 1, When::After);
        let insert = |id: &str| Statement::new("INSERT INTO parent VALUES (?1)").bind(id);
        let lost = database.query(insert("after")).await.unwrap_err();
        assert_eq!(lost.kind, DbErrorKind::Unavailable);
        world.faults.fail("database", 1, When::Before);
        let lost = database.query(insert("before")).await.unwrap_err();
        assert_eq!(lost.kind, DbErrorKind::Unavailable);
        let all = Statement::new("SELECT id FROM parent");
        let rows = database.query(all).await.unwrap().rows;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].text("id"), Some("after"));
    }

    #[tokio::test]
    async fn a_journal_tells_what_ran_and_how_hard_it_was() {
        let (world, database) = database();
        let journal = Journal::default();
        let database = database.journaled(&journal);
        let insert = |n: u32| {
            let child = "INSERT INTO child VALUES (?1, 'a', ?2)";
            Statement::new(child).bind(format!("c{n}")).bind(n)
        };
        let parent = Statement::new("INSERT INTO parent VALUES ('a')");
        database.query(parent).await.unwrap();
        let place = journal.place();
        database.batch((1..=9).map(insert).collect()).await.unwrap();
        let walk = Statement::new("SELECT id FROM child WHERE n = ?1").bind(3_u32);
        database.query(walk.clone()).await.unwrap();
        let few = journal.since(place);
        assert_eq!(few.len(), 10);
        assert_eq!((few[0].batch, few[8].batch, few[9].batch), (2, 2, 3));
        assert_eq!((few[0].rows_written, few[9].rows_read), (1, 9));
        // A batch of which nothing stays leaves no trace.
        let refused = database.batch(vec![insert(20), insert(20)]).await;
        assert_eq!(refused.unwrap_err().kind, DbErrorKind::Constraint);
        world.faults.fail("database", 1, When::Before);
        assert!(database.query(walk.clone()).await.is_err());
        assert_eq!(journal.since(place), few);
        let place = journal.place();
        database
            .batch((10..=99).map(insert).collect())
            .await
            .unwrap();
        database.query(walk).await.unwrap();
        let many = journal.since(place);
        assert!(many[90].steps > few[9].steps * 5, "{many:?} {few:?}");
    }

    #[tokio::test]
    async fn a_copy_has_the_content_and_nothing_else_in_common() {
        let (world, database) = database();
        let insert = |id: &str| Statement::new("INSERT INTO parent VALUES (?1)").bind(id);
        database.query(insert("both")).await.unwrap();
        let copy = database.copied(&world).unwrap();
        copy.query(insert("copy")).await.unwrap();
        let orphan = "INSERT INTO child VALUES ('c', 'nobody', 1)";
        assert_eq!(kind(&copy, orphan).await, DbErrorKind::Constraint);
        let all = || Statement::new("SELECT id FROM parent");
        assert_eq!(copy.query(all()).await.unwrap().rows.len(), 2);
        assert_eq!(database.query(all()).await.unwrap().rows.len(), 1);
    }

    #[tokio::test]
    async fn a_journal_keeps_what_was_committed_through_its_handle() {
        let (world, database) = database();
        let journal = Journal::default();
        let handle = database.journaled(&journal);
        let insert = |id: &str| Statement::new("INSERT INTO parent VALUES (?1)").bind(id);
        let read = Statement::new("SELECT id FROM parent");
        database.query(insert("by the test")).await.unwrap();
        let batch = vec![read.clone(), insert("a"), insert("b")];
        handle.batch(batch).await.unwrap();
        handle.query(read).await.unwrap();
        handle
            .batch(vec![insert("c"), insert("a")])
            .await
            .unwrap_err();
        world.faults.fail("database", 1, When::After);
        handle.query(insert("d")).await.unwrap_err();
        let sizes: Vec<usize> = journal.written().iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[tokio::test]
    async fn steps_grow_with_what_is_read() {
        let (_, database) = database();
        let search = Statement::new("SELECT * FROM child WHERE id = ?1").bind("a");
        let scan = Statement::new("SELECT * FROM child WHERE n = ?1").bind(7_i64);
        let few = [&search, &scan].map(|it| database.steps(it).unwrap());
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
            INSERT INTO child SELECT 'c' || i, NULL, 1 FROM n";
        database.query(Statement::new(many)).await.unwrap();
        assert_eq!(database.steps(&search).unwrap(), few[0]);
        assert!(database.steps(&scan).unwrap() > few[1] + 1_000);
    }

    #[test]
    fn plans_tell_a_scan_from_a_search() {
        let (_, database) = database();
        let scan = database.plan("SELECT * FROM child WHERE n = ?1").unwrap();
        assert!(scan[0].starts_with("SCAN"), "{scan:?}");
        let search = database.plan("SELECT * FROM child WHERE id = ?1").unwrap();
        assert!(search[0].starts_with("SEARCH"), "{search:?}");
    }
}
