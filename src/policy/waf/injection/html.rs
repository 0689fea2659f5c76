//! Markup cut into tags, attributes and comments, the way a browser reads it (the HTML standard
//! section 13.2.5), with what older browsers let pass: NULs in names, backquotes around values.

/// Where in a page the value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Between tags.
    Text,
    /// In a tag, between attributes.
    Tag,
    /// In the value of an attribute without quotes.
    Unquoted,
    /// In the value of an attribute within these quotes.
    Quoted(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    Doctype,
    /// The name of a tag that opens.
    Open(&'a [u8]),
    Close,
    /// An attribute and its value; none for one without `=`.
    Attribute(&'a [u8], Option<&'a [u8]>),
    Comment(&'a [u8]),
}

#[derive(Clone, Copy, Debug)]
enum State {
    Text,
    /// Within a tag, before the name of an attribute.
    Tag,
    /// Within a value that began before the input.
    Value(Place),
}

#[derive(Clone, Debug)]
pub(super) struct Html<'a> {
    rest: &'a [u8],
    state: State,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0B | 0x0C | b'\r' | 0)
}

/// The part before the first byte that `ends` it, and what begins there.
fn split(rest: &[u8], ends: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = rest.iter().position(|&byte| ends(byte));
    rest.split_at(at.unwrap_or(rest.len()))
}

/// The part before a byte sequence, and what follows the sequence.
fn split_at<'a>(rest: &'a [u8], end: &[u8]) -> (&'a [u8], &'a [u8]) {
    match memchr::memmem::find(rest, end) {
        Some(at) => (&rest[..at], &rest[at + end.len()..]),
        None => (rest, &[]),
    }
}

impl<'a> Html<'a> {
    pub(super) fn new(input: &'a [u8], place: Place) -> Html<'a> {
        let state = match place {
            Place::Text => State::Text,
            Place::Tag => State::Tag,
            Place::Unquoted | Place::Quoted(_) => State::Value(place),
        };
        Html { rest: input, state }
    }

    /// How much there is still to read.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    fn text(&mut self) -> Option<Event<'a>> {
        loop {
            let at = memchr::memchr(b'<', self.rest)?;
            let after = &self.rest[at + 1..];
            self.rest = after;
            let nulls = after.iter().take_while(|&&byte| byte == 0).count();
            match after[nulls..] {
                [b'!', ..] => return Some(self.declaration(nulls + 1)),
                [b'?' | b'%', ..] => return Some(self.comment(nulls + 1, b">")),
                // Some browsers take two slashes for the beginning of a tag too.
                [b'/', b'a'..=b'z' | b'A'..=b'Z' | b'/', ..] => {
                    let (_, rest) = split(&after[nulls + 1..], ends_name);
                    (self.rest, self.state) = (rest, State::Tag);
                    return Some(Event::Close);
                }
                [b'/', ..] => return Some(self.comment(nulls + 1, b">")),
                [b'a'..=b'z' | b'A'..=b'Z', ..] => {
                    let (name, rest) = split(&after[nulls..], ends_name);
                    (self.rest, self.state) = (rest, State::Tag);
                    return Some(Event::Open(name));
                }
                _ => {}
            }
        }
    }

    fn comment(&mut self, skipped: usize, end: &[u8]) -> Event<'a> {
        let (text, rest) = split_at(&self.rest[skipped..], end);
        self.rest = rest;
        Event::Comment(text)
    }

    fn declaration(&mut self, skipped: usize) -> Event<'a> {
        let rest = &self.rest[skipped..];
        let is_doctype = rest
            .get(..7)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"doctype"));
        if is_doctype {
            (_, self.rest) = split_at(rest, b">");
            return Event::Doctype;
        }
        match rest {
            [b'-', b'-', comment @ ..] => {
                // `-->` and `--!>` end it; so does `>` right at its beginning.
                let ends = memchr::memchr_iter(b'>', comment);
                let end = ends.into_iter().find(|&at| {
                    let before = &comment[..at];
                    before.iter().all(|&byte| byte == b'-') && at < 2
                        || before.ends_with(b"--")
                        || before.ends_with(b"--!")
                });
                let text = &comment[..end.unwrap_or(comment.len())];
                self.rest = &comment[end.map_or(comment.len(), |end| end + 1)..];
                Event::Comment(text)
            }
            _ if rest.starts_with(b"[CDATA[") => self.comment(skipped + 7, b"]]>"),
            _ => self.comment(skipped, b">"),
        }
    }

    /// The next attribute; none where the tag is over.
    fn attribute(&mut self) -> Option<Event<'a>> {
        let (_, rest) = split(self.rest, |byte| !is_space(byte) && byte != b'/');
        let Some(first) = rest.first() else {
            self.rest = rest;
            return None;
        };
        if *first == b'>' {
            (self.rest, self.state) = (&rest[1..], State::Text);
            return None;
        }
        // An `=` at the beginning is part of the name.
        let (tail, _) = split(&rest[1..], |byte| ends_name(byte) || byte == b'=');
        let (name, rest) = rest.split_at(1 + tail.len());
        let (_, after) = split(rest, |byte| !is_space(byte));
        let Some(value) = after.strip_prefix(b"=") else {
            self.rest = rest;
            return Some(Event::Attribute(name, None));
        };
        let (_, value) = split(value, |byte| !is_space(byte));
        let (value, rest) = match value {
            [quote @ (b'"' | b'\'' | b'`'), quoted @ ..] => split_at(quoted, &[*quote]),
            _ => split(value, |byte| is_space(byte) || byte == b'>'),
        };
        self.rest = rest;
        Some(Event::Attribute(name, Some(value)))
    }
}

fn ends_name(byte: u8) -> bool {
    (is_space(byte) && byte != 0) || byte == b'/' || byte == b'>'
}

impl<'a> Iterator for Html<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        loop {
            let event = match self.state {
                State::Text => return self.text(),
                State::Tag => self.attribute(),
                State::Value(place) => {
                    (_, self.rest) = match place {
                        Place::Quoted(quote) => split_at(self.rest, &[quote]),
                        _ => split(self.rest, |byte| is_space(byte) || byte == b'>'),
                    };
                    self.state = State::Tag;
                    None
                }
            };
            if event.is_some() || self.rest.is_empty() {
                return event;
            }
        }
    }
}
