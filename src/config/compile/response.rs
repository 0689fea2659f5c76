//! What the configuration says about the responses of described operations.

use std::path::Path;

use crate::config::file;
use crate::config::reader::{At, Reader};
use crate::diagnostic::{Diagnostic, Position};
use crate::policy::contract::ResponseContract;
use crate::policy::contract::response::{Enforcement, Responses};

/// Longest body that is read when nothing else is said.
const BODY: usize = 1024 * 1024;

/// The responses of one operation as its document declares them.
pub struct Described<'d> {
    pub file: &'d Path,
    /// Where the operation stands.
    pub position: Position,
    pub responses: Option<Result<Responses, Vec<Diagnostic>>>,
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
        Some(word) => enforcement(reader, word)?,
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
    Some(ResponseContract::new(responses, enforcement, most, &names))
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
    let sizes = answers.max_body.iter().map(|at| at.position);
    for position in words.map(|at| at.position).chain(sizes) {
        let message = "responses are checked by a description only";
        reader.error(position, message, "add `openapi`, or remove the key");
    }
}
