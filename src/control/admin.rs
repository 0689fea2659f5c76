//! The admin plane: whether the process lives, whether it serves, what it counts.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::telemetry::metrics::{Registry, State};

/// Connections at once: a scraper, a probe, somebody looking.
const CONNECTIONS: usize = 32;

const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A refused accept must not spin.
const PAUSE: Duration = Duration::from_millis(100);

pub async fn serve(listener: TcpListener, registry: Arc<Registry>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Never closed, so there is always a place to wait for.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let registry = registry.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, &registry);
                async move { Ok::<_, Infallible>(response) }
            });
            // A connection that fails has lost nothing but itself.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        _ if request.method() != Method::GET && request.method() != Method::HEAD => {
            let mut response = page(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET and HEAD only\n".to_owned(),
            );
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        "/healthz" => (StatusCode::OK, "alive\n".to_owned()),
        "/readyz" => ready(registry),
        "/metrics" => (StatusCode::OK, registry.render()),
        _ => (
            StatusCode::NOT_FOUND,
            "try /healthz, /readyz or /metrics\n".to_owned(),
        ),
    };
    page(status, text)
}

/// Ready when every shard accepts.
fn ready(registry: &Registry) -> (StatusCode, String) {
    for (index, shard) in registry.shards().iter().enumerate() {
        let reason = match shard.state() {
            State::Accepting => continue,
            State::Starting => "is starting",
            State::Draining => "is draining",
            State::Stopped => "has stopped",
        };
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("shard {index} {reason}\n"),
        );
    }
    (StatusCode::OK, "ready\n".to_owned())
}

fn page(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
