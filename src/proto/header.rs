//! Field names: which of them we act on, which end at each hop, and which spellings a backend may
//! take for one and the same name.

/// Fields that the gateway itself reads or rewrites; every other is [`Kind::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Authorization,
    Connection,
    ContentLength,
    ContentType,
    Expect,
    Host,
    Http2Settings,
    KeepAlive,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    RequestId,
    Te,
    Traceparent,
    Tracestate,
    Trailer,
    TransferEncoding,
    Upgrade,
    Other,
}

/// Whether a text may be the name of a field, and of much else (RFC 9110 section 5.6.2).
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

/// Whether a byte may stand in one.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl Kind {
    /// Length decides first, so that an unknown name costs one comparison at most.
    pub fn of(name: &[u8]) -> Kind {
        let (candidate, kind): (&[u8], Kind) = match name.len() {
            2 => (b"te", Kind::Te),
            4 => (b"host", Kind::Host),
            6 => (b"expect", Kind::Expect),
            7 if name[0] | 0x20 == b'u' => (b"upgrade", Kind::Upgrade),
            7 => (b"trailer", Kind::Trailer),
            10 if name[0] | 0x20 == b'c' => (b"connection", Kind::Connection),
            10 if name[0] | 0x20 == b'k' => (b"keep-alive", Kind::KeepAlive),
            10 => (b"tracestate", Kind::Tracestate),
            11 => (b"traceparent", Kind::Traceparent),
            12 if name[0] | 0x20 == b'x' => (b"x-request-id", Kind::RequestId),
            12 => (b"content-type", Kind::ContentType),
            13 => (b"authorization", Kind::Authorization),
            14 if name[0] | 0x20 == b'h' => (b"http2-settings", Kind::Http2Settings),
            14 => (b"content-length", Kind::ContentLength),
            16 => (b"proxy-connection", Kind::ProxyConnection),
            17 => (b"transfer-encoding", Kind::TransferEncoding),
            18 => (b"proxy-authenticate", Kind::ProxyAuthenticate),
            19 => (b"proxy-authorization", Kind::ProxyAuthorization),
            _ => return Kind::Other,
        };
        if name.eq_ignore_ascii_case(candidate) {
            kind
        } else {
            Kind::Other
        }
    }

    /// Whether the field speaks of one connection only and ends here (RFC 9110 section 7.6.1).
    pub fn is_hop_by_hop(self) -> bool {
        match self {
            Kind::Connection
            | Kind::Expect
            | Kind::Http2Settings
            | Kind::KeepAlive
            | Kind::ProxyAuthenticate
            | Kind::ProxyAuthorization
            | Kind::ProxyConnection
            | Kind::Te
            | Kind::Trailer
            | Kind::TransferEncoding
            | Kind::Upgrade => true,
            Kind::Authorization
            | Kind::ContentLength
            | Kind::ContentType
            | Kind::Host
            | Kind::RequestId
            | Kind::Traceparent
            | Kind::Tracestate
            | Kind::Other => false,
        }
    }
}

/// Members of a comma-separated list, outer white space removed (RFC 9110 section 5.6.1).
pub fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Names by which frameworks let a request be another one: of another method or path.
const OVERRIDES: [&[u8]; 6] = [
    b"x-http-method",
    b"x-rewrite-url",
    b"x-original-url",
    b"x-override-url",
    b"x-method-override",
    b"x-http-method-override",
];

/// What tells the framing, for a backend that takes `_` for `-`.
const FRAMING: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];

/// Whether a backend may take a request with such a field for another one.
pub fn overrides(name: &[u8]) -> bool {
    matches!(name, [b'x' | b'X', ..]) && is_alias(name, &OVERRIDES)
}

/// Whether a backend may read the framing out of a field that is not the one that tells it.
pub fn is_framing_alias(name: &[u8]) -> bool {
    is_alias(name, &FRAMING) && Kind::of(name) == Kind::Other
}

/// Families of names that tell a backend how a request came to it.
const WAY_FAMILIES: [&[u8]; 3] = [b"x-forwarded-", b"x-envoy-", b"x-original-"];

/// Names without a family that do so, as proxies and content networks use them.
const WAY: [&[u8]; 13] = [
    b"forwarded",
    b"x-forwarded",
    b"x-real-ip",
    b"x-client-ip",
    b"x-remote-ip",
    b"x-remote-addr",
    b"x-cluster-client-ip",
    b"true-client-ip",
    b"client-ip",
    b"proxy-client-ip",
    b"cf-connecting-ip",
    b"cf-connecting-ipv6",
    b"fastly-client-ip",
];

/// What a trusted proxy may say of the way beside addresses and scheme.
const INHERITED: [&[u8]; 3] = [
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-prefix",
];

/// Whether a backend may take a field for a word on the way of a request, which only the gateway and
/// the proxies that it trusts have to say.
pub fn tells_the_way(name: &[u8]) -> bool {
    let is_candidate = matches!(
        name.first().map(u8::to_ascii_lowercase),
        Some(b'x' | b'f' | b't' | b'c' | b'p')
    );
    is_candidate && (WAY_FAMILIES.iter().any(|family| begins(name, family)) || is_alias(name, &WAY))
}

/// Whether a trusted proxy's word of this name goes on to the backend: in its own spelling only.
pub fn is_inherited(name: &[u8]) -> bool {
    let mut names = INHERITED.iter();
    names.any(|inherited| name.eq_ignore_ascii_case(inherited))
}

fn begins(name: &[u8], family: &[u8]) -> bool {
    name.len() >= family.len() && family.iter().zip(name).all(|(&a, &b)| a == fold(b))
}

fn is_alias(name: &[u8], known: &[&[u8]]) -> bool {
    let mut known = known.iter().filter(|known| known.len() == name.len());
    known.any(|known| name.iter().zip(*known).all(|(&a, &b)| fold(a) == b))
}

/// A set of names that only the gateway may write, known by every alias of theirs.
///
/// CGI-style backends fold `X-User-ID`, `x_user_id` and `X.User.Id` into one variable, so all of
/// them are one name here: letter case is ignored, and `-`, `_` and `.` count as the same byte.
#[derive(Clone, Debug, Default)]
pub struct SealedNames {
    folded: Vec<Box<[u8]>>,
    lengths: u64,
}

impl SealedNames {
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> SealedNames {
        let mut sealed = SealedNames::default();
        for name in names {
            let folded: Box<[u8]> = name.bytes().map(fold).collect();
            sealed.lengths |= length_bit(folded.len());
            if !sealed.folded.contains(&folded) {
                sealed.folded.push(folded);
            }
        }
        sealed
    }

    /// Whether a backend might take `name` for one of the sealed names.
    pub fn cover(&self, name: &[u8]) -> bool {
        self.lengths & length_bit(name.len()) != 0
            && self.folded.iter().any(|sealed| {
                sealed.len() == name.len() && sealed.iter().zip(name).all(|(&a, &b)| a == fold(b))
            })
    }
}

/// One bit per length, the long ones sharing the last: most names are told apart by it alone.
fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

fn fold(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' => b'-',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_ignore_letter_case_and_nothing_else() {
        assert_eq!(Kind::of(b"Transfer-Encoding"), Kind::TransferEncoding);
        assert_eq!(Kind::of(b"TRANSFER-ENCODING"), Kind::TransferEncoding);
        assert_eq!(Kind::of(b"Transfer_Encoding"), Kind::Other);
        assert_eq!(Kind::of(b"upgradE"), Kind::Upgrade);
        assert_eq!(Kind::of(b"trailer"), Kind::Trailer);
        assert_eq!(Kind::of(b"traileR"), Kind::Trailer);
        assert_eq!(Kind::of(b""), Kind::Other);
    }

    #[test]
    fn names_of_another_request_and_of_another_framing() {
        for name in [
            "X-HTTP-Method-Override",
            "x_http_method_override",
            "X-HTTP-Method",
            "X-Method.Override",
            "X-Original-URL",
            "x-rewrite-url",
            "X_Override_Url",
        ] {
            assert!(overrides(name.as_bytes()), "{name}");
        }
        for name in [
            "X-HTTP-Methods",
            "Y-Original-URL",
            "X-Original-URI",
            "X",
            "",
        ] {
            assert!(!overrides(name.as_bytes()), "{name}");
        }
        for name in ["Content_Length", "content.length", "Transfer_Encoding"] {
            assert!(is_framing_alias(name.as_bytes()), "{name}");
        }
        for name in ["Content-Length", "Transfer-Encoding", "Content_Lengths"] {
            assert!(!is_framing_alias(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn sealed_names_are_known_in_every_alias() {
        let sealed = SealedNames::new(["X-User-ID", "X-Client-ID"]);
        for alias in [
            "X-User-ID",
            "x_user_id",
            "X.User.Id",
            "x-USER_id",
            "X-Client.ID",
        ] {
            assert!(sealed.cover(alias.as_bytes()), "{alias} must be covered");
        }
        for other in ["X-User-I", "X-User-IDs", "XUser-ID-", "X-Account", ""] {
            assert!(!sealed.cover(other.as_bytes()), "{other} is another name");
        }
    }

    #[test]
    fn list_members_drop_empty_elements() {
        let members: Vec<_> = list_members(b" close ,, x-a,\tkeep-alive").collect();
        assert_eq!(members, [&b"close"[..], b"x-a", b"keep-alive"]);
    }
}
