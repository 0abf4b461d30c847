//! What routes change about the messages that pass.

use super::{Node, assert_refused, route_with, settings};
use crate::upstream::Upstream;

#[tokio::test]
async fn fields_of_a_request_are_removed_set_and_added() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[route_with(
        "all",
        "/*",
        &backend.url(),
        r#""headers":{"request":{"remove":["x-gone"],"set":{"x-set":"new"},"add":{"x-more":"2"}}}"#,
    )]);
    let lines = "x-gone: 1\r\nx-gone: 2\r\nx-set: old\r\nx-set: older\r\nx-more: 1\r\nx-kept: 1\r\n";
    node.client().await.get("/", lines).await;
    let seen = backend.last();
    assert_eq!(seen.all("x-gone"), [""; 0]);
    assert_eq!(seen.all("x-set"), ["new"]);
    assert_eq!(seen.all("x-more"), ["1", "2"]);
    assert_eq!(seen.all("x-kept"), ["1"]);
}

#[tokio::test]
async fn a_value_is_made_of_the_request_as_it_came() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        settings(r#"{"trustedProxies":["127.0.0.1"]}"#),
        route_with(
            "users",
            "/users/:id/*",
            &backend.url(),
            r#""stripPath":true,"headers":{"request":{"remove":["x-old"],"set":{
                "x-client":"${client.address}","x-request":"${request.id} ${request.method}",
                "x-target":"http://${request.host}${request.path}","x-route":"${route.id}",
                "x-user":"user ${path.id}","x-new":"${header.x-old}","x-sort":"${query.sort by}"}}}"#,
        ),
    ]);
    let lines = "x-forwarded-for: 203.0.113.7\r\nx-correlation-id: order-66\r\nx-old: 1\r\nx-old: 2\r\n";
    let target = "/users/a%20b/orders?sort+by=name%2Cdate&sort+by=other";
    node.client().await.get(target, lines).await;
    let seen = backend.last();
    assert_eq!(seen.target(), "/a%20b/orders?sort+by=name%2Cdate&sort+by=other");
    for (name, value) in [
        ("x-client", "203.0.113.7"),
        ("x-request", "order-66 GET"),
        ("x-target", "http://gateway.test/users/a%20b/orders"),
        ("x-route", "users"),
        ("x-user", "user a b"),
        ("x-new", "1, 2"),
        ("x-sort", "name,date"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert_eq!(seen.header("x-old"), None);
}

#[tokio::test]
async fn a_value_of_nothing_is_not_sent() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[route_with(
        "all",
        "/*",
        &backend.url(),
        r#""headers":{"request":{"set":{"x-set":"${header.x-none}"},"add":{"x-more":"${query.none}"}}}"#,
    )]);
    node.client()
        .await
        .get("/", "x-set: claimed\r\nx-more: 1\r\n")
        .await;
    assert_eq!(backend.last().all("x-set"), [""; 0]);
    assert_eq!(backend.last().all("x-more"), ["1"]);
}

#[tokio::test]
async fn nothing_a_client_sends_ends_the_line_it_is_put_into() {
    let backend = Upstream::raw("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .start()
        .await;
    let node = Node::start(&[route_with(
        "all",
        "/:id",
        &backend.url(),
        r#""headers":{"request":{"set":{"x-id":"${path.id}","x-q":"${query.q}"}},
                      "response":{"set":{"x-id":"${path.id}","x-q":"${query.q}"}}}"#,
    )]);
    let response = node.get("/a%0D%0Aevil:%201?q=b%0d%0a%0d%0aevil").await;
    for message in [response, backend.last()] {
        assert_eq!(message.header("x-id"), Some("a%0D%0Aevil: 1"));
        assert_eq!(message.header("x-q"), Some("b%0D%0A%0D%0Aevil"));
        assert_eq!((message.header("evil"), &*message.body), (None, &b""[..]));
    }
}

#[tokio::test]
async fn no_client_can_have_a_field_of_the_route_taken_away() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[route_with(
        "all",
        "/*",
        &backend.url(),
        r#""headers":{"request":{"set":{"x-internal":"yes"}}}"#,
    )]);
    let lines = "connection: x-internal\r\nx-internal: no\r\n";
    node.client().await.get("/", lines).await;
    assert_eq!(backend.last().all("x-internal"), ["yes"]);
}

#[tokio::test]
async fn fields_of_a_response_are_edited_unless_it_is_the_gateways_own() {
    let backend = Upstream::replying(200).start().await;
    let edits = r#""headers":{"response":{"remove":["x-from"],"set":{"cache-control":"no-store"},
                                          "add":{"x-request":"${request.id}"}}}"#;
    let node = Node::start(&[
        route_with("works", "/works", &backend.url(), edits),
        route_with("fails", "/fails", "http://127.0.0.1:1", edits),
    ]);
    let response = node.client().await.get("/works", "x-correlation-id: a\r\n").await;
    assert_eq!(response.header("x-from"), None);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("x-request"), Some("a"));
    let refused = node.get("/fails").await;
    assert_refused(&refused, 502, "upstream_refused", "connection_refused");
    assert_eq!(refused.header("x-request"), None);
}

#[tokio::test]
async fn edits_change_with_the_route_and_no_connection_is_closed_for_it() {
    let backend = Upstream::replying(200).start().await;
    let route = |value: &str| {
        let edits = format!(r#""headers":{{"response":{{"set":{{"x-version":"{value}"}}}}}}"#);
        route_with("all", "/*", &backend.url(), &edits)
    };
    let mut node = Node::start(&[route("1")]);
    let mut client = node.client().await;
    assert_eq!(client.get("/", "").await.header("x-version"), Some("1"));
    node.change(&[route("2")]);
    assert_eq!(client.get("/", "").await.header("x-version"), Some("2"));
}

#[tokio::test]
async fn parameters_of_a_query_are_removed_set_and_added() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[route_with(
        "all",
        "/users/:id",
        &backend.url(),
        r#""query":{"remove":["secret key"],"set":{"user":"${path.id}"},"add":{"tag":"${query.tag}&x=1"}}"#,
    )]);
    let check = async |sent: &str, forwarded: &str| {
        assert_eq!(node.get(sent).await.status(), 200, "{sent}");
        assert_eq!(backend.last().target(), forwarded, "{sent}");
    };
    check("/users/7", "/users/7?user=7&tag=%26x%3D1").await;
    check(
        "/users/a%26b?user=evil&a=%C3%A9&tag=n+1&secret+key=1&%75ser=2&b",
        "/users/a%26b?a=%C3%A9&tag=n+1&b&user=a%26b&tag=n%201%26x%3D1",
    )
    .await;
}

#[tokio::test]
async fn a_query_of_which_nothing_is_left_leaves_no_question_mark() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[route_with(
        "all",
        "/*",
        &backend.url(),
        r#""query":{"remove":["a"],"set":{"b":"${header.x-b}"}}"#,
    )]);
    node.get("/x?a=1&b=2&a").await;
    assert_eq!(backend.last().target(), "/x");
}

#[tokio::test]
async fn an_upstream_sees_the_host_that_the_route_says() {
    let backend = Upstream::replying(200).start().await;
    let host = r#""rewriteHost":"api.internal:8443""#;
    let node = Node::start(&[route_with("all", "/*", &backend.url(), host)]);
    node.get("/").await;
    let seen = backend.last();
    assert_eq!(seen.header("host"), Some("api.internal:8443"));
    assert_eq!(seen.header("x-forwarded-host"), Some("gateway.test"));
}
