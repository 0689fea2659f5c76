//! The members of a JSON text that a schema has found valid: where they stand, without a tree and
//! without a copy.
//!
//! What stays true: the text is known to be JSON with no name twice, so nothing here judges; and
//! nothing here recurses.

/// The members of the object that `text` is, names still quoted and escaped; none of other values.
pub fn members(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text.trim_start().strip_prefix('{').unwrap_or_default();
    std::iter::from_fn(move || {
        let start = rest.find('"')?;
        let (name, after) = rest[start..].split_at(length(&rest[start..]));
        let after = after.trim_start().strip_prefix(':')?.trim_start();
        let (value, after) = after.split_at(length(after));
        rest = after.trim_start();
        // After the last member stands the end.
        rest = rest.strip_prefix(',').unwrap_or_default();
        Some((name, value))
    })
}

/// The items of the array that `text` is; none of other values.
pub fn items(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_start().strip_prefix('[').unwrap_or_default();
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with(']') {
            return None;
        }
        let (value, after) = rest.split_at(length(rest));
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or_default();
        Some(value).filter(|value| !value.is_empty())
    })
}

/// The length of the value at the start of a text.
fn length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at += quoted(&bytes[at..]),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                if depth == 0 {
                    return at;
                }
                depth -= 1;
                at += 1;
            }
            b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// The length of a string with its quotes.
fn quoted(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(next) = bytes
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        match bytes[at + next] {
            b'"' => return at + next + 1,
            _ => at += next + 2,
        }
    }
    bytes.len()
}

/// Whether a quoted string says `name`, however it is escaped.
pub fn says(quoted: &str, name: &str) -> bool {
    let inner = inner(quoted);
    match inner.contains('\\') {
        false => inner == name,
        true => {
            let mut out = String::new();
            unquote(quoted, &mut out);
            out == name
        }
    }
}

/// What stands between the quotes; empty for what is not quoted.
pub fn inner(quoted: &str) -> &str {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default()
}

/// Appends what a quoted string says.
pub fn unquote(quoted: &str, out: &mut String) {
    let mut rest = inner(quoted);
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (character, length) = escape(after);
        out.push(character);
        rest = &after[length..];
    }
    out.push_str(rest);
}

/// What an escape stands for, behind its backslash, and its length.
fn escape(text: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4);
        digits.and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    match text.as_bytes().first() {
        Some(b'n') => ('\n', 1),
        Some(b't') => ('\t', 1),
        Some(b'r') => ('\r', 1),
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'u') => match (unit(1), unit(7)) {
            (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                (char::from_u32(code).unwrap_or('\u{fffd}'), 11)
            }
            (Some(code), _) => (char::from_u32(code).unwrap_or('\u{fffd}'), 5),
            (None, _) => ('\u{fffd}', 1),
        },
        Some(_) => {
            let next = text.chars().next().unwrap_or_default();
            (next, next.len_utf8())
        }
        None => ('\\', 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a\"\\\\{}\\[\\],:é😀\n]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("[a-c\"\\\\{},:]{0,3}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn members_and_items_are_those_of_a_parser(value in value(), is_pretty in any::<bool>()) {
            let text = match is_pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            let found: Vec<_> = members(&text).collect();
            prop_assert_eq!(found.len(), value.as_object().map_or(0, |map| map.len()));
            for (name, text) in found {
                let mut out = String::new();
                unquote(name, &mut out);
                prop_assert!(says(name, &out) && !says(name, "no"));
                prop_assert_eq!(&serde_json::from_str::<Value>(text).unwrap(), &value[&out]);
            }
            let found: Vec<Value> = items(&text).map(|text| serde_json::from_str(text).unwrap()).collect();
            prop_assert_eq!(found, value.as_array().cloned().unwrap_or_default());
        }

        #[test]
        fn nothing_makes_it_fail(text in any::<String>()) {
            members(&text).count();
            items(&text).count();
            unquote(&text, &mut String::new());
        }
    }

    #[test]
    fn escapes_are_read() {
        let mut out = String::new();
        unquote(r#""q\u0075ery\ud83d\ude00\n\/\"""#, &mut out);
        assert_eq!(out, "query😀\n/\"");
        assert!(says(r#""q\u0075ery""#, "query") && !says("query", "query"));
    }
}
