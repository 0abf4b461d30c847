//! Golden examples: what was ever written stays readable, and is written the same way today.
//!
//! `golden/<type>/<name>.json` is append-only. A new event type needs at least one file; `BLESS=1 cargo test` writes the
//! JSON Schemas under `json/` anew.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use flexgate_schemas::{
    AdminEvent, Commit, Event, admin, event,
    frame::{self, Body, Text},
    parts,
    rollup::{self, ClosedHour},
    upcast::RawEvent,
};
use schemars::{SchemaGenerator, generate::SchemaSettings};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(name: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    found.sort();
    found
}

#[test]
fn every_golden_event_is_read_and_written_back_the_same() {
    for (name, json) in files("golden/events") {
        let raw: RawEvent = serde_json::from_str(&json).unwrap();
        let event = raw.read().unwrap_or_else(|error| panic!("{name}: {error}"));
        let written: serde_json::Value = serde_json::to_value(&event).unwrap();
        assert_eq!(
            written,
            serde_json::from_str::<serde_json::Value>(&json).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn every_event_type_has_a_golden_example_and_a_place_in_the_list() {
    let mut seen = BTreeSet::new();
    for (name, json) in files("golden/events") {
        let event: Event = serde_json::from_str(&json).unwrap();
        assert!(
            name.starts_with(event.type_name().trim_start_matches("io.flexgate.")),
            "{name} is misnamed"
        );
        seen.insert(event.type_name());
    }
    let listed: BTreeSet<_> = event::TYPES.iter().map(|(name, _)| *name).collect();
    assert_eq!(seen, listed);
}

#[test]
fn every_golden_commit_is_read_and_its_bytes_are_stable() {
    for (name, json) in files("golden/commits") {
        let commit = Commit::from_payload(json.trim_end().as_bytes())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            String::from_utf8(commit.to_payload()).unwrap(),
            json.trim_end(),
            "{name}"
        );
    }
}

#[test]
fn a_golden_commit_in_parts_is_read_with_them_and_its_bytes_are_stable() {
    let files: BTreeMap<_, _> = files("golden/changesets").into_iter().collect();
    let (commit, parts) = (files["commit"].trim_end(), ["part-0", "part-1"]);
    let payloads = parts.map(|part| Some(files[part].trim_end().as_bytes()));
    let read = Commit::from_payloads(commit.as_bytes(), &payloads).unwrap();
    assert_eq!(String::from_utf8(read.to_payload()).unwrap(), commit);
    let types: Vec<_> = read.events.iter().map(Event::type_name).collect();
    assert_eq!(
        types,
        [
            "io.flexgate.upstream.created.v1",
            "io.flexgate.route.created.v1",
            "io.flexgate.route.deleted.v1"
        ]
    );
    let cut = parts::cut(&read.events, 250).unwrap();
    let written = cut.iter().map(|part| std::str::from_utf8(&part.payload).unwrap());
    assert!(written.eq(parts.map(|part| files[part].trim_end())));
    assert_eq!(cut[0].at(7), read.parts[0]);
    assert!(
        Commit::from_payload(commit.as_bytes()).is_err(),
        "nothing is read without its parts"
    );
}

#[test]
fn the_json_schemas_are_those_of_the_code() {
    for (type_name, schema_of) in event::TYPES {
        let mut generator = SchemaSettings::draft2020_12().into_generator();
        let data = schema_of(&mut generator);
        let schema = serde_json::json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": type_name,
            "type": "object",
            "required": ["type", "data"],
            "properties": { "type": { "const": type_name }, "data": data },
            "$defs": generator.take_definitions(true),
        });
        is_the_schema_of(type_name, &schema);
    }
}

#[test]
fn every_golden_message_of_a_stream_is_read_and_written_back_the_same() {
    fn check<'a, T: serde::Deserialize<'a> + serde::Serialize>(name: &str, json: &'a str) {
        let read: T = serde_json::from_str(json).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), expected, "{name}");
    }
    for (name, json) in files("golden/streams") {
        match &*name {
            "outcomes.v1" => check::<Body<Text<'_>>>(&name, &json),
            "rollup.hour.v1" => check::<ClosedHour>(&name, &json),
            name if name.starts_with("admin.") => check::<AdminEvent>(name, &json),
            other => panic!("what is {other}?"),
        }
    }
}

#[test]
fn the_json_schemas_of_the_streams_are_those_of_the_code() {
    let of = |schema_of: event::SchemaOf, type_name: &str| {
        let mut generator = SchemaSettings::draft2020_12().into_generator();
        let body = schema_of(&mut generator);
        let schema = serde_json::json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": type_name,
            "allOf": [body],
            "$defs": generator.take_definitions(true),
        });
        is_the_schema_of(type_name, &schema);
    };
    of(SchemaGenerator::subschema_for::<Body<Text<'_>>>, frame::TYPE);
    of(SchemaGenerator::subschema_for::<ClosedHour>, rollup::TYPE);
    of(parts::schema, parts::TYPE);
    of(SchemaGenerator::subschema_for::<AdminEvent>, admin::MESSAGE);
}

/// Holds a schema against the file of its type.
fn is_the_schema_of(type_name: &str, schema: &serde_json::Value) {
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    let path = folder("json").join(format!("{}.json", type_name.trim_start_matches("io.flexgate.")));
    if option_env!("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let held = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(held, text, "{type_name}: run with BLESS=1");
}
