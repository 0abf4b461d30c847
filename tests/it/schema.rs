//! The schemas that the program prints: of the configuration file, against what the reader takes and what is committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use flexgate::config::file::{Loaded, schema};
use flexgate_schemas::catalog;
use serde_json::{Value, json};

mod reference;

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a committed file with what it is made of; `BLESS=1` writes it anew.
fn is_current(path: &str, text: &str) {
    if option_env!("BLESS").is_some() {
        fs::write(at(path), text).unwrap();
    }
    let committed = fs::read_to_string(at(path)).unwrap_or_default();
    assert!(committed == text, "{path} is not current: run with BLESS=1");
}

#[test]
fn the_committed_schema_is_that_of_the_code() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    is_current("config/flexgate.schema.json", &text);
}

#[test]
fn the_committed_reference_is_that_of_the_code() {
    is_current("docs/configuration.md", &reference::page(&schema()));
}

#[test]
fn the_committed_description_of_streams_is_that_of_the_code() {
    let head = "# What is on NATS. Made of the code by a test (`BLESS=1 cargo test --test it schema::`): not to be edited.\n";
    let document = serde_saphyr::to_string(&catalog::asyncapi()).unwrap();
    is_current("schemas/asyncapi.yaml", &(head.to_owned() + &document));
}

#[test]
fn every_golden_event_is_one_by_the_schema_of_events() {
    let document = catalog::events();
    let validator = jsonschema::draft202012::new(&document).unwrap();
    for entry in fs::read_dir(at("schemas/golden/events")).unwrap() {
        let path = entry.unwrap().path();
        let event: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(validator.is_valid(&event), "{}", path.display());
    }
    assert!(!validator.is_valid(&json!({ "type": "io.flexgate.route.exploded.v1", "data": {} })));
}

#[test]
fn every_reference_of_the_descriptions_leads_somewhere() {
    fn check(document: &Value, part: &Value) {
        if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
        match part {
            Value::Object(fields) => fields.values().for_each(|part| check(document, part)),
            Value::Array(items) => items.iter().for_each(|part| check(document, part)),
            _ => {}
        }
    }
    for document in [catalog::asyncapi(), catalog::events(), schema()] {
        check(&document, &document);
    }
}

/// The keys that the reader takes where a key is written that nobody knows: it lists them.
fn keys_that_are_read(file: &Value) -> BTreeSet<String> {
    let text = serde_json::to_string(file).unwrap();
    let said = Loaded::parse("probe.yml", &text, &BTreeMap::new()).unwrap_err();
    let mut helps = said.0.iter().filter(|mistake| mistake.message.contains(UNKNOWN));
    let help = helps.find_map(|mistake| mistake.help.clone());
    let help = help.unwrap_or_else(|| panic!("nobody minds the key in {text}: {said}"));
    let listed = help.strip_prefix("the keys that can stand here: ").unwrap();
    listed.split(", ").map(str::to_owned).collect()
}

/// A key that resembles none.
const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";

/// Puts a value at the end of a path, where a number is an item of a list.
fn at_the_end(path: &[String], value: Value) -> Value {
    path.iter().rev().fold(value, |value, step| match step.as_str() {
        "[]" => json!([value]),
        key => json!({ key: value }),
    })
}

/// Every mapping of the schema with keys of its own, by the way to it.
fn mappings(document: &Value) -> Vec<(Vec<String>, Value)> {
    fn walk(document: &Value, schema: &Value, path: &[String], found: &mut Vec<(Vec<String>, Value)>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
            walk(document, target, path, found);
        }
        for keyword in ["anyOf", "oneOf"] {
            for part in schema[keyword].as_array().into_iter().flatten() {
                walk(document, part, path, found);
            }
        }
        let below = |step: &str| [path, &[step.to_owned()]].concat();
        if schema["items"].is_object() {
            walk(document, &schema["items"], &below("[]"), found);
        }
        if let Some(properties) = schema["properties"].as_object() {
            found.push((path.to_vec(), schema.clone()));
            for (key, part) in properties {
                walk(document, part, &below(key), found);
            }
        }
    }
    let mut found = Vec::new();
    walk(document, document, &[], &mut found);
    found
}

/// Whether a key is taken all the same: words of old files are translated before a mapping is read.
fn is_translated(path: &[String], key: &str) -> bool {
    let value = if key == "enabled" { json!(true) } else { json!(1) };
    let text = serde_json::to_string(&at_the_end(path, json!({ key: value }))).unwrap();
    let said = Loaded::parse("probe.yml", &text, &BTreeMap::new());
    said.map_or_else(
        |said| !said.to_string().contains(&format!("unknown key `{key}`")),
        |_| true,
    )
}

#[test]
fn every_key_that_is_read_is_in_the_schema_and_no_other_one() {
    let mut wrong = Vec::new();
    let document = schema();
    let mappings = mappings(&document);
    assert!(mappings.len() > 60, "{} mappings only", mappings.len());
    for (path, mapping) in mappings {
        let probe = if path.ends_with(&["perRoute".to_owned(), "[]".to_owned()]) {
            json!({ "path": "/", UNKNOWN: 1 }) // whose place would be that of what is missing
        } else {
            json!({ UNKNOWN: 1 })
        };
        let read = keys_that_are_read(&at_the_end(&path, probe));
        let shown: BTreeSet<String> = mapping["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(mapping["additionalProperties"], false, "{path:?}");
        for key in read.difference(&shown) {
            wrong.push(format!(
                "{}: `{key}` is read, and not in the schema",
                path.join(".")
            ));
        }
        for key in shown.difference(&read).filter(|key| !is_translated(&path, key)) {
            wrong.push(format!(
                "{}: `{key}` is in the schema, and nobody reads it",
                path.join(".")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What an editor would say of a file.
fn mistakes_of(text: &str) -> Vec<String> {
    let file: Value = serde_saphyr::from_str(text).unwrap();
    let document = schema();
    let validator = jsonschema::draft202012::new(&document).unwrap();
    let mistakes = validator.iter_errors(&file);
    mistakes
        .map(|mistake| format!("{}: {mistake}", mistake.instance_path()))
        .collect()
}

#[test]
fn the_schema_is_one_and_says_what_editors_show() {
    let document = schema();
    assert!(jsonschema::draft202012::meta::is_valid(&document));
    assert_eq!(
        document["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    for (path, mapping) in mappings(&document) {
        for (key, property) in mapping["properties"].as_object().unwrap() {
            let of_type = property["$ref"]
                .as_str()
                .and_then(|path| document.pointer(&path[1..]));
            let is_said = property["description"].is_string()
                || of_type.is_some_and(|of| of["description"].is_string());
            assert!(is_said, "{}.{key} is not described", path.join("."));
        }
    }
}

#[test]
fn every_example_is_valid_by_the_schema_too() {
    let mut checked = 0;
    for folder in ["config", "tests/it/config"] {
        for entry in fs::read_dir(at(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yml") {
                let mistakes = mistakes_of(&fs::read_to_string(&path).unwrap());
                assert!(mistakes.is_empty(), "{}: {mistakes:#?}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked >= 4, "{checked} examples only");
}

#[test]
fn an_editor_takes_what_the_reader_takes_and_marks_what_it_does_not() {
    let taken = "upstreams:\n- {name: a, url: 'http://a', timeout: '${SPAN:-5s}', retries: 3}\n\
                 - {id: b, url: 'http://b', retries: {attempts: 2}, metadata: {team: x}}\n\
                 routes:\n- {path: /a, upstream: a, rateLimit: {enabled: true, max: 5, windowMs: 1000}}\n\
                 rateLimit: {backend: local, perRoute: [{path: /a, max: 1, windowMs: 1s}]}\nprivacy:\nlogging: {level: http}\n";
    assert_eq!(mistakes_of(taken), Vec::<String>::new());
    for (wrong, part) in [
        ("routes: [{path: /a, upstream: a, rateLimt: {}}]", "rateLimt"),
        ("routes: [{path: /a}]", "upstream"),
        (
            "routes: [{path: /a, upstream: a, rateLimit: {windowMs: 1000}}]",
            "/routes/0/rateLimit",
        ),
        ("proxy: {port: 70000}", "/proxy/port"),
        ("proxy: {timeout: soon}", "/proxy/timeout"),
        ("logging: {level: loud}", "/logging/level"),
        ("limits: {maxFields: 101}", "/limits/maxFields"),
        ("upstraems: []", "upstraems"),
    ] {
        let mistakes = mistakes_of(wrong).join("\n");
        assert!(mistakes.contains(part), "{wrong}: {mistakes}");
    }
}
