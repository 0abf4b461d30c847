//! The shapes that most operations have: what is sent, what comes back, and with which headers.

use std::{borrow::Cow, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::{
    entity::{ANSWERED_ONLY, Stored},
    operation::Operation,
    page::Paging,
    write::{How, Notes, Written},
};

const READ: &[&str] = &["If-None-Match", "FlexGate-Min-Revision"];
const WRITE: &[&str] = &["If-Match", "If-None-Match", "Idempotency-Key"];
const COMMIT: &[&str] = &["Idempotency-Key"];
const READ_ANSWER: &[&str] = &["ETag", "FlexGate-Revision"];
const PAGE_ANSWER: &[&str] = &["ETag", "FlexGate-Revision", "Link"];
const WRITE_ANSWER: &[&str] = &["ETag", "FlexGate-Revision", "Idempotency-Replayed"];
const CREATE_ANSWER: &[&str] = &["ETag", "FlexGate-Revision", "Idempotency-Replayed", "Location"];
const COMMIT_ANSWER: &[&str] = &["FlexGate-Revision", "Idempotency-Replayed"];

impl Operation {
    /// Reads many entities.
    pub(super) fn lists<Shown: JsonSchema>(self) -> Self {
        self.headers(READ)
            .query::<Paging>()
            .answers::<Vec<Stored<Shown>>>(200, "All of them, or a page.")
            .with(PAGE_ANSWER)
            .answers_empty(304, "They are as the caller knows them.")
    }

    /// Reads one entity.
    pub(super) fn fetches<Shown: JsonSchema>(self) -> Self {
        self.headers(READ)
            .answers::<Stored<Shown>>(200, "The entity.")
            .with(READ_ANSWER)
            .answers_empty(304, "It is as the caller knows it.")
    }

    /// Makes an entity of a value.
    pub(super) fn creates<T: JsonSchema, Shown: JsonSchema>(self) -> Self {
        self.creates_from::<Input<T>, Shown>()
    }

    /// The same, from exactly this body.
    pub(super) fn creates_from<Body: JsonSchema, Shown: JsonSchema>(self) -> Self {
        self.writes(WRITE)
            .takes::<Body>()
            .answers::<Written<Stored<Shown>>>(201, "It was created.")
            .with(CREATE_ANSWER)
            .changed::<Shown>("It existed like this already.")
    }

    /// Gives an entity a new value; creates it where the caller asks for that.
    pub(super) fn puts<T: JsonSchema, Shown: JsonSchema>(self) -> Self {
        self.replaces::<T, Shown>()
            .answers::<Written<Stored<Shown>>>(201, "It was created.")
            .with(CREATE_ANSWER)
    }

    /// Gives an entity a new value.
    pub(super) fn replaces<T: JsonSchema, Shown: JsonSchema>(self) -> Self {
        self.replaces_with::<Input<T>, Shown>()
    }

    /// The same, with exactly this body.
    pub(super) fn replaces_with<Body: JsonSchema, Shown: JsonSchema>(self) -> Self {
        self.takes::<Body>().acts::<Shown>()
    }

    /// Does something to an entity.
    pub(super) fn acts<Shown: JsonSchema>(self) -> Self {
        self.writes(WRITE).changed::<Shown>("It is as was asked.")
    }

    /// Gives some fields of an entity new values.
    pub(super) fn amends<T: JsonSchema, Shown: JsonSchema>(self) -> Self {
        self.amends_with::<Input<T>, Shown>()
    }

    /// The same, by a patch of exactly this body.
    pub(super) fn amends_with<Body: JsonSchema, Shown: JsonSchema>(self) -> Self {
        self.writes(WRITE)
            .details(
                "A JSON Merge Patch (RFC 7396): `null` takes a field away, a list replaces the whole list.",
            )
            .takes_as(
                "application/merge-patch+json",
                SchemaGenerator::subschema_for::<Patch<Body>>,
            )
            .changed::<Shown>("It is as was asked.")
    }

    /// Takes an entity away.
    pub(super) fn deletes(self) -> Self {
        self.writes(WRITE)
            .answers::<Notes>(200, "It is gone, and there is something to say.")
            .with(COMMIT_ANSWER)
            .answers::<Notes>(202, "It is gone here, and not yet at every node.")
            .with(COMMIT_ANSWER)
            .answers_empty(204, "It is gone.")
            .with(COMMIT_ANSWER)
    }

    /// Changes many entities at once.
    pub(super) fn commits<T: JsonSchema, Answer: JsonSchema>(self) -> Self {
        self.writes(COMMIT)
            .takes::<T>()
            .answers::<Written<Answer>>(200, "All of it is as was asked.")
            .with(COMMIT_ANSWER)
            .answers::<Written<Answer>>(202, "It is so here, and not yet at every node.")
            .with(COMMIT_ANSWER)
    }

    fn writes(self, headers: &'static [&'static str]) -> Self {
        self.headers(headers).query::<How>()
    }

    fn changed<Shown: JsonSchema>(self, description: &'static str) -> Self {
        self.answers::<Written<Stored<Shown>>>(200, description)
            .with(WRITE_ANSWER)
            .answers::<Written<Stored<Shown>>>(202, "It is so here, and not yet at every node.")
            .with(WRITE_ANSWER)
    }
}

/// An entity as it is sent: the address says its identity, and what only answers have may be sent back.
struct Input<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Input<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Input", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|field| field != "id" && field != "name");
        }
        let fields = schema
            .ensure_object()
            .entry("properties")
            .or_insert_with(|| json!({}));
        if fields.get("name").is_some() && fields.get("id").is_none() {
            fields["id"] = json!({ "description": "Its name once more.", "type": "string" });
        }
        for field in ANSWERED_ONLY {
            fields[field] = json!({ "description": "Ignored: only answers have it.", "readOnly": true });
        }
        schema
    }
}

/// Some fields of what is sent of an entity; `null` for those that are to go.
struct Patch<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Patch", T::schema_name().trim_end_matches("Input")).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        let patch = schema.ensure_object();
        patch.remove("required");
        patch.insert(
            "description".to_owned(),
            "Some of the fields; `null` takes one away.".into(),
        );
        let fields = patch.get_mut("properties").and_then(Value::as_object_mut);
        fields
            .into_iter()
            .flatten()
            .for_each(|(_, field)| make_nullable(field));
        schema
    }
}

/// Lets a field also be `null`, unless it may be already.
fn make_nullable(field: &mut Value) {
    let nothing = json!({ "type": "null" });
    if let Some(alternatives) = field.get_mut("anyOf").and_then(Value::as_array_mut) {
        if !alternatives.contains(&nothing) {
            alternatives.push(nothing);
        }
    } else if !field["type"].is_array() && !field["readOnly"].is_boolean() {
        *field = json!({ "anyOf": [field.take(), nothing] });
    }
}
