//! Whose object? A value that names an object must be one of those the principal owns, as the
//! token says (OWASP API1:2023, broken object level authorization).

use serde_json::Value;

use crate::policy::denial::Denial;
use crate::policy::identity::Principal;
use crate::proto::query;
use crate::proto::target::Path;

/// Where the name of the object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The index of a path segment.
    Path(usize),
    /// The name of a query parameter.
    Query(Box<str>),
    /// A JSON pointer into the body (RFC 6901).
    Body(Box<str>),
}

/// A value of the request that must equal a claim, or be a member of a list claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    pub place: Place,
    pub claim: Box<str>,
}

impl Ownership {
    /// Decides what path and query can decide; rules over the body pass here.
    pub fn check_head(
        &self,
        principal: &Principal,
        path: &Path,
        query: Option<&[u8]>,
    ) -> Result<(), Denial> {
        match &self.place {
            Place::Path(index) => self.check(principal, path.segments().nth(*index)),
            Place::Query(name) => {
                let value = only_value(query.unwrap_or_default(), name)?;
                self.check(principal, value.as_deref())
            }
            Place::Body(_) => Ok(()),
        }
    }

    /// An absent value names nobody's object.
    pub fn check(&self, principal: &Principal, value: Option<&str>) -> Result<(), Denial> {
        match (value, principal.claims.get(&*self.claim)) {
            (Some(value), Some(claim)) if owns(claim, value) => Ok(()),
            _ => Err(Denial::NotOwner),
        }
    }
}

fn owns(claim: &Value, value: &str) -> bool {
    match claim {
        Value::Array(members) => members.iter().any(|member| is(member, value)),
        other => is(other, value),
    }
}

/// Text equals text; a number of the token equals its own decimal digits, so `007` is not 7.
fn is(claim: &Value, value: &str) -> bool {
    match claim {
        Value::String(text) => text == value,
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => itoa::Buffer::new().format(number) == value,
            (None, Some(number)) => itoa::Buffer::new().format(number) == value,
            // Two fractions may print alike and differ.
            (None, None) => false,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// The value of a parameter that is given once. Which of two the backend takes is its secret.
fn only_value<'a>(
    query: &'a [u8],
    name: &str,
) -> Result<Option<std::borrow::Cow<'a, str>>, Denial> {
    let mut found = None;
    for (key, value) in query::pairs(query) {
        if query::decode(key).map_err(Denial::Malformed)? == name {
            let value = query::decode(value).map_err(Denial::Malformed)?;
            if found.replace(value).is_some() {
                return Err(Denial::NotOwner);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::identity::Written;
    use serde_json::json;

    fn principal(accounts: Value) -> Principal {
        let mut claims = serde_json::Map::new();
        claims.insert("accounts".into(), accounts);
        Principal {
            subject: "u".into(),
            client: None,
            scopes: Box::default(),
            claims,
            written: Written::default(),
        }
    }

    fn path(text: &str) -> Path {
        let mut path = Path::default();
        path.read(text.as_bytes()).unwrap();
        path
    }

    fn rule(place: Place) -> Ownership {
        Ownership {
            place,
            claim: "accounts".into(),
        }
    }

    #[test]
    fn the_object_must_be_among_those_of_the_token() {
        let rule = rule(Place::Path(1));
        let owns = |claim: Value, object: &str| {
            let path = path(&format!("/accounts/{object}/balances"));
            rule.check_head(&principal(claim), &path, None).is_ok()
        };
        assert!(owns(json!("a1"), "a1"));
        assert!(owns(json!(["a1", "a2"]), "a2"));
        assert!(owns(json!([17]), "17") && owns(json!(-4), "-4"));
        assert!(owns(json!("a b"), "a%20b"));
        for (claim, object) in [
            (json!("a1"), "a2"),
            (json!("a1"), "A1"),
            (json!(["a1"]), "a"),
            (json!([["a1"]]), "a1"),
            (json!(7), "07"),
            (json!(7.0), "7"),
            (json!(true), "true"),
            (json!(null), "null"),
            (json!({"a1": 1}), "a1"),
            (json!([]), "a1"),
        ] {
            assert!(
                !owns(claim.clone(), object),
                "{claim} must not own {object}"
            );
        }
        let too_short = rule.check_head(&principal(json!("a")), &path("/a"), None);
        assert_eq!(too_short, Err(Denial::NotOwner));
        let nobody = Principal {
            claims: serde_json::Map::new(),
            ..principal(json!(""))
        };
        assert_eq!(rule.check(&nobody, Some("")), Err(Denial::NotOwner));
    }

    #[test]
    fn a_query_value_counts_only_when_given_once() {
        let rule = rule(Place::Query("account".into()));
        let owner = principal(json!(["a1", "a2"]));
        let check = |query: Option<&[u8]>| rule.check_head(&owner, &path("/x"), query);
        assert_eq!(check(Some(b"x=1&account=a1")), Ok(()));
        assert_eq!(check(Some(b"%61ccount=%61%31")), Ok(()));
        for query in [
            None,
            Some(&b"account=a3"[..]),
            Some(b"account="),
            Some(b"account=a1&account=a2"),
            Some(b"account=a1&acc%6Funt=a3"),
            Some(b"Account=a1"),
        ] {
            assert_eq!(check(query), Err(Denial::NotOwner), "{query:?}");
        }
        let malformed = check(Some(b"account=%"));
        assert!(matches!(malformed, Err(Denial::Malformed(_))));
    }
}
