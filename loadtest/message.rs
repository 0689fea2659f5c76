//! Where a message ends: the framing of what the generator and the backend read.
//!
//! RFC 9112 section 6.3, of which only a part is accepted. Every message of a comparison has a
//! `Content-Length` or no body, so any other framing means that an arm did not do what the others
//! did, and is an error rather than a figure.

use httparse::{EMPTY_HEADER, Header, Request, Response, Status};

/// Longest head that is read, in bytes.
const MAX_HEAD: usize = 32 * 1024;

const MAX_FIELDS: usize = 64;

/// It cannot be told where the message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unframed;

/// A complete answer at the front of what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Of head and body, in bytes.
    pub length: usize,
}

/// A complete request at the front of what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Of head and body, in bytes.
    pub length: usize,
    /// Of the body alone, in bytes.
    pub body: usize,
    /// It names a verified user.
    pub is_identified: bool,
}

/// `None`: more has to come.
pub fn answer(bytes: &[u8]) -> Result<Option<Answer>, Unframed> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut head = Response::new(&mut fields);
    let Some(length) = head_length(head.parse(bytes), bytes)? else {
        return Ok(None);
    };
    let status = head.code.ok_or(Unframed)?;
    // Without a length it would go on until the connection ends.
    let body = content_length(head.headers)?.ok_or(Unframed)?;
    let length = length.checked_add(body).ok_or(Unframed)?;
    Ok((bytes.len() >= length).then_some(Answer { status, length }))
}

/// `None`: more has to come.
pub fn request(bytes: &[u8]) -> Result<Option<Asked>, Unframed> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut head = Request::new(&mut fields);
    let Some(length) = head_length(head.parse(bytes), bytes)? else {
        return Ok(None);
    };
    let body = content_length(head.headers)?.unwrap_or(0);
    let length = length.checked_add(body).ok_or(Unframed)?;
    let is_user = |field: &Header| field.name.eq_ignore_ascii_case("x-user-id");
    let asked = Asked {
        length,
        body,
        is_identified: head.headers.iter().any(is_user),
    };
    Ok((bytes.len() >= length).then_some(asked))
}

fn head_length(parsed: httparse::Result<usize>, bytes: &[u8]) -> Result<Option<usize>, Unframed> {
    match parsed {
        Ok(Status::Complete(length)) => Ok(Some(length)),
        Ok(Status::Partial) if bytes.len() <= MAX_HEAD => Ok(None),
        Ok(Status::Partial) | Err(_) => Err(Unframed),
    }
}

/// The one length; two of them, or a transfer coding, are an error.
fn content_length(fields: &[Header]) -> Result<Option<usize>, Unframed> {
    let mut found = None;
    for field in fields {
        if field.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Unframed);
        }
        if field.name.eq_ignore_ascii_case("content-length") {
            let value = std::str::from_utf8(field.value).map_err(|_| Unframed)?;
            let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
            let length = value.parse().ok().filter(|_| is_number).ok_or(Unframed)?;
            if found.replace(length).is_some() {
                return Err(Unframed);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_however_much_has_come() {
        let wire = b"HTTP/1.1 429 Too Many Requests\r\ncontent-LENGTH: 3\r\n\r\nabc";
        for end in 0..wire.len() {
            assert_eq!(answer(&wire[..end]), Ok(None), "{end}");
        }
        let whole = Answer {
            status: 429,
            length: wire.len(),
        };
        assert_eq!(answer(wire), Ok(Some(whole)));
        // What follows belongs to the next answer.
        assert_eq!(answer(&[&wire[..], b"HTTP/1.1"].concat()), Ok(Some(whole)));
    }

    #[test]
    fn a_request_is_found_however_much_has_come() {
        let wire = b"POST /p HTTP/1.1\r\nHost: a\r\nx-user-ID: u\r\nContent-Length: 2\r\n\r\n{}";
        for end in 0..wire.len() {
            assert_eq!(request(&wire[..end]), Ok(None), "{end}");
        }
        let whole = Asked {
            length: wire.len(),
            body: 2,
            is_identified: true,
        };
        assert_eq!(request(wire), Ok(Some(whole)));
        let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let whole = Asked {
            length: get.len(),
            body: 0,
            is_identified: false,
        };
        assert_eq!(request(get), Ok(Some(whole)));
    }

    #[test]
    fn other_framings_are_errors() {
        for wire in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
            "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert_eq!(answer(wire.as_bytes()), Err(Unframed), "{wire}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(MAX_HEAD));
        assert_eq!(answer(endless.as_bytes()), Err(Unframed));
    }
}
