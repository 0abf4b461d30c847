//! Pages of other origins, and what browsers are told of them (the CORS protocol of the Fetch standard).

use super::{Node, assert_refused, route, route_with, settings};
use crate::{
    upstream::{Behaviour, Upstream},
    wire::Message,
};

const LISTED: &str = r#""cors":{"origins":["https://app.test","*.pages.test"],"credentials":true,
                        "headers":["x-token"],"exposedHeaders":["x-total","etag"],"maxAge":"10m"}"#;

/// An upstream that has a word of its own about other origins.
fn with_own_word() -> Behaviour {
    Upstream::raw(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\naccess-control-allow-origin: *\r\naccess-control-allow-methods: PUT\r\n\
         access-control-expose-headers: x-own\r\nvary: accept\r\n\r\n",
    )
}

/// The question whether a request with this method may be sent.
async fn preflight(node: &Node, path: &str, origin: &str, method: &str, lines: &str) -> Message {
    let question = format!("origin: {origin}\r\naccess-control-request-method: {method}\r\n{lines}");
    node.ask(&format!("OPTIONS {path} HTTP/1.1\r\nhost: a\r\n{question}\r\n"))
        .await
}

fn allow_origin(message: &Message) -> Option<&str> {
    message.header("access-control-allow-origin")
}

#[tokio::test]
async fn a_preflight_is_answered_for_the_route_that_would_take_the_request() {
    let backend = Upstream::replying(200).start().await;
    let put = format!(r#""methods":["PUT"],"auth":"required",{LISTED}"#);
    let node = Node::start(&[
        route_with("put", "/a", &backend.url(), &put),
        route_with("rest", "/a", &backend.url(), r#""methods":["GET"]"#),
    ]);
    let asked = "access-control-request-headers: x-anything\r\n";
    let answer = preflight(&node, "/a", "https://app.test", "PUT", asked).await;
    assert_eq!((answer.status(), answer.text()), (204, String::new()));
    assert_eq!(allow_origin(&answer), Some("https://app.test"));
    for (name, value) in [
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "x-token"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(answer.header("access-control-expose-headers"), None);
    assert!(answer.all("vary").contains(&"origin"));
    assert!(answer.header("x-correlation-id").is_some());
    assert!(backend.seen().is_empty(), "nobody else is asked");
}

#[tokio::test]
async fn a_preflight_of_another_origin_is_told_nothing() {
    let node = Node::start(&[route_with("all", "/*", "http://127.0.0.1:1", LISTED)]);
    for origin in [
        "https://evil.test",
        "https://app.test.evil.test",
        "null",
        "https://pages.test",
    ] {
        let answer = preflight(&node, "/a", origin, "PUT", "").await;
        assert_eq!((answer.status(), allow_origin(&answer)), (204, None), "{origin}");
        assert_eq!(answer.header("access-control-allow-methods"), None);
        assert!(answer.all("vary").contains(&"origin"), "{origin}");
    }
    let answer = preflight(&node, "/a", "https://a.pages.test", "PUT", "").await;
    assert_eq!(allow_origin(&answer), Some("https://a.pages.test"));
}

#[tokio::test]
async fn where_nothing_is_listed_a_preflight_gets_what_it_asks_for() {
    let node = Node::start(&[route_with(
        "all",
        "/*",
        "http://127.0.0.1:1",
        r#""cors":{"origins":"*"}"#,
    )]);
    let asked = "access-control-request-headers: x-b,content-type\r\n";
    let answer = preflight(&node, "/a", "https://any.test", "PATCH", asked).await;
    assert_eq!(allow_origin(&answer), Some("*"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("PATCH"));
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("x-b,content-type")
    );
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn a_question_that_no_route_answers_goes_the_way_of_any_request() {
    let backend = with_own_word().start().await;
    let node = Node::start(&[
        route("silent", "/silent", &backend.url()),
        route_with(
            "get",
            "/get",
            &backend.url(),
            &format!(r#""methods":["GET"],{LISTED}"#),
        ),
    ]);
    let answer = preflight(&node, "/silent", "https://app.test", "PUT", "").await;
    assert_eq!((answer.status(), allow_origin(&answer)), (200, Some("*")));
    assert_eq!(backend.last().start, "OPTIONS /silent HTTP/1.1");
    let refused = preflight(&node, "/get", "https://app.test", "PUT", "").await;
    assert_refused(&refused, 405, "method_not_allowed", "http_request_error");
    let refused = node
        .ask("OPTIONS /get HTTP/1.1\r\nhost: a\r\norigin: https://app.test\r\n\r\n")
        .await;
    assert_refused(&refused, 405, "method_not_allowed", "http_request_error");
}

#[tokio::test]
async fn a_response_says_who_may_read_it_whatever_the_upstream_says() {
    let backend = with_own_word().start().await;
    let node = Node::start(&[route_with("all", "/*", &backend.url(), LISTED)]);
    let ask = async |lines: &str| node.client().await.get("/", lines).await;
    let response = ask("origin: https://app.test\r\n").await;
    assert_eq!(allow_origin(&response), Some("https://app.test"));
    assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(
        response.header("access-control-expose-headers"),
        Some("x-total, etag")
    );
    assert_eq!(response.header("access-control-allow-methods"), None);
    assert_eq!(response.all("vary"), ["accept", "origin"]);
    for lines in ["", "origin: https://evil.test\r\n"] {
        let response = ask(lines).await;
        assert_eq!(response.status(), 200, "a request is no question");
        assert_eq!(
            (
                allow_origin(&response),
                response.header("access-control-expose-headers")
            ),
            (None, None)
        );
        assert_eq!(
            response.all("vary"),
            ["accept", "origin"],
            "no cache may give it to another origin"
        );
    }
    assert_eq!(backend.last().header("origin"), Some("https://evil.test"));
}

#[tokio::test]
async fn a_response_for_everybody_is_the_same_for_everybody() {
    let backend = with_own_word().start().await;
    let cors = r#""cors":{"origins":["*"],"exposedHeaders":["etag"]}"#;
    let node = Node::start(&[route_with("all", "/*", &backend.url(), cors)]);
    for lines in ["", "origin: https://any.test\r\n"] {
        let response = node.client().await.get("/", lines).await;
        assert_eq!(allow_origin(&response), Some("*"));
        assert_eq!(response.header("access-control-expose-headers"), Some("etag"));
        assert_eq!(response.all("vary"), ["accept"]);
    }
}

#[tokio::test]
async fn a_page_can_read_why_the_gateway_refuses() {
    let node = Node::start(&[
        route_with("fails", "/fails", "http://127.0.0.1:1", LISTED),
        route_with(
            "guarded",
            "/guarded",
            "http://127.0.0.1:1",
            &format!(r#""auth":"required",{LISTED}"#),
        ),
    ]);
    for (path, status) in [("/fails", 502), ("/guarded", 401)] {
        let refused = node
            .client()
            .await
            .get(path, "origin: https://app.test\r\n")
            .await;
        assert_eq!(
            (refused.status(), allow_origin(&refused)),
            (status, Some("https://app.test"))
        );
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    }
    let unknown = node
        .client()
        .await
        .get("/none", "origin: https://app.test\r\n")
        .await;
    assert_eq!(
        (unknown.status(), allow_origin(&unknown)),
        (404, None),
        "which is no route's"
    );
}

#[tokio::test]
async fn the_settings_hold_where_the_route_says_nothing() {
    let backend = with_own_word().start().await;
    let mut node = Node::start(&[
        settings(r#"{"cors":{"origins":["https://all.test"]}}"#),
        route("unsaid", "/unsaid", &backend.url()),
        route_with("off", "/off", &backend.url(), r#""cors":{"enabled":false}"#),
        route_with("own", "/own", &backend.url(), LISTED),
    ]);
    let allowed = async |node: &Node, path: &str| {
        let response = node
            .client()
            .await
            .get(path, "origin: https://all.test\r\n")
            .await;
        allow_origin(&response).map(str::to_owned)
    };
    assert_eq!(
        allowed(&node, "/unsaid").await.as_deref(),
        Some("https://all.test")
    );
    assert_eq!(allowed(&node, "/none").await.as_deref(), Some("https://all.test"));
    assert_eq!(
        allowed(&node, "/off").await.as_deref(),
        Some("*"),
        "the upstream's word"
    );
    assert_eq!(allowed(&node, "/own").await, None);
    let answer = preflight(&node, "/unsaid", "https://all.test", "GET", "").await;
    assert_eq!(
        (answer.status(), allow_origin(&answer)),
        (204, Some("https://all.test"))
    );
    node.change(&[settings("{}")]);
    assert_eq!(
        allowed(&node, "/unsaid").await.as_deref(),
        Some("*"),
        "as soon as it is changed"
    );
}
