//! Requests that switch to another protocol.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};

use super::{Node, route, upstream};
use crate::{fixtures::PATIENCE, upstream::Upstream};

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: chat/1\r\n\r\n";
const ASKED: &str =
    "GET /chat HTTP/1.1\r\nhost: shop.test\r\nconnection: keep-alive, Upgrade\r\nupgrade: chat/1\r\n\r\n";

/// Takes one connection, reads its head, and hands it on when it has answered with this.
async fn answering(answer: &'static str) -> (SocketAddr, oneshot::Receiver<(String, TcpStream)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (give, taken) = oneshot::channel();
    #[expect(clippy::disallowed_methods, reason = "ends with its test")]
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        give.send((head, stream)).unwrap();
    });
    (addr, taken)
}

/// Everything up to the empty line.
async fn head(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        text.push(stream.read_u8().await.unwrap().into());
    }
    text
}

async fn exactly(stream: &mut TcpStream, length: usize) -> String {
    let mut bytes = vec![0; length];
    let read = stream.read_exact(&mut bytes);
    timeout(PATIENCE, read).await.expect("bytes").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A tunnel that both sides are in.
async fn switched(answer: &'static str, asked: &str) -> (Node, TcpStream, TcpStream) {
    let (addr, taken) = answering(answer).await;
    let node = Node::forwarding_to(&format!("http://{addr}"));
    let mut client = TcpStream::connect(node.addr()).await.unwrap();
    client.write_all(asked.as_bytes()).await.unwrap();
    let told = head(&mut client).await;
    assert!(told.starts_with("HTTP/1.1 101 "), "{told}");
    assert!(
        told.contains("upgrade: chat/1\r\n") && told.contains("connection: upgrade\r\n"),
        "{told}"
    );
    let (head, upstream) = timeout(PATIENCE, taken).await.expect("a connection").unwrap();
    assert!(
        head.contains("upgrade: chat/1\r\n") && head.contains("connection: upgrade\r\n"),
        "{head}"
    );
    (node, client, upstream)
}

#[tokio::test]
async fn bytes_go_both_ways_until_both_sides_have_ended() {
    let (_node, mut client, mut upstream) = switched(SWITCHED, ASKED).await;
    client.write_all(b"ping").await.unwrap();
    assert_eq!(exactly(&mut upstream, 4).await, "ping");
    upstream.write_all(b"pong").await.unwrap();
    assert_eq!(exactly(&mut client, 4).await, "pong");
    client.shutdown().await.unwrap(); // the upstream may still finish what it has to say
    assert_eq!(upstream.read(&mut [0]).await.unwrap(), 0);
    upstream.write_all(b"bye").await.unwrap();
    drop(upstream);
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "bye");
}

#[tokio::test]
async fn what_comes_together_with_a_head_is_the_first_of_the_tunnel() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: chat/1\r\n\r\nwelcome";
    let (_node, mut client, mut upstream) = switched(answer, &format!("{ASKED}hello")).await;
    assert_eq!(exactly(&mut client, 7).await, "welcome");
    assert_eq!(exactly(&mut upstream, 5).await, "hello");
}

#[tokio::test]
async fn megabytes_go_through_a_tunnel_unchanged() {
    let (_node, client, upstream) = switched(SWITCHED, ASKED).await;
    let (mut client_reads, mut client_writes) = client.into_split();
    let (mut upstream_reads, mut upstream_writes) = upstream.into_split();
    let sent: Vec<u8> = (0..4_000_000_u32)
        .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2])
        .collect();
    let writing = async {
        client_writes.write_all(&sent).await.unwrap();
        client_writes.shutdown().await.unwrap();
    };
    let echoing = async {
        tokio::io::copy(&mut upstream_reads, &mut upstream_writes)
            .await
            .unwrap();
        upstream_writes.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let reading = client_reads.read_to_end(&mut back);
    let all = async { tokio::join!(writing, echoing, reading) };
    timeout(PATIENCE, all).await.expect("the end").2.unwrap();
    assert!(back == sent);
}

#[tokio::test]
async fn an_upstream_that_does_not_switch_answers_as_ever() {
    let upstream = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&upstream.url());
    let mut client = node.client().await;
    assert_eq!(client.ask(ASKED).await.status(), 200);
    assert_eq!(client.get("/", "").await.status(), 200, "the connection goes on");
}

#[tokio::test]
async fn a_switch_to_another_version_of_http_is_not_passed_on() {
    let upstream = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&upstream.url());
    for protocol in ["h2c", "H2C, chat", "HTTP/2.0", "chat, http/3"] {
        let asked = format!(
            "GET / HTTP/1.1\r\nhost: shop.test\r\nconnection: upgrade, http2-settings\r\nupgrade: {protocol}\r\nhttp2-settings: AAMAAABk\r\n\r\n"
        );
        assert_eq!(node.ask(&asked).await.status(), 200, "{protocol}");
    }
    for seen in upstream.seen() {
        assert_eq!(
            [
                seen.header("upgrade"),
                seen.header("connection"),
                seen.header("http2-settings")
            ],
            [None; 3]
        );
    }
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_no_answer() {
    let upstream = Upstream::raw(SWITCHED).start().await;
    let node = Node::forwarding_to(&upstream.url());
    assert_eq!(node.get("/").await.status(), 502);
}

#[tokio::test]
async fn an_upstream_of_http_2_is_not_asked_to_switch() {
    let gate = std::sync::Arc::default();
    let backend = crate::http2::Backend::start(gate).await;
    let events = [
        upstream("api", &backend.url(), r#""protocol":"http2""#),
        route("all", "/*", "api"),
    ];
    let node = Node::start(&events);
    assert_eq!(node.ask(ASKED).await.status(), 200);
    assert!(!backend.seen()[0].headers.contains_key("upgrade"));
}

#[tokio::test]
async fn a_tunnel_ends_with_the_deadline_of_a_drain() {
    let (addr, taken) = answering(SWITCHED).await;
    let mut options = super::options();
    options.drain_deadline = Duration::from_millis(100);
    let node = Node::start_with(options, &[route("all", "/*", &format!("http://{addr}"))]);
    let mut client = TcpStream::connect(node.addr()).await.unwrap();
    client.write_all(ASKED.as_bytes()).await.unwrap();
    head(&mut client).await;
    let (_head, _upstream) = taken.await.unwrap();
    let report = timeout(PATIENCE, node.gateway.drain()).await.expect("the end");
    assert_eq!(report.cut_off, 1);
    assert_eq!(client.read(&mut [0]).await.unwrap_or_default(), 0);
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_is_said_ends() {
    let (addr, taken) = answering(SWITCHED).await;
    let settings = super::settings(r#"{"limits":{"streamTimeout":"200ms"}}"#);
    let node = Node::start(&[settings, route("all", "/*", &format!("http://{addr}"))]);
    let mut client = TcpStream::connect(node.addr()).await.unwrap();
    client.write_all(ASKED.as_bytes()).await.unwrap();
    head(&mut client).await;
    let (_head, upstream) = taken.await.unwrap();
    for mut side in [client, upstream] {
        let end = timeout(PATIENCE, side.read(&mut [0]))
            .await
            .expect("the end")
            .unwrap_or_default();
        assert_eq!(end, 0);
    }
}
