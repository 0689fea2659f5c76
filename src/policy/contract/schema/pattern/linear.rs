//! Patterns on an engine that takes linear time, which is what they run on by default.

use std::sync::Arc;

use regex_automata::meta;
use regex_syntax::hir::{Class, Hir, Look, Repetition};

use super::Refusal;
use super::tree::{Node, Tree};
use crate::policy::contract::schema::sequence::Sequence;

/// Bytes that a compiled pattern may take.
const SIZE: usize = 1 << 20;

#[derive(Debug)]
pub enum Linear {
    /// A table, where that is possible.
    Sequence(Arc<Sequence>),
    Automaton(meta::Regex),
}

impl Linear {
    pub fn new(tree: &Tree) -> Result<Linear, Refusal> {
        let form = form(&tree.root).map_err(Refusal::NotLinear)?;
        if let Some(sequence) = Sequence::new(&form) {
            return Ok(Linear::Sequence(Arc::new(sequence)));
        }
        let settings = meta::Config::new().nfa_size_limit(Some(SIZE));
        let automaton = meta::Builder::new()
            .configure(settings)
            .build_from_hir(&form);
        automaton
            .map(Linear::Automaton)
            .map_err(|_| Refusal::TooLarge)
    }

    #[inline]
    pub fn is_match(&self, text: &str) -> bool {
        match self {
            Linear::Sequence(sequence) => sequence.is_match(text.as_bytes()),
            Linear::Automaton(automaton) => automaton.is_match(text),
        }
    }
}

/// The same in the form of the engine, without captures, or what has none.
fn form(node: &Node) -> Result<Hir, &'static str> {
    let all = |nodes: &[Node]| nodes.iter().map(form).collect::<Result<Vec<_>, _>>();
    Ok(match node {
        Node::Empty => Hir::empty(),
        Node::Set(set) => Hir::class(Class::Unicode(set.clone())),
        Node::Start => Hir::look(Look::Start),
        Node::End => Hir::look(Look::End),
        // With the flag `u`, but not with `i`, words are of ASCII (section 22.2.2.9.3).
        Node::Boundary { is_negated: false } => Hir::look(Look::WordAscii),
        Node::Boundary { is_negated: true } => Hir::look(Look::WordAsciiNegate),
        Node::Concat(nodes) => Hir::concat(all(nodes)?),
        Node::Alternation(nodes) => Hir::alternation(all(nodes)?),
        Node::Group(_, node) => form(node)?,
        Node::Repeat(repeat) => Hir::repetition(Repetition {
            min: repeat.least,
            max: repeat.most,
            greedy: repeat.is_greedy,
            sub: Box::new(form(&repeat.node)?),
        }),
        Node::Look { .. } => return Err("look-around"),
        Node::Back(_) => return Err("a back-reference"),
    })
}
