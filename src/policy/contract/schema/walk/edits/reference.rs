//! What stripping leaves, read by values instead of bytes: for tests, here and of the whole.

use serde_json::{Map, Value};

/// The same by values: what remains of a value that all of these schemas apply to. Knows what the
/// generator of schemas makes.
pub fn reference(schemas: &[&Value], value: &Value) -> Value {
    let mut applying: Vec<&Value> = Vec::new();
    let mut open: Vec<&Value> = schemas.to_vec();
    while let Some(schema) = open.pop() {
        applying.push(schema);
        open.extend(schema["allOf"].as_array().into_iter().flatten());
        for each in schema["oneOf"].as_array().into_iter().flatten() {
            let kind = &each["properties"]["kind"]["const"];
            open.extend((value.get("kind") == Some(kind)).then_some(each));
        }
    }
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter_map(|(name, member)| {
                let mut below = Vec::new();
                let (mut listed, mut declared) = (false, false);
                for schema in &applying {
                    let own = schema["properties"].as_object();
                    listed |= own.is_some_and(|own| !own.is_empty());
                    match own.and_then(|own| own.get(name)) {
                        Some(next) => below.push(next),
                        None => match &schema["additionalProperties"] {
                            Value::Bool(false) => return None,
                            Value::Bool(true) => declared = true,
                            Value::Null => {}
                            next => below.push(next),
                        },
                    }
                }
                declared |= !below.is_empty();
                (declared || !listed).then(|| (name.clone(), reference(&below, member)))
            });
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Array(list) => {
            let items = applying.iter().filter_map(|schema| schema.get("items"));
            let items: Vec<&Value> = items.collect();
            list.iter().map(|item| reference(&items, item)).collect()
        }
        other => other.clone(),
    }
}
