//! A cleared request on its way to the backend, and the response on its way back.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use monoio::io::{AsyncReadRent, AsyncWriteRent};

use crate::policy::catalogue::{Operation, WebSocket};
use crate::policy::contract::Details;
use crate::policy::denial::{Denial, Stage};
use crate::policy::pipeline::Refusal;
use crate::policy::waf::found::Found;
use crate::proto::body::Framing;
use crate::proto::head::Version;
use crate::proto::transcode::Transcoder;
use crate::proto::websocket::frames;
use crate::shard::account::{Account, Decision};
use crate::shard::buffer::Buffer;
use crate::shard::connection::{After, Client};
use crate::shard::exchange::collect::confirm_expectation;
use crate::shard::exchange::refuse::{fail, refuse, withhold};
use crate::shard::exchange::{Body, Ready};
use crate::shard::load::Source;
use crate::shard::upstream::balance::Turn;
use crate::shard::upstream::ejection::Outcome;
use crate::shard::upstream::outbound::Around;
use crate::shard::upstream::pool::{Connection, increment};
use crate::shard::upstream::relay::{Download, Relay, Response};
use crate::shard::upstream::screen::{Left, Passage, Rules, Screen};
use crate::shard::upstream::send::{Upload, UploadEnd};
use crate::shard::upstream::tunnel::Tunnel;
use crate::shard::upstream::{self, Link};
use crate::shard::{Shard, View};

/// What is left to tell a client that its time is over.
const TOLD: Duration = Duration::from_secs(2);

/// How long an exchange may take.
fn longest<S: AsyncWriteRent>(client: &Client<S>, operation: &Operation) -> Duration {
    operation
        .timeouts
        .exchange
        .unwrap_or(client.timeouts.exchange)
}

/// Sends a cleared request and relays the response.
pub async fn forward<S>(
    shard: &Rc<Shard>,
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    ready: Ready,
) -> After
where
    S: AsyncReadRent + AsyncWriteRent,
{
    if let Body::Streamed(_) = ready.body
        && client.inbound.is_empty()
        && confirm_expectation(client).await.is_err()
    {
        account.decision = Decision::Denied(Denial::Incomplete);
        return After::Close;
    }
    account.sent = Some(Instant::now());
    let ended = tried(shard, view, client, account, &ready).await;
    let operations = view.snapshot.catalogue.operations();
    let around = Around {
        shard,
        snapshot: &view.snapshot,
        operation: &operations[ready.cleared.operation()],
    };
    // Where no answer came that it could have gone on with.
    let mut found = Found::default();
    around.end(&ready.cleared, &mut found).await;
    account.found.add(found);
    match ended {
        Ok(ended) => settle(view, client, account, ended).await,
        Err(error) => fail(client, account, error, is_streamed(&ready.body)).await,
    }
}

/// Tries an endpoint, and once more another one if nobody can have noticed: no connection came
/// about, or it took no byte, or a request that may be repeated was met with silence or with no answer
/// in time.
async fn tried<'v, S>(
    shard: &'v Rc<Shard>,
    view: &'v View,
    client: &mut Client<S>,
    account: &mut Account,
    ready: &'v Ready,
) -> Result<Ended<'v>, upstream::Error>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let operation = &view.snapshot.catalogue.operations()[ready.cleared.operation()];
    let cluster = &view.clusters[operation.upstream];
    cluster.budget.earn();
    let may_repeat = !is_streamed(&ready.body) && is_idempotent(account.method());
    let mut failed: Option<Turn> = None;
    let mut unsent = None;
    loop {
        let turn = cluster.choose(ready.key, failed.as_ref())?;
        let may_retry = || {
            let is_granted = failed.is_none() && cluster.budget.spend();
            if is_granted {
                increment(&cluster.counters.retried);
            }
            is_granted
        };
        // A second try trusts no connection that was kept.
        let connection = match &failed {
            None => turn.checkout().await,
            Some(_) => turn.open().await,
        };
        let mut connection = match connection {
            Ok(connection) => connection,
            Err(unopened) => {
                if unopened.error.sent_nothing() && may_retry() {
                    failed = Some(turn);
                    continue;
                }
                account.detail = unopened.reason;
                return Err(unopened.error);
            }
        };
        let mut ended = run(
            (shard, view),
            client,
            account,
            &mut connection,
            (ready, operation, unsent.take()),
        )
        .await;
        let is_silent = ended.is_silent();
        if !(is_silent && connection.is_reused) {
            // A kept connection that has gone meanwhile says nothing about its endpoint.
            ended
                .outcome(&cluster.settings.failure_statuses)
                .into_iter()
                .for_each(|outcome| turn.note(outcome));
        }
        // An endpoint that does not answer in time is not asked twice; another one may know better.
        let is_late = ended.is_late() && cluster.has_other(&turn);
        let is_worth_it = ended.is_cut_off() || is_late;
        if is_worth_it && (may_repeat || ended.is_unsent()) && may_retry() {
            failed = Some(turn);
            unsent = ended.unsent.take();
            continue;
        }
        if ended.is_reusable {
            turn.put_back(connection);
        }
        return Ok(ended);
    }
}

/// What one try came to.
struct Ended<'v> {
    /// What is still to be sent of a body that is streamed, and of which nothing was sent.
    unsent: Option<Passage<'v>>,
    response: Response,
    upload: UploadEnd,
    is_reusable: bool,
    /// All the time that the exchange had is over.
    is_over: bool,
    /// Lines of a refused answer that the client is told nevertheless.
    told: Vec<u8>,
}

/// Both directions at once: a backend may answer before it has read the body.
async fn run<'v, S>(
    (shard, view): (&'v Shard, &'v View),
    client: &mut Client<S>,
    account: &mut Account,
    connection: &mut Connection,
    (ready, operation, unsent): (&'v Ready, &'v Operation, Option<Passage<'v>>),
) -> Ended<'v>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let link = Link::default();
    let response_timeout = operation
        .timeouts
        .response
        .unwrap_or(connection.response_timeout);
    // The backend's side ends first, so that the client can still be told.
    let longest = longest(client, operation);
    let left = longest.saturating_sub(account.received.elapsed());
    connection.deadline.limit(left);
    client.deadline.limit(left + TOLD);
    let source = account.source;
    let passage = unsent.unwrap_or_else(|| passage((shard, view), (ready, operation), source));
    let upload = Upload {
        shard,
        link: &link,
        passage,
        client_deadline: &client.deadline,
        // From here on the backend's side is the first to end.
        pace: client.pace.within(Duration::MAX),
        deadline: &connection.deadline,
        timeout: response_timeout,
        taken: connection.writer.taken(),
        held: shard.load.for_request(source),
        bytes: std::mem::take(&mut client.request),
    };
    let relay = Relay {
        shard,
        snapshot: &view.snapshot,
        link: &link,
        cleared: &ready.cleared,
        operation,
        is_head: account.method() == "HEAD",
        trace: &account.trace,
        source,
        undeclared: &mut account.undeclared,
        client_deadline: &client.deadline,
        client_timeout: operation.timeouts.body.unwrap_or(client.timeouts.body),
        deadline: &connection.deadline,
        timeout: response_timeout,
        request: &client.head,
        accept: ready.accept,
        response: &mut client.response,
        closes: !client.head.keep_alive,
        out: &mut client.answer,
    };
    let mut buffer = shard.take_buffer();
    let (upload, download) = futures_util::future::join(
        upload.run(
            &mut client.reader,
            &mut client.inbound,
            &mut connection.writer,
        ),
        relay.run(&mut connection.reader, &mut buffer, &mut client.writer),
    )
    .await;
    let Download {
        response,
        answered,
        relayed,
        content: sent_back,
        is_clean,
        fault,
        told,
        found,
    } = download;
    let is_unsent = upload.end == UploadEnd::Unsent;
    let content = upload.passage.content();
    let (unsent, left) = match is_unsent && is_streamed(&ready.body) {
        true => (Some(upload.passage), Left::default()),
        false => (None, upload.passage.into_left()),
    };
    account.found.add(left.found);
    account.found.add(found);
    client.request = upload.bytes;
    client.give_back_room();
    if unsent.is_none() {
        account.bytes_in += content;
    }
    account.bytes_out = sent_back;
    account.answered = answered;
    if let Some(fault) = fault {
        account.detail = fault.detail;
        let is_refused = matches!(response, Response::Refused { .. });
        account.reported = Some(fault.denial).filter(|_| !is_refused);
    }
    let detail = left.detail;
    if let UploadEnd::Refused(denial) = upload.end
        && (!detail.is_empty() || denial.stage() == Stage::Waf)
    {
        account.detail = detail;
        // The backend had answered before.
        let is_answered = !matches!(response, Response::None { .. });
        account.reported = account.reported.or(is_answered.then_some(denial));
    }
    account.relayed = relayed;
    connection.deadline.lift();
    client.deadline.lift();
    if let (Response::Switched { is_extended }, Some(most)) = (response, &operation.websocket) {
        // It lasts for as long as its connection, and is counted with those.
        account.held = None;
        let terms = (most, is_extended);
        tunnel(shard, client, account, connection, (terms, &mut buffer)).await;
    }
    shard.give_buffer(buffer);
    // RFC 9110 section 9.3.1: content of a GET has no defined meaning. A backend that skips it would
    // take it for the next request, so there is none on this connection.
    let has_odd_body = account.bytes_in > 0 && matches!(account.method(), "GET" | "HEAD");
    Ended {
        is_over: account.received.elapsed() >= longest,
        is_reusable: is_clean && upload.end == UploadEnd::Complete && !has_odd_body,
        unsent,
        response: match response {
            // What was waited for was its last words.
            Response::None { .. } if is_unsent => Response::None {
                error: upstream::Error::ClosedEarly,
                was_silent: true,
            },
            response => response,
        },
        upload: upload.end,
        told,
    }
}

/// Passes bytes both ways until somebody ends it, at the latest when the token of the client
/// expires or its longest time is over.
async fn tunnel<S>(
    shard: &Shard,
    client: &mut Client<S>,
    account: &mut Account,
    connection: &mut Connection,
    ((most, is_extended), buffer): ((&WebSocket, bool), &mut Buffer),
) where
    S: AsyncReadRent + AsyncWriteRent,
{
    let expires = account.principal.as_deref().and_then(|principal| {
        let expires = principal.claims.get("exp")?.as_f64()?;
        let left = expires - shard.clock.at(Instant::now()).unix_s as f64;
        Duration::try_from_secs_f64(left.max(0.0)).ok()
    });
    let deadlines = [&client.deadline, &connection.deadline];
    for deadline in deadlines {
        deadline.limit(expires.map_or(most.time, |left| left.min(most.time)));
    }
    let tunnel = Tunnel {
        deadlines,
        idle: most.idle,
        rules: frames::Rules {
            most: most.message,
            is_extended,
        },
        ended: Cell::default(),
    };
    let [up, down] = tunnel
        .run(
            (&mut client.reader, &mut client.writer, &mut client.inbound),
            (&mut connection.reader, &mut connection.writer, buffer),
        )
        .await;
    account.bytes_in += up;
    account.bytes_out += down;
    deadlines.iter().for_each(|deadline| deadline.lift());
}

/// What the body that is still to come goes through.
fn passage<'v>(
    (shard, view): (&'v Shard, &'v View),
    (ready, operation): (&'v Ready, &'v Operation),
    source: Source,
) -> Passage<'v> {
    let streamed = match ready.body {
        Body::Whole => Framing::None,
        Body::Streamed(framing) => framing,
    };
    let Some(sieve) = ready.cleared.sieve(&view.snapshot) else {
        let most = operation.max_body as u64;
        return Passage::AsItComes(Transcoder::new(streamed, streamed), most);
    };
    let around = Around {
        shard,
        snapshot: &view.snapshot,
        operation,
    };
    let rules = Rules::of(around, &ready.cleared);
    let held = shard.load.for_request(source);
    let screen = Screen::new(streamed, sieve, rules, (shard, held));
    Passage::Checked(Box::new(screen))
}

impl Ended<'_> {
    /// The backend's socket took nothing of the request.
    fn is_unsent(&self) -> bool {
        self.upload == UploadEnd::Unsent
    }

    /// The backend closed before the first byte of an answer.
    fn is_silent(&self) -> bool {
        let silent = Response::None {
            error: upstream::Error::ClosedEarly,
            was_silent: true,
        };
        self.response == silent && !matches!(self.upload, UploadEnd::Refused(_))
    }

    /// The backend closed before the head of an answer was whole: the client has got nothing of it.
    fn is_cut_off(&self) -> bool {
        let is_cut_off = matches!(
            self.response,
            Response::None {
                error: upstream::Error::ClosedEarly,
                ..
            }
        );
        is_cut_off && !matches!(self.upload, UploadEnd::Refused(_))
    }

    /// The backend has not begun to answer in its time.
    fn is_late(&self) -> bool {
        let late = Response::None {
            error: upstream::Error::ResponseTimeout,
            was_silent: false,
        };
        self.response == late && !matches!(self.upload, UploadEnd::Refused(_))
    }

    /// What the endpoint has shown of itself; none where the client had its part in it.
    fn outcome(&self, failures: &[u16]) -> Option<Outcome> {
        match (self.response, self.upload) {
            (Response::Complete { status, .. } | Response::Refused { status, .. }, _) => {
                Some(match status {
                    502..=504 if failures.contains(&status) => Outcome::Unwell,
                    _ if failures.contains(&status) => Outcome::Faulty,
                    _ => Outcome::Answered,
                })
            }
            (Response::Switched { .. }, _) => Some(Outcome::Answered),
            (_, UploadEnd::Refused(_)) => None,
            (Response::Truncated { by_backend, .. }, _) => {
                (by_backend && !self.is_over).then_some(Outcome::Faulty)
            }
            (Response::None { .. }, _) => Some(Outcome::Failed),
        }
    }
}

/// What becomes of the client's connection, after an answer if there was none yet.
async fn settle<S>(
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    ended: Ended<'_>,
) -> After
where
    S: AsyncReadRent + AsyncWriteRent,
{
    client.request.clear();
    let has_unread = match ended.upload {
        UploadEnd::Complete | UploadEnd::Dropped => false,
        UploadEnd::Unsent => ended.unsent.is_some(),
        UploadEnd::Unfinished | UploadEnd::Refused(_) => true,
    };
    match (ended.response, ended.upload) {
        (Response::Complete { status, closes }, _) => {
            account.decision = Decision::Forwarded;
            account.status = status;
            match (closes, has_unread) {
                (_, true) => After::Linger,
                (true, false) => After::Close,
                (false, false) => After::KeepAlive,
            }
        }
        (Response::Switched { .. }, _) => {
            account.decision = Decision::Forwarded;
            account.status = 101;
            After::Close
        }
        (Response::Truncated { status, .. }, _) => {
            account.decision = Decision::Forwarded;
            account.status = status;
            account.is_truncated = true;
            match client.head.version {
                // Its body may have no other end than that of the connection.
                Version::Http10 => After::Reset,
                Version::Http11 => After::Close,
            }
        }
        (Response::Refused { denial, status }, _) => {
            let refused = (denial, status, &*ended.told);
            withhold(client, account, refused, has_unread).await
        }
        (Response::None { .. }, UploadEnd::Refused(denial)) => {
            let mut refusal = Refusal::nowhere(denial);
            refusal.operation = account.operation;
            refusal.principal = account.principal.clone();
            refuse(view, client, account, (&refusal, &Details::default())).await;
            After::Linger
        }
        (Response::None { error, .. }, _) => fail(client, account, error, has_unread).await,
    }
}

fn is_streamed(body: &Body) -> bool {
    matches!(body, Body::Streamed(_))
}

/// RFC 9110 section 9.2.2: only these may be sent again by somebody else than the client.
fn is_idempotent(method: &str) -> bool {
    matches!(
        method,
        "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE"
    )
}
