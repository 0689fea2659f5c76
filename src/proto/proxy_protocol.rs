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

/// The type of a checksum, `PP2_TYPE_CRC32C`.
const CHECKSUM: u8 = 3;

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
    let (told, block) = match fixed[13] {
        // TCP over IPv4: two addresses and two ports.
        0x11 => (client(IpAddr::from(first::<4>(carried, 12)?)), 12),
        0x21 => (client(IpAddr::from(first::<16>(carried, 36)?)), 36),
        // Unspecified, datagrams, Unix sockets: nothing that an address could be read from, and
        // of the first not even where the addresses would end.
        0x00 => return Ok(Told::Nobody),
        0x12 => (Told::Nobody, 12),
        0x22 => (Told::Nobody, 36),
        0x31 | 0x32 => (Told::Nobody, 216),
        _ => return Err(Malformed),
    };
    let added = carried.get(block..).ok_or(Malformed)?;
    check_added(fixed, carried, added)?;
    Ok(told)
}

/// What a balancer adds behind the addresses, type, length and value by type, length and value, is
/// passed over, but it must be whole; and a checksum must be that of the header.
fn check_added(fixed: &[u8; FIXED], carried: &[u8], added: &[u8]) -> Result<(), Malformed> {
    let mut rest = added;
    let mut told = None;
    while let [kind, high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, next) = behind.split_at_checked(length).ok_or(Malformed)?;
        if *kind == CHECKSUM {
            let value: [u8; 4] = value.try_into().map_err(|_| Malformed)?;
            let at = carried.len() - behind.len();
            // Two checksums: at most one of them can be right.
            match told.replace((at, u32::from_be_bytes(value))) {
                None => {}
                Some(_) => return Err(Malformed),
            }
        }
        rest = next;
    }
    let is_right = told.is_none_or(|(at, told)| {
        // It was taken while its own place held zeros.
        let parts = [&fixed[..], &carried[..at], &[0; 4], &carried[at + 4..]];
        crc32c(parts.into_iter().flatten().copied()) == told
    });
    match rest.is_empty() && is_right {
        true => Ok(()),
        false => Err(Malformed),
    }
}

/// The Castagnoli polynomial, the lowest bit first (RFC 3720 appendix B.4).
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
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
        // LOCAL: what it carries says nothing, and is not even looked at.
        assert_eq!(read(0x20, 0x11, &v4), Ok(Told::Nobody));
        assert_eq!(read(0x20, 0x11, &v4[..3]), Ok(Told::Nobody));
        assert_eq!(read(0x20, 0x7f, &[3, 0, 4]), Ok(Told::Nobody));
        assert_eq!(read(0x20, 0x00, &[]), Ok(Told::Nobody));
        assert_eq!(read(0x21, 0x00, &[3, 0, 4]), Ok(Told::Nobody));
        assert_eq!(read(0x21, 0x12, &v4), Ok(Told::Nobody));
        assert_eq!(read(0x21, 0x22, &v6), Ok(Told::Nobody));
        for family in [0x31, 0x32] {
            assert_eq!(read(0x21, family, &[0; 216]), Ok(Told::Nobody));
            assert_eq!(read(0x21, family, &[0; 215]), Err(Malformed));
        }
        for family in [0x01, 0x02, 0x10, 0x20, 0x30, 0x13, 0x41, 0xff] {
            assert_eq!(read(0x21, family, &[0; 216]), Err(Malformed), "{family:x}");
        }
        assert_eq!(read(0x21, 0x11, &v4[..11]), Err(Malformed));
        assert_eq!(read(0x21, 0x21, &v4), Err(Malformed));
        assert_eq!(read(0x22, 0x11, &v4), Err(Malformed));
        assert_eq!(super::carried(&fixed(0x11, 0x11, 12)), Err(Malformed));
        assert_eq!(
            super::carried(&fixed(0x21, 0x11, CARRIED as u16 + 1)),
            Err(Malformed)
        );
        assert_eq!(super::carried(&fixed(0x31, 0x11, 12)), Err(Malformed));
        assert_eq!(
            super::carried(&fixed(0x21, 0x11, CARRIED as u16)),
            Ok(CARRIED)
        );
        for at in 0..FIRST {
            let mut other = fixed(0x21, 0x11, 12);
            other[at] ^= 1;
            assert_eq!(super::carried(&other), Err(Malformed));
            assert_eq!(version(&other[..FIRST]), Err(Malformed));
        }
        assert_eq!(version(SIGNATURE), Ok(Version::Two));
        assert_eq!(version(b"PROXY UNKNOW"), Ok(Version::One));
        assert_eq!(version(b"GET / HTTP/1"), Err(Malformed));
    }

    #[test]
    fn what_a_balancer_adds_must_be_whole() {
        let read = |added: &[u8]| {
            let carried = [&[1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2], added].concat();
            read_binary(&fixed(0x21, 0x11, carried.len() as u16), &carried)
        };
        // A name, padding, and something that is not known.
        let added: &[u8] = &[2, 0, 1, b'h', 4, 0, 2, 0, 0, 0xea, 0, 0];
        for end in 0..=added.len() {
            let is_whole = [0, 4, 9, 12].contains(&end);
            assert_eq!(read(&added[..end]).is_ok(), is_whole, "{end}");
        }
        assert_eq!(read(&[2, 0xff, 0xff, b'h']), Err(Malformed));
        let longest = CARRIED - 12 - 3;
        let mut long = vec![0; 3 + longest];
        (long[0], long[1], long[2]) = (4, (longest >> 8) as u8, longest as u8);
        assert_eq!(read(&long), told("1.2.3.4"));
    }

    #[test]
    fn a_checksum_is_that_of_the_header() {
        // RFC 3720 appendix B.4.
        assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
        assert_eq!(crc32c(0..32), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
        let mut carried = vec![1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2];
        carried.extend_from_slice(&[2, 0, 1, b'h', CHECKSUM, 0, 4, 0, 0, 0, 0, 4, 0, 0]);
        let fixed = fixed(0x21, 0x11, carried.len() as u16);
        let sum = crc32c(fixed.iter().chain(&carried).copied());
        carried[19..23].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(read_binary(&fixed, &carried), told("1.2.3.4"));
        // Any other bit, that of the ports too, is another header.
        for bit in 0..carried.len() * 8 {
            let mut other = carried.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            // Without its type it is no checksum, but something that is not known.
            if bit / 8 != 16 {
                assert_eq!(read_binary(&fixed, &other), Err(Malformed), "{bit}");
            }
        }
        let twice = [&carried[..], &carried[16..23]].concat();
        assert_eq!(read_binary(&fixed, &twice), Err(Malformed));
        let short = [&carried[..12], &[CHECKSUM, 0, 3, 0, 0, 0]].concat();
        assert_eq!(read_binary(&fixed, &short), Err(Malformed));
    }
}
