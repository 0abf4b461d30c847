//! Bodies that have to be seen whole before anybody gets any of them.

use std::time::Duration;

use futures_util::future::select_all;
use http::{HeaderMap, HeaderValue, Request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    super::{Node, assert_refused, recording::Recording, settings},
    errors, post, validated,
};
use crate::{
    fixtures::LOOK_AGAIN,
    http2,
    upstream::Upstream,
    wire::{Client, Message},
};

const CHUNKED: &str = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/// A gateway with one route, whose bodies must be like this.
fn node(url: &str, schema: &Value) -> Node {
    Node::start(&[validated(url, &json!({"body": {"schema": schema}}))])
}

fn order() -> Value {
    json!({
        "type": "object",
        "required": ["sku", "amount"],
        "properties": {"sku": {"type": "string", "pattern": "^[A-Z]{3}$"}, "amount": {"type": "integer", "minimum": 1}},
        "additionalProperties": false,
    })
}

#[track_caller]
fn assert_invalid(response: &Message, expected: &Value) {
    assert_refused(response, 400, "invalid_body", "http_request_error");
    assert_eq!(errors(response), *expected);
}

#[tokio::test]
async fn a_body_that_is_right_arrives_as_it_was_sent() {
    let backend = Upstream::echoing().start().await;
    let node = node(&backend.url(), &order());
    let mut client = node.client().await;
    let body = "{ \"amount\" : 1,\r\n\t\"sku\":\"A\\u0042C\"}\n";
    assert_eq!(client.ask(&post("", body)).await.text(), body);
    let length = body.len().to_string();
    assert_eq!(backend.last().header("content-length"), Some(&*length));
    let chunks: Vec<_> = body.chars().map(|piece| format!("1\r\n{piece}\r\n")).collect();
    let response = client
        .ask(&format!("{CHUNKED}{}0\r\n\r\n", chunks.concat()))
        .await;
    assert_eq!(response.text(), body);
    assert_eq!(
        backend.last().header("content-length"),
        Some(&*length),
        "it is known by then"
    );
    assert_eq!(backend.last().header("transfer-encoding"), None);
}

#[tokio::test]
async fn a_body_that_is_wrong_reaches_nobody_and_every_mistake_is_told() {
    let backend = Upstream::echoing().start().await;
    let node = node(&backend.url(), &order());
    let mut client = node.client().await;
    let refused = client
        .ask(&post("", r#"{"sku":"secret","amount":0,"secret":1}"#))
        .await;
    let mut told = errors(&refused).as_array().unwrap().clone();
    told.sort_by_key(|error| error["pointer"].to_string());
    assert_invalid(&refused, &errors(&refused));
    assert_eq!(
        Value::Array(told),
        json!([
            {"pointer": "", "detail": "has members that it must not have"},
            {"pointer": "/amount", "detail": "must be at least 1"},
            {"pointer": "/sku", "detail": "does not hold to the rule `pattern`"},
        ])
    );
    let refused = client.ask(&post("", "{\"sku\":\nsecret}")).await;
    assert_invalid(
        &refused,
        &json!([{"pointer": "", "detail": "not JSON: expected value at line 2 column 1"}]),
    );
    let refused = client
        .ask(&post("", r#"{"sku":"ABC","sku":"ABC","amount":1}"#))
        .await;
    assert_refused(&refused, 400, "invalid_body", "http_request_error");
    assert!(backend.seen().is_empty());
    assert_eq!(
        client
            .ask(&post("", r#"{"sku":"ABC","amount":1}"#))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn a_request_that_is_about_its_body_has_one() {
    let backend = Upstream::replying(200).start().await;
    let node = node(&backend.url(), &json!({"type": "object"}));
    let mut client = node.client().await;
    for method in ["GET", "DELETE", "OPTIONS"] {
        let bare = format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.ask(&bare).await.status(), 200, "{method}");
        let wrong = format!("{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n[]");
        assert_eq!(client.ask(&wrong).await.status(), 400, "{method}");
    }
    for method in ["POST", "PUT", "PATCH"] {
        for end in [
            "\r\n",
            "content-length: 0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            let bare = format!("{method} / HTTP/1.1\r\nhost: a\r\n{end}");
            assert_refused(
                &client.ask(&bare).await,
                400,
                "invalid_body",
                "http_request_error",
            );
        }
    }
    assert_eq!(backend.seen().len(), 3);
}

#[tokio::test]
async fn a_body_is_as_long_as_it_may_be_and_no_longer() {
    let backend = Upstream::echoing().start().await;
    let rules = json!({"body": {"schema": {"type": "string"}, "maxSize": 12}});
    let node = Node::start(&[validated(&backend.url(), &rules)]);
    let chunked = |body: &str| format!("{CHUNKED}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for sent in [post("", "\"1234567890\""), chunked("\"1234567890\"")] {
        assert_eq!(node.ask(&sent).await.text(), "\"1234567890\"");
    }
    for sent in [post("", "\"12345678901\""), chunked("\"12345678901\"")] {
        let refused = node.ask(&sent).await;
        assert_refused(&refused, 413, "body_too_large", "http_request_error");
    }
    let client = http2::Client::connect(node.addr()).await;
    let send = async |pieces: &[&'static str]| {
        let body = http2::with_trailers(pieces, HeaderMap::new());
        client
            .send(Request::post("http://a/").body(body).unwrap())
            .await
            .unwrap()
    };
    assert_eq!(send(&["\"12345", "67890\""]).await.status, 200);
    assert_eq!(send(&["\"12345", "678901\""]).await.status, 413);
    assert_eq!(backend.seen().len(), 3);
}

#[tokio::test]
async fn a_body_of_http_2_arrives_with_its_trailers() {
    let backend = Upstream::echoing().start().await;
    let node = node(&backend.url(), &json!({"type": "string"}));
    let client = http2::Client::connect(node.addr()).await;
    let long = format!("\"{}\"", "x".repeat((1 << 20) - 2));
    let request = Request::post("http://a/")
        .body(http2::whole(long.clone()))
        .unwrap();
    assert_eq!(client.send(request).await.unwrap().body, long);
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))]);
    let request = Request::post("http://a/").header("trailer", "x-sum");
    let request = request
        .body(http2::with_trailers(&["\"a", "b\""], trailers))
        .unwrap();
    assert_eq!(client.send(request).await.unwrap().body, "\"ab\"");
    assert_eq!(backend.last().trailers, [("x-sum".to_owned(), "7".to_owned())]);
    let request = Request::post("http://a/").body(http2::whole("1")).unwrap();
    assert_eq!(client.send(request).await.unwrap().status, 400);
}

#[tokio::test]
async fn a_compressed_body_is_not_looked_into() {
    let backend = Upstream::echoing().start().await;
    let node = node(&backend.url(), &json!(true));
    for coding in ["gzip", "identity, br"] {
        let refused = node
            .ask(&post(&format!("content-encoding: {coding}\r\n"), "{}"))
            .await;
        assert_refused(&refused, 415, "unsupported_content_coding", "http_request_error");
        assert_eq!(refused.header("accept-encoding"), Some("identity"));
    }
    let response = node.ask(&post("content-encoding: identity\r\n", "{}")).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_go_on_when_its_body_is_wanted() {
    let backend = Upstream::echoing().start().await;
    let rules =
        json!({"contentTypes": ["text/*", "application/json"], "body": {"schema": {"type": "integer"}}});
    let node = Node::start(&[validated(&backend.url(), &rules)]);
    let head = |media_type: &str| {
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-type: {media_type}\r\ncontent-length: 1\r\n\r\n"
        )
    };
    for (body, status) in [("1", 200), ("x", 400)] {
        let mut client = node.client().await;
        client.send(head("application/json")).await;
        assert_eq!(client.receive("HEAD").await.status(), 100);
        client.send(body).await;
        assert_eq!(client.receive("POST").await.status(), status);
    }
    let mut client = node.client().await;
    client.send(head("image/png")).await;
    assert_eq!(
        client.receive("POST").await.status(),
        415,
        "and not told to go on"
    );
    assert_eq!(backend.seen().len(), 1);
    assert_eq!(backend.last().header("expect"), None);
}

#[tokio::test]
async fn a_client_may_be_slow_within_its_body_and_must_not_pause() {
    let backend = Upstream::echoing().start().await;
    let node = Node::start(&[
        settings(r#"{"limits":{"bodyTimeout":200}}"#),
        validated(&backend.url(), &json!({"body": {"schema": {"type": "integer"}}})),
    ]);
    let head = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n";
    let mut slow = node.client().await;
    slow.send(head).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        slow.send("1").await;
    }
    assert_eq!(slow.receive("POST").await.text(), "1111111111");
    let mut pausing = node.client().await;
    pausing.send(head.to_owned() + "11111").await;
    let refused = pausing.receive("POST").await;
    assert_refused(&refused, 408, "body_timeout", "http_request_error");
    assert!(pausing.is_closed().await);
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_within_its_body_is_recorded_as_gone() {
    let rules = json!({"body": {"schema": true}});
    let recording = Recording::of(&[validated("http://127.0.0.1:1", &rules)]);
    let mut client = recording.client().await;
    client
        .send("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345")
        .await;
    drop(client);
    while recording.gateway.requests_served() == 0 {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let recorded = recording.over().await;
    let outcome = &recorded.rows[0].outcome;
    assert_eq!((outcome.attempts, outcome.bytes_in), (0, 5));
    assert_eq!(outcome.refused, Some("bad_body"));
}

/// A list of so many zeros.
fn zeros(count: usize) -> String {
    format!("[{}0]", "0,".repeat(count - 1))
}

#[tokio::test]
async fn a_core_serves_others_while_a_long_body_is_judged() {
    let backend = Upstream::echoing().start().await;
    let rules = json!({"body": {"schema": {"items": {"type": "integer"}}, "maxSize": "16mb"}});
    let node = Node::start(&[validated(&backend.url(), &rules)]);
    let long = zeros(900_000);
    let (mut patient, mut other) = (node.client().await, node.client().await);
    patient.send(post("", &long)).await;
    let answer = patient.receive("POST");
    let mut answer = std::pin::pin!(answer);
    for _ in 0..20 {
        tokio::select! {
            biased;
            _ = &mut answer => panic!("the core did nothing else meanwhile"),
            response = other.get("/", "") => assert_eq!(response.status(), 200),
        }
    }
    assert_eq!(answer.await.body.len(), long.len());
}

#[tokio::test]
async fn a_body_has_only_so_many_values_however_short_it_is() {
    let rules = json!({"body": {"schema": true, "maxSize": "16mb"}});
    let node = Node::start(&[validated("http://127.0.0.1:1", &rules)]);
    let refused = node.ask(&post("", &zeros(1_000_000))).await;
    assert_invalid(
        &refused,
        &json!([{"pointer": "", "detail": "more than 1000000 values"}]),
    );
}

#[tokio::test]
async fn a_node_holds_only_so_much_of_bodies_at_once() {
    const LONGEST: usize = 16 << 20;
    let backend = Upstream::replying(200).start().await;
    let rules = json!({"body": {"schema": true, "maxSize": "16mb"}});
    let node = Node::start(&[validated(&backend.url(), &rules)]);
    let mut holders = Vec::new();
    for _ in 0..5 {
        let mut holder = node.client().await;
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LONGEST}\r\n\r\n");
        holder.send(head).await;
        holders.push(holder);
    }
    let fill = async |mut holder: Client| {
        let (mut reading, mut writing) = holder.0.get_mut().split();
        let body = vec![b' '; LONGEST - 1]; // which is never a whole one
        let mut refusal = [0; 12];
        let (_, read) = tokio::join!(writing.write_all(&body), reading.read_exact(&mut refusal));
        read.map(|_| refusal)
    };
    let (first, _, others) = select_all(holders.into_iter().map(|holder| Box::pin(fill(holder)))).await;
    assert_eq!(&first.unwrap(), b"HTTP/1.1 503");
    assert_eq!(node.get("/").await.status(), 200);
    assert_eq!(
        node.ask(&post("", "1")).await.status(),
        200,
        "which has given its room back: the others leave four bytes"
    );
    drop(others);
}

#[tokio::test]
async fn a_schema_that_this_build_cannot_read_lets_nobody_pass() {
    let node = node("http://127.0.0.1:1", &json!({"type": "no such type"}));
    let refused = node.ask(&post("", "1")).await;
    assert_refused(&refused, 503, "policy_unavailable", "proxy_configuration_error");
    assert_eq!(
        node.get("/").await.status(),
        502,
        "what has no body needs no schema"
    );
}
