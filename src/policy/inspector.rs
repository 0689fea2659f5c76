//! Inspection by a service outside: what it is asked, what it may answer, and what becomes of it.
//!
//! The question is a `POST` with a JSON document, the answer `200` with another one:
//!
//! ```json
//! {"version": 1, "id": "0199...", "api": "orders", "operation": "createOrder",
//!  "source": "198.51.100.7", "method": "POST", "target": "/orders?a=b",
//!  "headers": [["Host", "api.example"], ["Authorization", null]],
//!  "body": {"length": 20480, "truncated": true, "base64": "eyJ..."}}
//!
//! {"verdict": "score", "score": 3, "reason": "odd user agent"}
//! ```
//! `verdict` is `allow`, `deny` or `score`. Values of secret fields are `null`; other bytes that
//! are no UTF-8 come as U+FFFD. `body` is `null` where there is none or none is to be sent. Any
//! other answer, a late one or none is a failure, for which the operator has chosen beforehand.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::policy::pipeline::Request;
use crate::policy::redact;
use crate::policy::waf::hit::{self, Hit};

/// A longer answer is a failure.
pub const LONGEST_ANSWER: usize = 64 * 1024;

/// A service, as an operation asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspector {
    pub name: Box<str>,
    /// The index of the upstream in the snapshot.
    pub upstream: usize,
    pub path: Box<str>,
    /// From the question to the end of the answer.
    pub timeout: Duration,
    pub on_failure: OnFailure,
    /// Whether a verdict refuses, or is only told.
    pub blocks: bool,
    /// So much of the body is sent; with 0 it need not be collected.
    pub max_body: usize,
    /// A score that refuses without any rule of the WAF.
    pub threshold: u32,
}

/// What becomes of a request about which the service says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It passes, uninspected.
    Open,
    /// It is refused.
    Closed,
}

/// What the service says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    Deny {
        reason: String,
    },
    /// To be added to the score of the rules.
    Score {
        score: u32,
        reason: String,
    },
}

/// Of which operation, by which name in the logs.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub id: &'a str,
    pub api: &'a str,
    pub operation: &'a str,
}

#[derive(Serialize)]
struct Question<'a> {
    version: u8,
    id: &'a str,
    api: &'a str,
    operation: &'a str,
    source: IpAddr,
    method: Cow<'a, str>,
    target: Cow<'a, str>,
    headers: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
    body: Option<Prefix>,
}

#[derive(Serialize)]
struct Prefix {
    length: usize,
    truncated: bool,
    base64: String,
}

#[derive(Deserialize)]
struct Answer {
    verdict: Word,
    score: Option<u32>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Allow,
    Deny,
    Score,
}

impl Inspector {
    /// The request that carries the question, to a backend of this authority.
    pub fn question(
        &self,
        authority: &str,
        asked: Asked<'_>,
        request: Request<'_>,
        body: Option<&[u8]>,
    ) -> Vec<u8> {
        let document = self.document(asked, request, body);
        // All of it is text: it cannot fail.
        let document = serde_json::to_vec(&document).unwrap_or_default();
        let mut out = format!(
            "POST {} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             Accept: application/json\r\nContent-Length: {}\r\n\r\n",
            self.path,
            document.len()
        )
        .into_bytes();
        out.extend_from_slice(&document);
        out
    }

    fn document<'a>(
        &self,
        asked: Asked<'a>,
        request: Request<'a>,
        body: Option<&[u8]>,
    ) -> Question<'a> {
        let Request { head, bytes, .. } = request;
        let path = head.path.range();
        let end = head.query.map_or(path.end, |query| query.range().end);
        let headers = head.fields.iter().map(|field| {
            let (name, value) = (field.name.of(bytes), field.value.of(bytes));
            let is_secret = redact::is_credential_field(name);
            let value = (!is_secret).then(|| String::from_utf8_lossy(value));
            (String::from_utf8_lossy(name), value)
        });
        let body = body.filter(|_| self.max_body > 0);
        Question {
            version: 1,
            id: asked.id,
            api: asked.api,
            operation: asked.operation,
            source: request.source,
            method: String::from_utf8_lossy(head.method(bytes)),
            target: String::from_utf8_lossy(&bytes[path.start..end]),
            headers: headers.collect(),
            body: body.map(|body| Prefix {
                length: body.len(),
                truncated: body.len() > self.max_body,
                base64: STANDARD.encode(&body[..body.len().min(self.max_body)]),
            }),
        }
    }

    /// What the log is told of a verdict or of a failure; nothing of a request that may pass.
    pub fn finding(&self, outcome: &Result<Verdict, &str>) -> Option<Hit> {
        let (value, reason, denies) = match outcome {
            Ok(Verdict::Allow) => return None,
            Ok(Verdict::Deny { reason }) => ("deny".to_owned(), reason.as_str(), true),
            Ok(Verdict::Score { score, reason }) => {
                let denies = *score >= self.threshold;
                (format!("score {score}"), reason.as_str(), denies)
            }
            Err(failure) => ("failure".to_owned(), *failure, false),
        };
        Some(Hit {
            rule: 0,
            severity: None,
            variable: format!("inspector:{}", self.name),
            value,
            at: 0,
            transformations: String::new(),
            message: hit::beginning(reason.as_bytes()),
            denies,
        })
    }
}

impl Verdict {
    /// Reads the content of an answer; nothing if it is not one.
    pub fn read(content: &[u8]) -> Option<Verdict> {
        let answer: Answer = serde_json::from_slice(content).ok()?;
        let Answer {
            verdict,
            score,
            reason,
        } = answer;
        Some(match (verdict, score) {
            (Word::Allow, _) => Verdict::Allow,
            (Word::Deny, _) => Verdict::Deny { reason },
            (Word::Score, score) => Verdict::Score {
                score: score?,
                reason,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_verdicts_or_nothing() {
        let read = |text: &str| Verdict::read(text.as_bytes());
        let reason = String::new;
        assert_eq!(read("{\"verdict\":\"allow\"}"), Some(Verdict::Allow));
        assert_eq!(
            read("{\"verdict\":\"deny\",\"reason\":\"r\",\"more\":[]}"),
            Some(Verdict::Deny {
                reason: "r".to_owned()
            })
        );
        assert_eq!(
            read("{\"verdict\":\"score\",\"score\":7}"),
            Some(Verdict::Score {
                score: 7,
                reason: reason()
            })
        );
        for garbage in [
            "",
            "allow",
            "{}",
            "{\"verdict\":\"maybe\"}",
            "{\"verdict\":\"score\"}",
            "{\"verdict\":\"score\",\"score\":-1}",
            "{\"verdict\":\"score\",\"score\":1.5}",
            "{\"verdict\":\"allow\"} {\"verdict\":\"deny\"}",
            "{\"verdict\":\"deny\",\"verdict\":\"allow\"}",
        ] {
            assert_eq!(read(garbage), None, "{garbage}");
        }
    }
}
