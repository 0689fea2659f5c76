//! From samples to figures: medians over the rounds, ratios to nginx.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::arm;
use crate::workload::Kind;

/// The percentiles that are told.
pub const PERCENTILES: [(&str, f64); 3] = [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)];

/// One slice of one arm.
pub struct Sample {
    pub rps: f64,
    pub cpu_us: f64,
    pub errors: u64,
    pub latency: Histogram<u64>,
}

/// Everything that was measured.
#[derive(Default)]
pub struct Results {
    /// The fixed rate of the latency slices.
    pub rate: f64,
    samples: BTreeMap<(&'static str, Kind), Vec<Sample>>,
}

/// The figures of one arm and kind of request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub rps: f64,
    pub cpu_us: f64,
    pub errors: u64,
    /// Microseconds beyond the direct connection; none without it.
    pub added_us: Option<[f64; 3]>,
}

impl Results {
    pub fn add(&mut self, arm: &'static str, kind: Kind, sample: Sample) {
        self.samples.entry((arm, kind)).or_default().push(sample);
    }

    /// The arms that were measured, in the order of the report.
    pub fn arms(&self) -> impl Iterator<Item = &'static str> {
        let is_measured = |name: &&str| self.samples.keys().any(|(arm, _)| arm == name);
        arm::NAMES.into_iter().filter(is_measured)
    }

    pub fn figures(&self, arm: &'static str, kind: Kind) -> Figures {
        let Some(samples) = self.samples.get(&(arm, kind)) else {
            return Figures::default();
        };
        let direct = self.samples.get(&("direct", kind));
        Figures {
            rps: median(samples.iter().map(|sample| sample.rps)),
            cpu_us: median(samples.iter().map(|sample| sample.cpu_us)),
            errors: samples.iter().map(|sample| sample.errors).sum(),
            added_us: direct.map(|direct| {
                PERCENTILES.map(|(_, percentile)| at(samples, percentile) - at(direct, percentile))
            }),
        }
    }
}

/// The median over the rounds of a percentile, in microseconds.
fn at(samples: &[Sample], percentile: f64) -> f64 {
    let values = samples
        .iter()
        .map(|sample| sample.latency.value_at_percentile(percentile) as f64);
    median(values) / 1000.0
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

pub fn table(results: &Results) -> String {
    let mut out = format!("Latency at {:.0} requests per second.\n\n", results.rate);
    for kind in Kind::ALL {
        out.push_str(&format!(
            "{:<18}{:>10}{:>12}{:>9}{:>12}{:>12}{:>12}{:>8}\n",
            kind.name().to_uppercase(),
            "req/s",
            "cpu us/req",
            "/nginx",
            "added p50",
            "p99",
            "p99.9",
            "errors"
        ));
        let nginx = results.figures("nginx", kind).cpu_us;
        for arm in results.arms() {
            let figures = results.figures(arm, kind);
            let ratio = match nginx > 0.0 && figures.cpu_us > 0.0 {
                true => format!("{:.2}", figures.cpu_us / nginx),
                false => "-".to_owned(),
            };
            let added = figures
                .added_us
                .unwrap_or_default()
                .map(|us| format!("{us:.1} us"));
            out.push_str(&format!(
                "{arm:<18}{:>10.0}{:>12.2}{ratio:>9}{:>12}{:>12}{:>12}{:>8}\n",
                figures.rps, figures.cpu_us, added[0], added[1], added[2], figures.errors
            ));
        }
        out.push('\n');
    }
    out
}

pub fn json(results: &Results) -> Value {
    let arms: Map<String, Value> = results
        .arms()
        .map(|arm| {
            // The top figures are those of the POST.
            let mut value = object(results.figures(arm, Kind::Post));
            let kinds =
                Kind::ALL.map(|kind| (kind.name().to_owned(), object(results.figures(arm, kind))));
            value["kinds"] = Value::Object(Map::from_iter(kinds));
            (arm.to_owned(), value)
        })
        .collect();
    json!({"arms": arms, "latency_at_rps": results.rate.round()})
}

fn object(figures: Figures) -> Value {
    let added = figures.added_us.map(|added| {
        let named = PERCENTILES.iter().zip(added);
        Map::from_iter(named.map(|((name, _), us)| ((*name).to_owned(), json!(tenths(us)))))
    });
    json!({
        "rps": figures.rps.round(),
        "cpu_us_per_request": (figures.cpu_us * 100.0).round() / 100.0,
        "added_us": added,
        "errors": figures.errors,
    })
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn example() -> Results {
        let mut results = Results::default();
        for (arm, cpu_us, latency) in [
            ("direct", 0.0, 50_u64),
            ("nginx", 12.0, 100),
            ("portcullis_full", 9.0, 80),
        ] {
            for kind in Kind::ALL {
                for round in 0..3 {
                    let mut histogram = Histogram::new(3).unwrap();
                    for _ in 0..100 {
                        histogram.record(latency * 1000 + round).unwrap();
                    }
                    let sample = Sample {
                        rps: 1000.0,
                        cpu_us: cpu_us + round as f64,
                        errors: 0,
                        latency: histogram,
                    };
                    results.add(arm, kind, sample);
                }
            }
        }
        results
    }

    #[test]
    fn figures_are_medians_and_differences() {
        let results = example();
        let figures = results.figures("nginx", Kind::Post);
        assert_eq!((figures.cpu_us, figures.rps), (13.0, 1000.0));
        let added = figures.added_us.unwrap();
        assert!((added[0] - 50.0).abs() < 0.2, "{added:?}");
        let value = json(&results);
        assert_eq!(value["arms"]["portcullis_full"]["cpu_us_per_request"], 10.0);
        assert!(value["arms"]["nginx"]["kinds"]["get"]["added_us"]["p99.9"].is_number());
        assert!(table(&results).contains("0.77"));
        assert_eq!(median([3.0, 1.0, 2.0, 10.0].into_iter()), 2.5);
    }
}
