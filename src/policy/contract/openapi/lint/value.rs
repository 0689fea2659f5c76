//! One value with all that is said of it, and the values that it holds.

use super::parts::{Parts, Types, choices, is_empty, is_wrapper};
use super::{DEPTH, Linter, Part};
use crate::policy::contract::lint::Lint;
use crate::policy::contract::openapi::node::Node;
use crate::policy::contract::schema::Direction;

/// So many values are looked at with what stands around them; more of them would be put together
/// of schemas that were looked at already.
const VALUES: usize = 1 << 17;

impl<'d> Linter<'d> {
    pub(super) fn value(
        &mut self,
        parts: &Parts<'d>,
        direction: Direction,
        part: Part,
        depth: usize,
    ) {
        let is_request = direction == Direction::Request;
        let key = (parts.addresses(), parts.around, is_request, part);
        if depth > DEPTH || parts.own().is_empty() || !self.seen.insert(key) {
            return;
        }
        for node in parts.own() {
            self.alone(node);
        }
        let types = parts.types();
        if part == Part::Whole && !parts.is_borrowed {
            self.open(parts, types);
            if is_request {
                self.unbounded(parts, types);
            }
        }
        self.members(parts, direction, depth);
        self.items(parts, direction, depth);
        // A choice says all there is to say where nothing is said beside it.
        let choice = match types.any() {
            true => Part::One,
            false => part,
        };
        let around = match self.seen.len() < VALUES {
            true => &parts.list[..],
            false => &[],
        };
        for node in parts.own() {
            for key in ["anyOf", "oneOf"] {
                for branch in node.member(key).iter().flat_map(Node::items) {
                    self.within((around, branch), direction, choice, depth);
                }
            }
            for branch in ["then", "else"].iter().filter_map(|key| node.member(key)) {
                self.within((around, branch), direction, Part::One, depth);
            }
            for (_, branch) in node
                .member("dependentSchemas")
                .iter()
                .flat_map(Node::members)
            {
                self.within((around, branch), direction, Part::One, depth);
            }
        }
    }

    /// A schema of the same value that does not always apply.
    fn within(
        &mut self,
        (around, branch): (&[Node<'d>], Node<'d>),
        direction: Direction,
        part: Part,
        depth: usize,
    ) {
        let parts = Parts::of(&self.document.tree.root, around, [branch]);
        self.value(&parts, direction, part, depth + 1);
    }

    fn members(&mut self, parts: &Parts<'d>, direction: Direction, depth: usize) {
        let root = &self.document.tree.root;
        let barred = match direction {
            Direction::Request => "readOnly",
            Direction::Response | Direction::Neither => "writeOnly",
        };
        for node in parts.own() {
            for (name, _) in node.member("properties").iter().flat_map(Node::members) {
                let member = parts.member(root, name);
                if !member.is_barred(barred) {
                    self.value(&member, direction, Part::Whole, depth + 1);
                }
            }
            let patterns = node.member("patternProperties");
            let patterns = patterns.iter().flat_map(Node::members);
            let others = ["additionalProperties", "unevaluatedProperties"];
            let others = others.iter().filter_map(|key| node.member(key));
            let others = others.filter(|other| other.value.is_object());
            for other in patterns.map(|(_, each)| each).chain(others) {
                let other = Parts::of(root, &[], [other]);
                if !other.is_barred(barred) {
                    self.value(&other, direction, Part::Whole, depth + 1);
                }
            }
        }
    }

    fn items(&mut self, parts: &Parts<'d>, direction: Direction, depth: usize) {
        let root = &self.document.tree.root;
        if let Some(items) = parts.items(root) {
            self.value(&items, direction, Part::Whole, depth + 1);
        }
        for node in parts.own() {
            let prefix = node.member("prefixItems");
            let rest = node.member("unevaluatedItems");
            let rest = rest.filter(|rest| rest.value.is_object());
            for item in prefix.iter().flat_map(Node::items).chain(rest) {
                let item = Parts::of(root, &[], [item]);
                self.value(&item, direction, Part::Whole, depth + 1);
            }
        }
    }

    /// Types and members that nobody bounds.
    fn open(&mut self, parts: &Parts<'d>, types: Types) {
        let is_false = parts.list.iter().any(|node| *node.value == false);
        if is_false {
            return;
        }
        let has_choice = parts.own().iter().any(|node| !choices(node).is_empty());
        let has_values = parts.has("enum") || parts.has("const");
        let is_named = parts.list.iter().any(|node| Types::of(node).any());
        if !is_named && !has_values && !has_choice {
            let speaking = parts.own().iter().find(|node| !is_wrapper(node));
            let at = speaking.unwrap_or(&parts.own()[0]);
            let (message, hint) = match parts.list.iter().all(is_empty) {
                true => ("any value passes", "describe what is meant"),
                false => ("without a `type`, values of other types pass", "add `type`"),
            };
            self.tell(Lint::OpenSchema, &at.pointer, message, hint);
        }
        let has_items = ["items", "prefixItems", "unevaluatedItems"];
        let has_items = has_items.iter().any(|key| parts.has(key));
        if types.array && !has_items && !has_values && !has_choice {
            let message = "items of any kind pass";
            self.tell_of(
                parts,
                |own| own.array,
                (Lint::OpenSchema, message, "add `items`"),
            );
        }
        let lists =
            |node: &&Node<'d>| Types::of(node).object || node.value.get("properties").is_some();
        let is_object = types.object || !types.any() && parts.has("properties");
        let Some(own) = parts.own().iter().find(lists).filter(|_| is_object) else {
            return;
        };
        if self.bounds(parts).members {
            return;
        }
        // Where parts are joined, only what stands around them can close them all.
        let joins = |node: &&Node<'d>| node.value.get("allOf").is_some();
        let is_joined = parts.own().iter().filter(|node| !is_empty(node)).count() > 1;
        let (at, hint) = match parts.own().iter().find(joins).filter(|_| is_joined) {
            Some(joined) => (joined, "add `unevaluatedProperties: false`"),
            None => (own, "add `additionalProperties: false`"),
        };
        let message = "members of any name pass";
        self.tell(Lint::OpenObject, &at.pointer, message, hint);
    }

    fn unbounded(&mut self, parts: &Parts<'d>, types: Types) {
        let bounds = self.bounds(parts);
        if types.string && !bounds.string {
            let hint = "add `maxLength`, a `pattern` from ^ to $ without + and *, `enum`, or a \
                        `format` that bounds it";
            let message = "a text of any length passes";
            self.tell_of(
                parts,
                |own| own.string,
                (Lint::UnboundedString, message, hint),
            );
        }
        if types.array && !bounds.array {
            let message = "a list of any length passes";
            let hint = "add `maxItems`";
            self.tell_of(
                parts,
                |own| own.array,
                (Lint::UnboundedArray, message, hint),
            );
        }
        if types.number && !(bounds.least && bounds.most) {
            let message = match (bounds.least, bounds.most) {
                (true, _) => "numbers of any size pass: there is no `maximum`",
                (_, true) => "numbers of any size pass: there is no `minimum`",
                _ => "numbers of any size pass",
            };
            let hint = "add `minimum` and `maximum`, or format: int32 or int64";
            self.tell_of(
                parts,
                |own| own.number,
                (Lint::UnboundedNumber, message, hint),
            );
        }
    }

    /// Tells it where the type is named; what is named around a choice is told there.
    fn tell_of(
        &mut self,
        parts: &Parts<'d>,
        names: fn(Types) -> bool,
        (lint, message, hint): (Lint, &'static str, &str),
    ) {
        if let Some(at) = parts.own().iter().find(|node| names(Types::of(node))) {
            self.tell(lint, &at.pointer, message, hint);
        }
    }
}
