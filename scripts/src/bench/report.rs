//! Numbers of a run: percentiles and confidence.

use serde_json::{Value, json};

use super::load::Block;

/// What a suite found.
pub(super) struct Report {
    /// Its part of the page, without heading.
    pub(super) section: String,
    /// Members of the raw file.
    pub(super) raw: Value,
    /// Figures out of their bounds.
    pub(super) broken: Vec<String>,
}

/// Both ways at one number of connections.
pub(super) struct Level {
    pub(super) connections: usize,
    pub(super) direct: Vec<Block>,
    pub(super) system: Vec<Block>,
}

/// Mean over blocks with half the width of its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) mean: f64,
    half_width: f64,
}

impl Estimate {
    fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let spread = values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>();
        let variance = spread / (count - 1.0).max(1.0);
        Self {
            mean,
            // Student's t for 9 degrees of freedom: ten blocks.
            half_width: 2.262 * (variance / count).sqrt(),
        }
    }

    pub(super) fn text(self) -> String {
        self.text_to(1)
    }

    /// With so many digits behind the point.
    pub(super) fn text_to(self, digits: usize) -> String {
        format!("{:.digits$} ± {:.digits$}", self.mean, self.half_width)
    }
}

impl Level {
    pub(super) fn rate(blocks: &[Block]) -> Estimate {
        let rates: Vec<f64> = blocks.iter().map(rate).collect();
        Estimate::of(&rates)
    }

    /// Requests per second through the system for each one of the direct way, block by block.
    pub(super) fn ratio(&self) -> Estimate {
        let ratios: Vec<f64> = self
            .direct
            .iter()
            .zip(&self.system)
            .map(|(direct, system)| rate(system) / rate(direct).max(1e-9))
            .collect();
        Estimate::of(&ratios)
    }

    /// Percentile through the system minus that of the simulator, block by block.
    pub(super) fn added_ms(&self, percentile: f64) -> Estimate {
        let added: Vec<f64> = self
            .direct
            .iter()
            .zip(&self.system)
            .map(|(direct, system)| {
                quantile(&system.latencies_ms, percentile)
                    - quantile(&direct.latencies_ms, percentile)
            })
            .collect();
        Estimate::of(&added)
    }

    pub(super) fn failures(blocks: &[Block]) -> usize {
        blocks.iter().map(|block| block.failures).sum()
    }

    pub(super) fn raw(&self) -> Value {
        let blocks = |blocks: &[Block]| -> Vec<Value> {
            blocks
                .iter()
                .map(|block| {
                    json!({
                        "seconds": block.seconds, "failures": block.failures,
                        "latencies_ms": block.latencies_ms,
                    })
                })
                .collect()
        };
        json!({
            "connections": self.connections,
            "direct": blocks(&self.direct), "system": blocks(&self.system),
        })
    }
}

/// A table of levels whose direct way is `GET /health`.
pub(super) fn against_health(levels: &[Level]) -> String {
    let mut lines = vec![
        "| Connections | Reads per second | `GET /health` per second | Ratio | Failed |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for level in levels {
        lines.push(format!(
            "| {} | {} | {} | {} | {} |",
            level.connections,
            Level::rate(&level.system).text(),
            Level::rate(&level.direct).text(),
            level.ratio().text_to(2),
            Level::failures(&level.system) + Level::failures(&level.direct),
        ));
    }
    lines.join("\n")
}

/// Good answers per second.
fn rate(block: &Block) -> f64 {
    block.latencies_ms.len() as f64 / block.seconds.max(1e-9)
}

/// Nearest rank; 0 without samples.
fn quantile(samples: &[f64], percentile: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percentile / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_take_the_nearest_rank() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert!((quantile(&samples, 50.0) - 50.0).abs() < f64::EPSILON);
        assert!((quantile(&samples, 99.0) - 99.0).abs() < f64::EPSILON);
        assert!(quantile(&[], 50.0).abs() < f64::EPSILON);
    }

    #[test]
    fn equal_blocks_have_no_uncertainty_and_added_time_is_a_difference() {
        let block = |ms: f64| Block {
            latencies_ms: vec![ms; 10],
            failures: 1,
            seconds: 2.0,
        };
        let level = Level {
            connections: 1,
            direct: vec![block(10.0); 10],
            system: vec![block(35.0); 10],
        };
        let added = level.added_ms(50.0);
        assert!((added.mean - 25.0).abs() < 1e-9 && added.half_width < 1e-9);
        assert!((Level::rate(&level.system).mean - 5.0).abs() < 1e-9);
        assert_eq!(Level::failures(&level.system), 10);
    }

    #[test]
    fn the_ratio_is_of_good_answers_in_the_same_turn() {
        let block = |good, seconds| Block {
            latencies_ms: vec![1.0; good],
            failures: 0,
            seconds,
        };
        // The machine slows down by half in the second turn, for both: the ratio does not.
        let level = Level {
            connections: 1,
            direct: vec![block(100, 1.0), block(100, 2.0)],
            system: vec![block(90, 1.0), block(90, 2.0)],
        };
        let ratio = level.ratio();
        assert!((ratio.mean - 0.9).abs() < 1e-9 && ratio.half_width < 1e-9);
        assert_eq!(ratio.text_to(2), "0.90 ± 0.00");
    }
}
