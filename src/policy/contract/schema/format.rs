//! Formats of strings, checked and not only noted.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::pattern;

/// Formats of numbers, as OpenAPI defines them.
pub const NUMBER_FORMATS: [&str; 4] = ["int32", "int64", "float", "double"];

/// Most digits of a fraction of a second: more than any clock has, so that a time is short.
const FRACTION: usize = 64;

/// The formats that are enforced on strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 9562 section 4.
    Uuid,
    /// `full-date` of RFC 3339.
    Date,
    /// `date-time` of RFC 3339.
    DateTime,
    /// `full-time` of RFC 3339.
    Time,
    /// `duration` of RFC 3339 appendix A.
    Duration,
    /// `Mailbox` of RFC 5321 section 4.1.2.
    Email,
    /// RFC 1123 section 2.1, labels that begin with `xn--` read by RFC 5891.
    Hostname,
    /// RFC 2673 section 3.2: four decimal numbers.
    Ipv4,
    /// RFC 4291 section 2.2, without a zone.
    Ipv6,
    /// RFC 3986 section 3.
    Uri,
    /// RFC 3986 section 4.1.
    UriReference,
    /// RFC 6901 section 3.
    JsonPointer,
    /// A pattern that would be accepted as one.
    Regex,
    /// RFC 4648 section 4, with its padding.
    Byte,
}

impl Format {
    pub const NAMES: [&str; 14] = [
        "uuid",
        "date",
        "date-time",
        "time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "json-pointer",
        "regex",
        "byte",
    ];

    pub fn named(name: &str) -> Option<Format> {
        Some(match name {
            "uuid" => Format::Uuid,
            "date" => Format::Date,
            "date-time" => Format::DateTime,
            "time" => Format::Time,
            "duration" => Format::Duration,
            "email" => Format::Email,
            "hostname" => Format::Hostname,
            "ipv4" => Format::Ipv4,
            "ipv6" => Format::Ipv6,
            "uri" => Format::Uri,
            "uri-reference" => Format::UriReference,
            "json-pointer" => Format::JsonPointer,
            "regex" => Format::Regex,
            "byte" => Format::Byte,
            _ => return None,
        })
    }

    /// Whether no text is longer than some length.
    pub fn is_bounded(self) -> bool {
        match self {
            Format::Uuid
            | Format::Date
            | Format::DateTime
            | Format::Time
            | Format::Email
            | Format::Hostname
            | Format::Ipv4
            | Format::Ipv6 => true,
            Format::Duration
            | Format::Uri
            | Format::UriReference
            | Format::JsonPointer
            | Format::Regex
            | Format::Byte => false,
        }
    }

    pub fn accepts(self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match self {
            Format::Uuid => is_uuid(bytes),
            Format::Date => is_date(bytes),
            Format::DateTime => is_date_time(bytes),
            Format::Time => is_time(bytes),
            Format::Duration => is_duration(bytes),
            Format::Email => is_email(text),
            Format::Hostname => is_hostname(text),
            Format::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Format::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Format::Uri => is_uri(text, true),
            Format::UriReference => is_uri(text, false),
            Format::JsonPointer => is_json_pointer(text),
            Format::Regex => pattern::is_pattern(text),
            Format::Byte => is_base64(bytes),
        }
    }
}

/// `P` with years to seconds in order, or weeks alone; `T` before hours.
fn is_duration(text: &[u8]) -> bool {
    let Some((b'P', rest)) = text.split_first() else {
        return false;
    };
    if let Some((b'W', weeks)) = rest.split_last() {
        return !weeks.is_empty() && weeks.iter().all(u8::is_ascii_digit);
    }
    let mut halves = rest.splitn(2, |byte| *byte == b'T');
    let date = halves.next().unwrap_or_default();
    let time = halves.next();
    let is_something = !date.is_empty() || time.is_some();
    let is_time = time.is_none_or(|time| !time.is_empty() && is_run(time, b"HMS"));
    is_something && is_time && is_run(date, b"YMD")
}

/// Numbers with units, each unit once, in order and without a gap.
fn is_run(mut text: &[u8], units: &[u8]) -> bool {
    let mut next = None;
    while !text.is_empty() {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let unit = text
            .get(digits)
            .and_then(|byte| units.iter().position(|u| u == byte));
        let Some(unit) = unit else {
            return false;
        };
        if digits == 0 || next.is_some_and(|next| unit != next) {
            return false;
        }
        next = Some(unit + 1);
        text = &text[digits + 1..];
    }
    true
}

fn is_hostname(text: &str) -> bool {
    let is_plain = |label: &str| match label.get(2..4) {
        // Reserved for names in other scripts (RFC 5891 section 4.2.3.1).
        Some("--") => is_a_label(label),
        _ => true,
    };
    text.len() <= 253 && is_domain(text) && text.split('.').all(is_plain)
}

/// Whether a label in the form of ASCII stands for one in another script (RFC 5890 section
/// 2.3.2.1), and is the form that such a label has.
fn is_a_label(label: &str) -> bool {
    use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
    let table = Uts46::new();
    let (decoded, outcome) =
        table.to_unicode(label.as_bytes(), AsciiDenyList::STD3, Hyphens::Check);
    let encoded = table.to_ascii(
        decoded.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::Check,
        DnsLength::Verify,
    );
    outcome.is_ok()
        && !decoded.is_ascii()
        && encoded.is_ok_and(|encoded| encoded.eq_ignore_ascii_case(label))
}

fn is_json_pointer(text: &str) -> bool {
    let mut steps = text.split('~').skip(1);
    (text.is_empty() || text.starts_with('/')) && steps.all(|rest| rest.starts_with(['0', '1']))
}

fn is_base64(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    text.len().is_multiple_of(4)
        && padding <= 2
        && text[..text.len() - padding].iter().all(is_digit)
}

/// Whether every byte is of a set, or the beginning of a percent-encoded one.
fn is_encoded(text: &str, allowed: &[u8]) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => {
            let digits = bytes.get(at + 1..at + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        }
        _ => byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || allowed.contains(byte),
    })
}

fn is_uri(text: &str, needs_scheme: bool) -> bool {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_free = |text| is_encoded(text, b"!$&'()*+,;=:@/?");
    // A colon in the first segment can only end a scheme.
    let colon = rest.find(':').filter(|at| !rest[..*at].contains('/'));
    let is_scheme = |scheme: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(is_inner)
    };
    let scheme_fits = match colon {
        Some(at) => is_scheme(&rest[..at]),
        None => !needs_scheme,
    };
    let rest = colon.map_or(rest, |at| &rest[at + 1..]);
    let (authority, path) = match rest.strip_prefix("//") {
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
        None => ("", rest),
    };
    scheme_fits
        && is_authority(authority)
        && is_encoded(path, b"!$&'()*+,;=:@/")
        && is_free(query)
        && is_free(fragment)
}

fn is_authority(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or(("", text));
    if !is_encoded(user, b"!$&'()*+,;=:") {
        return false;
    }
    let (host, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, port)) => {
            let is_future = literal.starts_with(['v', 'V']) && is_encoded(literal, b"!$&'()*+,;=:");
            if !is_future && literal.parse::<Ipv6Addr>().is_err() {
                return false;
            }
            ("", port)
        }
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    is_encoded(host, b"!$&'()*+,;=")
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Which bytes are no hexadecimal digits.
const OTHERS_THAN_HEX: [bool; 256] = {
    let mut others = [true; 256];
    let mut byte = 0;
    while byte < others.len() {
        others[byte] = !(byte as u8).is_ascii_hexdigit();
        byte += 1;
    }
    others
};

fn is_uuid(text: &[u8]) -> bool {
    let Ok(text) = <&[u8; 36]>::try_from(text) else {
        return false;
    };
    // Without asking after each byte whether to go on.
    let is_hex = |part: &[u8]| {
        let others = |byte: &u8| OTHERS_THAN_HEX[usize::from(*byte)];
        !part.iter().fold(false, |any, byte| any | others(byte))
    };
    [8, 13, 18, 23].iter().all(|&at| text[at] == b'-')
        && is_hex(&text[..8])
        && is_hex(&text[9..13])
        && is_hex(&text[14..18])
        && is_hex(&text[19..23])
        && is_hex(&text[24..])
}

/// The value of exactly these digits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + u32::from(digit - b'0'))
    })
}

fn is_date(text: &[u8]) -> bool {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return false;
    }
    let (Some(year), Some(month), Some(day)) =
        (number(&text[..4]), number(&text[5..7]), number(&text[8..]))
    else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

fn is_date_time(text: &[u8]) -> bool {
    text.len() > 10 && is_date(&text[..10]) && b"Tt".contains(&text[10]) && is_time(&text[11..])
}

fn is_time(text: &[u8]) -> bool {
    let Some((time, rest)) = text.split_at_checked(8) else {
        return false;
    };
    if time[2] != b':' || time[5] != b':' {
        return false;
    }
    let (Some(hour), Some(minute), Some(second)) =
        (number(&time[..2]), number(&time[3..5]), number(&time[6..]))
    else {
        return false;
    };
    let rest = match rest.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if digits == 0 || digits > FRACTION {
                return false;
            }
            &fraction[digits..]
        }
        _ => rest,
    };
    let Some(offset) = offset_minutes(rest) else {
        return false;
    };
    // A leap second is the last of a day in UTC (RFC 3339 section 5.7).
    let utc = (hour * 60 + minute + 24 * 60).wrapping_add_signed(-offset) % (24 * 60);
    hour < 24 && minute < 60 && (second < 60 || (second == 60 && utc == 23 * 60 + 59))
}

fn offset_minutes(text: &[u8]) -> Option<i32> {
    match text {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', ten, one] if hours.len() == 2 => {
            let (hours, minutes) = (number(hours)?, number(&[*ten, *one])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = (hours * 60 + minutes) as i32;
            Some(if *sign == b'-' { -minutes } else { minutes })
        }
        _ => None,
    }
}

fn is_email(text: &str) -> bool {
    let Some(at) = text.bytes().rposition(|byte| byte == b'@') else {
        return false;
    };
    let (local, domain) = (&text[..at], &text[at + 1..]);
    if local.is_empty() || local.len() > 64 || !(is_dot_string(local) || is_quoted(local)) {
        return false;
    }
    match domain
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(literal) => match literal.strip_prefix("IPv6:") {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => literal.parse::<Ipv4Addr>().is_ok(),
        },
        None => is_domain(domain),
    }
}

fn is_dot_string(local: &str) -> bool {
    let mut is_open = false;
    for byte in local.bytes() {
        let is_atext = byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
        // A dot stands between two atoms.
        let is_between = byte == b'.' && is_open;
        if !is_atext && !is_between {
            return false;
        }
        is_open = is_atext;
    }
    is_open
}

fn is_quoted(local: &str) -> bool {
    let Some(inner) = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return false;
    };
    let mut bytes = inner.bytes();
    while let Some(byte) = bytes.next() {
        let is_sound = match byte {
            b'\\' => bytes
                .next()
                .is_some_and(|next| (b' '..=b'~').contains(&next)),
            b'"' => false,
            other => (b' '..=b'~').contains(&other),
        };
        if !is_sound {
            return false;
        }
    }
    local.len() >= 2
}

fn is_domain(domain: &str) -> bool {
    // The length of the label so far, and the byte before; a hyphen neither begins nor ends one.
    let (mut length, mut last) = (0, b'-');
    for byte in domain.bytes() {
        let is_sound = match byte {
            b'.' => length > 0 && last != b'-',
            b'-' => length > 0,
            other => other.is_ascii_alphanumeric(),
        };
        length = if byte == b'.' { 0 } else { length + 1 };
        last = byte;
        if !is_sound || length > 63 {
            return false;
        }
    }
    domain.len() <= 255 && length > 0 && last != b'-'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_what_their_parts_are(text in "[ab9.é_-]{0,12}|(a{0,3}[.-]?){0,4}|(a{61,64}\\.?){1,4}") {
            let atom = |atom: &str| {
                !atom.is_empty() && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            };
            prop_assert_eq!(is_dot_string(&text), text.split('.').all(atom), "{}", text);
            let label = |label: &str| {
                atom(label) && label.len() <= 63 && !label.contains('_') && !label.starts_with('-') && !label.ends_with('-')
            };
            let is_domain_by_parts = text.len() <= 255 && text.split('.').all(label);
            prop_assert_eq!(is_domain(&text), is_domain_by_parts, "{}", text);
        }

        #[test]
        fn a_digit_or_not_makes_a_uuid_or_not(at in 0..36_usize, byte in 0..128_u8) {
            let mut text = *b"2eb8aa08-aa98-11ea-b4aa-73b441d16380";
            text[at] = byte;
            let is_dash = matches!(at, 8 | 13 | 18 | 23);
            let expected = if is_dash { byte == b'-' } else { byte.is_ascii_hexdigit() };
            prop_assert_eq!(is_uuid(&text), expected);
        }
    }

    #[test]
    fn a_fraction_of_a_second_has_an_end() {
        let time = |digits: usize| format!("10:11:12.{}Z", "0".repeat(digits));
        for (digits, is_good) in [
            (0, false),
            (1, true),
            (FRACTION, true),
            (FRACTION + 1, false),
        ] {
            assert_eq!(Format::Time.accepts(&time(digits)), is_good, "{digits}");
            let whole = format!("2026-01-01T{}", time(digits));
            assert_eq!(Format::DateTime.accepts(&whole), is_good, "{digits}");
        }
    }

    #[test]
    fn formats_accept_what_their_rfc_says() {
        for (format, good, bad) in [
            (
                Format::Uuid,
                &[
                    "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
                    "2EB8AA08-AA98-11EA-B4AA-73B441D16380",
                ][..],
                &[
                    "2eb8aa08-aa98-11ea-b4aa73b441d16380-",
                    "2eb8aa08aa9811eab4aa73b441d16380",
                    "",
                    "g".repeat(36).as_str(),
                ][..],
            ),
            (
                Format::Date,
                &["2024-02-29", "2000-02-29", "1963-06-19"],
                &[
                    "2023-02-29",
                    "1900-02-29",
                    "2020-04-31",
                    "2020-13-01",
                    "2020-1-01",
                    "20200101",
                    "2020-01-00",
                    "\u{661}963-06-19",
                ],
            ),
            (
                Format::DateTime,
                &[
                    "1963-06-19T08:30:06.283185Z",
                    "1937-01-01T12:00:27.87+00:20",
                    "1990-12-31T15:59:60-08:00",
                    "1998-12-31T23:59:60Z",
                    "1963-06-19t08:30:06z",
                ],
                &[
                    "1998-12-31T23:58:60Z",
                    "1990-02-31T15:59:59Z",
                    "1990-12-31T15:59:59-24:00",
                    "1963-06-19T08:30:06.Z",
                    "1963-06-19 08:30:06Z",
                    "1963-06-19T08:30:06",
                    "1963-06-19T24:00:00Z",
                    "1963-06-19T08:30:06+0100",
                    "1985-04-12T23:20:50.52Z\n",
                ],
            ),
            (
                Format::Email,
                &[
                    "joe.bloggs@example.com",
                    "te~st@example.com",
                    "\"joe bloggs\"@example.com",
                    "joe@[127.0.0.1]",
                    "joe@[IPv6:::1]",
                ],
                &[
                    "2962",
                    ".test@example.com",
                    "te..st@example.com",
                    "joe@-x.example",
                    "joe@[127.0.0.300]",
                    "@example.com",
                    "joe@",
                    "\"a\"b\"@x.y",
                    "a b@x.y",
                ],
            ),
        ] {
            for text in good {
                assert!(format.accepts(text), "{format:?} {text}");
            }
            for text in bad {
                assert!(!format.accepts(text), "{format:?} {text}");
            }
        }
    }
}
