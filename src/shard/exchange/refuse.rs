//! Answers of the gateway's own: why a request goes no further, or that the backend gave no answer.

use std::rc::Rc;
use std::time::Instant;

use monoio::io::{AsyncReadRent, AsyncWriteRent};

use crate::policy::contract::{Detail, Details};
use crate::policy::denial::Denial;
use crate::policy::pipeline::Refusal;
use crate::policy::route::Match;
use crate::problem::{Fault, Problem};
use crate::proto::body::Framing;
use crate::proto::head::Version;
use crate::shard::account::{Account, Decision};
use crate::shard::answer::{self, Circumstances};
use crate::shard::connection::{After, Client, LINGER_BYTES};
use crate::shard::exchange::collect::{is_here, read_body};
use crate::shard::upstream;
use crate::shard::{Shard, View};

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
    answer::problem(&mut client.answer, (denial.problem(), &[]), b"", around);
    account.relayed = Some(Instant::now());
    account.is_truncated = client.send_answer().await.is_err();
    shard.report(&view, &account, "");
}

/// Answers that the backend gave no answer.
pub async fn fail<S>(
    client: &mut Client<S>,
    account: &mut Account,
    error: upstream::Error,
    has_unread: bool,
) -> After
where
    S: AsyncReadRent + AsyncWriteRent,
{
    account.decision = Decision::Failed(error);
    let problem = Problem::from(error);
    // RFC 9110 section 10.2.3: what is short of places now has some again in a moment.
    let fields: &[u8] = match problem.status {
        503 => b"Retry-After: 1\r\n",
        _ => b"",
    };
    end(client, account, (problem, fields), has_unread).await
}

/// Answers instead of the backend, whose own answer policy does not let out. `fields`: what of it
/// the client is told nevertheless.
pub async fn withhold<S>(
    client: &mut Client<S>,
    account: &mut Account,
    (denial, status, fields): (Denial, u16, &[u8]),
    has_unread: bool,
) -> After
where
    S: AsyncReadRent + AsyncWriteRent,
{
    account.decision = Decision::Denied(denial);
    let problem = match denial {
        Denial::UndeclaredResponse | Denial::InvalidResponse | Denial::ResponseTooLarge
            if status >= 400 =>
        {
            refused_by_backend(status)
        }
        _ => denial.problem(),
    };
    end(client, account, (problem, fields), has_unread).await
}

/// An error that is not as declared keeps its status, but not its words.
fn refused_by_backend(status: u16) -> Problem {
    Problem {
        status,
        kind: "backend-error",
        title: match status {
            400..500 => "The backend refused the request",
            _ => "The backend failed",
        },
    }
}

/// Answers in place of the backend.
async fn end<S>(
    client: &mut Client<S>,
    account: &mut Account,
    (problem, fields): (Problem, &[u8]),
    has_unread: bool,
) -> After
where
    S: AsyncReadRent + AsyncWriteRent,
{
    client.request.clear();
    let closes = has_unread || !client.head.keep_alive;
    answer_problem(client, account, (problem, &[]), (fields, closes)).await;
    match (has_unread, closes || account.is_truncated) {
        (true, _) => After::Linger,
        (false, true) => After::Close,
        (false, false) => After::KeepAlive,
    }
}

/// Answers why a request goes no further, and reads what little of its body may still come.
pub async fn refuse<S>(
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    (refusal, details): (&Refusal, &Details),
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
    let tells = operation.is_some_and(|operation| operation.contract.tells_faults());
    let faults = details.iter().filter(|_| tells).map(Detail::fault);
    let faults: Vec<Fault<'_>> = faults.collect();
    let told = (refusal.denial.problem(), &faults[..]);
    answer_problem(client, account, told, (&fields, closes)).await;
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
    (problem, faults): (Problem, &[Fault<'_>]),
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
    answer::problem(&mut client.answer, (problem, faults), fields, around);
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
