//! Where a request comes from, as it was told by proxies that are trusted: `X-Forwarded-For` and
//! `Forwarded` (RFC 7239).
//!
//! What stays true: the source is the last address that no trusted proxy has, read from the nearest
//! proxy outwards. What stands before it was written by somebody nobody knows, so it is dropped and
//! no backend gets to see it.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use crate::proto::head::{RequestHead, lines};

/// Most proxies in a row that are believed.
const HOPS: usize = 16;

/// The way of a request up to here.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The peer first, then outwards; the source last.
    hops: Vec<IpAddr>,
    /// Whether the source spoke TLS.
    pub is_tls: bool,
    /// A trusted proxy is the peer.
    pub is_told: bool,
}

impl Chain {
    /// A request straight from `peer`, or what a trusted peer tells in the head of the request.
    pub fn read(
        &mut self,
        (peer, is_tls): (IpAddr, bool),
        told: Option<(&RequestHead, &[u8])>,
        is_trusted: impl Fn(IpAddr) -> bool,
    ) {
        self.hops.clear();
        self.hops.push(peer);
        self.is_tls = is_tls;
        self.is_told = told.is_some();
        let Some((head, bytes)) = told else {
            return;
        };
        let has_list = follow(
            &mut self.hops,
            values(head, bytes, b"x-forwarded-for"),
            parse_address,
            &is_trusted,
        );
        if !has_list {
            let forwarded = values(head, bytes, b"forwarded");
            follow(&mut self.hops, forwarded, forwarded_for, &is_trusted);
        }
        // The nearest proxy's word, that of RFC 7239 where the other is not there.
        let scheme = values(head, bytes, b"x-forwarded-proto").next();
        let forwarded = || forwarded_proto(values(head, bytes, b"forwarded").next()?);
        if let Some(scheme) = scheme.or_else(forwarded) {
            self.is_tls = scheme.trim_ascii().eq_ignore_ascii_case(b"https");
        }
    }

    /// Whose request it is, as far as anybody can tell.
    pub fn source(&self) -> IpAddr {
        let unspecified = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        self.hops.last().copied().unwrap_or(unspecified)
    }

    /// Writes the lines for a backend.
    pub fn write(&self, out: &mut Vec<u8>) {
        let scheme = if self.is_tls { "https" } else { "http" };
        put(out, "X-Forwarded-Proto: ");
        put(out, scheme);
        put(out, "\r\nX-Forwarded-For: ");
        for (index, hop) in self.hops.iter().rev().enumerate() {
            put(out, if index > 0 { ", " } else { "" });
            write_address(hop, out);
        }
        put(out, "\r\nForwarded: ");
        for (index, hop) in self.hops.iter().rev().enumerate() {
            put(out, if index > 0 { ", for=" } else { "for=" });
            // RFC 7239 section 6: brackets, and so quotes.
            let (open, close) = match hop {
                IpAddr::V4(_) => ("", ""),
                IpAddr::V6(_) => ("\"[", "]\""),
            };
            put(out, open);
            write_address(hop, out);
            put(out, close);
            if index == 0 {
                put(out, ";proto=");
                put(out, scheme);
            }
        }
        put(out, "\r\n");
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Formatting by the standard library would take 2 % of the CPU of a request that is forwarded.
fn write_address(address: &IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let mut digits = itoa::Buffer::new();
            for (index, octet) in address.octets().into_iter().enumerate() {
                put(out, if index > 0 { "." } else { "" });
                put(out, digits.format(octet));
            }
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// The values of all lines of a field, the last line first.
fn values<'a>(
    head: &'a RequestHead,
    bytes: &'a [u8],
    name: &'static [u8],
) -> impl Iterator<Item = &'a [u8]> {
    let named = lines(&head.fields, bytes, name).rev();
    named.map(|field| field.value.of(bytes))
}

/// Follows lists of addresses outwards while they are those of trusted proxies. `false`: there was
/// no list.
fn follow<'a>(
    hops: &mut Vec<IpAddr>,
    lists: impl Iterator<Item = &'a [u8]>,
    parse: impl Fn(&[u8]) -> Option<IpAddr>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> bool {
    let mut has_list = false;
    for list in lists {
        has_list = true;
        for element in list.rsplit(|&byte| byte == b',') {
            let known = hops.last().copied().is_some_and(&is_trusted);
            let Some(address) = parse(element.trim_ascii()).filter(|_| known) else {
                return true;
            };
            if hops.len() == HOPS {
                return true;
            }
            hops.push(address);
        }
    }
    has_list
}

/// An address, with or without a port.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|found| found.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let found = bare().or_else(with_port).or_else(bracketed)?;
    Some(found.to_canonical())
}

/// The address in the `for` parameter of one element of `Forwarded`.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    parse_address(parameter(element, b"for")?)
}

/// The scheme that the nearest proxy tells in a line of `Forwarded`: the `proto` of its last
/// element.
fn forwarded_proto(line: &[u8]) -> Option<&[u8]> {
    let nearest = line.rsplit(|&byte| byte == b',').next()?;
    parameter(nearest, b"proto")
}

/// A parameter of one element of `Forwarded`, without its quotes.
fn parameter<'a>(element: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut pairs = element.split(|&byte| byte == b';');
    pairs.find_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let unquoted = value
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_suffix(b"\""));
        let is_wanted = name.eq_ignore_ascii_case(wanted);
        is_wanted.then_some(unquoted.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(fields: &str, is_trusted_peer: bool) -> Chain {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let mut head = RequestHead::default();
        assert_eq!(head.read(request.as_bytes()), Ok(true), "{fields}");
        let mut chain = Chain::default();
        let peer = "10.0.0.1".parse().unwrap();
        let told = is_trusted_peer.then_some((&head, request.as_bytes()));
        chain.read((peer, false), told, |address| {
            address.to_string().starts_with("10.")
        });
        chain
    }

    fn lines(chain: &Chain) -> String {
        let mut out = Vec::new();
        chain.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nobody_but_a_trusted_peer_is_believed() {
        let chain = chain(
            "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n",
            false,
        );
        assert_eq!(chain.source().to_string(), "10.0.0.1");
        assert_eq!(
            lines(&chain),
            "X-Forwarded-Proto: http\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1;proto=http\r\n"
        );
    }

    #[test]
    fn the_nearest_proxy_tells_the_scheme() {
        for (fields, is_tls) in [
            ("", false),
            ("X-Forwarded-Proto: https\r\n", true),
            ("Forwarded: for=1.2.3.4;proto=https\r\n", true),
            ("Forwarded: for=1.2.3.4; Proto=\"HTTPS\"\r\n", true),
            ("Forwarded: proto=https\r\nForwarded: proto=http\r\n", false),
            ("Forwarded: for=6.6.6.6;proto=https, for=1.2.3.4\r\n", false),
            (
                "X-Forwarded-Proto: http\r\nForwarded: proto=https\r\n",
                false,
            ),
        ] {
            assert_eq!(chain(fields, true).is_tls, is_tls, "{fields:?}");
            assert!(!chain(fields, false).is_tls, "{fields:?}");
        }
    }

    #[test]
    fn the_source_is_the_last_address_that_no_trusted_proxy_has() {
        for (fields, source) in [
            ("", "10.0.0.1"),
            ("X-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4"),
            ("X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.2\r\n", "1.2.3.4"),
            (
                "X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 1.2.3.4,10.0.0.2\r\n",
                "1.2.3.4",
            ),
            // What cannot be read ends it at the last proxy that is known.
            (
                "X-Forwarded-For: 1.2.3.4, unknown, 10.0.0.2\r\n",
                "10.0.0.2",
            ),
            ("X-Forwarded-For: 1.2.3.4, 10.0.0.2, \r\n", "10.0.0.1"),
            ("X-Forwarded-For: 1.2.3.4:567, 10.0.0.2:99\r\n", "1.2.3.4"),
            ("X-Forwarded-For: [2001:db8::1]:567\r\n", "2001:db8::1"),
            ("X-Forwarded-For: ::ffff:1.2.3.4\r\n", "1.2.3.4"),
            (
                "Forwarded: for=6.6.6.6, For=\"[2001:db8::1]:80\";proto=http, for=10.0.0.3\r\n",
                "2001:db8::1",
            ),
            ("Forwarded: by=1.1.1.1;for=1.2.3.4\r\n", "1.2.3.4"),
            ("Forwarded: for=_hidden\r\n", "10.0.0.1"),
            // One that is there is not read past.
            (
                "X-Forwarded-For: unknown\r\nForwarded: for=1.2.3.4\r\n",
                "10.0.0.1",
            ),
        ] {
            assert_eq!(
                chain(fields, true).source().to_string(),
                source,
                "{fields:?}"
            );
        }
        let long = "10.9.9.9, ".repeat(100);
        let endless = chain(
            &format!("X-Forwarded-For: 1.2.3.4, {long}10.9.9.9\r\n"),
            true,
        );
        assert_eq!(endless.hops.len(), HOPS);
    }

    #[test]
    fn a_backend_sees_the_source_and_the_proxies_behind_it() {
        let fields =
            "X-Forwarded-For: 6.6.6.6, 2001:db8::1, 10.0.0.2\r\nX-Forwarded-Proto: HTTPS\r\n";
        assert_eq!(
            lines(&chain(fields, true)),
            "X-Forwarded-Proto: https\r\nX-Forwarded-For: 2001:db8::1, 10.0.0.2, 10.0.0.1\r\n\
             Forwarded: for=\"[2001:db8::1]\";proto=https, for=10.0.0.2, for=10.0.0.1\r\n"
        );
    }
}
