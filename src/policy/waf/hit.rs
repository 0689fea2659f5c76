//! What a rule found, so that a person can see why.

use crate::policy::redact;
use crate::policy::waf::operator::Spot;

/// Of a value and of a message no more is kept.
pub const KEPT: usize = 128;

/// So much of a longer value is shown before the bytes that matched, or behind them where only
/// their end is known.
const AROUND: usize = 32;

/// Collections whose values are names, which are shown as such.
const NAMES: [&str; 4] = [
    "ARGS_NAMES:",
    "FILES_NAMES:",
    "REQUEST_COOKIES_NAMES:",
    "REQUEST_HEADERS_NAMES:",
];

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub rule: u32,
    pub severity: Option<u8>,
    /// The variable that the first link matched, such as `ARGS:id`.
    pub variable: String,
    /// What it held after the transformations: all of up to [`KEPT`] bytes, of a longer one those
    /// around what matched, or the first where the operator tells no place. Secrets are masked.
    pub value: String,
    /// Where in it that begins.
    pub at: usize,
    /// The transformations of the first link, such as `urlDecodeUni,lowercase`.
    pub transformations: String,
    pub message: String,
    /// The rule would end the request.
    pub denies: bool,
}

/// A value that a rule matched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found<'a> {
    /// Such as `ARGS:id`.
    pub variable: &'a [u8],
    pub value: &'a [u8],
    /// It stands for a name that the variable does not tell, and that is the name of a secret.
    pub is_secret: bool,
    pub spot: Spot,
}

impl Found<'_> {
    /// Whether nothing of it may be read in a log.
    pub fn is_masked(&self) -> bool {
        let is = |name: &[u8]| self.variable.starts_with(name);
        let is_cookie = is(b"REQUEST_COOKIES:") || self.variable == b"REQUEST_COOKIES";
        let is_name = NAMES.iter().any(|names| is(names.as_bytes()));
        let named = || redact::is_secret_name(self.variable);
        self.is_secret || is_cookie || is_field(self.variable) || !is_name && named()
    }

    /// What is shown of it, and where in it that begins.
    pub fn shown(&self) -> (String, usize) {
        if self.is_masked() {
            return (redact::length(self.value.len()), 0);
        }
        let length = self.value.len();
        let start = match self.spot {
            Spot::Unknown => 0,
            Spot::Part { start } => start.saturating_sub(AROUND),
            Spot::End(end) => (end + AROUND).saturating_sub(KEPT),
        };
        let start = start.min(length.saturating_sub(KEPT));
        (
            redact::shown(self.value, start..length.min(start + KEPT)),
            start,
        )
    }
}

/// Whether a variable is a header field that is a credential.
fn is_field(variable: &[u8]) -> bool {
    let colon = memchr::memchr(b':', variable);
    colon.is_some_and(|colon| redact::is_credential_field(&variable[colon + 1..]))
}

/// The beginning of a text for people, with what is a secret in it masked.
pub fn beginning(text: &[u8]) -> String {
    redact::shown(text, 0..text.len().min(KEPT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(variable: &str, value: &[u8], spot: Spot) -> (String, usize) {
        let found = Found {
            variable: variable.as_bytes(),
            value,
            is_secret: false,
            spot,
        };
        found.shown()
    }

    #[test]
    fn secrets_are_masked_and_the_rest_is_short_and_printable() {
        let shown = |variable: &str, value: &[u8]| shown(variable, value, Spot::Unknown).0;
        assert_eq!(
            shown("REQUEST_HEADERS:Authorization", b"Bearer x"),
            "(8 bytes)"
        );
        assert_eq!(shown("REQUEST_HEADERS:X-Auth", b"x"), "(1 bytes)");
        assert_eq!(shown("REQUEST_HEADERS:Cookie", b"a=b"), "(3 bytes)");
        assert_eq!(shown("RESPONSE_HEADERS:set-cookie", b"a=b"), "(3 bytes)");
        assert_eq!(shown("REQUEST_COOKIES:sid", b"abc"), "(3 bytes)");
        assert_eq!(shown("REQUEST_COOKIES", b"abc"), "(3 bytes)");
        assert_eq!(shown("ARGS:newPassword", b"abc"), "(3 bytes)");
        assert_eq!(shown("ARGS:json.user.api_key", b"abc"), "(3 bytes)");
        assert_eq!(
            shown("ARGS_NAMES:password[$ne]", b"password[$ne]"),
            "password[$ne]"
        );
        assert_eq!(shown("ARGS:cookie_name", b"a\n\\"), "a\\n\\\\");
        assert_eq!(shown("ARGS:passenger", b"abc"), "abc");
        assert_eq!(shown("ARGS:a", &[b'x'; 999]).len(), KEPT);
        let inner = Found {
            variable: b"ARGS:data",
            value: b"abc",
            is_secret: true,
            spot: Spot::Unknown,
        };
        assert_eq!(inner.shown(), ("(3 bytes)".to_owned(), 0));
    }

    #[test]
    fn of_a_long_value_what_matched_is_shown() {
        let value = [&[b'x'; 300][..], b"<script", &[b'y'; 300]].concat();
        let (text, at) = shown("ARGS:a", &value, Spot::Part { start: 300 });
        assert_eq!((text.len(), at), (KEPT, 268));
        assert!(
            text.starts_with(&format!("{}<scripty", "x".repeat(32))),
            "{text}"
        );
        let (text, at) = shown("ARGS:a", &value, Spot::End(307));
        assert_eq!((text.len(), at), (KEPT, 211));
        assert!(
            text.ends_with(&format!("x<script{}", "y".repeat(32))),
            "{text}"
        );
        assert_eq!(shown("ARGS:a", &value, Spot::End(3)).1, 0);
        assert_eq!(shown("ARGS:a", &value, Spot::End(607)).1, 607 - KEPT);
        assert_eq!(shown("ARGS:a", b"short", Spot::Part { start: 4 }).1, 0);
        // What is before the part that is shown tells that it is a secret.
        let text = format!("password={} <script", "x".repeat(300));
        let (shown, _) = shown("REQUEST_TEXT", text.as_bytes(), Spot::End(text.len()));
        assert_eq!(shown, "(300 bytes) <script");
    }
}
