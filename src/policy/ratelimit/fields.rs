//! Header field values that tell clients their quota (draft-ietf-httpapi-ratelimit-headers-09).
//!
//! Values only, appended to a buffer; a quota's name is printable ASCII by construction, so
//! escaping quotes and backslashes makes it a valid structured-field string.

use super::quota::Quota;

/// `RateLimit-Policy`: every quota that applies, as in `"name";q=100;w=60`.
pub fn write_policy<'a>(out: &mut Vec<u8>, quotas: impl IntoIterator<Item = &'a Quota>) {
    for (index, quota) in quotas.into_iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        write_name(out, quota.name());
        write_parameter(out, b";q=", quota.count());
        write_parameter(out, b";w=", quota.window_s());
    }
}

/// `RateLimit`: requests left and seconds until the bucket has more, as in `"name";r=12;t=30`.
pub fn write_remaining(out: &mut Vec<u8>, quota: &Quota, left: u64, reset_s: u64) {
    write_name(out, quota.name());
    write_parameter(out, b";r=", left);
    write_parameter(out, b";t=", reset_s);
}

/// `Retry-After`: seconds.
pub fn write_retry_after(out: &mut Vec<u8>, retry_after_s: u64) {
    write_parameter(out, b"", retry_after_s);
}

fn write_name(out: &mut Vec<u8>, name: &str) {
    out.push(b'"');
    for byte in name.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn write_parameter(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::quota::Rate;
    use super::*;

    #[test]
    fn writes_the_three_values() {
        let a = Quota::new("per-client", Rate::parse("100/m").unwrap()).unwrap();
        let b = Quota::new(r#"a"\b"#, Rate::parse("5/s").unwrap()).unwrap();
        let mut out = Vec::new();
        write_policy(&mut out, [&a, &b]);
        assert_eq!(out, br#""per-client";q=100;w=60, "a\"\\b";q=5;w=1"#);
        out.clear();
        write_remaining(&mut out, &a, 12, 30);
        assert_eq!(out, br#""per-client";r=12;t=30"#);
        out.clear();
        write_retry_after(&mut out, 7);
        assert_eq!(out, b"7");
    }
}
