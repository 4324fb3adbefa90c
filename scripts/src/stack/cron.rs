//! Runs the workers' crons, which the local runtime does not do by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use crate::clock;
use crate::http::Client;

/// Posts at each cron time until dropped.
#[derive(Debug)]
pub struct Crons {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Crons {
    /// `crons` are pairs of worker and expression.
    pub fn start(base_url: String, crons: Vec<(String, String)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let client = Client::new(Duration::from_secs(50));
            let mut last_minute = clock::unix_ms() / 60_000;
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(200));
                let minute = clock::unix_ms() / 60_000;
                if minute == last_minute {
                    continue;
                }
                last_minute = minute;
                for (worker, cron) in crons.iter().filter(|(_, cron)| matches(cron, minute)) {
                    let url = format!(
                        "{base_url}/cdn-cgi/local/explorer/api/local/scheduled?worker={worker}"
                    );
                    // While wrangler restarts there is nobody to tell; the next minute comes.
                    let _ = client.send("POST", &url, &[], Some(&json!({"cron": cron})));
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Crons {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A call in flight ends with the stack, so nobody waits for it here.
        self.thread.take();
    }
}

/// Whether a five-field expression matches a minute since 1970, in UTC.
fn matches(cron: &str, minute: u64) -> bool {
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
        return false;
    };
    let day = minute / 1440;
    let (month, day_of_month) = civil(day);
    field(minutes, minute % 60)
        && field(hours, minute / 60 % 24)
        && field(days, day_of_month)
        && field(months, month)
        // 1970-01-01 was a Thursday; Sunday is 1 on this platform.
        && field(weekdays, (day + 4) % 7 + 1)
}

/// `*`, `5`, `1-5`, `*/10` and comma lists of those.
fn field(field: &str, value: u64) -> bool {
    field.split(',').any(|part| {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().unwrap_or(0)),
            None => (part, 1),
        };
        if step == 0 {
            return false;
        }
        if range == "*" {
            return value.is_multiple_of(step);
        }
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        match (from.parse::<u64>(), to.parse::<u64>()) {
            (Ok(from), Ok(to)) => {
                (from..=to).contains(&value) && (value - from).is_multiple_of(step)
            }
            _ => false,
        }
    })
}

/// Month and day of a day since 1970 (Howard Hinnant's `civil_from_days`).
fn civil(day: u64) -> (u64, u64) {
    let z = day + 719_468;
    let of_era = z % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 03:23 UTC, a Saturday.
    const MINUTE: u64 = 1_795_231_380 / 60;

    #[test]
    fn every_minute_matches_and_another_minute_does_not() {
        assert!(matches("* * * * *", MINUTE));
        assert!(matches("23 3 * * *", MINUTE));
        assert!(!matches("7 * * * *", MINUTE));
    }

    #[test]
    fn steps_ranges_lists_dates_and_weekdays() {
        assert!(matches("20-30/3 * * * *", MINUTE));
        assert!(matches("1,23 0-5 21 11 *", MINUTE));
        assert!(matches("* * * * 7", MINUTE));
        assert!(!matches("*/10 * * * *", MINUTE));
        assert!(!matches("* * 22 * *", MINUTE));
        assert!(!matches("nonsense", MINUTE));
    }

    #[test]
    fn knows_leap_days() {
        // 2024-02-29 and 2024-03-01.
        assert_eq!(civil(19_782), (2, 29));
        assert_eq!(civil(19_783), (3, 1));
    }
}
