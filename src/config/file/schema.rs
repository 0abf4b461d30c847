//! The JSON Schema of a configuration file, which editors complete it by: `flexgate schema config`.
//!
//! It is made of what reads the file. The sections are the structs of `sections.rs`, upstreams, routes and keys are the
//! types of events, and settings stand where `dialect.rs` finds them. What those do not say is said here: names that are
//! taken beside the usual ones, and what holds where nothing is written. A test holds every key against the reader.

mod shape;

use flexgate_schemas::{Limits, RateLimit, Settings};
use schemars::{JsonSchema as _, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use self::shape::{closed, with_variables, without_null};
use super::{dialect, later, sections::File};

/// Other names of keys: the type that has them, the usual name, the other one.
const ALIASES: [(&str, &str, &str); 7] = [
    ("RateLimit", "requests", "max"),
    ("RateLimit", "window", "windowMs"),
    ("CircuitBreaker", "threshold", "failureThreshold"),
    ("CircuitBreaker", "windowMs", "window"),
    ("CircuitBreaker", "openDuration", dialect::OLD_OPEN_DURATION),
    ("Cors", "origins", "origin"),
    ("Upstream", "name", "id"),
];

/// The schema, of draft 2020-12.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    generator.subschema_for::<Settings>();
    generator.subschema_for::<RateLimit>();
    let mut root = File::json_schema(&mut generator).to_value();
    let mut types: Map<String, Value> = generator.take_definitions(true);
    let settings = types.remove("Settings").unwrap_or_default();

    for (setting, place) in dialect::homes() {
        put_setting(&mut root, &types, &settings, (&setting, &place));
    }
    old_words(&mut root, &mut types);
    for (name, usual, other) in ALIASES {
        if let Some(found) = types.get_mut(name) {
            alias(found, usual, other);
        }
    }
    if let Some(route) = types.get_mut("Route") {
        optional(route, "id");
    }
    short_forms(&mut types);
    defaults(&mut root, &mut types);
    for (path, says) in later::KEYS {
        if let Some(key) = property(&mut root, path) {
            key["description"] = format!("Of old files; {says}.").into();
            key["x-applies"] = "never".into();
        }
    }
    if let Some(security) = property(&mut root, &["security"]) {
        alias(security, "blockedIPs", "blockedIps");
    }
    for (path, keyword, value) in [
        (["logging", "level"], "enum", json!("http")),
        (["logging", "level"], "enum", json!("verbose")),
        (["logging", "level"], "enum", json!("silly")),
        (
            ["rateLimit", "backend"],
            "oneOf",
            json!({ "const": "local", "description": "The same as `memory`." }),
        ),
    ] {
        if let Some(words) = property(&mut root, &path).and_then(|key| words_of(key, keyword)) {
            words.push(value);
        }
    }
    for found in std::iter::once(&mut root).chain(types.values_mut()) {
        without_null(found);
        with_variables(found);
        closed(found);
    }
    for (_, section) in properties_of(&mut root) {
        or_nothing(section, &types);
    }

    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://flexgate.io/schemas/config/1",
        "title": "FlexGate configuration",
    });
    types.insert(VARIABLE.to_owned(), variable());
    without_strangers(&root, &mut types);
    for (keyword, value) in root.as_object().cloned().unwrap_or_default() {
        document[keyword] = value;
    }
    document["$defs"] = types.into();
    document
}

/// Takes types away that no key has: the settings themselves, whose parts are all over the file.
fn without_strangers(root: &Value, types: &mut Map<String, Value>) {
    loop {
        let text = root.to_string() + &Value::from(types.clone()).to_string();
        let before = types.len();
        types.retain(|name, _| text.contains(&format!("\"#/$defs/{name}\"")));
        if types.len() == before {
            return;
        }
    }
}

/// The name of what may stand in the place of any value.
const VARIABLE: &str = "Variable";

fn variable() -> Value {
    json!({
        "type": "string",
        "pattern": r"\$\{[^}]+\}",
        "description": "`${NAME}` or `${NAME:-default}`: a variable of the environment of whoever reads the file",
    })
}

/// The keys of a mapping.
fn properties_of(schema: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    properties.into_iter().flatten()
}

/// A key of the file, by the keys above it.
fn property<'s>(schema: &'s mut Value, path: &[&str]) -> Option<&'s mut Value> {
    path.iter()
        .try_fold(schema, |schema, key| schema.get_mut("properties")?.get_mut(*key))
}

/// What the settings say of a key that stands in the file, where its section does not say it itself.
fn put_setting(
    root: &mut Value,
    types: &Map<String, Value>,
    settings: &Value,
    (setting, place): (&[&str], &[&str]),
) {
    let Some((name, above)) = setting.split_last() else {
        return;
    };
    let holder = above.iter().try_fold(settings, |schema, key| {
        types.get(type_of(&schema["properties"][*key])?)
    });
    let said = holder.map(|schema| &schema["properties"][*name]);
    let (Some(key), Some(Value::Object(said))) = (property(root, place), said) else {
        return;
    };
    let is_open = !["type", "$ref", "anyOf", "oneOf"]
        .iter()
        .any(|keyword| key.get(*keyword).is_some());
    for (keyword, value) in said {
        let is_about_people = keyword == "description" || keyword == "default";
        if (is_open || is_about_people) && key.get(keyword).is_none() {
            key[keyword] = value.clone();
        }
    }
}

/// The name of the type that a schema refers to, perhaps among `null`.
fn type_of(schema: &Value) -> Option<&str> {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let mut references = std::iter::once(schema)
        .chain(alternatives)
        .filter_map(|one| one["$ref"].as_str());
    references.next()?.strip_prefix("#/$defs/")
}

/// The words of old files: switches of limits and samples, `metadata`, trials of breakers, and limits by path.
fn old_words(root: &mut Value, types: &mut Map<String, Value>) {
    let switch =
        json!({ "type": "boolean", "default": true, "description": "`false`: as if it were not there." });
    for (name, switchable) in [
        ("RateLimit", "SwitchableRateLimit"),
        ("Sampling", "SwitchableSampling"),
    ] {
        let mut with_switch = types.get(name).cloned().unwrap_or_default();
        with_switch["properties"]["enabled"] = switch.clone();
        types.insert(switchable.to_owned(), with_switch);
    }
    if let Some(limits) = types.get_mut("RateLimits") {
        limits["oneOf"][0] = reference("SwitchableRateLimit");
    }
    if let Some(sampling) = property(root, &["logging", "sampling"]) {
        sampling["$ref"] = reference("SwitchableSampling")["$ref"].clone();
    }
    alias_of(types, "SwitchableRateLimit");

    let mut by_path = types.get("RateLimit").cloned().unwrap_or_default();
    by_path["properties"]["path"] =
        json!({ "$ref": "#/$defs/PathPattern", "description": "The path of the routes." });
    if let Some(required) = by_path.get_mut("required").and_then(Value::as_array_mut) {
        required.push("path".into());
    }
    types.insert("LimitByPath".to_owned(), by_path);
    alias_of(types, "LimitByPath");
    if let Some(list) = property(root, &["rateLimit", "perRoute"]) {
        list["type"] = "array".into();
        list["items"] = reference("LimitByPath");
    }

    for name in ["Route", "Upstream"] {
        let note = json!({ "deprecated": true, "description": "Labels of old files. Not kept.", "x-applies": "never" });
        if let Some(entity) = types.get_mut(name) {
            entity["properties"]["metadata"] = note;
        }
    }
    if let Some(breaker) = types.get_mut("CircuitBreaker") {
        for name in dialect::OLD_TRIALS {
            breaker["properties"][name] = json!({
                "deprecated": true, "x-applies": "never",
                "description": "Of old files. Not kept: one trial request closes a breaker again.",
            });
        }
    }
}

/// A limit of another name has the other names of a limit's keys.
fn alias_of(types: &mut Map<String, Value>, name: &str) {
    for (_, usual, other) in ALIASES.iter().filter(|(of, ..)| *of == "RateLimit") {
        if let Some(found) = types.get_mut(name) {
            alias(found, usual, other);
        }
    }
}

/// The list of words that a key may have, perhaps beside `null`.
fn words_of<'s>(key: &'s mut Value, keyword: &str) -> Option<&'s mut Vec<Value>> {
    if key.get(keyword).is_some() {
        return key.get_mut(keyword)?.as_array_mut();
    }
    key.get_mut("anyOf")?.get_mut(0)?.get_mut(keyword)?.as_array_mut()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// Takes another name for a key: one of the two is written.
fn alias(of: &mut Value, usual: &str, other: &str) {
    let mut key = of["properties"][usual].clone();
    key["description"] = format!("Another name of `{usual}`.").into();
    of["properties"][other] = key;
    let one_of_both = json!([{ "required": [usual] }, { "required": [other] }]);
    if optional(of, usual) {
        match of.get_mut("allOf").and_then(Value::as_array_mut) {
            Some(all) => all.push(json!({ "anyOf": one_of_both })),
            None => of["allOf"] = json!([{ "anyOf": one_of_both }]),
        }
    }
}

/// Lets a key be left out. Whether it could not before.
fn optional(of: &mut Value, key: &str) -> bool {
    let Some(required) = of.get_mut("required").and_then(Value::as_array_mut) else {
        return false;
    };
    let before = required.len();
    required.retain(|name| name != key);
    before > required.len()
}

/// What holds where nothing is written and the types do not say it.
fn defaults(root: &mut Value, types: &mut Map<String, Value>) {
    let span = |millis: flexgate_schemas::Millis| Value::from(millis.to_string());
    for (path, value) in [
        (&["proxy", "timeout"][..], span(Settings::TIMEOUT)),
        (&["proxy", "connectTimeout"], span(Settings::CONNECT_TIMEOUT)),
        (&["security", "auth", "header"], "x-api-key".into()),
    ] {
        if let Some(key) = property(root, path) {
            key["default"] = value;
        }
    }
    for (name, key, value) in [
        ("Limits", "headTimeout", span(Limits::HEAD_TIMEOUT)),
        ("Limits", "bodyTimeout", span(Limits::BODY_TIMEOUT)),
        ("Limits", "streamTimeout", span(Limits::STREAM_TIMEOUT)),
        ("Limits", "keepAliveTimeout", span(Limits::KEEP_ALIVE_TIMEOUT)),
        ("Limits", "maxTargetSize", Limits::TARGET_SIZE.into()),
        (
            "Limits",
            "maxHeadSize",
            flexgate_schemas::limits::HEAD_SIZE_MAX.into(),
        ),
        (
            "Limits",
            "maxFields",
            flexgate_schemas::limits::FIELD_COUNT_MAX.into(),
        ),
        ("Upstream", "timeout", span(Settings::TIMEOUT)),
        ("Upstream", "connectTimeout", span(Settings::CONNECT_TIMEOUT)),
    ] {
        if let Some(found) = types.get_mut(name) {
            found["properties"][key]["default"] = value;
        }
    }
}

/// Mappings of which a file may have the one number that matters.
fn short_forms(types: &mut Map<String, Value>) {
    if let Some(retries) = types.get_mut("Retries") {
        optional(retries, "backoff");
        retries["properties"]["backoff"]["default"] = "50ms".into();
        let mut full = retries.clone();
        full["description"] = "In full.".into();
        *retries = json!({
            "description": retries["description"],
            "anyOf": [full["properties"]["attempts"], full],
        });
    }
    if let Some(count) = types.get_mut("FieldCount") {
        count["minimum"] = 1.into();
        count["maximum"] = flexgate_schemas::limits::FIELD_COUNT_MAX.into();
    }
}

/// A section may have nothing in it.
fn or_nothing(section: &mut Value, types: &Map<String, Value>) {
    let of_type = type_of(section).and_then(|name| types.get(name)).cloned();
    if let (Some(Value::Object(of_type)), Some(section)) = (of_type, section.as_object_mut()) {
        section.remove("$ref");
        for (keyword, value) in of_type {
            section.entry(keyword).or_insert(value);
        }
    }
    if let Some(only @ Value::String(_)) = section.get("type").cloned() {
        section["type"] = json!([only, "null"]);
    }
}
