//! The course of a run: slices of time that go round the arms.

use std::time::{Duration, Instant};

use crate::arm::Arm;
use crate::backend::{Backend, Seen};
use crate::bounds::Bounds;
use crate::generator::{Generator, Ran};
use crate::report::{Results, Sample};
use crate::workload::{Kind, Workload};

/// The fixed rate, as a part of what the slowest arm can do.
const LOAD: f64 = 0.4;

/// How long and how often.
pub struct Plan {
    pub rounds: usize,
    pub closed: Duration,
    pub open: Duration,
    /// When a run that has got stuck gives up.
    pub limit: Duration,
    /// No round begins that might not end before.
    pub enough: Duration,
}

impl Plan {
    pub fn new(is_quick: bool) -> Plan {
        match is_quick {
            true => Plan {
                rounds: 5,
                closed: Duration::from_millis(700),
                open: Duration::from_millis(700),
                limit: Duration::from_secs(115),
                enough: Duration::from_secs(105),
            },
            false => Plan {
                rounds: 9,
                closed: Duration::from_millis(1500),
                open: Duration::from_millis(2000),
                limit: Duration::from_secs(900),
                enough: Duration::from_secs(840),
            },
        }
    }
}

/// What takes part.
pub struct Run<'a> {
    pub arms: &'a [Arm],
    pub workload: &'a Workload,
    pub backend: &'a Backend,
    pub bounds: &'a Bounds,
    pub connections: usize,
}

impl Run<'_> {
    pub fn measure(&self, plan: &Plan) -> Result<Results, String> {
        let mut results = Results::default();
        eprintln!("loadtest: warming up {} arms", self.arms.len());
        results.rate = self.slowest(plan.closed / 2)? * LOAD;
        for round in 0..plan.rounds {
            eprintln!("loadtest: round {} of {}", round + 1, plan.rounds);
            let start = Instant::now();
            for step in 0..self.arms.len() {
                // Another arm begins each round, so that none always runs after the same one.
                let arm = &self.arms[(step + round) % self.arms.len()];
                for kind in Kind::ALL {
                    let sample = self.sample(arm, kind, plan, results.rate)?;
                    results.add(arm.name, kind, sample);
                }
            }
            let reserve = plan.limit.saturating_sub(plan.enough);
            if round + 1 < plan.rounds && start.elapsed() + reserve > self.bounds.left() {
                eprintln!("loadtest: no time for more than {} rounds", round + 1);
                break;
            }
        }
        Ok(results)
    }

    /// What the slowest arm can do, in requests a second. An arm that answers nothing well ends the
    /// run here, before anything is measured.
    fn slowest(&self, time: Duration) -> Result<f64, String> {
        let mut slowest = f64::MAX;
        for arm in self.arms {
            for kind in Kind::ALL {
                let ran = self.generator(arm).closed(kind, time)?;
                if ran.in_time == 0 {
                    let kind = kind.name().to_uppercase();
                    return Err(format!("{}: no good answer to a {kind}", arm.name));
                }
                slowest = slowest.min(ran.rate());
            }
        }
        Ok(slowest)
    }

    fn generator(&self, arm: &Arm) -> Generator<'_> {
        Generator {
            address: arm.address,
            workload: self.workload,
            connections: self.connections,
            bounds: self.bounds,
        }
    }

    /// A slice at full load and one at the fixed rate.
    fn sample(&self, arm: &Arm, kind: Kind, plan: &Plan, rate: f64) -> Result<Sample, String> {
        let generator = self.generator(arm);
        let seen = self.backend.seen();
        let before = arm.cpu()?;
        let closed = generator.closed(kind, plan.closed)?;
        let spent = arm.cpu()?.saturating_sub(before);
        if spent.is_zero() && arm.name != "direct" {
            return Err(format!("{}: its run time does not grow", arm.name));
        }
        let open = generator.open(kind, rate, plan.open)?;
        let seen = self.backend.seen().since(seen);
        let is_full = arm.name == "portcullis_full";
        let body = self.workload.body_length(kind);
        Ok(Sample {
            rps: closed.rate(),
            cpu_us: spent.as_secs_f64() * 1e6 / closed.answered.max(1) as f64,
            errors: errors([&closed, &open], seen, body, is_full),
            latency: open.latency,
        })
    }
}

/// Those of the generator, or, if it found none, the requests that did not reach the backend as
/// they should: each once, whole, with the verified user if and only if somebody verified it.
fn errors(ran: [&Ran; 2], seen: Seen, body: u64, is_full: bool) -> u64 {
    let told: u64 = ran.iter().map(|ran| ran.errors).sum();
    if told > 0 {
        return told;
    }
    let sent: u64 = ran.iter().map(|ran| ran.sent).sum();
    let identified = if is_full { sent } else { 0 };
    let bytes_astray = seen.body_bytes.abs_diff(sent * body);
    seen.requests.abs_diff(sent)
        + seen.identified.abs_diff(identified)
        + bytes_astray.div_ceil(body.max(1))
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;

    fn ran(sent: u64, errors: u64) -> Ran {
        Ran {
            sent,
            answered: sent - errors,
            in_time: sent - errors,
            errors,
            elapsed: Duration::from_secs(1),
            latency: Histogram::new(3).unwrap(),
        }
    }

    #[test]
    fn what_did_not_arrive_as_it_should_is_an_error() {
        let seen = |requests, identified, body_bytes| Seen {
            requests,
            identified,
            body_bytes,
        };
        let all = [&ran(10, 0), &ran(5, 0)];
        assert_eq!(errors(all, seen(15, 15, 1500), 100, true), 0);
        assert_eq!(errors(all, seen(15, 0, 1500), 100, false), 0);
        assert_eq!(errors(all, seen(15, 0, 0), 0, false), 0);
        // Without the user, with one that nobody verified, sent twice, cut short, invented.
        assert_eq!(errors(all, seen(15, 14, 1500), 100, true), 1);
        assert_eq!(errors(all, seen(15, 1, 1500), 100, false), 1);
        assert_eq!(errors(all, seen(16, 0, 1500), 100, false), 1);
        assert_eq!(errors(all, seen(15, 0, 1499), 100, false), 1);
        assert_eq!(errors(all, seen(15, 0, 7), 0, false), 7);
        // What the generator found is not counted again.
        assert_eq!(
            errors([&ran(10, 2), &ran(5, 0)], seen(13, 13, 0), 0, true),
            2
        );
    }

    #[test]
    fn a_quick_run_ends_within_two_minutes() {
        let plan = Plan::new(true);
        assert!(plan.limit < Duration::from_secs(120) && plan.enough < plan.limit);
        let slices = u32::try_from(plan.rounds * crate::arm::NAMES.len() * Kind::ALL.len());
        assert!((plan.closed + plan.open) * slices.unwrap() < plan.enough);
    }

    #[test]
    fn a_run_of_the_direct_arm_alone_measures_it() {
        let backend = crate::backend::start(None).unwrap();
        let workload = Workload::new().unwrap();
        let bounds = Bounds::of(Duration::from_secs(60));
        let arms = [Arm::direct(backend.address)];
        let run = Run {
            arms: &arms,
            workload: &workload,
            backend: &backend,
            bounds: &bounds,
            connections: 4,
        };
        let slice = Duration::from_millis(40);
        let plan = Plan {
            rounds: 3,
            closed: slice,
            open: slice,
            limit: Duration::from_secs(60),
            enough: Duration::from_secs(50),
        };
        let results = run.measure(&plan).unwrap();
        assert_eq!(results.errors(), 0);
        let figures = results.figures("direct", Kind::Post);
        assert!(figures.rps > 0.0 && figures.cpu_us == 0.0);
        assert_eq!(figures.added_us, Some([0.0; 3]));
    }
}
