//! What the configuration says about the requests of described operations.

use crate::config::file::Requests;
use crate::config::reader::{At, Reader};
use crate::policy::contract::Contract;
use crate::policy::contract::codings::Codings;
use crate::policy::contract::parameters::Unknown;
use crate::policy::contract::schema::Undeclared;
use crate::proto::coding::Coding;

/// The contract of one operation, as strict as the configuration wants it.
pub fn compile(
    reader: &Reader<'_>,
    api: &Requests,
    own: Option<&Requests>,
    contract: Contract,
) -> Contract {
    let fields = own.and_then(|own| own.unknown_fields.as_ref());
    let fields = fields.or(api.unknown_fields.as_ref());
    let query = own.and_then(|own| own.unknown_query.as_ref());
    let query = query.or(api.unknown_query.as_ref());
    let contract = match fields {
        Some(word) => contract.with_unknown_fields(unknown_fields(reader, word)),
        None => contract,
    };
    if let Some(word) = own.and_then(|own| own.unknown_fields.as_ref())
        && word.value != "reject"
        && let Some(reason) = contract.spared_fields()
    {
        let hint = "remove the key: what an API says goes for its JSON bodies";
        reader.error(word.position, reason, hint);
    }
    let contract = match query {
        Some(word) => contract.with_unknown_query(unknown_query(reader, word)),
        None => contract,
    };
    let accept = own.and_then(|own| own.check_accept.as_ref());
    let contract = match accept.or(api.check_accept.as_ref()) {
        Some(At { value: true, .. }) => contract.with_accept_check(),
        _ => contract,
    };
    let tells = own.and_then(|own| own.tell_violations.as_ref());
    let contract = match tells.or(api.tell_violations.as_ref()) {
        Some(At { value: true, .. }) => contract.with_told_faults(),
        _ => contract,
    };
    contract
        .with_codings(codings(reader, api, own))
        .with_violations(violations(reader, api, own))
}

/// Most faults of one message that are named.
const VIOLATIONS: usize = 100;

/// How many faults of one message are named.
pub fn violations(reader: &Reader<'_>, api: &Requests, own: Option<&Requests>) -> usize {
    let most = own.and_then(|own| own.max_violations.as_ref());
    let Some(most) = most.or(api.max_violations.as_ref()) else {
        return 1;
    };
    if !(1..=VIOLATIONS).contains(&most.value) {
        let message = format!("max_violations cannot be {}", most.value);
        let hint = format!("write a number from 1 to {VIOLATIONS}");
        reader.error(most.position, message, hint);
    }
    most.value.clamp(1, VIOLATIONS)
}

/// In which codings bodies may come.
pub fn codings(reader: &Reader<'_>, api: &Requests, own: Option<&Requests>) -> Codings {
    let own = own.filter(|own| !own.encodings.is_empty());
    let names = own.map_or(&api.encodings, |own| &own.encodings);
    let allowed = names.iter().filter_map(|name| {
        let mut all = Coding::ALL.into_iter();
        let found = all.find(|coding| coding.name() == name.value);
        if found.is_none() {
            let message = format!("no body is decoded from \"{}\"", name.value);
            reader.error(name.position, message, "write \"gzip\" or \"deflate\"");
        }
        found
    });
    Codings::new(allowed.collect())
}

fn unknown_fields(reader: &Reader<'_>, word: &At<String>) -> Undeclared {
    match word.value.as_str() {
        "reject" => Undeclared::Refused,
        "strip" => Undeclared::Stripped,
        "report" => Undeclared::Noted,
        "refuse" => Undeclared::Forbidden,
        other => {
            let message = format!("unknown_fields cannot be \"{other}\"");
            let hint = "write \"reject\", \"refuse\", \"strip\" or \"report\"";
            reader.error(word.position, message, hint);
            Undeclared::Refused
        }
    }
}

fn unknown_query(reader: &Reader<'_>, word: &At<String>) -> Unknown {
    match word.value.as_str() {
        "reject" => Unknown::Reject,
        "strip" => Unknown::Strip,
        "report" => Unknown::Report,
        other => {
            let message = format!("unknown_query cannot be \"{other}\"");
            let hint = "write \"reject\", \"strip\" or \"report\"";
            reader.error(word.position, message, hint);
            Unknown::Reject
        }
    }
}

/// Where there is no description nothing is known that could be undeclared.
pub fn refuse(reader: &Reader<'_>, requests: &Requests) {
    if let Some(word) = &requests.unknown_fields {
        let message = "fields are known by a description only";
        reader.error(word.position, message, "add `openapi`, or remove the key");
    }
    if let Some(flag) = &requests.check_accept {
        let message = "what an operation answers with is known by a description only";
        reader.error(flag.position, message, "add `openapi`, or remove the key");
    }
    let most = requests.max_violations.as_ref().map(|at| at.position);
    let tells = requests.tell_violations.as_ref().map(|at| at.position);
    for position in most.into_iter().chain(tells) {
        let message = "what is wrong with a message is known by a description only";
        reader.error(position, message, "add `openapi`, or remove the key");
    }
    if let Some(word) = &requests.unknown_query {
        let message = "queries are checked by a description only";
        reader.error(word.position, message, "add `openapi`, or remove the key");
    }
}
