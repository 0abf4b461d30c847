//! A signature passes once, on all nodes together, and what holds while Redis is not there to say so.

use flexgate_schemas::Event;
use serde_json::json;

use super::{Cluster, Redis};
use crate::{
    gateway::{
        Node, assert_refused,
        keys::Key,
        route_with,
        signatures::{Request, SECRET, sealed},
    },
    upstream::Upstream,
    wire::Message,
};

/// A key that signs, and a route that asks for one.
fn signing(backend: &Upstream, settings: serde_json::Value) -> (Key, Vec<Event>) {
    let key = Key::new(1);
    let secret = sealed(SECRET, &key);
    let key = key.with(json!({"signing": {"secret": secret}}));
    let events = vec![
        route_with("private", "/*", &backend.url(), r#""auth":"required""#),
        key.created(),
        Event::SettingsUpdated(serde_json::from_value(settings).unwrap()),
    ];
    (key, events)
}

async fn ask(node: &Node, key: &Key, request: Request<'_>) -> Message {
    node.ask(&request.sent(&request.fields(key))).await
}

#[track_caller]
fn assert_replayed(refused: &Message) {
    assert_refused(refused, 401, "signature_replayed", "http_request_denied");
}

#[tokio::test]
async fn what_was_signed_passes_once_on_all_nodes_together() {
    let redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let (key, events) = signing(&backend, json!({}));
    let cluster = Cluster::start(2, &redis, &events).await;
    let [one, other] = &*cluster.nodes else { panic!() };
    let request = Request::new("POST", "body");
    assert_eq!(ask(one, &key, request).await.status(), 200);
    assert_replayed(&ask(one, &key, request).await);
    assert_replayed(&ask(other, &key, request).await);
    assert_replayed(&ask(other, &key, request).await);
    assert_eq!(ask(other, &key, Request::new("POST", "body")).await.status(), 200);
    assert_eq!(backend.seen().len(), 2);
    cluster.stop().await;

    // Redis forgets by itself what could not come again.
    let client = redis::Client::open(redis.server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*:signature:*")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        let left: i64 = redis::cmd("TTL")
            .arg(key)
            .query_async(&mut connection)
            .await
            .unwrap();
        assert!((300..=361).contains(&left), "{left}");
    }
}

#[tokio::test]
async fn of_many_at_once_one_passes() {
    let redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let (key, events) = signing(&backend, json!({}));
    let cluster = Cluster::start(3, &redis, &events).await;
    let request = Request::new("GET", "");
    let asked = cluster.nodes.iter().cycle().take(30);
    let answers = futures_util::future::join_all(asked.map(|node| ask(node, &key, request))).await;
    let passed = answers.iter().filter(|answer| answer.status() == 200).count();
    assert_eq!((passed, backend.seen().len()), (1, 1));
    cluster.stop().await;
}

#[tokio::test]
async fn without_redis_nothing_that_was_signed_passes_unless_the_settings_say_so() {
    let mut redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let (key, events) = signing(&backend, json!({}));
    let cluster = Cluster::start(2, &redis, &events).await;
    redis.server.kill9();
    cluster.is_up(false).await;
    let refused = ask(&cluster.nodes[0], &key, Request::new("GET", "")).await;
    assert_refused(
        &refused,
        503,
        "signature_check_unavailable",
        "proxy_internal_error",
    );
    assert!(refused.header("retry-after").is_some());
    assert!(backend.seen().is_empty());

    redis.server.restart().await.unwrap();
    cluster.is_up(true).await;
    let answer = ask(&cluster.nodes[0], &key, Request::new("GET", "")).await;
    assert_eq!(answer.status(), 200);
    cluster.stop().await;
}

#[tokio::test]
async fn a_node_by_itself_refuses_what_it_has_seen() {
    let mut redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let (key, events) = signing(&backend, json!({"auth": {"onRedisFailure": "local"}}));
    let cluster = Cluster::start(2, &redis, &events).await;
    let [one, other] = &*cluster.nodes else { panic!() };
    let before = Request::new("GET", "");
    assert_eq!(ask(one, &key, before).await.status(), 200);
    redis.server.kill9();
    cluster.is_up(false).await;
    assert_replayed(&ask(one, &key, before).await);
    let meanwhile = Request::new("GET", "");
    assert_eq!(ask(one, &key, meanwhile).await.status(), 200);
    assert_replayed(&ask(one, &key, meanwhile).await);
    assert_eq!(
        ask(other, &key, meanwhile).await.status(),
        200,
        "which is documented"
    );
    cluster.stop().await;
}
