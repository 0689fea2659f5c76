//! `loadtest/compare`: the gateway beside its peers, all in one interleaved run.
//!
//! One core runs the gateway under test, another the generator and the backend. Slices of a second
//! or less go round the arms, so that whatever else the machine does hits all of them. Figures are
//! medians over the rounds.

mod arm;
mod backend;
mod cpu;
mod generator;
mod plot;
mod report;
mod workload;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use arm::Arm;
use report::{Results, Sample};
use workload::{Kind, Workload};

#[derive(Parser)]
#[command(about = "Measures the gateway beside nginx, HAProxy and Envoy in one interleaved run", after_help = NOTES)]
struct Options {
    /// The gateway's binary
    #[arg(long, default_value = "target/release/portcullis")]
    portcullis: PathBuf,

    /// Less precise, within two minutes
    #[arg(long)]
    quick: bool,

    /// Only these, separated by commas: direct, portcullis_plain, portcullis_full, nginx, haproxy, envoy
    #[arg(long, value_delimiter = ',')]
    arms: Vec<String>,

    /// Connections of the generator
    #[arg(long, default_value_t = 32)]
    connections: usize,

    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the results as a plot
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

const NOTES: &str = "\
CPU per request is the run time of all threads of the process under test over the requests it
answered at full load. Added latency is that of the arm less that of the direct connection, both at
the same fixed rate, measured from when a request was due (no coordinated omission).
Peers are configured by loadtest/peers/, the gateway by loadtest/portcullis/. For generators of your
own: loadtest/wrk/*.lua and loadtest/k6/*.js.";

/// How long and how often.
struct Plan {
    rounds: usize,
    closed: Duration,
    open: Duration,
}

/// The fixed rate, as a part of what the slowest arm can do.
const LOAD: f64 = 0.4;

fn main() -> Result<(), String> {
    let options = Options::parse();
    let plan = if options.quick {
        Plan {
            rounds: 3,
            closed: Duration::from_millis(800),
            open: Duration::from_millis(800),
        }
    } else {
        Plan {
            rounds: 9,
            closed: Duration::from_millis(1500),
            open: Duration::from_millis(2000),
        }
    };
    let cores = portcullis::shard::core::allowed().map_err(|error| error.to_string())?;
    let [gateway_core, own_core] = cores.first_chunk::<2>().ok_or("two cores are needed")?;
    portcullis::shard::core::pin(*own_core).map_err(|error| error.to_string())?;
    // Timers of the open loop fire when they are due, not when it suits the kernel.
    nix::sys::prctl::set_timerslack(1).map_err(|error| error.to_string())?;
    let backend = backend::start().map_err(|error| error.to_string())?;
    let workload = Workload::new()?;
    let directory = arm::Directory::new()?;
    let setup = arm::Setup {
        portcullis: options.portcullis.clone(),
        directory: directory.path().to_owned(),
        backend: backend.address,
        core: *gateway_core,
        jwks: workload.jwks.clone(),
    };
    let mut arms = Vec::new();
    for name in arm::NAMES {
        if !options.arms.is_empty() && !options.arms.iter().any(|wanted| wanted == name) {
            continue;
        }
        match Arm::start(name, &setup)? {
            Some(arm) => arms.push(arm),
            None => eprintln!("loadtest: without {name}: no binary found"),
        }
    }
    let results = measure(&arms, &workload, &plan, options.connections)?;
    check_identity(&arms, &backend)?;
    print!("{}", report::table(&results));
    if let Some(path) = &options.json {
        write(path, &format!("{:#}\n", report::json(&results)))?;
    }
    if let Some(path) = &options.svg {
        write(path, &plot::svg(&results))?;
    }
    Ok(())
}

fn write(path: &PathBuf, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// What went through the full pipeline must have arrived with the verified user.
fn check_identity(arms: &[Arm], backend: &backend::Backend) -> Result<(), String> {
    let is_full = arms.iter().any(|arm| arm.name == "portcullis_full");
    if is_full && backend.identified() == 0 {
        return Err("no request arrived with X-User-ID".to_owned());
    }
    Ok(())
}

fn measure(
    arms: &[Arm],
    workload: &Workload,
    plan: &Plan,
    connections: usize,
) -> Result<Results, String> {
    let mut results = Results::default();
    eprintln!("loadtest: warming up {} arms", arms.len());
    let mut slowest = f64::MAX;
    for arm in arms {
        for kind in Kind::ALL {
            let ran = generator::closed(arm.address, workload, kind, connections, plan.closed / 2)?;
            slowest = slowest.min(ran.rate());
        }
    }
    let rate = slowest * LOAD;
    results.rate = rate;
    for round in 0..plan.rounds {
        eprintln!("loadtest: round {} of {}", round + 1, plan.rounds);
        for step in 0..arms.len() {
            // Another arm begins each round, so that none always runs after the same one.
            let arm = &arms[(step + round) % arms.len()];
            for kind in Kind::ALL {
                let before = arm.cpu();
                let closed =
                    generator::closed(arm.address, workload, kind, connections, plan.closed)?;
                let spent = arm.cpu().saturating_sub(before);
                let open =
                    generator::open(arm.address, workload, kind, (connections, rate), plan.open)?;
                results.add(
                    arm.name,
                    kind,
                    Sample {
                        rps: closed.rate(),
                        cpu_us: spent.as_secs_f64() * 1e6 / closed.answered.max(1) as f64,
                        errors: closed.errors + open.errors,
                        latency: open.latency,
                    },
                );
            }
        }
    }
    Ok(results)
}
