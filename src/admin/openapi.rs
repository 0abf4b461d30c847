//! The OpenAPI 3.1 document, made from the table of resources and the types that they read and write.

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    Shared,
    operation::{Answer, Content, Operation, Resource},
    params::{Nothing, Query},
};
use crate::problem::Problem;

/// What does not follow from the code: the title, and the headers that many operations share.
const FRAME: &str = include_str!("openapi/frame.json");

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

async fn serve(_: Query<Nothing>) -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// The document. Its golden is `schemas/openapi.json`.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut document: Value = serde_json::from_str(FRAME).expect("the frame is JSON: a test reads it");
    for resource in super::resources() {
        document["paths"][resource.path] = path(&resource, &mut generator);
    }
    generator.subschema_for::<Problem>();
    document["components"]["schemas"] = generator.take_definitions(true).into();
    document
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
    let query = operation
        .query
        .map_or_else(Vec::new, |schema_of| query(&schema_of(generator).to_value()));
    let parameters: Vec<Value> = query.into_iter().chain(headers).collect();
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = &operation.body {
        described["requestBody"] = json!({ "required": true, "content": content(body, generator) });
    }
    let mut responses = Map::new();
    for answer in &operation.answers {
        let status = answer.status.to_string();
        let mut described = response(answer, generator);
        // One status may have several media types; the first answer says what it is.
        if let Some(Value::Object(mut first)) = responses.remove(&status) {
            for (media_type, schema) in first["content"].as_object().into_iter().flatten() {
                described["content"][media_type] = schema.clone();
            }
            first["content"] = described["content"].take();
            described = first.into();
        }
        responses.insert(status, described);
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
        .map(|(name, field)| {
            let schema = without_null(field);
            json!({ "name": name, "in": "query", "description": field["description"], "schema": schema })
        })
        .collect()
}

/// The schema of a field without the `null` of an `Option`: a parameter that is absent is not sent.
fn without_null(field: &Value) -> Value {
    let mut schema = field.clone();
    if let Some(alternatives) = field["anyOf"].as_array() {
        return alternatives[0].clone();
    }
    if let Some(types) = field["type"].as_array() {
        schema["type"] = types[0].clone();
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.retain(|keyword, _| keyword != "default" && keyword != "description");
    }
    schema
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}
