//! Which answer a request gets, and from whom.

use flexgate::devstack::free_port;

use super::{Node, assert_refused, route, route_with, settings, upstream};
use crate::{upstream::Upstream, wire::Client};

#[tokio::test]
async fn a_request_is_answered_by_the_upstream_of_its_route() {
    let (users, rest) = (
        Upstream::replying(200).start().await,
        Upstream::replying(201).start().await,
    );
    let node = Node::start(&[
        route("users", "/users/*", &users.url()),
        route("rest", "/*", &rest.url()),
    ]);
    let response = node.get("/users/42?full=yes").await;
    assert_eq!((response.status(), response.text()), (200, "hello".to_owned()));
    assert_eq!(response.header("x-from"), Some("upstream"));
    assert_eq!(users.last().start, "GET /users/42?full=yes HTTP/1.1");
    assert_eq!(node.get("/usersx").await.status(), 201);
}

#[tokio::test]
async fn before_anything_is_published_there_is_no_configuration() {
    let node = Node::start(&[]);
    assert_refused(
        &node.get("/a").await,
        503,
        "no_configuration",
        "proxy_configuration_error",
    );
}

#[tokio::test]
async fn a_path_that_no_route_takes_is_not_found() {
    let node = Node::start(&[route("a", "/a", "http://127.0.0.1:1")]);
    let response = node.get("/b?secret=1").await;
    assert_refused(&response, 404, "route_not_found", "destination_not_found");
    assert_eq!(response.json()["instance"], "/b", "no query in an error");
    assert_eq!(response.json()["revision"], 1);
}

#[tokio::test]
async fn a_method_that_no_route_of_the_path_takes_is_told_which_are() {
    let node = Node::start(&[
        route_with("get", "/a", "http://127.0.0.1:1", r#""methods":["GET"]"#),
        route_with("put", "/a", "http://127.0.0.1:1", r#""methods":["PUT"]"#),
    ]);
    let response = node.ask("DELETE /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_refused(&response, 405, "method_not_allowed", "http_request_error");
    assert_eq!(response.header("allow"), Some("GET, PUT"));
}

#[tokio::test]
async fn a_bad_target_or_host_is_refused() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&backend.url());
    let check = async |request: &str, code: &str| {
        assert_refused(&node.ask(request).await, 400, code, "http_request_error");
    };
    check("GET /a HTTP/1.1\r\n\r\n", "bad_host").await;
    check("GET /a HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", "bad_host").await;
    check("GET /a HTTP/1.1\r\nhost: a b\r\n\r\n", "bad_host").await;
    check("GET /a%zz HTTP/1.1\r\nhost: a\r\n\r\n", "bad_path").await;
    check("GET /a%00 HTTP/1.1\r\nhost: a\r\n\r\n", "bad_path").await;
    check("GET /a%2fb HTTP/1.1\r\nhost: a\r\n\r\n", "encoded_slash").await;
    check(
        "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "bad_transfer_encoding",
    )
    .await;
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn an_encoded_slash_goes_through_where_the_route_takes_it() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[route_with(
        "a",
        "/*",
        &backend.url(),
        r#""allowEncodedSlashes":true"#,
    )]);
    assert_eq!(node.get("/a%2fb").await.status(), 200);
    assert_eq!(backend.last().target(), "/a%2Fb");
}

#[tokio::test]
async fn the_path_is_forwarded_in_the_form_it_was_matched_in() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        route("plain", "/*", &backend.url()),
        route_with("strip", "/strip/*", &backend.url(), r#""stripPath":true"#),
        route_with(
            "rewrite",
            "/users/:id/*",
            &backend.url(),
            r#""rewrite":"/v2/:id/*""#,
        ),
        route("base", "/base/*", &format!("{}/below", backend.url())),
    ]);
    let check = async |sent: &str, forwarded: &str| {
        assert_eq!(node.get(sent).await.status(), 200, "{sent}");
        assert_eq!(backend.last().target(), forwarded, "{sent}");
    };
    check("/a/%2e%2e/%62//c?q=%2e%2e", "/b//c?q=%2e%2e").await;
    check("/strip/a?b", "/a?b").await;
    check("/strip", "/").await;
    check("/users/7/x/y?z", "/v2/7/x/y?z").await;
    check("/base/a?b", "/below/base/a?b").await;
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_no_target() {
    let node = Node::start(&[route("a", "/a", "nobody")]);
    assert_refused(&node.get("/a").await, 503, "no_target", "destination_unavailable");
}

#[tokio::test]
async fn a_refused_connection_is_a_bad_gateway() {
    let port = free_port().unwrap();
    let node = Node::forwarding_to(&format!("http://127.0.0.1:{port}"));
    let response = node.get("/a").await;
    assert_refused(&response, 502, "upstream_refused", "connection_refused");
    assert!(!response.text().contains(&port.to_string()), "no cause in a 5xx");
}

#[tokio::test]
async fn a_response_that_does_not_begin_in_time_times_out() {
    let backend = Upstream::silent().start().await;
    let mut node = Node::start(&[
        upstream("silent", &backend.url(), r#""timeout":40"#),
        route("upstream", "/upstream", "silent"),
        route_with("route", "/route", "silent", r#""timeout":20"#),
        route("settings", "/settings", &backend.url()),
    ]);
    node.change(&[settings(r#"{"timeout":30}"#)]);
    for path in ["/upstream", "/route", "/settings"] {
        assert_refused(
            &node.get(path).await,
            504,
            "upstream_timeout",
            "http_response_timeout",
        );
    }
    backend.has_closed(3).await; // the connections are of no further use
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_bad_gateway() {
    for bytes in [
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ] {
        let backend = Upstream::raw(bytes).start().await;
        let node = Node::forwarding_to(&backend.url());
        assert_refused(
            &node.get("/a").await,
            502,
            "upstream_protocol_error",
            "http_protocol_error",
        );
        backend.has_closed(1).await;
    }
}

#[tokio::test]
async fn an_upstream_that_closes_instead_of_answering_is_a_bad_gateway() {
    let backend = Upstream::raw("").then_close().start().await;
    let node = Node::forwarding_to(&backend.url());
    assert_refused(
        &node.get("/a").await,
        502,
        "upstream_closed",
        "connection_terminated",
    );
}

#[tokio::test]
async fn an_upstreams_own_error_is_not_rewritten() {
    let backend = Upstream::replying(503).start().await;
    let node = Node::forwarding_to(&backend.url());
    let response = node.get("/a").await;
    assert_eq!((response.status(), response.text()), (503, "hello".to_owned()));
    assert_eq!(
        (response.header("proxy-status"), response.header("retry-after")),
        (None, None)
    );
}

#[tokio::test]
async fn a_request_that_was_here_before_is_a_loop() {
    let backend = Upstream::replying(200).start().await;
    let mut node = Node::forwarding_to(&backend.url());
    let own = format!("http://{}", node.addr());
    node.change(&[route("loop", "/loop", &own)]);
    assert_refused(
        &node.get("/loop").await,
        508,
        "proxy_loop_detected",
        "proxy_loop_detected",
    );
}

#[tokio::test]
async fn a_tunnel_is_not_made() {
    let node = Node::forwarding_to("http://127.0.0.1:1");
    let response = node
        .ask("CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\n\r\n")
        .await;
    assert_refused(&response, 501, "connect_not_supported", "http_request_denied");
}

#[tokio::test]
async fn options_of_the_whole_server_reach_the_upstream() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&format!("{}/base", backend.url()));
    assert_eq!(
        node.ask("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").await.status(),
        200
    );
    assert_eq!(backend.last().target(), "*");
}

#[tokio::test]
async fn the_host_of_an_absolute_target_beats_the_field() {
    let (a, b) = (
        Upstream::replying(200).start().await,
        Upstream::replying(201).start().await,
    );
    let node = Node::start(&[
        route_with("a", "/*", &a.url(), r#""host":"a.test""#),
        route_with("b", "/*", &b.url(), r#""host":"b.test","preserveHost":true"#),
    ]);
    assert_eq!(
        node.ask("GET /x HTTP/1.1\r\nhost: A.test:80\r\n\r\n")
            .await
            .status(),
        200
    );
    assert_eq!(
        node.ask("GET http://B.test:81/x HTTP/1.1\r\nhost: a.test\r\n\r\n")
            .await
            .status(),
        201
    );
    let seen = b.last();
    assert_eq!((seen.target(), seen.header("host")), ("/x", Some("B.test:81")));
    assert_eq!(seen.header("x-forwarded-host"), Some("B.test:81"));
}

#[tokio::test]
async fn responses_without_a_body_have_none() {
    let backend = Upstream::raw("HTTP/1.1 204 No Content\r\n\r\n").start().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    for _ in 0..2 {
        let response = client.get("/a", "").await; // a second one shows that the first ended where it should
        assert_eq!(
            (response.status(), response.header("content-length")),
            (204, None)
        );
    }
    let backend = Upstream::raw("HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 5\r\n\r\n")
        .start()
        .await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    for _ in 0..2 {
        assert_eq!(client.get("/a", "").await.status(), 304);
    }
}

#[tokio::test]
async fn the_answer_to_head_has_the_length_and_not_the_body() {
    let backend = Upstream::raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
        .start()
        .await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    for _ in 0..2 {
        let response = client.ask("HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(
            (response.status(), response.header("content-length")),
            (200, Some("5"))
        );
    }
    let refused = client.ask("HEAD /%zz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((refused.status(), refused.body.len()), (400, 0));
}

#[tokio::test]
async fn http_1_0_is_answered_and_needs_no_host() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    let response = client.ask("GET /a HTTP/1.0\r\n\r\n").await;
    assert_eq!((response.status(), response.text()), (200, "hello".to_owned()));
    assert!(client.is_closed().await);
    assert_eq!(backend.last().header("via"), Some("1.0 flexgate-test"));
}

#[tokio::test]
async fn a_head_that_cannot_be_read_closes_the_connection() {
    let node = Node::forwarding_to("http://127.0.0.1:1");
    let mut client = node.client().await;
    assert_eq!(
        client.ask("GET /a HTTP/1.1\r\nbad header\r\n\r\n").await.status(),
        400
    );
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_client_that_sends_no_request_is_not_kept() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        settings(r#"{"limits":{"keepAliveTimeout":50,"headTimeout":50}}"#),
        route("all", "/*", &backend.url()),
    ]);
    let mut silent = node.client().await;
    let mut slow = node.client().await;
    slow.send("GET / HTTP/1.1\r\nho").await;
    let mut done = node.client().await;
    assert_eq!(done.get("/", "").await.status(), 200);
    assert!(silent.is_closed().await && slow.is_closed().await && done.is_closed().await);
}

#[tokio::test]
async fn several_targets_take_turns_by_weight() {
    let (a, b) = (
        Upstream::replying(200).start().await,
        Upstream::replying(200).start().await,
    );
    let upstream = format!(
        r#"{{"name":"both","targets":[{{"url":"{}","weight":3}},{{"url":"{}"}}]}}"#,
        a.url(),
        b.url()
    );
    let upstream = flexgate_schemas::Event::UpstreamCreated(serde_json::from_str(&upstream).unwrap());
    let node = Node::start(&[upstream, route("all", "/*", "both")]);
    let mut client: Client = node.client().await;
    for _ in 0..8 {
        assert_eq!(client.get("/", "").await.status(), 200);
    }
    assert_eq!((a.seen().len(), b.seen().len()), (6, 2));
}
