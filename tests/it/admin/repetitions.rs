//! `Idempotency-Key`: a repetition is answered like the first request, and done once.

use http::Method;
use serde_json::{Value, json};

use super::{Answer, Api};

impl Api {
    async fn keyed(&self, method: Method, target: &str, key: &str, body: &Value) -> Answer {
        self.call(method, target)
            .header("Idempotency-Key", key)
            .json(body)
            .send()
            .await
    }
}

#[tokio::test]
async fn a_repeated_creation_gets_the_same_answer_and_one_route() {
    let api = Api::with_backend().await;
    let route = json!({ "path": "/a", "upstream": "backend" });
    let first = api
        .keyed(Method::POST, "/api/routes", "\"k1\"", &route)
        .await
        .is(201);
    let again = api
        .keyed(Method::POST, "/api/routes", "\"k1\"", &route)
        .await
        .is(201);
    assert_eq!(again.json(), first.json());
    for name in ["etag", "location", "flexgate-revision"] {
        assert_eq!(again.header(name), first.header(name));
    }
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert!(!first.headers.contains_key("idempotency-replayed"));
    assert_eq!(api.get("/api/routes").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_unsafe_method_can_be_repeated() {
    let api = Api::with_backend().await;
    let target = "/api/upstreams/backend";
    for (key, method, body, status) in [
        (
            "\"put\"",
            Method::PUT,
            json!({ "url": "http://127.0.0.1:1" }),
            200,
        ),
        ("\"patch\"", Method::PATCH, json!({ "timeout": 5 }), 200),
        ("\"delete\"", Method::DELETE, json!({}), 204),
    ] {
        let first = api.keyed(method.clone(), target, key, &body).await.is(status);
        let again = api.keyed(method, target, key, &body).await.is(status);
        assert_eq!((again.revision(), &again.body), (first.revision(), &first.body));
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
}

#[tokio::test]
async fn a_repetition_is_answered_like_the_first_whatever_became_of_the_entity() {
    let api = Api::with_backend().await;
    let route = json!({ "id": "a", "path": "/a", "upstream": "backend" });
    let first = api
        .keyed(Method::POST, "/api/routes", "\"k\"", &route)
        .await
        .is(201);
    api.patch("/api/routes/a", json!({ "enabled": false }))
        .await
        .is(200);
    assert_eq!(
        api.keyed(Method::POST, "/api/routes", "\"k\"", &route)
            .await
            .is(201)
            .json(),
        first.json()
    );
    api.delete("/api/routes/a").await.is(204);
    assert_eq!(
        api.keyed(Method::POST, "/api/routes", "\"k\"", &route)
            .await
            .is(201)
            .json(),
        first.json()
    );
    api.get("/api/routes/a").await.is(404);
}

#[tokio::test]
async fn the_same_key_for_another_request_is_422() {
    let api = Api::with_backend().await;
    let upstream = |url: &str| json!({ "name": "users", "url": url });
    api.keyed(Method::POST, "/api/upstreams", "\"k\"", &upstream("http://a"))
        .await
        .is(201);
    api.keyed(Method::POST, "/api/upstreams", "\"k\"", &upstream("http://b"))
        .await
        .is_problem(422, "key_reused");
    api.keyed(Method::DELETE, "/api/upstreams/users", "\"k\"", &json!({}))
        .await
        .is_problem(422, "key_reused");
    assert_eq!(api.get("/api/upstreams/users").await.json()["url"], "http://a");
}

#[tokio::test]
async fn the_same_key_while_the_first_request_is_in_flight_is_409() {
    let api = Api::with_backend().await;
    api.join("far");
    let upstream = json!({ "name": "users", "url": "http://users" });
    let target = "/api/upstreams?wait=nodes&timeout=30s";
    let first = api.keyed(Method::POST, target, "\"k\"", &upstream);
    let second = async {
        // Once the first one is committed it waits for a node that does not come.
        let mut view = api.journal.watch();
        let committed = view.wait_for(|view| view.state().upstreams().len() == 2);
        let revision = committed.await.unwrap().revision();
        let answer = api.keyed(Method::POST, target, "\"k\"", &upstream).await;
        api.members.serves(&"far".parse().unwrap(), (1, revision));
        answer
    };
    let (first, second) = tokio::join!(first, second);
    first.is(201);
    assert!(second.headers.contains_key("retry-after"));
    assert_eq!(second.is(409).json()["code"], "key_in_flight");
}

#[tokio::test]
async fn a_key_that_is_no_string_in_quotes_is_refused() {
    let api = Api::with_backend().await;
    let too_long = format!("\"{}\"", "k".repeat(256));
    for key in ["unquoted", "\"\"", "\"open", "\"a\";v=1", &too_long] {
        api.keyed(Method::DELETE, "/api/upstreams/backend", key, &json!({}))
            .await
            .is_problem(400, "bad_header");
    }
    api.get("/api/upstreams/backend").await.is(200);
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_key_up() {
    let api = Api::start().await;
    let route = json!({ "path": "/a", "upstream": "backend" });
    api.keyed(Method::POST, "/api/routes", "\"k\"", &route)
        .await
        .is_problem(400, "unknown_upstream");
    api.post("/api/upstreams", json!({ "name": "backend", "url": "http://a" }))
        .await
        .is(201);
    api.keyed(Method::POST, "/api/routes", "\"k\"", &route)
        .await
        .is(201);
}
