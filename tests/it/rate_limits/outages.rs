//! Redis goes, hangs, comes back, and comes back with nothing.

use std::time::Duration;

use super::{Cluster, Redis, limited};
use crate::upstream::Upstream;

/// What is done to Redis while requests come: killed and started anew without its data, twice a second or so, and frozen.
async fn torment(redis: &mut Redis) {
    for round in 0..6 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        if round % 3 == 2 {
            redis.server.freeze();
            tokio::time::sleep(Duration::from_millis(400)).await;
            redis.server.thaw();
        } else {
            redis.server.kill9();
            tokio::time::sleep(Duration::from_millis(200)).await;
            redis.server.restart().await.unwrap();
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_by_themselves_what_redis_cannot_and_hardly_more() {
    let mut redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let limit = r#"{"requests":300,"window":"3s"}"#;
    let cluster = Cluster::start(3, &redis, &limited(&backend, limit)).await;
    let load = cluster.load();
    torment(&mut redis).await;
    let passed = load.stop().await;
    passed.are_only(&[200, 429]);
    let most = passed.most_beyond(110.0);
    assert!(most <= 1.1 * 300.0, "{most} beyond a rate of 110");
    passed.are_at_least(0.8, 300, 100.0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_limit_never_lets_one_too_many_pass() {
    let mut redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let limit = r#"{"requests":300,"window":"3s","onRedisFailure":"closed"}"#;
    let cluster = Cluster::start(3, &redis, &limited(&backend, limit)).await;
    let load = cluster.load();
    load.passes(300).await;
    torment(&mut redis).await;
    let passed = load.stop().await;
    passed.are_only(&[200, 429, 503]);
    passed.fit_a_bucket(300, 100.0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_is_shared_by_themselves_too() {
    let mut redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let limit = r#"{"requests":100,"window":"1s","algorithm":"slidingWindow"}"#;
    let cluster = Cluster::start(3, &redis, &limited(&backend, limit)).await;
    let load = cluster.load();
    torment(&mut redis).await;
    let passed = load.stop().await;
    passed.are_only(&[200, 429]);
    passed.fit_a_window(110, Duration::from_secs(1));
    cluster.stop().await;
}

#[tokio::test]
async fn without_redis_a_limit_does_what_it_says() {
    let mut redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let of = |path: &str, policy: &str| {
        let more = format!(r#""rateLimit":{{"requests":6,"window":"1h","onRedisFailure":"{policy}"}}"#);
        crate::gateway::route_with(path, &format!("/{path}"), &backend.url(), &more)
    };
    let events = [
        of("localShare", "localShare"),
        of("open", "open"),
        of("closed", "closed"),
    ];
    let cluster = Cluster::start(3, &redis, &events).await;
    redis.server.kill9();
    cluster.is_up(false).await;
    let mut client = cluster.nodes[0].client().await;
    for (path, expected) in [
        ("/localShare", [200, 200, 429]),
        ("/open", [200, 200, 200]),
        ("/closed", [503, 503, 503]),
    ] {
        for status in expected {
            let response = client.get(path, "").await;
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(response.header("retry-after").is_some(), status != 200);
        }
    }
    let refused = client.get("/closed", "").await;
    assert_eq!(refused.json()["code"], "rate_limit_unavailable");

    // And back: what passed meanwhile counts for all.
    redis.server.restart().await.unwrap();
    cluster.is_up(true).await;
    let again = client.get("/localShare", "").await;
    assert_eq!(again.status(), 429);
    cluster.stop().await;
}
