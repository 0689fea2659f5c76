//! Where a message body ends, and the decoder of the chunked coding (RFC 9112 sections 6 and 7).
//!
//! The decoder is sans-io and yields the same events however the bytes are split. Chunk
//! extensions and trailers are read to find the end of the message, bounded, and dropped.

use super::header::is_token_byte;
use super::{Error, limits};

/// How the length of a message body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body at all.
    None,
    /// Exactly so many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Until the peer closes: responses only.
    UntilClose,
}

/// What the decoder found at the front of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `skip` bytes of framing, then `data` bytes of content; both are now consumed.
    Data { skip: usize, data: usize },
    /// All input was framing (`skip` bytes); more is needed.
    NeedMore { skip: usize },
    /// The body ended `skip` bytes into the input; what follows belongs to the next message.
    End { skip: usize },
}

/// Decoder of the chunked coding.
///
/// ```text
///          digit               ';' or BWS            LF
/// Size ----------> Size ------------> Extension ------> Data ... DataCr -> DataLf -> Size
///                                          '"' <-> Quoted <-> Escaped
///   size 0: LF -> TrailerStart -- name --> TrailerName -- ':' --> Trailer -- CR --> TrailerLf -> TrailerStart
///                      | CR
///                      +--> EndLf -- LF --> Done
/// ```
#[derive(Clone, Debug)]
pub struct Chunked {
    state: State,
    remaining: u64,
    digits: u32,
    line: usize,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    Quoted,
    Escaped,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

impl Default for Chunked {
    fn default() -> Chunked {
        Chunked {
            state: State::Size,
            remaining: 0,
            digits: 0,
            line: 0,
            trailers: 0,
        }
    }
}

impl Chunked {
    /// Consumes framing and at most one run of content from the front of `input`.
    pub fn next(&mut self, input: &[u8]) -> Result<Event, Error> {
        let mut at = 0;
        while at < input.len() {
            match self.state {
                State::Data => {
                    let available = (input.len() - at) as u64;
                    // The smaller of the two fits, because one of them is a slice length.
                    let data = self.remaining.min(available) as usize;
                    self.remaining -= data as u64;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Event::Data { skip: at, data });
                }
                State::Done => return Ok(Event::End { skip: at }),
                _ => {
                    self.framing(input[at])?;
                    at += 1;
                }
            }
        }
        Ok(match self.state {
            State::Done => Event::End { skip: at },
            _ => Event::NeedMore { skip: at },
        })
    }

    /// One byte of framing.
    fn framing(&mut self, byte: u8) -> Result<(), Error> {
        self.state = match (self.state, byte) {
            (State::Size, digit) if digit.is_ascii_hexdigit() => self.digit(digit)?,
            (State::Size, b'\r') if self.digits > 0 => State::SizeLf,
            (State::Size, b';') if self.digits > 0 => State::Extension,
            (State::Extension, b'\r') => State::SizeLf,
            // RFC 9112 section 7.1.1: extensions are ignored, but a control byte in them is where
            // parsers disagree on the end of the line, and so is one that a quoted text runs over.
            (State::Extension, b'"') => self.extension(State::Quoted)?,
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.extension(State::Extension)?,
            (State::Quoted, b'"') => self.extension(State::Extension)?,
            (State::Quoted, b'\\') => self.extension(State::Escaped)?,
            (State::Quoted | State::Escaped, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extension(State::Quoted)?
            }
            (State::SizeLf, b'\n') => self.size_ended(),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.digits = 0;
                self.line = 0;
                State::Size
            }
            (State::TrailerStart, b'\r') => State::EndLf,
            // RFC 9112 section 7.1.2: field lines, although all of them are dropped.
            (State::TrailerStart | State::TrailerName, name) if is_token_byte(name) => {
                self.trailer(State::TrailerName)?
            }
            (State::TrailerName, b':') => self.trailer(State::Trailer)?,
            (State::Trailer, b'\t' | b' '..=b'~' | 0x80..) => self.trailer(State::Trailer)?,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(Error::MalformedChunk),
        };
        Ok(())
    }

    fn extension(&mut self, next: State) -> Result<State, Error> {
        self.line += 1;
        match self.line > limits::CHUNK_LINE {
            true => Err(Error::ChunkTooLarge),
            false => Ok(next),
        }
    }

    fn trailer(&mut self, next: State) -> Result<State, Error> {
        self.trailers += 1;
        match self.trailers > limits::TRAILERS {
            true => Err(Error::TrailersTooLarge),
            false => Ok(next),
        }
    }

    fn digit(&mut self, digit: u8) -> Result<State, Error> {
        self.digits += 1;
        if self.digits > limits::CHUNK_DIGITS {
            return Err(Error::ChunkTooLarge);
        }
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            _ => (digit | 0x20) - b'a' + 10,
        };
        self.remaining = self.remaining << 4 | u64::from(value);
        Ok(State::Size)
    }

    fn size_ended(&self) -> State {
        if self.remaining == 0 {
            State::TrailerStart
        } else {
            State::Data
        }
    }
}

/// Reads a `Content-Length` value: decimal digits only, no sign, no list, no blank
/// (RFC 9110 section 8.6).
pub fn content_length(value: &[u8]) -> Result<u64, Error> {
    if value.is_empty() {
        return Err(Error::MalformedLength);
    }
    value.iter().try_fold(0_u64, |length, byte| match byte {
        b'0'..=b'9' => length
            .checked_mul(10)
            .and_then(|length| length.checked_add(u64::from(byte - b'0')))
            .ok_or(Error::MalformedLength),
        _ => Err(Error::MalformedLength),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `parts` one after the other; returns the content and what is left behind the end.
    fn decode(parts: &[&[u8]]) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
        let mut decoder = Chunked::default();
        let (mut content, mut rest) = (Vec::new(), None::<Vec<u8>>);
        for part in parts {
            let mut input = *part;
            if let Some(rest) = &mut rest {
                rest.extend_from_slice(input);
                continue;
            }
            while !input.is_empty() {
                match decoder.next(input)? {
                    Event::Data { skip, data } => {
                        content.extend_from_slice(&input[skip..skip + data]);
                        input = &input[skip + data..];
                    }
                    Event::NeedMore { skip } => input = &input[skip..],
                    Event::End { skip } => {
                        rest = Some(input[skip..].to_vec());
                        break;
                    }
                }
            }
        }
        Ok((content, rest))
    }

    #[test]
    fn content_extensions_and_trailers() {
        let wire = b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-User-ID: root\r\n\r\nGET /";
        let (content, rest) = decode(&[wire]).unwrap();
        assert_eq!(content, b"hello!");
        assert_eq!(rest.unwrap(), b"GET /");
    }

    #[test]
    fn a_quoted_text_ends_with_its_line() {
        let wire = b"2;a=\"b;\\\"c\" ;d\r\nhi\r\n0\r\n\r\n";
        assert_eq!(decode(&[wire]).unwrap().0, b"hi");
        for line in ["1;a=\"", "1;a=\"\\", "1;a=\"\\\"", "1;a=\"b\"\""] {
            let wire = format!("{line}\r\nx\r\n0\r\n\r\n");
            assert_eq!(
                decode(&[wire.as_bytes()]),
                Err(Error::MalformedChunk),
                "{line}"
            );
        }
    }

    #[test]
    fn every_split_gives_the_same_content() {
        let wire =
            b"a\r\n0123456789\r\n1f;x\r\nabcdefghijklmnopqrstuvwxyzABCDE\r\n0\r\nt: v\r\n\r\nrest";
        let whole = decode(&[wire]).unwrap();
        for first in 0..wire.len() {
            for second in first..wire.len() {
                let parts = [&wire[..first], &wire[first..second], &wire[second..]];
                assert_eq!(
                    decode(&parts).unwrap(),
                    whole,
                    "split at {first} and {second}"
                );
            }
        }
    }

    #[test]
    fn malformed_framing_is_refused() {
        let cases: [&[u8]; 22] = [
            b"\r\n",
            b";\r\n",
            b"+1\r\na\r\n",
            b"-1\r\n",
            b"0x1\r\na\r\n",
            b"1_0\r\n",
            b" 1\r\na\r\n",
            b"1 \r\na\r\n",
            b"1\na\r\n",
            b"1\r\r\n",
            b"1;\n\r\na\r\n",
            b"1;\r\r\n",
            b"1\r\nab\r\n",
            b"1\r\na\rX",
            b"1\r\na\n",
            b"0\r\n\n",
            b"0\r\nx:\ny\r\n\r\n",
            b"0\r\nx y\r\n\r\n",
            b"0\r\nx\r\n\r\n",
            b"0\r\n:x\r\n\r\n",
            b"0\r\n x: y\r\n\r\n",
            b"0\r\nx : y\r\n\r\n",
        ];
        for wire in cases {
            let text = String::from_utf8_lossy(wire).into_owned();
            assert_eq!(decode(&[wire]), Err(Error::MalformedChunk), "{text:?}");
        }
    }

    #[test]
    fn sizes_and_sections_are_bounded() {
        assert!(decode(&[b"ffffffff\r\na"]).is_ok());
        for past in ["100000000", "000000001", "ffffffffffffffff"] {
            assert_eq!(decode(&[past.as_bytes()]), Err(Error::ChunkTooLarge));
        }

        let extension = |length: usize| [b"1;".to_vec(), vec![b'e'; length]].concat();
        assert!(decode(&[&extension(limits::CHUNK_LINE)]).is_ok());
        let past = decode(&[&extension(limits::CHUNK_LINE + 1)]);
        assert_eq!(past, Err(Error::ChunkTooLarge));

        let trailer = |length: usize| [b"0\r\n".to_vec(), vec![b't'; length]].concat();
        assert!(decode(&[&trailer(limits::TRAILERS)]).is_ok());
        let past = decode(&[&trailer(limits::TRAILERS + 1)]);
        assert_eq!(past, Err(Error::TrailersTooLarge));
    }

    #[test]
    fn lengths_are_plain_decimals() {
        assert_eq!(content_length(b"0"), Ok(0));
        assert_eq!(content_length(b"18446744073709551615"), Ok(u64::MAX));
        for bad in [
            "",
            "+5",
            "-5",
            "5,5",
            "5 ",
            "0x5",
            "1_0",
            "18446744073709551616",
            "\u{665}",
        ] {
            assert_eq!(
                content_length(bad.as_bytes()),
                Err(Error::MalformedLength),
                "{bad:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6), cut in any::<prop::sample::Index>()) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let cut = cut.index(wire.len());
            let (content, rest) = decode(&[&wire[..cut], &wire[cut..]]).unwrap();
            prop_assert_eq!(content, chunks.concat());
            prop_assert_eq!(rest, Some(Vec::new()));
        }

        #[test]
        fn no_bytes_panic(wire in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&[&wire]);
        }
    }
}
