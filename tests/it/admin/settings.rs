//! The global settings.

use http::Method;
use serde_json::json;

use super::Api;

#[tokio::test]
async fn settings_that_were_never_set_are_the_defaults_at_revision_zero() {
    let settings = Api::start().await.get("/api/settings").await.is(200);
    assert_eq!(settings.header("etag"), "\"1-0\"");
    assert_eq!(settings.json()["revision"], 0);
}

#[tokio::test]
async fn settings_are_replaced_whole() {
    let api = Api::start().await;
    let first = api.get("/api/settings").await;
    let put = api
        .call(Method::PUT, "/api/settings")
        .header("If-Match", &first.header("etag"))
        .json(&json!({ "timeout": "20s", "trustedProxies": ["10.0.0.1"] }))
        .send()
        .await
        .is(200);
    assert_eq!(put.json()["trustedProxies"], json!(["10.0.0.1/32"]));
    let mut settings = api.get("/api/settings").await.is(200).json();
    assert_eq!(settings["revision"], put.revision());
    settings.as_object_mut().unwrap().remove("timeout");
    assert_eq!(
        api.put("/api/settings", settings)
            .await
            .is(200)
            .json()
            .get("timeout"),
        None
    );
    api.call(Method::PUT, "/api/settings")
        .header("If-Match", &first.header("etag"))
        .json(&json!({}))
        .send()
        .await
        .is_problem(412, "stale");
}

#[tokio::test]
async fn a_mistake_in_the_settings_is_pointed_at() {
    let problem = Api::start()
        .await
        .put(
            "/api/settings",
            json!({ "trustedProxies": ["10.0.0.1"], "timeuot": 1 }),
        )
        .await
        .is_problem(400, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/timeuot");
}
