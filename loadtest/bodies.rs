//! Large bodies both ways: bytes per second of CPU of the process under test, beside nginx, and the
//! memory that it takes meanwhile.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::arm::{Arm, Setup};
use crate::ground::Ground;
use crate::memory;
use crate::report::median;

const ARMS: [&str; 2] = ["nginx", "portcullis_plain"];
const SIZES: [(&str, u64); 2] = [("1 MiB", 1 << 20), ("100 MiB", 100 << 20)];

/// Streams at once.
const STREAMS: usize = 4;

/// What a process may grow by while bodies pass, however long they are, in MiB: the buffers of the
/// streams and of their connections.
const GROWTH: f64 = 8.0;

/// Of nginx's throughput per second of CPU: all of it, but for what a busy machine makes of a ratio.
const RATIO: f64 = 0.95;

/// Written and read at once.
const BLOCK: usize = 256 * 1024;

/// For a peer that has stopped.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Up,
    Down,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Up => "up",
            Way::Down => "down",
        }
    }
}

/// One arm, way and size.
#[derive(Default)]
struct Found {
    /// MB for each second of CPU.
    per_cpu: Vec<f64>,
    /// MB a second.
    rates: Vec<f64>,
    /// MiB that the process grew by meanwhile, at most.
    growth: f64,
}

pub fn measure(ground: &Ground<'_>) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let backend = serve().map_err(text)?;
    // The same arms, in front of another backend.
    let setup = Setup {
        portcullis: ground.setup.portcullis.clone(),
        directory: ground.setup.directory.clone(),
        jwks: ground.setup.jwks.clone(),
        core: ground.setup.core,
        backend,
    };
    let ground = &Ground {
        setup: &setup,
        ..*ground
    };
    let arms = ground.start_found(&ARMS)?;
    let (time, rounds) =
        ground.extent((Duration::from_secs(3), 7), (Duration::from_millis(700), 3));
    println!(
        "{:<18}{:>6}{:>9}{:>16}{:>8}{:>9}{:>18}",
        "", "way", "body", "MB per CPU s", "/nginx", "MB/s", "memory grew, MiB"
    );
    let mut faults = Vec::new();
    for way in [Way::Up, Way::Down] {
        for (name, size) in SIZES {
            let mut found: Vec<Found> = arms.iter().map(|_| Found::default()).collect();
            for round in 0..rounds {
                for turn in 0..arms.len() {
                    let index = (turn + round) % arms.len();
                    ground.bounds.check()?;
                    slice(&arms[index], (way, size), time, &mut found[index])?;
                }
            }
            let middle = |values: &[f64]| median(values.iter().copied());
            let nginx = arms.iter().position(|arm| arm.name == "nginx");
            for (arm, own) in arms.iter().zip(&found) {
                let ratio = nginx.map(|nginx| middle(&own.per_cpu) / middle(&found[nginx].per_cpu));
                if arm.name != "nginx" {
                    if own.growth > GROWTH {
                        faults.push(format!("{} {name}: memory grows", way.name()));
                    }
                    if ratio.is_some_and(|ratio| ratio < RATIO) {
                        faults.push(format!("{} {name}: slower than nginx", way.name()));
                    }
                }
                let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
                println!(
                    "{:<18}{:>6}{name:>9}{:>16.0}{ratio:>8}{:>9.0}{:>18.1}",
                    arm.name,
                    way.name(),
                    middle(&own.per_cpu),
                    middle(&own.rates),
                    own.growth
                );
            }
        }
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join("; ")),
    }
}

fn slice(
    arm: &Arm,
    (way, size): (Way, u64),
    time: Duration,
    found: &mut Found,
) -> Result<(), String> {
    let pid = arm.id().ok_or("nothing to measure")?;
    let text = |error: io::Error| format!("{}, {}: {error}", arm.name, way.name());
    let before = arm.cpu()?;
    let resident = memory::resident(pid).map_err(text)?;
    memory::forget_peak(pid).map_err(text)?;
    let start = Instant::now();
    let streams: Vec<_> = (0..STREAMS)
        .map(|_| {
            let address = arm.address;
            std::thread::spawn(move || stream(address, (way, size), start + time))
        })
        .collect();
    let mut bodies = 0;
    for stream in streams {
        let ended = stream.join().map_err(|_| "a stream broke off")?;
        bodies += ended.map_err(text)?;
    }
    let elapsed = start.elapsed().as_secs_f64();
    let spent = (arm.cpu()?.saturating_sub(before)).as_secs_f64();
    let megabytes = (bodies * size) as f64 / 1e6;
    found.per_cpu.push(megabytes / spent);
    found.rates.push(megabytes / elapsed);
    let grown = memory::peak(pid).map_err(text)?.saturating_sub(resident);
    found.growth = found.growth.max(grown as f64 / f64::from(1 << 20));
    Ok(())
}

/// Bodies that went whole until the time is up; at least one.
fn stream(address: SocketAddr, (way, size): (Way, u64), until: Instant) -> io::Result<u64> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(BLOCK, socket.try_clone()?);
    let block = vec![b'x'; BLOCK];
    let mut bodies = 0;
    loop {
        match way {
            Way::Up => {
                write!(
                    socket,
                    "POST /bodies HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n"
                )?;
                pour(&mut socket, &block, size)?;
            }
            Way::Down => write!(socket, "GET /bodies/{size} HTTP/1.1\r\nHost: h\r\n\r\n")?,
        }
        let (line, length) = head(&mut reader)?;
        let wanted = match way {
            Way::Up => 0,
            Way::Down => size,
        };
        if !line.starts_with("HTTP/1.1 200") || length != wanted {
            return Err(io::Error::other(format!("{line:?} with {length} bytes")));
        }
        drain(&mut reader, length)?;
        bodies += 1;
        if Instant::now() > until {
            return Ok(bodies);
        }
    }
}

fn pour(writer: &mut impl Write, block: &[u8], mut left: u64) -> io::Result<()> {
    while left > 0 {
        let piece = left.min(block.len() as u64) as usize;
        writer.write_all(&block[..piece])?;
        left -= piece as u64;
    }
    Ok(())
}

fn drain(reader: &mut impl BufRead, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let here = reader.fill_buf()?.len();
        if here == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let piece = left.min(here as u64);
        reader.consume(piece as usize);
        left -= piece;
    }
    Ok(())
}

/// The first line, and how long the body is.
fn head(reader: &mut impl BufRead) -> io::Result<(String, u64)> {
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.by_ref().take(8192).read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((first, length));
        }
        if first.is_empty() {
            first = line.to_owned();
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
}

/// A backend that takes what comes and sends as much as the path says.
fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(socket));
        }
    });
    Ok(address)
}

fn answer(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(BLOCK, socket.try_clone()?);
    let block = vec![b'y'; BLOCK];
    loop {
        let (line, length) = head(&mut reader)?;
        drain(&mut reader, length)?;
        let path = line.split(' ').nth(1).unwrap_or_default();
        let size = path
            .strip_prefix("/bodies/")
            .and_then(|size| size.parse().ok());
        let size: u64 = size.unwrap_or(0);
        write!(
            socket,
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
        )?;
        pour(&mut socket, &block, size)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_go_whole_both_ways() {
        let backend = serve().unwrap();
        for way in [Way::Up, Way::Down] {
            assert_eq!(stream(backend, (way, 1 << 20), Instant::now()).unwrap(), 1);
        }
        let (listener, cut) = (
            TcpListener::bind("127.0.0.1:0").unwrap(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
        );
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || listener.accept().unwrap().0.write_all(cut).unwrap());
        assert!(stream(address, (Way::Down, 9), Instant::now()).is_err());
    }
}
