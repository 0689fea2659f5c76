//! The backend of the demo: a small bank that trusts what the gateway tells it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// More than the gateway lets through.
const BODY: usize = 1 << 20;

/// The account for which the bank tells more than its description says.
const LEAKY: &str = "a-2";

/// Serves in a thread of its own until the process ends.
pub fn start() -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("bank".to_owned())
        .spawn(move || runtime.block_on(serve(listener)))?;
    Ok(address)
}

async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        // A connection that fails is its client's to open again.
        tokio::spawn(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let user = request.headers().get("x-user-id");
    let user = user.and_then(|value| value.to_str().ok());
    let user = user.unwrap_or_default().to_owned();
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (status, body) = match (request.method(), segments.as_slice()) {
        (&Method::GET, ["accounts", account, "balances"]) => {
            let mut balances = json!([{"currency": "EUR", "amount": 104_250}]);
            if *account == LEAKY {
                balances[0]["ledger_row"] = json!(90_210);
            }
            (StatusCode::OK, json!({ "balances": balances }))
        }
        (&Method::POST, ["payments"]) => payment(request, &user).await,
        _ => (StatusCode::NOT_FOUND, json!({"error": "no such page"})),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

async fn payment(request: Request<Incoming>, user: &str) -> (StatusCode, Value) {
    let body = Limited::new(request.into_body(), BODY).collect().await;
    let order = body
        .ok()
        .and_then(|body| serde_json::from_slice::<Value>(&body.to_bytes()).ok());
    match order {
        // Who pays is known from the gateway alone.
        Some(_) if user.is_empty() => (StatusCode::FORBIDDEN, json!({"error": "nobody"})),
        // Where it is booked is nobody's business, and not in the description.
        Some(_) => (
            StatusCode::CREATED,
            json!({"id": "p-1", "ledger": "10.0.7.3"}),
        ),
        None => (StatusCode::BAD_REQUEST, json!({"error": "not an order"})),
    }
}
