//! The configuration is made anew from the log, and what earlier histories did stays known.

use std::sync::{Mutex, mpsc};

use flexgate::{app::projector::Commits, domain::Command, health::Verdict, journal::memory::MemoryLog};
use flexgate_projections::{
    Begun, Comparison, Error, Pace, Phase, Progress, Projection, Rebuild, Refill, connect,
};
use flexgate_schemas::alert::AlertKind;
use tokio::sync::watch;

use super::{Cluster, execute, query, route};
use crate::fixtures::Postgres;

const CARRIED: &str = "SELECT relation FROM flexgate.carried_over ORDER BY 1";
const AUDIT: &str = "SELECT id || ' ' || history || ' ' || message FROM flexgate.audit_log ORDER BY 1";

#[tokio::test]
async fn the_log_gives_the_same_tables_once_more() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.create_routes(["a", "b", "c"]).await;
    cluster.execute(Command::PutRoute(route("b", "/other"))).await;
    cluster.execute(Command::DeleteRoute("c".parse().unwrap())).await;
    cluster.rows(&url, AUDIT).await;
    let before = rebuild(&cluster, &url, true).await.unwrap();
    assert!(before.is_same(), "{before:?}");
    let rows = |table: &str| {
        before
            .tables
            .iter()
            .find(|one| one.table == table)
            .unwrap()
            .live
            .rows
    };
    assert_eq!(
        (rows("routes"), rows("audit_log"), rows("audit_changes")),
        (2, 6, 5)
    );

    let writers = "SELECT id || ' ' || xmin FROM flexgate.routes ORDER BY 1";
    let written = query(&url, writers).await;
    assert_eq!(rebuild(&cluster, &url, false).await, None);
    assert_eq!(
        query(&url, writers).await,
        written,
        "what is right stays where it is"
    );

    // The projector that was there goes on.
    cluster.create_routes(["d"]).await;
    let ids = "SELECT id FROM flexgate.routes ORDER BY 1";
    assert_eq!(cluster.rows(&url, ids).await, ["a", "b", "d"]);
    projector.shows(Verdict::Up).await;
    projector.stop().await;
}

#[tokio::test]
async fn an_emptied_database_gets_identical_hashes() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.create_routes(["a", "b", "c"]).await;
    cluster.rows(&url, AUDIT).await;
    let before = rebuild(&cluster, &url, true).await.unwrap();
    projector.stop().await;
    execute(&url, "DROP SCHEMA flexgate CASCADE").await;
    connect(&url).await.unwrap();
    let emptied = rebuild(&cluster, &url, true).await.unwrap();
    assert!(!emptied.is_same());
    rebuild(&cluster, &url, false).await;
    assert_eq!(rebuild(&cluster, &url, true).await.unwrap(), before);
}

#[tokio::test]
async fn what_somebody_changed_by_hand_is_found_and_made_right() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.create_routes(["a", "b"]).await;
    cluster.rows(&url, AUDIT).await;
    execute(&url, "UPDATE flexgate.routes SET path = '/x' WHERE id = 'a'").await;
    execute(&url, "DELETE FROM flexgate.audit_log WHERE sequence = 2").await;
    let compared = rebuild(&cluster, &url, true).await.unwrap();
    let differing = compared.tables.iter().filter(|table| !table.is_same());
    let keys: Vec<_> = differing
        .map(|table| (&*table.table, &*table.differences[0].key))
        .collect();
    assert_eq!(keys, [("routes", "a"), ("audit_log", "CONFIG 1 2")]);
    rebuild(&cluster, &url, false).await;
    assert!(rebuild(&cluster, &url, true).await.unwrap().is_same());
    let path = "SELECT path FROM flexgate.routes WHERE id = 'a'";
    assert_eq!(query(&url, path).await, ["/a"]);
    projector.stop().await;
}

#[tokio::test]
async fn what_was_done_in_an_earlier_history_is_carried_over_and_marked() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.create_routes(["old"]).await;
    cluster.rows(&url, AUDIT).await;
    projector.stop().await;
    let fork = cluster.fork().await;
    let projector = fork.project_into(&url);
    fork.create_routes(["new", "newer"]).await;
    let before = fork.rows(&url, AUDIT).await;
    assert_eq!(before.len(), 5);
    for _ in 0..2 {
        rebuild(&fork, &url, false).await;
        assert_eq!(query(&url, AUDIT).await, before);
        let commits = "SELECT count(*)::text FROM flexgate.audit_commits";
        assert_eq!(query(&url, commits).await, ["5"]);
        assert_eq!(query(&url, CARRIED).await, ["audit_log"]);
    }
    assert!(rebuild(&fork, &url, true).await.unwrap().is_same());
    projector.stop().await;
}

#[tokio::test]
async fn tables_of_a_log_that_was_rewound_are_made_from_the_one_that_is_there() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.create_routes(["a", "b"]).await;
    cluster.rows(&url, AUDIT).await;
    projector.stop().await;
    let other = Cluster::on(MemoryLog::new()).await;
    other.create_routes(["z"]).await;
    let projector = other.project_into(&url);
    projector.shows(Verdict::Down).await;
    rebuild(&other, &url, false).await;
    let ids = "SELECT id FROM flexgate.routes ORDER BY 1";
    assert_eq!(query(&url, ids).await, ["z"]);
    projector.shows(Verdict::Up).await;
    projector.stop().await;
}

#[tokio::test]
async fn tables_whose_place_somebody_has_moved_are_made_anew_and_go_on() {
    for spoil in [
        "UPDATE flexgate.projection_checkpoint SET sequence = sequence - 1",
        "UPDATE flexgate.projection_checkpoint SET chain = repeat('1', 64)",
    ] {
        let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
        let projector = cluster.project_into(&url);
        cluster.create_routes(["a", "b"]).await;
        let before = cluster.rows(&url, AUDIT).await;
        projector.stop().await;
        execute(&url, spoil).await;
        let projector = cluster.project_into(&url);
        projector.shows(Verdict::Down).await;
        rebuild(&cluster, &url, false).await;
        projector.shows(Verdict::Up).await;
        assert_eq!(cluster.rows(&url, AUDIT).await, before);
        projector.stop().await;
    }
}

#[tokio::test]
async fn a_projection_that_stands_still_is_compared_and_made_anew_up_to_where_it_stands() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    execute(
        &url,
        "ALTER TABLE flexgate.routes ADD CONSTRAINT refusal CHECK (id <> 'c')",
    )
    .await;
    let mut projector = cluster.project_into(&url);
    cluster.create_routes(["a", "b", "c", "d"]).await;
    let stopped = projector.raises().await;
    assert!(
        matches!(
            stopped,
            AlertKind::ProjectionStopped {
                position: Some(3),
                ..
            }
        ),
        "{stopped:?}"
    );
    execute(&url, "UPDATE flexgate.routes SET path = '/x' WHERE id = 'a'").await;
    let compared = rebuild(&cluster, &url, true).await.unwrap();
    let differing: Vec<_> = compared.tables.iter().filter(|table| !table.is_same()).collect();
    assert_eq!(differing.len(), 1, "{compared:?}");
    assert_eq!(differing[0].differences[0].key, "a");
    rebuild(&cluster, &url, false).await;
    let paths = "SELECT path FROM flexgate.routes ORDER BY 1";
    assert_eq!(query(&url, paths).await, ["/a", "/b"]);
    assert!(rebuild(&cluster, &url, true).await.unwrap().is_same());

    // What was in the way goes, and so does the projection.
    execute(&url, "ALTER TABLE flexgate.routes DROP CONSTRAINT refusal").await;
    assert_eq!(cluster.rows(&url, paths).await, ["/a", "/b", "/c", "/d"]);
    let resumed = projector.raises().await;
    assert!(
        matches!(resumed, AlertKind::ProjectionResumed { .. }),
        "{resumed:?}"
    );
    projector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_has_not_read_all_of_the_log_yet_does_not_take_the_tables_back() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    cluster.create_routes(["a"]).await;
    let (go_on, blocked) = mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let late = Cluster::serving(
        cluster.log.clone(),
        Box::new(move |fold, _| {
            if fold.revision > 2 {
                let _ended = blocked.lock().unwrap().recv();
            }
        }),
    )
    .await;
    let projector = cluster.project_into(&url);
    cluster.create_routes(["b", "c"]).await;
    let before = cluster.rows(&url, AUDIT).await;
    projector.stop().await;
    assert!(rebuild(&late, &url, true).await.unwrap().is_same());
    rebuild(&late, &url, false).await;
    assert_eq!(late.journal.view().revision(), 2, "it has not read on meanwhile");
    assert_eq!(query(&url, AUDIT).await, before);
    assert_eq!(query(&url, super::SEQUENCE).await, ["4"]);
    drop(go_on);
}

async fn rebuild(cluster: &Cluster, url: &str, verify: bool) -> Option<Comparison> {
    let mut commits = Commits::new(cluster.journal.clone());
    rebuild_from(&mut commits, ("config", url), verify).await
}

/// Makes a projection anew; to verify, only to compare.
pub async fn rebuild_from(
    stream: &mut impl Refill,
    projection: (&str, &str),
    verify: bool,
) -> Option<Comparison> {
    try_rebuild_from(stream, projection, verify).await.unwrap()
}

/// The same, where it may fail.
pub async fn try_rebuild_from(
    stream: &mut impl Refill,
    (projection, url): (&str, &str),
    verify: bool,
) -> Result<Option<Comparison>, Error> {
    let projection = Projection::named(projection).unwrap();
    let Begun::Here(rebuild) = Rebuild::begin(url, projection, Pace::FULL).await.unwrap() else {
        panic!("nobody else is at it");
    };
    let (progress, _) = watch::channel(Progress {
        phase: Phase::Reading,
        done: 0,
        total: 0,
    });
    rebuild.run(stream, verify, &progress).await
}
