//! `@eq`, `@ge`, `@gt`, `@le`, `@lt`: whole numbers.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    AtLeast,
    More,
    AtMost,
    Less,
}

impl Comparison {
    pub fn named(name: &str) -> Option<Comparison> {
        Some(match name {
            "eq" => Comparison::Equal,
            "ge" => Comparison::AtLeast,
            "gt" => Comparison::More,
            "le" => Comparison::AtMost,
            "lt" => Comparison::Less,
            _ => return None,
        })
    }

    pub fn holds(self, value: &[u8], argument: &[u8]) -> bool {
        let (value, argument) = (number(value), number(argument));
        match self {
            Comparison::Equal => value == argument,
            Comparison::AtLeast => value >= argument,
            Comparison::More => value > argument,
            Comparison::AtMost => value <= argument,
            Comparison::Less => value < argument,
        }
    }
}

/// The number at the beginning of a text, 0 if there is none; it stays within its bounds.
pub fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let value = digits.fold(0_i64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_a_text() {
        for (text, expected) in [
            ("12", 12),
            (" -7x", -7),
            ("+3", 3),
            ("x", 0),
            ("", 0),
            ("99999999999999999999", i64::MAX),
            ("-99999999999999999999", -i64::MAX),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text}");
        }
        assert!(Comparison::AtLeast.holds(b"5", b"5"));
        assert!(!Comparison::More.holds(b"5", b"5"));
        assert!(Comparison::Less.holds(b"", b"1"));
    }
}
