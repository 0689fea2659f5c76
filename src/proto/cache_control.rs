//! `Cache-Control` of an answer that is meant for one reader (RFC 9111 section 5.2.2).

/// What tells caches between here and the client to keep an answer for everybody, in place of
/// `Cache-Control` or beside it (RFC 9213; Edge Architecture Specification 1.0).
const TARGETED: &[u8] = b"Surrogate-Control";
const TARGETED_SUFFIX: &[u8] = b"-cache-control";

/// Whether a field tells caches what they may do; such fields of an answer give way to the line of
/// [`write_private`].
pub fn tells_caches(name: &[u8]) -> bool {
    let end = name.len().saturating_sub(TARGETED_SUFFIX.len());
    name.eq_ignore_ascii_case(b"Cache-Control")
        || name.eq_ignore_ascii_case(TARGETED)
        || name[end..].eq_ignore_ascii_case(TARGETED_SUFFIX)
}

/// Writes a line that says what `values` say of the client's own cache, and that no other cache may
/// keep the answer. Where they cannot be read nothing may be kept at all.
pub fn write_private<'a>(values: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Cache-Control: private");
    let start = out.len();
    for value in values {
        let mut rest = value;
        while !rest.is_empty() {
            let Some((directive, behind)) = split(rest) else {
                out.truncate(start);
                out.extend_from_slice(b", no-store\r\n");
                return;
            };
            rest = behind;
            if stays(directive) {
                out.extend_from_slice(b", ");
                out.extend_from_slice(directive);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a directive says nothing of who may keep the answer, or for how long where it is shared.
/// `private` with names of fields speaks of these alone, so it goes, too.
fn stays(directive: &[u8]) -> bool {
    let end = memchr::memchr(b'=', directive).unwrap_or(directive.len());
    let name = directive[..end].trim_ascii();
    let goes: [&[u8]; 5] = [b"", b"public", b"private", b"s-maxage", b"proxy-revalidate"];
    !goes.iter().any(|each| name.eq_ignore_ascii_case(each))
}

/// The first directive, and what follows its comma. None: a quoted string has no end.
fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut at, mut is_quoted) = (0, false);
    loop {
        match text.get(at) {
            None if is_quoted => return None,
            None => return Some((text.trim_ascii(), b"")),
            Some(b'\\') if is_quoted => at += 1,
            Some(b'"') => is_quoted = !is_quoted,
            Some(b',') if !is_quoted => return Some((text[..at].trim_ascii(), &text[at + 1..])),
            Some(_) => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(values: &[&str]) -> String {
        let mut out = Vec::new();
        write_private(values.iter().map(|value| value.as_bytes()), &mut out);
        let text = String::from_utf8(out).unwrap();
        let value = text.strip_prefix("Cache-Control: ").unwrap();
        value.strip_suffix("\r\n").unwrap().to_owned()
    }

    #[test]
    fn what_is_for_one_reader_is_for_no_shared_cache() {
        for (values, told) in [
            (&[][..], "private"),
            (&[""], "private"),
            (&["public"], "private"),
            (&["Public, S-MaxAge=60 , max-age=5"], "private, max-age=5"),
            (
                &["max-age=5", "public,must-revalidate"],
                "private, max-age=5, must-revalidate",
            ),
            (
                &["private=\"x-a, public\", no-cache=\"set-cookie, x\""],
                "private, no-cache=\"set-cookie, x\"",
            ),
            (&["no-store"], "private, no-store"),
            (&[",,public = 1,"], "private"),
            (
                &["ext=\"a\\\",public\", s-maxage=1"],
                "private, ext=\"a\\\",public\"",
            ),
            (
                &["max-age=5", "ext=\"public, s-maxage=60"],
                "private, no-store",
            ),
            (&["ext=\"\\"], "private, no-store"),
        ] {
            assert_eq!(private(values), told, "{values:?}");
        }
    }

    #[test]
    fn all_fields_that_caches_obey_are_known() {
        for name in [
            "cache-control",
            "CDN-Cache-Control",
            "X-CDN-cache-control",
            "surrogate-control",
        ] {
            assert!(tells_caches(name.as_bytes()), "{name}");
        }
        for name in ["", "control", "cache-controls", "Expires", "-cache"] {
            assert!(!tells_caches(name.as_bytes()), "{name}");
        }
    }
}
