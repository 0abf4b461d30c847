//! Where requests may go, and that none goes elsewhere, whatever a name, a number or a redirect says.

use std::sync::Arc;

use flexgate_schemas::{Event, event::UpstreamDeleted};
use futures_util::future::join_all;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{Node, assert_refused, options, route, settings, upstream};
use crate::{
    dns::NameServer,
    fixtures::{LOOK_AGAIN, PATIENCE},
    http2::Backend,
    upstream::{Behaviour, Upstream},
    wire::Message,
};

/// Settings that block this.
fn blocking(network: &str) -> Event {
    settings(&format!(r#"{{"security":{{"blockedIPs":["{network}"]}}}}"#))
}

/// Settings that list these hosts, and nothing else.
fn listing(hosts: &str) -> Event {
    settings(&format!(r#"{{"security":{{"allowedHosts":[{hosts}]}}}}"#))
}

#[track_caller]
fn assert_prohibited(response: &Message) {
    assert_refused(
        response,
        502,
        "destination_ip_prohibited",
        "destination_ip_prohibited",
    );
}

/// A backend on 127.0.0.1, and one at the same port of 127.0.0.2, where no request may arrive.
async fn permitted_and_blocked(behaviour: Behaviour) -> (Upstream, Upstream) {
    let permitted = behaviour.clone().start().await;
    let blocked = behaviour.start_at(("127.0.0.2", permitted.addr().port())).await;
    (permitted, blocked)
}

/// A gateway that blocks 127.0.0.2 and asks this name server, with one route to a name at the port of this backend.
fn asking(dns: &NameServer, backend: &Upstream) -> Node {
    let mut options = options();
    options.name_servers = vec![dns.addr()];
    let url = format!("http://rebinding.example:{}", backend.addr().port());
    Node::start_with(options, &[blocking("127.0.0.2"), route("all", "/*", &url)])
}

/// What a request is answered once the answers so far are over.
async fn answered_otherwise_than(node: &Node, status: u16) -> Message {
    let other = async {
        loop {
            let response = node.get("/").await;
            if response.status() != status {
                return response;
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, other).await.unwrap()
}

#[tokio::test]
async fn a_name_that_answers_otherwise_the_second_time_does_not_lead_anywhere_else() {
    let rebind = async |ttl, second: &str, behaviour: Behaviour| {
        let (permitted, blocked) = permitted_and_blocked(behaviour).await;
        let dns = NameServer::answering(&["127.0.0.1"], ttl).await;
        let node = asking(&dns, &permitted);
        assert_eq!(node.get("/").await.status(), 200);
        dns.change(&[second]);
        let response = answered_otherwise_than(&node, 200).await;
        assert_prohibited(&response);
        assert_eq!(blocked.connections(), 0, "TTL {ttl}, {second}");
        assert!(dns.asked() >= 2);
        dns.change(&["127.0.0.1"]);
        assert_eq!(answered_otherwise_than(&node, 502).await.status(), 200);
    };
    let mut attempts = Vec::new();
    for ttl in [0, 1] {
        for second in ["127.0.0.2", "169.254.169.254", "0.0.0.0", "::ffff:127.0.0.2"] {
            attempts.push(rebind(ttl, second, Upstream::closing()));
        }
        attempts.push(rebind(ttl, "127.0.0.2", Upstream::replying(200))); // whose connection rests meanwhile
    }
    join_all(attempts).await;
}

#[tokio::test]
async fn of_the_addresses_of_a_name_only_those_are_dialled_that_requests_may_go_to() {
    let (permitted, blocked) = permitted_and_blocked(Upstream::closing()).await;
    let dns = NameServer::answering(&["127.0.0.2", "169.254.169.254", "127.0.0.1"], 300).await;
    let node = asking(&dns, &permitted);
    for _ in 0..6 {
        assert_eq!(node.get("/").await.status(), 200);
    }
    assert_eq!((permitted.connections(), blocked.connections()), (6, 0));
}

#[tokio::test]
async fn an_address_that_is_blocked_is_blocked_for_the_next_request_also_over_a_connection_that_rests() {
    let backend = Upstream::replying(200).start().await;
    let dns = NameServer::answering(&["127.0.0.1"], 300).await;
    let mut named = asking(&dns, &backend);
    let mut literal = Node::forwarding_to(&backend.url());
    for (node, connections) in [(&mut named, 1), (&mut literal, 2)] {
        assert_eq!(node.get("/").await.status(), 200);
        node.change(&[blocking("127.0.0.0/8")]);
        assert_prohibited(&node.get("/").await);
        backend.has_closed(connections).await;
        assert_eq!(
            (backend.connections(), backend.seen().len()),
            (connections, connections)
        );
        node.change(&[blocking("127.0.0.2")]);
    }
    assert_eq!(named.get("/").await.status(), 200);
    assert_eq!(dns.asked(), 1, "the answer was remembered all the time");
}

#[tokio::test]
async fn a_connection_that_rests_where_no_request_may_go_is_closed_without_one() {
    let backend = Upstream::replying(200).start().await;
    let mut node = Node::forwarding_to(&backend.url());
    assert_eq!(node.get("/").await.status(), 200);
    node.change(&[blocking("127.0.0.1")]);
    timeout(PATIENCE, backend.has_closed(1)).await.unwrap();
}

#[tokio::test]
async fn a_connection_survives_edits_of_where_requests_may_go_that_do_not_concern_it() {
    let backend = Upstream::replying(200).start().await;
    let mut node = Node::forwarding_to(&backend.url());
    for edit in [
        blocking("10.0.0.0/8"),
        listing(r#""127.0.0.1""#),
        upstream("other", "http://other.example", ""),
        settings("{}"),
    ] {
        assert_eq!(node.get("/").await.status(), 200);
        node.change(&[edit]);
    }
    assert_eq!(node.get("/").await.status(), 200);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_request_under_way_when_its_address_is_blocked_ends_well_and_is_the_last() {
    let gate = Arc::new(Notify::new());
    let backend = Upstream::replying(200).gated(&gate).start().await;
    let mut node = Node::forwarding_to(&backend.url());
    let mut under_way = node.client().await;
    under_way.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    while backend.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    node.change(&[blocking("127.0.0.1")]);
    gate.notify_one();
    assert_eq!(under_way.receive("GET").await.status(), 200);
    assert_prohibited(&under_way.get("/", "").await);
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn a_connection_of_http_2_is_no_way_around() {
    let backend = Backend::start(Arc::new(Notify::new())).await;
    let api = upstream("api", &backend.url(), r#""protocol":"http2""#);
    let mut node = Node::start(&[api, route("all", "/*", "api")]);
    for _ in 0..2 {
        assert_eq!(node.get("/").await.status(), 200);
    }
    node.change(&[blocking("127.0.0.1")]);
    assert_prohibited(&node.get("/").await);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn no_form_of_an_address_leads_where_the_address_itself_does_not() {
    let backend = Upstream::replying(200).start().await;
    let port = backend.addr().port();
    for host in [
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "169.254.169.254",
        "2852039166",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "0.0.0.0",
        "[::]",
        "224.0.0.1",
    ] {
        // As a history has it that was written before such things were refused.
        let url = format!("http://{host}:{port}");
        let node = Node::start(&[
            upstream("u", &url, ""),
            route("named", "/named", "u"),
            route("own", "/own", &url),
        ]);
        for path in ["/named", "/own"] {
            assert_prohibited(&node.get(path).await);
        }
    }
    let mapped = Node::forwarding_to(&format!("http://[::ffff:127.0.0.1]:{port}"));
    assert_eq!(mapped.get("/").await.status(), 200);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_redirect_is_the_clients_to_follow() {
    let elsewhere = Upstream::replying(200).start().await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/secret", elsewhere.url());
        let answer = format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let backend = Upstream::raw(answer).start().await;
        let response = Node::forwarding_to(&backend.url()).get("/").await;
        assert_eq!(response.status(), status);
        assert_eq!(response.header("location"), Some(&*location));
        assert_eq!(backend.seen().len(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn where_hosts_are_listed_requests_go_there_and_where_upstreams_say() {
    let backend = Upstream::replying(200).start().await;
    let dns = NameServer::answering(&["127.0.0.1"], 300).await;
    let at = |host: &str| format!("http://{host}:{}", backend.addr().port());
    let mut options = options();
    options.name_servers = vec![dns.addr()];
    let mut node = Node::start_with(
        options,
        &[
            listing(r#""api.example.com", "*.internal.example""#),
            upstream("u", &at("named.example"), ""),
            route("a", "/listed", &at("api.example.com")),
            route("b", "/below", &at("a.b.internal.example")),
            route("c", "/unlisted", &at("www.example.com")),
            route("d", "/upstream", "u"),
            route("e", "/same-host", &at("named.example")),
        ],
    );
    assert_prohibited(&node.get("/unlisted").await);
    assert_eq!(dns.asked(), 0, "what may not be asked for is not resolved");
    for path in ["/listed", "/below", "/upstream", "/same-host"] {
        assert_eq!(node.get(path).await.status(), 200, "{path}");
    }
    node.change(&[Event::UpstreamDeleted(UpstreamDeleted {
        name: "u".parse().unwrap(),
    })]);
    assert_prohibited(&node.get("/same-host").await);
    assert_eq!(node.get("/listed").await.status(), 200);
}
