//! When the log is away, full or frozen.

use flexgate::journal::memory::MemoryLog;
use serde_json::json;

use super::Api;

#[tokio::test]
async fn without_the_log_reads_go_on_and_writes_say_why_not_and_that_nothing_changed() {
    let api = Api::with_backend().await;
    api.log.set_reachable(false);
    let mut view = api.journal.watch();
    let noticed = view.wait_for(|view| matches!(view.status, flexgate::journal::Status::Disconnected { .. }));
    drop(noticed.await.unwrap());
    api.get("/api/upstreams/backend").await.is(200);
    let answer = api.patch("/api/upstreams/backend", json!({ "timeout": 1 })).await;
    assert_eq!(answer.header("retry-after"), "5");
    let problem = answer.is_problem(503, "unavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("cannot be reached") && detail.contains("nothing was changed"),
        "{detail}"
    );
    api.get("/api/stream/events").await.is_problem(503, "unavailable");

    api.log.set_reachable(true);
    let back = view.wait_for(|view| view.status == flexgate::journal::Status::Following);
    drop(back.await.unwrap());
    api.patch("/api/upstreams/backend", json!({ "timeout": 1 }))
        .await
        .is(200);
}

#[tokio::test]
async fn a_frozen_journal_is_told_by_writes_and_by_readiness() {
    let api = Api::with_backend().await;
    let other = Api::over(MemoryLog::new()).await;
    api.log.replace(other.log.contents());
    let mut view = api.journal.watch();
    let noticed = view.wait_for(|view| matches!(view.status, flexgate::journal::Status::Frozen { .. }));
    drop(noticed.await.unwrap());
    let answer = api.patch("/api/upstreams/backend", json!({ "timeout": 1 })).await;
    assert_eq!(answer.header("retry-after"), "60");
    answer.is_problem(503, "frozen");
    api.get("/api/upstreams/backend").await.is(200);
    let readiness = api.get("/health/ready").await.json();
    assert_eq!(readiness["journal"]["status"], "frozen");
    assert!(
        readiness["journal"]["reason"]
            .as_str()
            .unwrap()
            .contains("no longer continues"),
        "{readiness}"
    );
}
