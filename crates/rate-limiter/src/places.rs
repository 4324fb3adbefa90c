//! Images in flight: who holds how many places since when.
//!
//! In scope: the sum, and an estimate of when places come back. Out of scope: the maximum (module `gate`).

use crate::window::Delay;
use std::collections::BTreeMap;

/// Assumed duration of a generation while no median is known, in milliseconds.
const UNKNOWN_MEDIAN_MS: u64 = 10_000;
/// Shortest delay that is answered, in milliseconds.
const SHORTEST_MS: u64 = 250;

/// Places taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// By start.
    running: BTreeMap<(i64, u128), u64>,
    /// Of attempts that may still run, by the instant at which the place is given up.
    lingering: BTreeMap<(i64, u128), u64>,
    taken: u64,
}

impl Places {
    /// Images in flight at the last `advance`.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Gives up the places of unknown attempts whose time is over.
    pub(crate) fn advance(&mut self, now_ms: i64) {
        while let Some(entry) = self.lingering.first_entry() {
            if entry.key().0 > now_ms {
                break;
            }
            self.taken -= entry.remove();
        }
    }

    /// A running attempt.
    pub(crate) fn add_running(&mut self, since_ms: i64, key: u128, images: u64) {
        if images > 0 && self.running.insert((since_ms, key), images).is_none() {
            self.taken += images;
        }
    }

    /// It stopped.
    pub(crate) fn remove_running(&mut self, since_ms: i64, key: u128) {
        if let Some(images) = self.running.remove(&(since_ms, key)) {
            self.taken -= images;
        }
    }

    /// An unknown attempt.
    pub(crate) fn add_lingering(&mut self, until_ms: i64, key: u128, images: u64) {
        if images > 0 && self.lingering.insert((until_ms, key), images).is_none() {
            self.taken += images;
        }
    }

    /// It is known now.
    pub(crate) fn remove_lingering(&mut self, until_ms: i64, key: u128) {
        if let Some(images) = self.lingering.remove(&(until_ms, key)) {
            self.taken -= images;
        }
    }

    /// `None` when `images` fit under `max`, else an estimate of when they will: the oldest come back first, each after
    /// the median.
    pub(crate) fn delay(
        &self,
        max: u64,
        images: u64,
        median_ms: u64,
        now_ms: i64,
    ) -> Option<Delay> {
        let over = (self.taken + images).saturating_sub(max);
        if over == 0 {
            return None;
        }
        let mut freed = 0;
        let mut ms = assumed_ms(median_ms);
        for ((since_ms, _), images) in &self.running {
            freed += images;
            if freed >= over {
                ms = ends_in_ms(*since_ms, median_ms, now_ms);
                break;
            }
        }
        if let Some(((until_ms, _), images)) = self.lingering.first_key_value()
            && *images >= over
        {
            ms = ms.min(u64::try_from(until_ms - now_ms).unwrap_or(0));
        }
        Some(Delay {
            ms: ms.max(SHORTEST_MS),
            estimated: true,
        })
    }

    /// When all places are free again, estimated, in milliseconds from now.
    pub(crate) fn free_in_ms(&self, median_ms: u64, now_ms: i64) -> u64 {
        let running = self
            .running
            .last_key_value()
            .map(|((since_ms, _), _)| ends_in_ms(*since_ms, median_ms, now_ms).max(SHORTEST_MS));
        let lingering = self
            .lingering
            .last_key_value()
            .and_then(|((until_ms, _), _)| u64::try_from(until_ms - now_ms).ok());
        running.max(lingering).unwrap_or(0)
    }
}

fn assumed_ms(median_ms: u64) -> u64 {
    if median_ms == 0 {
        UNKNOWN_MEDIAN_MS
    } else {
        median_ms
    }
}

fn ends_in_ms(since_ms: i64, median_ms: u64, now_ms: i64) -> u64 {
    let ends_ms = since_ms.saturating_add_unsigned(assumed_ms(median_ms));
    u64::try_from(ends_ms - now_ms).unwrap_or(0)
}
