//! The token in the `Authorization` field (RFC 6750 section 2.1, RFC 9110 section 11.4).

use crate::policy::denial::Denial;
use crate::proto::head::RequestHead;
use crate::proto::header::Kind;

/// The bearer token of a request. Tokens in bodies and queries are not looked for: they end up in
/// logs (RFC 6750 section 5.3).
pub fn bearer<'a>(head: &RequestHead, bytes: &'a [u8]) -> Result<&'a [u8], Denial> {
    let field = head
        .only(Kind::Authorization)
        .map_err(|_| Denial::RepeatedCredential)?
        .ok_or(Denial::MissingToken)?;
    let value = field.value.of(bytes);
    let space = memchr::memchr(b' ', value).unwrap_or(value.len());
    let (scheme, rest) = value.split_at(space);
    let token = rest.trim_ascii_start();
    if !scheme.eq_ignore_ascii_case(b"bearer") || token.is_empty() {
        return Err(Denial::MissingToken);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &str) -> Result<Vec<u8>, Denial> {
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let mut head = RequestHead::default();
        assert_eq!(head.read(text.as_bytes()), Ok(true));
        bearer(&head, text.as_bytes()).map(<[u8]>::to_vec)
    }

    #[test]
    fn one_bearer_token_or_none() {
        for good in ["Bearer abc", "bearer   abc", "BEARER abc "] {
            let field = format!("Authorization: {good}\r\n");
            assert_eq!(read(&field).unwrap(), b"abc", "{good}");
        }
        for bad in [
            "",
            "Authorization: Basic abc\r\n",
            "Authorization: Bearer\r\n",
        ] {
            assert_eq!(read(bad), Err(Denial::MissingToken), "{bad}");
        }
        let twice = "Authorization: Bearer a\r\nauthorization: Bearer a\r\n";
        assert_eq!(read(twice), Err(Denial::RepeatedCredential));
    }
}
