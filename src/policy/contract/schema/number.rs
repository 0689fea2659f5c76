//! Numbers compared by value: whole ones exactly, however they are written.

use std::cmp::Ordering;

/// A finite JSON number as the tape and the documents hold it.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    Whole(i128),
    /// With a fraction, or beyond what is exact.
    Fraction(f64),
}

/// Doubles from here on are whole and larger than any 64-bit integer.
const HUGE: f64 = 1e30;

impl Number {
    /// A double with a zero fraction is a whole number (JSON Schema 2020-12, section 6.1.1 of the
    /// validation vocabulary).
    pub fn from_double(value: f64) -> Number {
        if value.fract() == 0.0 && value.abs() < HUGE {
            Number::Whole(value as i128)
        } else {
            Number::Fraction(value)
        }
    }

    /// A number of a document. Its integers fit 64 bits, or are doubles already.
    pub fn from_json(number: &serde_json::Number) -> Number {
        match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => Number::Whole(i128::from(value)),
            (None, Some(value), _) => Number::Whole(i128::from(value)),
            (None, None, value) => Number::from_double(value.unwrap_or(f64::NAN)),
        }
    }

    pub fn is_whole(self) -> bool {
        match self {
            Number::Whole(_) => true,
            // Beyond the limit every double is whole.
            Number::Fraction(value) => value.fract() == 0.0,
        }
    }

    pub fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) => Some(a.cmp(&b)),
            (Number::Fraction(a), Number::Fraction(b)) => a.partial_cmp(&b),
            (Number::Whole(a), Number::Fraction(b)) => against(a, b),
            (Number::Fraction(a), Number::Whole(b)) => against(b, a).map(Ordering::reverse),
        }
    }

    pub fn equals(self, other: Number) -> bool {
        self.compare(other) == Some(Ordering::Equal)
    }
}

/// A whole number against a fraction or a huge double: they are never equal.
fn against(whole: i128, fraction: f64) -> Option<Ordering> {
    if fraction.is_nan() {
        return None;
    }
    if fraction.abs() >= HUGE {
        return Some(if fraction > 0.0 {
            Ordering::Less
        } else {
            Ordering::Greater
        });
    }
    // Below the limit the floor is exact, and the fraction lies strictly above it.
    let floor = fraction.floor() as i128;
    Some(if whole <= floor {
        Ordering::Less
    } else {
        Ordering::Greater
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::from_json(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn values_compare_exactly() {
        for (small, large) in [
            ("9007199254740992", "9007199254740993"),
            ("18446744073709551614", "18446744073709551615"),
            ("-1", "-0.5"),
            ("-0.5", "0"),
            ("0.1", "0.2"),
            ("3", "3.5"),
            ("3.5", "4"),
            ("18446744073709551615", "1e300"),
            ("-1e300", "-9223372036854775808"),
        ] {
            let (a, b) = (number(small), number(large));
            assert_eq!(a.compare(b), Some(Ordering::Less), "{small} {large}");
            assert_eq!(b.compare(a), Some(Ordering::Greater), "{small} {large}");
        }
        for (a, b) in [
            ("1", "1.0"),
            ("0", "-0.0"),
            ("100", "1e2"),
            ("1e300", "1e300"),
        ] {
            assert!(number(a).equals(number(b)), "{a} {b}");
        }
        assert!(number("1.0").is_whole() && number("1e300").is_whole());
        assert!(!number("1.5").is_whole());
    }
}
