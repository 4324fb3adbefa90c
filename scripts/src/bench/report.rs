//! Numbers of a run: percentiles, confidence, the page and the raw file.

use serde_json::{Value, json};

use super::load::Block;
use super::{PROMPT, PROVIDER, Results};

/// Both ways at one number of connections.
pub(super) struct Level {
    pub(super) connections: usize,
    pub(super) direct: Vec<Block>,
    pub(super) system: Vec<Block>,
}

/// Mean over blocks with half the width of its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Estimate {
    mean: f64,
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

    fn text(self) -> String {
        format!("{:.1} ± {:.1}", self.mean, self.half_width)
    }
}

impl Level {
    fn rate(blocks: &[Block]) -> Estimate {
        let rates: Vec<f64> = blocks
            .iter()
            .map(|block| block.latencies_ms.len() as f64 / block.seconds.max(1e-9))
            .collect();
        Estimate::of(&rates)
    }

    /// Percentile through the system minus that of the simulator, block by block.
    fn added_ms(&self, percentile: f64) -> Estimate {
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

    fn failures(blocks: &[Block]) -> usize {
        blocks.iter().map(|block| block.failures).sum()
    }

    fn raw(&self) -> Value {
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

impl Results {
    pub(super) fn raw(&self) -> Value {
        json!({
            "schema": 1,
            "suite": "generate",
            "git_sha": self.git_sha,
            "machine": self.machine,
            "levels": self.levels.iter().map(Level::raw).collect::<Vec<_>>(),
            "admission": {
                "decisions": self.admission.decisions, "granted": self.admission.granted,
                "seconds": self.admission.seconds,
            },
            "wasm": self.sizes,
        })
    }

    pub(super) fn page(&self) -> String {
        let mut lines = vec![
            "# Benchmarks".to_owned(),
            String::new(),
            format!(
                "Written by `cargo x bench` at commit `{}` on {}. Simulator, all workers and the load share these processors, so rates are a floor, not a promise.",
                self.git_sha, self.machine
            ),
            String::new(),
            "## generate".to_owned(),
            String::new(),
            format!(
                "Closed loops of `POST /generate` with provider `{PROVIDER}` and prompt `{PROMPT}`, in ten turns with the same request sent to the simulator directly. Mean over the turns with its 95 % confidence interval. \"Added\" is the percentile through the system minus the simulator's own."
            ),
            String::new(),
            "| Connections | Requests per second | Simulator alone | Added p50, ms | Added p99, ms | Failed |".to_owned(),
            "|---|---|---|---|---|---|".to_owned(),
        ];
        for level in &self.levels {
            lines.push(format!(
                "| {} | {} | {} | {} | {} | {} |",
                level.connections,
                Level::rate(&level.system).text(),
                Level::rate(&level.direct).text(),
                level.added_ms(50.0).text(),
                level.added_ms(99.0).text(),
                Level::failures(&level.system),
            ));
        }
        let admission = &self.admission;
        lines.extend([
            String::new(),
            "## admission".to_owned(),
            String::new(),
            format!(
                "{} decisions of one limiter object, asked at once: {} granted, {:.0} decisions per second.",
                admission.decisions,
                admission.granted,
                f64::from(admission.decisions) / admission.seconds.max(1e-9)
            ),
            String::new(),
            "## Size of the workers".to_owned(),
            String::new(),
            "| Worker | Bytes | Gzip |".to_owned(),
            "|---|---|---|".to_owned(),
        ]);
        for (name, size) in &self.sizes {
            lines.push(format!(
                "| {name} | {} | {} |",
                size.raw_bytes, size.gzip_bytes
            ));
        }
        lines.join("\n") + "\n"
    }
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
}
