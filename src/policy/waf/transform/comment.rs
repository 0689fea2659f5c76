//! Comments of SQL, C and HTML.

/// `/* */` to one space; one that is never closed takes the rest with it.
pub(super) fn replace(input: &[u8], output: &mut Vec<u8>) {
    let mut rest = input;
    while let Some(at) = memchr::memmem::find(rest, b"/*") {
        output.extend_from_slice(&rest[..at]);
        output.push(b' ');
        rest = match memchr::memmem::find(&rest[at + 2..], b"*/") {
            Some(end) => &rest[at + 2 + end + 2..],
            None => return,
        };
    }
    output.extend_from_slice(rest);
}

/// `/* */` and `<!-- -->` go, either closed by either end; `--` and `#` end the value; one that is
/// never closed becomes a space.
///
/// The byte after a comment is copied unread, as the engines that this follows do: a NUL where
/// there is none. So `/**/--` keeps its dashes.
pub(super) fn remove(input: &[u8], output: &mut Vec<u8>) {
    let mut at = 0;
    while at < input.len() {
        let rest = &input[at..];
        let opening = match rest {
            [b'/', b'*', ..] => 2,
            [b'<', b'!', b'-', b'-', ..] => 4,
            [b'-', b'-', ..] | [b'#', ..] => return,
            [byte, ..] => {
                output.push(*byte);
                at += 1;
                continue;
            }
            [] => return,
        };
        let Some(end) = comment_end(&rest[opening..]) else {
            output.push(b' ');
            return;
        };
        at += opening + end;
        output.push(input.get(at).copied().unwrap_or(0));
        at += 1;
    }
}

/// Where a comment is over: behind `*/` or `-->`, whichever comes first.
fn comment_end(comment: &[u8]) -> Option<usize> {
    memchr::memchr2_iter(b'*', b'-', comment).find_map(|at| match &comment[at..] {
        [b'*', b'/', ..] => Some(at + 2),
        [b'-', b'-', b'>', ..] => Some(at + 3),
        _ => None,
    })
}

/// The marks themselves go, what stands between them stays.
pub(super) fn remove_chars(input: &[u8], output: &mut Vec<u8>) {
    let mut rest = input;
    while let [first, after @ ..] = rest {
        rest = match rest {
            [b'/', b'*', rest @ ..]
            | [b'*', b'/', rest @ ..]
            | [b'<', b'!', b'-', b'-', rest @ ..]
            | [b'-', b'-', b'>', rest @ ..]
            | [b'-', b'-', rest @ ..]
            | [b'#', rest @ ..] => rest,
            _ => {
                output.push(*first);
                after
            }
        };
    }
}
