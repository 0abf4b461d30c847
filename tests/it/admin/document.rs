//! The OpenAPI document.

use std::{collections::BTreeSet, fs, path::PathBuf};

use flexgate::admin::openapi;
use http::Method;
use serde_json::Value;

use super::Api;

#[test]
fn the_golden_document_is_that_of_the_code() {
    let text = serde_json::to_string_pretty(&openapi::document()).unwrap() + "\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas/openapi.json");
    if option_env!("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap_or_default(),
        text,
        "run with BLESS=1"
    );
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn check(document: &Value, part: &Value) {
        if let Some(reference) = part.get("$ref") {
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        match part {
            Value::Object(fields) => fields.values().for_each(|part| check(document, part)),
            Value::Array(items) => items.iter().for_each(|part| check(document, part)),
            _ => {}
        }
    }
    let document = openapi::document();
    check(&document, &document);
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = openapi::document();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "parameters")
        {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{method} {path}: {name} is taken");
        }
    }
    assert!(
        names.contains("createRoute") && names.contains("streamEvents"),
        "{names:?}"
    );
}

#[tokio::test]
async fn the_document_is_served_and_says_what_the_router_does() {
    let api = Api::start().await;
    let document = api.get("/api/openapi.json").await.is(200).json();
    assert_eq!(document, openapi::document());
    for (path, item) in document["paths"].as_object().unwrap() {
        let target = path.replace("{id}", "none").replace("{name}", "none");
        let answer = api.call(Method::OPTIONS, &target).send().await.is(405);
        let allowed: BTreeSet<_> = answer
            .header("allow")
            .split(',')
            .filter(|method| *method != "HEAD")
            .map(str::to_lowercase)
            .collect();
        let documented: BTreeSet<_> = item
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "parameters")
            .cloned()
            .collect();
        assert_eq!(allowed, documented, "{path}");
    }
}
