//! Frames of an open WebSocket (RFC 6455 section 5) as somebody between both sides sees them: heads
//! are read, what they carry is not. So a side that does not speak the protocol, or sends more than
//! it may, is noticed before its bytes go on, and there is a place between two frames where the
//! connection can be closed with a word.

use std::ops::ControlFlow;

/// The longest head without its mask.
const HEAD: usize = 10;

/// The longest a control frame may carry (section 5.5).
const CONTROL: u64 = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASK: u8 = 0x80;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PONG: u8 = 10;

/// Why a WebSocket is closed, by its number (section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The gateway ends it.
    GoingAway = 1001,
    /// A side broke the protocol.
    Protocol = 1002,
    /// A message is longer than allowed.
    TooBig = 1009,
}

/// What a server says before it closes.
pub fn close(reason: Reason) -> [u8; 4] {
    let [high, low] = (reason as u16).to_be_bytes();
    [FIN | CLOSE, 2, high, low]
}

/// What both sides have agreed on, and how much a message may carry.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Bytes of a message over all its frames, as they are sent.
    pub most: u64,
    /// An extension gives the reserved bits a meaning.
    pub is_extended: bool,
}

/// One direction, in pieces of any size.
#[derive(Clone, Debug)]
pub struct Frames {
    rules: Rules,
    /// Those of a client, and no others (section 5.1).
    is_masked: bool,
    head: [u8; HEAD],
    /// Bytes of the head that have come.
    have: usize,
    /// Bytes of this frame that are still to come, its mask among them.
    left: u64,
    /// Bytes of the message that is under way; none: no message has begun.
    message: Option<u64>,
    is_closed: bool,
}

impl Frames {
    pub fn of_client(rules: Rules) -> Frames {
        Frames {
            rules,
            is_masked: true,
            head: [0; HEAD],
            have: 0,
            left: 0,
            message: None,
            is_closed: false,
        }
    }

    pub fn of_server(rules: Rules) -> Frames {
        Frames {
            is_masked: false,
            ..Frames::of_client(rules)
        }
    }

    /// Takes the next bytes. Those of a piece with a mistake must not go on.
    pub fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Reason> {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let carried = bytes
                    .len()
                    .min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= carried as u64;
                bytes = &bytes[carried..];
                continue;
            }
            if self.is_closed {
                return Err(Reason::Protocol);
            }
            self.head[self.have] = first;
            self.have += 1;
            bytes = rest;
            if let ControlFlow::Break(length) = self.length()? {
                self.have = 0;
                self.begin(length)?;
            }
        }
        Ok(())
    }

    /// Whether a frame of somebody else can be put in here.
    pub fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0 && !self.is_closed
    }

    /// How much the frame carries, once its head has come. It is written in as few bytes as it takes
    /// (section 5.2).
    fn length(&self) -> Result<ControlFlow<u64>, Reason> {
        let [_, second, longer @ ..] = self.head;
        let (size, least) = match (self.have, second & !MASK) {
            (0 | 1, _) => return Ok(ControlFlow::Continue(())),
            (_, 126) => (2, 126),
            (_, 127) => (8, 1 << 16),
            (_, length) => return Ok(ControlFlow::Break(u64::from(length))),
        };
        if self.have < 2 + size {
            return Ok(ControlFlow::Continue(()));
        }
        let digits = longer[..size].iter();
        let length = digits.fold(0, |length: u64, &digit| length << 8 | u64::from(digit));
        match length >= least && length >> 63 == 0 {
            true => Ok(ControlFlow::Break(length)),
            false => Err(Reason::Protocol),
        }
    }

    /// Judges a head that is whole.
    fn begin(&mut self, length: u64) -> Result<(), Reason> {
        let [first, second, ..] = self.head;
        let (opcode, is_last) = (first & 0x0f, first & FIN != 0);
        let is_masked = second & MASK != 0;
        let is_odd = first & RESERVED != 0 && !self.rules.is_extended;
        if is_odd || is_masked != self.is_masked {
            return Err(Reason::Protocol);
        }
        match (opcode, self.message) {
            (CONTINUATION, Some(before)) => self.grow(before, length, is_last)?,
            (TEXT | BINARY, None) => self.grow(0, length, is_last)?,
            (CLOSE..=PONG, _) if is_last && length <= CONTROL => self.is_closed = opcode == CLOSE,
            _ => return Err(Reason::Protocol),
        }
        self.left = length + if is_masked { 4 } else { 0 };
        Ok(())
    }

    fn grow(&mut self, before: u64, length: u64, is_last: bool) -> Result<(), Reason> {
        let message = before.saturating_add(length);
        if message > self.rules.most {
            return Err(Reason::TooBig);
        }
        self.message = Some(message).filter(|_| !is_last);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        most: 70_000,
        is_extended: false,
    };

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(length as u8),
            126..0x1_0000 => {
                frame.push(126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(std::iter::repeat_n(0xff, length));
        frame
    }

    fn followed(bytes: &[u8]) -> Result<bool, Reason> {
        let mut frames = Frames::of_server(RULES);
        frames.follow(bytes)?;
        Ok(frames.is_between())
    }

    #[test]
    fn frames_are_followed_however_they_are_split() {
        let stream = [
            frame(0x82, 0),
            frame(0x01, 125),
            // Control frames stand between those of a message.
            frame(0x89, 4),
            frame(0x00, 126),
            frame(0x80, 300),
            frame(0x81, 65_536),
            frame(0x8a, 125),
        ];
        let ends: Vec<usize> = stream
            .iter()
            .scan(0, |end, frame| {
                *end += frame.len();
                Some(*end)
            })
            .collect();
        let whole = stream.concat();
        let mut frames = Frames::of_server(RULES);
        for (index, byte) in whole.iter().enumerate() {
            frames.follow(&[*byte]).unwrap();
            assert_eq!(frames.is_between(), ends.contains(&(index + 1)), "{index}");
        }
        for split in (0..whole.len()).step_by(97) {
            let mut frames = Frames::of_server(RULES);
            frames.follow(&whole[..split]).unwrap();
            frames.follow(&whole[split..]).unwrap();
            assert!(frames.is_between());
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let protocol = Err(Reason::Protocol);
        for (bytes, expected) in [
            (frame(0x80, 0), protocol),
            (frame(0x83, 0), protocol),
            (frame(0x87, 0), protocol),
            (frame(0x8b, 0), protocol),
            (frame(0xc1, 0), protocol),
            (frame(0x91, 0), protocol),
            (frame(0x09, 0), protocol),
            (frame(0x89, 126), protocol),
            (vec![0x81, 0x80, 0, 0, 0, 0], protocol),
            (vec![0x81, 126, 0, 125], protocol),
            (vec![0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], protocol),
            (vec![0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], protocol),
            ([frame(0x01, 1), frame(0x81, 1)].concat(), protocol),
            ([frame(0x88, 2), frame(0x81, 1)].concat(), protocol),
            (frame(0x82, 70_001), Err(Reason::TooBig)),
            (frame(0x82, 70_000), Ok(true)),
            (
                [frame(0x02, 40_000), frame(0x80, 30_001)].concat(),
                Err(Reason::TooBig),
            ),
            (
                [frame(0x02, 40_000), frame(0x80, 30_000)].concat(),
                Ok(true),
            ),
            (
                vec![0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                Err(Reason::TooBig),
            ),
            // After its close a side has nothing more to say, and nobody else has either.
            (frame(0x88, 2), Ok(false)),
            (vec![0x81], Ok(false)),
        ] {
            assert_eq!(
                followed(&bytes),
                expected,
                "{:?}",
                &bytes[..bytes.len().min(16)]
            );
        }
    }

    #[test]
    fn a_client_masks_and_an_extension_may_use_its_bits() {
        let masked = [0x81, 0x81, 1, 2, 3, 4, 5];
        let mut frames = Frames::of_client(RULES);
        assert_eq!(frames.follow(&masked[..6]), Ok(()));
        assert!(!frames.is_between());
        assert_eq!(frames.follow(&masked[6..]), Ok(()));
        assert!(frames.is_between());
        assert_eq!(frames.follow(&frame(0x81, 1)), Err(Reason::Protocol));
        let mut frames = Frames::of_server(Rules {
            is_extended: true,
            ..RULES
        });
        assert_eq!(frames.follow(&frame(0xc1, 5)), Ok(()));
        assert_eq!(close(Reason::TooBig), [0x88, 2, 0x03, 0xf1]);
    }
}
