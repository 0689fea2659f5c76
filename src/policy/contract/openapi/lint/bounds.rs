//! How large a value may be by all that is said of it.

use serde_json::Value;

use super::Linter;
use super::parts::{Parts, Types, choices};
use crate::policy::contract::openapi::node::Node;
use crate::policy::contract::schema::{Format, bounds_length};

/// What bounds a value, by its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Of texts, their length.
    pub string: bool,
    /// Of lists, theirs.
    pub array: bool,
    /// Of numbers.
    pub least: bool,
    pub most: bool,
    /// Of objects, which members they have.
    pub members: bool,
}

/// What one schema says with all that it is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    types: Types,
    bounds: Bounds,
}

impl Bounds {
    const ALL: Bounds = Bounds {
        string: true,
        array: true,
        least: true,
        most: true,
        members: true,
    };

    fn or(self, other: Bounds) -> Bounds {
        Bounds {
            string: self.string || other.string,
            array: self.array || other.array,
            least: self.least || other.least,
            most: self.most || other.most,
            members: self.members || other.members,
        }
    }

    fn and(self, other: Bounds) -> Bounds {
        Bounds {
            string: self.string && other.string,
            array: self.array && other.array,
            least: self.least && other.least,
            most: self.most && other.most,
            members: self.members && other.members,
        }
    }

    /// Of one schema by its own keywords.
    fn of(node: &Node<'_>) -> Bounds {
        let has = |name: &str| node.value.get(name).is_some();
        if has("enum") || has("const") || *node.value == false {
            return Bounds::ALL;
        }
        let text = |name: &str| node.value.get(name).and_then(Value::as_str);
        let is_number = |name: &str| node.value.get(name).is_some_and(Value::is_number);
        let is_closed =
            |name: &str| !matches!(node.value.get(name), None | Some(Value::Bool(true)));
        let format = text("format");
        let is_sized = matches!(format, Some("int32" | "int64"));
        let is_short = format
            .and_then(Format::named)
            .is_some_and(Format::is_bounded);
        Bounds {
            string: has("maxLength") || is_short || text("pattern").is_some_and(bounds_length),
            array: has("maxItems")
                || has("prefixItems") && node.value.get("items") == Some(&Value::Bool(false)),
            least: is_sized || is_number("minimum") || is_number("exclusiveMinimum"),
            most: is_sized || is_number("maximum") || is_number("exclusiveMaximum"),
            members: is_closed("additionalProperties") || is_closed("unevaluatedProperties"),
        }
    }
}

impl Said {
    /// As a branch of a choice: a type that it does not let pass needs no bound there.
    fn as_branch(self) -> Bounds {
        let Types {
            object,
            array,
            string,
            number,
            ..
        } = self.types;
        let excludes = |has: bool| self.types.any() && !has;
        self.bounds.or(Bounds {
            string: excludes(string),
            array: excludes(array),
            least: excludes(number),
            most: excludes(number),
            members: excludes(object),
        })
    }
}

impl<'d> Linter<'d> {
    /// All that bounds a value: each of its schemas, or each branch of a choice.
    pub(super) fn bounds(&mut self, parts: &Parts<'d>) -> Bounds {
        let own = parts.list.iter().map(Bounds::of);
        let mut all = own.fold(Bounds::default(), Bounds::or);
        for branches in parts.list.iter().flat_map(choices) {
            let branches = branches.into_iter().map(|branch| vec![branch]);
            all = all.or(self.in_each(branches));
        }
        for branches in &parts.also {
            all = all.or(self.in_each(branches.iter().cloned()));
        }
        all
    }

    fn in_each(&mut self, branches: impl Iterator<Item = Vec<Node<'d>>>) -> Bounds {
        branches.fold(Bounds::ALL, |all, nodes| {
            let said = nodes.into_iter().map(|node| self.said(node).as_branch());
            all.and(said.fold(Bounds::default(), Bounds::or))
        })
    }

    fn said(&mut self, node: Node<'d>) -> Said {
        let key = std::ptr::from_ref(node.value) as usize;
        if let Some(known) = self.said.get(&key) {
            return *known;
        }
        // What leads to itself without a value in between is told as an error.
        self.said.insert(key, Said::default());
        let parts = Parts::of(&self.document.tree.root, &[], [node]);
        let said = Said {
            types: parts.types(),
            bounds: self.bounds(&parts),
        };
        self.said.insert(key, said);
        said
    }
}
