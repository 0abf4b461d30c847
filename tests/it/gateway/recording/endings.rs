//! Answers that did not reach their end, and whose fault that was.

use std::{sync::Arc, time::Duration};

use flexgate_schemas::outcome::{
    BODY_TOO_LARGE, CLIENT_GONE, CLIENT_STALLED, GATEWAY_GONE, UPSTREAM_GONE, UPSTREAM_STALLED,
};
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{Recorded, Recording};
use crate::{
    gateway::{bare::Bare, options, route, route_with, settings, upstream},
    http2::{self, Backend},
    upstream::Upstream,
    wire::{Client, read_head},
};

fn ending(recorded: &Recorded) -> (Option<u16>, Option<&'static str>) {
    let [row] = &*recorded.rows else {
        panic!("one row, not {}", recorded.rows.len())
    };
    (row.outcome.status, row.outcome.error)
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_the_answer_is_gone() {
    let (backend, _) = Upstream::streaming(1000, 100_000, true);
    let backend = backend.start().await;
    let recording = Recording::of(&[route("all", "/*", &backend.url())]);
    let mut client = recording.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.0.read_exact(&mut [0; 1000]).await.unwrap();
    drop(client);
    backend.has_closed(1).await;
    assert_eq!(ending(&recording.over().await), (Some(200), Some(CLIENT_GONE)));
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_an_answer_has_no_status() {
    let backend = Upstream::silent().start().await;
    let recording = Recording::of(&[route("all", "/*", &backend.url())]);
    let mut client = recording.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    while backend.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(client);
    backend.has_closed(1).await;
    assert_eq!(ending(&recording.over().await), (None, Some(CLIENT_GONE)));
}

#[tokio::test]
async fn an_upstream_that_breaks_off_is_gone() {
    let backend = Upstream::raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").then_close();
    let backend = backend.start().await;
    let recording = Recording::of(&[route("all", "/*", &backend.url())]);
    let mut client = recording.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(client.is_closed().await);
    let recorded = recording.over().await;
    assert_eq!(ending(&recorded), (Some(200), Some(UPSTREAM_GONE)));
    assert_eq!(recorded.rows[0].outcome.bytes_out, 5);
}

#[tokio::test]
async fn an_upstream_that_pauses_for_too_long_has_stalled() {
    let backend = Upstream::raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
    let backend = backend.start().await;
    let recording = Recording::of(&[
        settings(r#"{"limits":{"streamTimeout":50}}"#),
        route("all", "/*", &backend.url()),
    ]);
    let mut client = recording.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(client.is_closed().await);
    assert_eq!(
        ending(&recording.over().await),
        (Some(200), Some(UPSTREAM_STALLED))
    );
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_too_long_has_stalled() {
    let (backend, _) = Upstream::streaming(1000, 100_000, true);
    let backend = backend.start().await;
    let recording = Recording::of(&[
        settings(r#"{"limits":{"bodyTimeout":50}}"#),
        route("all", "/*", &backend.url()),
    ]);
    let mut client = recording.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    backend.has_closed(1).await;
    assert_eq!(ending(&recording.over().await), (Some(200), Some(CLIENT_STALLED)));
}

/// A client that is answered in the middle of its body, by an upstream that does not go on; and the upstream's connection.
async fn answered_early(limits: &str) -> (Recording, Client, BufReader<TcpStream>) {
    let backend = Bare::listen().await;
    let recording = Recording::of(&[
        settings(&format!(r#"{{"limits":{{{limits}}}}}"#)),
        route("all", "/*", &backend.url()),
    ]);
    let mut client = recording.client().await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await;
    let upstream = backend.begins_to_answer().await;
    read_head(&mut client.0)
        .await
        .unwrap()
        .expect("the beginning of an answer");
    (recording, client, upstream)
}

#[tokio::test]
async fn a_client_that_owes_the_rest_of_its_body_while_the_upstream_waits_has_stalled() {
    let (recording, mut client, _upstream) = answered_early(r#""bodyTimeout":50"#).await;
    assert!(client.is_closed().await);
    assert_eq!(ending(&recording.over().await), (Some(200), Some(CLIENT_STALLED)));
}

#[tokio::test]
async fn a_body_that_becomes_too_long_after_the_answer_has_begun_is_no_fault_of_the_upstream() {
    let (recording, mut client, _upstream) = answered_early(r#""maxBodySize":5"#).await;
    client.send("1\r\n!\r\n").await;
    assert!(client.is_closed().await);
    assert_eq!(ending(&recording.over().await), (Some(200), Some(BODY_TOO_LARGE)));
}

#[tokio::test]
async fn a_body_that_is_too_long_is_recorded_as_refused() {
    let recording = Recording::of(&[route_with(
        "all",
        "/*",
        "http://127.0.0.1:1",
        r#""maxBodySize":5"#,
    )]);
    let answer = recording
        .ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\n")
        .await;
    assert_eq!(answer.status(), 413);
    let recorded = recording.over().await;
    assert_eq!(ending(&recorded), (Some(413), None));
    let outcome = &recorded.rows[0].outcome;
    assert_eq!(
        (outcome.refused, outcome.route),
        (Some("body_too_large"), Some("all"))
    );
}

#[tokio::test]
async fn a_request_that_is_cut_off_at_the_deadline_is_the_gateways_fault() {
    let backend = Upstream::silent().start().await;
    let mut options = options();
    options.drain_deadline = Duration::ZERO;
    let recording = Recording::with(options, &[route("all", "/*", &backend.url())]);
    let mut client = recording.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    while backend.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(ending(&recording.over().await), (None, Some(GATEWAY_GONE)));
}

#[tokio::test]
async fn an_answer_is_whole_however_it_ends() {
    let answers = [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
    ];
    for answer in answers {
        let backend = Upstream::raw(answer).start().await;
        let recording = Recording::of(&[route("all", "/*", &backend.url())]);
        recording.client().await.get("/", "te: trailers\r\n").await;
        let (_, error) = ending(&recording.over().await);
        assert_eq!(error, None, "{answer}");
    }
    let until_close = Upstream::raw("HTTP/1.1 200 OK\r\n\r\nhello").then_close();
    let backend = until_close.start().await;
    let recording = Recording::of(&[route("all", "/*", &backend.url())]);
    recording.get("/").await;
    assert_eq!(ending(&recording.over().await), (Some(200), None));
}

#[tokio::test]
async fn the_answer_to_head_is_whole_without_a_body() {
    for (path, status) in [("/", 200), ("/%zz", 400)] {
        let backend = Upstream::raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
            .start()
            .await;
        let recording = Recording::of(&[route("all", "/*", &backend.url())]);
        recording
            .ask(&format!("HEAD {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .await;
        assert_eq!(ending(&recording.over().await), (Some(status), None));
    }
}

#[tokio::test]
async fn a_tunnel_is_recorded_when_it_is_over_with_the_bytes_of_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let recording = Recording::of(&[route("all", "/*", &url)]);
    let mut client = recording.client().await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\nhello")
        .await;
    let (upstream, _) = listener.accept().await.unwrap();
    let mut upstream = BufReader::new(upstream);
    read_head(&mut upstream).await.unwrap().expect("a request");
    let switched = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\nwelcome";
    upstream.write_all(switched.as_bytes()).await.unwrap();
    assert_eq!(client.receive("GET").await.status(), 101);
    client.0.read_exact(&mut [0; 7]).await.unwrap();
    let mut said = Vec::new();
    client.0.get_mut().shutdown().await.unwrap();
    upstream.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"hello");
    drop(upstream);
    assert!(client.is_closed().await);
    let recorded = recording.over().await;
    assert_eq!(ending(&recorded), (Some(101), None));
    let outcome = &recorded.rows[0].outcome;
    assert_eq!((outcome.bytes_in, outcome.bytes_out), (5, 7));
}

#[tokio::test]
async fn each_request_of_an_http_2_connection_is_recorded() {
    let backend = Backend::start(Arc::default()).await;
    let events = [
        upstream("api", &backend.url(), r#""protocol":"http2""#),
        route("all", "/*", "api"),
    ];
    let recording = Recording::of(&events);
    let client = http2::Client::connect(recording.addr()).await;
    for _ in 0..3 {
        let request = Request::post("http://shop.test/a")
            .body(http2::whole("hello"))
            .unwrap();
        client.send(request).await.unwrap();
    }
    let recorded = recording.over().await;
    assert_eq!(recorded.rows.len(), 3);
    for row in &recorded.rows {
        let outcome = &row.outcome;
        assert_eq!((outcome.host, outcome.path), (Some("shop.test"), "/a"));
        assert_eq!((outcome.status, outcome.error), (Some(200), None));
        assert_eq!((outcome.bytes_in, outcome.bytes_out, outcome.attempts), (5, 5, 1));
    }
}
