//! The requests of the suite, as its runner would send them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// One case of the suite.
#[derive(Debug, Deserialize)]
pub struct Case {
    pub id: String,
    pub group: String,
    pub stages: Vec<Stage>,
}

#[derive(Debug, Deserialize)]
pub struct Stage {
    method: Option<String>,
    uri: Option<String>,
    version: Option<String>,
    headers: Option<serde_json::Map<String, Value>>,
    data: Option<String>,
    encoded_request: Option<String>,
    #[serde(alias = "autocomplete_headers")]
    autocomplete: Option<bool>,
    pub expect_ids: Vec<u32>,
    pub no_expect_ids: Vec<u32>,
}

/// A request as bytes.
#[derive(Debug, Default)]
pub struct Sent {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub version: Vec<u8>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Stage {
    pub fn sent(&self) -> Sent {
        if let Some(encoded) = &self.encoded_request {
            let encoded: String = encoded.split_ascii_whitespace().collect();
            return raw(&STANDARD.decode(encoded).unwrap());
        }
        let or = |text: &Option<String>, default: &str| {
            text.as_deref().unwrap_or(default).as_bytes().to_vec()
        };
        let mut sent = Sent {
            method: or(&self.method, "GET"),
            target: or(&self.uri, "/"),
            version: or(&self.version, "HTTP/1.1"),
            headers: Vec::new(),
            body: or(&self.data, ""),
        };
        for (name, value) in self.headers.iter().flatten() {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            sent.headers
                .push((name.as_bytes().to_vec(), value.into_bytes()));
        }
        let is_multipart = sent.headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case(b"content-type") && value.starts_with(b"multipart/")
        });
        if is_multipart {
            sent.end_lines();
        }
        if self.autocomplete != Some(false) {
            sent.complete();
        }
        sent
    }
}

impl Sent {
    fn has(&self, name: &str) -> bool {
        let mut names = self.headers.iter();
        names.any(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The suite keeps the parts with line feeds alone, which RFC 2046 section 4.1.1 does not allow.
    fn end_lines(&mut self) {
        if memchr::memchr(b'\r', &self.body).is_none() {
            let lines: Vec<&[u8]> = self.body.split(|&byte| byte == b'\n').collect();
            self.body = lines.join(&b"\r\n"[..]);
        }
    }

    fn complete(&mut self) {
        let mut add = |name: &str, value: String| {
            self.headers
                .push((name.as_bytes().to_vec(), value.into_bytes()));
        };
        add("Connection", "close".to_owned());
        if !self.body.is_empty() {
            if !self.has("Content-Type") {
                let form = "application/x-www-form-urlencoded".to_owned();
                self.headers
                    .push((b"Content-Type".to_vec(), form.into_bytes()));
            }
            if !self.has("Content-Length") && !self.has("Transfer-Encoding") {
                let length = self.body.len().to_string();
                self.headers
                    .push((b"Content-Length".to_vec(), length.into_bytes()));
            }
        }
    }

    pub fn borrowed(&self) -> Vec<(&[u8], &[u8])> {
        let fields = self.headers.iter();
        fields
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
            .collect()
    }

    /// What the test server of the suite answers to `/reflect`: the `body` member.
    pub fn reflected(&self) -> Vec<u8> {
        if self.target != b"/reflect" {
            return Vec::new();
        }
        let document: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        document["body"]
            .as_str()
            .unwrap_or_default()
            .as_bytes()
            .to_vec()
    }
}

fn raw(bytes: &[u8]) -> Sent {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 4..]),
        None => (bytes.trim_ascii_end(), &bytes[..0]),
    };
    let mut lines = head
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let mut words = lines.next().unwrap_or_default().split(|&byte| byte == b' ');
    let mut word = || words.next().unwrap_or_default().to_vec();
    let mut sent = Sent {
        method: word(),
        target: word(),
        version: word(),
        headers: Vec::new(),
        body: body.to_vec(),
    };
    for line in lines {
        let colon = line
            .iter()
            .position(|&byte| byte == b':')
            .unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
        sent.headers.push((line[..colon].to_vec(), value.to_vec()));
    }
    sent
}
