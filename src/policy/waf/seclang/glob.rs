//! Names of rule files: relative to the file that names them, with `*` and `?` in the last part.

/// The folder of a path, with its slash.
pub fn folder(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}

/// A name as it is meant in a file of this folder.
pub fn beside(folder: &str, name: &str) -> String {
    if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("{folder}{name}")
    }
}

pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?'])
}

/// Whether a path is one of those that a pattern names.
pub fn matches(pattern: &str, path: &str) -> bool {
    folder(pattern) == folder(path)
        && last(pattern.as_bytes(), folder(pattern).len())
            .is_some_and(|pattern| fits(pattern, &path.as_bytes()[folder(path).len()..]))
}

fn last(path: &[u8], start: usize) -> Option<&[u8]> {
    path.get(start..)
}

/// Goes back to the last star only, so that the time is bounded by the product of the lengths.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(&sign) if sign == b'?' || sign == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((after, from)) = star else {
                    return false;
                };
                at = after + 1;
                seen = from + 1;
                star = Some((after, seen));
            }
        }
    }
    pattern[at..].iter().all(|&sign| sign == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_files_of_their_folder() {
        for (pattern, path, expected) in [
            ("/a/*.conf", "/a/b.conf", true),
            ("/a/*.conf", "/a/b.conf.example", false),
            ("/a/*.conf", "/b/b.conf", false),
            ("*a?b*", "aaxbb", true),
            ("*", "", true),
            ("**x", "aaay", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        assert_eq!(beside(folder("/a/b.conf"), "c"), "/a/c");
        assert_eq!(beside("x/", "/c"), "/c");
    }
}
