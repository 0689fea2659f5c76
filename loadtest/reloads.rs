//! Reloads under a steady load: no request is lost, none waits, memory stays.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ground::Ground;
use crate::memory;
use crate::report::{is_unchanged, median};
use crate::workload::Kind;

/// Requests a second of the steady load.
const RATE: f64 = 4000.0;

/// Between two reloads: some twenty a second.
const BETWEEN: Duration = Duration::from_millis(40);

/// For one reload.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the process may grow by beyond its size after the first tenth of the reloads.
const GROWTH: u64 = 8 << 20;

pub fn measure(ground: &Ground<'_>) -> Result<(), String> {
    let arm = ground.start("portcullis_full")?;
    let pid = arm.id().ok_or("nothing to measure")?;
    let admin = arm.admin.ok_or("nobody to ask")?;
    let count: u64 = ground.extent(1000, 100);
    let generator = ground.generator(&arm);
    let slice = Duration::from_secs(1);
    generator.closed(Kind::Post, slice)?;
    let is_over = AtomicBool::new(false);
    let (mut calm, mut during, mut errors) = (Vec::new(), Vec::new(), 0);
    let mut run = |found: &mut Vec<[f64; 3]>| -> Result<(), String> {
        let ran = generator.open(Kind::Post, RATE, slice)?;
        errors += ran.errors;
        let at = |percentile| ran.latency.value_at_percentile(percentile) as f64 / 1000.0;
        found.push([50.0, 99.0, 99.9].map(at));
        Ok(())
    };
    (0..5).try_for_each(|_| run(&mut calm))?;
    let sizes = std::thread::scope(|scope| {
        let operator = scope.spawn(|| {
            let outcome = reload(pid, admin, count);
            is_over.store(true, Ordering::Relaxed);
            outcome
        });
        while !is_over.load(Ordering::Relaxed) {
            run(&mut during)?;
        }
        let outcome = operator.join();
        outcome.map_err(|_| "the operator broke off".to_owned())?
    })?;
    (0..5).try_for_each(|_| run(&mut calm))?;
    let middle = |found: &[[f64; 3]], index: usize| median(found.iter().map(|told| told[index]));
    println!(
        "{:<26}{:>10}{:>10}{:>10}",
        "POST at 4000/s, us", "p50", "p99", "p99.9"
    );
    for (name, found) in [("without", &calm), ("while it reloads", &during)] {
        let [a, b, c] = [0, 1, 2].map(|index| middle(found, index));
        println!("{name:<26}{a:>10.0}{b:>10.0}{c:>10.0}");
    }
    let [settled, last] = sizes;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "{count} reloads, {errors} requests lost, memory {:.1} MiB after a tenth of them, {:.1} MiB after all",
        mib(settled),
        mib(last)
    );
    if errors > 0 {
        return Err(format!("{errors} requests were lost"));
    }
    if last > settled + GROWTH {
        return Err("memory grows with reloads".to_owned());
    }
    match is_unchanged(middle(&calm, 1), middle(&during, 1)) {
        true => Ok(()),
        false => Err("requests wait for reloads: p99".to_owned()),
    }
}

/// One after the other, each waited for. The size of the process after a tenth and after all.
fn reload(pid: u32, admin: SocketAddr, count: u64) -> Result<[u64; 2], String> {
    let text = |error: std::io::Error| error.to_string();
    let process = i32::try_from(pid).map(Pid::from_raw);
    let process = process.map_err(|error| error.to_string())?;
    let mut settled = 0;
    for number in 1..=count {
        kill(process, Signal::SIGHUP).map_err(|error| error.to_string())?;
        let until = Instant::now() + PATIENCE;
        while done(admin).map_err(text)? < number {
            if Instant::now() > until {
                return Err(format!("reload {number} does not end"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(BETWEEN);
        if number.is_multiple_of(count / 10) {
            eprintln!("loadtest: reload {number} of {count}");
        }
        if number == count / 10 {
            settled = memory::resident(pid).map_err(text)?;
        }
    }
    Ok([settled, memory::resident(pid).map_err(text)?])
}

/// Reloads so far.
fn done(admin: SocketAddr) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let name = "portcullis_reloads_total{outcome=\"done\"}";
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value
        .and_then(|value| value.trim().parse().ok())
        .ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}
