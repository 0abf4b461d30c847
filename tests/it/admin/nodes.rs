//! Nodes and the status of the cluster.

use serde_json::json;

use super::Api;

#[tokio::test]
async fn members_are_listed_as_they_last_said_of_themselves() {
    let api = Api::start().await;
    assert_eq!(api.get("/api/nodes").await.is(200).json(), json!([]));
    api.join("b");
    let a = api.join("a");
    api.members.serves(&a, (1, 7));
    let nodes = api.get("/api/nodes").await.is(200).json();
    assert_eq!((&nodes[0]["node"], &nodes[1]["node"]), (&json!("a"), &json!("b")));
    assert_eq!(nodes[0]["status"], "serving");
    assert_eq!(nodes[0]["revision"], 7);
    assert_eq!(nodes[0]["lost"], false);
    assert!(nodes[0]["silentMs"].is_u64());
}

#[tokio::test]
async fn a_node_that_is_alive_is_not_forgotten_and_one_that_is_none_is_not_found() {
    let api = Api::start().await;
    api.join("a");
    let problem = api.delete("/api/nodes/a").await.problem(409, "node_alive");
    assert!(
        problem["detail"].as_str().unwrap().contains("stop it first"),
        "{problem}"
    );
    api.delete("/api/nodes/b").await.problem(404, "not_found");
}

#[tokio::test]
async fn the_status_counts_what_there_is() {
    let api = Api::with_backend().await;
    api.post("/api/routes", json!({ "path": "/a", "upstream": "backend" }))
        .await
        .is(201);
    api.join("a");
    let view = api.journal.view();
    let status = api.get("/api/status").await.is(200).json();
    assert_eq!(status["version"], "1.2.3");
    assert_eq!(status["cluster"], view.cluster().unwrap().as_str());
    assert_eq!(
        status["journal"],
        json!({ "status": "following", "generation": 1, "revision": view.revision() })
    );
    assert_eq!(status["chain"], view.chain().to_string());
    assert_eq!(status["stateHash"], view.state().hash().to_string());
    assert_eq!((&status["routes"], &status["upstreams"]), (&json!(1), &json!(1)));
    assert_eq!(
        status["nodes"],
        json!({ "serving": 1, "frozen": 0, "draining": 0, "lost": 0 })
    );
    assert_eq!(
        status["checks"],
        json!({ "database": "OFF", "redis": "OFF", "jetstream": "OFF", "projections": "OFF", "outcomes": "OFF", "alerts": "OFF", "adminEvents": "OFF", "outbox": "OFF", "tokens": "OFF" })
    );
}
