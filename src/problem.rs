//! All that a client may be told about a failure: problem details (RFC 9457).
//!
//! A [`Problem`] has no room for an internal message: its words are fixed in the code, and the
//! only texts that vary are the id of the request and, where an operation tells its clients what is
//! wrong, the places in their own request. Never a value.

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
    ///
    /// `faults` are told in the order in which they stand, as many as [`ERRORS`] bytes hold.
    pub fn write(&self, request_id: &str, faults: &[Fault<'_>], out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(TYPE_PREFIX.as_bytes());
        out.extend_from_slice(self.kind.as_bytes());
        out.extend_from_slice(b"\",\"title\":\"");
        out.extend_from_slice(self.title.as_bytes());
        out.extend_from_slice(b"\",\"status\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.status).as_bytes());
        out.extend_from_slice(b",\"instance\":\"");
        out.extend(request_id.bytes().filter(|byte| is_identifier(*byte)));
        out.push(b'"');
        if !faults.is_empty() {
            write_errors(faults, out);
        }
        out.push(b'}');
    }
}

/// One of the things that are wrong with a request: a member of `errors`, as in the example of
/// RFC 9457 section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault<'a> {
    /// `body`, or where the parameter stands.
    pub part: &'static str,
    /// Of a parameter; of a body the JSON pointer to the value.
    pub name: &'a str,
    /// The keyword or rule that is broken.
    pub rule: &'static str,
}

/// Most bytes of all `errors`.
pub const ERRORS: usize = 16 * 1024;

fn write_errors(faults: &[Fault<'_>], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"errors\":[");
    let start = out.len();
    for fault in faults {
        let end = out.len();
        if end > start {
            out.push(b',');
        }
        fault.write(out);
        if out.len() - start > ERRORS {
            out.truncate(end);
            break;
        }
    }
    out.push(b']');
}

impl Fault<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"detail\":\"");
        out.extend_from_slice(said(self.rule).as_bytes());
        out.push(b'"');
        match self.part {
            "body" => {
                out.extend_from_slice(b",\"pointer\":\"#");
                write_fragment(self.name, out);
                out.push(b'"');
            }
            part => {
                for text in [",\"in\":\"", part, "\",\"name\":"] {
                    out.extend_from_slice(text.as_bytes());
                }
                let name = serde_json::Value::from(self.name);
                out.extend_from_slice(name.to_string().as_bytes());
            }
        }
        for text in [",\"keyword\":\"", self.rule, "\"}"] {
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// RFC 6901 section 6: a pointer as the fragment of a URI.
fn write_fragment(pointer: &str, out: &mut Vec<u8>) {
    for byte in pointer.bytes() {
        match byte {
            byte if is_identifier(byte) || b"/!$&'()*+,;=:@?".contains(&byte) => out.push(byte),
            byte => {
                out.push(b'%');
                for digit in [byte >> 4, byte & 0xf] {
                    out.push(b"0123456789ABCDEF"[usize::from(digit)]);
                }
            }
        }
    }
}

/// What a broken rule means, in words.
fn said(rule: &str) -> &'static str {
    match rule {
        "required" | "dependentRequired" => "something that is required is missing",
        "type" | "integer" => "not of the declared type",
        "enum" | "const" => "not one of the declared values",
        "format" => "not in the declared format",
        "pattern" => "does not match the declared pattern",
        "minimum" | "exclusiveMinimum" => "too small",
        "maximum" | "exclusiveMaximum" => "too large",
        "multipleOf" => "not a multiple of the declared number",
        "minLength" => "too short",
        "maxLength" => "too long",
        "minItems" | "minProperties" | "minContains" | "contains" => "holds too little",
        "maxItems" | "maxProperties" | "maxContains" | "too-many" => "holds too much",
        "uniqueItems" => "holds the same item twice",
        "additionalProperties"
        | "unevaluatedProperties"
        | "unevaluatedItems"
        | "propertyNames"
        | "declared"
        | "undeclared"
        | "false" => "not declared",
        "anyOf" | "oneOf" | "not" | "discriminator" => {
            "matches none of the declared alternatives, or too many"
        }
        "json" => "not valid JSON",
        "repeated" => "given more than once",
        "encoding" => "not valid UTF-8, or wrongly encoded",
        _ => "not as declared",
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
        problem.write("a-1\"\\\n\u{fc}", &[], &mut out);
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

    #[test]
    fn faults_are_told_within_a_bound() {
        let problem = Problem {
            status: 400,
            kind: "invalid-body",
            title: "No",
        };
        let body = Fault {
            part: "body",
            name: "/a \"%~1/0",
            rule: "maximum",
        };
        let query = Fault {
            part: "query",
            name: "l\"",
            rule: "required",
        };
        let told = |faults: &[Fault<'_>]| {
            let mut out = Vec::new();
            problem.write("1", faults, &mut out);
            assert!(out.len() < ERRORS + 256);
            serde_json::from_slice::<serde_json::Value>(&out).unwrap()["errors"].clone()
        };
        let expected = serde_json::json!([
            {"detail": "too large", "pointer": "#/a%20%22%25~1/0", "keyword": "maximum"},
            {"detail": "something that is required is missing", "in": "query", "name": "l\"",
                "keyword": "required"},
        ]);
        assert_eq!(told(&[body, query]), expected);
        assert_eq!(told(&[]), serde_json::Value::Null);
        let long = "\u{1}".repeat(128);
        let long = Fault {
            name: &long,
            ..body
        };
        let count = told(&[long; 100]).as_array().map(Vec::len);
        assert!(
            count.is_some_and(|count| (20..100).contains(&count)),
            "{count:?}"
        );
    }
}
