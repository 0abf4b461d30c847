//! The questions of docs/analytics.md, asked about traffic whose answers are known.

use std::{fs, process::Command};

use chrono::{Days, NaiveTime, Utc};
use flexgate::{domain, journal::Transaction};
use flexgate_schemas::{
    Outcome, Route, Timestamp,
    admin::{Call, Deed},
    commit::{Actor, ActorKind},
    key::{KeyTerms, SecretHash},
};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{
    Cluster, SEQUENCE, admin_events,
    alerts::{on_stream_since, project},
    query,
};
use crate::{
    fixtures::{self, Postgres},
    outcomes::{
        database::Database,
        frames::{Core, plain},
    },
};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/analytics.md");

#[tokio::test]
async fn every_question_has_the_answer_that_its_page_says() {
    let page = fs::read_to_string(DOCUMENT).unwrap();
    let questions = page.matches("```sql").count();
    assert!(questions >= 15, "{questions}");
    let answered = loop {
        let today = Utc::now().date_naive();
        let url = shop().await;
        let answered = answered(&page, &url);
        // What happened today must not have become yesterday's.
        if Utc::now().date_naive() == today {
            break answered;
        }
    };
    if option_env!("BLESS").is_some() {
        fs::write(DOCUMENT, &answered).unwrap();
    }
    assert_eq!(page, answered, "BLESS=1 writes the answers into the page");
}

#[tokio::test]
async fn who_only_asks_may_read_and_nothing_else() {
    let url = Postgres::database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("SET ROLE flexgate_reader").await.unwrap();
    let closed = "SELECT relname::text FROM pg_class
        WHERE relnamespace = 'flexgate'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
        AND NOT has_table_privilege(oid, 'SELECT') ORDER BY 1";
    let closed: Vec<String> = sqlx::query_scalar(closed)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(closed, ["audit_commits", "dead_letter"]);
    for denied in [
        "DELETE FROM flexgate.routes",
        "INSERT INTO flexgate.audit_commits VALUES (1, 1, '')",
        "SELECT flexgate.let_read('flexgate_reader')",
        "CREATE TABLE flexgate.mine ()",
    ] {
        let refused = connection.execute(denied).await.unwrap_err();
        let code = refused
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        assert_eq!(code.as_deref(), Some("42501"), "{denied}: {refused}");
    }
    connection
        .execute("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY requests) FROM flexgate.top_routes")
        .await
        .unwrap();
}

/// The page, each query with what it answers now.
fn answered(page: &str, url: &str) -> String {
    let mut parts = page.split("```sql\n");
    let mut answered = parts.next().unwrap().to_owned();
    for part in parts {
        let (sql, rest) = part.split_once("```\n").unwrap();
        let rest = match rest.strip_prefix("\n```text\n") {
            Some(before) => before.split_once("```\n").unwrap().1,
            None => rest,
        };
        answered.extend(["```sql\n", sql, "```\n\n```text\n", &ask(sql, url), "```\n", rest]);
    }
    answered
}

fn ask(sql: &str, url: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_flexgate"))
        .args(["sql", "-c", sql])
        .current_dir(folder.path())
        .env_clear()
        .env("DATABASE_URL", url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{sql}\n{said}");
    String::from_utf8(done.stdout).unwrap()
}

/// A database with a shop in it.
async fn shop() -> String {
    let database = Database::new().await;
    configure(&database.url).await;
    refuse(&database.url).await;
    let mut core = Core::of_boot("b1");
    for days_ago in 2..=4 {
        let day = Utc::now()
            .date_naive()
            .checked_sub_days(Days::new(days_ago))
            .unwrap();
        let at = day.and_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap()).and_utc();
        let on = |outcome: Outcome<'static>| Outcome {
            at: at.timestamp_micros(),
            ..outcome
        };
        let failures = usize::from(days_ago == 3);
        send(
            &database,
            &mut core,
            &[
                (1000 - failures, on(users())),
                (failures, on(with_status(&users(), 503))),
                (400, on(orders())),
            ],
        )
        .await;
    }
    send(&database, &mut core, &today()).await;
    let searches: Vec<_> = (0..50)
        .map(|number| (1, search(20_000 + 2_000 * number)))
        .collect();
    send(&database, &mut core, &searches).await;
    nodes(&database.url).await;
    database.url
}

/// A node that was upgraded, another that was killed and came back after the others had missed it.
async fn nodes(url: &str) {
    let joined = |node: &str, boot: &str, version: &str| json!({ "node": node, "boot": boot, "version": version, "readerLevel": 5, "revision": 7 });
    let alerts = [
        ("node.joined", "node-a", joined("node-a", "1", "1.0.0")),
        ("node.joined", "node-b", joined("node-b", "1", "1.0.0")),
        (
            "node.left",
            "node-a",
            json!({ "node": "node-a", "boot": "1", "revision": 7 }),
        ),
        ("node.joined", "node-a", joined("node-a", "2", "1.1.0")),
        (
            "node.lost",
            "node-a",
            json!({ "node": "node-b", "silentMs": 9000 }),
        ),
        ("node.joined", "node-b", joined("node-b", "2", "1.1.0")),
        (
            "config.rejected",
            "node-a",
            json!({ "file": "flexgate.yml", "reason": "tabs" }),
        ),
    ];
    let now = Utc::now() - chrono::TimeDelta::minutes(1);
    project(url, 0, on_stream_since(now, 1, &alerts)).await.unwrap();
}

/// What came in just now, before alice's change and after it.
fn today() -> Vec<(usize, Outcome<'static>)> {
    let refused = |status, code| Outcome {
        refused: Some(code),
        attempts: 0,
        upstream_micros: None,
        target: None,
        micros: 100,
        ..with_status(&users(), status)
    };
    let nowhere = Outcome {
        route: None,
        upstream: None,
        path: "/wp-login.php",
        client: Some("203.0.113.9"),
        ..refused(404, "route_not_found")
    };
    let elsewhere = Outcome {
        revision: 7,
        upstream: Some("orders-v2"),
        target: Some("10.0.0.9:80"),
        ..orders()
    };
    let key = Some("k1k1k1k1k1k1");
    let refused_today = Outcome {
        key,
        ..refused(429, "rate_limited")
    };
    vec![
        (300, Outcome { key, ..users() }),
        (100, orders()),
        (30, refused_today),
        (20, nowhere),
        (60, elsewhere),
        (40, with_status(&elsewhere, 502)),
    ]
}

async fn send(database: &Database, core: &mut Core, groups: &[(usize, Outcome<'static>)]) {
    let outcomes: Vec<_> = groups
        .iter()
        .flat_map(|(count, outcome)| vec![*outcome; *count])
        .collect();
    let numbered = core.numbered(&outcomes);
    let frames = numbered.chunks(500).map(|chunk| core.seal(chunk)).collect();
    let applied = database.apply(frames).await;
    assert_eq!(applied.outcomes, outcomes.len() as u64);
}

fn users() -> Outcome<'static> {
    Outcome {
        revision: 6,
        ..plain()
    }
}

fn orders() -> Outcome<'static> {
    Outcome {
        route: Some("orders"),
        upstream: Some("orders"),
        target: Some("10.0.0.2:80"),
        path: "/orders/7",
        micros: 5_000,
        upstream_micros: Some(4_800),
        ..users()
    }
}

fn search(micros: u64) -> Outcome<'static> {
    Outcome {
        route: Some("search"),
        upstream: Some("search"),
        target: Some("10.0.0.3:80"),
        path: "/search",
        micros,
        upstream_micros: Some(micros - 400),
        ..users()
    }
}

fn with_status(outcome: &Outcome<'static>, status: u16) -> Outcome<'static> {
    Outcome {
        status: Some(status),
        ..*outcome
    }
}

/// Alice tried something else before, and somebody had no token.
async fn refuse(url: &str) {
    let now = Timestamp::from(Utc::now());
    let in_use = Call::new(("DELETE", "/api/upstreams/orders"), 409, Some("upstream_in_use"));
    let unknown = Call {
        times: 40,
        ..Call::new(("POST", "/api/routes"), 401, Some("wrong_token"))
    };
    let events = [
        (Some("alice"), now, Deed::Refused(in_use)),
        (None, now, Deed::Denied(unknown)),
    ];
    let messages = admin_events::on_stream(1, &events);
    admin_events::project(url, 0, messages).await.unwrap();
}

/// Four routes and a key by a pipeline, and a change by alice: revisions 2 to 7.
async fn configure(url: &str) {
    let cluster = Cluster::begin().await;
    let projector = cluster.project_into(url);
    let route = |id: &str, upstream: &str| -> Route {
        serde_json::from_value(json!({ "id": id, "path": format!("/{id}/*"), "upstream": upstream })).unwrap()
    };
    let by = |actor: &str, command| Transaction {
        actor: Actor {
            kind: ActorKind::Token,
            id: actor.into(),
        },
        ..fixtures::transaction(command)
    };
    let host = |name: &str| format!("http://{name}.internal");
    for id in ["users", "orders", "search", "legacy"] {
        let creation = domain::Command::CreateRoute(route(id, &host(id)));
        cluster
            .journal
            .transact(by("deploy-bot", creation))
            .await
            .unwrap();
    }
    let sha256: SecretHash = "ab".repeat(32).parse().unwrap();
    let terms: KeyTerms = serde_json::from_value(json!({ "name": "shop" })).unwrap();
    let key = domain::Command::CreateKey {
        id: "k1k1k1k1k1k1".parse().unwrap(),
        sha256,
        terms,
        basic: None,
    };
    cluster.journal.transact(by("deploy-bot", key)).await.unwrap();
    let change = Transaction {
        reason: Some("ticket 42".into()),
        ..by(
            "alice",
            domain::Command::PutRoute(route("orders", &host("orders-v2"))),
        )
    };
    assert_eq!(cluster.journal.transact(change).await.unwrap().revision, 7);
    assert_eq!(cluster.rows(url, SEQUENCE).await, ["7"]);
    projector.stop().await;
    assert_eq!(
        query(url, "SELECT count(*)::text FROM flexgate.routes").await,
        ["4"]
    );
}
