//! The transformations of SecLang (`t:lowercase`): a value in the forms in which servers read it.
//!
//! The meaning of each is that of ModSecurity v3; where Coraza differs on purpose, Coraza's, and
//! the file of the family says so. Differences that are slips of either (a doubled slash at the
//! end of a root, an octal escape read one byte too early) are not followed.
//!
//! What stays true: time is linear, the output at most six times the input (but never less than
//! a digest), and no bytes whatever make one fail.

mod best_fit;
mod bytes;
mod code;
mod comment;
mod entity;
mod escape;
mod md5;
mod path;
mod text;
mod url;

#[cfg(test)]
mod tests;

pub use bytes::{ByteSet, Pair};

/// One `t:` action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transformation {
    Base64Decode,
    Base64DecodeExt,
    Base64Encode,
    CmdLine,
    CompressWhitespace,
    CssDecode,
    EscapeSeqDecode,
    HexDecode,
    HexEncode,
    HtmlEntityDecode,
    JsDecode,
    Length,
    Lowercase,
    Md5,
    None,
    NormalizePath,
    NormalizePathWin,
    ParityEven7bit,
    ParityOdd7bit,
    ParityZero7bit,
    /// Not of SecLang: escapes alone, a plus sign stays one.
    PercentDecode,
    RemoveComments,
    RemoveCommentsChar,
    RemoveNulls,
    RemoveWhitespace,
    ReplaceComments,
    ReplaceNulls,
    Sha1,
    SqlHexDecode,
    Trim,
    TrimLeft,
    TrimRight,
    Uppercase,
    UrlDecode,
    UrlDecodeUni,
    UrlEncode,
    Utf8ToUnicode,
}

/// The names of SecLang, in the order of the variants; other spellings behind them.
const NAMES: &[(&str, Transformation)] = &[
    ("base64Decode", Transformation::Base64Decode),
    ("base64DecodeExt", Transformation::Base64DecodeExt),
    ("base64Encode", Transformation::Base64Encode),
    ("cmdLine", Transformation::CmdLine),
    ("compressWhitespace", Transformation::CompressWhitespace),
    ("cssDecode", Transformation::CssDecode),
    ("escapeSeqDecode", Transformation::EscapeSeqDecode),
    ("hexDecode", Transformation::HexDecode),
    ("hexEncode", Transformation::HexEncode),
    ("htmlEntityDecode", Transformation::HtmlEntityDecode),
    ("jsDecode", Transformation::JsDecode),
    ("length", Transformation::Length),
    ("lowercase", Transformation::Lowercase),
    ("md5", Transformation::Md5),
    ("none", Transformation::None),
    ("normalizePath", Transformation::NormalizePath),
    ("normalizePathWin", Transformation::NormalizePathWin),
    ("parityEven7bit", Transformation::ParityEven7bit),
    ("parityOdd7bit", Transformation::ParityOdd7bit),
    ("parityZero7bit", Transformation::ParityZero7bit),
    ("percentDecode", Transformation::PercentDecode),
    ("removeComments", Transformation::RemoveComments),
    ("removeCommentsChar", Transformation::RemoveCommentsChar),
    ("removeNulls", Transformation::RemoveNulls),
    ("removeWhitespace", Transformation::RemoveWhitespace),
    ("replaceComments", Transformation::ReplaceComments),
    ("replaceNulls", Transformation::ReplaceNulls),
    ("sha1", Transformation::Sha1),
    ("sqlHexDecode", Transformation::SqlHexDecode),
    ("trim", Transformation::Trim),
    ("trimLeft", Transformation::TrimLeft),
    ("trimRight", Transformation::TrimRight),
    ("uppercase", Transformation::Uppercase),
    ("urlDecode", Transformation::UrlDecode),
    ("urlDecodeUni", Transformation::UrlDecodeUni),
    ("urlEncode", Transformation::UrlEncode),
    ("utf8toUnicode", Transformation::Utf8ToUnicode),
    ("normalisePath", Transformation::NormalizePath),
    ("normalisePathWin", Transformation::NormalizePathWin),
];

const SPACES: ByteSet = ByteSet::named(b" \t\n\x0B\x0C\r");
const CAPITALS: ByteSet = ByteSet::range(b'A', b'Z');
const BEYOND_ASCII: ByteSet = ByteSet::range(0x80, 0xFF);
const HEX_DIGITS: &[u8] = b"0123456789abcdefABCDEF";

impl Transformation {
    /// The transformation of that name, in any case of letters as rule authors write it.
    pub fn named(name: &str) -> Option<Transformation> {
        let mut names = NAMES.iter();
        let found = names.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|&(_, transformation)| transformation)
    }

    /// All names, for those who misspelt one.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// Its name in SecLang.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].0
    }

    /// Appends the transformed value to `output`. False if it is no different from `input`; then
    /// `output` is as it was.
    pub fn apply(self, input: &[u8], output: &mut Vec<u8>) -> bool {
        let start = output.len();
        self.write(input, output);
        let is_changed = output[start..] != *input;
        if !is_changed {
            output.truncate(start);
        }
        is_changed
    }

    fn write(self, input: &[u8], output: &mut Vec<u8>) {
        match self {
            Transformation::Base64Decode => code::base64_decode(input, output),
            Transformation::Base64DecodeExt => code::base64_decode_ext(input, output),
            Transformation::Base64Encode => code::base64_encode(input, output),
            Transformation::CmdLine => text::cmd_line(input, output),
            Transformation::CompressWhitespace => text::compress_whitespace(input, output),
            Transformation::CssDecode => escape::css_decode(input, output),
            Transformation::EscapeSeqDecode => escape::escape_seq_decode(input, output),
            Transformation::HexDecode => code::hex_decode(input, output),
            Transformation::HexEncode => code::hex_encode(input, output),
            Transformation::HtmlEntityDecode => entity::decode(input, output),
            Transformation::JsDecode => escape::js_decode(input, output),
            Transformation::Length => code::length(input, output),
            Transformation::Lowercase => text::lowercase(input, output),
            Transformation::Md5 => code::md5_digest(input, output),
            Transformation::None => output.extend_from_slice(input),
            Transformation::NormalizePath => path::normalize(input, output),
            Transformation::NormalizePathWin => path::normalize_win(input, output),
            Transformation::ParityEven7bit => text::parity_even(input, output),
            Transformation::ParityOdd7bit => text::parity_odd(input, output),
            Transformation::ParityZero7bit => text::parity_zero(input, output),
            Transformation::PercentDecode => url::decode_percent(input, output),
            Transformation::RemoveComments => comment::remove(input, output),
            Transformation::RemoveCommentsChar => comment::remove_chars(input, output),
            Transformation::RemoveNulls => text::remove_nulls(input, output),
            Transformation::RemoveWhitespace => text::remove_whitespace(input, output),
            Transformation::ReplaceComments => comment::replace(input, output),
            Transformation::ReplaceNulls => text::replace_nulls(input, output),
            Transformation::Sha1 => code::sha1_digest(input, output),
            Transformation::SqlHexDecode => code::sql_hex_decode(input, output),
            Transformation::Trim => text::trim(input, output),
            Transformation::TrimLeft => text::trim_left(input, output),
            Transformation::TrimRight => text::trim_right(input, output),
            Transformation::Uppercase => text::uppercase(input, output),
            Transformation::UrlDecode => url::decode(input, output),
            Transformation::UrlDecodeUni => url::decode_uni(input, output),
            Transformation::UrlEncode => url::encode(input, output),
            Transformation::Utf8ToUnicode => text::utf8_to_unicode(input, output),
        }
    }

    /// Whether no value that holds what `seen` holds is changed: `apply` need not be called.
    pub fn is_identity(self, seen: &ByteSet) -> bool {
        let lacks = |bytes: &[u8]| !seen.meets(&ByteSet::named(bytes));
        match self {
            Transformation::None => true,
            Transformation::Lowercase => !seen.meets(&CAPITALS),
            Transformation::CmdLine => {
                !seen.meets(&CAPITALS) && self.is_identity_but_for_case(seen)
            }
            Transformation::Uppercase => !seen.meets(&ByteSet::range(b'a', b'z')),
            Transformation::UrlDecode | Transformation::UrlDecodeUni => {
                lacks(b"+") && !seen.has(Pair::Escape)
            }
            Transformation::PercentDecode => !seen.has(Pair::Escape),
            Transformation::UrlEncode => !seen.meets(&MUST_ENCODE),
            Transformation::HtmlEntityDecode => lacks(b"&"),
            Transformation::CssDecode
            | Transformation::EscapeSeqDecode
            | Transformation::JsDecode => lacks(b"\\"),
            Transformation::Utf8ToUnicode | Transformation::ParityZero7bit => {
                !seen.meets(&BEYOND_ASCII)
            }
            Transformation::RemoveNulls | Transformation::ReplaceNulls => lacks(b"\0"),
            Transformation::RemoveWhitespace => !seen.meets(&SPACES.or(BEYOND_ASCII)),
            Transformation::CompressWhitespace => {
                lacks(b"\t\n\x0B\x0C\r") && !seen.meets(&BEYOND_ASCII) && !seen.has(Pair::Spaces)
            }
            Transformation::Trim | Transformation::TrimLeft | Transformation::TrimRight => {
                !seen.meets(&SPACES)
            }
            Transformation::ReplaceComments => !seen.has(Pair::CommentOpens),
            Transformation::RemoveComments => has_no_comment(seen),
            Transformation::RemoveCommentsChar => {
                has_no_comment(seen) && !seen.has(Pair::CommentCloses)
            }
            Transformation::NormalizePath => !seen.has(Pair::PathStep),
            Transformation::NormalizePathWin => !seen.has(Pair::PathStep) && lacks(b"\\:. "),
            Transformation::HexDecode => seen.is_empty() || seen.meets(&NO_HEX),
            Transformation::SqlHexDecode => lacks(b"0") || lacks(b"xX"),
            Transformation::Base64Decode
            | Transformation::Base64DecodeExt
            | Transformation::Base64Encode
            | Transformation::HexEncode
            | Transformation::ParityEven7bit
            | Transformation::ParityOdd7bit => seen.is_empty(),
            Transformation::Length | Transformation::Md5 | Transformation::Sha1 => false,
        }
    }

    /// As [`is_identity`](Transformation::is_identity), where a capital and its small letter count
    /// as one: what a search without regard to case may ask.
    pub fn is_identity_but_for_case(self, seen: &ByteSet) -> bool {
        match self {
            Transformation::Lowercase | Transformation::Uppercase => true,
            Transformation::CmdLine => {
                !seen.meets(&ByteSet::named(b"\"'\\^,;\t\r\n"))
                    && !seen.has(Pair::Spaces)
                    && !seen.has(Pair::SpaceBeforeOpening)
            }
            other => other.is_identity(seen),
        }
    }
}

const LETTERS_AND_DIGITS: ByteSet = CAPITALS
    .or(ByteSet::range(b'a', b'z'))
    .or(ByteSet::range(b'0', b'9'));

const MUST_ENCODE: ByteSet = LETTERS_AND_DIGITS.or(ByteSet::named(b"*")).complement();

const NO_HEX: ByteSet = ByteSet::named(HEX_DIGITS).complement();

fn has_no_comment(seen: &ByteSet) -> bool {
    !seen.contains(b'#')
        && !seen.has(Pair::CommentOpens)
        && !seen.has(Pair::Markup)
        && !seen.has(Pair::Dashes)
}

/// What `isspace` of C calls a space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0B | 0x0C | b'\r')
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn hex(high: u8, low: u8) -> Option<u8> {
    Some(hex_digit(high)? << 4 | hex_digit(low)?)
}
