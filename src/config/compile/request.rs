//! What the configuration says about the requests of described operations.

use crate::config::file;
use crate::config::reader::{At, Reader};
use crate::policy::contract::Contract;
use crate::policy::contract::schema::Undeclared;

/// The contract of one operation, as strict as the configuration wants it.
pub fn compile(
    reader: &Reader<'_>,
    api: &file::Requests,
    own: Option<&file::Requests>,
    contract: Contract,
) -> Contract {
    let fields = own.and_then(|own| own.unknown_fields.as_ref());
    match fields.or(api.unknown_fields.as_ref()) {
        Some(word) => contract.with_unknown_fields(unknown_fields(reader, word)),
        None => contract,
    }
}

fn unknown_fields(reader: &Reader<'_>, word: &At<String>) -> Undeclared {
    match word.value.as_str() {
        "reject" => Undeclared::Refused,
        "strip" => Undeclared::Stripped,
        "report" => Undeclared::Noted,
        other => {
            let message = format!("unknown_fields cannot be \"{other}\"");
            let hint = "write \"reject\", \"strip\" or \"report\"";
            reader.error(word.position, message, hint);
            Undeclared::Refused
        }
    }
}

/// Where there is no description every field is unknown.
pub fn refuse(reader: &Reader<'_>, requests: &file::Requests) {
    if let Some(word) = &requests.unknown_fields {
        let message = "fields are known by a description only";
        reader.error(word.position, message, "add `openapi`, or remove the key");
    }
}
