//! `application/x-www-form-urlencoded` (WHATWG URL section 5.1): names and values between `&`.

use super::{Error, FieldSpan, Scratch, Target, Visits};

/// Visits each field, then the values of each repeated name together.
pub(super) fn read(
    body: &[u8],
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    let Scratch {
        decoded,
        fields,
        hasher,
        joined,
        ..
    } = scratch;
    decoded.clear();
    fields.clear();
    let mut outcome = Ok(());
    for pair in body
        .split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
    {
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (raw_name, raw_value) = (&pair[..equals], pair.get(equals + 1..).unwrap_or_default());
        let name = decoded.len();
        outcome = outcome.and(decode(raw_name, decoded));
        let value = decoded.len();
        outcome = outcome.and(decode(raw_value, decoded));
        visits.value(Target::Field, &decoded[name..value], &decoded[value..])?;
        fields.push(FieldSpan {
            hash: hasher.hash_one(&decoded[name..value]),
            name,
            value,
            end: decoded.len(),
        });
    }
    // Stable: the values of a name stay in their order.
    fields.sort_by_key(|field| field.hash);
    for same in fields.chunk_by(|first, second| first.hash == second.hash) {
        if let [first, _, ..] = same {
            joined.clear();
            for field in same {
                joined.extend_from_slice(&decoded[field.value..field.end]);
                joined.push(b',');
            }
            joined.pop();
            visits.value(Target::Joined, &decoded[first.name..first.value], joined)?;
        }
    }
    outcome
}

/// `+` is a space and `%XX` a byte; what is neither stays, and is an error.
pub(super) fn decode(raw: &[u8], decoded: &mut Vec<u8>) -> Result<(), Error> {
    let mut outcome = Ok(());
    let mut rest = raw;
    while let Some(at) = memchr::memchr2(b'%', b'+', rest) {
        decoded.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
        let (byte, length) = match (rest[0], digit(1), digit(2)) {
            (b'+', ..) => (b' ', 1),
            (_, Some(high), Some(low)) => ((high << 4 | low) as u8, 3),
            _ => {
                outcome = Err(Error::PercentEscape);
                (b'%', 1)
            }
        };
        decoded.push(byte);
        rest = &rest[length..];
    }
    decoded.extend_from_slice(rest);
    outcome
}
