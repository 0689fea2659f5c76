//! Numbers by the text that they are written in, compared exactly whatever their size.

use std::cmp::Ordering;

/// A number of JSON (RFC 8259 section 6) where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Number<'t> {
    is_negative: bool,
    whole: &'t [u8],
    fraction: &'t [u8],
    /// Cut at what 64 bits hold.
    exponent: i64,
    /// The next whole number towards the negative, if it is below 10^18 and there is no exponent.
    floor: Option<i64>,
    /// Whether the fraction is more than zeros.
    has_fraction: bool,
}

/// Digits without zeros at either end: `0.head tail * 10^point`.
#[derive(Clone, Copy)]
struct Normal<'t> {
    head: &'t [u8],
    tail: &'t [u8],
    point: i64,
}

/// Digits that 64 bits hold in any case.
const FEW: usize = 18;

/// Most digits of a divisor: what 64 bits hold in any case.
const DIVISOR: usize = 19;

fn digits(bytes: &[u8]) -> usize {
    let count = bytes.iter().position(|byte| !byte.is_ascii_digit());
    count.unwrap_or(bytes.len())
}

impl<'t> Number<'t> {
    /// Reads the number at the beginning, and how many bytes it takes.
    pub fn read(bytes: &'t [u8]) -> Option<(Number<'t>, usize)> {
        let is_negative = bytes.first() == Some(&b'-');
        let mut at = usize::from(is_negative);
        let mut value = 0_i64;
        let begin = at;
        while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')) {
            if digit > 9 {
                break;
            }
            // Too long a number is not read from here.
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
            at += 1;
        }
        let whole = &bytes[begin..at];
        if whole.is_empty() || whole.len() > 1 && whole[0] == b'0' {
            return None;
        }
        let mut fraction = &bytes[at..at];
        if bytes.get(at) == Some(&b'.') {
            let length = digits(&bytes[at + 1..]);
            fraction = &bytes[at + 1..at + 1 + length];
            at += 1 + length;
            if length == 0 {
                return None;
            }
        }
        let has_fraction = fraction.iter().any(|&digit| digit != b'0');
        let mut exponent = 0;
        let mut is_few = whole.len() <= FEW;
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let length;
            (exponent, length) = read_exponent(&bytes[at + 1..])?;
            at += 1 + length;
            is_few = false;
        }
        let floor = match is_negative {
            true => value.wrapping_neg().wrapping_sub(i64::from(has_fraction)),
            false => value,
        };
        let number = Number {
            is_negative,
            whole,
            fraction,
            exponent,
            floor: is_few.then_some(floor),
            has_fraction,
        };
        Some((number, at))
    }

    /// A zero fraction does not count (JSON Schema 2020-12 validation, section 6.1.1).
    pub fn is_whole(&self) -> bool {
        match self.floor {
            Some(_) => !self.has_fraction,
            None => {
                let normal = self.normal();
                normal.len() as i64 <= normal.point
            }
        }
    }

    /// The value of a whole number below 10^18 that is written without an exponent.
    pub fn as_whole(&self) -> Option<i64> {
        self.floor.filter(|_| !self.has_fraction)
    }

    pub fn compare(&self, other: &Number<'_>) -> Ordering {
        if let (Some(a), Some(b)) = (self.floor, other.floor)
            && (a != b || !self.has_fraction || !other.has_fraction)
        {
            return a.cmp(&b).then(self.has_fraction.cmp(&other.has_fraction));
        }
        let (a, b) = (self.normal(), other.normal());
        let sign = |normal: &Normal<'_>, is_negative: bool| match (normal.len(), is_negative) {
            (0, _) => 0,
            (_, true) => -1,
            (_, false) => 1,
        };
        let (sign_a, sign_b) = (sign(&a, self.is_negative), sign(&b, other.is_negative));
        if sign_a != sign_b || sign_a == 0 {
            return sign_a.cmp(&sign_b);
        }
        let order = a
            .point
            .cmp(&b.point)
            .then_with(|| a.digits().cmp(b.digits()));
        match self.is_negative {
            true => order.reverse(),
            false => order,
        }
    }

    /// Whether it is a whole number of times the divisor, which is not zero.
    pub fn is_multiple(&self, divisor: &Exact) -> bool {
        let (value, by) = (self.normal(), divisor.number());
        let by = by.normal();
        if value.len() == 0 {
            return true;
        }
        // Value and divisor as whole numbers with a power of ten each.
        let power = (value.point - value.len() as i64).saturating_sub(by.point - by.len() as i64);
        let Ok(power) = u64::try_from(power) else {
            // Its last digit is not zero, so no power of ten divides it.
            return false;
        };
        let modulus = by
            .digits()
            .fold(0_u128, |sum, digit| sum * 10 + u128::from(digit));
        if modulus == 0 || modulus > u128::from(u64::MAX) {
            return false;
        }
        let rest = value
            .digits()
            .fold(0, |rest, digit| (rest * 10 + u128::from(digit)) % modulus);
        (rest * ten_to(power, modulus)).is_multiple_of(modulus)
    }

    /// Feeds what makes the value, the same for all ways to write it.
    pub fn hash(&self, state: &mut impl std::hash::Hasher) {
        let normal = self.normal();
        state.write_u8(u8::from(self.is_negative && normal.len() > 0));
        state.write_i64(normal.point);
        normal.digits().for_each(|digit| state.write_u8(digit));
    }

    fn normal(&self) -> Normal<'t> {
        let mut fraction = self.fraction;
        while let [rest @ .., b'0'] = fraction {
            fraction = rest;
        }
        let mut whole = self.whole;
        let zeros = |digits: &[u8]| digits.iter().take_while(|digit| **digit == b'0').count();
        whole = &whole[zeros(whole)..];
        let mut point = self.exponent.saturating_add(whole.len() as i64);
        if whole.is_empty() {
            let leading = zeros(fraction);
            fraction = &fraction[leading..];
            point = point.saturating_sub(leading as i64);
        }
        if fraction.is_empty() {
            while let [rest @ .., b'0'] = whole {
                whole = rest;
            }
        }
        if whole.is_empty() && fraction.is_empty() {
            point = 0;
        }
        Normal {
            head: whole,
            tail: fraction,
            point,
        }
    }
}

fn read_exponent(bytes: &[u8]) -> Option<(i64, usize)> {
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let length = digits(&bytes[sign..]);
    let value = bytes[sign..sign + length].iter().fold(0_i64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    // Kept away from the ends, so that the length of a text can be added.
    let value = value.min(i64::MAX / 4);
    let exponent = if bytes.first() == Some(&b'-') {
        -value
    } else {
        value
    };
    (length > 0).then_some((exponent, sign + length))
}

/// A power of ten modulo a number below 2^64, by squaring.
fn ten_to(mut power: u64, modulus: u128) -> u128 {
    let (mut result, mut square) = (1 % modulus, 10 % modulus);
    while power > 0 {
        if power & 1 == 1 {
            result = result * square % modulus;
        }
        square = square * square % modulus;
        power >>= 1;
    }
    result
}

impl<'t> Normal<'t> {
    fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    fn digits(self) -> impl Iterator<Item = u8> + use<'t> {
        self.head.iter().chain(self.tail).map(|digit| digit - b'0')
    }
}

/// A number of a schema.
#[derive(Clone, Debug)]
pub struct Exact(Box<str>);

impl Exact {
    pub fn from_json(number: &serde_json::Number) -> Exact {
        Exact(number.to_string().into())
    }

    /// From a text that is a number of JSON.
    pub fn from_text(text: &str) -> Option<Exact> {
        let (_, length) = Number::read(text.as_bytes())?;
        (length == text.len()).then(|| Exact(text.into()))
    }

    /// Whether [`Number::is_multiple`] can divide by it.
    pub fn is_divisor(&self) -> bool {
        self.number().normal().len() <= DIVISOR
    }

    pub fn whole(value: i64) -> Exact {
        Exact(value.to_string().into())
    }

    pub fn number(&self) -> Number<'_> {
        let (number, _) = Number::read(self.0.as_bytes()).expect("a number writes itself as JSON");
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number<'_> {
        let (number, length) = Number::read(text.as_bytes()).unwrap();
        assert_eq!(length, text.len(), "{text}");
        number
    }

    #[test]
    fn values_compare_exactly() {
        for (small, large) in [
            ("9007199254740992", "9007199254740993"),
            ("18446744073709551615", "18446744073709551616"),
            ("-1", "-0.5"),
            ("-0.6", "-0.5"),
            ("-1.5", "-1"),
            ("-0.5", "0"),
            ("0.1", "0.2"),
            ("3", "3.5"),
            ("3.5", "4"),
            ("3.4999999999999999999999", "3.5"),
            ("18446744073709551615", "1e300"),
            ("-1e300", "-9223372036854775808"),
            ("1e400", "1.1e400"),
            ("1e-400", "1e-399"),
            ("0", "1e-400"),
            ("-1e-400", "0"),
        ] {
            let (a, b) = (number(small), number(large));
            assert_eq!(a.compare(&b), Ordering::Less, "{small} {large}");
            assert_eq!(b.compare(&a), Ordering::Greater, "{small} {large}");
        }
        for (a, b) in [
            ("1", "1.0"),
            ("0", "-0.0"),
            ("0e9", "-0.0e-7"),
            ("100", "1e2"),
            ("0.001", "1e-3"),
            ("1e300", "10e299"),
            ("12.50", "0.125E+2"),
        ] {
            assert_eq!(number(a).compare(&number(b)), Ordering::Equal, "{a} {b}");
        }
        for text in ["1.0", "1e300", "1e400", "12.5e1", "0.0", "10e-1"] {
            assert!(number(text).is_whole(), "{text}");
        }
        for text in ["1.5", "1e-1", "12.55e1", "1.0000000000000000000000001"] {
            assert!(!number(text).is_whole(), "{text}");
        }
    }

    #[test]
    fn multiples_are_exact() {
        let multiple = |value: &str, by: &str| {
            let by = serde_json::from_str(by).unwrap();
            number(value).is_multiple(&Exact::from_json(&by))
        };
        for (value, by) in [
            ("0.07", "0.01"),
            ("19.99", "0.01"),
            ("4.35", "0.01"),
            ("0", "3"),
            ("-9", "3"),
            ("1e308", "0.5"),
            ("12391239123", "1e-8"),
            ("0.0075", "0.0001"),
        ] {
            assert!(multiple(value, by), "{value} {by}");
        }
        for (value, by) in [
            ("0.075", "0.01"),
            ("7", "2"),
            ("1e-400", "0.01"),
            ("10", "100"),
            ("1e400", "1.23e-7"),
        ] {
            assert!(!multiple(value, by), "{value} {by}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_json(text in "-?[0-9.eE+-]{0,8}") {
            let read = Number::read(text.as_bytes()).is_some_and(|(_, length)| length == text.len());
            let elsewhere = serde_json::from_str::<Box<serde_json::value::RawValue>>(&text);
            prop_assert_eq!(read, elsewhere.is_ok(), "{}", text);
        }

        #[test]
        fn fractions_compare_as_scaled_integers(a in -3_000_000_i64..3_000_000, b in -3_000_000_i64..3_000_000, scale in 0..7_u32) {
            let text = |value: i64| format!("{value}e-{scale}");
            let point = |value: i64| {
                let (ten, size) = (10_i64.pow(scale), value.abs());
                let sign = if value < 0 { "-" } else { "" };
                format!("{sign}{}.{:0width$}0", size / ten, size % ten, width = scale as usize)
            };
            for (left, right) in [(text(a), text(b)), (point(a), text(b)), (point(a), point(b))] {
                prop_assert_eq!(number(&left).compare(&number(&right)), a.cmp(&b), "{} {}", left, right);
            }
            let whole = a % 10_i64.pow(scale) == 0;
            prop_assert_eq!(number(&text(a)).is_whole(), whole);
            prop_assert_eq!(number(&point(a)).is_whole(), whole);
        }
    }
}
