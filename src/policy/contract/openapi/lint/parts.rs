//! All that is said of one value.

use serde_json::Value;

use crate::policy::contract::openapi::node::{Node, lookup};

/// Most schemas that are put together for one value.
const MOST: usize = 256;

/// Keywords that say nothing about what a value is.
const SILENT: [&str; 15] = [
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "externalDocs",
    "xml",
    "$comment",
    "readOnly",
    "writeOnly",
    "nullable",
    "$id",
    "$anchor",
    "$schema",
];

/// Schemas that all apply to one value: some, what they refer to, and what `allOf` joins in them.
pub struct Parts<'d> {
    pub list: Vec<Node<'d>>,
    /// So many of them stand around a choice; the others are of the choice itself.
    pub around: usize,
    /// Whether more is said in a place that is not looked up here.
    pub is_borrowed: bool,
    /// What choices around say in each of their branches of a member that is this value.
    pub also: Vec<Vec<Vec<Node<'d>>>>,
}

impl<'d> Parts<'d> {
    pub fn of(
        root: &'d Value,
        around: &[Node<'d>],
        nodes: impl IntoIterator<Item = Node<'d>>,
    ) -> Parts<'d> {
        let mut parts = Parts {
            list: around.to_vec(),
            around: around.len(),
            is_borrowed: false,
            also: Vec::new(),
        };
        for node in nodes {
            parts.add(root, node);
        }
        parts
    }

    fn add(&mut self, root: &'d Value, node: Node<'d>) {
        let is_known = |own: &Node<'_>| std::ptr::eq(own.value, node.value);
        if self.list.iter().any(is_known) {
            return;
        }
        if self.list.len() >= MOST {
            self.is_borrowed = true;
            return;
        }
        let reference = node.value.get("$ref").and_then(Value::as_str);
        let target = reference.map(|text| lookup(root, text));
        self.is_borrowed |= node.value.get("$dynamicRef").is_some();
        let joined = node.member("allOf");
        self.list.push(node);
        match target {
            Some(Ok(target)) => self.add(root, target),
            // An anchor, or what is told as an error.
            Some(Err(_)) => self.is_borrowed = true,
            None => {}
        }
        for part in joined.iter().flat_map(Node::items) {
            self.add(root, part);
        }
    }

    /// Those that do not stand around.
    pub fn own(&self) -> &[Node<'d>] {
        &self.list[self.around.min(self.list.len())..]
    }

    pub fn addresses(&self) -> Vec<usize> {
        let list = self.list.iter();
        list.map(|node| std::ptr::from_ref(node.value) as usize)
            .collect()
    }

    pub fn has(&self, key: &str) -> bool {
        self.list.iter().any(|node| node.value.get(key).is_some())
    }

    /// Whether nothing passes, or not in this direction.
    pub fn is_barred(&self, keyword: &str) -> bool {
        let mut list = self.list.iter();
        list.any(|node| *node.value == false || node.value.get(keyword) == Some(&Value::Bool(true)))
    }

    /// The types that all of them leave.
    pub fn types(&self) -> Types {
        Types::all(self.list.iter().map(Types::of))
    }

    /// All that is said of a member.
    pub fn member(&self, root: &'d Value, name: &str) -> Parts<'d> {
        let nodes = self.list.iter().filter_map(|node| said_of(node, name));
        let mut parts = Parts::of(root, &[], nodes);
        for branches in self.list.iter().flat_map(choices) {
            let said = branches.into_iter().map(|branch| {
                let branch = Parts::of(root, &[], [branch]);
                let nodes = branch.list.iter().filter_map(|node| said_of(node, name));
                nodes.collect::<Vec<_>>()
            });
            let said: Vec<_> = said.collect();
            if said.iter().all(|nodes| !nodes.is_empty()) {
                parts.also.push(said);
            }
        }
        parts
    }

    /// All that is said of items without a place of their own.
    pub fn items(&self, root: &'d Value) -> Option<Parts<'d>> {
        let items = |node: &Node<'d>| node.member("items").filter(|it| it.value.is_object());
        let own = self.own().iter().any(|node| items(node).is_some());
        own.then(|| Parts::of(root, &[], self.list.iter().filter_map(items)))
    }
}

/// What one schema says of a member by its name, or of all that it does not name.
fn said_of<'d>(node: &Node<'d>, name: &str) -> Option<Node<'d>> {
    let named = node.member("properties").and_then(|all| all.member(name));
    let has_patterns = node.value.get("patternProperties").is_some();
    let others = || {
        node.member("additionalProperties")
            .filter(|_| !has_patterns)
    };
    named.or_else(|| others().filter(|other| other.value.is_object()))
}

/// The lists of schemas of which a value has to match one.
pub fn choices<'d>(node: &Node<'d>) -> Vec<Vec<Node<'d>>> {
    let lists = ["anyOf", "oneOf"].into_iter().filter_map(|key| {
        let list: Vec<_> = node.member(key)?.items().collect();
        (!list.is_empty()).then_some(list)
    });
    let mut found: Vec<_> = lists.collect();
    if let (Some(_), Some(then), Some(otherwise)) = (
        node.value.get("if"),
        node.member("then"),
        node.member("else"),
    ) {
        found.push(vec![then, otherwise]);
    }
    found
}

/// The types of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Types {
    pub object: bool,
    pub array: bool,
    pub string: bool,
    pub number: bool,
    pub other: bool,
}

impl Types {
    /// Those that a schema itself names.
    pub fn of(node: &Node<'_>) -> Types {
        let mut types = Types::default();
        let names = match node.value.get("type") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(name)) => vec![name.as_str()],
            _ => Vec::new(),
        };
        for name in names {
            match name {
                "object" => types.object = true,
                "array" => types.array = true,
                "string" => types.string = true,
                "number" | "integer" => types.number = true,
                _ => types.other = true,
            }
        }
        types
    }

    /// Whether a value may be of one of them; `other` may be any other.
    pub fn has(self, value: &Value) -> bool {
        match value {
            Value::Object(_) => self.object,
            Value::Array(_) => self.array,
            Value::String(_) => self.string,
            Value::Number(_) => self.number,
            Value::Bool(_) | Value::Null => true,
        }
    }

    pub fn any(self) -> bool {
        self.object || self.array || self.string || self.number || self.other
    }

    /// What all leave that name any; none where none does.
    pub fn all(each: impl Iterator<Item = Types>) -> Types {
        let named = each.filter(|types| types.any());
        let both = |one: Types, other: Types| Types {
            object: one.object && other.object,
            array: one.array && other.array,
            string: one.string && other.string,
            number: one.number && other.number,
            other: one.other && other.other,
        };
        named.reduce(both).unwrap_or_default()
    }
}

/// Whether a schema does nothing but lead to others.
pub fn is_wrapper(node: &Node<'_>) -> bool {
    let leads = |name| matches!(name, "$ref" | "allOf");
    let mut keys = node.declared().map(|(name, _)| name);
    node.declared().any(|(name, _)| leads(name)) && keys.all(|name| leads(name) || is_silent(name))
}

/// Whether a schema says nothing of a value itself.
pub fn is_empty(node: &Node<'_>) -> bool {
    let mut keys = node.declared().map(|(name, _)| name);
    is_wrapper(node) || keys.all(is_silent)
}

fn is_silent(name: &str) -> bool {
    SILENT.contains(&name)
}
