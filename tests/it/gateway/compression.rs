//! Responses in a shorter form than the upstream gave them.

use std::{io::Read, sync::Arc};

use tokio::sync::Notify;

use super::{Node, route, route_with, settings};
use crate::{
    upstream::{Behaviour, Upstream},
    wire::{Client, Message, read_chunk, read_head},
};

const ON: &str = r#""compression":{"minSize":1000}"#;

/// A text of this many bytes that is a little like itself.
fn text(bytes: usize) -> String {
    let words =
        (0..).map(|number: u64| format!("word {} ", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50));
    let mut text = String::new();
    words
        .take_while(|word| {
            text.push_str(word);
            text.len() < bytes
        })
        .for_each(drop);
    text.truncate(bytes);
    text
}

/// An upstream that sends such a text, with these further fields.
fn sending(body: &str, lines: &str) -> Behaviour {
    let length = body.len();
    Upstream::raw(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n{lines}\r\n{body}"
    ))
}

fn decoded(response: &Message) -> String {
    let body = &*response.body;
    let mut text = String::new();
    match response.header("content-encoding") {
        None => text.push_str(&response.text()),
        Some("gzip") => drop(
            flate2::read::GzDecoder::new(body)
                .read_to_string(&mut text)
                .unwrap(),
        ),
        Some("br") => drop(
            brotli::Decompressor::new(body, 4096)
                .read_to_string(&mut text)
                .unwrap(),
        ),
        Some("zstd") => drop(
            zstd::Decoder::new(body)
                .unwrap()
                .read_to_string(&mut text)
                .unwrap(),
        ),
        Some(other) => panic!("what is {other}?"),
    }
    text
}

async fn ask(node: &Node, method: &str, accepted: &str) -> Message {
    let accepted = format!("accept-encoding: {accepted}\r\n");
    node.ask(&format!("{method} / HTTP/1.1\r\nhost: a\r\n{accepted}\r\n"))
        .await
}

#[tokio::test]
async fn a_client_gets_the_coding_that_it_likes_best() {
    let body = text(100_000);
    let backend = sending(&body, "etag: \"1\"\r\naccept-ranges: bytes\r\nvary: origin\r\n")
        .start()
        .await;
    let node = Node::start(&[route_with("all", "/*", &backend.url(), ON)]);
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, br", Some("br")),
        ("gzip", Some("gzip")),
        ("zstd;q=0.1, gzip;q=0.2", Some("gzip")),
        ("*, zstd;q=0", Some("br")),
        ("identity, gzip;q=0", None),
        ("deflate", None),
    ] {
        let response = ask(&node, "GET", accepted).await;
        assert_eq!(response.header("content-encoding"), coding, "{accepted}");
        assert_eq!(decoded(&response), body, "{accepted}");
        assert_eq!(response.all("vary"), ["origin", "accept-encoding"], "{accepted}");
        let is_coded = coding.is_some();
        assert_eq!(response.body.len() < body.len() / 2, is_coded, "{accepted}");
        assert_eq!(response.header("content-length").is_none(), is_coded);
        assert_eq!(response.header("accept-ranges").is_none(), is_coded);
        assert_eq!(
            response.header("etag"),
            Some(if is_coded { "W/\"1\"" } else { "\"1\"" })
        );
    }
}

#[tokio::test]
async fn nothing_is_compressed_unless_it_is_asked_for() {
    let body = text(10_000);
    let backend = sending(&body, "").start().await;
    let mut node = Node::start(&[route("all", "/*", &backend.url())]);
    let coding = async |node: &Node| {
        let response = ask(node, "GET", "gzip").await;
        assert_eq!(decoded(&response), body);
        response.header("content-encoding").map(str::to_owned)
    };
    assert_eq!(coding(&node).await, None);
    node.change(&[settings(r#"{"compression":{}}"#)]);
    assert_eq!(coding(&node).await.as_deref(), Some("gzip"), "by the settings");
    node.change(&[route_with(
        "all",
        "/*",
        &backend.url(),
        r#""compression":{"enabled":false}"#,
    )]);
    assert_eq!(
        coding(&node).await,
        None,
        "by the route, in spite of the settings"
    );
    node.change(&[settings("{}"), route_with("all", "/*", &backend.url(), ON)]);
    assert_eq!(coding(&node).await.as_deref(), Some("gzip"), "by the route");
}

#[tokio::test]
async fn what_must_stay_as_it_is_stays_as_it_is() {
    let body = text(5_000);
    for (status, lines) in [
        (200, "content-type: text/plain\r\ncontent-encoding: br\r\n"),
        (200, "content-type: text/plain\r\ncache-control: no-transform\r\n"),
        (200, "content-type: text/event-stream\r\n"),
        (200, "content-type: application/grpc\r\n"),
        (200, "content-type: image/png\r\n"),
        (200, ""),
        (
            206,
            "content-type: text/plain\r\ncontent-range: bytes 0-4999/9999\r\n",
        ),
    ] {
        let raw = format!(
            "HTTP/1.1 {status} Fine\r\n{lines}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let backend = Upstream::raw(raw).start().await;
        let node = Node::start(&[route_with("all", "/*", &backend.url(), ON)]);
        let response = ask(&node, "GET", "gzip").await;
        assert_eq!(response.text(), body, "{lines}");
        assert_eq!(response.header("content-length"), Some("5000"), "{lines}");
        assert_eq!(response.all("vary"), [""; 0], "{lines}");
    }
}

#[tokio::test]
async fn what_is_short_is_not_worth_it() {
    for (length, coding) in [(999, None), (1000, Some("gzip"))] {
        let backend = sending(&text(length), "").start().await;
        let node = Node::start(&[route_with("all", "/*", &backend.url(), ON)]);
        let response = ask(&node, "GET", "gzip").await;
        assert_eq!(response.header("content-encoding"), coding, "{length}");
    }
}

#[tokio::test]
async fn the_head_of_a_response_is_the_same_without_its_body() {
    let body = text(5_000);
    let backend = sending(&body, "etag: \"1\"\r\n").start().await;
    let node = Node::start(&[route_with("all", "/*", &backend.url(), ON)]);
    let (head, whole) = (ask(&node, "HEAD", "gzip").await, ask(&node, "GET", "gzip").await);
    for name in [
        "content-encoding",
        "content-length",
        "etag",
        "vary",
        "content-type",
    ] {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
    assert_eq!(head.header("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn an_answer_without_a_body_gets_none() {
    for (status, etag) in [(204, "\"1\""), (304, "W/\"1\"")] {
        let raw = format!("HTTP/1.1 {status} Fine\r\ncontent-type: text/plain\r\netag: \"1\"\r\n\r\n");
        let backend = Upstream::raw(raw).start().await;
        let node = Node::start(&[route_with("all", "/*", &backend.url(), ON)]);
        let response = ask(&node, "GET", "gzip").await;
        assert_eq!((response.status(), response.text()), (status, String::new()));
        assert_eq!(response.header("content-encoding"), None);
        assert_eq!(response.header("etag"), Some(etag), "as the 200 it stands for");
    }
}

#[tokio::test]
async fn a_slow_upstreams_pieces_get_through_when_they_come() {
    for coding in ["gzip", "br", "zstd"] {
        let gate = Arc::new(Notify::new());
        let backend = Upstream::pieces(&["first ", "second ", "third"], &gate)
            .start()
            .await;
        let node = Node::start(&[route_with("all", "/*", &backend.url(), ON)]);
        let mut client = node.client().await;
        client
            .send(format!(
                "GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: {coding}\r\n\r\n"
            ))
            .await;
        let mut stream = Streamed::begin(&mut client, coding).await;
        for so_far in ["first ", "first second ", "first second third"] {
            gate.notify_one(); // the upstream goes on only when the client has all of what came before
            stream.reads(&mut client, so_far).await;
        }
    }
}

/// A compressed response that is read as it comes.
struct Streamed {
    coding: String,
    received: Vec<u8>,
}

impl Streamed {
    async fn begin(client: &mut Client, coding: &str) -> Self {
        let head = read_head(&mut client.0).await.unwrap().expect("a response");
        assert_eq!(head.header("content-encoding"), Some(coding));
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        Self {
            coding: coding.to_owned(),
            received: Vec::new(),
        }
    }

    /// Reads until this much text can be made of what came.
    async fn reads(&mut self, client: &mut Client, text: &str) {
        while self.text() != text {
            assert!(read_chunk(&mut client.0, &mut self.received).await.unwrap());
        }
    }

    fn text(&self) -> String {
        let mut text = vec![0; 1000];
        let mut reader: Box<dyn Read> = match &*self.coding {
            "gzip" => Box::new(flate2::read::GzDecoder::new(&*self.received)),
            "br" => Box::new(brotli::Decompressor::new(&*self.received, 4096)),
            _ => Box::new(zstd::Decoder::new(&*self.received).unwrap()),
        };
        let mut length = 0;
        while let Ok(count @ 1..) = reader.read(&mut text[length..]) {
            length += count; // until the decoder wants what has not come yet
        }
        String::from_utf8(text[..length].to_vec()).unwrap()
    }
}

#[tokio::test]
async fn a_long_body_arrives_whole() {
    let body = text(20_000_000);
    let backend = sending(&body, "").start().await;
    let node = Node::start(&[route_with("all", "/*", &backend.url(), ON)]);
    for coding in ["gzip", "br", "zstd"] {
        assert!(decoded(&ask(&node, "GET", coding).await) == body, "{coding}");
    }
}

#[tokio::test]
async fn trailers_follow_a_compressed_body() {
    let body = text(3_000);
    let raw = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\nx-sum: 7\r\n\r\n",
        body.len()
    );
    let backend = Upstream::raw(raw).start().await;
    let node = Node::start(&[route_with("all", "/*", &backend.url(), ON)]);
    let request =
        "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\naccept-encoding: gzip\r\n\r\n";
    let response = node.ask(request).await;
    assert_eq!(decoded(&response), body);
    assert_eq!(response.trailers, [("x-sum".to_owned(), "7".to_owned())]);
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_compressed_too() {
    let body = text(3_000);
    let raw = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9000\r\n\r\n{body}");
    let backend = Upstream::raw(raw).then_close().start().await;
    let node = Node::start(&[route_with("all", "/*", &backend.url(), ON)]);
    let mut client = node.client().await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n")
        .await;
    let mut stream = Streamed::begin(&mut client, "gzip").await;
    stream.reads(&mut client, &body[..1000]).await;
    assert!(client.is_closed().await, "no last chunk says that it was whole");
}
