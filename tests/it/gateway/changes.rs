//! A new configuration while requests are under way.

use std::sync::Arc;

use flexgate::domain::Changed;
use flexgate_schemas::{Event, event::RouteDeleted};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::TcpListener,
    sync::Notify,
};

use super::{Node, assert_refused, connecting::FullQueue, route, route_with, settings, upstream};
use crate::{upstream::Upstream, wire::read_head};

#[tokio::test]
async fn the_next_request_follows_an_edit_and_the_one_under_way_does_not() {
    let gate = Arc::new(Notify::new());
    let old = Upstream::replying(200).gated(&gate).start().await;
    let new = Upstream::replying(201).start().await;
    let mut node = Node::forwarding_to(&old.url());
    let mut under_way = node.client().await;
    under_way.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    while old.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    node.change(&[route("all", "/*", &new.url())]);
    assert_eq!(node.get("/").await.status(), 201);
    gate.notify_one();
    assert_eq!(under_way.receive("GET").await.status(), 200);
    assert_eq!(under_way.get("/", "").await.status(), 201);
}

#[tokio::test]
async fn connections_survive_edits() {
    let backend = Upstream::replying(200).start().await;
    let mut node = Node::start(&[upstream("u", &backend.url(), ""), route("all", "/*", "u")]);
    assert_eq!(node.get("/").await.status(), 200);
    node.change(&[upstream(
        "u",
        &format!("{}/v2", backend.url()),
        r#""timeout":1000"#,
    )]);
    node.change(&[route_with("all", "/*", "u", r#""priority":5"#)]);
    assert_eq!(node.get("/").await.status(), 200);
    node.published.publish(&node.state, &Changed::All, 1, 9);
    assert_eq!(node.get("/").await.status(), 200);
    assert_eq!(backend.last().target(), "/v2/");
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn settings_of_everything_hold_from_the_next_request_on() {
    let backend = Upstream::replying(200).start().await;
    let silent = Upstream::replying(200)
        .gated(&Arc::new(Notify::new()))
        .start()
        .await;
    let mut node = Node::start(&[
        route("all", "/*", &backend.url()),
        route("silent", "/silent", &silent.url()),
    ]);
    let mut client = node.client().await;
    let mut forwarded_for = async |node: &Node| {
        client.get("/", "x-forwarded-for: 1.2.3.4\r\n").await;
        assert_eq!(node.get("/").await.status(), 200);
        let seen = backend.seen();
        let first = &seen[seen.len() - 2];
        let values = ["x-forwarded-for", "forwarded"].map(|name| first.header(name).map(str::to_owned));
        (values[0].clone().unwrap(), values[1].is_some())
    };
    assert_eq!(forwarded_for(&node).await, ("127.0.0.1".to_owned(), false));
    node.change(&[settings(r#"{"trustedProxies":["127.0.0.1"],"forwarded":true}"#)]);
    assert_eq!(
        forwarded_for(&node).await,
        ("1.2.3.4, 127.0.0.1".to_owned(), true)
    );
    node.change(&[settings(r#"{"timeout":20,"access":{"deny":["192.0.2.1"]}}"#)]);
    assert_eq!(forwarded_for(&node).await, ("127.0.0.1".to_owned(), false));

    assert_eq!(node.get("/silent").await.status(), 504);
    node.change(&[settings(r#"{"limits":{"maxBodySize":1}}"#)]);
    let mut client = node.client().await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab")
        .await;
    assert_eq!(client.receive("POST").await.status(), 413);
    node.change(&[settings(r#"{"access":{"deny":["127.0.0.1"]}}"#)]);
    assert_eq!(node.get("/").await.status(), 403);
    node.change(&[settings("{}")]);
    assert_eq!(node.get("/").await.status(), 200);
}

#[tokio::test]
async fn a_longer_time_to_connect_holds_from_the_next_request_on() {
    let full = FullQueue::new();
    let mut node = Node::start(&[route("all", "/*", &format!("http://{}", full.addr))]);
    node.change(&[settings(r#"{"connectTimeout":30}"#)]);
    assert_refused(
        &node.get("/").await,
        504,
        "upstream_connect_timeout",
        "connection_timeout",
    );
    node.change(&[settings(r#"{"connectTimeout":60000}"#)]);
    // The handshake is answered when it is tried again, a second later.
    let listener = std::net::TcpListener::from(full.socket.try_clone().unwrap());
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let serving = async {
        let mut queued = Vec::new();
        for _ in 0..full.length {
            queued.push(listener.accept().await.unwrap());
        }
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        read_head(&mut stream).await.unwrap();
        let answer = b"HTTP/1.1 200 Fine\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        response = node.get("/") => assert_eq!(response.status(), 200),
        () = serving => {}
    }
}

#[tokio::test]
async fn a_deleted_route_takes_nothing_any_more() {
    let backend = Upstream::replying(200).start().await;
    let mut node = Node::start(&[route("a", "/a", &backend.url()), route("b", "/b", &backend.url())]);
    assert_eq!(node.get("/a").await.status(), 200);
    node.change(&[Event::RouteDeleted(RouteDeleted {
        id: "a".parse().unwrap(),
    })]);
    let response = node.get("/a").await;
    assert_refused(&response, 404, "route_not_found", "destination_not_found");
    assert_eq!(response.json()["revision"], 2);
    node.change(&[route_with("b", "/b", &backend.url(), r#""enabled":false"#)]);
    assert_eq!(node.get("/b").await.status(), 404);
}

#[tokio::test]
async fn an_edit_is_as_good_as_building_everything_anew() {
    let (a, b) = (
        Upstream::replying(200).start().await,
        Upstream::replying(201).start().await,
    );
    let mut node = Node::start(&[
        upstream("u", &a.url(), ""),
        route("one", "/one", "u"),
        route("two", "/two", "u"),
    ]);
    node.change(&[upstream("u", &b.url(), "")]);
    node.change(&[route("two", "/zwei", "u"), route("three", "/three", &a.url())]);
    let answers = async |node: &Node| {
        let mut answers = Vec::new();
        for path in ["/one", "/two", "/zwei", "/three"] {
            answers.push(node.get(path).await.status());
        }
        answers
    };
    let incremental = answers(&node).await;
    assert_eq!(incremental, [201, 404, 201, 200]);
    node.published
        .publish(&node.state, &Changed::All, 1, node.revision);
    assert_eq!(answers(&node).await, incremental);
}

#[tokio::test]
async fn one_edit_among_many_routes_costs_little() {
    let mut node = Node::start(&[]);
    let routes: Vec<_> = (0..20_000)
        .map(|n| route(&format!("r{n}"), &format!("/{n}/*"), "http://127.0.0.1:1"))
        .collect();
    node.change(&routes);
    let whole = std::time::Instant::now();
    node.published
        .publish(&node.state, &Changed::All, 1, node.revision);
    let whole = whole.elapsed();
    let edits = std::time::Instant::now();
    for n in 0..100 {
        node.change(&[route(
            &format!("r{n}"),
            &format!("/edited/{n}"),
            "http://127.0.0.1:1",
        )]);
    }
    let one = edits.elapsed() / 100;
    assert!(one < whole / 50, "one edit {one:?}, everything {whole:?}");
    assert_eq!(node.get("/7/x").await.status(), 404);
    assert_eq!(node.get("/edited/7").await.status(), 502);
}
