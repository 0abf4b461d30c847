//! Bodies on their way through, in both directions.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    time::timeout,
};

use super::{Node, assert_refused, route, route_with, upstream};
use crate::{
    fixtures::PATIENCE,
    upstream::{Upstream, piece},
    wire::read_head,
};

/// Some megabytes that are nowhere like themselves.
fn megabytes() -> Vec<u8> {
    (0..400).flat_map(|number| piece(number, 10_007)).collect()
}

#[tokio::test]
async fn a_body_with_a_length_arrives_unaltered_in_both_directions() {
    let backend = Upstream::echoing().start().await;
    let node = Node::forwarding_to(&backend.url());
    let (body, mut client) = (megabytes(), node.client().await);
    for _ in 0..2 {
        client
            .send(format!(
                "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
                body.len()
            ))
            .await;
        client.send(&body).await;
        let response = client.receive("POST").await;
        assert_eq!(response.header("content-length"), Some(&*body.len().to_string()));
        assert!(response.body == body && backend.last().body == body);
        assert_eq!(backend.last().header("transfer-encoding"), None);
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_chunked_body_arrives_unaltered_in_both_directions() {
    let backend = Upstream::echoing().start().await;
    let node = Node::forwarding_to(&backend.url());
    let (body, mut client) = (megabytes(), node.client().await);
    for method in ["POST", "GET"] {
        client
            .send(format!(
                "{method} /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            ))
            .await;
        for piece in body.chunks(33_333) {
            client.send(format!("{:x}\r\n", piece.len())).await;
            client.send(piece).await;
            client.send("\r\n").await;
        }
        client.send("0\r\n\r\n").await;
        let response = client.receive(method).await;
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert!(response.body == body && backend.last().body == body);
        assert_eq!(backend.last().header("content-length"), None);
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_length_beside_chunks_is_never_forwarded() {
    let backend = Upstream::echoing().start().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    let request = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(client.ask(request).await.text(), "hello");
    assert_eq!(backend.last().header("content-length"), None);
    assert!(client.is_closed().await);

    let both =
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let backend = Upstream::raw(both).start().await;
    let response = Node::forwarding_to(&backend.url()).get("/").await;
    assert_eq!(
        (response.header("content-length"), response.text()),
        (None, "hello".to_owned())
    );
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_passed_on() {
    let backend = Upstream::raw("HTTP/1.1 200 OK\r\n\r\nuntil the end")
        .then_close()
        .start()
        .await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    for _ in 0..2 {
        assert_eq!(client.get("/", "").await.text(), "until the end");
    }
}

#[tokio::test]
async fn a_body_that_ends_early_ends_the_clients_connection() {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let backend = Upstream::raw(bytes).then_close().start().await;
        let node = Node::forwarding_to(&backend.url());
        let mut client = node.client().await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut text = String::new();
        client.0.read_to_string(&mut text).await.unwrap();
        assert!(text.contains("half") && !text.ends_with("0\r\n\r\n"), "{text}");
    }
}

#[tokio::test]
async fn declared_trailers_pass() {
    let trailing = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n";
    let backend = Upstream::raw(trailing).start().await;
    let node = Node::forwarding_to(&backend.url());
    let response = node
        .client()
        .await
        .get("/", "te: trailers\r\nconnection: te\r\n")
        .await;
    assert_eq!(response.text(), "hi");
    assert_eq!(response.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    assert_eq!(
        (backend.last().header("te"), backend.last().header("connection")),
        (Some("trailers"), Some("te"))
    );
}

#[tokio::test]
async fn declared_trailers_of_a_request_pass_and_others_do_not() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&backend.url());
    let request = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, content-length\r\n\r\n\
                   2\r\nhi\r\n0\r\nx-sum: 7\r\ncontent-length: 9\r\nx-other: 1\r\n\r\n";
    assert_eq!(node.ask(request).await.status(), 200);
    assert_eq!(backend.last().trailers, [("x-sum".to_owned(), "7".to_owned())]);
}

#[tokio::test]
async fn a_slow_client_slows_the_upstream_down() {
    const SIZE: usize = 64 * 1024;
    const PIECES: usize = 1536;
    for chunked in [false, true] {
        let (behaviour, mut sent) = Upstream::streaming(PIECES, SIZE, chunked);
        let backend = behaviour.start().await;
        let node = Node::forwarding_to(&backend.url());
        let mut client = node.client().await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        // The client does not read: the upstream must come to a halt, with no more under way than the kernel's buffers
        // and two small ones of ours take.
        while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(500), sent.changed()).await {}
        let under_way = *sent.borrow();
        assert!(under_way < PIECES * SIZE / 2, "{under_way} bytes are under way");
        let response = client.receive("GET").await;
        assert_eq!(response.body.len(), PIECES * SIZE);
        let pieces = response.body.chunks(SIZE).enumerate();
        pieces.for_each(|(number, bytes)| assert!(bytes == piece(number, SIZE), "piece {number}"));
    }
}

#[tokio::test]
async fn a_slow_upstream_slows_the_client_down() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = Node::forwarding_to(&format!("http://{}", listener.local_addr().unwrap()));
    let mut client = node.client().await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n")
        .await;
    let (mut backend, _) = listener.accept().await.unwrap(); // and does not read
    let block = vec![7; 64 * 1024];
    let mut written = 0_usize;
    loop {
        match tokio::time::timeout(Duration::from_millis(500), client.0.get_ref().writable()).await {
            Ok(ready) => ready.unwrap(),
            Err(_) => break,
        }
        written += client.0.get_ref().try_write(&block).unwrap_or_default();
        assert!(written < 100_000_000, "the gateway swallowed {written} bytes");
    }
    let mut read = vec![0; 64 * 1024];
    assert!(backend.read(&mut read).await.unwrap() > 0);
}

#[tokio::test]
async fn a_client_is_told_to_go_on_once_there_is_an_upstream() {
    let backend = Upstream::echoing().start().await;
    let node = Node::start(&[
        route("up", "/up", &backend.url()),
        route("down", "/down", "http://127.0.0.1:1"),
    ]);
    let head = |path| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
    };
    let mut client = node.client().await;
    client.send(head("/up")).await;
    assert_eq!(client.receive("POST").await.status(), 100);
    client.send("hello").await;
    assert_eq!(client.receive("POST").await.text(), "hello");
    assert_eq!(backend.last().header("expect"), None);

    let refused = node.ask(&head("/down")).await; // and not 100
    assert_refused(&refused, 502, "upstream_refused", "connection_refused");
}

#[tokio::test]
async fn what_is_no_body_is_the_clients_fault() {
    let backend = Upstream::echoing().start().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    let request =
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n";
    assert_refused(&client.ask(request).await, 400, "bad_body", "http_request_error");
    assert!(client.is_closed().await);
    backend.has_closed(1).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_the_clients_fault() {
    let backend = Upstream::echoing().start().await;
    let node = Node::start(&[
        upstream("u", &backend.url(), ""),
        route_with("a", "/*", "u", r#""timeout":50"#),
    ]);
    let response = node
        .ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel")
        .await;
    assert_refused(&response, 408, "body_timeout", "http_request_error");
}

#[tokio::test]
async fn an_upload_may_take_longer_than_the_answer_to_it() {
    let backend = Upstream::echoing().start().await;
    let node = Node::start(&[route_with("a", "/*", &backend.url(), r#""timeout":400"#)]);
    let mut client = node.client().await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n")
        .await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send("x").await;
    }
    assert_eq!(client.receive("POST").await.text(), "xxxxxxxxxx");
}

#[tokio::test]
async fn an_upstream_hears_that_its_client_went_away() {
    let (behaviour, sent) = Upstream::streaming(1_000_000, 1000, true);
    let backend = behaviour.start().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.0.read_exact(&mut [0; 1000]).await.unwrap();
    drop(client);
    backend.has_closed(1).await;
    assert!(*sent.borrow() < 1_000_000_000);
}

#[tokio::test]
async fn events_of_a_stream_arrive_one_by_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = Node::forwarding_to(&format!("http://{}", listener.local_addr().unwrap()));
    let mut client = node.client().await;
    client.send("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let (upstream, _) = listener.accept().await.unwrap();
    let mut upstream = BufReader::new(upstream);
    read_head(&mut upstream).await.unwrap().expect("a request");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    upstream.write_all(head.as_bytes()).await.unwrap();
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        client.0.read_line(&mut line).await.unwrap();
    }
    for number in 0..5 {
        // The next one is only sent when this one has arrived.
        let event = format!("data: {number}\n\n");
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        upstream.write_all(chunk.as_bytes()).await.unwrap();
        let mut arrived = vec![0; chunk.len()];
        let arriving = client.0.read_exact(&mut arrived);
        timeout(PATIENCE, arriving).await.expect("an event").unwrap();
        assert_eq!(String::from_utf8(arrived).unwrap(), chunk);
    }
}
