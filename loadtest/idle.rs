//! Connections that are kept without traffic: what each costs in memory, and whether a steady load
//! beside them notices.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::arm;
use crate::ground::Ground;
use crate::memory;
use crate::report::{is_unchanged, median};
use crate::workload::Kind;

/// Requests a second of the steady load.
const RATE: f64 = 5000.0;

/// After which a connection is one without traffic, and freed memory has gone back.
const SETTLED: Duration = Duration::from_secs(3);

/// What a connection may cost, in bytes. Of one with TLS most is what rustls keeps: keys, and a
/// buffer of 4 KiB that it does not give back.
const PLAIN: f64 = 2048.0;
const WITH_TLS: f64 = 12.0 * 1024.0;

/// For an answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn measure(ground: &Ground<'_>, count: usize, with_tls: bool) -> Result<(), String> {
    let arm = ground.start("portcullis_idle")?;
    let opener = match with_tls {
        false => Opener::Plain(arm.address),
        true => Opener::tls(arm.address, &ground.setup.directory)?,
    };
    let pid = arm.id().ok_or("nothing to measure")?;
    let text = |error: io::Error| format!("{count} connections: {error}");
    let (time, rounds) = ground.extent((Duration::from_secs(5), 5), (Duration::from_secs(2), 2));
    let generator = ground.generator(&arm);
    // Warm: what is counted afterwards is what connections cost.
    generator.closed(Kind::Get, time / 2)?;
    drop(opener.keep(64).map_err(text)?);
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
        let kept = opener.keep(count).map_err(text)?;
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
    let (each, most) = (
        // Later rounds use memory that the first has taken.
        each.first().copied().unwrap_or_default(),
        if with_tls { WITH_TLS } else { PLAIN },
    );
    let middle = |found: &[[f64; 3]], index: usize| median(found.iter().map(|told| told[index]));
    println!(
        "{:<24}{:>10}{:>10}{:>10}",
        "GET at 5000/s, us", "p50", "p99", "p99.9"
    );
    for (name, found) in [("alone", &alone), ("beside them", &beside)] {
        let [a, b, c] = [0, 1, 2].map(|index| middle(found, index));
        println!("{name:<24}{a:>10.0}{b:>10.0}{c:>10.0}");
    }
    println!(
        "memory of each of {count} connections{} without traffic: {each:.0} bytes, at most {most:.0} \
         ({:.0} MiB resident)",
        if with_tls { " with TLS" } else { "" },
        memory::resident(pid).map_err(text)? as f64 / f64::from(1 << 20)
    );
    let [before, during] = [&alone, &beside].map(|found| middle(found, 1));
    match errors {
        0 if each > most => Err("a connection without traffic costs too much memory".to_owned()),
        0 if !is_unchanged(before, during) => Err("the load notices them: p99".to_owned()),
        0 => Ok(()),
        errors => Err(format!(
            "{errors} requests were not answered as they should"
        )),
    }
}

/// How connections are opened.
enum Opener {
    Plain(SocketAddr),
    Tls(SocketAddr, Arc<ClientConfig>),
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Opener {
    /// For the listener with TLS beside the plain one; its certificate is in the directory.
    fn tls(plain: SocketAddr, directory: &Path) -> Result<Opener, String> {
        let chain = CertificateDer::from_pem_file(directory.join(arm::CHAIN));
        let mut roots = RootCertStore::empty();
        let added = roots.add(chain.map_err(|error| error.to_string())?);
        added.map_err(|error| error.to_string())?;
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        Ok(Opener::Tls(
            (address, plain.port()).into(),
            Arc::new(config),
        ))
    }

    /// Connections that have each been used once.
    fn keep(&self, count: usize) -> io::Result<Vec<Box<dyn Stream>>> {
        (0..count).map(|_| self.open()).collect()
    }

    fn open(&self) -> io::Result<Box<dyn Stream>> {
        let (Opener::Plain(address) | Opener::Tls(address, _)) = self;
        let socket = TcpStream::connect_timeout(address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let mut stream: Box<dyn Stream> = match self {
            Opener::Plain(_) => Box::new(socket),
            Opener::Tls(_, config) => {
                let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
                let session = ClientConnection::new(config.clone(), name);
                let session = session.map_err(io::Error::other)?;
                Box::new(StreamOwned::new(session, socket))
            }
        };
        ask(&mut stream)?;
        Ok(stream)
    }
}

fn ask(socket: &mut dyn Stream) -> io::Result<()> {
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
