//! Paths as file systems resolve them.

/// Empty segments and `.` go, `..` takes its parent with it; a trailing slash stays.
///
/// `..` above the root is dropped from an absolute path and kept in a relative one. What
/// comes to nothing is empty.
pub(super) fn normalize(input: &[u8], output: &mut Vec<u8>) {
    normalize_at(input, output, |byte| byte == b'/');
}

/// As [`normalize`], after backslashes became slashes. Of the last segment a stream name (from its
/// colon on) goes, of every segment the dots and spaces at its end: Windows opens the same file
/// without them.
pub(super) fn normalize_win(input: &[u8], output: &mut Vec<u8>) {
    let start = output.len();
    normalize_at(input, output, |byte| matches!(byte, b'/' | b'\\'));
    strip_stream(output, start);
    trim_segments(output, start);
}

fn normalize_at(input: &[u8], output: &mut Vec<u8>, is_slash: fn(u8) -> bool) {
    let start = output.len();
    let is_rooted = input.first().is_some_and(|&byte| is_slash(byte));
    if is_rooted {
        output.push(b'/');
    }
    let root = output.len();
    // Segments in the output that `..` may still take away.
    let mut removable = 0;
    for segment in input.split(|&byte| is_slash(byte)) {
        match segment {
            b"" | b"." => continue,
            b".." if removable > 0 => {
                removable -= 1;
                let parent = memchr::memrchr(b'/', &output[root..]);
                output.truncate(root + parent.unwrap_or(0));
                continue;
            }
            b".." if is_rooted => continue,
            b".." => {}
            _ => removable += 1,
        }
        if output.len() > root {
            output.push(b'/');
        }
        output.extend_from_slice(segment);
    }
    let ends_in_slash = input.last().is_some_and(|&byte| is_slash(byte));
    if ends_in_slash && output.len() > start && output.last() != Some(&b'/') {
        output.push(b'/');
    }
}

fn strip_stream(output: &mut Vec<u8>, start: usize) {
    let path = &output[start..];
    let has_drive = path.len() >= 2 && path[1] == b':' && path[0].is_ascii_alphabetic();
    let body = start + if has_drive { 2 } else { 0 };
    let has_slash = output.len() > body && output.ends_with(b"/");
    let end = output.len() - usize::from(has_slash);
    let last = memchr::memrchr(b'/', &output[body..end]).map_or(body, |at| body + at + 1);
    if let Some(colon) = memchr::memchr(b':', &output[last..end]) {
        output.truncate(last + colon);
        if has_slash && !output.ends_with(b"/") {
            output.push(b'/');
        }
    }
}

fn trim_segments(output: &mut Vec<u8>, start: usize) {
    let mut from = start;
    let mut to = start;
    let end = output.len();
    let mut is_first = true;
    while from <= end {
        let length = memchr::memchr(b'/', &output[from..end]).unwrap_or(end - from);
        let segment = &output[from..from + length];
        let kept = match segment.iter().all(|&byte| byte == b'.') {
            true => length,
            false => segment
                .iter()
                .rposition(|byte| !matches!(byte, b'.' | b' '))
                .map_or(0, |last| last + 1),
        };
        let next = from + length + 1;
        // A segment of nothing but spaces and dots is no segment.
        if kept > 0 || length == 0 {
            if !is_first {
                output[to] = b'/';
                to += 1;
            }
            output.copy_within(from..from + kept, to);
            to += kept;
            is_first = false;
        }
        from = next;
    }
    output.truncate(to);
}
