//! The audit log: who changed what, when and why, and what it was before.

use std::sync::Arc;

use flexgate::{
    domain::Command,
    journal::{Transaction, store::Record},
};
use flexgate_projections::{ConfigProjector, connect};
use flexgate_schemas::{
    Commit, Event, Provenance, Upstream,
    commit::{Actor, ActorKind, Recorded, Source},
    key::{KeyTerms, SecretHash},
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::{Cluster, execute, query, route};
use crate::fixtures::{self, Postgres};

/// Each change beside the commit that made it.
const CHANGES: &str = "
    SELECT concat_ws(' ', l.id, kind, entity, action, before->>'path', '->', after->>'path')
    FROM flexgate.audit_changes c JOIN flexgate.audit_log l USING (history, revision)
    ORDER BY history, revision, ordinal";
const MESSAGES: &str = "SELECT id || ' ' || message FROM flexgate.audit_log ORDER BY history, sequence";
/// All that can be told of the past.
const ROWS: &str = "
    SELECT to_jsonb(l)::text FROM flexgate.audit_log l
    UNION ALL SELECT to_jsonb(c)::text FROM flexgate.audit_changes c
    UNION ALL SELECT to_jsonb(r)::text FROM flexgate.audit_commits r
    UNION ALL SELECT to_jsonb(k)::text FROM flexgate.api_keys k
    ORDER BY 1";

#[tokio::test]
async fn each_change_is_told_with_what_was_before_and_after_it() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.execute(Command::CreateRoute(route("a", "/a"))).await;
    cluster.execute(Command::PutRoute(route("a", "/b"))).await;
    cluster.execute(Command::DeleteRoute("a".parse().unwrap())).await;
    assert_eq!(
        cluster.rows(&url, CHANGES).await,
        [
            "CONFIG-2 route a created -> /a",
            "CONFIG-3 route a updated /a -> /b",
            "CONFIG-4 route a deleted /b ->",
        ]
    );
    assert_eq!(
        query(&url, MESSAGES).await,
        [
            "CONFIG-1 History started: first start",
            "CONFIG-2 Route \"a\" created",
            "CONFIG-3 Route \"a\" updated",
            "CONFIG-4 Route \"a\" deleted",
        ]
    );
    projector.stop().await;
}

#[tokio::test]
async fn a_commit_is_told_with_who_asked_for_it_from_where_and_why() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    let upstream: Upstream =
        serde_json::from_value(json!({ "name": "pay", "targets": [{ "url": "http://x" }] })).unwrap();
    let provenance: Provenance = serde_json::from_value(json!({
        "correlationId": "order-4711",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "address": "2001:db8::7",
        "agent": "curl/8.5.0",
    }))
    .unwrap();
    let transaction = Transaction {
        command: Command::CreateUpstream(upstream),
        actor: Actor {
            kind: ActorKind::Token,
            id: "deploy-bot".into(),
        },
        source: Source::File("proxy.yml".into()),
        reason: Some("ticket 42".into()),
        provenance: Some(Box::new(provenance)),
        ..fixtures::transaction(Command::DeleteRoute("a".parse().unwrap()))
    };
    let committed = cluster.journal.transact(transaction).await.unwrap();
    let told = "SELECT (to_jsonb(l) - 'at')::text FROM flexgate.audit_log l WHERE sequence = 2";
    let told: Value = serde_json::from_str(&cluster.rows(&url, told).await[0]).unwrap();
    assert_eq!(
        told,
        json!({
            "stream": "CONFIG", "history": 1, "sequence": 2, "id": "CONFIG-2", "revision": 2,
            "level": "info", "message": "Upstream \"pay\" created",
            "actor_type": "token", "actor": "deploy-bot", "source": "file", "file": "proxy.yml",
            "reason": "ticket 42", "commit_id": committed.commit.unwrap().as_str(),
            "correlation": "order-4711", "trace": "0af7651916cd43dd8448eb211c80319c",
            "address": "2001:db8::7", "agent": "curl/8.5.0",
            "method": null, "path": null, "status": null, "code": null, "times": null,
        })
    );
    projector.stop().await;
}

#[tokio::test]
async fn the_hash_of_a_key_is_nowhere_but_in_the_commit_itself() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    let hash = "ab".repeat(32);
    let sha256: SecretHash = hash.parse().unwrap();
    let terms: KeyTerms = serde_json::from_value(json!({ "name": "shop" })).unwrap();
    let id = "k1k1k1k1k1k1".parse().unwrap();
    cluster
        .execute(Command::CreateKey {
            id,
            sha256,
            terms,
            basic: None,
        })
        .await;
    let keys = "SELECT name || ' ' || enabled || ' ' || (value->>'name') FROM flexgate.api_keys";
    assert_eq!(cluster.rows(&url, keys).await, ["shop true shop"]);
    let telling = "
        SELECT to_jsonb(l)::text FROM flexgate.audit_log l
        UNION ALL SELECT to_jsonb(c)::text FROM flexgate.audit_changes c
        UNION ALL SELECT to_jsonb(k)::text FROM flexgate.api_keys k";
    let told = query(&url, telling).await;
    assert!(told.len() > 3);
    assert!(told.iter().all(|row| !row.contains(&hash)), "{told:?}");
    let kept = "SELECT convert_from(payload, 'UTF8') FROM flexgate.audit_commits WHERE revision = 2";
    assert!(query(&url, kept).await[0].contains(&hash));
    projector.stop().await;
}

#[tokio::test]
async fn commits_are_kept_byte_for_byte() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.create_routes(["a", "b"]).await;
    let kept = "SELECT convert_from(payload, 'UTF8') FROM flexgate.audit_commits ORDER BY revision";
    let kept = cluster.rows(&url, kept).await;
    let payload = |record: Record| String::from_utf8(record.payload.to_vec()).unwrap();
    let written: Vec<_> = cluster.log.contents().into_iter().map(payload).collect();
    assert_eq!(kept, written);
    projector.stop().await;
}

#[tokio::test]
async fn to_tell_it_all_again_tells_the_same() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.create_routes(["a", "b"]).await;
    cluster.execute(Command::PutRoute(route("a", "/other"))).await;
    cluster.execute(Command::DeleteRoute("b".parse().unwrap())).await;
    let rows = cluster.rows(&url, ROWS).await;
    assert!(rows.len() > 10);
    projector.stop().await;
    execute(
        &url,
        "UPDATE flexgate.projection_checkpoint SET version = version - 1",
    )
    .await;
    let projector = cluster.project_into(&url);
    cluster.create_routes(["c"]).await;
    let again = cluster.rows(&url, ROWS).await;
    assert!(rows.iter().all(|row| again.contains(row)));
    assert_eq!(
        again.len(),
        rows.len() + 3,
        "the commit, its change and its bytes"
    );
    projector.stop().await;
}

#[tokio::test]
async fn what_was_done_before_a_new_history_is_not_forgotten() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.create_routes(["a"]).await;
    cluster.rows(&url, MESSAGES).await;
    projector.stop().await;
    let fork = cluster.fork().await;
    fork.create_routes(["b", "c"]).await;
    let projector = fork.project_into(&url);
    assert_eq!(
        fork.rows(&url, MESSAGES).await,
        [
            "CONFIG-1 History started: first start",
            "CONFIG-2 Route \"a\" created",
            "CONFIG-1 History started: a fork",
            "CONFIG-2 Route \"b\" created",
            "CONFIG-3 Route \"c\" created",
        ]
    );
    projector.stop().await;
}

#[tokio::test]
async fn a_commit_with_thousands_of_changes_is_told_whole() {
    const ROUTES: usize = 2500;
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let first = cluster.journal.follow(0).await.unwrap().next().await.unwrap();
    let id = |number: usize| format!("r{number:06}");
    let created = (0..ROUTES).map(|number| Event::RouteCreated(Arc::new(route(&id(number), "/a"))));
    let updated = (0..ROUTES).map(|number| Event::RouteUpdated(Arc::new(route(&id(number), "/b"))));
    let commit = Commit {
        id: "large".parse().unwrap(),
        parent: first.chain,
        events: created.chain(updated).collect(),
        ..(*first.commit).clone()
    };
    let recorded = Recorded {
        revision: 2,
        chain: first.chain.then(&commit.to_payload()),
        commit: Arc::new(commit),
    };
    let mut projector = ConfigProjector::take_over(connect(&url).await.unwrap())
        .await
        .unwrap();
    let commits = futures_util::stream::iter([first, recorded]);
    projector.run(commits, |_| {}).await.unwrap();
    let told = "SELECT concat_ws(' ', action, count(*), count(DISTINCT entity), min(before->>'path'), min(after->>'path'))
        FROM flexgate.audit_changes GROUP BY action ORDER BY 1";
    assert_eq!(
        query(&url, told).await,
        ["created 2500 2500 /a", "updated 2500 2500 /a /b"]
    );
    let routes = "SELECT concat_ws(' ', count(*), min(path), max(path)) FROM flexgate.routes";
    assert_eq!(query(&url, routes).await, ["2500 /b /b"]);
}
