//! From where requests may come.

use super::{Node, assert_refused, recording::Recording, route, route_with, settings};
use crate::{upstream::Upstream, wire::Message};

/// A client whose address a trusted proxy tells.
async fn ask_from(node: &Node, address: &str, path: &str) -> Message {
    let line = format!("x-forwarded-for: {address}\r\n");
    node.client().await.get(path, &line).await
}

fn trusting(access: &str) -> flexgate_schemas::Event {
    settings(&format!(
        r#"{{"trustedProxies":["127.0.0.1"],"access":{access}}}"#
    ))
}

#[track_caller]
fn assert_denied(response: &Message) {
    assert_refused(response, 403, "address_denied", "http_request_denied");
}

#[tokio::test]
async fn only_clients_that_the_settings_let_through_get_anywhere() {
    let backend = Upstream::replying(200).start().await;
    let lists = r#"{"allow":["192.0.2.0/24","2001:db8::/32"],"deny":["192.0.2.66"]}"#;
    let mut node = Node::start(&[trusting(lists), route("all", "/a/*", &backend.url())]);
    for address in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"] {
        assert_eq!(ask_from(&node, address, "/a").await.status(), 200, "{address}");
    }
    let denied = ["192.0.2.66", "::ffff:192.0.2.66", "192.0.3.1", "2001:db9::1"];
    for address in denied {
        assert_denied(&ask_from(&node, address, "/a").await);
        assert_denied(&ask_from(&node, address, "/nowhere").await); // and does not learn that there is nothing
    }
    assert_denied(&node.get("/a").await); // the proxy itself, which is on no list
    assert_eq!(backend.seen().len(), 3);
    node.change(&[trusting("{}")]);
    assert_eq!(ask_from(&node, "192.0.3.1", "/a").await.status(), 200);
}

#[tokio::test]
async fn a_route_narrows_what_the_settings_let_through() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        trusting(r#"{"deny":["192.0.2.66"]}"#),
        route("open", "/open", &backend.url()),
        route_with(
            "office",
            "/office",
            &backend.url(),
            r#""access":{"allow":["192.0.2.0/24"]},"auth":"required""#,
        ),
        route_with(
            "narrow",
            "/narrow",
            &backend.url(),
            r#""access":{"allow":["192.0.2.0/24"],"deny":["192.0.2.7"]}"#,
        ),
    ]);
    let status = async |address, path| ask_from(&node, address, path).await.status();
    assert_eq!(status("198.51.100.1", "/open").await, 200);
    assert_denied(&ask_from(&node, "198.51.100.1", "/office").await); // before anybody asks who it is
    assert_denied(&ask_from(&node, "198.51.100.1", "/narrow").await);
    assert_eq!(status("192.0.2.1", "/narrow").await, 200);
    assert_denied(&ask_from(&node, "192.0.2.7", "/narrow").await);
    assert_denied(&ask_from(&node, "192.0.2.66", "/narrow").await);
}

#[tokio::test]
async fn an_address_that_a_stranger_claims_is_not_believed() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        settings(r#"{"access":{"allow":["192.0.2.1"]}}"#),
        route("all", "/*", &backend.url()),
    ]);
    assert_denied(&ask_from(&node, "192.0.2.1", "/").await);
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn a_page_at_a_denied_address_is_not_told_what_it_may_do() {
    let cors = r#""methods":["PUT"],"cors":{"origins":"*"}"#;
    let narrow = format!(r#"{cors},"access":{{"allow":["192.0.2.1"]}}"#);
    let node = Node::start(&[
        trusting(r#"{"deny":["192.0.2.66"]}"#),
        route_with("all", "/a", "http://127.0.0.1:1", cors),
        route_with("narrow", "/b", "http://127.0.0.1:1", &narrow),
    ]);
    let preflight = async |address: &str, path: &str| {
        let lines = "origin: https://app.test\r\naccess-control-request-method: PUT";
        node.ask(&format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {address}\r\n{lines}\r\n\r\n"
        ))
        .await
    };
    assert_eq!(preflight("192.0.2.2", "/a").await.status(), 204);
    assert_denied(&preflight("192.0.2.66", "/a").await);
    assert_eq!(preflight("192.0.2.1", "/b").await.status(), 204);
    assert_eq!(preflight("192.0.2.2", "/b").await.status(), 405);
}

#[tokio::test]
async fn a_denied_request_is_recorded_with_its_route_if_that_denied_it() {
    let recording = Recording::of(&[
        trusting(r#"{"deny":["192.0.2.66"]}"#),
        route_with(
            "narrow",
            "/*",
            "http://127.0.0.1:1",
            r#""access":{"deny":["192.0.2.7"]}"#,
        ),
    ]);
    for address in ["192.0.2.66", "192.0.2.7"] {
        assert_denied(&ask_from(&recording, address, "/").await);
    }
    let recorded = recording.over().await;
    let refused = |row: usize| {
        (
            recorded.rows[row].outcome.refused,
            recorded.rows[row].outcome.route,
        )
    };
    assert_eq!(refused(0), (Some("address_denied"), None));
    assert_eq!(refused(1), (Some("address_denied"), Some("narrow")));
}
