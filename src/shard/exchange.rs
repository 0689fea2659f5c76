//! One request and its response: the only code that sees both sides.
//!
//! ```text
//! head -> decide -+-> refuse
//!                 +-> collect the body -> finish -+-> refuse
//!                 |                               v
//!                 +-----------------------------> send -> relay the response
//!                                                  ^ |
//!                                                  +-+ once, where nobody can have noticed
//! ```

mod collect;
mod forward;
mod refuse;

use std::rc::Rc;
use std::time::Instant;

use monoio::io::{AsyncReadRent, AsyncWriteRent};

use crate::policy::catalogue::Timeouts;
use crate::policy::contract::Details;
use crate::policy::denial::{Denial, Stage};
use crate::policy::pipeline::{self, Cleared, Inspection, Next, Refusal, Step};
use crate::proto::body::Framing;
use crate::proto::websocket::{self, Accept};
use crate::shard::account::Account;
use crate::shard::connection::{After, Client};
use crate::shard::exchange::collect::{collect, decode, is_here, uncode};
use crate::shard::exchange::forward::forward;
use crate::shard::exchange::refuse::refuse;
use crate::shard::load::{Held, Source};
use crate::shard::pace::Pace;
use crate::shard::trace::Trace;
use crate::shard::upstream::send::Outgoing;
use crate::shard::upstream::{self, affinity, inspect};
use crate::shard::{Shard, View};

pub use refuse::refuse_unread;

/// The longest body that is waited for before a backend is asked.
const SHORT_BODY: u64 = 64 * 1024;

/// A request that may go upstream.
struct Ready {
    cleared: Cleared,
    body: Body,
    /// What a balance by hash goes by.
    key: Option<u64>,
    /// The answer that a switch to WebSocket must carry, if the client asks for it and may.
    accept: Option<Accept>,
    /// The memory of a body that was collected.
    _held: Option<Held>,
}

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
    if shard.is_draining() {
        client.head.keep_alive = false;
    }
    account.held = shard.load.begin();
    let outcome = match account.held {
        Some(_) => cleared(shard, &view, client, &mut account).await,
        None => Err(Refusal::nowhere(Denial::Overloaded)),
    };
    account.found = shard.state.borrow_mut().waf.take_found();
    let after = match outcome {
        Ok(ready) => {
            if let Some((denial, detail)) = ready.cleared.noted() {
                account.reported = Some(*denial);
                account.detail = detail.to_string();
            }
            forward(shard, &view, client, &mut account, ready).await
        }
        Err(refusal) => {
            let details = details(shard, &refusal);
            account.detail = details.to_string();
            refuse(&view, client, &mut account, (&refusal, &details)).await
        }
    };
    shard.report(&view, &account, client.path.wire());
    after
}

/// What exactly the contract refused.
fn details(shard: &Shard, refusal: &Refusal) -> Details {
    match refusal.denial.stage() {
        Stage::Contract => shard.state.borrow().scratch.details().clone(),
        _ => Details::default(),
    }
}

fn open_account<S: AsyncWriteRent>(
    shard: &Shard,
    client: &mut Client<S>,
    received: Instant,
) -> Account {
    let Client {
        head,
        inbound,
        peer,
        chain,
        settings,
        ..
    } = client;
    let trusted = peer.is_trusted.then_some((&*head, inbound.bytes()));
    let trace: Trace = shard.trace(received, trusted);
    let direct = (peer.address, peer.is_tls);
    chain.read(direct, trusted, |address| settings.trusts(address));
    let mut account = Account::new(received, trace, chain.source(), peer.is_tls);
    if settings.trusts(chain.source()) {
        account.source = Source::UNBOUNDED;
    }
    account.set_method(head.method(inbound.bytes()));
    account
}

/// Takes the request through the policy. What comes back is written to `client.request` already.
async fn cleared<S>(
    shard: &Shard,
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
) -> Result<Ready, Refusal>
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
    let operation = match &next {
        Next::Forward(cleared) => cleared.operation(),
        Next::Inspect(inspection) => inspection.operation(),
    };
    client.expect_body(&view.snapshot.catalogue.operations()[operation].timeouts);
    match next {
        Next::Forward(cleared) => pass_on(shard, view, client, account, cleared).await,
        Next::Inspect(inspection) => {
            account.operation = Some(inspection.operation());
            if inspection.reads_body() {
                return inspect(shard, view, client, account, inspection).await;
            }
            let inspected = (inspection, Collected::Nothing);
            let cleared = conclude(shard, view, client, account, inspected).await?;
            pass_on(shard, view, client, account, cleared).await
        }
    }
}

/// A request whose body nobody has to see: what is not here yet of a long one is passed on as it
/// comes.
async fn pass_on<S>(
    shard: &Shard,
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    cleared: Cleared,
) -> Result<Ready, Refusal>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    account.operation = Some(cleared.operation());
    if cleared.is_streamed() {
        return pass_checked(shard, view, client, account, cleared);
    }
    let framing = client.head.framing;
    let held = gather(shard, client, account).await;
    let held = held.map_err(|denial| cleared.refuse(denial))?;
    let body = match framing {
        Framing::Length(length) if is_here(client, length) => Body::Whole,
        Framing::None => Body::Whole,
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose => Body::Streamed(framing),
    };
    let accept = handshake(view, client, &cleared)?;
    let written = Written {
        is_decoded: false,
        upgrades: accept.is_some(),
    };
    let request = (&cleared, framing, written);
    let key = write_request(view, client, account, request);
    match body {
        Body::Whole => take_whole(client, account),
        Body::Streamed(_) => {
            let length = client.head.length;
            client.inbound.consume(length);
        }
    }
    Ok(Ready {
        cleared,
        body,
        key,
        accept,
        _held: held,
    })
}

/// A request whose body is checked while it is passed on. It leaves in chunks: without the last of
/// them no backend takes a part of it for the whole.
fn pass_checked<S: AsyncWriteRent>(
    shard: &Shard,
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    cleared: Cleared,
) -> Result<Ready, Refusal> {
    let record = cleared
        .sieve(&view.snapshot)
        .map_or(0, |sieve| sieve.bounds().record);
    // Held is what has come; one for which there is no room now is refused before it is sent.
    if !shard.load.for_request(account.source).has_room_for(record) {
        return Err(cleared.refuse(Denial::Overloaded));
    }
    let written = (&cleared, Framing::Chunked, Written::default());
    let key = write_request(view, client, account, written);
    let length = client.head.length;
    client.inbound.consume(length);
    Ok(Ready {
        cleared,
        body: Body::Streamed(client.head.framing),
        key,
        accept: None,
        _held: None,
    })
}

/// The body that an inspection may see.
#[derive(Clone, Copy)]
enum Collected<'a> {
    Nothing,
    /// So many bytes behind the head, where they came in.
    Here(usize),
    /// Taken out of its chunks.
    Decoded(&'a [u8]),
}

/// Takes a request through the stages that are left. Between slices the others on this shard have
/// their turn.
async fn conclude<S: AsyncWriteRent>(
    shard: &Shard,
    view: &View,
    client: &Client<S>,
    account: &Account,
    (inspection, collected): (Inspection, Collected<'_>),
) -> Result<Cleared, Refusal> {
    let head = client.head.length;
    let body = match collected {
        Collected::Nothing => None,
        Collected::Here(length) => Some(&client.inbound.bytes()[head..head + length]),
        Collected::Decoded(body) => Some(body),
    };
    let mut inspection = inspection;
    loop {
        let step = {
            let state = &mut shard.state.borrow_mut();
            inspection.advance(&view.snapshot, state, client.as_request(), body)?
        };
        inspection = match step {
            Step::Cleared(cleared) => return Ok(cleared),
            Step::Pause(inspection) => {
                shard.give_way().await;
                inspection
            }
            Step::Ask(inspection) => {
                let known = (client.as_request(), account.trace.id());
                let Some((inspector, question)) = inspection.question(&view.snapshot, known, body)
                else {
                    return Err(inspection.refuse(Denial::InspectorFailed));
                };
                let outcome = inspect::ask(shard, view, &inspector, &question).await;
                let state = &mut shard.state.borrow_mut();
                inspection.answered(state, &inspector, outcome.map_err(upstream::Error::name))?
            }
        };
    }
}

/// Collects a short body that is still coming: whoever sends one slowly holds a connection to the
/// gateway by it, but none to the backend. Where there is no room for it, it is passed on as it
/// comes.
async fn gather<S>(
    shard: &Shard,
    client: &mut Client<S>,
    account: &mut Account,
) -> Result<Option<Held>, Denial>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let length = match client.head.framing {
        Framing::Length(length) if length <= SHORT_BODY && !is_here(client, length) => length,
        _ => return Ok(None),
    };
    let mut held = shard.load.for_request(account.source);
    let started = Instant::now();
    let collected = collect(client, (length as usize, 1), &mut held).await;
    account.waited = started.elapsed();
    match collected {
        Ok(()) => Ok(Some(held)),
        Err(Denial::Overloaded) => Ok(None),
        Err(denial) => Err(denial),
    }
}

/// What a client asks for that wants to switch, where the operation allows it. Elsewhere nobody
/// switches: the wish ends at this hop, as RFC 9110 section 7.8 lets it.
fn handshake<S: AsyncWriteRent>(
    view: &View,
    client: &Client<S>,
    cleared: &Cleared,
) -> Result<Option<Accept>, Refusal> {
    let operation = &view.snapshot.catalogue.operations()[cleared.operation()];
    if operation.websocket.is_none() {
        return Ok(None);
    }
    let asked = websocket::asked(&client.head, client.inbound.bytes());
    asked.map_err(|error| cleared.refuse(Denial::Malformed(error)))
}

/// Moves a body that has arrived behind the head in `client.request`.
fn take_whole<S: AsyncReadRent + AsyncWriteRent>(client: &mut Client<S>, account: &mut Account) {
    let length = match client.head.framing {
        Framing::Length(length) => length as usize,
        Framing::None | Framing::Chunked | Framing::UntilClose => 0,
    };
    let head = client.head.length;
    let body = &client.inbound.bytes()[head..head + length];
    client.request.extend_from_slice(body);
    client.inbound.consume(head + length);
    client.give_back_room();
    account.bytes_in = length as u64;
}

/// Collects the body, has it looked at, and writes the request with it.
async fn inspect<S>(
    shard: &Shard,
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    inspection: Inspection,
) -> Result<Ready, Refusal>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let operation = &view.snapshot.catalogue.operations()[inspection.operation()];
    let started = Instant::now();
    let framing = client.head.framing;
    let bounds = inspection
        .coding()
        .map(|coding| (coding, operation.max_body));
    let mut held = shard.load.for_request(account.source);
    // What leaves stands beside what came from when members are taken out of it.
    let copies = match operation.contract.strips_body() {
        true => 2,
        false => 1,
    };
    if let Framing::Length(length) = framing {
        if !is_here(client, length) {
            let wanted = (length as usize, copies);
            if let Err(denial) = collect(client, wanted, &mut held).await {
                return Err(inspection.refuse(denial));
            }
            account.waited = started.elapsed();
        }
        let Some(bounds) = bounds else {
            return conclude_here(shard, view, client, account, (inspection, held)).await;
        };
        let (head, used) = (client.head.length, client.head.length + length as usize);
        let coded = &client.inbound.bytes()[head..used];
        return match uncode(shard, bounds, coded, &mut held).await {
            Ok(body) if held.grow_to(length as usize + copies * body.len()) => {
                let taken = (inspection, body, used, held);
                conclude_taken(shard, view, client, account, taken).await
            }
            Ok(_) => Err(inspection.refuse(Denial::Overloaded)),
            Err(denial) => Err(inspection.refuse(denial)),
        };
    }
    let mut body = Vec::new();
    let mut outcome = decode(client, operation.max_body, &mut body, &mut held).await;
    account.waited = started.elapsed();
    if let (Ok(_), Some(bounds)) = (&outcome, bounds) {
        match uncode(shard, bounds, &body, &mut held).await {
            Ok(decoded) => body = decoded,
            Err(denial) => outcome = Err(denial),
        }
    }
    match outcome {
        Ok(used) if held.turn_to(copies * body.len()) => {
            let taken = (inspection, body, used, held);
            conclude_taken(shard, view, client, account, taken).await
        }
        Ok(_) => Err(inspection.refuse(Denial::Overloaded)),
        Err(denial) => Err(inspection.refuse(denial)),
    }
}

/// Has a body looked at that stands behind the head, and writes the request with it.
async fn conclude_here<S>(
    shard: &Shard,
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    (inspection, held): (Inspection, Held),
) -> Result<Ready, Refusal>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let framing = client.head.framing;
    let length = match framing {
        Framing::Length(length) => length,
        Framing::None | Framing::Chunked | Framing::UntilClose => 0,
    };
    let body = Collected::Here(length as usize);
    let cleared = conclude(shard, view, client, account, (inspection, body)).await?;
    let instead = cleared.instead();
    let sent = instead.map_or(framing, |body| Framing::Length(body.len() as u64));
    let key = write_request(view, client, account, (&cleared, sent, Written::default()));
    match instead {
        None => take_whole(client, account),
        Some(body) => {
            client.request.extend_from_slice(body);
            let came = client.head.length + length as usize;
            client.inbound.consume(came);
            client.give_back_room();
            account.bytes_in = length;
        }
    }
    Ok(Ready {
        _held: Some(kept(&cleared, client, held)),
        cleared,
        body: Body::Whole,
        key,
        accept: None,
    })
}

/// Has a body looked at that was taken out of its framing, and of its coding if it had one, and
/// writes the request with it. `used`: how many bytes it took with its head as it came.
async fn conclude_taken<S>(
    shard: &Shard,
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    (inspection, body, used, held): (Inspection, Vec<u8>, usize, Held),
) -> Result<Ready, Refusal>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let written = Written {
        is_decoded: inspection.coding().is_some(),
        upgrades: false,
    };
    let inspected = (inspection, Collected::Decoded(&body));
    let cleared = conclude(shard, view, client, account, inspected).await?;
    let sent = cleared.instead().unwrap_or(&body);
    // Its length is known now, which spares the backend the chunks.
    let framing = match client.head.framing {
        Framing::None => Framing::None,
        _ => Framing::Length(sent.len() as u64),
    };
    let key = write_request(view, client, account, (&cleared, framing, written));
    client.request.extend_from_slice(sent);
    client.inbound.consume(used);
    client.give_back_room();
    account.bytes_in = body.len() as u64;
    Ok(Ready {
        _held: Some(kept(&cleared, client, held)),
        cleared,
        body: Body::Whole,
        key,
        accept: None,
    })
}

/// What is still held while a request is sent: itself, and what stood in its place in the policy.
fn kept<S: AsyncWriteRent>(cleared: &Cleared, client: &Client<S>, held: Held) -> Held {
    let mut held = held;
    let instead = cleared.instead().map_or(0, <[u8]>::len);
    let amount = held.amount().min(client.request.len() + instead);
    // It is no more than before, so there is room.
    held.turn_to(amount);
    held
}

/// What is peculiar to a request that is sent on.
#[derive(Clone, Copy, Default)]
struct Written {
    /// A coding was taken off its body.
    is_decoded: bool,
    /// It asks to switch to WebSocket, and may.
    upgrades: bool,
}

/// Writes the head for the backend into `client.request`, and tells what a hash goes by.
fn write_request<S: AsyncWriteRent>(
    view: &View,
    client: &mut Client<S>,
    account: &mut Account,
    (cleared, framing, written): (&Cleared, Framing, Written),
) -> Option<u64> {
    account.principal = cleared.principal().cloned();
    let operation = &view.snapshot.catalogue.operations()[cleared.operation()];
    let balance = &view.clusters[operation.upstream].settings.balance;
    let key = affinity::key(balance, client.as_request(), account.principal.as_deref());
    let mut out = std::mem::take(&mut client.request);
    let outgoing = Outgoing {
        snapshot: &view.snapshot,
        request: client.as_request(),
        chain: &client.chain,
        trace: &account.trace,
        framing,
        is_decoded: written.is_decoded,
        upgrades: written.upgrades,
    };
    outgoing.write(cleared, &mut out);
    client.request = out;
    key
}

impl<S: AsyncWriteRent> Client<S> {
    /// How slowly the body may come in: as the operation has it, or else the listener.
    fn expect_body(&mut self, own: &Timeouts) {
        let exchange = own.exchange.unwrap_or(self.timeouts.exchange);
        self.pace = Pace::new(
            own.body.unwrap_or(self.timeouts.body),
            own.body_rate.unwrap_or(self.timeouts.body_rate),
        )
        .within(exchange);
    }

    /// The request as the policy reads it.
    fn as_request(&self) -> pipeline::Request<'_> {
        pipeline::Request {
            head: &self.head,
            bytes: self.inbound.bytes(),
            path: &self.path,
            source: self.chain.source(),
        }
    }
}
