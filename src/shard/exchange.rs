//! One request and its response: the only code that sees both sides.
//!
//! ```text
//! head -> decide -+-> refuse
//!                 +-> collect the body -> finish -+-> refuse
//!                 |                               v
//!                 +-----------------------------> send -> relay the response
//!                                                  ^ |
//!                                                  +-+ once, on a connection that went stale
//! ```

use std::rc::Rc;
use std::time::Instant;

use monoio::io::{AsyncReadRent, AsyncWriteRent};

use crate::policy::catalogue::Operation;
use crate::policy::denial::{Denial, Stage};
use crate::policy::pipeline::{self, Cleared, Inspection, Next, Refusal};
use crate::policy::route::Match;
use crate::problem::Problem;
use crate::proto::body::Framing;
use crate::proto::head::Version;
use crate::proto::transcode::Transcoder;
use crate::shard::account::{Account, Decision};
use crate::shard::answer::{self, Circumstances};
use crate::shard::connection::{After, Client, LINGER_BYTES, fill};
use crate::shard::trace::Trace;
use crate::shard::upstream::pool::Connection;
use crate::shard::upstream::relay::{Download, Relay, Response};
use crate::shard::upstream::send::{Outgoing, Upload, UploadEnd};
use crate::shard::upstream::{self, Link};
use crate::shard::{Shard, View};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What of the request body is still to come when the head goes upstream.
enum Body {
    /// Nothing: all of it stands behind the head.
    Whole,
    /// It is passed on as it comes, in this framing.
    Streamed(Framing),
}

/// Serves the request whose head stands at the front of the client's inbound buffer.
pub async fn serve<S>(shard: &Rc<Shard>, client: &mut Client<S>, received: Instant) -> After
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let view = shard.view();
    let mut account = open_account(shard, client, received);
    let after = match cleared(shard, &view, client, &mut account).await {
        Ok((cleared, body)) => forward(shard, &view, client, &mut account, (cleared, body)).await,
        Err(refusal) => {
            account.detail = detail(shard, &refusal);
            refuse(&view, client, &mut account, &refusal).await
        }
    };
    shard.report(&view, &account, client.path.wire());
    after
}

/// What exactly the contract refused, for the log.
fn detail(shard: &Shard, refusal: &Refusal) -> String {
    let state = shard.state.borrow();
    let detail = state
        .scratch
        .detail()
        .filter(|_| refusal.denial.stage() == Stage::Contract);
    detail.map_or_else(String::new, |detail| {
        format!("{} {} {}", detail.part, detail.name, detail.rule)
    })
}

/// Answers what did not even become a head. The connection is closed behind it.
pub async fn refuse_unread<S>(shard: &Rc<Shard>, client: &mut Client<S>, denial: Denial)
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let view = shard.view();
    let received = Instant::now();
    let trace = shard.trace(received, None);
    let mut account = Account::new(received, trace, client.peer.address, client.peer.is_tls);
    account.decision = Decision::Denied(denial);
    account.status = denial.problem().status;
    let around = Circumstances {
        request_id: account.trace.id(),
        to_head: false,
        closes: true,
        confirms_keep_alive: false,
    };
    answer::problem(&mut client.answer, denial.problem(), b"", around);
    account.relayed = Some(Instant::now());
    account.is_truncated = client.send_answer().await.is_err();
    shard.report(&view, &account, "");
}

fn open_account<S: AsyncWriteRent>(
    shard: &Shard,
    client: &Client<S>,
    received: Instant,
) -> Account {
    let Client {
        head,
        inbound,
        peer,
        ..
    } = client;
    let trusted = peer.is_trusted.then_some((head, inbound.bytes()));
    let trace: Trace = shard.trace(received, trusted);
    let mut account = Account::new(received, trace, peer.address, peer.is_tls);
    account.set_method(head.method(inbound.bytes()));
    account
}

/// Takes the request through the policy. What comes back is written to `client.request` already.
async fn cleared<S>(
    shard: &Shard,
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
) -> Result<(Cleared, Body), Refusal>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    client.deadline.clear();
    let target = client.head.path.of(client.inbound.bytes());
    if let Err(error) = client.path.read(target) {
        return Err(Refusal::nowhere(Denial::Malformed(error)));
    }
    let request = client.as_request();
    let now = shard.clock.at(account.received);
    let next = pipeline::decide(&view.snapshot, &mut shard.state.borrow_mut(), request, now)?;
    match next {
        Next::Forward(cleared) => {
            account.operation = Some(cleared.operation());
            let framing = client.head.framing;
            let body = match framing {
                Framing::Length(length) if is_here(client, length) => Body::Whole,
                Framing::None => Body::Whole,
                Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {
                    Body::Streamed(framing)
                }
            };
            write_request(view, client, account, &cleared, framing);
            match body {
                Body::Whole => take_whole(client, account),
                Body::Streamed(_) => {
                    let length = client.head.length;
                    client.inbound.consume(length);
                }
            }
            Ok((cleared, body))
        }
        Next::Inspect(inspection) => {
            account.operation = Some(inspection.operation());
            let cleared = inspect(shard, view, client, account, inspection).await?;
            Ok((cleared, Body::Whole))
        }
    }
}

/// Whether a body of this length has arrived with its head.
fn is_here<S: AsyncWriteRent>(client: &Client<S>, length: u64) -> bool {
    client.inbound.len().saturating_sub(client.head.length) as u64 >= length
}

/// Moves a body that has arrived behind the head in `client.request`.
fn take_whole<S: AsyncWriteRent>(client: &mut Client<S>, account: &mut Account) {
    let length = match client.head.framing {
        Framing::Length(length) => length as usize,
        Framing::None | Framing::Chunked | Framing::UntilClose => 0,
    };
    let head = client.head.length;
    let body = &client.inbound.bytes()[head..head + length];
    client.request.extend_from_slice(body);
    client.inbound.consume(head + length);
    account.bytes_in = length as u64;
}

/// Collects the body, has it looked at, and writes the request with it.
async fn inspect<S>(
    shard: &Shard,
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    inspection: Inspection,
) -> Result<Cleared, Refusal>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let operation = &view.snapshot.catalogue.operations()[inspection.operation()];
    let started = Instant::now();
    let framing = client.head.framing;
    match framing {
        Framing::Length(length) => {
            if !is_here(client, length) {
                if let Err(denial) = collect(client, length as usize).await {
                    return Err(inspection.refuse(denial));
                }
                account.waited = started.elapsed();
            }
            let head = client.head.length;
            let body = &client.inbound.bytes()[head..head + length as usize];
            let state = &mut shard.state.borrow_mut();
            let cleared = inspection.finish(&view.snapshot, state, body)?;
            write_request(view, client, account, &cleared, framing);
            take_whole(client, account);
            Ok(cleared)
        }
        Framing::None | Framing::Chunked | Framing::UntilClose => {
            let mut body = Vec::new();
            let used = match decode(client, operation.max_body, &mut body).await {
                Ok(used) => used,
                Err(denial) => return Err(inspection.refuse(denial)),
            };
            account.waited = started.elapsed();
            let state = &mut shard.state.borrow_mut();
            let cleared = inspection.finish(&view.snapshot, state, &body)?;
            // Its length is known now, which spares the backend the chunks.
            let framing = match framing {
                Framing::None => Framing::None,
                _ => Framing::Length(body.len() as u64),
            };
            write_request(view, client, account, &cleared, framing);
            client.request.extend_from_slice(&body);
            client.inbound.consume(used);
            account.bytes_in = body.len() as u64;
            Ok(cleared)
        }
    }
}

/// Reads until `length` bytes of body stand behind the head. The head stays where it is.
async fn collect<S>(client: &mut Client<S>, length: usize) -> Result<(), Denial>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    confirm_expectation(client).await?;
    client.inbound.reserve_total(client.head.length + length);
    while client.inbound.len() < client.head.length + length {
        read_body(client).await?;
    }
    client.deadline.clear();
    Ok(())
}

/// Decodes a chunked body into `body`, leaving the head where it is; the length of head and body
/// as they came.
async fn decode<S>(client: &mut Client<S>, max: usize, body: &mut Vec<u8>) -> Result<usize, Denial>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let mut at = client.head.length;
    let mut coder = Transcoder::new(client.head.framing, Framing::None);
    if client.inbound.len() == at && !coder.is_done() {
        confirm_expectation(client).await?;
    }
    loop {
        let fed = coder.feed(&client.inbound.bytes()[at..], body);
        at += fed.map_err(Denial::Malformed)?;
        if body.len() > max {
            return Err(Denial::BodyTooLarge);
        }
        if coder.is_done() {
            client.deadline.clear();
            return Ok(at);
        }
        // What was decoded is not needed any more: only the head and the undecoded rest are kept.
        client.inbound.remove(client.head.length..at);
        at = client.head.length;
        read_body(client).await?;
    }
}

async fn read_body<S>(client: &mut Client<S>) -> Result<(), Denial>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    if client.inbound.room() == 0 {
        let more = client.inbound.len() * 2;
        client.inbound.reserve_total(more);
    }
    client.deadline.set_for_reading(client.timeouts.body);
    match fill(&mut client.reader, &mut client.inbound).await {
        Ok(count) if count > 0 => Ok(()),
        _ if client.deadline.has_fired() => Err(Denial::TooSlow),
        _ => Err(Denial::Incomplete),
    }
}

/// RFC 9110 section 10.1.1: tells a client that waits for leave to send its body.
async fn confirm_expectation<S>(client: &mut Client<S>) -> Result<(), Denial>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    if client.head.expects_continue {
        client.answer.extend_from_slice(CONTINUE);
        client.send_answer().await.map_err(|_| Denial::Incomplete)?;
        client.head.expects_continue = false;
    }
    Ok(())
}

/// Writes the head for the backend into `client.request`.
fn write_request<S: AsyncWriteRent>(
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    cleared: &Cleared,
    framing: Framing,
) {
    account.principal = cleared.principal().cloned();
    let mut out = std::mem::take(&mut client.request);
    let outgoing = Outgoing {
        snapshot: &view.snapshot,
        request: client.as_request(),
        peer: client.peer,
        trace: &account.trace,
        framing,
    };
    outgoing.write(cleared, &mut out);
    client.request = out;
}

/// Sends a cleared request and relays the response.
async fn forward<S>(
    shard: &Rc<Shard>,
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    (cleared, body): (Cleared, Body),
) -> After
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let operation = &view.snapshot.catalogue.operations()[cleared.operation()];
    let pool = &view.pools[operation.upstream];
    if let Body::Streamed(_) = body
        && client.inbound.is_empty()
        && confirm_expectation(client).await.is_err()
    {
        account.decision = Decision::Denied(Denial::Incomplete);
        return After::Close;
    }
    account.sent = Some(Instant::now());
    let may_retry = matches!(body, Body::Whole) && is_idempotent(account.method());
    let mut connection = match pool.checkout().await {
        Ok(connection) => connection,
        Err(error) => return fail(client, account, error, is_unread(&body)).await,
    };
    loop {
        let is_retriable = may_retry && connection.is_reused;
        let ended = run(
            shard,
            client,
            account,
            &mut connection,
            (&cleared, operation, &body),
        )
        .await;
        let stale = matches!(
            ended.response,
            Response::None {
                was_silent: true,
                ..
            }
        );
        if stale && is_retriable {
            connection = match pool.open().await {
                Ok(connection) => connection,
                Err(error) => return fail(client, account, error, false).await,
            };
            continue;
        }
        if ended.is_reusable {
            pool.put_back(connection);
        }
        return settle(view, client, account, ended).await;
    }
}

/// What one try came to.
struct Ended {
    response: Response,
    upload: UploadEnd,
    is_reusable: bool,
}

/// Both directions at once: a backend may answer before it has read the body.
async fn run<S>(
    shard: &Shard,
    client: &mut Client<S>,
    account: &mut Account,
    connection: &mut Connection,
    (cleared, operation, body): (&Cleared, &Operation, &Body),
) -> Ended
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let link = Link::default();
    let streamed = match body {
        Body::Whole => Framing::None,
        Body::Streamed(framing) => *framing,
    };
    let response_timeout = connection.response_timeout;
    let upload = Upload {
        link: &link,
        coder: Transcoder::new(streamed, streamed),
        max: operation.max_body as u64,
        client_deadline: &client.deadline,
        client_timeout: client.timeouts.body,
        deadline: &connection.deadline,
        timeout: response_timeout,
        bytes: std::mem::take(&mut client.request),
    };
    let relay = Relay {
        link: &link,
        cleared,
        operation,
        trace: &account.trace,
        client_deadline: &client.deadline,
        client_timeout: client.timeouts.body,
        deadline: &connection.deadline,
        timeout: response_timeout,
        is_head: account.method() == "HEAD",
        request: &client.head,
        response: &mut client.response,
        closes: shard.is_draining() || !client.head.keep_alive,
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
        content,
        is_clean,
    } = download;
    shard.give_buffer(buffer);
    client.request = upload.bytes;
    account.bytes_in += upload.content;
    account.bytes_out = content;
    account.answered = answered;
    account.relayed = relayed;
    connection.deadline.clear();
    client.deadline.clear();
    // RFC 9110 section 9.3.1: content of a GET has no defined meaning. A backend that skips it would
    // take it for the next request, so there is none on this connection.
    let has_odd_body = account.bytes_in > 0 && matches!(account.method(), "GET" | "HEAD");
    Ended {
        is_reusable: is_clean && upload.end == UploadEnd::Complete && !has_odd_body,
        response,
        upload: upload.end,
    }
}

/// What becomes of the client's connection, after an answer if there was none yet.
async fn settle<S>(
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    ended: Ended,
) -> After
where
    S: AsyncReadRent + AsyncWriteRent,
{
    client.request.clear();
    let has_unread = match ended.upload {
        UploadEnd::Complete | UploadEnd::Dropped => false,
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
        (Response::Truncated { status }, _) => {
            account.decision = Decision::Forwarded;
            account.status = status;
            account.is_truncated = true;
            After::Close
        }
        (Response::None { .. }, UploadEnd::Refused(denial)) => {
            let mut refusal = Refusal::nowhere(denial);
            refusal.operation = account.operation;
            refusal.principal = account.principal.clone();
            refuse(view, client, account, &refusal).await;
            After::Linger
        }
        (Response::None { error, .. }, _) => fail(client, account, error, has_unread).await,
    }
}

/// Answers that the backend gave no answer.
async fn fail<S>(
    client: &mut Client<S>,
    account: &mut Account,
    error: upstream::Error,
    has_unread: bool,
) -> After
where
    S: AsyncReadRent + AsyncWriteRent,
{
    account.decision = Decision::Failed(error);
    client.request.clear();
    let closes = has_unread || !client.head.keep_alive;
    answer_problem(client, account, Problem::from(error), (&[], closes)).await;
    match (has_unread, closes || account.is_truncated) {
        (true, _) => After::Linger,
        (false, true) => After::Close,
        (false, false) => After::KeepAlive,
    }
}

/// Answers why a request goes no further, and reads what little of its body may still come.
async fn refuse<S>(
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    refusal: &Refusal,
) -> After
where
    S: AsyncReadRent + AsyncWriteRent,
{
    account.decision = Decision::Denied(refusal.denial);
    account.operation = refusal.operation;
    account.principal = refusal.principal.clone();
    let operations = view.snapshot.catalogue.operations();
    let operation = refusal.operation.map(|index| &operations[index]);
    let fields = answer::fields(refusal, operation, &allowed(view, client, refusal.denial));
    let rest = rest_of_body(client, refusal.denial);
    let closes = rest.is_none() || !client.head.keep_alive;
    answer_problem(client, account, refusal.denial.problem(), (&fields, closes)).await;
    match rest {
        Some(rest) if !account.is_truncated && skip(client, rest).await => {
            if closes {
                After::Close
            } else {
                After::KeepAlive
            }
        }
        _ => After::Linger,
    }
}

async fn answer_problem<S>(
    client: &mut Client<S>,
    account: &mut Account,
    problem: Problem,
    (fields, closes): (&[u8], bool),
) where
    S: AsyncReadRent + AsyncWriteRent,
{
    account.status = problem.status;
    let around = Circumstances {
        request_id: account.trace.id(),
        to_head: account.method() == "HEAD",
        closes,
        confirms_keep_alive: client.head.version == Version::Http10,
    };
    client.answer.clear();
    answer::problem(&mut client.answer, problem, fields, around);
    account.relayed = Some(Instant::now());
    account.is_truncated = client.send_answer().await.is_err();
}

/// The methods of a path, for the `Allow` field.
fn allowed<'a, S: AsyncWriteRent>(
    view: &'a View,
    client: &Client<S>,
    denial: Denial,
) -> Vec<&'a str> {
    if denial != Denial::UndeclaredMethod {
        return Vec::new();
    }
    let bytes = client.inbound.bytes();
    let found = view
        .snapshot
        .catalogue
        .find(client.head.host.of(bytes), &client.path, b"");
    match found {
        Match::MethodNotDeclared(methods) => methods.iter().map(|(name, _)| &**name).collect(),
        Match::Found(_) | Match::NotDeclared => Vec::new(),
    }
}

/// How many bytes of the inbound stream still belong to a refused request; `None`: too many to
/// read, or nobody can tell.
fn rest_of_body<S: AsyncWriteRent>(client: &Client<S>, denial: Denial) -> Option<u64> {
    let is_in_doubt = matches!(
        denial,
        Denial::Malformed(_) | Denial::TooSlow | Denial::Incomplete
    );
    if is_in_doubt {
        return None;
    }
    let head = client.head.length as u64;
    match client.head.framing {
        Framing::None => Some(head),
        Framing::Length(length) if is_here(client, length) => Some(head + length),
        // A client that waits for leave may send the body or not: nobody can tell.
        Framing::Length(length) if !client.head.expects_continue => {
            Some(head + length).filter(|&rest| rest <= LINGER_BYTES)
        }
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose => None,
    }
}

/// Reads and drops the rest of a refused request. `false`: the client did not send it all.
async fn skip<S>(client: &mut Client<S>, mut rest: u64) -> bool
where
    S: AsyncReadRent + AsyncWriteRent,
{
    loop {
        let here = rest.min(client.inbound.len() as u64);
        client.inbound.consume(here as usize);
        rest -= here;
        if rest == 0 {
            client.deadline.clear();
            return true;
        }
        if read_body(client).await.is_err() {
            return false;
        }
    }
}

fn is_unread(body: &Body) -> bool {
    matches!(body, Body::Streamed(_))
}

/// RFC 9110 section 9.2.2: only these may be sent again by somebody else than the client.
fn is_idempotent(method: &str) -> bool {
    matches!(
        method,
        "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE"
    )
}

impl<S: AsyncWriteRent> Client<S> {
    /// The request as the policy reads it.
    fn as_request(&self) -> pipeline::Request<'_> {
        pipeline::Request {
            head: &self.head,
            bytes: self.inbound.bytes(),
            path: &self.path,
            source: self.peer.address,
        }
    }
}
