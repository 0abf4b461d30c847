//! What requests must be, as it is written through the API.

use serde_json::{Value, json};

use super::Api;

fn route(validate: &Value) -> Value {
    json!({"id": "orders", "path": "/orders", "upstream": "http://127.0.0.1:1", "validate": validate})
}

#[tokio::test]
async fn a_schema_is_kept_as_it_was_written() {
    let api = Api::start().await;
    let schema = json!({"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"const": null}}});
    let rules = json!({"contentTypes": ["Application/JSON"], "body": {"schema": schema, "maxSize": "2mb"}});
    let created = api.post("/api/routes", route(&rules)).await.is(201).json();
    assert_eq!(
        created["validate"]["body"],
        json!({"schema": schema, "maxSize": 2_097_152})
    );
    assert_eq!(created["validate"]["contentTypes"], json!(["application/json"]));
}

#[tokio::test]
async fn a_mistake_in_the_rules_is_pointed_at() {
    let api = Api::start().await;
    let schema = |schema: Value| json!({"body": {"schema": schema}});
    let many: Vec<_> = (0..17).map(|name| json!({"name": format!("x-{name}")})).collect();
    for (rules, pointer) in [
        (json!({"contentTypes": ["json"]}), "/validate/contentTypes/0"),
        (json!({"headers": many}), "/validate/headers"),
        (
            json!({"body": {"schema": true, "maxSize": "17mb"}}),
            "/validate/body/maxSize",
        ),
        (schema(json!([])), "/validate/body/schema"),
        (
            schema(json!({"items": {"type": "sting"}})),
            "/validate/body/schema/items/type",
        ),
        (
            schema(json!({"$ref": "http://127.0.0.1:1/a"})),
            "/validate/body/schema/$ref",
        ),
        (
            schema(json!({"not": {"$ref": "#"}})),
            "/validate/body/schema/not/$ref",
        ),
        (
            schema(json!({"pattern": "(?=a)"})),
            "/validate/body/schema/pattern",
        ),
    ] {
        let problem = api
            .post("/api/routes", route(&rules))
            .await
            .problem(400, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}
