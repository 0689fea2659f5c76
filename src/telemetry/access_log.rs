//! One JSON object per request. Query values, tokens and bodies are never in it; the path is the
//! canonical one.

use std::net::IpAddr;
use std::time::Duration;

use crate::policy::contract::response::UndeclaredFields;
use crate::policy::waf::budget::Exceeded;
use crate::policy::waf::hit::Hit;
use crate::policy::waf::score::Score;

/// So many findings are told one by one.
const HITS: usize = 16;

/// The facts of one request.
pub struct Record<'a> {
    pub unix_ms: i64,
    pub request_id: &'a str,
    pub trace_id: &'a str,
    pub peer: IpAddr,
    pub is_tls: bool,
    pub method: &'a str,
    pub path: &'a str,
    pub api: &'a str,
    pub operation: &'a str,
    pub subject: &'a str,
    pub client: &'a str,
    /// `forwarded`, `denied` or `failed`.
    pub decision: &'a str,
    /// The stage that decided.
    pub stage: &'a str,
    /// Why it was not forwarded; empty if it was.
    pub reason: &'a str,
    /// What would have been the reason, had it not been let pass to be reported only.
    pub reported: &'a str,
    /// What exactly a contract refused or reported, such as `body /amount maximum`.
    pub detail: &'a str,
    /// Header fields of the answer that nothing declares: taken out, or passed to be reported only.
    pub undeclared: &'a UndeclaredFields,
    /// What the WAF found.
    pub hits: &'a [Hit],
    /// What that adds up to, by category.
    pub scores: &'a [Score],
    /// What there was more of than rules may look at.
    pub exceeded: Exceeded,
    pub status: u16,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub is_truncated: bool,
    pub before: Duration,
    pub upstream: Duration,
    pub after: Duration,
    pub shard: usize,
}

impl Record<'_> {
    /// Appends the line, its end included.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        write_time(out, self.unix_ms);
        out.push(b'"');
        for (name, value) in [
            ("request_id", self.request_id),
            ("trace_id", self.trace_id),
            ("method", self.method),
            ("path", self.path),
            ("api", self.api),
            ("operation", self.operation),
            ("subject", self.subject),
            ("client", self.client),
            ("decision", self.decision),
            ("stage", self.stage),
            ("reason", self.reason),
            ("reported", self.reported),
            ("detail", self.detail),
        ] {
            if !value.is_empty() {
                key(out, name);
                write_text(out, value);
            }
        }
        self.write_undeclared(out);
        self.write_hits(out);
        self.write_scores(out);
        self.write_exceeded(out);
        key(out, "peer");
        out.push(b'"');
        write_address(out, self.peer);
        out.push(b'"');
        for (name, value) in [
            ("status", u64::from(self.status)),
            ("bytes_in", self.bytes_in),
            ("bytes_out", self.bytes_out),
            ("shard", self.shard as u64),
        ] {
            key(out, name);
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        }
        for (name, time) in [
            ("before_us", self.before),
            ("upstream_us", self.upstream),
            ("after_us", self.after),
        ] {
            key(out, name);
            write_tenths(out, time);
        }
        for (name, holds) in [("tls", self.is_tls), ("truncated", self.is_truncated)] {
            if holds {
                key(out, name);
                out.extend_from_slice(b"true");
            }
        }
        out.extend_from_slice(b"}\n");
    }
}

impl Record<'_> {
    fn write_undeclared(&self, out: &mut Vec<u8>) {
        if self.undeclared.is_empty() {
            return;
        }
        key(out, "undeclared_headers");
        out.push(b'[');
        for (at, name) in self.undeclared.names().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_text(out, name);
        }
        out.push(b']');
        if self.undeclared.more() > 0 {
            key(out, "undeclared_headers_more");
            out.extend_from_slice(
                itoa::Buffer::new()
                    .format(self.undeclared.more())
                    .as_bytes(),
            );
        }
    }
}

impl Record<'_> {
    fn write_hits(&self, out: &mut Vec<u8>) {
        if self.hits.is_empty() {
            return;
        }
        key(out, "waf");
        for (at, hit) in self.hits.iter().take(HITS).enumerate() {
            out.extend_from_slice(if at == 0 {
                b"[{\"rule\":"
            } else {
                b",{\"rule\":"
            });
            out.extend_from_slice(itoa::Buffer::new().format(hit.rule).as_bytes());
            for (name, value) in [
                ("field", &hit.variable),
                ("transformations", &hit.transformations),
                ("value", &hit.value),
                ("message", &hit.message),
            ] {
                key(out, name);
                write_text(out, value);
            }
            if hit.at > 0 {
                key(out, "at");
                out.extend_from_slice(itoa::Buffer::new().format(hit.at).as_bytes());
            }
            out.push(b'}');
        }
        out.push(b']');
        if self.hits.len() > HITS {
            key(out, "waf_more");
            out.extend_from_slice(
                itoa::Buffer::new()
                    .format(self.hits.len() - HITS)
                    .as_bytes(),
            );
        }
    }
}

impl Record<'_> {
    fn write_scores(&self, out: &mut Vec<u8>) {
        if self.scores.is_empty() {
            return;
        }
        key(out, "waf_scores");
        for (at, score) in self.scores.iter().enumerate() {
            out.push(if at == 0 { b'{' } else { b',' });
            write_text(out, &score.category);
            out.push(b':');
            out.extend_from_slice(itoa::Buffer::new().format(score.value).as_bytes());
        }
        out.push(b'}');
    }
}

impl Record<'_> {
    fn write_exceeded(&self, out: &mut Vec<u8>) {
        if !self.exceeded.any() {
            return;
        }
        key(out, "waf_over_budget");
        for (at, bound) in self.exceeded.iter().enumerate() {
            out.push(if at == 0 { b'[' } else { b',' });
            write_text(out, bound.name());
        }
        out.push(b']');
    }
}

fn key(out: &mut Vec<u8>, name: &str) {
    for part in [",\"", name, "\":"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Microseconds with one decimal.
fn write_tenths(out: &mut Vec<u8>, time: Duration) {
    let tenths = u64::try_from(time.as_nanos() / 100).unwrap_or(u64::MAX);
    out.extend_from_slice(itoa::Buffer::new().format(tenths / 10).as_bytes());
    out.push(b'.');
    out.push(b'0' + (tenths % 10) as u8);
}

fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    use std::io::Write;
    // Writing to a vector cannot fail.
    let _ = write!(out, "{address}");
}

/// A JSON string (RFC 8259 section 7).
fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x00..=0x1f | 0x7f => b"\\u00",
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain..at]);
        out.extend_from_slice(escape);
        if escape.len() == 4 {
            out.push(b"0123456789abcdef"[usize::from(byte >> 4)]);
            out.push(b"0123456789abcdef"[usize::from(byte & 0xf)]);
        }
        plain = at + 1;
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

/// RFC 3339 in UTC with milliseconds. Days to a date by the algorithm of Howard Hinnant's
/// "chrono-compatible low-level date algorithms".
fn write_time(out: &mut Vec<u8>, unix_ms: i64) {
    let (days, ms) = (
        unix_ms.div_euclid(86_400_000),
        unix_ms.rem_euclid(86_400_000),
    );
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (s, ms) = (ms / 1000, ms % 1000);
    for (value, width, end) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (s / 3600, 2, b':'),
        (s / 60 % 60, 2, b':'),
        (s % 60, 2, b'.'),
        (ms, 3, b'Z'),
    ] {
        let from = out.len();
        out.extend_from_slice(&b"0000"[..width]);
        let mut value = value;
        for digit in out[from..].iter_mut().rev() {
            *digit = b'0' + value.rem_euclid(10) as u8;
            value /= 10;
        }
        out.push(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static NONE: std::sync::LazyLock<UndeclaredFields> = std::sync::LazyLock::new(Default::default);

    fn record<'a>(path: &'a str, subject: &'a str) -> Record<'a> {
        Record {
            unix_ms: 1_795_478_400_123,
            request_id: "id-1",
            trace_id: "t",
            peer: "::1".parse().unwrap(),
            is_tls: true,
            method: "GET",
            path,
            api: "bank",
            operation: "getBalances",
            subject,
            client: "",
            decision: "denied",
            stage: "contract",
            reason: "invalid-body",
            reported: "",
            detail: "",
            undeclared: &NONE,
            hits: &[],
            scores: &[],
            exceeded: Exceeded::default(),
            status: 400,
            bytes_in: 12,
            bytes_out: 0,
            is_truncated: false,
            before: Duration::from_nanos(12_345),
            upstream: Duration::ZERO,
            after: Duration::ZERO,
            shard: 3,
        }
    }

    #[test]
    fn a_line_is_an_object_with_times_in_tenths() {
        let mut out = Vec::new();
        record("/a", "alice").write(&mut out);
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["time"], "2026-11-24T00:00:00.123Z");
        assert_eq!(
            (&line["before_us"], &line["tls"]),
            (&12.3.into(), &true.into())
        );
        assert!(line.get("client").is_none() && line.get("truncated").is_none());
        assert!(out.ends_with(b"}\n"));
    }

    #[test]
    fn scores_are_an_object_by_category() {
        let scores = [("total", 10), ("sql", 5), ("xss", 5)].map(|(category, value)| Score {
            category: category.into(),
            value,
        });
        let record = Record {
            scores: &scores,
            ..record("/a", "alice")
        };
        let mut out = Vec::new();
        record.write(&mut out);
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!({ "total": 10, "sql": 5, "xss": 5 });
        assert_eq!(line["waf_scores"], expected);
    }

    #[test]
    fn undeclared_headers_are_a_list_of_names_and_a_number() {
        let mut undeclared = UndeclaredFields::default();
        for name in ["Server", "X-Row", &"x".repeat(300)] {
            undeclared.add(name.as_bytes());
        }
        let record = Record {
            undeclared: &undeclared,
            ..record("/a", "alice")
        };
        let mut out = Vec::new();
        record.write(&mut out);
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!(["Server", "X-Row"]);
        assert_eq!(line["undeclared_headers"], expected);
        assert_eq!(line["undeclared_headers_more"], 1);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            let mut out = Vec::new();
            write_time(&mut out, unix_ms);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_line(path in any::<String>(), subject in "[\\x00-\\x7f]{0,30}") {
            let mut out = Vec::new();
            record(&path, &subject).write(&mut out);
            prop_assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), 1);
            let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
            if !path.is_empty() {
                prop_assert_eq!(line["path"].as_str(), Some(path.as_str()));
            }
            if !subject.is_empty() {
                prop_assert_eq!(line["subject"].as_str(), Some(subject.as_str()));
            }
        }
    }
}
