//! The first word of a rule: `ARGS|!ARGS:/^id/|&REQUEST_HEADERS:Host|XML:/*` as targets.

use crate::policy::waf::collection::Collection;
use crate::policy::waf::pattern::Pattern;
use crate::policy::waf::seclang::fault::Fault;
use crate::policy::waf::target::{Selector, Target, Targets};
use crate::policy::waf::template::{PERSISTENT, Slots};

/// Variables of other engines whose values no gateway has or none should act on.
const FOREIGN: &[&str] = &[
    "AUTH_TYPE",
    "DURATION",
    "ENV",
    "FILES_TMPNAMES",
    "FILES_TMP_CONTENT",
    "FULL_REQUEST",
    "FULL_REQUEST_LENGTH",
    "GEO",
    "MODSEC_BUILD",
    "MULTIPART_FILENAME",
    "MULTIPART_NAME",
    "PATH_INFO",
    "PERF_ALL",
    "REMOTE_HOST",
    "REMOTE_USER",
    "RESPONSE_CONTENT_LENGTH",
    "SCRIPT_FILENAME",
    "SESSIONID",
    "STATUS_LINE",
    "STREAM_INPUT_BODY",
    "TIME",
    "TIME_DAY",
    "TIME_EPOCH",
    "TIME_HOUR",
    "TIME_MIN",
    "TIME_MON",
    "TIME_SEC",
    "TIME_WDAY",
    "TIME_YEAR",
    "USERID",
    "WEBAPPID",
    "WEBSERVER_ERROR_LOG",
];

/// Reads a list of targets.
pub fn targets(text: &str, slots: &mut Slots) -> Result<Targets, Fault> {
    let mut targets = Targets::default();
    let mut rest = text;
    loop {
        let (excluded, after) = match rest.strip_prefix('!') {
            Some(after) => (true, after),
            None => (false, rest),
        };
        let (target, after) = target(after, slots)?;
        if excluded && target.count {
            return Err(Fault::broken("a count cannot be exempt"));
        }
        let list = if excluded {
            &mut targets.excluded
        } else {
            &mut targets.included
        };
        list.push(target);
        match after.strip_prefix(['|', ',']) {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(targets),
            None => {
                return Err(Fault::broken(format!(
                    "`{after}` does not belong to a variable"
                )));
            }
        }
    }
}

/// One target, such as a control names it.
pub fn single(text: &str, slots: &mut Slots) -> Result<Target, Fault> {
    let (target, after) = target(text, slots)?;
    if !after.is_empty() {
        return Err(Fault::broken(format!(
            "`{after}` does not belong to a variable"
        )));
    }
    Ok(target)
}

fn target<'a>(text: &'a str, slots: &mut Slots) -> Result<(Target, &'a str), Fault> {
    let (count, text) = match text.strip_prefix('&') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let end = text.find([':', '|', ',']).unwrap_or(text.len());
    let name = &text[..end];
    let (key, rest) = match text[end..].strip_prefix(':') {
        Some(text) if name.eq_ignore_ascii_case("XML") => {
            let end = text.find('|').unwrap_or(text.len());
            let (path, rest) = text.split_at(end);
            return Ok((xml(path, count)?, rest));
        }
        Some(text) => {
            let (key, rest) = key(text)?;
            (Some(key), rest)
        }
        None => (None, &text[end..]),
    };
    let target = resolve(name, key, count, slots)?;
    Ok((target, rest))
}

/// Of a document the rules see all texts or all attributes.
fn xml(path: &str, count: bool) -> Result<Target, Fault> {
    let collection = match path {
        "/*" | "//*" => Collection::XmlText,
        "//@*" => Collection::XmlAttributes,
        _ => return Err(Fault::unsupported(format!("the path `{path}` in XML"))),
    };
    Ok(Target {
        collection,
        selector: Selector::All,
        count,
    })
}

enum Key {
    Name(String),
    Pattern(String),
}

/// A name, or a pattern between slashes; either may stand in single quotes.
fn key(text: &str) -> Result<(Key, &str), Fault> {
    if let Some(quoted) = text.strip_prefix('\'') {
        let (inner, rest) =
            until(quoted, '\'').ok_or_else(|| Fault::broken("a quote is not closed"))?;
        let pattern = inner
            .strip_prefix('/')
            .and_then(|inner| inner.strip_suffix('/'));
        let key = match pattern {
            Some(pattern) => Key::Pattern(pattern.replace("\\/", "/")),
            None => Key::Name(inner),
        };
        return Ok((key, rest));
    }
    if let Some(pattern) = text.strip_prefix('/') {
        let (pattern, rest) = until(pattern, '/')
            .ok_or_else(|| Fault::broken("the pattern of a variable is not closed"))?;
        return Ok((Key::Pattern(pattern), rest));
    }
    let end = text.find(['|', ',']).unwrap_or(text.len());
    Ok((Key::Name(text[..end].to_owned()), &text[end..]))
}

/// The text before an unescaped sign, without the backslashes that escape it.
fn until(text: &str, sign: char) -> Option<(String, &str)> {
    let mut found = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        if letter == sign {
            return Some((found, &text[at + 1..]));
        }
        if letter != '\\' {
            found.push(letter);
            continue;
        }
        match letters.next()? {
            (_, next) if next == sign => found.push(next),
            (_, next) => found.extend(['\\', next]),
        }
    }
    None
}

fn resolve(name: &str, key: Option<Key>, count: bool, slots: &mut Slots) -> Result<Target, Fault> {
    let lower = name.to_ascii_lowercase();
    let persistent = PERSISTENT.contains(&lower.as_str());
    let collection = if persistent {
        Collection::Tx
    } else if let Some(collection) = Collection::named(name) {
        collection
    } else if FOREIGN.contains(&name.to_ascii_uppercase().as_str()) {
        return Err(Fault::unsupported(format!("the variable `{name}`")));
    } else {
        return Err(Fault::broken(format!("there is no variable `{name}`")));
    };
    if key.is_some() && !collection.is_keyed() {
        return Err(Fault::broken(format!(
            "`{name}` has no values of its own to select"
        )));
    }
    let selector = match key {
        None if persistent => {
            return Err(Fault::unsupported(format!("all values of `{name}`")));
        }
        None => Selector::All,
        Some(Key::Pattern(_)) if persistent => {
            return Err(Fault::unsupported(format!(
                "a pattern for values of `{name}`"
            )));
        }
        Some(Key::Pattern(pattern)) => {
            let pattern = Pattern::compile(&format!("(?i){pattern}"), false);
            let pattern = pattern
                .map_err(|why| Fault::unsupported(format!("the pattern of `{name}` ({why})")))?;
            Selector::Pattern(Box::new(pattern))
        }
        Some(Key::Name(key)) if persistent => {
            Selector::Slot(slots.intern(&format!("{lower}:{key}")))
        }
        Some(Key::Name(key)) if collection == Collection::Tx => Selector::Slot(slots.intern(&key)),
        Some(Key::Name(key)) => Selector::Name(key.to_ascii_lowercase().into()),
    };
    Ok(Target {
        collection,
        selector,
        count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Targets, Fault> {
        targets(text, &mut Slots::default())
    }

    #[test]
    fn selectors_counts_and_exemptions() {
        let list = read(r"REQUEST_HEADERS|!REQUEST_HEADERS:Referer|&ARGS|XML:/*|XML://@*").unwrap();
        assert_eq!(list.included.len(), 4);
        assert!(list.excludes(Collection::RequestHeaders, b"REFERER"));
        assert!(list.included[1].count);
        assert_eq!(list.included[3].collection, Collection::XmlAttributes);
        let list = read(r"ARGS:/^a\/|b$/|!ARGS_NAMES:/x|y/").unwrap();
        assert!(list.included[0].selects(Collection::ArgsPost, b"zb"));
        assert!(list.included[0].selects(Collection::ArgsGet, b"A/x"));
        assert!(!list.included[0].selects(Collection::ArgsGetNames, b"b"));
        assert!(list.excludes(Collection::ArgsGetNames, b"y"));
    }

    #[test]
    fn a_selector_may_be_quoted() {
        let list = read(r"ARGS:'/^(?:a|\'b)\/c$/'|TX:'a b'").unwrap();
        assert!(list.included[0].selects(Collection::ArgsGet, b"'b/c"));
        assert!(matches!(list.included[1].selector, Selector::Slot(_)));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (text, message) in [
            ("ARGUMENTS", "there is no variable `ARGUMENTS`"),
            ("ARGS:/a", "the pattern of a variable is not closed"),
            (
                "REQUEST_LINE:a",
                "`REQUEST_LINE` has no values of its own to select",
            ),
            ("!&ARGS", "a count cannot be exempt"),
            ("", "there is no variable ``"),
            ("ARGS|", "there is no variable ``"),
            ("GEO:COUNTRY", "the variable `GEO` is not supported"),
            ("XML:/a/b", "the path `/a/b` in XML is not supported"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
