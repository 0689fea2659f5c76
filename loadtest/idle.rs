//! Connections that are kept without traffic: what each costs in memory, and whether a steady load
//! beside them notices.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::ground::Ground;
use crate::memory;
use crate::report::median;
use crate::workload::Kind;

/// Requests a second of the steady load.
const RATE: f64 = 5000.0;

/// After which a connection is one without traffic, and freed memory has gone back.
const SETTLED: Duration = Duration::from_secs(3);

/// For an answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn measure(ground: &Ground<'_>, count: usize) -> Result<(), String> {
    let arm = ground.start("portcullis_idle")?;
    let pid = arm.id().ok_or("nothing to measure")?;
    let text = |error: io::Error| format!("{count} connections: {error}");
    let (time, rounds) = ground.extent((Duration::from_secs(5), 5), (Duration::from_secs(2), 2));
    let generator = ground.generator(&arm);
    // Warm: what is counted afterwards is what connections cost.
    generator.closed(Kind::Get, time / 2)?;
    drop(keep(arm.address, 64).map_err(text)?);
    let (mut alone, mut beside, mut each, mut errors) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        eprintln!("loadtest: round {} of {rounds}", round + 1);
        let mut run = |found: &mut Vec<[f64; 3]>| -> Result<(), String> {
            let ran = generator.open(Kind::Get, RATE, time)?;
            errors += ran.errors;
            let at = |percentile| ran.latency.value_at_percentile(percentile) as f64 / 1000.0;
            found.push([50.0, 99.0, 99.9].map(at));
            Ok(())
        };
        run(&mut alone)?;
        let before = memory::resident(pid).map_err(text)?;
        let kept = keep(arm.address, count).map_err(text)?;
        // What served the last of them is given back in a moment.
        std::thread::sleep(SETTLED);
        let after = memory::resident(pid).map_err(text)?;
        each.push((after as f64 - before as f64) / count as f64);
        run(&mut beside)?;
        // They are still there: each answers once more.
        for mut socket in kept {
            ask(&mut socket).map_err(text)?;
        }
    }
    let middle = |found: &[[f64; 3]], index: usize| median(found.iter().map(|told| told[index]));
    println!(
        "{:<24}{:>10}{:>10}{:>10}",
        "GET at 5000/s, us", "p50", "p99", "p99.9"
    );
    for (name, found) in [("alone", &alone), ("beside them", &beside)] {
        let [a, b, c] = [0, 1, 2].map(|index| middle(found, index));
        println!("{name:<24}{a:>10.0}{b:>10.0}{c:>10.0}");
    }
    // Later rounds use memory that the first has taken.
    println!(
        "memory of each of {count} connections without traffic: {:.0} bytes ({:.0} MiB resident)",
        each.first().copied().unwrap_or_default(),
        memory::resident(pid).map_err(text)? as f64 / f64::from(1 << 20)
    );
    match errors {
        0 => Ok(()),
        errors => Err(format!(
            "{errors} requests were not answered as they should"
        )),
    }
}

/// Connections that have each been used once.
fn keep(address: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut kept = Vec::with_capacity(count);
    for _ in 0..count {
        let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        ask(&mut socket)?;
        kept.push(socket);
    }
    Ok(kept)
}

fn ask(socket: &mut TcpStream) -> io::Result<()> {
    socket.write_all(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")?;
    let mut block = [0; 4096];
    let mut length = 0;
    loop {
        let count = socket.read(&mut block[length..])?;
        length += count;
        let answer = crate::message::answer(&block[..length]);
        match answer.map_err(|_| io::ErrorKind::InvalidData)? {
            Some(answer) if answer.status == 200 && answer.length == length => return Ok(()),
            Some(answer) => return Err(io::Error::other(format!("{answer:?}"))),
            None if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => {}
        }
    }
}
