//! Clients that nobody wants beside a steady load: bodies that end in the middle, resets, half heads,
//! answers that nobody reads, and methods that no operation has.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use socket2::SockRef;

use crate::bounds::Bounds;

/// Between two of them: some two hundred a second.
const BETWEEN: Duration = Duration::from_millis(5);

/// For an answer that has to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Methods that the document declares nowhere, or not there.
const METHODS: [&str; 6] = ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"];

/// How a client behaves.
#[derive(Clone, Copy)]
enum Manner {
    HalfHead,
    HalfBody,
    ResetInBody,
    ResetBeforeAnswer,
    OtherMethod(&'static str),
}

/// Disturbs the gateway until it is interrupted. Then it tells how often, and what went wrong: an
/// answer that did not come, or one that is not a refusal of the client.
pub fn disturb(gateway: SocketAddr, corpus: &Path, bounds: &Bounds) -> Result<(), String> {
    let read = |name: &str| {
        let path = corpus.join(name);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (tokens, body) = (read("tokens.txt")?, read("body.json")?);
    let tokens: Vec<(&str, &str)> = tokens
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let mut manners = vec![
        Manner::HalfHead,
        Manner::HalfBody,
        Manner::ResetInBody,
        Manner::ResetBeforeAnswer,
    ];
    manners.extend(METHODS.map(Manner::OtherMethod));
    let mut count = 0;
    while bounds.check().is_ok() {
        let (account, token) = tokens[count % tokens.len()];
        let manner = manners[count % manners.len()];
        manner
            .behave(gateway, (account, token), &body)
            .map_err(|error| format!("rude client {count}: {error}"))?;
        count += 1;
        std::thread::sleep(BETWEEN);
    }
    println!("{count} rude clients");
    Ok(())
}

impl Manner {
    fn behave(
        self,
        gateway: SocketAddr,
        (account, token): (&str, &str),
        body: &str,
    ) -> Result<(), String> {
        let told = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect_timeout(&gateway, PATIENCE).map_err(told)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
        let head = |method: &str, more: &str| {
            format!(
                "{method} /accounts/{account}/orders HTTP/1.1\r\nHost: api.bank.example\r\n\
                 Authorization: Bearer {token}\r\n{more}\r\n"
            )
        };
        let length = format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        let whole = head("POST", &length) + body;
        let half = whole.len() - body.len() / 2;
        match self {
            Manner::HalfHead => stream.write_all(&whole.as_bytes()[..100]).map_err(told),
            Manner::HalfBody => stream.write_all(&whole.as_bytes()[..half]).map_err(told),
            Manner::ResetInBody => {
                stream.write_all(&whole.as_bytes()[..half]).map_err(told)?;
                reset(stream).map_err(told)
            }
            Manner::ResetBeforeAnswer => {
                stream.write_all(whole.as_bytes()).map_err(told)?;
                reset(stream).map_err(told)
            }
            Manner::OtherMethod(method) => {
                let request = head(method, "Connection: close\r\n");
                stream.write_all(request.as_bytes()).map_err(told)?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).map_err(told)?;
                let answer = String::from_utf8_lossy(&answer);
                let status = answer.split(' ').nth(1).unwrap_or_default();
                match status.starts_with('4') || status == "501" {
                    true => Ok(()),
                    false => Err(format!("{method} is answered with {status:?}")),
                }
            }
        }
    }
}

/// Closes with a reset in place of an orderly end.
fn reset(stream: TcpStream) -> std::io::Result<()> {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))
}
