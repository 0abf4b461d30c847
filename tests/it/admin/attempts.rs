//! What the audit log is told of calls that are not answered as they hoped.

use flexgate_schemas::{
    AdminEvent,
    admin::Deed,
    commit::{Actor, ActorKind, Source},
};
use http::Method;
use serde_json::json;

use super::Api;

/// A call, with a header and a body, and why it is refused.
type Refusal = (
    &'static str,
    &'static str,
    Option<(&'static str, &'static str)>,
    &'static str,
    &'static str,
);
const REFUSALS: [Refusal; 9] = [
    ("POST", "/api/routes", None, "{", "malformed"),
    ("POST", "/api/routes", None, "{}", "invalid"),
    ("PUT", "/api/nothing", None, "{}", "no_such_path"),
    ("PATCH", "/api/status", None, "{}", "method_not_allowed"),
    ("DELETE", "/api/routes/b", None, "", "not_found"),
    (
        "DELETE",
        "/api/routes/a",
        Some(("if-match", "\"1-1\"")),
        "",
        "stale",
    ),
    (
        "DELETE",
        "/api/routes/a",
        Some(("idempotency-key", "bare")),
        "",
        "bad_header",
    ),
    ("DELETE", "/api/routes/a?wat=1", None, "", "bad_query"),
    ("DELETE", "/api/upstreams/backend", None, "", "upstream_in_use"),
];

fn sentence(event: &AdminEvent) -> String {
    event.deed.to_string()
}

#[tokio::test]
async fn a_refused_change_is_told_with_who_asked_from_where_and_why_not() {
    let api = Api::with_backend().await;
    let call = api.call(Method::POST, "/api/upstreams?reason=not%20told");
    let body = json!({ "name": "backend", "url": "http://elsewhere" });
    call.header("x-correlation-id", "order-4711")
        .header("user-agent", "curl/8.5.0")
        .json(&body)
        .send()
        .await
        .is(409);
    let told = api.told().await;
    assert_eq!(sentence(&told), "POST /api/upstreams refused: already_exists");
    let admin = Actor {
        kind: ActorKind::Token,
        id: "admin".into(),
    };
    assert_eq!((told.actor, told.source), (Some(admin), Source::Api));
    let from = told.provenance;
    assert_eq!(from.correlation_id.as_deref(), Some("order-4711"));
    assert_eq!(from.agent.as_deref(), Some("curl/8.5.0"));
    assert!(from.address.unwrap().is_loopback());
}

#[tokio::test]
async fn every_way_in_which_a_change_can_be_refused_is_told() {
    let api = Api::with_backend().await;
    let route = json!({ "id": "a", "path": "/a", "upstream": "backend" });
    api.post("/api/routes", route).await.is(201);
    for (method, target, header, body, why) in REFUSALS {
        let mut call = api
            .call(method.parse().unwrap(), target)
            .header("content-type", "application/json");
        if let Some((name, value)) = header {
            call = call.header(name, value);
        }
        let answer = call.body(body).send().await;
        assert!(answer.status.is_client_error(), "{target} {why}");
        let path = target.split('?').next().unwrap();
        assert_eq!(
            sentence(&api.told().await),
            format!("{method} {path} refused: {why}")
        );
    }
    assert!(api.told_nothing().await, "each once");
}

#[tokio::test]
async fn whoever_does_not_prove_who_they_are_is_told_of_without_a_name() {
    let api = Api::start().await;
    for (token, code) in [(None, "no_token"), (Some("Bearer of-good-news"), "wrong_token")] {
        let call = api.call(Method::DELETE, "/api/routes/a").token(token);
        call.send().await.is(401);
        let told = api.told().await;
        assert_eq!(sentence(&told), format!("DELETE /api/routes/a denied: {code}"));
        assert_eq!(told.actor, None);
        assert!(!format!("{told:?}").contains("good-news"));
    }
}

#[tokio::test]
async fn a_flood_without_a_token_is_told_in_a_few_events() {
    let api = Api::start().await;
    for _ in 0..100 {
        api.call(Method::POST, "/api/routes")
            .token(None)
            .send()
            .await
            .is(401);
    }
    for _ in 0..10 {
        assert!(matches!(api.told().await.deed, Deed::Denied(call) if call.times == 1));
    }
    assert!(
        api.told_nothing().await,
        "the others are summed up when the minute is over"
    );
    api.delete("/api/routes/a").await.is(404);
    assert_eq!(
        sentence(&api.told().await),
        "DELETE /api/routes/a refused: not_found"
    );
}

#[tokio::test]
async fn neither_reads_nor_what_is_done_nor_rehearsals_are_told() {
    let api = Api::with_backend().await;
    api.get("/api/routes/none").await.is(404);
    api.call(Method::GET, "/api/routes")
        .token(None)
        .send()
        .await
        .is(401);
    api.put("/api/settings", json!({ "timeout": "7s" })).await.is(200);
    api.post("/api/config/apply?dryRun=true", json!({ "what": 1 }))
        .await
        .is(400);
    api.post("/health", json!({})).await.is(405);
    assert!(api.told_nothing().await);
}

#[tokio::test]
async fn a_file_that_is_refused_is_told_with_its_name_also_to_who_asks_for_progress() {
    let api = Api::with_backend().await;
    let bad = json!({
        "file": "shop.yml",
        "routes": [{ "id": "a", "path": "/a", "upstream": "nowhere" }],
    });
    for accept in ["application/json", "application/x-ndjson"] {
        let call = api
            .call(Method::POST, "/api/config/apply")
            .header("accept", accept);
        let answer = call.json(&bad).send().await;
        assert!(String::from_utf8_lossy(&answer.body).contains("unknown_upstream"));
        let told = api.told().await;
        assert_eq!(
            sentence(&told),
            "POST /api/config/apply refused: unknown_upstream",
            "{accept}"
        );
        assert_eq!(told.source, Source::File("shop.yml".into()));
    }
    assert!(api.told_nothing().await);
}
