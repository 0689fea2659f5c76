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

    pub fn errors(&self) -> u64 {
        self.samples
            .values()
            .flatten()
            .map(|sample| sample.errors)
            .sum()
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
                PERCENTILES.map(|(_, percentile)| added(samples, direct, percentile))
            }),
        }
    }
}

/// The median over the rounds of how far a percentile is beyond that of the direct connection in
/// the same round, in microseconds: what the machine did in a round was done to both.
fn added(samples: &[Sample], direct: &[Sample], percentile: f64) -> f64 {
    let at = |sample: &Sample| sample.latency.value_at_percentile(percentile) as f64;
    let rounds = samples.iter().zip(direct);
    median(rounds.map(|(arm, direct)| at(arm) - at(direct))) / 1000.0
}

/// Whether the tail of a steady load, in microseconds, is as long as it was: what a busy machine
/// does to one of two measurements is allowed for.
pub fn is_unchanged(before: f64, during: f64) -> bool {
    during <= before * 1.5 + 250.0
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
    let mut out = String::new();
    for kind in Kind::ALL {
        out.push_str(&format!(
            "{:<18}{:>9}{:>6}{:>12}{:>9}{:>9}{:>12}{:>11}{:>11}{:>8}\n",
            kind.name().to_uppercase(),
            "req/s",
            "core",
            "cpu us/req",
            "/nginx",
            "/haproxy",
            "added p50",
            "p99",
            "p99.9",
            "errors"
        ));
        for arm in results.arms() {
            out.push_str(&row(results, arm, kind));
        }
        out.push('\n');
    }
    out.push_str(&format!(
        "core: how much of its core the process used at full load. added: microseconds beyond direct, \
         at {:.0} requests per second.\n",
        results.rate
    ));
    out
}

/// A figure that does not exist is a dash.
fn row(results: &Results, arm: &'static str, kind: Kind) -> String {
    let figures = results.figures(arm, kind);
    let has_cpu = figures.cpu_us > 0.0;
    let dash = || "-".to_owned();
    let [busy, cpu] = match has_cpu {
        true => [
            format!("{:.0}%", figures.rps * figures.cpu_us / 10_000.0),
            format!("{:.2}", figures.cpu_us),
        ],
        false => [dash(), dash()],
    };
    let [to_nginx, to_haproxy] = ["nginx", "haproxy"].map(|peer| {
        let peer = results.figures(peer, kind).cpu_us;
        match has_cpu && peer > 0.0 {
            true => format!("{:.2}", figures.cpu_us / peer),
            false => dash(),
        }
    });
    let added = figures.added_us.filter(|_| arm != "direct");
    let [p50, p99, p999] = match added {
        Some(added) => added.map(|us| format!("{us:.1}")),
        None => [dash(), dash(), dash()],
    };
    format!(
        "{arm:<18}{:>9.0}{busy:>6}{cpu:>12}{to_nginx:>9}{to_haproxy:>9}{p50:>12}{p99:>11}{p999:>11}{:>8}\n",
        figures.rps, figures.errors
    )
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

    fn sample(cpu_us: f64, latency_ns: u64) -> Sample {
        let mut latency = Histogram::new(3).unwrap();
        latency.record_n(latency_ns, 100).unwrap();
        Sample {
            rps: 1000.0,
            cpu_us,
            errors: 0,
            latency,
        }
    }

    /// Three rounds; a GET costs half of a POST.
    pub fn example() -> Results {
        let mut results = Results::default();
        for (arm, cpu_us, latency_ns) in [
            ("direct", 0.0, 50_000),
            ("nginx", 12.0, 100_000),
            ("portcullis_full", 9.0, 80_000),
        ] {
            for round in [2.0, 0.0, 1.0] {
                let post = cpu_us + round;
                results.add(arm, Kind::Post, sample(post, latency_ns));
                results.add(arm, Kind::Get, sample(post / 2.0, latency_ns));
            }
        }
        results
    }

    #[test]
    fn the_json_has_the_promised_shape() {
        let value = json(&example());
        let mut names: Vec<_> = value["arms"].as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(names, ["direct", "nginx", "portcullis_full"]);
        for arm in names {
            let arm = &value["arms"][arm];
            for figures in [arm, &arm["kinds"]["get"], &arm["kinds"]["post"]] {
                for key in ["rps", "cpu_us_per_request", "errors"] {
                    assert!(figures[key].is_number(), "{key} of {figures}");
                }
                for key in ["p50", "p99", "p99.9"] {
                    assert!(figures["added_us"][key].is_number(), "{key} of {figures}");
                }
            }
        }
        // The top figures are those of the POST.
        let nginx = &value["arms"]["nginx"];
        assert_eq!(nginx["cpu_us_per_request"], 13.0);
        assert_eq!(nginx["kinds"]["post"]["cpu_us_per_request"], 13.0);
        assert_eq!(nginx["kinds"]["get"]["cpu_us_per_request"], 6.5);
    }

    #[test]
    fn what_was_not_measured_is_not_shown_as_zero() {
        let mut results = example();
        results
            .samples
            .retain(|(arm, _), _| *arm == "portcullis_full");
        assert_eq!(results.figures("portcullis_full", Kind::Get).added_us, None);
        let value = json(&results);
        assert!(value["arms"]["portcullis_full"]["added_us"].is_null());
        assert!(value["arms"]["nginx"].is_null());
        let table = table(&results);
        assert!(!table.contains(" 0.0") && !table.contains("NaN") && !table.contains("inf"));
    }

    #[test]
    fn latency_is_compared_within_a_round() {
        let mut results = Results::default();
        // The machine slows down from round to round; the arm always adds 10 us.
        for round in 1..=3 {
            for (arm, us) in [("direct", 0), ("nginx", 10)] {
                results.add(arm, Kind::Get, sample(1.0, 1000 * (round * 100 + us)));
            }
        }
        let added = results.figures("nginx", Kind::Get).added_us.unwrap();
        assert!(added.iter().all(|us| (us - 10.0).abs() < 0.5), "{added:?}");
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
