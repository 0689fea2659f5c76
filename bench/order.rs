//! A realistic body, an order with nested objects and a list of items, and its schema.

use serde_json::{Value, json};

pub fn schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false,
        "required": ["id", "created", "currency", "customer", "items"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "created": {"type": "string", "format": "date-time"},
            "currency": {"type": "string", "enum": ["EUR", "USD", "GBP"]},
            "note": {"type": "string", "maxLength": 280},
            "customer": {"type": "object", "additionalProperties": false, "required": ["name", "email"],
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 100},
                    "email": {"type": "string", "format": "email"},
                    "vip": {"type": "boolean"}}},
            "items": {"type": "array", "minItems": 1, "maxItems": 2000, "items": {
                "type": "object", "additionalProperties": false, "required": ["sku", "quantity", "price"],
                "properties": {
                    "sku": {"type": "string", "pattern": "^[A-Z0-9-]{4,20}$"},
                    "quantity": {"type": "integer", "minimum": 1, "maximum": 1000},
                    "price": {"type": "number", "minimum": 0},
                    "gift": {"type": "boolean"}}}}
        }
    })
}

/// An order of so many items; twelve make about 1 KB.
pub fn order(items: usize) -> String {
    let item = |item| json!({"sku": format!("SKU-{item:04}"), "quantity": item % 1000 + 1, "price": 19.99, "gift": item % 2 == 0});
    json!({
        "id": "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "created": "2026-11-23T10:15:30.123Z",
        "currency": "EUR", "note": "Please leave the parcel with the neighbours on the second floor.",
        "customer": {"name": "Alexandra Beispiel-Musterfrau", "email": "alexandra@mail.example", "vip": true},
        "items": (0..items).map(item).collect::<Vec<_>>(),
    })
    .to_string()
}
