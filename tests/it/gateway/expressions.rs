//! Regular expressions: which requests a route takes by them, and what it makes of their paths.

use super::{Node, assert_refused, route, route_with};
use crate::upstream::Upstream;

#[tokio::test]
async fn a_path_must_match_the_expression_beside_the_pattern() {
    let (numbers, rest) = (
        Upstream::replying(200).start().await,
        Upstream::replying(201).start().await,
    );
    let matched = r#""match":{"pathRegex":"/users/[0-9]+(/.*)?"}"#;
    let node = Node::start(&[
        route_with("numbers", "/users/:id/*", &numbers.url(), matched),
        route("rest", "/users/:id/*", &rest.url()),
    ]);
    for (path, status) in [
        ("/users/42", 200),
        ("/users/42/orders", 200),
        ("/users/%34%32", 200), // matched in normal form
        ("/users/42x", 201),
        ("/users/ada/42", 201),
    ] {
        assert_eq!(node.get(path).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn values_of_headers_and_parameters_must_match_their_expressions() {
    let (new, old) = (
        Upstream::replying(200).start().await,
        Upstream::replying(201).start().await,
    );
    let matched = r#""match":{"headers":[{"name":"x-version","regex":"v[2-9]"}],
                              "query":[{"name":"to","regex":"a b|c"}]}"#;
    let node = Node::start(&[
        route_with("new", "/*", &new.url(), matched),
        route("old", "/*", &old.url()),
    ]);
    let status = async |path: &str, lines: &str| node.client().await.get(path, lines).await.status();
    assert_eq!(status("/?to=a+b", "x-version: v3\r\n").await, 200);
    assert_eq!(
        status("/?to=a%20b", "x-version: v1\r\nx-version: v2\r\n").await,
        200
    );
    assert_eq!(status("/?to=a+b", "x-version: v22\r\n").await, 201);
    assert_eq!(status("/?to=abc", "x-version: v3\r\n").await, 201);
    assert_eq!(status("/", "x-version: v3\r\n").await, 201);
}

#[tokio::test]
async fn a_path_is_rewritten_by_an_expression() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        route_with(
            "versions",
            "/v1/*",
            &backend.url(),
            r#""rewrite":{"regex":"/v1/([^/]+)/(.*)","to":"/$2/of/$1"}"#,
        ),
        route_with(
            "base",
            "/base/*",
            &format!("{}/below", backend.url()),
            r#""rewrite":{"regex":"/base(/.*)?","to":"$1"}"#,
        ),
    ]);
    for (sent, forwarded) in [
        ("/v1/users/7?a=b", "/7/of/users?a=b"),
        ("/v1/users", "/v1/users"), // which does not match
        ("/v1/a%20b/%63", "/c/of/a%20b"),
        ("/base/x", "/below/x"),
        ("/base", "/below/"),
    ] {
        assert_eq!(node.get(sent).await.status(), 200, "{sent}");
        assert_eq!(backend.last().target(), forwarded, "{sent}");
    }
}

#[tokio::test]
async fn what_a_client_makes_an_expression_put_together_stays_a_path() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[route_with(
        "files",
        "/files/*",
        &backend.url(),
        r#""rewrite":{"regex":"/files/(.*)-(.*)","to":"/data/.$1$2"}"#,
    )]);
    node.get("/files/.-/etc/passwd").await;
    assert_eq!(
        backend.last().target(),
        "/etc/passwd",
        "no `..` reaches the upstream"
    );
    let refused = node.get("/files/%25-2").await;
    assert_eq!(refused.status(), 200);
    assert_eq!(backend.last().target(), "/data/.%252");
    for path in ["/files/%252F-x%2F", "/files/a-%2Fb"] {
        assert_refused(&node.get(path).await, 400, "encoded_slash", "http_request_error");
    }
}

#[tokio::test]
async fn an_expression_takes_no_longer_than_its_value_is_long() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        route_with("slow", "/*", &backend.url(), r#""match":{"pathRegex":"/(a*)*b"}"#),
        route("rest", "/*", &backend.url()),
    ]);
    // A backtracking matcher would take 2^15000 steps to say no.
    assert_eq!(node.get(&format!("/{}", "a".repeat(15_000))).await.status(), 200);
}
