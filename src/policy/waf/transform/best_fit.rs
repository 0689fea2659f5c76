//! Which ASCII character a server that narrows `%uXXXX` escapes takes for a code point.
//!
//! IIS turns such an escape into the nearest character of its code page; for US-ASCII (code page
//! 20127) Microsoft publishes the correspondence. A rule looks for what the server will see, so
//! the same narrowing is made here.

/// U+00A0 to U+017F, a NUL where there is no near character.
const LATIN: &[u8; 0xE0] = b"\
\x20!c\0$Y|\0\0Ca<\0-R\0\0\x0023\0\0\0.,1o>\0\0\0\0\
AAAAAAACEEEEIIIIDNOOOOO\0OUUUUY\0\0\
aaaaaaaceeeeiiii\0nooooo\0ouuuuy\0y\
AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGg\
GgGgHhHhIiIiIiIiIi\0\0JjKk\0LlLlLl\0\
\0LlNnNnNn\0\0\0OoOoOoOoRrRrRrSsSsSs\
SsTtTtTtUuUuUuUuUuUuWwYyYZ\0ZzZz\0";

/// The rest below the full-width forms, sorted by code point.
#[rustfmt::skip]
const OTHERS: &[(u16, u8)] = &[
    (0x0180, b'b'), (0x0189, b'D'), (0x0191, b'F'), (0x0192, b'f'), (0x0197, b'I'),
    (0x019A, b'l'), (0x019F, b'O'), (0x01A0, b'O'), (0x01A1, b'o'), (0x01AB, b't'),
    (0x01AE, b'T'), (0x01AF, b'U'), (0x01B0, b'u'), (0x01B6, b'z'), (0x01CD, b'A'),
    (0x01CE, b'a'), (0x01CF, b'I'), (0x01D0, b'i'), (0x01D1, b'O'), (0x01D2, b'o'),
    (0x01D3, b'U'), (0x01D4, b'u'), (0x01D5, b'U'), (0x01D6, b'u'), (0x01D7, b'U'),
    (0x01D8, b'u'), (0x01D9, b'U'), (0x01DA, b'u'), (0x01DB, b'U'), (0x01DC, b'u'),
    (0x01DE, b'A'), (0x01DF, b'a'), (0x01E4, b'G'), (0x01E5, b'g'), (0x01E6, b'G'),
    (0x01E7, b'g'), (0x01E8, b'K'), (0x01E9, b'k'), (0x01EA, b'O'), (0x01EB, b'o'),
    (0x01EC, b'O'), (0x01ED, b'o'), (0x01F0, b'j'), (0x0261, b'g'), (0x02B9, b'\''),
    (0x02BA, b'"'), (0x02BC, b'\''), (0x02C4, b'^'), (0x02C6, b'^'), (0x02C8, b'\''),
    (0x02CB, b'`'), (0x02CD, b'_'), (0x02DC, b'~'), (0x0300, b'`'), (0x0302, b'^'),
    (0x0303, b'~'), (0x030E, b'"'), (0x0331, b'_'), (0x0332, b'_'), (0x2000, b' '),
    (0x2001, b' '), (0x2002, b' '), (0x2003, b' '), (0x2004, b' '), (0x2005, b' '),
    (0x2006, b' '), (0x2010, b'-'), (0x2011, b'-'), (0x2013, b'-'), (0x2014, b'-'),
    (0x2018, b'\''), (0x2019, b'\''), (0x201A, b','), (0x201C, b'"'), (0x201D, b'"'),
    (0x201E, b'"'), (0x2022, b'.'), (0x2026, b'.'), (0x2032, b'\''), (0x2035, b'`'),
    (0x2039, b'<'), (0x203A, b'>'), (0x2122, b'T'),
];

/// The near character, or none: then servers keep the low byte.
pub(super) fn best_fit(code: u16) -> Option<u8> {
    match code {
        0x00A0..=0x017F => Some(LATIN[usize::from(code - 0xA0)]).filter(|&byte| byte != 0),
        0xFF01..=0xFF5E => u8::try_from(code - 0xFEE0).ok(),
        _ => {
            let at = OTHERS.binary_search_by_key(&code, |&(code, _)| code).ok()?;
            Some(OTHERS[at].1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_brackets_in_other_dresses_are_known() {
        for (code, ascii) in [
            (0xFF1C, b'<'),
            (0xFF07, b'\''),
            (0x2019, b'\''),
            (0x201C, b'"'),
            (0x2039, b'<'),
            (0x00AB, b'<'),
            (0x017E, b'z'),
            (0xFF5E, b'~'),
        ] {
            assert_eq!(best_fit(code), Some(ascii), "{code:04X}");
        }
        for code in [0, 0x41, 0x9F, 0xA3, 0x17F, 0x4E2D, 0xFF00, 0xFF5F, 0xFFFF] {
            assert_eq!(best_fit(code), None, "{code:04X}");
        }
        assert!(OTHERS.is_sorted());
    }
}
