//! HTTP/2 from clients and to upstreams, with prior knowledge.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request, StatusCode};
use tokio::{sync::Notify, time::timeout};

use super::{Node, route, upstream};
use crate::{
    fixtures::PATIENCE,
    http2::{Backend, Client, whole, with_trailers},
    upstream::Upstream,
};

/// A gateway in front of a backend that speaks HTTP/2.
async fn in_front_of_http2() -> (Node, Backend, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    let backend = Backend::start(Arc::clone(&gate)).await;
    let events = [
        upstream("api", &backend.url(), r#""protocol":"http2""#),
        route("all", "/*", "api"),
    ];
    (Node::start(&events), backend, gate)
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().unwrap(), "42".parse().unwrap())])
}

#[tokio::test]
async fn a_request_in_http_2_reaches_an_upstream_of_http_1() {
    let upstream = Upstream::echoing().start().await;
    let node = Node::forwarding_to(&upstream.url());
    let client = Client::connect(node.addr()).await;
    let request = Request::post("http://shop.test/orders?x=1")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .body(whole("hello"))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"hello"[..]));
    let seen = &upstream.seen()[0];
    assert_eq!(seen.start, "POST /orders?x=1 HTTP/1.1");
    assert_eq!(seen.header("host"), Some(&*upstream.addr().to_string()));
    assert_eq!(seen.header("x-forwarded-host"), Some("shop.test"));
    assert_eq!(seen.header("cookie"), Some("a=1; b=2"));
    assert_eq!(
        (seen.header("te"), seen.header("connection")),
        (Some("trailers"), Some("te"))
    );
    assert_eq!(seen.header("via"), Some("2 flexgate-test"));
}

#[tokio::test]
async fn a_body_of_unknown_length_is_chunked_on_its_way_to_http_1() {
    let upstream = Upstream::echoing().start().await;
    let node = Node::forwarding_to(&upstream.url());
    let request = Request::post("http://shop.test/")
        .header("trailer", "x-sum")
        .body(with_trailers(&["one, ", "two"], trailers()))
        .unwrap();
    let answer = Client::connect(node.addr()).await.send(request).await.unwrap();
    assert_eq!(&*answer.body, b"one, two");
    let seen = &upstream.seen()[0];
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "42".to_owned())]);
}

#[tokio::test]
async fn requests_of_one_connection_do_not_wait_for_each_other() {
    let (node, _backend, gate) = in_front_of_http2().await;
    let client = Client::connect(node.addr()).await;
    let held = client.get("/held");
    let others = async {
        for _ in 0..20 {
            assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
        }
        gate.notify_one();
    };
    let (held, ()) = tokio::join!(held, others);
    assert_eq!(held.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn an_upstream_of_http_2_is_asked_over_one_connection() {
    let (node, backend, _gate) = in_front_of_http2().await;
    let client = Client::connect(node.addr()).await;
    assert_eq!(client.get("/first").await.unwrap().status, StatusCode::OK);
    let many = (0..50).map(|_| client.get("/"));
    for answer in futures_util::future::join_all(many).await {
        assert_eq!(answer.unwrap().status, StatusCode::OK);
    }
    assert_eq!(backend.connections(), 1);
    let first = &backend.seen()[0];
    assert_eq!(first.uri.to_string(), format!("{}/first", backend.url()));
    assert!(!first.headers.contains_key("host") && !first.headers.contains_key("connection"));
}

#[tokio::test]
async fn more_requests_than_one_connection_takes_go_over_another() {
    let (node, backend, gate) = in_front_of_http2().await;
    let clients = [
        Client::connect(node.addr()).await,
        Client::connect(node.addr()).await,
    ];
    let held = (0..120).map(|n| clients[n % 2].get("/held"));
    let all = futures_util::future::join_all(held);
    let opened = async {
        while backend.seen().len() < 120 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(backend.connections() > 1, "{}", backend.connections());
        for _ in 0..120 {
            gate.notify_one();
            tokio::task::yield_now().await;
        }
        gate.notify_waiters();
    };
    let both = async { tokio::join!(all, opened) };
    let (answers, ()) = timeout(PATIENCE, both).await.expect("all answers");
    assert!(
        answers
            .into_iter()
            .all(|answer| answer.unwrap().status == StatusCode::OK)
    );
}

#[tokio::test]
async fn bodies_and_trailers_pass_from_http_2_to_http_2() {
    let (node, _backend, _gate) = in_front_of_http2().await;
    let client = Client::connect(node.addr()).await;
    let request = Request::post("http://shop.test/")
        .body(with_trailers(&["one, ", "two"], trailers()))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!(
        (&*answer.body, &answer.trailers["x-sum"]),
        (&b"one, two"[..], &"42".parse::<http::HeaderValue>().unwrap())
    );
    let large = vec![7; 3_000_000];
    let request = Request::post("http://shop.test/")
        .body(whole(large.clone()))
        .unwrap();
    assert!(client.send(request).await.unwrap().body == large);
}

#[tokio::test]
async fn a_client_of_http_1_is_answered_by_an_upstream_of_http_2() {
    let (node, backend, _gate) = in_front_of_http2().await;
    let response = node
        .ask("POST /a HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .await;
    assert_eq!((response.status(), &*response.text()), (200, "abc"));
    assert!(!backend.seen()[0].headers.contains_key("transfer-encoding"));
}

#[tokio::test]
async fn an_authority_and_a_host_that_differ_are_refused() {
    let upstream = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&upstream.url());
    let request = Request::get("http://shop.test/")
        .header("host", "other.test")
        .body(whole(""))
        .unwrap();
    let answer = Client::connect(node.addr()).await.send(request).await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_refusal_is_told_as_in_http_1() {
    let node = Node::start(&[route("a", "/a", "http://127.0.0.1:9")]);
    let answer = Client::connect(node.addr()).await.get("/b").await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert!(answer.headers.contains_key("x-correlation-id"));
}

#[tokio::test]
async fn a_target_that_has_changed_is_asked_over_a_connection_of_its_own() {
    let gate = Arc::new(Notify::new());
    let backend = Backend::start(Arc::clone(&gate)).await;
    let events = [
        upstream("api", &backend.url(), r#""protocol":"http2""#),
        route("all", "/*", "api"),
    ];
    let mut node = Node::start(&events);
    let client = Client::connect(node.addr()).await;
    assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
    let other = Backend::start(gate).await;
    let moved = format!(r#"{{"name":"api","url":"{}","protocol":"http2"}}"#, other.url());
    node.change(&[flexgate_schemas::Event::UpstreamUpdated(
        serde_json::from_str(&moved).unwrap(),
    )]);
    assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
    assert_eq!((backend.connections(), other.connections()), (1, 1));
}

#[tokio::test]
async fn an_upstream_that_broke_its_connection_is_asked_over_a_new_one() {
    let (node, backend, _gate) = in_front_of_http2().await;
    let client = Client::connect(node.addr()).await;
    assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
    backend.break_connections();
    // The first may meet the break; it is refused as any request is whose upstream goes away.
    let met = client.get("/").await.unwrap().status;
    assert!([StatusCode::OK, StatusCode::BAD_GATEWAY].contains(&met), "{met}");
    assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_draining_gateway_finishes_what_a_connection_has_and_takes_no_more() {
    let (node, backend, gate) = in_front_of_http2().await;
    let client = Client::connect(node.addr()).await;
    let in_flight = client.clone();
    let held = async move { in_flight.get("/held").await };
    let drained = async {
        while backend.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let draining = node.gateway.drain();
        let open_later = async {
            tokio::time::sleep(Duration::from_millis(100)).await; // the gateway says GOAWAY meanwhile
            gate.notify_one();
        };
        tokio::join!(draining, open_later).0
    };
    let both = async { tokio::join!(held, drained) };
    let (answer, report) = timeout(PATIENCE, both).await.expect("the end");
    assert_eq!(answer.unwrap().status, StatusCode::OK);
    assert_eq!((report.served, report.cut_off), (1, 0));
    while !client.is_closed() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
