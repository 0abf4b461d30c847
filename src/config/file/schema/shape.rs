//! What is done to every part of the schema, so that it says of a file what the reader says.

use serde_json::{Map, Value, json};

use super::{VARIABLE, properties_of, reference};

/// Takes `null` away: who writes a key gives it a value.
pub(super) fn without_null(schema: &mut Value) {
    if let Some(alternatives) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        alternatives.retain(|one| one["type"] != "null");
        if let [Value::Object(only)] = &**alternatives {
            let only = only.clone();
            if let Some(object) = schema.as_object_mut() {
                object.remove("anyOf");
                for (keyword, value) in only {
                    object.entry(keyword).or_insert(value);
                }
            }
        }
    }
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|one| one != "null");
        if let [only] = &**types {
            schema["type"] = only.clone();
        }
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|one| !one.is_null());
    }
    each_part(schema, without_null);
}

/// Lets a variable stand where the value of one kind only is taken.
pub(super) fn with_variables(schema: &mut Value) {
    const KEYWORDS: [&str; 9] = [
        "type",
        "enum",
        "const",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
    ];
    let is_scalar = match schema.get("type").and_then(Value::as_str) {
        Some("integer" | "number" | "boolean") => true,
        Some("string") => {
            schema.get("pattern").is_some() || schema.get("enum").is_some() || schema.get("format").is_some()
        }
        _ => schema.get("const").is_some(),
    };
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if !is_scalar {
        // A variable is one of several kinds at once.
        if let Some(kinds) = object.remove("oneOf") {
            object.insert("anyOf".to_owned(), kinds);
        }
        each_part(schema, with_variables);
        return;
    }
    let taken: Map<String, Value> = KEYWORDS
        .iter()
        .filter_map(|keyword| object.remove_entry(*keyword))
        .collect();
    object.insert("anyOf".to_owned(), json!([taken, reference(VARIABLE)]));
}

/// No mapping takes keys that it does not know. A switch that need not be written is off.
pub(super) fn closed(schema: &mut Value) {
    if schema.get("properties").is_some() {
        schema["additionalProperties"] = false.into();
    }
    for (_, key) in properties_of(schema) {
        if key["anyOf"][0]["type"] == "boolean" && key.get("default").is_none() {
            key["default"] = false.into();
        }
    }
    if let Some(description) = schema.get("description").and_then(Value::as_str) {
        let plain = description.replace("[`", "").replace("`]", "").replace('\n', " ");
        schema["description"] = plain.into();
    }
    each_part(schema, closed);
}

/// Does something to the schemas in a schema.
fn each_part(schema: &mut Value, mut change: impl FnMut(&mut Value)) {
    for keyword in ["properties", "patternProperties"] {
        let parts = schema.get_mut(keyword).and_then(Value::as_object_mut);
        parts.into_iter().flatten().for_each(|(_, part)| change(part));
    }
    for keyword in ["anyOf", "oneOf", "prefixItems"] {
        let parts = schema.get_mut(keyword).and_then(Value::as_array_mut);
        parts.into_iter().flatten().for_each(&mut change);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(part) = schema.get_mut(keyword).filter(|part| part.is_object()) {
            change(part);
        }
    }
}
