//! Who: what authentication says about the sender of a request.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

/// The subject of a verified credential, immutable and shared by the requests that carry it.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// `sub` (RFC 7519 section 4.1.2).
    pub subject: Box<str>,
    /// `client_id` (RFC 9068 section 2.2), or `azp` where an issuer writes that.
    pub client: Option<Box<str>>,
    /// `scope`, one entry each (RFC 9068 section 2.2.3), or the members of a `scp` array.
    pub scopes: Box<[Box<str>]>,
    /// All claims, for ownership rules and identity headers.
    pub claims: Map<String, Value>,
    pub written: Written,
}

/// A header that the backend may trust, and the claim it is written from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityField {
    pub name: Box<str>,
    pub claim: Box<str>,
}

/// The identity headers of an API as they stand in a head, for the list that was asked for first.
/// A principal is looked up by its token with every request and hardly ever used for two lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written(OnceLock<Lines>);

#[derive(Clone, Debug, PartialEq)]
struct Lines {
    of: Arc<[IdentityField]>,
    text: Result<Box<[u8]>, Unsendable>,
}

impl Principal {
    /// The identity headers, one line each; those of absent claims are left out.
    ///
    /// # Errors
    /// One of the claims is there and cannot be written.
    pub fn lines(&self, fields: &Arc<[IdentityField]>) -> Result<Cow<'_, [u8]>, Unsendable> {
        let lines = self.written.0.get_or_init(|| Lines {
            of: Arc::clone(fields),
            text: self.write(fields),
        });
        match (Arc::ptr_eq(&lines.of, fields), &lines.text) {
            (true, text) => text.as_deref().map(Cow::Borrowed).map_err(|&error| error),
            (false, _) => self.write(fields).map(|text| Cow::Owned(text.into())),
        }
    }

    fn write(&self, fields: &[IdentityField]) -> Result<Box<[u8]>, Unsendable> {
        let mut lines = Vec::new();
        for IdentityField { name, claim } in fields {
            if let Some(value) = self.field_value(claim)? {
                for part in [name, ": ", &value, "\r\n"] {
                    lines.extend_from_slice(part.as_bytes());
                }
            }
        }
        Ok(lines.into())
    }

    /// The text of a claim as a header carries it: a string or an integer. `None`: the token has
    /// no such claim. What a header cannot carry is an error (RFC 9110 section 5.5).
    fn field_value(&self, claim: &str) -> Result<Option<Cow<'_, str>>, Unsendable> {
        let text = match self.claims.get(claim) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
            Some(Value::Number(number)) if !number.is_f64() => Cow::Owned(number.to_string()),
            Some(Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
                return Err(Unsendable);
            }
        };
        // Visible ASCII and inner spaces: nobody reads other bytes in two ways.
        let is_sendable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
            && !text.is_empty()
            && text.trim_ascii().len() == text.len();
        if is_sendable {
            Ok(Some(text))
        } else {
            Err(Unsendable)
        }
    }

    /// Whether one of the names is a scope of the token, or one of its `roles` (RFC 9068 section
    /// 2.2.3.1).
    pub fn is_any_of(&self, names: &[Box<str>]) -> bool {
        let roles = self.claims.get("roles").and_then(Value::as_array);
        let has_role = |name: &str| {
            let mut roles = roles.into_iter().flatten();
            roles.any(|role| role.as_str() == Some(name))
        };
        let mut names = names.iter();
        names.any(|name| self.has_scope(name) || has_role(name))
    }

    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| &**held == scope)
    }
}

/// A claim that no header can carry without changing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsendable;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scopes_and_roles_are_held_by_their_whole_names() {
        let claims = json!({"roles": ["risk", 7, {"value": "x"}], "groups": ["g"]});
        let principal = Principal {
            subject: "s".into(),
            client: None,
            scopes: ["read:all".into()].into(),
            claims: claims.as_object().unwrap().clone(),
            written: Written::default(),
        };
        let holds = |names: &[&str]| {
            let names: Vec<Box<str>> = names.iter().map(|&name| name.into()).collect();
            principal.is_any_of(&names)
        };
        for held in [&["risk"][..], &["read:all"], &["other", "risk"]] {
            assert!(holds(held), "{held:?}");
        }
        for other in [
            &[][..],
            &["ris"],
            &["Risk"],
            &["7"],
            &["x"],
            &["g"],
            &["read"],
        ] {
            assert!(!holds(other), "{other:?}");
        }
    }

    #[test]
    fn a_header_carries_what_it_can_carry_unchanged() {
        let claims = json!({"s": "user-1", "n": 42, "null": null, "f": 1.5, "crlf": "a\r\nX: b",
            "empty": "", "space": " a", "latin": "\u{e9}", "list": ["a"]});
        let principal = Principal {
            subject: "s".into(),
            client: None,
            scopes: Box::default(),
            claims: claims.as_object().unwrap().clone(),
            written: Written::default(),
        };
        let value = |claim| {
            principal
                .field_value(claim)
                .map(|text| text.map(Cow::into_owned))
        };
        assert_eq!(value("s"), Ok(Some("user-1".to_owned())));
        assert_eq!(value("n"), Ok(Some("42".to_owned())));
        assert_eq!(value("null"), Ok(None));
        assert_eq!(value("absent"), Ok(None));
        assert!(!principal.is_any_of(&["a".into()]));
        for claim in ["f", "crlf", "empty", "space", "latin", "list"] {
            assert_eq!(value(claim), Err(Unsendable), "{claim}");
        }
    }

    #[test]
    fn lines_are_those_of_the_list_that_is_asked_for() {
        let claims = json!({"s": "user-1", "n": 42, "crlf": "a\r\nX: b"});
        let principal = Principal {
            subject: "s".into(),
            client: None,
            scopes: Box::default(),
            claims: claims.as_object().unwrap().clone(),
            written: Written::default(),
        };
        let list = |claims: &[&str]| -> Arc<[IdentityField]> {
            let field = |claim: &&str| IdentityField {
                name: format!("X-{claim}").into(),
                claim: (*claim).into(),
            };
            claims.iter().map(field).collect()
        };
        let (both, bad, none) = (list(&["s", "absent", "n"]), list(&["s", "crlf"]), list(&[]));
        for _ in 0..2 {
            let lines = principal.lines(&both).unwrap();
            assert_eq!(&*lines, b"X-s: user-1\r\nX-n: 42\r\n");
            assert_eq!(principal.lines(&bad), Err(Unsendable));
            assert_eq!(&*principal.lines(&none).unwrap(), b"");
        }
        let other = principal.clone();
        assert!(matches!(other.lines(&both), Ok(Cow::Borrowed(_))));
        assert!(matches!(other.lines(&none), Ok(Cow::Owned(_))));
    }
}
