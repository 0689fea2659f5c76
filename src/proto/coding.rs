//! Content codings (RFC 9110 section 8.4.1), taken off piece by piece and within bounds.
//!
//! What stays true: a body is decoded to its end with its checksum, nothing follows it, and never
//! does more come out than the bounds allow, however little went in.

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// A coding that can be taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952, one member.
    Gzip,
    /// RFC 1950: in spite of its name not the bare RFC 1951.
    Deflate,
}

impl Coding {
    pub const ALL: [Coding; 2] = [Coding::Gzip, Coding::Deflate];

    /// As it stands in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
        }
    }

    /// RFC 9110 section 8.4.1.3: `x-gzip` is `gzip`.
    pub fn read(value: &[u8]) -> Option<Coding> {
        if value.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Coding::Gzip);
        }
        let mut all = Coding::ALL.into_iter();
        all.find(|coding| value.eq_ignore_ascii_case(coding.name().as_bytes()))
    }
}

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not what its coding says, ends too early or goes on behind its end.
    Malformed,
    /// More comes out than is allowed.
    TooLarge,
}

/// Most bytes out for each byte in. Documents of text shrink by five to twenty, logs by fifty; a
/// bomb by a thousand.
pub const RATIO: usize = 100;

/// What may come out before the ratio counts: short texts of one letter are no attack.
pub const FREE: usize = 64 * 1024;

/// How much room is made at once.
const PIECE: usize = 16 * 1024;

/// Longest head of a gzip member; names of files are in it.
const HEAD: usize = 4 * 1024;

/// Where the decoder is in the coded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the ten bytes that every head begins with.
    Fixed(usize),
    ExtraLength(Option<u8>),
    Extra(usize),
    Name,
    Comment,
    HeadCheck(usize),
    Content,
    /// In the checksum and length behind the content.
    Trailer(usize),
    End,
}

/// Takes one coding off a body.
pub struct Decoder {
    inflate: Decompress,
    coding: Coding,
    at: At,
    flags: u8,
    head: usize,
    crc: Crc,
    trailer: [u8; 8],
    max: usize,
    /// Bytes in.
    read: usize,
    out: Vec<u8>,
}

impl Decoder {
    /// `max`: most bytes that may come out.
    pub fn new(coding: Coding, max: usize) -> Decoder {
        Decoder {
            inflate: Decompress::new(coding == Coding::Deflate),
            coding,
            at: match coding {
                Coding::Gzip => At::Fixed(0),
                Coding::Deflate => At::Content,
            },
            flags: 0,
            head: 0,
            crc: Crc::new(),
            trailer: [0; 8],
            max,
            read: 0,
            out: Vec::new(),
        }
    }

    /// Bytes that came out so far.
    pub fn decoded(&self) -> usize {
        self.out.len()
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.read += bytes.len();
        let mut rest = bytes;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = match self.at {
                At::Content => self.content(rest)?,
                At::End => return Err(Fault::Malformed),
                At::Trailer(at) => {
                    self.trailer[at] = byte;
                    self.at = At::Trailer(at + 1);
                    if at + 1 == self.trailer.len() {
                        self.check_trailer()?;
                    }
                    behind
                }
                _ => {
                    self.head_byte(byte)?;
                    behind
                }
            };
        }
        Ok(())
    }

    /// Whether the body has come to its end, and was what its coding says.
    pub fn is_ended(&self) -> bool {
        self.at == At::End
    }

    /// What came out so far, all of it or the beginning.
    pub fn into_decoded(self) -> Vec<u8> {
        self.out
    }

    /// All that came out.
    pub fn finish(self) -> Result<Vec<u8>, Fault> {
        match self.at {
            At::End => Ok(self.out),
            _ => Err(Fault::Malformed),
        }
    }

    /// RFC 1952 section 2.3.
    fn head_byte(&mut self, byte: u8) -> Result<(), Fault> {
        self.head += 1;
        if self.head > HEAD {
            return Err(Fault::Malformed);
        }
        self.at = match self.at {
            At::Fixed(at) => {
                let is_sound = match at {
                    0 => byte == 0x1f,
                    1 => byte == 0x8b,
                    2 => byte == 8,
                    // The upper bits are reserved.
                    3 => byte & 0xe0 == 0,
                    _ => true,
                };
                if !is_sound {
                    return Err(Fault::Malformed);
                }
                if at == 3 {
                    self.flags = byte;
                }
                match at {
                    9 => self.after(At::Fixed(9)),
                    _ => At::Fixed(at + 1),
                }
            }
            At::ExtraLength(None) => At::ExtraLength(Some(byte)),
            At::ExtraLength(Some(low)) => match usize::from(u16::from_le_bytes([low, byte])) {
                0 => self.after(At::Extra(0)),
                left => At::Extra(left),
            },
            At::Extra(left) if left > 1 => At::Extra(left - 1),
            At::HeadCheck(left) if left > 1 => At::HeadCheck(left - 1),
            At::Name | At::Comment if byte != 0 => self.at,
            done => self.after(done),
        };
        Ok(())
    }

    /// What follows a part of the head.
    fn after(&self, part: At) -> At {
        let has = |bit: u8| self.flags & bit != 0;
        let order = match part {
            At::Fixed(_) => 0,
            At::Extra(_) | At::ExtraLength(_) => 1,
            At::Name => 2,
            At::Comment => 3,
            _ => 4,
        };
        match order {
            0 if has(4) => At::ExtraLength(None),
            0 | 1 if has(8) => At::Name,
            0..=2 if has(16) => At::Comment,
            0..=3 if has(2) => At::HeadCheck(2),
            _ => At::Content,
        }
    }

    /// Inflates, and returns what is left behind the content or nothing.
    fn content<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Fault> {
        let mut rest = bytes;
        loop {
            let most = self.max.min(FREE + self.read.saturating_mul(RATIO));
            let room = (most + 1).saturating_sub(self.out.len());
            if room == 0 {
                return Err(Fault::TooLarge);
            }
            self.out.reserve(room.min(PIECE));
            let (read, written) = (self.inflate.total_in(), self.out.len());
            let status = self
                .inflate
                .decompress_vec(rest, &mut self.out, FlushDecompress::None)
                .map_err(|_| Fault::Malformed)?;
            let used = (self.inflate.total_in() - read) as usize;
            rest = &rest[used..];
            self.crc.update(&self.out[written..]);
            if self.out.len() > most {
                return Err(Fault::TooLarge);
            }
            if status == Status::StreamEnd {
                self.at = match self.coding {
                    Coding::Gzip => At::Trailer(0),
                    Coding::Deflate => At::End,
                };
                return Ok(rest);
            }
            let is_full = self.out.len() == self.out.capacity();
            match (rest.is_empty(), is_full) {
                (_, true) => {}
                (true, false) => return Ok(rest),
                (false, false) if used == 0 && self.out.len() == written => {
                    return Err(Fault::Malformed);
                }
                (false, false) => {}
            }
        }
    }

    fn check_trailer(&mut self) -> Result<(), Fault> {
        let [a, b, c, d, e, f, g, h] = self.trailer;
        let (sum, length) = (
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
        );
        let is_same = sum == self.crc.sum() && length == self.crc.amount();
        self.at = At::End;
        is_same.then_some(()).ok_or(Fault::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn encode(coding: Coding, content: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        match coding {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn decode(coding: Coding, coded: &[u8], step: usize, max: usize) -> Result<Vec<u8>, Fault> {
        let mut decoder = Decoder::new(coding, max);
        for piece in coded.chunks(step) {
            decoder.feed(piece)?;
        }
        decoder.finish()
    }

    proptest! {
        #[test]
        fn content_survives_every_split(
            content in prop::collection::vec(any::<u8>(), 0..300),
            repeat in 1_usize..20,
            step in 1_usize..50,
        ) {
            let content = content.repeat(repeat);
            for coding in Coding::ALL {
                let coded = encode(coding, &content);
                let decoded = decode(coding, &coded, step, content.len());
                prop_assert_eq!(decoded.as_ref(), Ok(&content));
                let less = content.len().saturating_sub(1);
                if !content.is_empty() {
                    prop_assert_eq!(decode(coding, &coded, step, less), Err(Fault::TooLarge));
                }
            }
        }

        #[test]
        fn no_bytes_panic_and_every_split_gives_the_same(
            at in 0_usize..200,
            byte: u8,
            step in 1_usize..20,
        ) {
            for coding in Coding::ALL {
                let mut coded = encode(coding, &b"some text, some text and more".repeat(5));
                let at = at % coded.len();
                coded[at] = byte;
                let whole = decode(coding, &coded, coded.len(), 10_000);
                prop_assert_eq!(decode(coding, &coded, step, 10_000), whole);
            }
        }
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_malformed() {
        for coding in Coding::ALL {
            let coded = encode(coding, b"abc");
            for length in 0..coded.len() {
                assert_eq!(
                    decode(coding, &coded[..length], 1, 10),
                    Err(Fault::Malformed)
                );
            }
            for more in [&b"x"[..], &coded] {
                let longer = [&coded, more].concat();
                assert_eq!(decode(coding, &longer, 7, 10), Err(Fault::Malformed));
            }
        }
        let bare = &encode(Coding::Deflate, b"abc")[2..];
        assert_eq!(decode(Coding::Deflate, bare, 3, 10), Err(Fault::Malformed));
    }

    #[test]
    fn heads_of_gzip_have_optional_parts() {
        let plain = encode(Coding::Gzip, b"abc");
        let with = |flags: u8, extra: &[u8]| {
            let mut coded = plain[..10].to_vec();
            coded[3] = flags;
            coded.extend_from_slice(extra);
            coded.extend_from_slice(&plain[10..]);
            decode(Coding::Gzip, &coded, 1, 10)
        };
        let good = Ok(b"abc".to_vec());
        assert_eq!(with(8, b"name\0"), good);
        assert_eq!(with(16, b"comment\0"), good);
        assert_eq!(with(4, b"\x02\0ab"), good);
        assert_eq!(with(4, b"\0\0"), good);
        assert_eq!(with(2, b"xy"), good);
        assert_eq!(with(31, b"\x01\0ename\0comment\0xy"), good);
        assert_eq!(with(0x20, b""), Err(Fault::Malformed));
        assert_eq!(with(8, &[b'x'; HEAD]), Err(Fault::Malformed));
    }

    #[test]
    fn bombs_are_stopped_early() {
        for coding in Coding::ALL {
            let bomb = encode(coding, &vec![0; 20 << 20]);
            assert!(bomb.len() < 32 * 1024);
            let mut decoder = Decoder::new(coding, usize::MAX - 1);
            let outcome = bomb.chunks(1024).try_for_each(|piece| decoder.feed(piece));
            assert_eq!(outcome, Err(Fault::TooLarge));
            assert!(
                decoder.out.capacity() < 4 << 20,
                "{}",
                decoder.out.capacity()
            );
            assert_eq!(decode(coding, &bomb, 512, 1 << 20), Err(Fault::TooLarge));
        }
    }

    #[test]
    fn names_are_read_in_any_letter_case() {
        assert_eq!(Coding::read(b"GZIP"), Some(Coding::Gzip));
        assert_eq!(Coding::read(b"x-gzip"), Some(Coding::Gzip));
        assert_eq!(Coding::read(b"deflate"), Some(Coding::Deflate));
        for other in [&b""[..], b"br", b"gzip, gzip", b"identity"] {
            assert_eq!(Coding::read(other), None);
        }
    }
}
