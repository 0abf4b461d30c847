//! `?wait=nodes`: a write that is answered when every member serves it.

use serde_json::{Value, json};

use super::Api;
use crate::fixtures::PATIENCE;

fn users() -> Value {
    json!({ "name": "users", "url": "http://users" })
}

#[tokio::test]
async fn with_no_members_a_write_has_nobody_to_wait_for() {
    let api = Api::start().await;
    let written = api
        .post("/api/upstreams?wait=nodes", users())
        .await
        .is(201)
        .json();
    assert_eq!(
        written["convergence"],
        json!({ "converged": true, "nodes": [], "missing": [] })
    );
}

#[tokio::test]
async fn a_write_that_every_member_serves_says_how_long_each_took() {
    let api = Api::start().await;
    let (near, far) = (api.join("near"), api.join("far"));
    let write = api.post("/api/upstreams?wait=nodes&timeout=30s", users());
    let nodes = async {
        let mut view = api.journal.watch();
        let revision = view
            .wait_for(|view| !view.state().upstreams().is_empty())
            .await
            .unwrap()
            .revision();
        api.members.serves(&near, (1, revision));
        api.members.serves(&far, (1, revision));
    };
    let (written, ()) = tokio::join!(write, nodes);
    let written = written.is(201).json();
    assert_eq!(written["convergence"]["converged"], true);
    for node in written["convergence"]["nodes"].as_array().unwrap() {
        assert_eq!(node["revision"], written["revision"]);
        assert!(node["tookMs"].is_number(), "{node}");
    }
}

#[tokio::test]
async fn a_write_that_a_member_does_not_serve_in_time_is_202_and_names_it() {
    let api = Api::start().await;
    api.join("far");
    let before = api.journal.view().revision();
    let answer = api
        .post("/api/upstreams?wait=nodes&timeout=50ms", users())
        .await
        .is(202);
    assert_eq!(answer.header("location"), "/api/upstreams/users");
    let convergence = &answer.json()["convergence"];
    assert_eq!(convergence["converged"], false);
    assert_eq!(convergence["missing"], json!(["far"]));
    assert_eq!(convergence["nodes"][0]["revision"], before);
    assert_eq!(convergence["nodes"][0].get("tookMs"), None);
}

#[tokio::test]
async fn a_deletion_that_waits_has_a_body() {
    let api = Api::with_backend().await;
    let gone = api.delete("/api/upstreams/backend?wait=nodes").await.is(200);
    assert_eq!(
        gone.json(),
        json!({ "convergence": { "converged": true, "nodes": [], "missing": [] } })
    );
    api.post("/api/upstreams", users()).await.is(201);
    api.join("far");
    let gone = api
        .delete("/api/upstreams/users?wait=nodes&timeout=50ms")
        .await
        .is(202);
    assert_eq!(gone.json()["convergence"]["missing"], json!(["far"]));
}

#[tokio::test]
async fn a_write_in_flight_is_answered_although_the_process_stops() {
    let api = Api::start().await;
    let far = api.join("far");
    let write = api.post("/api/upstreams?wait=nodes&timeout=30s", users());
    let stop = async {
        let mut view = api.journal.watch();
        let revision = view
            .wait_for(|view| !view.state().upstreams().is_empty())
            .await
            .unwrap()
            .revision();
        let (stopped, ()) = tokio::join!(api.tasks.stop(PATIENCE), async {
            assert!(api.tasks.is_stopping());
            api.members.serves(&far, (1, revision));
        });
        assert!(stopped);
    };
    let (written, ()) = tokio::join!(write, stop);
    assert_eq!(written.is(201).json()["convergence"]["converged"], true);
}

#[tokio::test]
async fn only_nodes_can_be_waited_for_and_a_minute_at_most() {
    let api = Api::start().await;
    for query in [
        "wait=all",
        "timeout=5s",
        "wait=nodes&timeout=61s",
        "wait=nodes&timeout=0",
    ] {
        api.post(&format!("/api/upstreams?{query}"), users())
            .await
            .is_problem(400, "bad_query");
    }
}
