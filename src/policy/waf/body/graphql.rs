//! GraphQL (the specification of October 2021, sections 2.1 and 2.9): of a document only what a
//! client can put data into, its strings. Names and punctuation are the schema's, and rules that
//! look for shells or SQL would take `$first: Int!` for an attack.

use super::{Error, NAME, Scratch, Target, Visits, json, text};
use crate::proto::graphql::{self, Kind, Lexer, SyntaxError};

/// A request in JSON: `query` as a document, the rest as JSON. A batch is an array of them.
pub(super) fn read_request(
    body: &[u8],
    depth: usize,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    let mut decoded = std::mem::take(&mut scratch.document);
    let mut outcome = Ok(());
    let left = visits.left;
    let mut visit = |target: Target, name: &[u8], value: &[u8]| {
        let read = match target == Target::JsonText && is_document(name) {
            true => strings(value, &mut decoded, visits),
            false => visits.value(target, name, value),
        };
        outcome = outcome.and(read);
    };
    let read = json::read(
        body,
        None,
        depth,
        scratch,
        &mut Visits::new(left, &mut visit),
    );
    scratch.document = decoded;
    read.and(outcome)
}

/// `json.query` and `json.0.query`.
fn is_document(path: &[u8]) -> bool {
    let middle = path
        .strip_prefix(b"json")
        .and_then(|path| path.strip_suffix(b".query"));
    middle.is_some_and(|middle| match middle {
        [] => true,
        [b'.', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    })
}

/// Visits the strings of a document, each under the name that stands before it.
pub(super) fn read_document(
    document: &[u8],
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    strings(document, &mut scratch.decoded, visits)
}

fn strings(document: &[u8], decoded: &mut Vec<u8>, visits: &mut Visits<'_>) -> Result<(), Error> {
    let text = text(document)?;
    let mut name: &[u8] = b"";
    for token in Lexer::new(text) {
        let token = token.map_err(|SyntaxError| Error::GraphqlSyntax)?;
        let word = &document[token.start..token.end];
        match token.kind {
            Kind::Name => name = &word[..word.len().min(NAME)],
            Kind::String | Kind::Block => {
                decoded.clear();
                graphql::decode(word, decoded);
                visits.value(Target::GraphqlText, name, decoded)?;
            }
            Kind::Punctuator(_) | Kind::Spread | Kind::Int | Kind::Float => {}
        }
    }
    Ok(())
}
