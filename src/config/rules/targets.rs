//! What native rules look at, by words of their own: `values`, `header:user-agent`.

use crate::config::reader::{At, Table, nearest};
use crate::policy::waf::collection::Collection;
use crate::policy::waf::target::{Selector, Target};
use crate::proto::header::is_token;

/// The words, and the variables that they stand for.
const WORDS: [(&str, &[Collection]); 15] = [
    // Everything that a client says in query and body, decoded.
    (
        "values",
        &[
            Collection::Args,
            Collection::XmlText,
            Collection::XmlAttributes,
            Collection::RequestText,
        ],
    ),
    ("names", &[Collection::ArgsNames, Collection::FilesNames]),
    ("value", &[Collection::Args]),
    ("headers", &[Collection::RequestHeaders]),
    ("header", &[Collection::RequestHeaders]),
    ("header-names", &[Collection::RequestHeadersNames]),
    ("cookies", &[Collection::RequestCookies]),
    ("cookie", &[Collection::RequestCookies]),
    // Decoded once, without the query.
    ("path", &[Collection::RequestFilename]),
    // As it was received.
    ("target", &[Collection::RequestUriRaw]),
    ("query", &[Collection::QueryString]),
    ("method", &[Collection::RequestMethod]),
    ("file-names", &[Collection::Files]),
    ("part-headers", &[Collection::MultipartPartHeaders]),
    // Why a body cannot be read as what it says it is.
    ("body-fault", &[Collection::ReqbodyErrorMsg]),
];

/// All that the links before found, after their transformations.
const MATCHED: &str = "matched";

/// The targets of a key; None if one is wrong, which was told.
pub fn list(table: &Table<'_, '_>, key: &'static str, default: &[&str]) -> Option<Vec<Target>> {
    if !table.has(key) {
        let words = default.iter().map(|word| of(word));
        return words
            .collect::<Option<Vec<_>>>()
            .map(|found| found.concat());
    }
    let words = table.list::<String>(key);
    if words.is_empty() && key == "targets" {
        let hint = "name some, or leave the key out";
        table
            .reader
            .error(table.key_position(key), "there are no targets", hint);
        return None;
    }
    let found: Vec<Option<Vec<Target>>> = words.iter().map(|word| one(table, word)).collect();
    let all: Option<Vec<Vec<Target>>> = found.into_iter().collect();
    all.map(|found| found.concat())
}

fn one(table: &Table<'_, '_>, word: &At<String>) -> Option<Vec<Target>> {
    let found = of(&word.value);
    if found.is_none() {
        let name = word.value.split(':').next().unwrap_or_default();
        let known = WORDS.iter().map(|(name, _)| *name);
        let hint = match nearest(name, known.clone()) {
            Some(near) if near != name => format!("did you mean \"{near}\"?"),
            Some("value" | "header" | "cookie") => format!("write \"{name}:NAME\""),
            _ => format!("write {MATCHED}, {}", known.collect::<Vec<_>>().join(", ")),
        };
        let message = format!("there is no target \"{}\"", word.value);
        table.reader.error(word.position, message, hint);
    }
    found
}

fn of(word: &str) -> Option<Vec<Target>> {
    let target = |collection, selector| Target {
        collection,
        selector,
        count: false,
    };
    if word == MATCHED {
        return Some(vec![target(Collection::MatchedVars, Selector::All)]);
    }
    let (word, name) = match word.split_once(':') {
        Some((word, name)) => (word, Some(name).filter(|name| !name.is_empty())),
        None => (word, None),
    };
    let takes_name = matches!(word, "value" | "header" | "cookie");
    let (_, collections) = WORDS.iter().find(|(known, _)| *known == word)?;
    let selector = match (takes_name, name) {
        // No field has a name that is no token (RFC 9110 section 5.1).
        (true, Some(name)) if word == "header" && !is_token(name.as_bytes()) => return None,
        (true, Some(name)) => Selector::Name(name.to_ascii_lowercase().into()),
        (false, None) => Selector::All,
        (true, None) | (false, Some(_)) => return None,
    };
    let targets = collections.iter();
    Some(
        targets
            .map(|&collection| target(collection, selector.clone()))
            .collect(),
    )
}
