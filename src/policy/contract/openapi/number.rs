//! Numbers of a description: the core schema of YAML, as far as JSON has the same.

use serde_json::Number;

/// What cannot be read, and what to write.
pub type Unreadable = (String, &'static str);

/// Infinity and not-a-number.
pub fn is_special(text: &str) -> bool {
    let name = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(name, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
}

/// The number forms of the core schema: decimal with fraction and exponent, `0o` and `0x`.
pub fn looks_numeric(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix("0x") {
        return !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return !digits.is_empty() && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let mantissa = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!whole.is_empty() || !fraction.is_empty())
        && is_digits(whole)
        && is_digits(fraction)
        && exponent.is_none_or(|digits| !digits.is_empty() && is_digits(digits))
}

/// The number that is nearest, and the text of it as JSON writes it where that is another one.
pub fn read(text: &str) -> Result<(Number, Option<Box<str>>), Unreadable> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let follows_zero = digits
        .strip_prefix('0')
        .and_then(|rest| rest.bytes().next());
    if follows_zero.is_some_and(|byte| !b".eE".contains(&byte)) {
        let hint = "write a decimal number as JSON does, or quote it for a string";
        return Err((
            format!("`{text:.40}` is another number for some readers"),
            hint,
        ));
    }
    let plain = plain(text);
    if let Ok(whole) = plain.parse::<u64>() {
        return Ok((Number::from(whole), None));
    }
    if let Ok(whole) = plain.parse::<i64>() {
        return Ok((Number::from(whole), None));
    }
    let held: f64 = plain.parse().unwrap_or(0.0);
    let held = held.clamp(f64::MIN, f64::MAX);
    let nearest = Number::from_f64(held).unwrap_or_else(|| Number::from(0));
    let significant = significant_digits(digits);
    // Fifteen decimal digits survive the way through a double and back. More do where a program has
    // written what it had rounded before: numbers are compared by their shortest decimal form.
    let is_exact = significant <= 15
        && (significant == 0 || held.is_normal() && held.abs() < f64::MAX)
        || held.to_string() == plain;
    Ok((nearest, (!is_exact).then(|| plain.into())))
}

/// The same number as JSON writes it: no sign of the positive, and digits around the point.
fn plain(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    let zero = if mantissa.starts_with('.') { "0" } else { "" };
    let mantissa = mantissa.strip_suffix('.').unwrap_or(mantissa);
    format!("{sign}{zero}{mantissa}{exponent}")
}

/// Digits of the mantissa without the zeros at both ends.
fn significant_digits(text: &str) -> usize {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let first = digits.iter().position(|&digit| digit != b'0');
    let last = digits.iter().rposition(|&digit| digit != b'0');
    match (first, last) {
        (Some(first), Some(last)) => last + 1 - first,
        _ => 0,
    }
}
