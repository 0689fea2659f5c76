//! Whether a value, put into a page where text was expected, would run a script.

use super::html::{Event, Html, Place};

/// A line is a kind and its names in small letters; see the comments there.
const TEXT: &str = include_str!("markup.txt");

/// Longest name that is looked up, NULs left out.
const LONGEST: usize = 48;

const SLOTS: usize = 512;

/// Offsets of names in [`TEXT`] by their hash; zero is none.
static TABLE: [u16; SLOTS] = table();

const START: u32 = 0x811C_9DC5;

const fn mix(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

const fn table() -> [u16; SLOTS] {
    let text = TEXT.as_bytes();
    assert!(text.len() < u16::MAX as usize);
    let mut table = [0; SLOTS];
    let mut at = 0;
    while at < text.len() {
        let kind = text[at];
        while text[at] != b'\n' {
            at += 1;
            if kind == b'#' || text[at] == b' ' || text[at] == b'\n' {
                continue;
            }
            let start = at;
            let mut hash = mix(START, kind);
            while text[at] != b' ' && text[at] != b'\n' {
                hash = mix(hash, text[at]);
                at += 1;
            }
            at -= 1;
            let mut slot = hash as usize % SLOTS;
            while table[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            table[slot] = start as u16;
        }
        at += 1;
    }
    table
}

/// Whether the name, in small letters, is of that kind.
fn is_listed(kind: u8, name: &[u8]) -> bool {
    let text = TEXT.as_bytes();
    let hash = name
        .iter()
        .fold(mix(START, kind), |hash, &byte| mix(hash, byte));
    let mut slot = hash as usize % SLOTS;
    while TABLE[slot] != 0 {
        let rest = &text[usize::from(TABLE[slot])..];
        let is_name = rest.starts_with(name) && matches!(rest[name.len()], b' ' | b'\n');
        if is_name && kind_of(TABLE[slot].into()) == kind {
            return true;
        }
        slot = (slot + 1) % SLOTS;
    }
    false
}

/// The letter that begins the line.
fn kind_of(at: usize) -> u8 {
    let text = TEXT.as_bytes();
    let line = memchr::memrchr(b'\n', &text[..at]);
    text[line.map_or(0, |line| line + 1)]
}

/// Whether the value would run a script in any of the places where values stand in a page.
pub fn xss(input: &[u8]) -> bool {
    find(input).is_some()
}

/// Where what would run ends.
pub fn find(input: &[u8]) -> Option<usize> {
    // Without a tag and without an attribute nothing runs.
    memchr::memchr2(b'<', b'=', input)?;
    let bare = [Place::Text, Place::Tag, Place::Unquoted].into_iter();
    let quoted = [b'"', b'\'', b'`'].into_iter();
    let quoted = quoted.filter(|&quote| memchr::memchr(quote, input).is_some());
    let mut places = bare.chain(quoted.map(Place::Quoted));
    places.find_map(|place| find_in(input, place))
}

fn find_in(input: &[u8], place: Place) -> Option<usize> {
    // What stands before the first tag could also be words of a text.
    let mut is_tag = false;
    // SVG says by one attribute which other one a value is for.
    let mut is_named = false;
    let mut html = Html::new(input, place);
    let is_found = html.any(|event| match event {
        Event::Doctype => true,
        Event::Open(name) => {
            is_tag = true;
            is_harmful_tag(name)
        }
        Event::Close => {
            is_tag = true;
            false
        }
        Event::Comment(text) => is_harmful_comment(text),
        Event::Attribute(name, value) => {
            let name = Name::new(name);
            is_named |= name.bytes() == b"attributename";
            let certain = is_tag || matches!(place, Place::Quoted(_));
            value.is_some_and(|value| is_harmful_attribute(&name, value, certain, is_named))
        }
    });
    is_found.then(|| input.len() - html.left())
}

/// A name without NULs, in small letters.
struct Name {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Name {
    fn new(raw: &[u8]) -> Name {
        let mut name = Name {
            bytes: [0; LONGEST],
            length: 0,
        };
        let raw = raw.iter().filter(|&&byte| byte != 0);
        for (slot, byte) in name.bytes.iter_mut().zip(raw) {
            *slot = byte.to_ascii_lowercase();
            name.length += 1;
        }
        name
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn is_harmful_tag(name: &[u8]) -> bool {
    // Tokenisers differ on whether `<` ends a name.
    let end = memchr::memchr(b'<', name).unwrap_or(name.len());
    let name = Name::new(&name[..end]);
    let name = name.bytes();
    let is_prefixed = name.len() >= 3 && is_listed(b'p', &name[..3]);
    // A namespace before the name changes nothing for some browsers.
    let local = memchr::memrchr(b':', name).map_or(name, |at| &name[at + 1..]);
    is_prefixed || is_listed(b't', name) || is_listed(b't', local)
}

/// Conditional comments and processing instructions of old browsers.
fn is_harmful_comment(text: &[u8]) -> bool {
    let begins = |with: &[u8]| {
        let start = text.get(..with.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    begins(b"[if")
        || begins(b"xml")
        || begins(b"import")
        || begins(b"entity")
        || memchr::memchr(b'`', text).is_some()
}

/// `certain`: the attribute stands in a tag for sure, so that even a plain one counts.
fn is_harmful_attribute(name: &Name, value: &[u8], certain: bool, is_named: bool) -> bool {
    let name = name.bytes();
    if is_event(name, certain) {
        return true;
    }
    if certain
        && (is_listed(b'a', name) || name.starts_with(b"xmlns:") || name.starts_with(b"xlink:"))
    {
        return true;
    }
    // Which attribute an animation sets.
    if is_named {
        let value = Name::new(value);
        if is_event(value.bytes(), true) || is_listed(b'u', value.bytes()) {
            return true;
        }
    }
    is_listed(b'u', name) && is_script(value)
}

fn is_event(name: &[u8], certain: bool) -> bool {
    // Browsers of one maker or another know more names than any list.
    let is_alike = || name.len() > 4 && name[2..].iter().all(u8::is_ascii_alphabetic);
    name.starts_with(b"on") && (is_listed(b'e', name) || certain && is_alike())
}

/// Whether an address runs a script: by its scheme, read as browsers read it.
fn is_script(value: &[u8]) -> bool {
    let mut start = [0; 24];
    let mut length = 0;
    for byte in Decoded(value)
        .filter(|&byte| byte > b' ' && byte < 0x7F)
        .take(start.len())
    {
        start[length] = byte.to_ascii_lowercase();
        length += 1;
    }
    let start = &start[..length];
    let begins = |scheme: &[u8]| start.starts_with(scheme);
    let is_picture = [
        &b"data:image/png"[..],
        b"data:image/gif",
        b"data:image/jpeg",
        b"data:image/webp",
    ]
    .into_iter()
    .any(begins);
    begins(b"javascript:")
        || begins(b"vbscript:")
        || begins(b"livescript:")
        || begins(b"mocha:")
        || begins(b"view-source:")
        || begins(b"data:") && !is_picture
}

/// The bytes of a value with the character references of ASCII decoded.
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        let (byte, length) = match first {
            b'&' => reference(self.0).unwrap_or((b'&', 1)),
            _ => (first, 1),
        };
        self.0 = &self.0[length.clamp(1, rest.len() + 1)..];
        Some(byte)
    }
}

/// The byte a reference stands for, and its length. Zeros before the digits are without end, so
/// the length is bounded.
fn reference(rest: &[u8]) -> Option<(u8, usize)> {
    const NAMED: [(&[u8], u8); 3] = [(b"&colon;", b':'), (b"&tab;", b'\t'), (b"&newline;", b'\n')];
    for (name, byte) in NAMED {
        let start = rest.get(..name.len());
        if start.is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            return Some((byte, name.len()));
        }
    }
    let digits = rest.strip_prefix(b"&#")?;
    let (radix, start) = match digits.first()? {
        b'x' | b'X' => (16, 3),
        _ => (10, 2),
    };
    let mut code = 0_u32;
    let mut length = start;
    while let Some(digit) = rest
        .get(length)
        .and_then(|&byte| char::from(byte).to_digit(radix))
    {
        code = code.saturating_mul(radix).saturating_add(digit);
        length += 1;
    }
    if length == start {
        return None;
    }
    let closed = usize::from(rest.get(length) == Some(&b';'));
    Some((u8::try_from(code).unwrap_or(0x7F), length + closed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_name_of_the_file_is_found_under_its_kind() {
        let mut count = 0;
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            let (kind, names) = line.split_once(' ').unwrap();
            let kind = kind.as_bytes()[0];
            for name in names.split_whitespace() {
                assert!(name.len() <= LONGEST, "{name}");
                assert!(is_listed(kind, name.as_bytes()), "{name}");
                assert!(!is_listed(b'z', name.as_bytes()), "{name}");
                count += 1;
            }
        }
        assert!(count > 200 && count * 3 < SLOTS * 2, "{count}");
    }

    #[test]
    fn scripts_are_seen_wherever_they_stand() {
        for attack in [
            "<script>alert(1)</script>",
            "<ScRiPt >",
            "<scr\0ipt>",
            "<svg/onload=alert(1)>",
            "<svg:script>",
            "<x:script>",
            "<img src=x onerror=alert(1)>",
            "<img src=x onerror = alert(1)",
            "<img/src='x'/onerror='x'>",
            "<a href=javascript:alert(1)>x",
            "<a href=\" java\tscript&colon;alert(1)\">x",
            "<a href='&#x6a;&#97vascript:x'>",
            "<a href=&#00000000000000000000106;avascript:x>",
            "<a href=vbscript:x>",
            "<form action='data:text/html,x'>",
            "<embed src=data:image/svg+xml,x>",
            "<div style='x:expression(y)'>",
            "<p onmadeup=x>",
            "<animate attributeName=href values=javascript:x>",
            "<animate attributename=onload to=x>",
            "<a xlink:href=x>",
            "<!DOCTYPE x>",
            "<!--[if IE]>",
            "<!-- ` -->",
            "<!-->\" <img src=x onerror=x>",
            "<?xml version='1.0'?>",
            "<%import x>",
            "</a style=x>",
            "<// style=x>",
            "\"><img src=x onerror=x>",
            "\" onfocus=alert(1) autofocus=\"",
            "' onmouseover='x",
            "` onclick=x",
            "x onload=alert(1)",
            "onmouseover=alert(1)",
            "<iframe srcdoc=x",
            "<meta http-equiv=refresh>",
            "<<script>",
            "<script<x>",
        ] {
            assert!(xss(attack.as_bytes()), "{attack}");
        }
    }

    #[test]
    fn texts_and_plain_markup_are_none() {
        for text in [
            "",
            "hello",
            "a < b and c > d",
            "1 <2 = 3",
            "x=1&y=2",
            "<b>bold</b> and <i>italic</i>",
            "<a href=\"https://example.com/?on=1\">link</a>",
            "<img src=\"data:image/png;base64,iVBORw0KGgo=\" alt=x>",
            "<p class='note'>don't</p>",
            "one = 1, online = 2, onto = 3",
            "the style = bold",
            "I <3 you = true",
            "if (a <b) { c = \"d\"; }",
            "mail <user@mail.example> = ok",
            "SELECT a FROM b WHERE c='d'",
            "https://example.com/?only=1&once=2",
            "<script",
            "< script>",
            "=",
            "<",
        ] {
            // An unfinished name is one that may yet be finished by what follows it.
            let is_cut = text == "<script";
            assert_eq!(xss(text.as_bytes()), is_cut, "{text}");
        }
    }

    #[test]
    fn hostile_lengths_are_read_in_one_pass() {
        for part in [
            "<",
            "<a ",
            "<!--",
            "=",
            "<a =",
            "&#0",
            "' =",
            "<!--->",
            "<x a=`",
            "/",
            "<a href=&#",
        ] {
            let value = part.repeat(32 * 1024 / part.len());
            xss(value.as_bytes());
            xss(format!("<a href=\"{value}").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(value: Vec<u8>, place in 0_usize..6) {
            let place = [Place::Text, Place::Tag, Place::Unquoted, Place::Quoted(b'"'), Place::Quoted(b'\''), Place::Quoted(b'`')][place];
            prop_assert!(Html::new(&value, place).count() <= value.len() + 1);
            xss(&value);
        }

        #[test]
        fn no_markup_makes_it_fail(value in "[<>/=!&#x;`'\"a on\\-\\[\0?%-]{0,40}") {
            xss(value.as_bytes());
        }
    }
}
