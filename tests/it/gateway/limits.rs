//! How much clients may send, and how long they may take about it.

use std::{num::NonZeroUsize, time::Duration};

use http::{HeaderMap, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Node, assert_refused, options, route, route_with, settings};
use crate::{
    fixtures::{LOOK_AGAIN, refusals},
    http2,
    upstream::Upstream,
};

const CHUNKED: &str = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/// A gateway with these limits and one route, `/*`, to this URL.
fn limited(url: &str, limits: &str) -> Node {
    Node::start(&[
        settings(&format!(r#"{{"limits":{{{limits}}}}}"#)),
        route("all", "/*", url),
    ])
}

fn post(length: usize) -> String {
    format!("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_refused_before_anybody_is_asked() {
    let backend = Upstream::echoing().start().await;
    let node = limited(&backend.url(), r#""maxBodySize":10"#);
    let refused = node.ask(&post(11)).await;
    assert_refused(&refused, 413, "body_too_large", "http_request_error");
    assert_eq!(refused.header("connection"), Some("close"));
    let refused = node
        .ask("POST /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 11\r\n\r\n")
        .await;
    assert_refused(&refused, 413, "body_too_large", "http_request_error");
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_client_that_sends_all_of_its_body_first_learns_that_it_was_too_long() {
    let backend = Upstream::echoing().start().await;
    let node = limited(&backend.url(), r#""maxBodySize":10"#);
    for head in [&*post(4_000_000), CHUNKED] {
        let mut client = node.client().await;
        let chunk = [b"3d0900\r\n", &*vec![b'x'; 4_000_000]].concat();
        client.send(head).await;
        client.send(chunk).await; // and the answer is still there
        assert_refused(
            &client.receive("POST").await,
            413,
            "body_too_large",
            "http_request_error",
        );
        assert!(client.is_closed().await);
    }
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn a_body_is_counted_as_it_comes() {
    let backend = Upstream::echoing().start().await;
    let node = limited(&backend.url(), r#""maxBodySize":10"#);
    let mut client = node.client().await;
    for _ in 0..2 {
        let whole = format!("{CHUNKED}5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n");
        assert_eq!(client.ask(&whole).await.text(), "helloworld");
        assert_eq!(client.ask(&(post(10) + "helloworld")).await.text(), "helloworld");
    }
    let longer = format!("{CHUNKED}5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n");
    let refused = client.ask(&longer).await;
    assert_refused(&refused, 413, "body_too_large", "http_request_error");
    assert!(client.is_closed().await);
    assert_eq!(
        backend.seen().len(),
        4,
        "what is too long reaches nobody in whole"
    );
}

#[tokio::test]
async fn bodies_that_come_over_http_2_are_no_longer_either() {
    let backend = Upstream::echoing().start().await;
    let node = limited(&backend.url(), r#""maxBodySize":5"#);
    let client = http2::Client::connect(node.addr()).await;
    let bodies = [
        (http2::whole("hello"), 200),
        (http2::whole("hello!"), 413),
        (http2::with_trailers(&["hel", "lo"], HeaderMap::new()), 200),
        (http2::with_trailers(&["hello", "!"], HeaderMap::new()), 413),
    ];
    for (body, status) in bodies {
        let request = Request::post("http://a/").body(body).unwrap();
        let answer = client.send(request).await.unwrap();
        assert_eq!(answer.status, status, "{:?}", answer.body);
    }
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test]
async fn a_route_may_take_more_or_less_than_others() {
    let backend = Upstream::echoing().start().await;
    let mut node = Node::start(&[
        settings(r#"{"limits":{"maxBodySize":5}}"#),
        route("all", "/*", &backend.url()),
        route_with("more", "/more", &backend.url(), r#""maxBodySize":"1kb""#),
        route_with("less", "/less", &backend.url(), r#""maxBodySize":2"#),
    ]);
    let ask = async |node: &Node, path: &str| {
        let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
        node.ask(&request).await.status()
    };
    assert_eq!(ask(&node, "/a").await, 200);
    assert_eq!(ask(&node, "/more").await, 200);
    assert_eq!(ask(&node, "/less").await, 413);
    node.change(&[settings(r#"{"limits":{"maxBodySize":4}}"#)]);
    assert_eq!(ask(&node, "/a").await, 413);
    assert_eq!(ask(&node, "/more").await, 200);
    node.change(&[settings("{}")]);
    assert_eq!(ask(&node, "/a").await, 200);
}

#[tokio::test]
async fn targets_and_heads_are_no_longer_than_they_may_be_from_the_next_request_on() {
    let backend = Upstream::replying(200).start().await;
    let mut node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    let long = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert_eq!(client.get(&long(16 * 1024), "").await.status(), 200);
    let refused = client.get(&long(16 * 1024 + 1), "").await;
    assert_refused(&refused, 414, "target_too_long", "http_request_error");

    node.change(&[settings(
        r#"{"limits":{"maxTargetSize":8,"maxFields":3,"maxHeadSize":100}}"#,
    )]);
    assert_eq!(client.get("/a?b=123", "").await.status(), 200);
    let refused = client.get("/a?b=1234", "").await;
    assert_refused(&refused, 414, "target_too_long", "http_request_error");
    assert_eq!(client.get("/", "a: 1\r\nb: 2\r\n").await.status(), 200);
    let refused = client.get("/", "a: 1\r\na: 2\r\na: 3\r\n").await;
    assert_refused(&refused, 431, "head_too_large", "http_request_error");

    let head = "GET / HTTP/1.1\r\nhost: gateway.test\r\n\r\n".len() + "x: \r\n".len();
    let field = |length: usize| format!("x: {}\r\n", "a".repeat(length));
    assert_eq!(client.get("/", &field(100 - head)).await.status(), 200);
    let refused = client.get("/", &field(101 - head)).await;
    assert_refused(&refused, 431, "head_too_large", "http_request_error");
    assert_eq!(backend.seen().len(), 4);
}

#[tokio::test]
async fn a_head_that_takes_too_long_ends_its_connection_and_no_other() {
    let backend = Upstream::replying(200).start().await;
    let node = limited(&backend.url(), r#""headTimeout":50"#);
    let before = refusals("head_timeout");
    let mut silent = node.client().await;
    let mut resting = node.client().await;
    assert_eq!(resting.get("/", "").await.status(), 200);
    let mut slow = node.client().await;
    slow.send("GET / HTTP/1.1\r\nho").await;
    let mut slow_later = node.client().await;
    assert_eq!(slow_later.get("/", "").await.status(), 200);
    slow_later.send("GET / HTTP/1.1\r\nho").await;
    assert!(slow.is_closed().await && slow_later.is_closed().await);
    assert!(refusals("head_timeout") >= before + 2);
    assert_eq!(silent.get("/", "").await.status(), 200);
    assert_eq!(resting.get("/", "").await.status(), 200);
}

#[tokio::test]
async fn a_client_that_pauses_within_its_body_is_refused_and_one_that_is_slow_is_not() {
    let backend = Upstream::echoing().start().await;
    let node = limited(&backend.url(), r#""bodyTimeout":200"#);
    let mut slow = node.client().await;
    slow.send(post(10)).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        slow.send("x").await;
    }
    assert_eq!(slow.receive("POST").await.text(), "xxxxxxxxxx");
    let mut pausing = node.client().await;
    pausing.send(post(10) + "hello").await;
    let refused = pausing.receive("POST").await;
    assert_refused(&refused, 408, "body_timeout", "http_request_error");
    assert!(pausing.is_closed().await);
}

#[tokio::test]
async fn an_answer_that_does_not_go_on_is_broken_off() {
    for half in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let backend = Upstream::raw(half).start().await;
        let node = limited(&backend.url(), r#""streamTimeout":50"#);
        let mut client = node.client().await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut answer = String::new();
        client.0.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.contains("hello") && !answer.ends_with("0\r\n\r\n"),
            "{answer}"
        );
        backend.has_closed(1).await;
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up_and_others_are_served_meanwhile() {
    let (endless, _sent) = Upstream::streaming(100_000, 64 * 1024, true);
    let (endless, quick) = (endless.start().await, Upstream::replying(200).start().await);
    let node = Node::start(&[
        settings(r#"{"limits":{"bodyTimeout":300}}"#),
        route("endless", "/endless", &endless.url()),
        route("quick", "/quick", &quick.url()),
    ]);
    let before = refusals("client_stalled");
    let mut stuck = node.client().await;
    stuck.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut others = node.client().await;
    let others = async {
        while refusals("client_stalled") == before {
            assert_eq!(others.get("/quick", "").await.status(), 200);
        }
    };
    let ((), ()) = tokio::join!(others, endless.has_closed(1));
    let mut rest = Vec::new();
    let ended = stuck.0.read_to_end(&mut rest).await;
    assert!(ended.is_err() || !rest.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn a_client_may_be_as_slow_as_it_likes_while_it_takes_something() {
    const SIZE: usize = 16 * 1024 * 1024;
    let (behaviour, _sent) = Upstream::streaming(SIZE / 4096, 4096, false);
    let backend = behaviour.start().await;
    let node = limited(&backend.url(), r#""bodyTimeout":400"#);
    let mut client = node.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut taken = 0;
    let mut room = vec![0; SIZE / 16];
    while taken < SIZE {
        let read = client.0.read(&mut room).await.unwrap();
        assert_ne!(read, 0, "given up after {taken} bytes");
        taken += read;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_client_has_no_more_connections_than_it_may() {
    let backend = Upstream::replying(200).start().await;
    let mut options = options();
    options.client_connections_max = NonZeroUsize::new(2);
    let mut node = Node::start_with(options, &[route("all", "/*", &backend.url())]);
    let before = refusals("too_many_connections");
    let (mut first, mut second) = (node.client().await, node.client().await);
    assert_eq!(first.get("/", "").await.status(), 200);
    assert_eq!(second.get("/", "").await.status(), 200);
    assert!(node.client().await.is_closed().await);
    assert!(refusals("too_many_connections") > before);
    drop(first);
    loop {
        let mut next = node.client().await;
        let _closed_already = next.0.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        if !next.is_closed().await {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await; // until the gateway has seen that the first is gone
    }
    node.change(&[settings(r#"{"trustedProxies":["127.0.0.0/8"]}"#)]);
    let mut many = Vec::new();
    for _ in 0..5 {
        let mut client = node.client().await;
        assert_eq!(
            client.get("/", "").await.status(),
            200,
            "behind a proxy there are many"
        );
        many.push(client);
    }
}
