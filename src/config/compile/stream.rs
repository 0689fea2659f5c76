//! Bodies that are checked while they are passed on: which operations may have such.

use crate::config::file::Requests;
use crate::config::reader::{At, Reader};
use crate::config::units::Size;
use crate::policy::catalogue::Operation;
use crate::policy::contract::sieve::Bounds;

/// What the configuration says of streaming, to an operation or to all of an API.
pub struct Streaming<'f> {
    body: &'f At<Size>,
    record: Option<&'f At<Size>>,
    /// Said to the operation itself.
    is_own: bool,
}

impl Streaming<'_> {
    pub fn of<'f>(api: &'f Requests, own: Option<&'f Requests>) -> Option<Streaming<'f>> {
        let own_body = own.and_then(|own| own.stream_body.as_ref());
        let own_record = own.and_then(|own| own.max_record.as_ref());
        Some(Streaming {
            body: own_body.or(api.stream_body.as_ref())?,
            record: own_record.or(api.max_record.as_ref()),
            is_own: own_body.is_some(),
        })
    }

    /// Lets an operation that is known otherwise stream. One whose bodies cannot be streamed is
    /// passed over if its API says it of all.
    pub fn apply(&self, reader: &Reader<'_>, operation: &mut Operation) {
        let bounds = Bounds {
            body: self.body.value.0 as u64,
            record: self.record.map_or(operation.max_body, |at| at.value.0),
        };
        let error = |message: String, hint: &str| {
            let message = format!("bodies of {} are not streamed: {message}", operation.id);
            reader.error(self.body.position, message, hint);
        };
        match operation.contract.stream(bounds) {
            Ok(()) => {}
            Err(_) if !self.is_own => return,
            Err(reason) => {
                let hint = "remove `stream_body`: longer bodies than `max_body` are then refused";
                return error(reason, hint);
            }
        }
        if operation.asks_about_bodies() {
            let hint = "write inspector = \"off\", or max_body = \"0B\" in [inspector.NAME]";
            error(
                "a service outside is asked about whole bodies".to_owned(),
                hint,
            );
        }
        if operation.requirement.reads_body() {
            let hint = "remove the ownership rule for `body.`, or `stream_body`";
            error("ownership looks at whole bodies".to_owned(), hint);
        }
        if operation.websocket.is_some() {
            error("it may become a WebSocket".to_owned(), "remove one of both");
        }
        if self.body.value.0 <= operation.max_body {
            let hint = "write a larger `stream_body`: bodies up to `max_body` are collected";
            error("`max_body` is not smaller".to_owned(), hint);
        }
        if bounds.record == 0 {
            error(
                "no record is that short".to_owned(),
                "write max_record = \"64KiB\"",
            );
        }
    }
}

/// What is said without effect.
pub fn check_used<'o>(
    reader: &Reader<'_>,
    api: &'o Requests,
    own: impl Iterator<Item = &'o Requests>,
    operations: impl Iterator<Item = &'o Operation>,
) {
    let mut operations = operations.peekable();
    // Where nothing loads, nobody can tell.
    let is_known = operations.peek().is_some();
    let is_any = operations.any(|operation| operation.contract.streams());
    if let Some(body) = api.stream_body.as_ref().filter(|_| is_known && !is_any) {
        let message = "no operation of the API has bodies that can be streamed";
        let hint = "write it to an operation to be told why: [api.NAME.operation.ID]";
        reader.error(body.position, message, hint);
    }
    for requests in own.chain([api]) {
        let is_alone = requests.stream_body.is_none() && api.stream_body.is_none();
        if let Some(record) = requests.max_record.as_ref().filter(|_| is_alone) {
            let message = "`max_record` is not used";
            reader.error(record.position, message, "write `stream_body` with it");
        }
    }
}
