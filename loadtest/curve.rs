//! Latency by load: each arm at parts of what it can do, and the direct connection at the same rate
//! right before it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arm::Arm;
use crate::ground::Ground;
use crate::lines::{self, Line, Panel};
use crate::report::{PERCENTILES, median};
use crate::workload::Kind;

/// Parts of what an arm can do.
const LOADS: [f64; 5] = [0.10, 0.25, 0.50, 0.75, 0.90];

const ARMS: [&str; 4] = ["nginx", "haproxy", "portcullis_plain", "portcullis_full"];

/// What forwarding may add at half load, in microseconds: by the percentiles that are told.
const AIMS: [f64; 3] = [60.0, 200.0, 1000.0];

/// Slices at full load from which it is told what an arm can do.
const TRIES: usize = 3;

/// The percentiles of one slice, in microseconds.
type Told = [f64; 3];

/// One arm and kind of request at one load.
#[derive(Default)]
struct Point {
    rate: f64,
    direct: Vec<Told>,
    through: Vec<Told>,
}

#[derive(Default)]
pub struct Curves {
    points: BTreeMap<(&'static str, Kind, usize), Point>,
    /// Requests that were not answered as they should.
    errors: u64,
}

pub fn measure(ground: &Ground<'_>) -> Result<Curves, String> {
    let arms = ground.start_found(&ARMS)?;
    let direct = Arm::direct(ground.backend.address);
    let slice = ground.extent(Duration::from_millis(1500), Duration::from_millis(400));
    let rounds = ground.extent(5, 3);
    let mut curves = Curves::default();
    for kind in Kind::ALL {
        for arm in &arms {
            let most = capacity(ground, arm, kind, slice)?;
            for (step, load) in LOADS.iter().enumerate() {
                let rate = most * load;
                let point = curves.points.entry((arm.name, kind, step)).or_default();
                point.rate = rate;
            }
        }
        for round in 0..rounds {
            eprintln!("loadtest: {} round {} of {rounds}", kind.name(), round + 1);
            for step in 0..LOADS.len() {
                for turn in 0..arms.len() {
                    let arm = &arms[(turn + round) % arms.len()];
                    curves.slice(ground, (&direct, arm), (kind, step), slice)?;
                }
            }
        }
    }
    Ok(curves)
}

/// Requests a second.
fn capacity(ground: &Ground<'_>, arm: &Arm, kind: Kind, slice: Duration) -> Result<f64, String> {
    let generator = ground.generator(arm);
    generator.closed(kind, slice / 2)?;
    let mut rates = Vec::new();
    for _ in 0..TRIES {
        rates.push(generator.closed(kind, slice)?.rate());
    }
    let most = median(rates.into_iter());
    match most > 0.0 {
        true => Ok(most),
        false => Err(format!("{}: no good answer to a {}", arm.name, kind.name())),
    }
}

impl Curves {
    fn slice(
        &mut self,
        ground: &Ground<'_>,
        (direct, arm): (&Arm, &Arm),
        (kind, step): (Kind, usize),
        time: Duration,
    ) -> Result<(), String> {
        let point = self.points.entry((arm.name, kind, step)).or_default();
        for (arm, found) in [(direct, &mut point.direct), (arm, &mut point.through)] {
            let ran = ground.generator(arm).open(kind, point.rate, time)?;
            self.errors += ran.errors;
            let at = |percentile| ran.latency.value_at_percentile(percentile) as f64 / 1000.0;
            found.push(PERCENTILES.map(|(_, percentile)| at(percentile)));
        }
        Ok(())
    }

    /// Of one arm, load by load.
    fn of(&self, name: &'static str, kind: Kind) -> impl Iterator<Item = (usize, &Point)> {
        let points = self.points.iter();
        points.filter_map(move |(&(arm, of, step), point)| {
            (arm == name && of == kind).then_some((step, point))
        })
    }

    pub fn table(&self) -> String {
        let mut out = String::new();
        for kind in Kind::ALL {
            out.push_str(&format!(
                "{:<18}{:>6}{:>9}{:>11}{:>9}{:>9}{:>12}{:>9}{:>9}\n",
                kind.name().to_uppercase(),
                "load",
                "req/s",
                "p50, us",
                "p99",
                "p99.9",
                "added p50",
                "p99",
                "p99.9"
            ));
            for name in ARMS {
                for (step, point) in self.of(name, kind) {
                    let [a, b, c] = [0, 1, 2].map(|index| point.through(index));
                    let [x, y, z] = [0, 1, 2].map(|index| point.added(index));
                    out.push_str(&format!(
                        "{name:<18}{:>5.0}%{:>9.0}{a:>11.0}{b:>9.0}{c:>9.0}{x:>12.0}{y:>9.0}{z:>9.0}\n",
                        LOADS[step] * 100.0,
                        point.rate,
                    ));
                }
            }
            out.push('\n');
        }
        out.push_str(
            "load: of what the arm itself can do. added: beyond the direct connection at the same rate, the \
             median of the differences within a round.\n",
        );
        out
    }

    pub fn svg(&self) -> String {
        let panels = PERCENTILES
            .iter()
            .enumerate()
            .flat_map(|(index, (name, _))| {
                Kind::ALL.map(|kind| Panel {
                    title: format!("{}, {name}", kind.name().to_uppercase()),
                    lines: self.lines(kind, index),
                })
            });
        lines::draw(
            &panels.collect::<Vec<_>>(),
            "requests per second",
            "microseconds",
        )
    }

    fn lines(&self, kind: Kind, index: usize) -> Vec<Line> {
        let mut direct: Vec<(f64, f64)> = Vec::new();
        let mut lines = Vec::new();
        for name in ARMS {
            let points = self.of(name, kind).map(|(_, point)| {
                direct.push((point.rate, point.direct(index)));
                (point.rate, point.through(index))
            });
            let points: Vec<_> = points.collect();
            lines.push(Line { name, points });
        }
        direct.sort_by(|one, other| one.0.total_cmp(&other.0));
        lines.push(Line {
            name: "direct",
            points: direct,
        });
        lines.retain(|line| !line.points.is_empty());
        lines
    }

    /// An error if a request was lost; strictly, also if forwarding adds more than is aimed at.
    pub fn verdict(&self, is_strict: bool) -> Result<(), String> {
        let mut missed = 0;
        for kind in Kind::ALL {
            let points = self.of("portcullis_plain", kind);
            let half = points.filter(|&(step, _)| LOADS[step] == 0.5);
            for (_, point) in half {
                for (index, (name, _)) in PERCENTILES.iter().enumerate() {
                    let (added, aim) = (point.added(index), AIMS[index]);
                    let is_reached = added <= aim;
                    missed += u64::from(!is_reached);
                    println!(
                        "{} at half load, added {name}: {added:.0} us, {} the aim of {aim:.0}",
                        kind.name().to_uppercase(),
                        if is_reached { "within" } else { "beyond" },
                    );
                }
            }
        }
        match (self.errors, missed) {
            (0, 0) => Ok(()),
            (0, missed) if is_strict => Err(format!("{missed} aims are missed")),
            (0, _) => Ok(()),
            (errors, _) => Err(format!(
                "{errors} requests were not answered as they should"
            )),
        }
    }
}

impl Point {
    fn through(&self, index: usize) -> f64 {
        median(self.through.iter().map(|told| told[index]))
    }

    fn direct(&self, index: usize) -> f64 {
        median(self.direct.iter().map(|told| told[index]))
    }

    fn added(&self, index: usize) -> f64 {
        let pairs = self.through.iter().zip(&self.direct);
        median(pairs.map(|(through, direct)| through[index] - direct[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_medians_and_stand_in_table_and_plot() {
        let mut curves = Curves::default();
        for (step, load) in LOADS.iter().enumerate() {
            let point = curves.points.entry(("nginx", Kind::Get, step)).or_default();
            point.rate = load * 10_000.0;
            for round in [1.0, 0.0, 2.0] {
                point
                    .direct
                    .push([10.0 + round, 20.0 + round, 30.0 + round]);
                point
                    .through
                    .push([15.0 + round, 29.0 + round, 130.0 + round]);
            }
        }
        let row: Vec<&str> = "nginx 50% 5000 16 30 131 5 9 100".split(' ').collect();
        let table = curves.table();
        let rows = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert!(rows.into_iter().any(|found| found == row), "{table}");
        let svg = curves.svg();
        // Two lines in three panels, and what they mean.
        let lines =
            svg.matches("class=\"nginx\"").count() + svg.matches("class=\"direct\"").count();
        assert_eq!(lines, 2 * 3 + 2);
        assert!(svg.contains("direct") && !svg.contains("NaN") && !svg.contains("inf"));
        assert_eq!(curves.verdict(true), Ok(()));
        let point = curves.points[&("nginx", Kind::Get, 2)].through.clone();
        let own = curves.points.entry(("portcullis_plain", Kind::Get, 2));
        own.or_default().through = point;
        // Without the direct connection there is no difference; with it, p50 adds 5 and so on.
        assert_eq!(curves.verdict(true), Ok(()));
        let own = curves.points.entry(("portcullis_plain", Kind::Get, 2));
        own.or_default().direct = vec![[-50.0, 0.0, -1000.0]];
        assert_eq!(curves.verdict(false), Ok(()));
        assert_eq!(curves.verdict(true), Err("2 aims are missed".to_owned()));
        curves.errors = 1;
        assert!(curves.verdict(false).is_err());
    }
}
