//! The words of GraphQL documents (specification of October 2021, section 2.1), with the escapes
//! `\u{...}` of the edition of September 2025.
//!
//! One lexer for all who look into a document, so that what is counted and what is inspected are
//! the same words. Control characters and a byte order mark are refused wherever they stand.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of `! $ & ( ) : = @ [ ] { | }`.
    Punctuator(u8),
    /// `...`
    Spread,
    Name,
    Int,
    Float,
    /// `"..."` with its quotes.
    String,
    /// `"""..."""` with its quotes.
    Block,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// Text that is no word of GraphQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError;

/// The tokens of a document; ends after the first error. Keeps nothing, costs one pass.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer {
            text: text.as_bytes(),
            at: 0,
        }
    }

    /// White space, commas and comments (section 2.1.1 to 2.1.6).
    fn skip_ignored(&mut self) -> Result<(), SyntaxError> {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b',' => self.at += 1,
                b'#' => {
                    let rest = &self.text[self.at..];
                    let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                    if rest[..length].iter().any(|&byte| is_control(byte)) {
                        return Err(SyntaxError);
                    }
                    self.at += length;
                }
                _ => break,
            }
        }
        Ok(())
    }
}

impl Iterator for Lexer<'_> {
    type Item = Result<Token, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self
            .skip_ignored()
            .and_then(|()| match &self.text[self.at..] {
                [] => Ok(None),
                rest => token(rest).map(Some),
            });
        match read {
            Ok(None) => None,
            Ok(Some((kind, length))) => {
                let start = self.at;
                self.at += length;
                let end = self.at;
                Some(Ok(Token { kind, start, end }))
            }
            Err(error) => {
                self.at = self.text.len();
                Some(Err(error))
            }
        }
    }
}

/// The token at the start of `rest`, which is not empty, and its length.
fn token(rest: &[u8]) -> Result<(Kind, usize), SyntaxError> {
    match rest[0] {
        byte @ (b'!' | b'$' | b'&' | b'(' | b')' | b':' | b'=' | b'@' | b'[' | b']' | b'{'
        | b'|' | b'}') => Ok((Kind::Punctuator(byte), 1)),
        b'.' if rest.starts_with(b"...") => Ok((Kind::Spread, 3)),
        byte if is_name_start(byte) => Ok((Kind::Name, name(rest))),
        b'-' | b'0'..=b'9' => number(rest),
        b'"' if rest.starts_with(b"\"\"\"") => Ok((Kind::Block, block(rest)?)),
        b'"' => Ok((Kind::String, string(rest)?)),
        _ => Err(SyntaxError),
    }
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// What no source text may hold (section 2.1).
fn is_control(byte: u8) -> bool {
    byte < b' ' && byte != b'\t'
}

fn name(rest: &[u8]) -> usize {
    let mut bytes = rest.iter();
    let end = bytes.position(|&byte| !(byte.is_ascii_digit() || is_name_start(byte)));
    end.unwrap_or(rest.len())
}

fn digits(rest: &[u8]) -> usize {
    let end = rest.iter().position(|byte| !byte.is_ascii_digit());
    end.unwrap_or(rest.len())
}

/// Sections 2.9.1 and 2.9.2: no zero in front, and no letter, digit or dot right behind.
fn number(rest: &[u8]) -> Result<(Kind, usize), SyntaxError> {
    let mut at = usize::from(rest[0] == b'-');
    let whole = digits(&rest[at..]);
    if whole == 0 || (whole > 1 && rest[at] == b'0') {
        return Err(SyntaxError);
    }
    at += whole;
    let mut kind = Kind::Int;
    if rest.get(at) == Some(&b'.') {
        kind = Kind::Float;
        at += 1 + some_digits(&rest[at + 1..])?;
    }
    if let Some(b'e' | b'E') = rest.get(at) {
        kind = Kind::Float;
        at += 1 + usize::from(matches!(rest.get(at + 1), Some(b'+' | b'-')));
        at += some_digits(&rest[at..])?;
    }
    match rest.get(at) {
        Some(&next) if next == b'.' || next.is_ascii_digit() || is_name_start(next) => {
            Err(SyntaxError)
        }
        _ => Ok((kind, at)),
    }
}

fn some_digits(rest: &[u8]) -> Result<usize, SyntaxError> {
    match digits(rest) {
        0 => Err(SyntaxError),
        count => Ok(count),
    }
}

/// The length of `"..."`.
fn string(rest: &[u8]) -> Result<usize, SyntaxError> {
    let mut at = 1;
    loop {
        let special = |&byte: &u8| matches!(byte, b'"' | b'\\') || is_control(byte);
        at += rest[at..].iter().position(special).ok_or(SyntaxError)?;
        match rest[at] {
            b'"' => return Ok(at + 1),
            b'\\' => at += escape(&rest[at..]).ok_or(SyntaxError)?.1,
            _ => return Err(SyntaxError),
        }
    }
}

/// The length of `"""..."""`, whose only escape is `\"""`.
fn block(rest: &[u8]) -> Result<usize, SyntaxError> {
    let mut at = 3;
    loop {
        let end = memchr::memmem::find(&rest[at..], b"\"\"\"").ok_or(SyntaxError)?;
        let part = &rest[at..at + end];
        let is_bad = |&byte: &u8| is_control(byte) && byte != b'\n' && byte != b'\r';
        if part.iter().any(is_bad) {
            return Err(SyntaxError);
        }
        at += end + 3;
        if !part.ends_with(b"\\") {
            return Ok(at);
        }
    }
}

/// What an escape at the start of `rest` stands for, and its length. Surrogates come in pairs.
fn escape(rest: &[u8]) -> Option<(char, usize)> {
    let plain = match rest.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' if rest.get(2) == Some(&b'{') => {
            let digits = &rest[3..];
            let length = memchr::memchr(b'}', digits).filter(|length| (1..=6).contains(length))?;
            let character = char::from_u32(hexadecimal(&digits[..length])?)?;
            return Some((character, length + 4));
        }
        b'u' => return code_units(rest),
        _ => return None,
    };
    Some((plain, 2))
}

/// `\uXXXX`, or two of them for a character beyond 16 bits.
fn code_units(rest: &[u8]) -> Option<(char, usize)> {
    let first = hexadecimal(rest.get(2..6)?)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, 6));
    }
    let second = rest.get(6..12)?.strip_prefix(b"\\u")?;
    let second = hexadecimal(second)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    Some((char::from_u32(code)?, 12))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let mut digits = digits.iter();
    digits.try_fold(0, |code, &digit| {
        Some(code << 4 | char::from(digit).to_digit(16)?)
    })
}

/// Appends what a token of [`Kind::String`] or [`Kind::Block`] says, without its quotes. Block
/// strings keep their indentation.
pub fn decode(token: &[u8], out: &mut Vec<u8>) {
    if let Some(inner) = token.strip_prefix(b"\"\"\"") {
        let mut rest = inner.strip_suffix(b"\"\"\"").unwrap_or(inner);
        while let Some(at) = memchr::memmem::find(rest, b"\\\"\"\"") {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(b"\"\"\"");
            rest = &rest[at + 4..];
        }
        out.extend_from_slice(rest);
        return;
    }
    let mut rest = token.strip_prefix(b"\"").unwrap_or(token);
    rest = rest.strip_suffix(b"\"").unwrap_or(rest);
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let Some((character, length)) = escape(&rest[at..]) else {
            break;
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &str) -> Result<Vec<(Kind, &str)>, SyntaxError> {
        let read = Lexer::new(text);
        read.map(|token| token.map(|token| (token.kind, &text[token.start..token.end])))
            .collect()
    }

    fn decoded(text: &str) -> String {
        let mut out = Vec::new();
        decode(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_document_is_its_words() {
        let text = "query($n: Int! = -3) { # all\r\n a: b(x: [1.5e+3, \"c\\\"\"]), ...F }";
        let words: Vec<&str> = tokens(text)
            .unwrap()
            .iter()
            .map(|(_, word)| *word)
            .collect();
        assert_eq!(
            words.join(" "),
            "query ( $ n : Int ! = -3 ) { a : b ( x : [ 1.5e+3 \"c\\\"\" ] ) ... F }"
        );
        assert_eq!(tokens(" \t,,\n#x"), Ok(vec![]));
        assert_eq!(tokens("\"\""), Ok(vec![(Kind::String, "\"\"")]));
        assert_eq!(
            tokens("\"\"\"a\n\\\"\"\" b\"\"\"").unwrap()[0].0,
            Kind::Block
        );
    }

    #[test]
    fn what_is_no_word_is_refused() {
        for bad in [
            "..",
            ".",
            "01",
            "1x",
            "1.",
            "1.x",
            "1e",
            "-",
            "1.2.3",
            "0x1",
            "\"",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\\u{}\"",
            "\"\\u{110000}\"",
            "\"\"\"",
            "\"\"\"\\\"\"\"",
            "%",
            "\u{feff}{a}",
            "\0",
            "#\u{1}",
            "\"\u{1}\"",
            "\"\"\"\u{1}\"\"\"",
            "?",
            "`",
            "\u{e9}",
        ] {
            assert!(tokens(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn strings_say_what_their_escapes_stand_for() {
        assert_eq!(
            decoded(r#""a\n\"\\\/\u0041\u{1F600}\uD83D\uDE00""#),
            "a\n\"\\/A😀😀"
        );
        assert_eq!(decoded("\"\"\"a\\n \\\"\"\" b\"\"\""), "a\\n \"\"\" b");
        assert_eq!(decoded("\"\""), "");
    }

    proptest! {
        #[test]
        fn tokens_stand_in_order_and_reading_ends(text in "[ {}()a-z0-9.\"\\\\u#\n,$:!-]{0,60}") {
            let mut end = 0;
            for token in Lexer::new(&text).flatten() {
                prop_assert!(token.start >= end && token.end > token.start);
                end = token.end;
                decode(&text.as_bytes()[token.start..token.end], &mut Vec::new());
            }
        }
    }
}
