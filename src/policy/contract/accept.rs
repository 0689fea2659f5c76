//! What a client accepts, against what an operation declares to answer (RFC 9110 section 12.5.1).
//!
//! Servers may disregard the field, and many clients send what they do not mean, so this is asked
//! only where the configuration says so. What cannot be read refuses nobody.

use crate::proto::head::{RequestHead, lines};

/// The media types of an operation's good answers, as declared; ranges among them.
#[derive(Clone, Debug, Default)]
pub struct Produced(Box<[Box<str>]>);

impl Produced {
    pub fn new(types: Vec<Box<str>>) -> Produced {
        Produced(types.into())
    }

    /// Whether there is an answer that the client accepts. Without a declared type or without the
    /// field there is one.
    pub fn satisfies(&self, head: &RequestHead, bytes: &[u8]) -> bool {
        let lines = lines(&head.fields, bytes, b"accept").filter(|field| !field.hop_by_hop);
        let values = lines.map(|field| field.value.of(bytes));
        let mut members = values
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|member| !member.is_empty())
            .peekable();
        if members.peek().is_none() || self.0.is_empty() {
            return true;
        }
        members.any(|member| self.has(member))
    }

    fn has(&self, member: &[u8]) -> bool {
        let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let range = parts.next().unwrap_or_default();
        let is_unwanted = parts.any(|part| match part {
            [b'q' | b'Q', b'=', weight @ ..] => {
                weight.first() == Some(&b'0') && weight.iter().all(|byte| b"0.".contains(byte))
            }
            _ => false,
        });
        let Some(slash) = memchr::memchr(b'/', range) else {
            return true;
        };
        let (kind, subtype) = (&range[..slash], &range[slash + 1..]);
        !is_unwanted
            && self.0.iter().any(|own| {
                let (own_kind, own_subtype) = own.split_once('/').unwrap_or((own, "*"));
                meets(kind, own_kind) && meets(subtype, own_subtype)
            })
    }
}

/// Whether one half of two ranges can be the same.
fn meets(asked: &[u8], own: &str) -> bool {
    let is_any = asked == b"*" || own.starts_with('*') || asked.starts_with(b"*+");
    is_any || asked.eq_ignore_ascii_case(own.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(types: &[&str], fields: &str) -> bool {
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let mut head = RequestHead::default();
        head.read(text.as_bytes()).unwrap();
        let types = types.iter().map(|&each| each.into()).collect();
        Produced::new(types).satisfies(&head, text.as_bytes())
    }

    #[test]
    fn a_client_that_accepts_nothing_of_it_is_known() {
        let own = ["application/json", "text/csv"];
        for good in [
            "",
            "Accept:\r\n",
            "Accept: */*\r\n",
            "Accept: text/html, application/*;q=0.5\r\n",
            "Accept: TEXT/CSV\r\n",
            "Accept: text/html\r\nAccept: application/json; q=0.001\r\n",
            "Accept: rubbish\r\n",
        ] {
            assert!(asks(&own, good), "{good:?}");
        }
        for bad in [
            "Accept: text/html\r\n",
            "Accept: application/json;q=0, image/*\r\n",
            "Accept: application/xml;q=1, text/csv; Q=0.00\r\n",
        ] {
            assert!(!asks(&own, bad), "{bad:?}");
            assert!(asks(&[], bad) && asks(&["*/*"], "Accept: text/html\r\n"));
        }
    }
}
