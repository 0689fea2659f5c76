//! Slow clients: `slowhttptest` in its three ways beside a steady load, which must not notice.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::ground::Ground;
use crate::memory;
use crate::report::median;
use crate::workload::Kind;

/// Requests a second of the steady load.
const RATE: f64 = 2000.0;

/// What the 99th percentile of the load may always be, in microseconds.
const RESPONSIVE: f64 = 20_000.0;

/// The ways, by the flags that choose them.
const WAYS: [(&str, &[&str]); 3] = [
    // slowloris: a line of a head now and then.
    ("heads", &["-H"]),
    // R-U-D-Y: a few bytes of a body now and then.
    ("bodies", &["-B", "-s", "8192", "-t", "POST"]),
    // An answer is read a few bytes at a time, over a small window.
    (
        "answers",
        &[
            "-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3",
        ],
    ),
];

pub fn measure(ground: &Ground<'_>) -> Result<(), String> {
    let arm = ground.start("portcullis_plain")?;
    let pid = arm.id().ok_or("nothing to measure")?;
    let (seconds, connections) = ground.extent((30, 4000), (8, 1000));
    let generator = ground.generator(&arm);
    generator.closed(Kind::Get, Duration::from_secs(1))?;
    let slice = Duration::from_secs(1);
    let p99 = |found: &mut Vec<f64>| -> Result<(), String> {
        let ran = generator.open(Kind::Get, RATE, slice)?;
        if ran.errors > 0 {
            return Err(format!(
                "{} requests were not answered as they should",
                ran.errors
            ));
        }
        found.push(ran.latency.value_at_percentile(99.0) as f64 / 1000.0);
        Ok(())
    };
    println!(
        "{:<10}{:>13}{:>17}{:>16}{:>16}{:>20}",
        "slow",
        "connections",
        "p99 before, us",
        "p99 during, us",
        "worst p99, us",
        "memory grew, MiB"
    );
    let mut is_responsive = true;
    for (name, flags) in WAYS {
        let (mut before, mut during) = (Vec::new(), Vec::new());
        (0..3).try_for_each(|_| p99(&mut before))?;
        let resident = memory::resident(pid).map_err(|error| error.to_string())?;
        memory::forget_peak(pid).map_err(|error| error.to_string())?;
        let path = ground.setup.directory.join("slowhttptest.log");
        let log = File::create(&path).map_err(|error| error.to_string())?;
        let mut command = Command::new("slowhttptest");
        command
            .args(["-c", &connections.to_string(), "-r", "1000", "-i", "5"])
            .args(["-l", &seconds.to_string(), "-p", "3"])
            .args(["-u", &format!("http://{}/a", arm.address)])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log);
        let child = command.spawn();
        let mut child = child.map_err(|error| format!("MISSING: slowhttptest: {error}"))?;
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut outcome = Ok(());
        while outcome.is_ok() && Instant::now() < until {
            outcome = ground.bounds.check().and_then(|()| p99(&mut during));
        }
        // It ends by itself; this is for the case that it does not.
        let _ = child.kill();
        let _ = child.wait();
        outcome.map_err(|reason| format!("while {name} were slow: {reason}"))?;
        let peak = memory::peak(pid).map_err(|error| error.to_string())?;
        let worst = during.iter().copied().fold(0.0, f64::max);
        // A machine that is busy with other things is slow before already.
        let bound = RESPONSIVE.max(4.0 * median(before.iter().copied()));
        is_responsive &= median(during.iter().copied()) < bound;
        println!(
            "{name:<10}{connections:>13}{:>17.0}{:>16.0}{worst:>16.0}{:>20.1}",
            median(before.iter().copied()),
            median(during.iter().copied()),
            peak.saturating_sub(resident) as f64 / f64::from(1 << 20)
        );
    }
    match is_responsive {
        true => Ok(()),
        false => Err("the load waited for slow clients".to_owned()),
    }
}
