//! From the tree of a pattern to instructions.

use super::super::tree::{Node, Repeat, Set, Tree};
use super::{Bounds, INSTRUCTIONS, Instruction, Members, Program, Way};

pub(super) fn compile(tree: &Tree, steps: u32) -> Option<Program> {
    let mut compiler = Compiler {
        code: Vec::new(),
        sets: Vec::new(),
        slots: 2 * tree.groups,
    };
    compiler.node(&tree.root, Way::On)?;
    compiler.push(Instruction::Accept)?;
    Some(Program {
        code: compiler.code.into(),
        sets: compiler.sets.into(),
        slots: compiler.slots,
        is_anchored: is_anchored(&tree.root),
        steps,
    })
}

struct Compiler {
    code: Vec<Instruction>,
    sets: Vec<Members>,
    slots: usize,
}

impl Compiler {
    fn push(&mut self, instruction: Instruction) -> Option<usize> {
        let at = self.code.len();
        self.code.push(instruction);
        (at < INSTRUCTIONS).then_some(at)
    }

    /// The same instruction in place of one that was pushed before its target was known.
    fn patch(&mut self, at: usize, instruction: Instruction) {
        self.code[at] = instruction;
    }

    fn set(&mut self, set: &Set) -> usize {
        self.sets.push(Members::new(set));
        self.sets.len() - 1
    }

    fn node(&mut self, node: &Node, way: Way) -> Option<()> {
        match node {
            Node::Empty => {}
            Node::Set(set) => {
                let set = self.set(set);
                self.push(Instruction::Set(set, way))?;
            }
            Node::Start => drop(self.push(Instruction::Start)?),
            Node::End => drop(self.push(Instruction::End)?),
            Node::Boundary { is_negated } => {
                let is_negated = *is_negated;
                self.push(Instruction::Boundary { is_negated })?;
            }
            Node::Concat(nodes) => match way {
                Way::On => nodes.iter().try_for_each(|node| self.node(node, way))?,
                Way::Back => nodes
                    .iter()
                    .rev()
                    .try_for_each(|node| self.node(node, way))?,
            },
            Node::Alternation(nodes) => self.alternation(nodes, way)?,
            Node::Group(group, node) => {
                let (begin, end) = match way {
                    Way::On => (2 * group, 2 * group + 1),
                    Way::Back => (2 * group + 1, 2 * group),
                };
                self.push(Instruction::Note(begin))?;
                self.node(node, way)?;
                self.push(Instruction::Note(end))?;
            }
            Node::Repeat(repeat) => self.repeat(repeat, way)?,
            Node::Look {
                is_behind,
                is_negated,
                node,
            } => {
                let look = self.push(Instruction::Accept)?;
                let way = if *is_behind { Way::Back } else { Way::On };
                self.node(node, way)?;
                self.push(Instruction::Accept)?;
                let (is_negated, next) = (*is_negated, self.code.len());
                self.patch(look, Instruction::Look { is_negated, next });
            }
            Node::Back(group) => drop(self.push(Instruction::Back(*group, way))?),
        }
        Some(())
    }

    fn alternation(&mut self, nodes: &[Node], way: Way) -> Option<()> {
        let mut jumps = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            if at + 1 == nodes.len() {
                self.node(node, way)?;
                break;
            }
            let split = self.push(Instruction::Accept)?;
            self.node(node, way)?;
            jumps.push(self.push(Instruction::Accept)?);
            self.patch(split, Instruction::Split(split + 1, self.code.len()));
        }
        let end = self.code.len();
        jumps
            .into_iter()
            .for_each(|at| self.patch(at, Instruction::Jump(end)));
        Some(())
    }

    /// `RepeatMatcher` of section 22.2.2.3.1: each turn forgets what the groups in it captured, and
    /// one that may be left out must pass something.
    fn repeat(&mut self, repeat: &Repeat, way: Way) -> Option<()> {
        let Repeat {
            node, least, most, ..
        } = repeat;
        if let Node::Set(set) = &**node {
            let set = self.set(set);
            let bounds = Bounds {
                least: *least,
                most: most.unwrap_or(u32::MAX),
                is_greedy: repeat.is_greedy,
            };
            self.push(Instruction::Run(set, bounds, way))?;
            return Some(());
        }
        for _ in 0..*least {
            let before = self.code.len();
            self.turn(repeat, way)?;
            // Nothing, however often.
            if self.code.len() == before {
                break;
            }
        }
        let Some(most) = most else {
            let split = self.optional(repeat, way)?;
            self.push(Instruction::Jump(split))?;
            self.end_at(split, repeat);
            return Some(());
        };
        let mut splits = Vec::new();
        for _ in *least..*most {
            splits.push(self.optional(repeat, way)?);
        }
        splits.iter().for_each(|split| self.end_at(*split, repeat));
        Some(())
    }

    fn turn(&mut self, repeat: &Repeat, way: Way) -> Option<()> {
        let (first, last) = repeat.groups;
        if first < last {
            self.push(Instruction::Forget(2 * first, 2 * last))?;
        }
        self.node(&repeat.node, way)
    }

    /// A turn that may be left out; where to leave to is not known yet.
    fn optional(&mut self, repeat: &Repeat, way: Way) -> Option<usize> {
        let split = self.push(Instruction::Accept)?;
        match may_be_empty(&repeat.node) {
            true => {
                let slot = self.slots;
                self.slots += 1;
                self.push(Instruction::Note(slot))?;
                self.turn(repeat, way)?;
                self.push(Instruction::Progress(slot))?;
            }
            false => self.turn(repeat, way)?,
        }
        Some(split)
    }

    /// Where a turn that is left out leads to.
    fn end_at(&mut self, split: usize, repeat: &Repeat) {
        let end = self.code.len();
        self.patch(
            split,
            match repeat.is_greedy {
                true => Instruction::Split(split + 1, end),
                false => Instruction::Split(end, split + 1),
            },
        );
    }
}

/// Whether a node may match without passing anything.
fn may_be_empty(node: &Node) -> bool {
    match node {
        Node::Set(_) => false,
        Node::Concat(nodes) => nodes.iter().all(may_be_empty),
        Node::Alternation(nodes) => nodes.iter().any(may_be_empty),
        Node::Group(_, node) => may_be_empty(node),
        Node::Repeat(repeat) => repeat.least == 0 || may_be_empty(&repeat.node),
        Node::Empty
        | Node::Start
        | Node::End
        | Node::Boundary { .. }
        | Node::Look { .. }
        | Node::Back(_) => true,
    }
}

fn is_anchored(node: &Node) -> bool {
    match node {
        Node::Start => true,
        Node::Concat(nodes) => nodes.first().is_some_and(is_anchored),
        Node::Alternation(nodes) => nodes.iter().all(is_anchored),
        Node::Group(_, node) => is_anchored(node),
        Node::Repeat(repeat) => repeat.least > 0 && is_anchored(&repeat.node),
        Node::Empty
        | Node::Set(_)
        | Node::End
        | Node::Boundary { .. }
        | Node::Look { .. }
        | Node::Back(_) => false,
    }
}
