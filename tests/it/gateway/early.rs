//! What comes before its time: answers before the request is over, interim answers, and ends of one side.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Node, assert_refused, bare::Bare};
use crate::{upstream::Upstream, wire::read_head};

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_is_over_is_passed_on_and_ends_the_connection() {
    let backend = Bare::listen().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    client
        .send("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nhello")
        .await;
    let mut upstream = backend.asked().await;
    upstream
        .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
        .await
        .unwrap();
    let answer = client.receive("POST").await;
    assert_eq!((answer.status(), &*answer.text()), (403, "no"));
    let mut sent = Vec::new();
    upstream.read_to_end(&mut sent).await.unwrap(); // the connection is of no further use
    assert_eq!(sent, b"hello");
    // Whatever the client goes on to send, it is body and no request.
    client.send("GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn an_upstream_may_answer_piece_by_piece_what_is_sent_piece_by_piece() {
    let backend = Bare::listen().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    client
        .send("POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    let mut upstream = backend.begins_to_answer().await;
    assert!(read_head(&mut client.0).await.unwrap().is_some());
    for piece in ["1\r\na\r\n", "1\r\nb\r\n", "0\r\n\r\n"] {
        let mut seen = vec![0; piece.len()];
        client.send(piece).await;
        upstream.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen, piece.as_bytes());
        upstream.write_all(piece.as_bytes()).await.unwrap();
        client.0.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen, piece.as_bytes());
    }
    client.send("GET /b HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(
        read_head(&mut upstream).await.unwrap().is_some(),
        "both connections go on"
    );
}

#[tokio::test]
async fn an_announced_body_is_not_asked_for_when_the_answer_is_there_already() {
    let backend = Bare::listen().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    client
        .send("POST /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        .await;
    // The connection that is waited for before 100 is there by then; what the upstream thinks of it is not known yet.
    let mut upstream = backend.asked().await;
    assert_eq!(client.receive("POST").await.status(), 100);
    upstream
        .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(client.receive("POST").await.status(), 403);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn interim_answers_of_an_upstream_stay_with_us() {
    let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n\
                 HTTP/1.1 199 Whatever\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    let backend = Upstream::raw(hints).start().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    for _ in 0..2 {
        let answer = client.get("/a", "").await;
        assert_eq!((answer.status(), &*answer.text()), (200, "hi"));
        assert_eq!(answer.header("link"), None);
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_client_that_ends_its_side_is_gone() {
    let backend = Bare::listen().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = backend.asked().await;
    client.0.shutdown().await.unwrap();
    // An end of one side cannot be told from an end of both; and nobody is to work for clients that are gone.
    assert_eq!(upstream.read(&mut [0]).await.unwrap(), 0);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_client_that_ends_its_side_within_its_body_is_told_so() {
    let backend = Bare::listen().await;
    let node = Node::forwarding_to(&backend.url());
    let mut client = node.client().await;
    client
        .send("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel")
        .await;
    let mut upstream = backend.asked().await;
    client.0.shutdown().await.unwrap();
    let mut sent = Vec::new();
    upstream.read_to_end(&mut sent).await.unwrap();
    assert_eq!(sent, b"hel", "and never a whole request");
    assert_refused(
        &client.receive("POST").await,
        400,
        "bad_body",
        "http_request_error",
    );
}
