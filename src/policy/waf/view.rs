//! What the gateway looks at besides what the rule language knows of: values that are packed in
//! other values, segments of the path, header fields that an application reads as arguments.

/// How an operation wants its requests looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Header fields that are looked at like arguments, in lower case; `*` is all that are not
    /// known to HTTP.
    pub headers: Box<[Box<str>]>,
    /// Texts in files that are sent are looked at like arguments.
    pub files: bool,
}

/// Fields of HTTP and of browsers, which no application takes arguments from.
const KNOWN: [&str; 32] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "dnt",
    "expect",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "range",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "user-agent",
    "via",
];

impl View {
    pub fn takes_header(&self, name: &[u8]) -> bool {
        self.headers.iter().any(|wanted| match &**wanted {
            "*" => !KNOWN
                .iter()
                .any(|known| known.as_bytes().eq_ignore_ascii_case(name)),
            wanted => wanted.as_bytes().eq_ignore_ascii_case(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_are_taken_by_name_or_all_that_are_not_known() {
        let view = |names: &[&str]| View {
            headers: names.iter().map(|&name| name.into()).collect(),
            files: false,
        };
        assert!(view(&["x-filter"]).takes_header(b"X-Filter"));
        assert!(!view(&["x-filter"]).takes_header(b"X-Filters"));
        assert!(view(&["*"]).takes_header(b"X-Anything"));
        assert!(!view(&["*"]).takes_header(b"Authorization"));
        assert!(view(&["*", "authorization"]).takes_header(b"Authorization"));
        assert!(!view(&[]).takes_header(b"X-Anything"));
    }
}
