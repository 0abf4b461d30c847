//! What a request must be before it is sent on.

mod bodies;

use flexgate_schemas::Event;
use http::{HeaderMap, Request};
use serde_json::{Value, json};

use super::{Node, assert_refused, recording::Recording, route, route_with};
use crate::{http2, upstream::Upstream, wire::Message};

/// A route, `/*`, whose requests must be like this.
fn validated(url: &str, rules: &Value) -> Event {
    route_with("all", "/*", url, &format!(r#""validate":{rules}"#))
}

/// A request with such a head, and a body.
fn post(lines: &str, body: &str) -> String {
    let length = body.len();
    format!("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n{lines}\r\n{body}")
}

fn errors(response: &Message) -> Value {
    response.json()["errors"].clone()
}

#[tokio::test]
async fn a_body_of_another_media_type_is_refused_and_told_which_are_taken() {
    let backend = Upstream::echoing().start().await;
    let rules = json!({"contentTypes": ["application/json", "text/*"]});
    let node = Node::start(&[validated(&backend.url(), &rules)]);
    for taken in ["application/json;charset=utf-8", "Text/CSV"] {
        let response = node.ask(&post(&format!("content-type: {taken}\r\n"), "x")).await;
        assert_eq!(
            (response.status(), response.text()),
            (200, "x".to_owned()),
            "{taken}"
        );
    }
    for line in [
        "content-type: image/png\r\n",
        "",
        "content-type: text/a\r\ncontent-type: text/b\r\n",
    ] {
        let refused = node.ask(&post(line, "x")).await;
        assert_refused(&refused, 415, "unsupported_media_type", "http_request_error");
        assert_eq!(refused.header("accept"), Some("application/json, text/*"));
    }
    let response = node.client().await.get("/", "content-type: image/png\r\n").await;
    assert_eq!(response.status(), 200, "without a body it is of no type");
    assert_eq!(backend.seen().len(), 3);
}

#[tokio::test]
async fn every_field_and_parameter_that_is_missing_or_wrong_is_told_at_once() {
    let backend = Upstream::replying(200).start().await;
    let rules = json!({
        "headers": [{"name": "X-Tenant"}, {"name": "x-version", "regex": "[12]"}],
        "query": [{"name": "page", "regex": "[0-9]+"}, {"name": "mode", "value": "a b"}],
    });
    let node = Node::start(&[validated(&backend.url(), &rules)]);
    let mut client = node.client().await;
    let right = client
        .get("/?mode=a+b&page=7", "x-tenant: t\r\nx-version: 2\r\n")
        .await;
    assert_eq!(right.status(), 200);
    let refused = client.get("/?page=7&page=secret", "x-version: secret\r\n").await;
    assert_refused(&refused, 400, "invalid_request", "http_request_error");
    assert_eq!(
        errors(&refused),
        json!([
            {"header": "x-tenant", "detail": "is missing"},
            {"header": "x-version", "detail": "is not what this route takes"},
            {"parameter": "page", "detail": "is not what this route takes"},
            {"parameter": "mode", "detail": "is missing"},
        ])
    );
    assert!(!refused.text().contains("secret"));
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn rules_hold_from_the_next_request_on_and_for_their_route_alone() {
    let backend = Upstream::replying(200).start().await;
    let mut node = Node::start(&[
        route("other", "/other", &backend.url()),
        validated(&backend.url(), &json!({"headers": [{"name": "x-a"}]})),
    ]);
    let mut client = node.client().await;
    assert_eq!(client.get("/", "").await.status(), 400);
    assert_eq!(client.get("/other", "").await.status(), 200);
    node.change(&[validated(&backend.url(), &json!({}))]);
    assert_eq!(client.get("/", "").await.status(), 200);
}

#[tokio::test]
async fn a_call_of_grpc_ends_with_a_status_of_its_own() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        validated(&backend.url(), &json!({"headers": [{"name": "x-a"}]})),
        route_with(
            "json",
            "/json",
            &backend.url(),
            r#""validate":{"body":{"schema":true}}"#,
        ),
    ]);
    let client = http2::Client::connect(node.addr()).await;
    // A status of 400 is INTERNAL in gRPC, one of 415 UNKNOWN. A call that pretends to have JSON has none.
    for (path, status) in [("/", "13"), ("/json", "2")] {
        let call = Request::post(format!("http://a{path}")).header("content-type", "application/grpc");
        let body = http2::with_trailers(&["{}"], HeaderMap::new());
        let ended = client.send(call.body(body).unwrap()).await.unwrap();
        assert_eq!(
            (ended.status.as_u16(), &ended.headers["grpc-status"]),
            (200, &status.parse().unwrap())
        );
    }
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn what_was_refused_is_recorded_by_its_code_and_nothing_of_the_body() {
    let rules = json!({
        "contentTypes": ["application/json"],
        "headers": [{"name": "x-a"}],
        "body": {"schema": {"type": "integer"}, "maxSize": 20},
    });
    let recording = Recording::of(&[validated("http://127.0.0.1:1", &rules)]);
    let types = "content-type: application/json\r\n";
    for (lines, body) in [
        ("content-type: text/plain\r\n", "\"s3cr3t\""),
        (types, "\"s3cr3t\""),
        (&*format!("{types}x-a: 1\r\n"), "\"s3cr3t\""),
        (&*format!("{types}x-a: 1\r\n"), "s3cr3t"),
        (&*format!("{types}x-a: 1\r\n"), "\"s3cr3ts3cr3ts3cr3t\""),
        (&*format!("{types}x-a: 1\r\ncontent-encoding: gzip\r\n"), "s3cr3t"),
    ] {
        let refused = recording.ask(&post(lines, body)).await;
        assert!(!refused.text().contains("s3cr3t"));
    }
    let recorded = recording.over().await;
    let codes = recorded.rows.iter().map(|row| row.outcome.refused.unwrap());
    let expected = [
        "unsupported_media_type",
        "invalid_request",
        "invalid_body",
        "invalid_body",
        "invalid_body",
        "unsupported_content_coding",
    ];
    assert_eq!(codes.collect::<Vec<_>>(), expected);
    assert!(!recorded.files.windows(6).any(|bytes| bytes == b"s3cr3t"));
}
