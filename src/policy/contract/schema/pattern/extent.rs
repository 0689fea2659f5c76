//! How long a text can be that a pattern matches.

use super::tree::{Node, Tree};

/// What is known of all matches of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    /// Whether it begins where the text does.
    starts: bool,
    /// Most code points of the match.
    longest: Option<u64>,
    /// Most code points from its beginning to the end of the text.
    reach: Option<u64>,
}

/// Whether only texts up to some length match.
pub fn is_bounded(tree: &Tree) -> bool {
    let whole = extent(&tree.root);
    whole.starts && whole.reach.is_some()
}

fn extent(node: &Node) -> Extent {
    let nothing = Extent {
        starts: false,
        longest: Some(0),
        reach: None,
    };
    match node {
        Node::Empty | Node::Boundary { .. } => nothing,
        Node::Set(_) => Extent {
            longest: Some(1),
            ..nothing
        },
        Node::Start => Extent {
            starts: true,
            ..nothing
        },
        Node::End => Extent {
            reach: Some(0),
            ..nothing
        },
        Node::Concat(nodes) => concat(nodes),
        Node::Alternation(nodes) => {
            let each = nodes.iter().map(extent);
            let most = |a: Option<u64>, b: Option<u64>| Some(a?.max(b?));
            let both = each.reduce(|one, other| Extent {
                starts: one.starts && other.starts,
                longest: most(one.longest, other.longest),
                reach: most(one.reach, other.reach),
            });
            both.unwrap_or(nothing)
        }
        Node::Group(_, node) => extent(node),
        Node::Repeat(repeat) => {
            let one = extent(&repeat.node);
            let longest = match (one.longest, repeat.most) {
                (Some(0), _) | (_, Some(0)) => Some(0),
                (Some(one), Some(most)) => Some(one.saturating_mul(u64::from(most))),
                _ => None,
            };
            match repeat.least {
                0 => Extent { longest, ..nothing },
                _ => Extent { longest, ..one },
            }
        }
        Node::Look {
            is_behind: false,
            is_negated: false,
            node,
        } => Extent {
            longest: Some(0),
            ..extent(node)
        },
        Node::Look { .. } => nothing,
        // As long as what was captured, which is not followed up.
        Node::Back(_) => Extent {
            longest: None,
            ..nothing
        },
    }
}

fn concat(nodes: &[Node]) -> Extent {
    let mut whole = Extent {
        starts: false,
        longest: Some(0),
        reach: None,
    };
    for one in nodes.iter().map(extent) {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        // Where a later part begins with the text, those before it are empty.
        whole.starts |= one.starts;
        let reach = sum(whole.longest, one.reach);
        whole.reach = match (whole.reach, reach) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        whole.longest = sum(whole.longest, one.longest);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::super::bounds_length;

    #[test]
    fn a_pattern_bounds_what_it_sees_from_end_to_end() {
        for pattern in [
            "^a$",
            "^[a-z]{1,9}$",
            "^(a|bc){2}$",
            "^a?b?$",
            "^(?:ab|c)$|^d{3}$",
            "^$",
            "^(a{2}){3}$",
            "^(?=.{8,64}$)(?=.*[0-9]).*$",
            "^(?=.*[0-9]).{8,64}$",
            "^(x*){0}a$",
            "(?:^a$)",
        ] {
            assert!(bounds_length(pattern), "{pattern}");
        }
        for pattern in [
            "",
            "a",
            "^a",
            "a$",
            ".*",
            "^.*$",
            "^[a-z]+$",
            "^a{2,}$",
            "^(ab*)?$",
            "^a|b$",
            "^a$|b",
            "(^a$)?",
            "^(?!.{9,})a*$",
            "^(a)\\1$",
            "^(?=.*[0-9]).+$",
            "\\ba{3}\\b",
            "(",
        ] {
            assert!(!bounds_length(pattern), "{pattern}");
        }
    }
}
