//! Rate limits that several nodes share through a real Redis or Valkey: what passes is recorded by those who send it, and
//! every span of time is looked at.

mod encrypted;
mod load;
mod outages;
mod replays;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use flexgate::{
    devstack::{Durability, Server, ServerOptions},
    drain::Tasks,
    limiter::Limiter,
};
use flexgate_schemas::Event;
use serde_json::json;
use tempfile::TempDir;

use self::load::Load;
use crate::{
    fixtures::{LOOK_AGAIN, PATIENCE, binaries, installed, prefix},
    gateway::{Node, keys::Key, options, route_with},
    upstream::Upstream,
};

/// A server of one's own that remembers budgets.
struct Redis {
    server: Server,
    _data: TempDir,
}

impl Redis {
    async fn valkey() -> Self {
        Self::start(binaries().valkey().await.unwrap()).await
    }

    /// Debian's, where it is installed.
    async fn debians() -> Option<Self> {
        Some(Self::start(installed("redis-server")?).await)
    }

    async fn start(binary: PathBuf) -> Self {
        let data = tempfile::tempdir().unwrap();
        let options = ServerOptions {
            data_dir: data.path().to_owned(),
            binary,
            port: None,
            durability: Durability::Test,
        };
        let server = Server::valkey(options).await.unwrap();
        Self { server, _data: data }
    }
}

/// Gateways that share budgets.
struct Cluster {
    nodes: Vec<Node>,
    limiters: Vec<Limiter>,
    tasks: Tasks,
}

impl Cluster {
    /// So many nodes that serve these events, connected to Redis.
    async fn start(count: usize, redis: &Redis, events: &[Event]) -> Self {
        Self::start_with(count, redis, &prefix(), events).await
    }

    /// The same, for nodes that may have been there before.
    async fn start_with(count: usize, redis: &Redis, prefix: &str, events: &[Event]) -> Self {
        let tasks = Tasks::new();
        let (mut nodes, mut limiters) = (Vec::new(), Vec::new());
        for number in 0..count {
            let alive = Arc::new(AtomicUsize::new(count));
            let name = format!("node-{number}");
            let (limiter, lender) = Limiter::shared(redis.server.url(), prefix, &name, alive).unwrap();
            tasks.spawn(lender.run(tasks.clone()));
            nodes.push(Node::limited_by(options(), &limiter, events));
            limiters.push(limiter);
        }
        let cluster = Self {
            nodes,
            limiters,
            tasks,
        };
        cluster.is_up(true).await;
        cluster
    }

    /// Waits until every node knows that Redis answers, or that it does not.
    async fn is_up(&self, up: bool) {
        let agreed = async {
            while !self.limiters.iter().all(|limiter| limiter.is_up() == Some(up)) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(PATIENCE, agreed).await.expect("to notice");
    }

    fn load(&self) -> Load {
        let addresses: Vec<_> = self.nodes.iter().map(Node::addr).collect();
        Load::on(&addresses)
    }

    async fn stop(self) {
        assert!(self.tasks.stop(PATIENCE).await);
    }
}

fn limited(backend: &Upstream, limit: &str) -> [Event; 1] {
    [route_with(
        "r",
        "/r",
        &backend.url(),
        &format!(r#""rateLimit":{limit}"#),
    )]
}

/// A limit of 300 in 3 s under much more than that, for 5 s.
async fn a_bucket_is_shared(redis: Redis) {
    let backend = Upstream::replying(200).start().await;
    // Closed, so that a machine which stalls makes no node decide by itself.
    let limit = r#"{"requests":300,"window":"3s","onRedisFailure":"closed"}"#;
    let cluster = Cluster::start(3, &redis, &limited(&backend, limit)).await;
    let load = cluster.load();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let passed = load.stop().await;
    passed.are_only(&[200, 429, 503]);
    passed.fit_a_bucket(300, 100.0);
    passed.are_at_least(0.95, 300, 100.0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_let_the_burst_and_the_rate_pass_in_any_time_and_nearly_all_of_it() {
    a_bucket_is_shared(Redis::valkey().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_do_so_with_debians_redis_too() {
    if let Some(redis) = Redis::debians().await {
        a_bucket_is_shared(redis).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_never_let_more_pass_than_a_window_has_and_nearly_all_of_it() {
    let redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let limit = r#"{"requests":200,"window":"2s","algorithm":"slidingWindow","onRedisFailure":"closed"}"#;
    let cluster = Cluster::start(3, &redis, &limited(&backend, limit)).await;
    let load = cluster.load();
    tokio::time::sleep(Duration::from_secs(7)).await;
    let passed = load.stop().await;
    passed.are_only(&[200, 429, 503]);
    passed.fit_a_window(200, Duration::from_secs(2));
    passed.are_at_least(0.95, 0, 100.0);
    cluster.stop().await;
}

#[tokio::test]
async fn a_strict_limit_is_asked_about_each_request() {
    let redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let limit = r#"{"requests":3,"window":"1h","strict":true}"#;
    let cluster = Cluster::start(2, &redis, &limited(&backend, limit)).await;
    let [one, other] = &*cluster.nodes else { panic!() };
    for (node, left) in [
        (one, Some(2)),
        (other, Some(1)),
        (one, Some(0)),
        (other, None),
        (one, None),
    ] {
        let response = node.client().await.get("/r", "").await;
        assert_eq!(response.status(), if left.is_some() { 200 } else { 429 });
        let expected = format!(r#""perhour";r={};t="#, left.unwrap_or(0));
        assert!(
            response.header("ratelimit").unwrap().starts_with(&expected),
            "{response:?}"
        );
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_quota_holds_over_all_nodes_together_and_over_their_restart() {
    let redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1).with(json!({ "quotas": { "month": 7 } }));
    let open = route_with("r", "/r", &backend.url(), r#""auth":"required""#);
    let events = [open, key.created()];
    let (mut passed, mut seen) = (0, BTreeSet::new());
    let prefix = prefix();
    for _start in 0..2 {
        let cluster = Cluster::start_with(3, &redis, &prefix, &events).await;
        for node in cluster.nodes.iter().cycle().take(12) {
            let response = node.client().await.get("/r", &key.line()).await;
            passed += u32::from(response.status() == 200);
            seen.insert(response.status());
        }
        cluster.stop().await;
    }
    assert_eq!((passed, seen.into_iter().collect()), (7, vec![200, 429]));
}

#[tokio::test]
async fn what_one_node_does_not_use_another_can() {
    let redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let limit = r#"{"requests":2,"window":"1h"}"#;
    let cluster = Cluster::start(2, &redis, &limited(&backend, limit)).await;
    let [one, other] = &*cluster.nodes else { panic!() };
    assert_eq!(one.client().await.get("/r", "").await.status(), 200);
    // If the first node holds the second token it gives it back by and by.
    let mut client = other.client().await;
    let passed = async {
        while client.get("/r", "").await.status() != 200 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, passed)
        .await
        .expect("the other token");
    assert_eq!(client.get("/r", "").await.status(), 429);
    assert_eq!(one.client().await.get("/r", "").await.status(), 429);
    cluster.stop().await;
}

#[tokio::test]
async fn a_node_that_stops_gives_back_what_it_holds() {
    let redis = Redis::valkey().await;
    let backend = Upstream::replying(200).start().await;
    let events = limited(
        &backend,
        r#"{"requests":100,"window":"1h","algorithm":"slidingWindow"}"#,
    );
    let cluster = Cluster::start(1, &redis, &events).await;
    for _ in 0..20 {
        assert_eq!(cluster.nodes[0].client().await.get("/r", "").await.status(), 200);
    }
    cluster.stop().await;
    let client = redis::Client::open(redis.server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*:limit:*")
        .query_async(&mut connection)
        .await
        .unwrap();
    let fields: Vec<(String, String)> = redis::cmd("HGETALL")
        .arg(&keys[0])
        .query_async(&mut connection)
        .await
        .unwrap();
    let leases: Vec<_> = fields
        .iter()
        .filter(|(field, _)| field.starts_with('n'))
        .collect();
    assert!(leases.is_empty(), "{leases:?}");
    let used = fields.iter().filter(|(field, _)| field.starts_with('s'));
    let used: u32 = used.map(|(_, count)| count.parse::<u32>().unwrap()).sum();
    assert_eq!(used, 20);
}
