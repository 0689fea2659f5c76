//! What a rule found, so that a person can see why.

use crate::policy::waf::collection::Collection;

/// Of a value and of a message no more is kept.
pub const KEPT: usize = 128;

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub rule: u32,
    pub severity: Option<u8>,
    /// The variable that the first link matched, such as `ARGS:id`.
    pub variable: String,
    /// What it held after the transformations, the first [`KEPT`] bytes of it; masked where it is
    /// a secret.
    pub value: String,
    /// The transformations of the first link, such as `urlDecodeUni,lowercase`.
    pub transformations: String,
    pub message: String,
    /// The rule would end the request.
    pub denies: bool,
}

/// Header fields whose values nobody should read in a log (RFC 9110 section 11.6).
const SECRET: [&str; 4] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
];

/// Parts of names of arguments whose values nobody should read in a log.
const TELLING: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "credential",
    "authorization",
    "apikey",
    "api_key",
    "api-key",
    "private_key",
    "session",
    "signature",
];

/// Whether nobody should keep what a value of this name is.
pub fn is_secret(part: Collection, name: &[u8]) -> bool {
    let mut known = SECRET.iter();
    part == Collection::RequestCookies
        || known.any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// The beginning of a value as text; nothing of a secret.
pub fn shown(variable: &[u8], value: &[u8]) -> String {
    let is_secret = SECRET.iter().any(|name| {
        let start = variable.len().saturating_sub(name.len());
        let is_last = start == 0 || variable[start - 1] == b':';
        is_last && variable[start..].eq_ignore_ascii_case(name.as_bytes())
    });
    let is_cookie = variable.starts_with(b"REQUEST_COOKIES:");
    let name = variable.to_ascii_lowercase();
    let is_told = |part: &str| memchr::memmem::find(&name, part.as_bytes()).is_some();
    if is_secret || is_cookie || TELLING.iter().any(|part| is_told(part)) {
        return format!("({} bytes)", value.len());
    }
    printable(&value[..value.len().min(KEPT)])
}

/// Bytes as text on one line.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_short_and_printable() {
        assert_eq!(
            shown(b"REQUEST_HEADERS:Authorization", b"Bearer x"),
            "(8 bytes)"
        );
        assert_eq!(shown(b"REQUEST_COOKIES:sid", b"abc"), "(3 bytes)");
        assert_eq!(shown(b"ARGS:newPassword", b"abc"), "(3 bytes)");
        assert_eq!(shown(b"ARGS:json.user.api_key", b"abc"), "(3 bytes)");
        assert_eq!(shown(b"ARGS:cookie_name", b"a\n\\"), "a\\n\\\\");
        assert_eq!(shown(b"ARGS:a", &[b'x'; 999]).len(), KEPT);
    }
}
