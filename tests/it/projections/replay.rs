//! However often, at once or half, projections are made anew: nothing is there twice, and nothing is missing.

use http::Method;
use rustix::process::Signal;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::timeout;

use super::{execute, query, service::Cluster};
use crate::{
    fixtures::{LOOK_AGAIN, PATIENCE},
    outcomes::{
        database::{COUNTED, DEAD, reaches},
        frames::{Core, frame, publish},
    },
};

/// What there is of each, but not what was asked since: who asks to make something anew is in the audit log, too.
const CONTENTS: &str = "
    SELECT concat_ws(' ', 'commits', count(*), count(DISTINCT id)) FROM flexgate.audit_log WHERE stream = 'CONFIG'
    UNION ALL SELECT concat_ws(' ', 'changes', count(*)) FROM flexgate.audit_changes
    UNION ALL SELECT concat_ws(' ', 'routes', count(*)) FROM flexgate.routes
    UNION ALL SELECT concat_ws(' ', 'refused', count(*), count(DISTINCT commit_id)) FROM flexgate.audit_log
        WHERE stream = 'ADMIN' AND path = '/api/routes'
    UNION ALL SELECT concat_ws(' ', 'requests', count(*), count(DISTINCT id)) FROM flexgate.requests
    UNION ALL SELECT concat_ws(' ', 'counted', sum(requests), sum(errors)) FROM flexgate.rollup_hourly
    UNION ALL SELECT concat_ws(' ', 'by day', sum(requests)) FROM flexgate.rollup_daily
    UNION ALL SELECT concat_ws(' ', 'dead', count(*), count(DISTINCT sequence)) FROM flexgate.dead_letter
    UNION ALL SELECT concat_ws(' ', 'alerts', count(*), count(DISTINCT occurrence)) FROM flexgate.alerts
        WHERE type = 'projection.dead_letter'";
/// Events of ADMIN that are there more than once.
const TWICE: &str =
    "SELECT commit_id FROM flexgate.audit_log WHERE stream = 'ADMIN' GROUP BY 1 HAVING count(*) > 1";
const BUILDINGS: &str = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'flexgate_rebuild_%'";
const KINDS: [&str; 4] = ["config", "admin_events", "outcomes", "alerts"];

impl Cluster {
    /// Rows in every projection, and what is in them.
    async fn with_something_of_each() -> (Self, Vec<String>) {
        let cluster = Self::start().await;
        cluster
            .shows("config", |projection| projection["status"] == "running")
            .await;
        for (id, path, status) in [
            ("a", "/a", 201),
            ("b", "/b", 201),
            ("a", "/c", 409),
            ("b", "/d", 409),
        ] {
            let route = json!({ "id": id, "path": path, "upstream": "http://127.0.0.1:9" });
            let answer = cluster.api.call(Method::POST, "/api/routes", Some(route)).await;
            assert_eq!(answer.status, status, "{}", answer.json());
        }
        let mut core = Core::of_boot("b1");
        for _ in 0..5 {
            publish(&cluster.link, &cluster.names, frame(&mut core, 10)).await;
        }
        let mut broken = frame(&mut core, 10);
        broken.payload = b"no frame".to_vec();
        publish(&cluster.link, &cluster.names, broken).await;
        reaches(&cluster.url, COUNTED, 50).await;
        reaches(&cluster.url, DEAD, 1).await;
        let raised = "SELECT count(*) FROM flexgate.alerts WHERE type = 'projection.dead_letter'";
        reaches(&cluster.url, raised, 1).await;
        let refused =
            "SELECT count(*) FROM flexgate.audit_log WHERE stream = 'ADMIN' AND path = '/api/routes'";
        reaches(&cluster.url, refused, 2).await;
        for name in KINDS {
            cluster
                .shows(name, |projection| {
                    projection["status"] == "running" && projection["lagMessages"] == 0
                })
                .await;
        }
        let contents = query(&cluster.url, CONTENTS).await;
        (cluster, contents)
    }

    /// Of each table a hash, but for what is asked of the API, this being some of it.
    async fn hashes(&self) -> Vec<String> {
        let (code, said) = self.cli(&["replay", "--all", "--verify"]).await;
        assert_eq!(code, Some(0), "{said}");
        let tables = said.lines().filter(|line| line.contains(": the same, "));
        let tables = tables.filter(|line| !line.starts_with("admin_events."));
        tables.map(str::to_owned).collect()
    }

    /// They are what they were, and what the streams make of them.
    async fn has(&self, contents: &[String]) {
        assert_eq!(query(&self.url, CONTENTS).await, contents);
        assert_eq!(query(&self.url, TWICE).await, [] as [String; 0]);
        assert_eq!(query(&self.url, BUILDINGS).await, [] as [String; 0]);
        let (code, said) = self.cli(&["replay", "--all", "--verify"]).await;
        assert_eq!(code, Some(0), "{said}");
    }
}

#[tokio::test]
async fn all_of_them_twice_at_once_doubles_nothing() {
    let (cluster, before) = Cluster::with_something_of_each().await;
    for _ in 0..2 {
        let all = ["replay", "--all"];
        let (one, other) = tokio::join!(cluster.cli(&all), cluster.cli(&all));
        let mut codes = [one.0, other.0];
        codes.sort_unstable();
        // Whoever finds the other one at something stops there and says so; the other one makes all of it anew.
        assert!(
            codes == [Some(0), Some(5)] || codes == [Some(0), Some(0)],
            "{one:?} {other:?}"
        );
        for (code, said) in [one, other] {
            assert_eq!(code == Some(5), said.contains("is being made anew"), "{said}");
        }
        cluster.has(&before).await;
    }
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_makes_one_anew_has_changed_nothing_and_the_next_one_does_it() {
    let (mut cluster, before) = Cluster::with_something_of_each().await;
    // Whoever projects waits for this row, and so does whoever is about to swap.
    let mut holding = PgConnection::connect(&cluster.url).await.unwrap();
    let hold = "BEGIN; SELECT FROM flexgate.projection_checkpoint WHERE projection = 'outcomes' FOR UPDATE";
    holding.execute(hold).await.unwrap();
    let (status, begun) = cluster.post("outcomes/rebuild").await;
    assert_eq!(status, 202, "{begun}");
    cluster
        .shows("outcomes", |projection| {
            projection["rebuild"]["phase"] == "swapping"
        })
        .await;
    cluster.running.signal(Signal::KILL);
    cluster.running.ended().await;
    holding.close().await.unwrap();
    assert_eq!(
        query(&cluster.url, BUILDINGS).await,
        ["flexgate_rebuild_outcomes"]
    );
    assert_eq!(query(&cluster.url, CONTENTS).await, before);

    cluster.running = cluster.settings.start();
    cluster.settings.api().await;
    let dropped = async {
        while !query(&cluster.url, BUILDINGS).await.is_empty() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    assert!(timeout(PATIENCE, dropped).await.is_ok(), "it is left");
    let (code, said) = cluster.cli(&["replay", "--all"]).await;
    assert_eq!(code, Some(0), "{said}");
    cluster.has(&before).await;
}

#[tokio::test]
async fn tables_of_an_older_version_say_what_is_to_be_done_and_go_on_when_that_is_done() {
    let (mut cluster, before) = Cluster::with_something_of_each().await;
    cluster.running.kill();
    execute(
        &cluster.url,
        "UPDATE flexgate.projection_checkpoint SET version = 0",
    )
    .await;
    cluster.running = cluster.settings.start();
    for (name, check) in [
        ("admin_events", "adminEvents"),
        ("outcomes", "outcomes"),
        ("alerts", "alerts"),
    ] {
        let replay = format!("flexgate replay {name}");
        cluster.settings.shows(check, "DOWN", &replay).await;
        let stopped = cluster
            .shows(name, |projection| projection["status"] == "stopped")
            .await;
        assert!(stopped["reason"].as_str().unwrap().contains(&replay), "{stopped}");
        let (code, said) = cluster.cli(&["replay", name]).await;
        assert_eq!(code, Some(0), "{said}");
        cluster.settings.shows(check, "UP", "").await;
    }
    cluster
        .shows("config", |projection| projection["lagMessages"] == 0)
        .await;
    let gone_on = "SELECT concat_ws(' ', type, subject) FROM flexgate.alerts
        WHERE type IN ('projection.stopped', 'projection.resumed') ORDER BY at";
    let told = async {
        while query(&cluster.url, gone_on).await.len() < 6 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    assert!(timeout(PATIENCE, told).await.is_ok(), "not all was told");
    cluster.has(&before).await;
}

#[tokio::test]
async fn an_emptied_database_is_filled_again_with_the_same_contents() {
    let (cluster, before) = Cluster::with_something_of_each().await;
    let hashes = cluster.hashes().await;
    execute(&cluster.url, "DROP SCHEMA flexgate CASCADE").await;
    // Whoever writes down how far they are makes the tables once more.
    let tables = "SELECT (to_regclass('flexgate.projection_status') IS NOT NULL)::integer::bigint";
    reaches(&cluster.url, tables, 1).await;
    let (code, said) = cluster.cli(&["replay", "--all"]).await;
    assert_eq!(code, Some(0), "{said}");
    cluster.has(&before).await;
    assert_eq!(cluster.hashes().await, hashes);
}
