//! Counts what one request asks of the platform, so that budgets are tested with numbers.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug, Default)]
struct Counters {
    do_calls: AtomicU32,
    d1_round_trips: AtomicU32,
    d1_queries: AtomicU32,
    d1_rows_read: AtomicU32,
    d1_rows_written: AtomicU32,
    kv_ops: AtomicU32,
    r2_ops: AtomicU32,
    r2_puts: AtomicU32,
    subrequests: AtomicU32,
    service_calls: AtomicU32,
}

/// The counter that a request's ports share.
#[derive(Clone, Debug, Default)]
pub struct Ops(Arc<Counters>);

/// One reading of the counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpsCount {
    /// Durable Object commands.
    pub do_calls: u32,
    /// Batches sent to D1.
    pub d1_round_trips: u32,
    /// D1 statements, each statement of a batch counted.
    pub d1_queries: u32,
    /// Rows that D1 says it read.
    pub d1_rows_read: u32,
    /// Rows that D1 says it wrote.
    pub d1_rows_written: u32,
    /// KV reads and writes.
    pub kv_ops: u32,
    /// R2 operations of any kind.
    pub r2_ops: u32,
    /// R2 puts, a multipart upload counted once.
    pub r2_puts: u32,
    /// Requests to the outside.
    pub subrequests: u32,
    /// Calls of other workers.
    pub service_calls: u32,
}

macro_rules! count {
    ($($name:ident $field:ident $doc:literal;)+) => {
        $(
            #[doc = $doc]
            pub fn $name(&self, n: u32) {
                self.0.$field.fetch_add(n, Ordering::Relaxed);
            }
        )+
    };
}

impl Ops {
    count! {
        add_do_calls do_calls "Counts Durable Object commands.";
        add_d1_round_trips d1_round_trips "Counts batches sent to D1.";
        add_d1_queries d1_queries "Counts D1 statements.";
        add_d1_rows_read d1_rows_read "Counts rows read.";
        add_d1_rows_written d1_rows_written "Counts rows written.";
        add_kv_ops kv_ops "Counts KV operations.";
        add_r2_ops r2_ops "Counts R2 operations.";
        add_r2_puts r2_puts "Counts R2 puts.";
        add_subrequests subrequests "Counts requests to the outside.";
        add_service_calls service_calls "Counts calls of other workers.";
    }

    /// The counts so far.
    pub fn count(&self) -> OpsCount {
        let get = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        let c = &self.0;
        OpsCount {
            do_calls: get(&c.do_calls),
            d1_round_trips: get(&c.d1_round_trips),
            d1_queries: get(&c.d1_queries),
            d1_rows_read: get(&c.d1_rows_read),
            d1_rows_written: get(&c.d1_rows_written),
            kv_ops: get(&c.kv_ops),
            r2_ops: get(&c.r2_ops),
            r2_puts: get(&c.r2_puts),
            subrequests: get(&c.subrequests),
            service_calls: get(&c.service_calls),
        }
    }
}
