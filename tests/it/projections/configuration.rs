//! The configuration as it is now.

use std::sync::Arc;

use flexgate::{
    app::{Endpoints, Process},
    config::{Config, Layer, Purpose, Sources},
    domain::Command,
    health::{Dependency, Verdict},
    journal::{jetstream::Names, memory::MemoryLog},
};
use flexgate_projections::{ConfigProjector, Error, connect};
use flexgate_schemas::{Commit, Route, Settings, Upstream};
use futures_util::StreamExt as _;

use super::{Cluster, SEQUENCE, execute, following, query, reached, route};
use crate::fixtures::{self, Nats, Postgres};

/// What the tables hold, except for what tells one projector from another.
const ROWS: &str = "
    SELECT to_jsonb(r)::text FROM flexgate.routes r
    UNION ALL SELECT to_jsonb(u)::text FROM flexgate.upstreams u
    UNION ALL SELECT to_jsonb(s)::text FROM flexgate.settings s
    UNION ALL SELECT (to_jsonb(c) - '{epoch,updated_at,stopped_at,stopped_because,stopped_behind}'::text[])::text
        FROM flexgate.projection_checkpoint c
    ORDER BY 1";
/// Which transaction wrote each route.
const WRITERS: &str = "SELECT id || ' ' || xmin FROM flexgate.routes ORDER BY 1";
const ROUTES: &str = "SELECT id || ' ' || path || ' ' || revision FROM flexgate.routes ORDER BY 1";

#[tokio::test]
async fn a_route_is_a_row_from_its_creation_to_its_deletion() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.execute(Command::CreateRoute(route("a", "/a"))).await;
    cluster.execute(Command::CreateRoute(route("b", "/b"))).await;
    assert_eq!(cluster.rows(&url, ROUTES).await, ["a /a 2", "b /b 3"]);
    cluster.execute(Command::PutRoute(route("a", "/other"))).await;
    assert_eq!(cluster.rows(&url, ROUTES).await, ["a /other 4", "b /b 3"]);
    cluster.execute(Command::DeleteRoute("a".parse().unwrap())).await;
    assert_eq!(cluster.rows(&url, ROUTES).await, ["b /b 3"]);
    projector.stop().await;
}

#[tokio::test]
async fn a_row_holds_the_whole_value_beside_its_main_columns() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    let upstream: Upstream = serde_json::from_str(
        r#"{"name":"pay","targets":[{"url":"http://x","weight":3},{"url":"http://y"}],"authorization":"${PAY}"}"#,
    )
    .unwrap();
    let settings: Settings = serde_json::from_str(r#"{"timeout":"7s"}"#).unwrap();
    let route: Route = serde_json::from_str(
        r#"{"id":"r","host":"*.shop.test","path":"/pay/*","methods":["POST"],"upstream":"pay","priority":7}"#,
    )
    .unwrap();
    cluster.execute(Command::CreateUpstream(upstream.clone())).await;
    cluster.execute(Command::PutSettings(settings.clone())).await;
    cluster.execute(Command::CreateRoute(route.clone())).await;

    let columns =
        "SELECT concat_ws(' ', host, path, methods, upstream, enabled, priority, created_at = updated_at)
        FROM flexgate.routes";
    assert_eq!(
        cluster.rows(&url, columns).await,
        ["*.shop.test /pay/* {POST} pay t 7 t"]
    );
    let targets = "SELECT targets::text FROM flexgate.upstreams";
    assert_eq!(cluster.rows(&url, targets).await, ["{http://x,http://y}"]);
    let value = async |table: &str| {
        let query = format!("SELECT value::text FROM flexgate.{table}");
        cluster.rows(&url, &query).await.remove(0)
    };
    assert_eq!(
        serde_json::from_str::<Route>(&value("routes").await).unwrap(),
        route
    );
    assert_eq!(
        serde_json::from_str::<Upstream>(&value("upstreams").await).unwrap(),
        upstream
    );
    assert_eq!(
        serde_json::from_str::<Settings>(&value("settings").await).unwrap(),
        settings
    );
    projector.stop().await;
}

#[tokio::test]
async fn a_restarted_projector_goes_on_and_does_nothing_twice() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.create_routes(["a", "b"]).await;
    let before = cluster.rows(&url, WRITERS).await;
    projector.stop().await;
    cluster.create_routes(["c"]).await;
    let projector = cluster.project_into(&url);
    let after = cluster.rows(&url, WRITERS).await;
    assert_eq!((after.len(), &after[..2]), (3, &before[..]));
    projector.stop().await;
}

#[tokio::test]
async fn two_projectors_at_once_leave_the_rows_of_one() {
    let cluster = Cluster::begin().await;
    let (one, both) = (Postgres::database().await, Postgres::database().await);
    let alone = cluster.project_into(&one);
    let (first, second) = (cluster.project_into(&both), cluster.project_into(&both));
    cluster.create_routes(["a", "b", "c"]).await;
    let rows = cluster.rows(&one, ROWS).await;
    assert_eq!(cluster.rows(&both, ROWS).await, rows);

    first.stop().await;
    cluster.execute(Command::DeleteRoute("b".parse().unwrap())).await;
    let rows = cluster.rows(&one, ROWS).await;
    assert_eq!(cluster.rows(&both, ROWS).await, rows, "after a takeover");
    second.stop().await;
    alone.stop().await;
}

#[tokio::test]
async fn a_projector_that_was_taken_over_from_changes_nothing() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    cluster.create_routes(["a"]).await;
    let commits = cluster.journal.follow(0).await.unwrap();
    let mut first = ConfigProjector::take_over(connect(&url).await.unwrap())
        .await
        .unwrap();
    first.run(commits.take(2), |_| {}).await.unwrap();
    let _second = ConfigProjector::take_over(connect(&url).await.unwrap())
        .await
        .unwrap();
    let before = query(&url, ROWS).await;
    cluster.create_routes(["b"]).await;
    let commits = cluster.journal.follow(2).await.unwrap();
    let error = first.run(commits, |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Fenced), "{error}");
    assert_eq!(query(&url, ROWS).await, before);
}

#[tokio::test]
async fn a_killed_database_is_caught_up_with() {
    let (cluster, mut postgres) = (Cluster::begin().await, Postgres::start().await);
    let url = postgres.server.url().to_owned();
    let projector = cluster.project_into(&url);
    cluster.create_routes(["a"]).await;
    assert_eq!(cluster.rows(&url, ROUTES).await, ["a /a 2"]);
    postgres.server.kill9();
    cluster.create_routes(["b"]).await;
    let down = projector.shows(Verdict::Down).await;
    assert_eq!(
        down.reasons.why(Dependency::Projections),
        Some("the database does not take part")
    );
    postgres.server.restart().await.unwrap();
    assert_eq!(cluster.rows(&url, ROUTES).await, ["a /a 2", "b /b 3"]);
    projector.shows(Verdict::Up).await;
    projector.stop().await;
    postgres.server.stop().await;
}

#[tokio::test]
async fn a_history_that_does_not_continue_what_was_projected_stops_it_and_changes_nothing() {
    let (ours, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = ours.project_into(&url);
    ours.create_routes(["a", "b"]).await;
    let rows = ours.rows(&url, ROWS).await;
    projector.stop().await;

    let another = Cluster::begin().await;
    another.create_routes(["x", "y", "z"]).await;
    let backup = MemoryLog::new();
    backup.replace(ours.log.contents()[..2].to_vec());
    let shorter = Cluster::on(backup.clone()).await;
    let rewound = MemoryLog::new();
    rewound.replace(backup.contents());
    let rewound = Cluster::on(rewound).await;
    rewound.create_routes(["x", "y"]).await;
    for log in [another, shorter, rewound] {
        let projector = log.project_into(&url);
        let stopped = projector.shows(Verdict::Down).await;
        let reason = stopped.reasons.why(Dependency::Projections).unwrap();
        assert!(
            reason.contains("does not continue revision 3 of generation 1"),
            "{reason}"
        );
        assert_eq!(query(&url, ROWS).await, rows);
        projector.stop().await;
    }
}

#[tokio::test]
async fn a_genesis_of_a_higher_generation_makes_the_rows_anew() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.create_routes(["a", "b"]).await;
    assert_eq!(cluster.rows(&url, ROUTES).await.len(), 2);
    projector.stop().await;

    let fork = cluster.fork().await;
    fork.create_routes(["c"]).await;
    let projector = fork.project_into(&url);
    assert_eq!(fork.rows(&url, ROUTES).await, ["c /c 2"]);
    projector.stop().await;
}

#[tokio::test]
async fn a_commit_that_cannot_be_read_is_not_skipped() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    cluster.create_routes(["a"]).await;
    let commits = cluster.journal.follow(0).await.unwrap().take(2);
    let mut commits: Vec<_> = commits.collect().await;
    // The third is passed over by the stream of commits; the fourth names it as its parent.
    let mut fourth = commits[1].clone();
    let parent = fourth.chain.then(b"the third");
    fourth.commit = Arc::new(Commit {
        parent,
        ..(*fourth.commit).clone()
    });
    (fourth.revision, fourth.chain) = (4, parent.then(&fourth.commit.to_payload()));
    commits.push(fourth);
    let mut projector = ConfigProjector::take_over(connect(&url).await.unwrap())
        .await
        .unwrap();
    let stopped = projector.run(futures_util::stream::iter(commits), |_| {}).await;
    assert!(
        matches!(
            stopped,
            Err(Error::Discontinued {
                found: 4,
                sequence: 2,
                ..
            })
        ),
        "{stopped:?}"
    );
    assert_eq!(query(&url, SEQUENCE).await, ["2"], "those before are applied");
}

#[tokio::test]
async fn an_event_that_the_tables_refuse_stops_the_projection_until_they_take_it() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    execute(
        &url,
        "ALTER TABLE flexgate.routes ADD CONSTRAINT refusal CHECK (id <> 'b')",
    )
    .await;
    cluster.create_routes(["a", "b", "c"]).await;
    let projector = cluster.project_into(&url);
    let stopped = projector.shows(Verdict::Down).await;
    let reason = stopped.reasons.why(Dependency::Projections).unwrap();
    assert!(reason.starts_with("revision 3 cannot be applied"), "{reason}");
    assert_eq!(query(&url, ROUTES).await, ["a /a 2"]);
    execute(&url, "ALTER TABLE flexgate.routes DROP CONSTRAINT refusal").await;
    assert_eq!(cluster.rows(&url, ROUTES).await, ["a /a 2", "b /b 3", "c /c 4"]);
    projector.stop().await;
}

#[tokio::test]
async fn tables_that_were_dropped_are_made_again_and_a_later_version_s_are_left_alone() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    let projector = cluster.project_into(&url);
    cluster.create_routes(["a"]).await;
    assert_eq!(cluster.rows(&url, ROUTES).await, ["a /a 2"]);
    execute(&url, "DROP SCHEMA flexgate CASCADE").await;
    cluster.create_routes(["b"]).await;
    assert_eq!(cluster.rows(&url, ROUTES).await, ["a /a 2", "b /b 3"]);
    projector.stop().await;

    execute(
        &url,
        "UPDATE flexgate.projection_checkpoint SET version = version - 1",
    )
    .await;
    let projector = cluster.project_into(&url);
    projector.shows(Verdict::Up).await;
    assert_eq!(cluster.rows(&url, ROUTES).await, ["a /a 2", "b /b 3"]);
    projector.stop().await;

    execute(
        &url,
        "UPDATE flexgate.projection_checkpoint SET version = version + 1",
    )
    .await;
    let refused = ConfigProjector::take_over(connect(&url).await.unwrap()).await;
    assert!(matches!(refused, Err(Error::Newer { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_process_may_be_a_projector_and_nothing_else() {
    let (server, url) = (Nats::start().await, Postgres::database().await);
    let (nats, names) = (server.server.url(), fixtures::prefix());
    fixtures::provisioned(nats, &Names::new(&names).unwrap()).await;
    let start = async |roles: &str, database: Option<&str>| {
        let folder = tempfile::tempdir().unwrap();
        let variables = [
            ("FLEXGATE_DATA_DIR", folder.path().to_str().unwrap()),
            ("FLEXGATE_ADMIN_ADDR", "127.0.0.1:0"),
            ("FLEXGATE_OPS_ADDR", "127.0.0.1:0"),
            ("FLEXGATE_STREAM_PREFIX", &names),
            ("FLEXGATE_ROLES", roles),
            ("NATS_URL", nats),
        ];
        let given = database.map(|url| ("DATABASE_URL", url));
        let sources = Sources::of([Layer::variables(variables.into_iter().chain(given))]);
        let config = Config::load(&sources, Purpose::Serve).unwrap();
        let process = Process::start(&config, &Endpoints::given(&config).unwrap()).await;
        (process.unwrap(), folder)
    };
    let (admin, _folder) = start("admin", None).await;
    let (projector, _folder) = start("projector", Some(&url)).await;
    let (idle, _folder) = start("projector", None).await;
    let created = admin
        .journal()
        .transact(fixtures::transaction(Command::CreateRoute(route("a", "/a"))));
    let revision = following(admin.journal(), created).await.unwrap().revision;
    assert_eq!(
        reached(&url, revision, ROUTES).await,
        [format!("a /a {revision}")]
    );

    let checks = async |process: &Process| {
        let ready = crate::client::get(process.addresses().ops.unwrap(), "/health/ready").await;
        ready.json()["checks"]["projections"].clone()
    };
    assert_eq!(
        (checks(&projector).await, checks(&idle).await),
        ("UP".into(), "OFF".into())
    );
    for process in [projector, idle, admin] {
        process.drain().await;
    }
}
