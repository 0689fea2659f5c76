//! The requests: the same for every arm.

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis::policy::authn::sign::SigningKey;
use serde_json::json;

/// Distinct tokens.
const TOKENS: usize = 400;

/// Seconds that a token is good for: longer than any run.
const LIFE_S: u64 = 24 * 3600;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A small GET.
    Get,
    /// A POST with 1 KB of JSON.
    Post,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Get, Kind::Post];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Get => "get",
            Kind::Post => "post",
        }
    }
}

/// Requests as they go over the wire, one for each token.
pub struct Workload {
    pub jwks: String,
    /// Of each token: the account that it owns, then the token.
    pub tokens: Vec<(String, String)>,
    pub body: String,
    gets: Vec<Vec<u8>>,
    posts: Vec<Vec<u8>>,
}

impl Workload {
    pub fn new() -> Result<Workload, String> {
        let key = SigningKey::generate()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(|error| error.to_string())?.as_secs();
        let body = body();
        let (mut tokens, mut gets, mut posts) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..TOKENS {
            let account = format!("acc-{number:06}");
            let token = key.sign(&json!({
                "iss": "https://issuer.bank.example",
                "aud": ["https://api.bank.example"],
                "sub": format!("8d0f2c1e-7a55-4f0b-9a51-{number:012}"),
                "client_id": format!("mobile-app-{}", number % 20),
                "scope": "openid profile read:accounts write:orders",
                "iat": now, "nbf": now, "exp": now + LIFE_S,
                "jti": format!("5f1d3a70-11aa-4b8c-8f0e-{number:012}"),
                "accounts": [account, format!("savings-{number:06}")],
                "name": "Alexandra Beispiel-Musterfrau",
                "email": format!("customer{number}@mail.example"),
                "roles": ["customer", "premium"],
                "session": "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071",
            }))?;
            let fields = format!(
                "Host: api.bank.example\r\nUser-Agent: loadtest/1.0\r\nAccept: application/json\r\n\
                 Accept-Encoding: identity\r\nAuthorization: Bearer {token}\r\n"
            );
            gets.push(
                format!("GET /accounts/{account}/balances HTTP/1.1\r\n{fields}\r\n").into_bytes(),
            );
            posts.push(
                format!(
                    "POST /accounts/{account}/orders HTTP/1.1\r\n{fields}Content-Type: \
                     application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .into_bytes(),
            );
            tokens.push((account, token));
        }
        Ok(Workload {
            jwks: key.jwks(),
            tokens,
            body,
            gets,
            posts,
        })
    }

    /// The request with this number, going round the tokens.
    pub fn request(&self, kind: Kind, number: usize) -> &[u8] {
        match kind {
            Kind::Get => &self.gets[number % TOKENS],
            Kind::Post => &self.posts[number % TOKENS],
        }
    }

    /// Of each request of this kind, in bytes.
    pub fn body_length(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Get => 0,
            Kind::Post => self.body.len() as u64,
        }
    }
}

/// An order of about 1 KB.
fn body() -> String {
    let items: Vec<_> = (0..8)
        .map(|item| json!({"sku": format!("SKU-{item:04}"), "quantity": item + 1, "price": 19.99, "gift": item % 2 == 0}))
        .collect();
    json!({
        "id": "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
        "created": "2026-11-23T10:15:30.123Z",
        "currency": "EUR",
        "note": "Please leave the parcel with the neighbours on the second floor if nobody answers the door; \
                 the bell is broken. Call before ten in the morning or after six in the evening and name the order; thank you very much.",
        "priority": 3,
        "customer": {"name": "Alexandra Beispiel-Musterfrau", "email": "alexandra@mail.example", "vip": true,
            "address": {"street": "Lange Strasse 17 b", "city": "Musterstadt", "country": "DE"}},
        "items": items,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_of_the_promised_size() {
        let workload = Workload::new().unwrap();
        let body = workload.body_length(Kind::Post);
        assert!((950..1150).contains(&body), "{body}");
        assert!(
            workload
                .tokens
                .iter()
                .all(|(_, token)| (700..1000).contains(&token.len()))
        );
        let get = workload.request(Kind::Get, 7).len();
        assert!((900..1300).contains(&get), "{get}");
        assert_eq!(
            workload.request(Kind::Get, 3),
            workload.request(Kind::Get, 3 + TOKENS)
        );
        assert_ne!(
            workload.request(Kind::Get, 3),
            workload.request(Kind::Get, 4)
        );
    }
}
