//! Connections to upstreams: kept, used again, and given up.

use std::time::Duration;

use super::{Node, assert_refused, route, upstream};
use crate::upstream::Upstream;

#[tokio::test]
async fn a_connection_is_used_again_whoever_the_client_is() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::forwarding_to(&backend.url());
    for _ in 0..3 {
        assert_eq!(node.get("/").await.status(), 200);
    }
    assert_eq!((backend.connections(), backend.seen().len()), (1, 3));
}

#[tokio::test]
async fn upstreams_and_routes_that_lead_to_one_server_share_its_connections() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        upstream("a", &format!("{}/a", backend.url()), ""),
        upstream("b", &format!("{}/b", backend.url()), ""),
        route("a", "/a", "a"),
        route("b", "/b", "b"),
        route("c", "/c", &backend.url()),
    ]);
    for path in ["/a", "/b", "/c"] {
        assert_eq!(node.get(path).await.status(), 200);
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn an_upstream_that_asks_to_close_is_not_asked_again_on_that_connection() {
    let backend = Upstream::closing().start().await;
    let node = Node::forwarding_to(&backend.url());
    for count in 1..=2 {
        assert_eq!(node.get("/").await.text(), "hi");
        assert_eq!(backend.connections(), count);
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_request() {
    let backend = Upstream::replying(200).then_close().start().await;
    let node = Node::forwarding_to(&backend.url());
    for count in 1..=3 {
        let response = node
            .ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
            .await;
        assert_eq!(response.status(), 200);
        assert_eq!(backend.last().text(), "hello");
        backend.has_closed(count).await;
    }
    assert_eq!(backend.seen().len(), 3);
}

#[tokio::test]
async fn a_request_that_meets_the_close_of_its_connection_is_not_left_waiting() {
    let backend = Upstream::replying(200).then_close().start().await;
    let node = Node::forwarding_to(&backend.url());
    for _ in 0..200 {
        let response = node.get("/").await; // while the connection of the one before is closing
        assert!([200, 502].contains(&response.status()), "{}", response.text()); // 502 if it was on its way already
    }
}

#[tokio::test]
async fn a_repeatable_request_survives_a_connection_that_closes_under_it() {
    let backend = Upstream::replying(200).close_at_second().start().await;
    let node = Node::forwarding_to(&backend.url());
    assert_eq!(node.get("/").await.status(), 200);
    tokio::time::sleep(Duration::from_millis(1200)).await; // the connection rests for a second or more
    assert_eq!(node.get("/").await.status(), 200);
    assert_eq!((backend.seen().len(), backend.connections()), (3, 2));

    tokio::time::sleep(Duration::from_millis(1200)).await;
    let post = node
        .ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_refused(&post, 502, "upstream_closed", "connection_terminated"); // it may have been done
    assert_eq!(backend.seen().len(), 4);
}

#[tokio::test]
async fn a_connection_that_the_upstream_keeps_for_a_second_is_not_kept_at_all() {
    let kept = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nkeep-alive: timeout=1\r\n\r\nhi";
    let backend = Upstream::raw(kept).start().await;
    let node = Node::forwarding_to(&backend.url());
    assert_eq!(node.get("/").await.status(), 200);
    backend.has_closed(1).await; // by us, at the next tick
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_body_that_came_in_pieces() {
    let (behaviour, _sent) = Upstream::streaming(50, 10_000, true);
    let backend = behaviour.start().await;
    let node = Node::forwarding_to(&backend.url());
    for _ in 0..3 {
        assert_eq!(node.get("/").await.body.len(), 500_000);
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn many_requests_at_once_all_get_their_own_answers() {
    let backend = Upstream::echoing().after(Duration::from_millis(1)).start().await;
    let node = Node::forwarding_to(&backend.url());
    let ask = async |number: usize| {
        let mut client = node.client().await;
        for round in 0..20 {
            let body = format!("{number}-{round}-{}", "x".repeat(number * 700));
            let length = body.len();
            let request =
                format!("POST /{number} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}");
            assert_eq!(client.ask(&request).await.text(), body);
        }
    };
    futures_util::future::join_all((0..40).map(ask)).await;
    assert_eq!(node.gateway.requests_served(), 800);
}
