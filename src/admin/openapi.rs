//! The OpenAPI 3.1 document, made from the table of resources and the types that they read and write.

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    Shared,
    operation::{Answer, Content, Operation, Resource},
};
use crate::problem::Problem;

/// The document itself, for whoever generates clients. It says nothing of this cluster, so it needs no token.
pub(super) fn resources() -> [Resource<Shared>; 1] {
    [Resource::at("/api/openapi.json", "Documentation").open().get(
        serve,
        Operation::new("getOpenapi", "This document").answers_as(
            200,
            "OpenAPI 3.1.",
            "application/json",
            |_| schemars::json_schema!({ "type": "object" }),
        ),
    )]
}

async fn serve() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// The document. Its golden is `schemas/openapi.json`.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for resource in super::resources() {
        paths.insert(resource.path.to_owned(), path(&resource, &mut generator));
    }
    let problem = generator.subschema_for::<Problem>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "FlexGate admin API",
            "version": "1.0.0",
            "license": { "name": "MIT", "identifier": "MIT" },
            "description": "Changes the configuration of a FlexGate cluster, and says how its nodes are. Every change is a commit in the log; an answer to one comes when this node serves it. What is wrong comes as application/problem+json (RFC 9457).",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "parameters": parameters(),
            "headers": headers(),
            "responses": { "Problem": {
                "description": "What went wrong, for a person (`detail`) and for a program (`code`).",
                "content": { "application/problem+json": { "schema": problem } },
            } },
            "schemas": generator.take_definitions(true),
        },
    })
}

fn path<S>(resource: &Resource<S>, generator: &mut SchemaGenerator) -> Value {
    let mut item = Map::new();
    let names = resource.path.split(['{', '}']).skip(1).step_by(2);
    let segments: Vec<Value> = names
        .map(|name| {
            let schema = json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" });
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    if !segments.is_empty() {
        item.insert("parameters".to_owned(), segments.into());
    }
    for (method, operation) in &resource.operations {
        let mut described = describe(operation, generator);
        described["tags"] = json!([resource.tag]);
        if resource.open {
            described["security"] = json!([]);
        }
        item.insert((*method).to_owned(), described);
    }
    item.into()
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut described = json!({ "operationId": operation.id, "summary": operation.summary });
    if let Some(description) = operation.description {
        described["description"] = description.into();
    }
    let headers = operation.headers.iter().map(|name| reference("parameters", name));
    let queries = operation
        .queries
        .iter()
        .flat_map(|schema_of| query(&schema_of(generator).to_value()));
    let parameters: Vec<Value> = queries.chain(headers).collect();
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = &operation.body {
        described["requestBody"] = json!({ "required": true, "content": content(body, generator) });
    }
    let mut responses = Map::new();
    for answer in &operation.answers {
        responses.insert(answer.status.to_string(), response(answer, generator));
    }
    responses.insert("default".to_owned(), reference("responses", "Problem"));
    described["responses"] = responses.into();
    described
}

fn response(answer: &Answer, generator: &mut SchemaGenerator) -> Value {
    let mut response = json!({ "description": answer.description });
    if !answer.headers.is_empty() {
        let headers = answer
            .headers
            .iter()
            .map(|name| ((*name).to_owned(), reference("headers", name)));
        response["headers"] = headers.collect::<Map<_, _>>().into();
    }
    if let Some(body) = &answer.content {
        response["content"] = content(body, generator);
    }
    response
}

fn content(content: &Content, generator: &mut SchemaGenerator) -> Value {
    json!({ content.media_type: { "schema": (content.schema)(generator) } })
}

/// The fields of a query struct as parameters.
fn query(schema: &Value) -> Vec<Value> {
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let description = schema
                .as_object_mut()
                .and_then(|schema| schema.remove("description"));
            json!({ "name": name, "in": "query", "description": description, "schema": schema })
        })
        .collect()
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

fn parameters() -> Value {
    let header = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "header", "description": description, "schema": schema });
    json!({
        "If-Match": header(
            "If-Match",
            "Act only on this version: an `ETag`, several, or `*` for any; else 412. Without it the call acts on the current state.",
            json!({ "type": "string" }),
        ),
        "If-None-Match": header(
            "If-None-Match",
            "On a read: answer 304 when this is still the version. On a write `*`: only create, never replace; else 412.",
            json!({ "type": "string" }),
        ),
        "Idempotency-Key": header(
            "Idempotency-Key",
            "A string of 1 to 255 characters in quotes. The same key with the same request gets the first answer again; with another request 422; while the first is in flight 409.",
            json!({ "type": "string", "pattern": "^\".{1,255}\"$" }),
        ),
        "FlexGate-Min-Revision": header(
            "FlexGate-Min-Revision",
            "Answer from this revision or a later one: waits up to 2 s for it, then 503.",
            json!({ "type": "integer", "minimum": 0 }),
        ),
        "Last-Event-ID": header(
            "Last-Event-ID",
            "The id of the last event seen: the stream goes on after it.",
            json!({ "type": "string", "pattern": "^\\d+-\\d+$" }),
        ),
    })
}

fn headers() -> Value {
    let header = |description: &str, schema: Value| json!({ "description": description, "schema": schema });
    json!({
        "ETag": header(
            "The version of what is answered, `\"<generation>-<revision>\"`: for If-Match and If-None-Match.",
            json!({ "type": "string" }),
        ),
        "FlexGate-Revision": header(
            "After a write the revision that carries it; after a read the one it was answered from.",
            json!({ "type": "integer" }),
        ),
        "Idempotency-Replayed": header("`true`: the answer of an earlier request.", json!({ "type": "boolean" })),
        "Link": header("The next page, `rel=\"next\"` (RFC 8288); absent on the last.", json!({ "type": "string" })),
        "Location": header("Where the new entity is.", json!({ "type": "string" })),
    })
}
