//! Secrets in a text of any kind: JSON, a form, an address, XML, a header, a line of a log.
//!
//! One search finds the words that may begin a secret; only around those anything else is looked
//! at. What has no clear end reaches to the end of the text. After [`MOST`] secrets the rest of the
//! text counts as one, so that time stays linear.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::name::is_secret_name;

/// So many are told apart.
const MOST: usize = 64;

/// Longest name that is looked at, to each side of the word that was found.
const NAME: usize = 64;

/// Between a name and what stands for it there are at most so many quotes, escapes and blanks.
const BETWEEN: usize = 16;

/// The head of a part is at most so long.
const HEAD: usize = 1024;

/// What follows the word for a scheme is a token, not the next word, from this length on.
const TOKEN: usize = 8;

/// The words that stand in names of secrets, then what credentials begin with.
const STEMS: [&str; 27] = [
    "key", "assert", "auth", "cred", "pass", "secret", "sess", "sign", "token", "bearer", "csrf",
    "xsrf", "srf", "cvc", "cvv", "jwt", "mfa", "otp", "pin", "psk", "pw", "saml", "sid", "sig",
    "sso", "cookie", "basic",
];
const OTHERS: [&str; 3] = ["eyJ", "://", "-----BEGIN "];

static SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let mut builder = AhoCorasick::builder();
    builder
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostFirst)
        .kind(Some(AhoCorasickKind::DFA));
    builder.build(STEMS.iter().chain(&OTHERS)).ok()
});

/// Where the secrets of a text are, in order; none overlaps another one.
pub fn secrets(text: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    // The patterns are fixed: they compile, as every test that finds anything shows.
    let Some(search) = SEARCH.as_ref() else {
        found.push(0..text.len());
        return found;
    };
    let mut from = 0;
    for word in search.find_iter(text) {
        if word.start() < from {
            continue;
        }
        let (secret, next) = match word.pattern().as_usize().checked_sub(STEMS.len()) {
            Some(0) => (web_token(text, word.start()), word.end()),
            Some(1) => (user(text, word.end()), word.end()),
            Some(_) => (private_key(text, word.end()), word.end()),
            None => named(text, word.range()),
        };
        from = next;
        let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
            continue;
        };
        from = from.max(secret.end);
        if let Some(last) = found.last_mut().filter(|last| secret.start <= last.end) {
            last.end = last.end.max(secret.end);
        } else if found.len() + 1 == MOST {
            found.push(secret.start..text.len());
            break;
        } else {
            found.push(secret);
        }
    }
    found
}

/// The secret behind the name that a word is part of, and where to go on if there is none.
fn named(text: &[u8], word: Range<usize>) -> (Option<Range<usize>>, usize) {
    let name = around(text, word.clone());
    let bytes = &text[name.clone()];
    let scheme = match bytes {
        _ if bytes.eq_ignore_ascii_case(b"bearer") => token(text, name.end),
        _ if bytes.eq_ignore_ascii_case(b"basic") => pair(text, name.end),
        _ => None,
    };
    let is_secret = scheme.is_none() && is_secret_name(bytes);
    let secret = scheme.or_else(|| is_secret.then(|| value(text, &name)).flatten());
    (secret, name.end.max(word.end))
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$')
}

/// All of the name that a word is part of.
fn around(text: &[u8], word: Range<usize>) -> Range<usize> {
    let before = &text[word.start.saturating_sub(NAME)..word.start];
    let length = before
        .iter()
        .rev()
        .take_while(|&&byte| is_of_name(byte))
        .count();
    let mut start = word.start - length;
    // The digits of an escape are no letters of the name: `%3Fpwd`, `%253Fpwd`.
    if start > 0 && text[start - 1] == b'%' {
        let nested = text[start..word.start]
            .chunks(2)
            .take_while(|pair| pair == b"25");
        start = (start + 2 * nested.count() + 2).min(word.start);
    }
    let after = &text[word.end..text.len().min(word.end + NAME)];
    let length = after.iter().take_while(|&&byte| is_of_name(byte)).count();
    start..word.end + length
}

/// What stands for a name.
fn value(text: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    element(text, name)
        .or_else(|| part(text, name))
        .or_else(|| assigned(text, name.end))
}

/// `<name ...>value</name>`, with the attributes.
fn element(text: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    let before = &text[name.start.saturating_sub(NAME)..name.start];
    let prefix = before
        .iter()
        .rev()
        .take_while(|&&byte| is_of_name(byte) || byte == b':');
    let open = name.start.checked_sub(prefix.count() + 1)?;
    if text[open] != b'<' {
        return None;
    }
    let qualified = &text[open + 1..name.end];
    let rest = &text[name.end..];
    let tag = memchr::memchr(b'>', rest).unwrap_or(rest.len());
    if rest[..tag].ends_with(b"/") {
        return Some(name.end..name.end + tag);
    }
    let mut closing = memchr::memmem::find_iter(rest, b"</");
    let end = closing.find(|at| rest[at + 2..].starts_with(qualified));
    Some(name.end..name.end + end.unwrap_or(rest.len()))
}

/// A part of a multipart body: `name="password"`, a blank line, and the value up to the boundary.
fn part(text: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    let before = &text[..name.start];
    let before = before.strip_suffix(b"\"").unwrap_or(before);
    let is_parameter = before.len() > 5
        && before[before.len() - 5..].eq_ignore_ascii_case(b"name=")
        && !is_of_name(before[before.len() - 6]);
    if !is_parameter {
        return None;
    }
    let head = &text[name.end..text.len().min(name.end + HEAD)];
    let blank: [&[u8]; 2] = [b"\r\n\r\n", b"\n\n"];
    let mut lines = blank
        .iter()
        .filter_map(|line| memchr::memmem::find(head, line).map(|at| name.end + at + line.len()));
    let start = lines.next()?;
    let end = memchr::memmem::find(&text[start..], b"\n--");
    let end = end.map_or(text.len(), |end| start + end);
    Some(start..end)
}

/// How a value is told apart from its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// As in a form or in code.
    Equals,
    /// As in a header or in a text: the name is not quoted.
    Colon,
    /// As in JSON.
    QuotedColon,
}

fn assigned(text: &[u8], from: usize) -> Option<Range<usize>> {
    let (sign, at) = sign(text, from)?;
    let mut start = at;
    while text
        .get(start)
        .is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'+'))
    {
        start += 1;
    }
    let rest = &text[start..];
    let escapes = rest.iter().take_while(|&&byte| byte == b'\\').count();
    if let Some(&quote @ (b'"' | b'\'')) = rest.get(escapes) {
        let start = start + escapes + 1;
        return Some(start..start + quoted(&text[start..], quote, escapes));
    }
    let length = match (sign, rest.first()) {
        (_, Some(b'{' | b'[')) => nested(rest),
        (Sign::Equals, _) => {
            let is_end = |byte: &u8| *byte == b'&' || byte.is_ascii_whitespace();
            let plain = rest.iter().position(is_end).unwrap_or(rest.len());
            let mut escapes = memchr::memmem::find_iter(&rest[..plain], b"26");
            let escape = escapes.find_map(|at| escape_of(rest, at));
            escape.unwrap_or(plain)
        }
        (Sign::Colon, _) => {
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            end.unwrap_or(rest.len())
        }
        (Sign::QuotedColon, _) => {
            let is_end =
                |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            rest.iter().position(is_end).unwrap_or(rest.len())
        }
    };
    Some(start..start + length)
}

/// The sign behind a name, and where it ends. Quotes and brackets may close before it, and it may be
/// percent-encoded, more than once.
fn sign(text: &[u8], from: usize) -> Option<(Sign, usize)> {
    let mut is_quoted = false;
    let mut at = from;
    while at < text.len().min(from + BETWEEN) {
        let rest = &text[at..];
        let (byte, length) = unescaped(rest);
        match byte {
            b'=' => {
                // `==`, `=>`
                let more = rest[length..]
                    .iter()
                    .take_while(|byte| matches!(byte, b'=' | b'>'));
                return Some((Sign::Equals, at + length + more.count()));
            }
            b':' if is_quoted => return Some((Sign::QuotedColon, at + length)),
            b':' => return Some((Sign::Colon, at + length)),
            b'"' | b'\'' => is_quoted = true,
            b'\\' | b']' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => return None,
        }
        at += length;
    }
    None
}

/// The byte that a text begins with and how long it is, escaped or not: `%3D`, `%253d`.
fn unescaped(text: &[u8]) -> (u8, usize) {
    let nested = text
        .get(1..)
        .unwrap_or_default()
        .chunks(2)
        .take(4)
        .take_while(|pair| pair == b"25");
    let digits = 1 + 2 * nested.count();
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    match (text.first(), digit(digits), digit(digits + 1)) {
        (Some(b'%'), Some(high), Some(low)) => ((high << 4 | low) as u8, digits + 2),
        (first, ..) => (first.copied().unwrap_or_default(), 1),
    }
}

/// Where the escape begins that two digits belong to.
fn escape_of(text: &[u8], mut at: usize) -> Option<usize> {
    while at >= 2 && &text[at - 2..at] == b"25" {
        at -= 2;
    }
    at.checked_sub(1).filter(|&start| text[start] == b'%')
}

/// How far a text in quotes reaches, of which the first one had so many backslashes before it: to
/// one that has no more.
fn quoted(text: &[u8], quote: u8, escapes: usize) -> usize {
    let end = memchr::memchr_iter(quote, text).find_map(|at| {
        let before = text[..at].iter().rev().take_while(|&&byte| byte == b'\\');
        let before = before.count();
        match escapes {
            // A backslash that is itself escaped escapes nothing.
            0 => (before % 2 == 0).then_some(at),
            escapes => (before <= escapes).then_some(at - before),
        }
    });
    end.unwrap_or(text.len())
}

/// How far an object or an array reaches.
fn nested(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// The blanks behind the word for a scheme, in an address too.
fn behind_blanks(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < from + BETWEEN {
        match unescaped(text.get(at..)?) {
            (b' ' | b'\t', length) => at += length,
            (b'+', 1) => at += 1,
            _ => break,
        }
    }
    (at > from).then_some(at)
}

/// The sign set of tokens (RFC 6750 section 2.1).
fn is_of_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte)
}

fn run(text: &[u8], from: usize) -> Range<usize> {
    let rest = text.get(from..).unwrap_or_default();
    let length = rest.iter().take_while(|byte| is_of_token(byte)).count();
    from..from + length
}

/// What stands behind `Bearer`, unless it is only the next word of a sentence.
fn token(text: &[u8], from: usize) -> Option<Range<usize>> {
    let found = run(text, behind_blanks(text, from)?);
    let is_word = text[found.clone()]
        .iter()
        .all(|byte| byte.is_ascii_lowercase() || *byte == b'.');
    (found.len() >= TOKEN && !is_word).then_some(found)
}

/// What stands behind `Basic`, if it is a name and a password (RFC 7617).
fn pair(text: &[u8], from: usize) -> Option<Range<usize>> {
    let found = run(text, behind_blanks(text, from)?);
    let digits = text[found.clone()].trim_ascii_end();
    let end = digits.iter().rposition(|&byte| byte != b'=')? + 1;
    let decoded = STANDARD_NO_PAD.decode(&digits[..end]);
    decoded
        .is_ok_and(|decoded| decoded.contains(&b':'))
        .then_some(found)
}

/// A signed or encrypted token (RFC 7519): what its first part is, is an object in JSON.
fn web_token(text: &[u8], start: usize) -> Option<Range<usize>> {
    let is_whole = start == 0 || !is_of_token(&text[start - 1]) || text[start - 1] == b'=';
    let found = run(text, start);
    let mut parts = text[found.clone()].split(|&byte| byte == b'.');
    let head = parts.next()?;
    let is_object = URL_SAFE_NO_PAD
        .decode(head)
        .is_ok_and(|head| head.starts_with(b"{\""));
    let has_more = parts.next().is_some_and(|claims| claims.len() > 3);
    (is_whole && is_object && has_more).then_some(found)
}

/// Whether a text begins as an address that says who asks.
pub fn names_user(text: &[u8]) -> bool {
    let scheme = memchr::memmem::find(text, b"://");
    scheme.is_some_and(|scheme| user(text, scheme + 3).is_some())
}

/// Who asks, in an address: `https://user:password@host`. A name alone may be a token as well.
fn user(text: &[u8], from: usize) -> Option<Range<usize>> {
    let rest = &text[from..];
    let is_end =
        |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<') || *byte <= b' ';
    let end = rest.iter().position(is_end).unwrap_or(rest.len());
    let at = rest[..end].iter().rposition(|&byte| byte == b'@')?;
    let colon = rest[..at].iter().position(|&byte| byte == b':');
    Some(from + colon.map_or(0, |colon| colon + 1)..from + at)
}

/// `-----BEGIN PRIVATE KEY-----` and what follows (RFC 7468).
fn private_key(text: &[u8], from: usize) -> Option<Range<usize>> {
    let rest = &text[from..];
    let end = memchr::memmem::find(rest, b"-----")?;
    if !rest[..end].ends_with(b"PRIVATE KEY") {
        return None;
    }
    let start = from + end + 5;
    let end = memchr::memmem::find(&text[start..], b"-----END");
    Some(start..end.map_or(text.len(), |end| start + end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::redact::shown;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

    #[track_caller]
    fn masked(text: &str) -> String {
        shown(text.as_bytes(), 0..text.len())
    }

    #[test]
    fn what_stands_behind_the_name_of_a_secret_is_masked() {
        for (text, expected) in [
            ("a=1&password=hunter2&b=2", "a=1&password=(7 bytes)&b=2"),
            ("/x?pwd=hunter2#f <script>", "/x?pwd=(9 bytes) <script>"),
            (
                "https://h/?next=https%3A%2F%2Fx%2F%3Fpwd%3Dhunter2%26a%3D1",
                "https://h/?next=https%3A%2F%2Fx%2F%3Fpwd%3D(7 bytes)%26a%3D1",
            ),
            ("%253Fotp%253D123456%2526a", "%253Fotp%253D(6 bytes)%2526a"),
            ("{\"pin\":1234,\"a\":1}", "{\"pin\":(4 bytes),\"a\":1}"),
            (
                "{\"pass\" : \"hun\\\"ter2\", \"a\":1}",
                "{\"pass\" : \"(9 bytes)\", \"a\":1}",
            ),
            (
                "{\"jwt\":\"x\\\\\",\"a\":1}",
                "{\"jwt\":\"(3 bytes)\",\"a\":1}",
            ),
            (
                "{\"tokens\":[\"a\",\"b\"],\"a\":1}",
                "{\"tokens\":(9 bytes),\"a\":1}",
            ),
            (
                "{\"d\":\"{\\\"pwd\\\":\\\"hunter2\\\",\\\"a\\\":1}\"}",
                "{\"d\":\"{\\\\\"pwd\\\\\":\\\\\"(7 bytes)\\\\\",\\\\\"a\\\\\":1}\"}",
            ),
            ("{\"secret\":{\"v\":\"x\"}}", "{\"secret\":(9 bytes)}"),
            (
                "Authorization: Basic abc\r\nHost: h",
                "Authorization: (9 bytes)\\r\\nHost: h",
            ),
            ("x-auth: abc def", "x-auth: (7 bytes)"),
            ("Cookie: a=1; b=2\nA: 1", "Cookie: (8 bytes)\\nA: 1"),
            (
                "where password='hunter2' or 1=1",
                "where password='(7 bytes)' or 1=1",
            ),
            ("password => \"hunter2\"", "password => \"(7 bytes)\""),
            ("user[password]=hunter2&a", "user[password]=(7 bytes)&a"),
            (
                "<a><password>hunter2</password></a>",
                "<a><password(8 bytes)</password></a>",
            ),
            (
                "<s:password><v>hunter2</v></s:password>",
                "<s:password(15 bytes)</s:password>",
            ),
            ("<password v='hunter2'/><a/>", "<password(13 bytes)><a/>"),
            (
                "--b\r\nContent-Disposition: form-data; name=\"pwd\"\r\n\r\nhunter2\r\n--b",
                "--b\\r\\nContent-Disposition: form-data; name=\"pwd\"\\r\\n\\r\\n(8 bytes)\\n--b",
            ),
            ("passwd=", "passwd="),
            ("token", "token"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn credentials_are_known_by_their_shape() {
        let length = TOKEN.len();
        for (text, expected) in [
            (
                format!("see {TOKEN}, <script>"),
                format!("see ({length} bytes), <script>"),
            ),
            (format!("a={TOKEN}&b"), format!("a=({length} bytes)&b")),
            (
                "say Bearer abcdefg1 <x".to_owned(),
                "say Bearer (8 bytes) <x".to_owned(),
            ),
            (
                "Bearer%20ABCDEFGH".to_owned(),
                "Bearer%20(8 bytes)".to_owned(),
            ),
            (
                "log: basic dXNlcjpwYXNz;".to_owned(),
                "log: basic (12 bytes);".to_owned(),
            ),
            (
                "https://me:hunter2@h/x".to_owned(),
                "https://me:(7 bytes)@h/x".to_owned(),
            ),
            (
                "https://abcdef@h".to_owned(),
                "https://(6 bytes)@h".to_owned(),
            ),
            (
                "-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----".to_owned(),
                "-----BEGIN EC PRIVATE KEY-----(5 bytes)-----END EC PRIVATE KEY-----".to_owned(),
            ),
        ] {
            assert_eq!(masked(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_only_sounds_like_it_stays() {
        for text in [
            "passenger=4&opinion=good&pinned=true&author=me",
            "{\"passengers\":2,\"opinion\":\"x\",\"keyword\":\"a\",\"shipping\":1}",
            "compass: north, topic: x",
            "bearer of bad news",
            "a basic instruction",
            "eyJust a word.and.more",
            "https://example.com/a@b",
            "-----BEGIN CERTIFICATE-----\nMHc"
                .replace('\n', " ")
                .as_str(),
            "my password is long",
            "<passenger>Smith</passenger>",
            "select pin from t",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn there_is_an_end_to_it_and_nothing_of_any_text_is_shown_twice() {
        let many = "pin=1&".repeat(1000);
        let found = secrets(many.as_bytes());
        assert_eq!(found.len(), MOST);
        assert_eq!(found.last().unwrap().end, many.len());
        let pieces = [
            "pwd",
            "=",
            "%3D",
            "%",
            "25",
            "\"",
            "\\",
            ":",
            "<",
            "/",
            ">",
            "{",
            "Bearer ",
            "eyJ",
            "://",
            "@",
            "name=",
            "\n",
            "x",
            "-----BEGIN ",
        ];
        let mut state = 7_u64;
        for length in 0..4000 {
            let mut text = Vec::new();
            for _ in 0..length % 40 {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                text.extend_from_slice(pieces[(state >> 33) as usize % pieces.len()].as_bytes());
            }
            let found = secrets(&text);
            assert!(found.is_sorted_by(|a, b| a.end < b.start), "{found:?}");
            assert!(
                found
                    .iter()
                    .all(|each| !each.is_empty() && each.end <= text.len())
            );
            shown(&text, text.len() / 3..text.len() * 2 / 3);
        }
    }
}
