//! The health endpoints, as probes see them; and the ops listener, which has only them and the metrics.

use flexgate::{
    admin::Metrics,
    drain::Tasks,
    health::{Check, Dependency, Health},
    listener, ops,
};
use serde_json::json;
use tokio::net::TcpListener;

use super::Api;

#[tokio::test]
async fn health_is_answered_as_in_the_original() {
    let api = Api::start().await;
    let health = api.get("/health").await.is(200).json();
    assert_eq!(
        (&health["status"], &health["version"]),
        (&json!("UP"), &json!("1.2.3"))
    );
    chrono::DateTime::parse_from_rfc3339(health["timestamp"].as_str().unwrap()).unwrap();
    let live = api.get("/health/live").await.is(200).json();
    assert_eq!((&live["status"], live.get("version")), (&json!("UP"), None));
}

#[tokio::test]
async fn a_process_is_ready_once_it_has_a_routing_table_and_until_it_drains() {
    let api = Api::start().await;
    let readiness = api.get("/health/ready").await.is(503).json();
    assert_eq!(
        (&readiness["status"], &readiness["reason"]),
        (&json!("DOWN"), &json!("there is no routing table yet"))
    );
    api.health.routing_from(|| true);
    let readiness = api.get("/health/ready").await.is(200).json();
    assert_eq!(
        (&readiness["status"], readiness.get("reason")),
        (&json!("UP"), None)
    );
    assert_eq!(readiness["journal"]["status"], "following");
    api.health.drain();
    api.get("/health/ready").await.is(503);
    api.get("/health/live").await.is(200);
    api.get("/api/routes").await.is(200);
}

#[tokio::test]
async fn a_dead_server_is_told_and_does_not_make_a_process_unready() {
    let api = Api::start().await;
    api.health.routing_from(|| true);
    api.health
        .report(Dependency::Database, Check::Down("connection refused".into()));
    api.health.report(Dependency::Jetstream, Check::Up);
    let readiness = api.get("/health/ready").await.is(200).json();
    assert_eq!(
        readiness["checks"],
        json!({ "database": "DOWN", "redis": "OFF", "jetstream": "UP", "projections": "OFF", "outcomes": "OFF", "alerts": "OFF", "adminEvents": "OFF", "outbox": "OFF", "tokens": "OFF" })
    );
    assert_eq!(
        readiness["reasons"],
        json!({ "database": "connection refused", "redis": "not configured", "projections": "not configured", "outcomes": "not configured", "alerts": "not configured", "adminEvents": "not configured", "outbox": "not configured", "tokens": "not configured" })
    );
}

#[tokio::test]
async fn the_ops_listener_has_health_and_metrics_without_a_token_and_nothing_else() {
    let (tasks, health) = (Tasks::new(), Health::new("1.2.3"));
    let router = ops::router(health, Metrics::new(|| "flexgate_up 1\n".to_owned()));
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = Api::start().await;
    client.addr = listening.local_addr().unwrap();
    let serving = tasks.clone();
    tasks.spawn(async move { listener::serve(listening, router, &serving).await });
    let get = |target| client.call(http::Method::GET, target).token(None).send();
    get("/health").await.is(200);
    get("/health/ready").await.is(503);
    assert_eq!(get("/metrics").await.is(200).body, "flexgate_up 1\n");
    get("/api/routes").await.is(404);
    get("/api/openapi.json").await.is(404);
    assert!(tasks.stop(crate::fixtures::PATIENCE).await);
}
