//! What the configuration says about the responses of described operations.

use std::path::Path;
use std::sync::Arc;

use crate::config::compile::{collection, mask, one_of};
use crate::config::file;
use crate::config::reader::{At, Reader};
use crate::diagnostic::{Diagnostic, Position};
use crate::policy::contract::ResponseContract;
use crate::policy::contract::response::{Enforcement, Items, Responses};
use crate::policy::contract::schema::MaskKey;
use crate::policy::leak::{Leaks, Watch};

/// Longest body that is read when nothing else is said.
const BODY: usize = 1024 * 1024;

/// The responses of one operation as its document declares them.
pub struct Described<'d> {
    pub file: &'d Path,
    /// Where the operation stands.
    pub position: Position,
    pub responses: Option<Result<Responses, Vec<Diagnostic>>>,
    /// How many items may leave at once, and where that is said.
    pub items: Option<(Items, &'d file::Collection)>,
    pub mask_key: &'d MaskKey,
}

/// None: the responses of the operation are not checked.
pub fn compile(
    reader: &Reader<'_>,
    api: &file::Answers,
    own: Option<&file::Answers>,
    described: Described<'_>,
) -> Option<ResponseContract> {
    let word = own.and_then(|own| own.responses.as_ref());
    let enforcement = match word.or(api.responses.as_ref()) {
        Some(word) => match enforcement(reader, word) {
            Some(enforcement) => enforcement,
            None => {
                refuse_unread(reader, (api, own), &described);
                return None;
            }
        },
        None => Enforcement::default(),
    };
    let responses = match described.responses {
        Some(Ok(responses)) => responses,
        Some(Err(found)) => {
            reader.extend(found);
            return None;
        }
        None => {
            let message = "the operation declares no `responses`: nothing would be let back";
            let hint = "declare them, or write responses = \"off\" in [api.NAME]: they are not \
                        checked then";
            let diagnostic = Diagnostic::new(described.file, described.position, message);
            reader.extend(vec![diagnostic.with_hint(hint)]);
            return None;
        }
    };
    let most = own.and_then(|own| own.max_body.as_ref());
    let most = most.or(api.max_body.as_ref()).map_or(BODY, |at| at.value.0);
    let names = api.headers.iter();
    let names = names.chain(own.into_iter().flat_map(|own| &own.headers));
    let names: Vec<&str> = names.map(|name| name.value.as_str()).collect();
    let masks = mask::compile(reader, api, own, described.mask_key);
    mask::refuse_lost(reader, own, &responses);
    let all_masks = [Some(api), own].into_iter().flatten();
    for answers in all_masks {
        mask::refuse_headers(reader, &answers.masks, &responses);
    }
    let is_json = responses.is_json();
    if let Some((items, declared)) = &described.items
        && is_json
        && !responses.lead_to_array(&items.pointer)
    {
        collection::refuse_lost(reader, declared);
    }
    let contract = ResponseContract::new(responses, enforcement, most, &names).with_masks(masks);
    if let Some(essence) = contract.unmasked() {
        let message = format!("a format of `{essence}` is to be masked, which only JSON is");
        let hint = "remove the `format` from the schema, or the mask";
        let diagnostic = Diagnostic::new(described.file, described.position, message);
        reader.extend(vec![diagnostic.with_hint(hint)]);
    }
    let contract = stream(reader, (api, own), contract);
    Some(match described.items {
        Some((items, declared)) => {
            if !is_json {
                let reason = "items of a response that is no JSON are not counted";
                collection::refuse(reader, declared, reason);
            }
            contract.with_items(items)
        }
        None => contract,
    })
}

/// Records leave as they come where that is said. To an operation it is said by mistake if it answers
/// with none; to an API it may be for others.
fn stream(
    reader: &Reader<'_>,
    (api, own): (&file::Answers, Option<&file::Answers>),
    contract: ResponseContract,
) -> ResponseContract {
    let said = own.and_then(|own| own.streams.as_ref());
    if let Some(at) = said.filter(|at| at.value && !contract.has_records()) {
        let message = "the operation answers with no records that could leave one by one";
        let hint =
            "declare application/x-ndjson or application/json-seq with a schema of one record";
        reader.error(at.position, message, hint);
    }
    let streams = said.or(api.streams.as_ref()).is_some_and(|at| at.value);
    match streams && contract.has_records() {
        true => contract.with_streams(),
        false => contract,
    }
}

/// What is hidden or counted only where responses are checked.
fn refuse_unread(
    reader: &Reader<'_>,
    (api, own): (&file::Answers, Option<&file::Answers>),
    described: &Described<'_>,
) {
    let own_answers = own;
    let own = own.into_iter().flat_map(|own| &own.masks);
    for declared in api.masks.iter().chain(own) {
        let message = "responses that are not checked are not masked";
        reader.error(
            declared.position,
            message,
            "write responses = \"report\" at least",
        );
    }
    let own_streams = own_answers.and_then(|own| own.streams.as_ref());
    if let Some(at) = own_streams.filter(|at| at.value) {
        let message = "responses that are not checked leave as they come anyway";
        reader.error(at.position, message, "remove `stream_responses`");
    }
    if let Some(Ok(responses)) = &described.responses
        && responses.hide()
    {
        let message = "the document hides or masks values of responses that are not checked";
        let hint = "write responses = \"report\" at least, or remove x-visible-to, x-mask and \
                    writeOnly from what is answered";
        let diagnostic = Diagnostic::new(described.file, described.position, message);
        reader.extend(vec![diagnostic.with_hint(hint)]);
    }
    if let Some((_, declared)) = &described.items {
        let reason = "items of responses that are not checked are not counted";
        collection::refuse(reader, declared, reason);
    }
}

/// How the answers of an operation are searched for leaks. None: not at all.
pub fn watch(
    reader: &Reader<'_>,
    leaks: Option<&Arc<Leaks>>,
    api: &file::Answers,
    own: Option<&file::Answers>,
) -> Option<Watch> {
    let word = own.and_then(|own| own.leaks.as_ref());
    let modes = [
        ("detect", Some(false)),
        ("block", Some(true)),
        ("off", None),
    ];
    let word = word.or(api.leaks.as_ref());
    let blocks = one_of(reader, word, &modes, Some(false))?;
    let leaks = leaks.cloned()?;
    Some(Watch { leaks, blocks })
}

/// None: not at all.
fn enforcement(reader: &Reader<'_>, word: &At<String>) -> Option<Enforcement> {
    match word.value.as_str() {
        "reject" => Some(Enforcement::Reject),
        "strip" => Some(Enforcement::Strip),
        "report" => Some(Enforcement::Report),
        "off" => None,
        other => {
            let message = format!("responses cannot be \"{other}\"");
            let hint = "write \"reject\", \"strip\", \"report\" or \"off\"";
            reader.error(word.position, message, hint);
            None
        }
    }
}

/// Where there is no description there is nothing to check responses by.
pub fn refuse(reader: &Reader<'_>, answers: &file::Answers) {
    let words = answers.responses.iter().chain(&answers.headers);
    let words = words.chain(&answers.leaks);
    let sizes = answers.max_body.iter().map(|at| at.position);
    let masks = answers.masks.iter().map(|mask| mask.position);
    let streams = answers.streams.iter().map(|at| at.position);
    let keys = words.map(|at| at.position).chain(sizes).chain(masks);
    for position in keys.chain(streams) {
        let message = "responses are checked by a description only";
        reader.error(position, message, "add `openapi`, or remove the key");
    }
}
