//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): a balancer in front tells
//! whose connection it is, before the first byte of the connection itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What both versions can be told apart by; no header is shorter.
pub const FIRST: usize = 12;

/// The fixed part of version 2.
pub const FIXED: usize = 16;

/// Longest line of version 1, with its end.
pub const LINE: usize = 107;

/// Most that version 2 may carry behind its fixed part: addresses and what a balancer adds.
pub const CARRIED: usize = 4096;

const SIGNATURE: &[u8; FIRST] = b"\r\n\r\n\0\r\nQUIT\n";

/// How a header goes on after its first [`FIRST`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line; its end is looked for.
    One,
    /// [`FIXED`] bytes, which tell how many follow.
    Two,
}

/// What a header that is whole says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The connection is on behalf of this client.
    Client(IpAddr),
    /// It is the balancer's own, such as a health check, or of a kind that has no address.
    Nobody,
}

/// What is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// By the first [`FIRST`] bytes.
pub fn version(first: &[u8]) -> Result<Version, Malformed> {
    match first {
        first if first == SIGNATURE => Ok(Version::Two),
        first if first.starts_with(b"PROXY ") => Ok(Version::One),
        _ => Err(Malformed),
    }
}

/// A line of version 1, with its CRLF.
pub fn read_line(line: &[u8]) -> Result<Told, Malformed> {
    let line = line.strip_suffix(b"\r\n").filter(|_| line.len() <= LINE);
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let line = line.ok_or(Malformed)?;
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Ok(Told::Nobody),
        ["PROXY", family, source, destination, from, to] => {
            let address = match family {
                "TCP4" => both::<Ipv4Addr>(source, destination).map(IpAddr::V4),
                "TCP6" => both::<Ipv6Addr>(source, destination).map(IpAddr::V6),
                _ => None,
            };
            let ports = [from, to].map(|port| port.parse::<u16>().is_ok());
            let address = address.filter(|_| ports == [true, true]);
            address.map(client).ok_or(Malformed)
        }
        _ => Err(Malformed),
    }
}

/// The source, if the destination is an address of the same kind.
fn both<T: std::str::FromStr>(source: &str, destination: &str) -> Option<T> {
    destination.parse::<T>().ok()?;
    source.parse().ok()
}

fn client(address: IpAddr) -> Told {
    Told::Client(address.to_canonical())
}

/// How many bytes follow the fixed part of version 2.
pub fn carried(fixed: &[u8; FIXED]) -> Result<usize, Malformed> {
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let is_version_2 = fixed[12] >> 4 == 2 && fixed.starts_with(SIGNATURE);
    match is_version_2 && length <= CARRIED {
        true => Ok(length),
        false => Err(Malformed),
    }
}

/// Version 2, with all that it carries.
pub fn read_binary(fixed: &[u8; FIXED], carried: &[u8]) -> Result<Told, Malformed> {
    match fixed[12] & 0xf {
        // LOCAL.
        0 => return Ok(Told::Nobody),
        1 => {}
        _ => return Err(Malformed),
    }
    match fixed[13] {
        // TCP over IPv4: two addresses and two ports.
        0x11 => {
            let source: [u8; 4] = first(carried, 12)?;
            Ok(client(IpAddr::from(source)))
        }
        0x21 => {
            let source: [u8; 16] = first(carried, 36)?;
            Ok(client(IpAddr::from(source)))
        }
        // Unspecified, datagrams, Unix sockets: nothing that an address could be read from.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Ok(Told::Nobody),
        _ => Err(Malformed),
    }
}

/// The leading bytes of an address block that must be whole.
fn first<const N: usize>(carried: &[u8], block: usize) -> Result<[u8; N], Malformed> {
    let whole = carried.get(..block).ok_or(Malformed)?;
    whole.first_chunk().copied().ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(address: &str) -> Result<Told, Malformed> {
        Ok(Told::Client(address.parse().unwrap()))
    }

    #[test]
    fn lines_of_version_1() {
        for (line, expected) in [
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 65535\r\n", told("1.2.3.4")),
            ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", told("2001:db8::1")),
            ("PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n", told("1.2.3.4")),
            ("PROXY UNKNOWN\r\n", Ok(Told::Nobody)),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Ok(Told::Nobody)),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 ::1 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", Err(Malformed)),
            ("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", Err(Malformed)),
            ("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Err(Malformed)),
        ] {
            assert_eq!(read_line(line.as_bytes()), expected, "{line:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE));
        assert_eq!(read_line(long.as_bytes()), Err(Malformed));
    }

    fn fixed(command: u8, family: u8, length: u16) -> [u8; FIXED] {
        let mut fixed = [0; FIXED];
        fixed[..FIRST].copy_from_slice(SIGNATURE);
        (fixed[12], fixed[13]) = (command, family);
        fixed[14..].copy_from_slice(&length.to_be_bytes());
        fixed
    }

    #[test]
    fn headers_of_version_2() {
        let v4 = [1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2];
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[15] = 1;
        let read = |command, family, carried: &[u8]| {
            let fixed = fixed(command, family, carried.len() as u16);
            assert_eq!(super::carried(&fixed), Ok(carried.len()));
            read_binary(&fixed, carried)
        };
        assert_eq!(read(0x21, 0x11, &v4), told("1.2.3.4"));
        assert_eq!(read(0x21, 0x21, &v6), told("2001:db8::1"));
        // What a balancer adds behind the addresses is passed over.
        assert_eq!(
            read(0x21, 0x11, &[&v4[..], &[4, 0, 1, 0]].concat()),
            told("1.2.3.4")
        );
        assert_eq!(read(0x20, 0x11, &v4), Ok(Told::Nobody));
        assert_eq!(read(0x20, 0x00, &[]), Ok(Told::Nobody));
        assert_eq!(read(0x21, 0x31, &[0; 216]), Ok(Told::Nobody));
        assert_eq!(read(0x21, 0x11, &v4[..11]), Err(Malformed));
        assert_eq!(read(0x21, 0x21, &v4), Err(Malformed));
        assert_eq!(read(0x22, 0x11, &v4), Err(Malformed));
        assert_eq!(read(0x21, 0x41, &v4), Err(Malformed));
        assert_eq!(super::carried(&fixed(0x11, 0x11, 12)), Err(Malformed));
        assert_eq!(
            super::carried(&fixed(0x21, 0x11, CARRIED as u16 + 1)),
            Err(Malformed)
        );
        assert_eq!(version(SIGNATURE), Ok(Version::Two));
        assert_eq!(version(b"PROXY UNKNOW"), Ok(Version::One));
        assert_eq!(version(b"GET / HTTP/1"), Err(Malformed));
    }
}
