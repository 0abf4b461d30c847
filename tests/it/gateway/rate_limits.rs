//! Rate limits of one node alone: who is told what, and who shares what. Windows are hours, so that nothing comes back while
//! a test runs.

use serde_json::json;

use super::{Node, assert_refused, keys::Key, route, route_with, settings};
use crate::{upstream::Upstream, wire::Message};

fn limited(backend: &Upstream, limits: &str) -> flexgate_schemas::Event {
    route_with("r", "/r", &backend.url(), &format!(r#""rateLimit":{limits}"#))
}

async fn get(node: &Node, lines: &str) -> Message {
    node.client().await.get("/r", lines).await
}

/// The statuses of so many requests.
async fn statuses(node: &Node, lines: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(get(node, lines).await.status());
    }
    statuses
}

#[tokio::test]
async fn a_route_takes_as_many_requests_as_it_says_and_tells_how_many_are_left() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[limited(
        &backend,
        r#"{"requests":2,"window":"1h","message":"slow down"}"#,
    )]);
    let first = get(&node, "").await;
    assert_eq!(first.status(), 200);
    assert_eq!(first.header("ratelimit-policy"), Some(r#""perhour";q=2;w=3600"#));
    assert_eq!(first.header("ratelimit"), Some(r#""perhour";r=1;t=1800"#));
    assert_eq!(first.header("x-ratelimit-limit"), None);
    assert_eq!(get(&node, "").await.status(), 200);

    let refused = get(&node, "").await;
    assert_refused(&refused, 429, "rate_limited", "http_request_denied");
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some(r#""perhour";q=2;w=3600"#)
    );
    assert!(
        refused
            .header("ratelimit")
            .unwrap()
            .starts_with(r#""perhour";r=0;t="#)
    );
    let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1700..=1800).contains(&seconds), "{seconds}");
    let problem = refused.json();
    assert_eq!(
        problem["type"],
        "https://iana.org/assignments/http-problem-types#quota-exceeded"
    );
    assert_eq!(problem["violated-policies"], json!(["perhour"]));
    assert_eq!(problem["detail"], "slow down");
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test]
async fn every_limit_must_have_room_and_one_that_refuses_costs_the_others_nothing() {
    let backend = Upstream::replying(200).start().await;
    let limits = r#"[{"name":"many","requests":4,"window":"1h"},
                     {"name":"few","requests":2,"window":"1h","algorithm":"slidingWindow"}]"#;
    let mut node = Node::start(&[limited(&backend, limits)]);
    assert_eq!(statuses(&node, "", 4).await, [200, 200, 429, 429]);
    let refused = get(&node, "").await;
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some(r#""many";q=4;w=3600, "few";q=2;w=3600"#)
    );
    assert_eq!(refused.json()["violated-policies"], json!(["few"]));

    // Budgets outlive the edit of another limit: two of the four are left.
    node.change(&[limited(&backend, r#"{"name":"many","requests":4,"window":"1h"}"#)]);
    assert_eq!(statuses(&node, "", 3).await, [200, 200, 429]);
}

#[tokio::test]
async fn the_limit_of_the_settings_holds_for_all_routes_together() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        settings(
            r#"{"rateLimit":{"requests":3,"window":"1h"},"rateLimitFields":{"standard":false,"legacy":true}}"#,
        ),
        limited(&backend, r#"{"requests":1,"window":"1h"}"#),
        route("other", "/other", &backend.url()),
    ]);
    assert_eq!(statuses(&node, "", 2).await, [200, 429]);
    let other = node.get("/other").await;
    assert_eq!(other.header("x-ratelimit-limit"), Some("3"));
    assert_eq!(other.header("x-ratelimit-remaining"), Some("1"));
    assert_eq!(other.header("ratelimit"), None);
    assert_eq!(node.get("/other").await.status(), 200);
    let refused = node.get("/other").await;
    assert_refused(&refused, 429, "rate_limited", "http_request_denied");
    assert_eq!(refused.json()["violated-policies"], json!(["all-perhour"]));
    assert_eq!(node.get("/nowhere").await.status(), 404, "which no route takes");
}

#[tokio::test]
async fn a_request_counts_for_its_address_as_trusted_proxies_tell_it() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        settings(r#"{"trustedProxies":["127.0.0.1"]}"#),
        limited(&backend, r#"{"requests":1,"window":"1h","per":"address"}"#),
    ]);
    let from = |address: &str| format!("x-forwarded-for: {address}\r\n");
    for (address, expected) in [
        ("203.0.113.1", 200),
        ("203.0.113.1", 429),
        ("203.0.113.2", 200),
        ("2001:db8::1", 200),
        ("2001:db8::2", 429),
        ("2001:db8:0:1::1", 200),
    ] {
        assert_eq!(get(&node, &from(address)).await.status(), expected, "{address}");
    }
}

#[tokio::test]
async fn a_request_counts_for_its_key_and_without_one_for_its_address() {
    let backend = Upstream::replying(200).start().await;
    let (one, other) = (Key::new(1), Key::new(2));
    let more = r#""auth":"optional","rateLimit":{"requests":1,"window":"1h","per":"key"}"#;
    let route = route_with("r", "/r", &backend.url(), more);
    let node = Node::start(&[route, one.created(), other.created()]);
    assert_eq!(statuses(&node, &one.line(), 2).await, [200, 429]);
    assert_eq!(statuses(&node, &other.line(), 2).await, [200, 429]);
    assert_eq!(statuses(&node, "", 2).await, [200, 429]);
}

#[tokio::test]
async fn a_key_has_limits_and_quotas_of_its_own_wherever_it_goes() {
    let backend = Upstream::replying(200).start().await;
    let limits =
        json!({ "rateLimit": { "requests": 2, "window": "1h" }, "quotas": { "day": 3, "month": 5 } });
    let (limited, free) = (Key::new(1).with(limits), Key::new(2));
    let open = |id: &str| route_with(id, &format!("/{id}"), &backend.url(), r#""auth":"required""#);
    let mut node = Node::start(&[open("r"), open("s"), limited.created(), free.created()]);
    let first = get(&node, &limited.line()).await;
    assert_eq!(
        first.header("ratelimit-policy"),
        Some(r#""key-perhour";q=2;w=3600, "key-day";q=3;w=86400, "key-month";q=5;w=2592000"#)
    );
    assert_eq!(node.client().await.get("/s", &limited.line()).await.status(), 200);
    assert_refused(
        &get(&node, &limited.line()).await,
        429,
        "rate_limited",
        "http_request_denied",
    );
    let unlimited = get(&node, &free.line()).await;
    assert_eq!((unlimited.status(), unlimited.header("ratelimit")), (200, None));

    // What was refused was not counted: one of the day's three is left.
    node.change(&[limited.with(json!({ "rateLimit": null })).updated()]);
    let limited = Key::new(1);
    assert_eq!(statuses(&node, &limited.line(), 2).await, [200, 429]);
    let refused = get(&node, &limited.line()).await;
    assert_eq!(refused.json()["violated-policies"], json!(["key-day"]));
    let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_request_can_cost_more_than_one() {
    let backend = Upstream::replying(200).start().await;
    let more = |cost: u32| format!(r#""cost":{cost},"rateLimit":{{"requests":5,"window":"1h"}}"#);
    let mut node = Node::start(&[route_with("r", "/r", &backend.url(), &more(2))]);
    assert_eq!(statuses(&node, "", 3).await, [200, 200, 429]);
    node.change(&[route_with("r", "/r", &backend.url(), &more(1))]);
    assert_eq!(statuses(&node, "", 2).await, [200, 429], "one was left");
    node.change(&[route_with("r", "/r", &backend.url(), &more(9).replace('5', "6"))]);
    assert_eq!(statuses(&node, "", 2).await, [200, 429], "all there is, at most");
}

#[tokio::test]
async fn refusals_further_in_say_how_many_are_left_too() {
    let node = Node::start(&[route_with(
        "r",
        "/r",
        "nobody",
        r#""rateLimit":{"requests":2,"window":"1h"}"#,
    )]);
    let response = get(&node, "").await;
    assert_refused(&response, 503, "no_target", "destination_unavailable");
    assert_eq!(response.header("ratelimit"), Some(r#""perhour";r=1;t=1800"#));
}
