//! GraphQL endpoints: what their tables say, within bounds.

use crate::config::compile::persisted;
use crate::config::file;
use crate::config::reader::{At, Reader};
use crate::diagnostic::Diagnostic;
use crate::policy::contract::graphql::{Endpoint, Limits, Persisted, Settings, Sizes, Weights};

/// Arguments that say how many items are wanted, when nothing else is said.
const SIZE_ARGUMENTS: [&str; 3] = ["first", "last", "limit"];

/// Deepest query that may be allowed; the parser nests little deeper.
const DEPTH: usize = 50;

/// Most queries in one body.
const BATCH: usize = 100;

/// Largest value of the other limits.
const MOST: usize = 1_000_000_000;

/// The endpoint that a table describes.
pub fn compile(reader: &Reader<'_>, declared: &file::Graphql) -> Endpoint {
    let list = declared
        .persisted
        .as_ref()
        .and_then(|path| persisted::read(reader, path));
    let only = declared.persisted_only.as_ref();
    if let Some(only) = only.filter(|only| only.value && declared.persisted.is_none()) {
        let message = "`persisted_only` without a list allows no query";
        reader.error(only.position, message, "add persisted = \"queries.json\"");
    }
    let flag = |flag: &Option<At<bool>>, default| flag.as_ref().map_or(default, |at| at.value);
    let endpoint = Endpoint::new(Settings {
        limits: limits(reader, declared),
        weights: weights(reader, declared),
        sizes: sizes(reader, declared),
        introspection: flag(&declared.introspection, false),
        mutations: flag(&declared.mutations, true),
        subscriptions: flag(&declared.subscriptions, false),
        persisted: list
            .as_ref()
            .map_or_else(Persisted::default, |list| list.persisted.clone()),
        persisted_only: flag(&declared.persisted_only, false),
    });
    let Some(list) = list else {
        return endpoint;
    };
    for (text, position) in &list.texts {
        if let Err(rule) = endpoint.check_persisted(text) {
            let message = format!("this query breaks the rule `{rule}` of its endpoint");
            let hint = "change the query, or what [... graphql] allows";
            let found = Diagnostic::new(list.file.clone(), *position, message);
            reader.extend(vec![found.with_hint(hint)]);
        }
    }
    endpoint
}

fn limits(reader: &Reader<'_>, declared: &file::Graphql) -> Limits {
    let default = Limits::default();
    let read = |declared: &Option<At<usize>>, least: usize, most: usize, default: u64| {
        let Some(limit) = declared else {
            return default;
        };
        if !(least..=most).contains(&limit.value) {
            let message = format!("{} is out of bounds", limit.value);
            reader.error(limit.position, message, format!("write {least} to {most}"));
        }
        limit.value as u64
    };
    let count = |declared: &Option<At<usize>>, default: usize, most: usize| {
        read(declared, 1, most, default as u64) as usize
    };
    Limits {
        depth: read(&declared.max_depth, 1, DEPTH, default.depth),
        aliases: read(&declared.max_aliases, 0, MOST, default.aliases),
        fields: read(&declared.max_fields, 1, MOST, default.fields),
        root_fields: read(&declared.max_root_fields, 1, MOST, default.root_fields),
        directives: read(&declared.max_directives, 0, MOST, default.directives),
        cost: read(&declared.max_cost, 1, MOST, default.cost),
        tokens: count(&declared.max_tokens, default.tokens, 100_000),
        batch: count(&declared.max_batch, default.batch, BATCH),
    }
}

fn weights(reader: &Reader<'_>, declared: &file::Graphql) -> Weights {
    for (name, _) in &declared.weights {
        let mut parts = name.value.split('.');
        let is_name = parts.clone().count() <= 2 && parts.all(is_name);
        if !is_name {
            let message = format!("\"{}\" names no field", name.value);
            reader.error(name.position, message, "write \"field\" or \"Type.field\"");
        }
    }
    let weights = declared.weights.iter();
    Weights::new(weights.map(|(name, weight)| (name.value.as_str(), weight.value as u64)))
}

fn sizes(reader: &Reader<'_>, declared: &file::Graphql) -> Sizes {
    let lists = declared.list_sizes.iter();
    let arguments = declared.size_arguments.iter();
    for name in arguments.clone().chain(lists.clone().map(|(name, _)| name)) {
        if !is_name(&name.value) {
            let message = format!("\"{}\" is no name of GraphQL", name.value);
            reader.error(name.position, message, "use letters, digits and `_`");
        }
    }
    let lists = lists.map(|(name, size)| (name.value.as_str(), size.value as u64));
    match declared.size_arguments.is_empty() {
        true => Sizes::new(SIZE_ARGUMENTS, lists),
        false => Sizes::new(arguments.map(|name| name.value.as_str()), lists),
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    bytes.next().is_some_and(is_start) && bytes.all(|byte| is_start(byte) || byte.is_ascii_digit())
}
