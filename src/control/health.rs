//! Active health checks: endpoints are asked at intervals, off the shards. An endpoint that nobody
//! has checked yet counts as up; the first answer decides at once, later ones in a row.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::policy::upstream::{Address, Endpoint, HealthCheck, Probe, Settings, Upstream};

/// What the last answers of an endpoint say.
#[derive(Default)]
struct Series {
    /// Answers in a row that speak against what it is taken for.
    against: u32,
}

/// Checks the endpoints of an upstream for as long as the future lives.
pub async fn keep(upstream: Upstream) {
    let Some(check) = upstream.settings.health.clone() else {
        return;
    };
    let mut series: HashMap<Address, Series> = HashMap::new();
    let mut ticks = tokio::time::interval(check.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let endpoints = upstream.endpoints.load();
        series.retain(|address, _| endpoints.iter().any(|each| each.address == *address));
        let mut asked = JoinSet::new();
        for endpoint in &*endpoints {
            let (endpoint, check) = (endpoint.clone(), check.clone());
            let settings = upstream.settings.clone();
            asked.spawn(async move {
                let asked = ask(&endpoint.address, &check.probe, &settings);
                let answer = tokio::time::timeout(check.timeout, asked);
                let answer = answer
                    .await
                    .unwrap_or_else(|_| Err("no answer in time".to_owned()));
                (endpoint, answer)
            });
        }
        while let Some(Ok((endpoint, answer))) = asked.join_next().await {
            let series = series.entry(endpoint.address.clone()).or_default();
            series.note(&endpoint, answer, &check, &upstream.settings.name);
        }
    }
}

impl Series {
    fn note(
        &mut self,
        endpoint: &Arc<Endpoint>,
        answer: Result<(), String>,
        check: &HealthCheck,
        upstream: &str,
    ) {
        let is_first = !endpoint.note_checked();
        if answer.is_ok() == endpoint.is_up() {
            self.against = 0;
            return;
        }
        self.against += 1;
        let enough = match answer {
            Ok(()) => check.healthy,
            Err(_) => check.unhealthy,
        };
        if self.against < enough && !is_first {
            return;
        }
        self.against = 0;
        endpoint.set_up(answer.is_ok());
        let address = &endpoint.address;
        match answer {
            Ok(()) => eprintln!("portcullis: upstream {upstream}: {address} is up"),
            Err(reason) => {
                eprintln!("portcullis: upstream {upstream}: {address} is down: {reason}")
            }
        }
    }
}

async fn ask(address: &Address, probe: &Probe, settings: &Settings) -> Result<(), String> {
    let told = |error: io::Error| error.to_string();
    let authority = &*settings.authority;
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await.map_err(told)?;
            let Some(tls) = &settings.tls else {
                return answers(stream, probe, authority).await;
            };
            let connector = TlsConnector::from(tls.config.clone());
            let stream = connector.connect(tls.name.clone(), stream).await;
            answers(stream.map_err(told)?, probe, authority).await
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(told)?;
            answers(stream, probe, authority).await
        }
    }
}

async fn answers<S>(stream: S, probe: &Probe, authority: &str) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Probe::Http { path } = probe else {
        return Ok(());
    };
    let request = Request::get(&**path)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, "portcullis-health-check")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let mut response = std::pin::pin!(sender.send_request(request));
    let response = tokio::select! {
        response = &mut response => response,
        // It has brought the answer or the reason why there is none.
        _ = connection => response.await,
    };
    let status = response.map_err(|error| error.to_string())?.status();
    match status.is_success() {
        true => Ok(()),
        false => Err(format!("status {}", status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::policy::upstream::Endpoints;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A backend that answers every request with the status that is set; 0: not at all.
    async fn backend(status: Arc<AtomicU16>, asked: Arc<AtomicUsize>) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut block = [0; 1024];
                let Ok(length) = stream.read(&mut block).await else {
                    continue;
                };
                assert!(block[..length].starts_with(b"GET /healthz HTTP/1.1\r\n"));
                asked.fetch_add(1, Ordering::Relaxed);
                let status = status.load(Ordering::Relaxed);
                if status == 0 {
                    // Held open without an answer until the check gives up.
                    let _ = stream.read(&mut block).await;
                    continue;
                }
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    fn upstream(address: Address, probe: Probe) -> Upstream {
        Upstream {
            settings: Settings {
                health: Some(HealthCheck {
                    probe,
                    interval: Duration::from_millis(5),
                    timeout: Duration::from_millis(100),
                    healthy: 2,
                    unhealthy: 3,
                }),
                ..Settings::named("backend")
            },
            endpoints: Arc::new(Endpoints::new([address])),
        }
    }

    async fn until(is_so: impl Fn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        });
        waited.await.unwrap();
    }

    #[tokio::test]
    async fn answers_in_a_row_take_an_endpoint_out_and_bring_it_back() {
        let (status, asked) = (Arc::new(AtomicU16::new(200)), Arc::default());
        let address = backend(status.clone(), Arc::clone(&asked)).await;
        let path = "/healthz".into();
        let upstream = upstream(address, Probe::Http { path });
        let endpoint = upstream.endpoints.load()[0].clone();
        let keeping = tokio::spawn(keep(upstream));
        let count = || asked.load(Ordering::Relaxed);
        until(|| count() >= 5).await;
        assert!(endpoint.is_up());
        for bad in [503, 302, 0] {
            let before = count();
            status.store(bad, Ordering::Relaxed);
            until(|| !endpoint.is_up()).await;
            assert!(count() >= before + 3, "{bad}: fewer than three bad answers");
            let before = count();
            status.store(204, Ordering::Relaxed);
            until(|| endpoint.is_up()).await;
            assert!(count() >= before + 2, "fewer than two good answers");
        }
        keeping.abort();
    }

    /// As when a reload changes the table of its upstream.
    #[tokio::test]
    async fn checks_that_begin_again_decide_in_a_row() {
        let (status, asked) = (Arc::new(AtomicU16::new(200)), Arc::default());
        let address = backend(status.clone(), Arc::clone(&asked)).await;
        let path = "/healthz".into();
        let upstream = upstream(address, Probe::Http { path });
        let endpoint = upstream.endpoints.load()[0].clone();
        let count = || asked.load(Ordering::Relaxed);
        let first = tokio::spawn(keep(upstream.clone()));
        until(|| count() >= 3).await;
        first.abort();
        let _ = first.await;
        status.store(503, Ordering::Relaxed);
        let before = count();
        let again = tokio::spawn(keep(upstream));
        until(|| !endpoint.is_up()).await;
        assert!(count() >= before + 3, "one bad answer was enough");
        again.abort();
    }

    #[tokio::test]
    async fn the_first_answer_decides_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let upstream = upstream(Address::Tcp(address), Probe::Tcp);
        let endpoint = upstream.endpoints.load()[0].clone();
        assert!(endpoint.is_up());
        let mut slow = upstream;
        slow.settings.health.as_mut().unwrap().interval = Duration::from_secs(3600);
        let keeping = tokio::spawn(keep(slow));
        until(|| !endpoint.is_up()).await;
        keeping.abort();
    }
}
