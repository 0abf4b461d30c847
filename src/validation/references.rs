//! How much work a schema can be, and that it is whole: every reference leads to a place within it, and none back to where
//! it came from.
//!
//! Each rule that a schema comes to, once its references are followed, is held against each value of a body at most once.
//! So a bound on the rules and one on the values bound the work. A schema that led back to itself would have no such bound:
//! two ways back from the same place double the work with each level of a body.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::SchemaMistake;

/// The most rules a schema may come to. 64 KiB have room for fewer; only references make more.
const RULES_MAX: usize = 10_000;
/// How deep schemas may lie within each other, references followed. A validator's calls nest as deep.
const NESTING_MAX: usize = 64;
/// The version of the language, as `$schema` says it.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Keywords whose value is a schema.
const ONE: [&str; 11] = [
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value is a list of schemas.
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value has schemas by name.
const MAPS: [&str; 5] = [
    "$defs",
    "definitions",
    "dependentSchemas",
    "patternProperties",
    "properties",
];
/// Those of them that only count where they are referred to.
const SHELVES: [&str; 2] = ["$defs", "definitions"];

/// How many rules a schema comes to.
pub(super) fn count(schema: &Value) -> Result<usize, SchemaMistake> {
    let mut walk = Walk {
        root: schema,
        known: HashMap::new(),
        open: Vec::new(),
    };
    match walk.rules(schema, "") {
        Ok(rules) if rules > RULES_MAX => Err(mistake(
            "",
            format!("with its references followed this comes to more than {RULES_MAX} rules"),
        )),
        counted => counted,
    }
}

fn mistake(pointer: impl Into<String>, detail: impl Into<String>) -> SchemaMistake {
    SchemaMistake {
        pointer: pointer.into(),
        detail: detail.into(),
    }
}

struct Walk<'s> {
    root: &'s Value,
    /// What schemas come to that were walked through, by their address.
    known: HashMap<*const Value, usize>,
    /// Those that are being walked through, the outermost first.
    open: Vec<*const Value>,
}

impl<'s> Walk<'s> {
    /// How many rules a schema at this place comes to.
    fn rules(&mut self, schema: &'s Value, place: &str) -> Result<usize, SchemaMistake> {
        let Value::Object(keywords) = schema else {
            return Ok(1); // true or false; what is neither is refused when it is compiled
        };
        if let Some(rules) = self.known.get(&std::ptr::from_ref(schema)) {
            return Ok(*rules);
        }
        if self.open.len() == NESTING_MAX {
            let detail = format!("schemas lie in each other more than {NESTING_MAX} deep here");
            return Err(mistake(place, detail));
        }
        self.open.push(schema);
        check_keywords(keywords, place)?;
        let mut rules = keywords.len();
        for (keyword, value) in keywords {
            let at = format!("{place}/{}", escaped(keyword));
            let within = self.rules_under(keyword, value, &at)?;
            if !SHELVES.contains(&keyword.as_str()) {
                rules = rules.saturating_add(within);
            }
        }
        if keywords.keys().any(|keyword| keyword.starts_with("unevaluated")) {
            rules = rules.saturating_mul(2); // what lies within is asked again what it has evaluated
        }
        self.open.pop();
        self.known.insert(schema, rules);
        Ok(rules)
    }

    fn rules_under(&mut self, keyword: &str, value: &'s Value, at: &str) -> Result<usize, SchemaMistake> {
        if keyword == "$ref" {
            return self.rules_behind(value, at);
        }
        let mut rules: usize = 0;
        match value {
            value if ONE.contains(&keyword) => rules = self.rules(value, at)?,
            Value::Array(schemas) if LISTS.contains(&keyword) => {
                for (index, schema) in schemas.iter().enumerate() {
                    rules = rules.saturating_add(self.rules(schema, &format!("{at}/{index}"))?);
                }
            }
            Value::Object(schemas) if MAPS.contains(&keyword) => {
                for (name, schema) in schemas {
                    rules = rules.saturating_add(self.rules(schema, &format!("{at}/{}", escaped(name)))?);
                }
            }
            _ => {}
        }
        Ok(rules)
    }

    fn rules_behind(&mut self, reference: &Value, at: &str) -> Result<usize, SchemaMistake> {
        let fragment = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let Some(fragment) = fragment.filter(|text| text.is_empty() || text.starts_with('/')) else {
            return Err(mistake(
                at,
                "a reference leads to a place within the schema, such as `#/$defs/name`: nothing is fetched",
            ));
        };
        let pointer = percent_decode_str(fragment).decode_utf8_lossy();
        let Some(schema) = self.root.pointer(&pointer) else {
            return Err(mistake(at, "the schema has no such place"));
        };
        if self.open.contains(&std::ptr::from_ref(schema)) {
            return Err(mistake(
                at,
                "this leads back to where it comes from, and a body could make it take for ever: write out as many levels as there may be",
            ));
        }
        self.rules(schema, &pointer)
    }
}

/// What would change where references lead, or what keywords mean.
fn check_keywords(keywords: &Map<String, Value>, place: &str) -> Result<(), SchemaMistake> {
    for unknown in ["$dynamicRef", "$recursiveRef"] {
        if keywords.contains_key(unknown) {
            let detail = "not taken: refer to a place within the schema by `$ref`";
            return Err(mistake(format!("{place}/{unknown}"), detail));
        }
    }
    let is_root = place.is_empty();
    if keywords.contains_key("$id") && !is_root {
        let detail = "only the schema as a whole has an `$id`";
        return Err(mistake(format!("{place}/$id"), detail));
    }
    match keywords.get("$schema") {
        None => Ok(()),
        Some(Value::String(dialect)) if is_root && dialect.trim_end_matches('#') == DIALECT => Ok(()),
        Some(_) => Err(mistake(
            format!("{place}/$schema"),
            format!("schemas are written in 2020-12, {DIALECT}, and that is said once if at all"),
        )),
    }
}

/// As a name stands in a JSON Pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
