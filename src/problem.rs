//! All that a client may be told about a failure: problem details (RFC 9457).
//!
//! A [`Problem`] has no room for an internal message: its words are fixed in the code, and the
//! only text that varies is the id of the request.

/// A refusal or failure as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: u16,
    /// Last part of the stable `type` URI: lower-case words joined by hyphens.
    pub kind: &'static str,
    /// The same for every occurrence (RFC 9457 section 3.1.3).
    pub title: &'static str,
}

/// What every `type` begins with; the kind follows.
pub const TYPE_PREFIX: &str = "urn:portcullis:problem:";

/// The media type of the body.
pub const MEDIA_TYPE: &str = "application/problem+json";

impl Problem {
    /// Appends the JSON body. `request_id` becomes the `instance`; bytes that JSON or a log could
    /// stumble over are left out of it.
    pub fn write(&self, request_id: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(TYPE_PREFIX.as_bytes());
        out.extend_from_slice(self.kind.as_bytes());
        out.extend_from_slice(b"\",\"title\":\"");
        out.extend_from_slice(self.title.as_bytes());
        out.extend_from_slice(b"\",\"status\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.status).as_bytes());
        out.extend_from_slice(b",\"instance\":\"");
        out.extend(request_id.bytes().filter(|byte| is_identifier(*byte)));
        out.extend_from_slice(b"\"}");
    }
}

fn is_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_json_whatever_the_request_id_holds() {
        let problem = Problem {
            status: 404,
            kind: "undeclared-operation",
            title: "No such operation",
        };
        let mut out = Vec::new();
        problem.write("a-1\"\\\n\u{fc}", &mut out);
        let body: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:portcullis:problem:undeclared-operation",
                "title": "No such operation",
                "status": 404,
                "instance": "a-1",
            })
        );
    }
}
