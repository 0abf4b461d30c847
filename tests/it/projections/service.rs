//! Making projections anew through the admin API and the command line, by a process that runs meanwhile.

use std::process::Stdio;

use flexgate::journal::jetstream::Names;
use flexgate_projections::{Begun, Pace, Projection, Rebuild};
use flexgate_schemas::frame::Sealed;
use http::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    client::Admin,
    fixtures::{self, LOOK_AGAIN, Nats, PATIENCE, Postgres},
    outcomes::{
        database::{COUNTED, reaches},
        frames::{Core, frame, publish},
    },
    program::{Program, Settings},
};

const LIST: &str = "/api/projections";
/// How many wait to take over from whoever projects outcomes.
const WAITS: &str = "
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%held.epoch + 1%'";

/// A process with the roles admin and projector.
pub(super) struct Cluster {
    pub(super) url: String,
    pub(super) names: Names,
    pub(super) link: flexgate::journal::jetstream::Link,
    pub(super) settings: Settings,
    folder: TempDir,
    pub(super) api: Admin,
    pub(super) running: Program,
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let (nats, url) = (Nats::shared_url().await, Postgres::database().await);
        let (prefix, folder) = (fixtures::prefix(), tempfile::tempdir().unwrap());
        let names = Names::new(&prefix).unwrap();
        let link = fixtures::provisioned(nats, &names).await;
        let settings = Settings::new("admin,projector", folder.path(), (nats, &prefix))
            .with("DATABASE_URL", url.clone());
        let running = settings.start();
        let api = settings.api().await;
        Self {
            url,
            names,
            link,
            settings,
            folder,
            api,
            running,
        }
    }

    async fn projection(&self, name: &str) -> Value {
        let list = self.api.call(Method::GET, LIST, None).await.json();
        let mut all = list.as_array().unwrap().iter();
        all.find(|projection| projection["name"] == name).unwrap().clone()
    }

    /// The projection as soon as it is like this.
    pub(super) async fn shows(&self, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Value::Null;
        let looking = async {
            loop {
                seen = self.projection(name).await;
                if is(&seen) {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        assert!(timeout(PATIENCE, looking).await.is_ok(), "{seen}");
        seen
    }

    pub(super) async fn post(&self, path: &str) -> (u16, Value) {
        let answer = self.api.call(Method::POST, &format!("{LIST}/{path}"), None).await;
        (answer.status.as_u16(), answer.json())
    }

    /// What `flexgate` ends with and prints.
    pub(super) async fn cli(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_flexgate"))
            .args(words)
            .args(["--admin", &self.settings.admin.to_string()])
            .env("FLEXGATE_ADMIN_TOKEN", crate::program::TOKEN)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, output).await.expect("its end").unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

#[tokio::test]
async fn everything_is_made_anew_and_compared_while_it_is_kept() {
    let cluster = Cluster::start().await;
    cluster
        .shows("config", |projection| projection["status"] == "running")
        .await;
    for id in ["a", "b"] {
        let route = json!({ "id": id, "path": format!("/{id}"), "upstream": "http://127.0.0.1:9" });
        let created = cluster.api.call(Method::POST, "/api/routes", Some(route)).await;
        assert_eq!(created.status, 201, "{}", created.json());
    }
    let mut core = Core::of_boot("b1");
    for _ in 0..5 {
        publish(&cluster.link, &cluster.names, frame(&mut core, 10)).await;
    }
    reaches(&cluster.url, COUNTED, 50).await;
    for name in ["config", "admin_events", "outcomes", "alerts"] {
        let shown = cluster
            .shows(name, |projection| {
                projection["status"] == "running" && projection["lagMessages"] == 0
            })
            .await;
        assert_eq!(
            (&shown["deadLetters"], &shown["rebuild"]),
            (&json!(0), &Value::Null)
        );
    }
    let (code, said) = cluster.cli(&["replay", "--all", "--verify"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("config.routes: the same, 2 rows, "), "{said}");
    let (code, said) = cluster.cli(&["replay", "--all", "-o", "json"]).await;
    assert_eq!(code, Some(0), "{said}");
    let done: Value = serde_json::from_str(&said).unwrap();
    let outcomes = done
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["projection"] == "outcomes");
    let outcomes = &outcomes.unwrap()["rebuild"];
    assert_eq!(
        (&outcomes["phase"], &outcomes["actor"]),
        (&json!("done"), &json!("admin"))
    );

    // Nothing is doubled by doing it twice, nor by what comes afterwards.
    publish(&cluster.link, &cluster.names, frame(&mut core, 10)).await;
    reaches(&cluster.url, COUNTED, 60).await;
    let spoil = "UPDATE flexgate.rollup_hourly SET requests = requests + 1";
    super::execute(&cluster.url, spoil).await;
    let (code, said) = cluster.cli(&["replay", "outcomes", "--verify"]).await;
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("users: other content"), "{said}");
    let (code, said) = cluster.cli(&["projections", "list"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("outcomes"), "{said}");
}

#[tokio::test]
async fn of_two_at_once_one_is_refused_and_what_does_not_exist_is_not_found() {
    let cluster = Cluster::start().await;
    cluster
        .shows("config", |projection| projection["status"] == "running")
        .await;
    let projection = Projection::named("config").unwrap();
    let Begun::Here(held) = Rebuild::begin(&cluster.url, projection, Pace::FULL)
        .await
        .unwrap()
    else {
        panic!("nobody else is at it");
    };
    let (status, problem) = cluster.post("config/rebuild").await;
    assert_eq!((status, &problem["code"]), (409, &json!("rebuilding")));
    drop(held);
    let begun = async {
        loop {
            let (status, begun) = cluster.post("config/rebuild").await;
            if status == 202 {
                return begun;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let begun = timeout(PATIENCE, begun).await.unwrap();
    cluster
        .shows("config", |projection| {
            projection["rebuild"]["id"] == begun["id"] && projection["rebuild"]["phase"] == "done"
        })
        .await;
    for missing in ["nothing/rebuild", "nothing/dead-letters/retry"] {
        assert_eq!(cluster.post(missing).await.0, 404);
    }
    let (status, problem) = cluster.post("config/dead-letters/retry").await;
    assert_eq!((status, &problem["code"]), (409, &json!("projector_refused")));
    let (status, problem) = cluster.post("outcomes/dead-letters/1-1/retry").await;
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
    for pace in ["0", "101", "fast"] {
        assert_eq!(cluster.post(&format!("config/rebuild?pace={pace}")).await.0, 400);
    }
}

#[tokio::test]
async fn who_has_no_database_says_so_and_does_it_when_there_is_one_again() {
    let cluster = Cluster::start().await;
    cluster
        .shows("alerts", |projection| projection["status"] == "running")
        .await;
    takes_nobody_in(&cluster.url, true).await;
    for target in ["alerts/rebuild", "outcomes/dead-letters/retry"] {
        let (status, problem) = cluster.post(target).await;
        assert_eq!(
            (status, &problem["code"]),
            (503, &json!("database_unavailable")),
            "{problem}"
        );
    }
    takes_nobody_in(&cluster.url, false).await;
    assert_eq!(cluster.post("alerts/rebuild").await.0, 202);
}

/// Whether a database ends all its sessions and begins no others.
async fn takes_nobody_in(url: &str, closed: bool) {
    let options: PgConnectOptions = url.parse().unwrap();
    let name = options.get_database().unwrap().to_owned();
    let mut beside = PgConnection::connect_with(&options.database("postgres"))
        .await
        .unwrap();
    let statement = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {}", !closed);
    beside.execute(AssertSqlSafe(statement)).await.unwrap();
    if closed {
        let ending = sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1");
        ending.bind(name).execute(&mut beside).await.unwrap();
    }
}

#[tokio::test]
async fn dead_letters_that_take_long_keep_nobody_from_asking_for_something_else() {
    let cluster = Cluster::start().await;
    let mut core = Core::of_boot("b1");
    let whole = frame(&mut core, 10);
    let broken = Sealed {
        payload: b"no frame".to_vec(),
        ..whole.clone()
    };
    publish(&cluster.link, &cluster.names, broken).await;
    cluster
        .shows("outcomes", |projection| projection["deadLetters"] == 1)
        .await;
    let mut holder = PgConnection::connect(&cluster.url).await.unwrap();
    let mending = sqlx::query("UPDATE flexgate.dead_letter SET payload = $1").bind(&*whole.payload);
    mending.execute(&mut holder).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    held.execute("SELECT FROM flexgate.projection_checkpoint WHERE projection = 'outcomes' FOR UPDATE")
        .await
        .unwrap();

    let meanwhile = async {
        // Until the first has begun, this one may be the one that waits.
        reaches(&cluster.url, WAITS, 1).await;
        let (status, problem) = cluster.post("outcomes/dead-letters/retry").await;
        assert_eq!((status, &problem["code"]), (409, &json!("rebuilding")));
        assert_eq!(cluster.post("alerts/rebuild").await.0, 202);
        held.rollback().await.unwrap();
    };
    let (retried, ()) = tokio::join!(cluster.post("outcomes/dead-letters/retry"), meanwhile);
    assert_eq!(
        (retried.0, &retried.1["applied"]),
        (200, &json!(1)),
        "{retried:?}"
    );
    reaches(&cluster.url, COUNTED, 10).await;
}

#[tokio::test]
async fn dead_letters_can_be_looked_at_and_are_retried() {
    let cluster = Cluster::start().await;
    let mut core = Core::of_boot("b1");
    let mut broken = frame(&mut core, 10);
    broken.payload = b"no frame".to_vec();
    publish(&cluster.link, &cluster.names, broken).await;
    cluster
        .shows("outcomes", |projection| projection["deadLetters"] == 1)
        .await;
    let path = format!("{LIST}/outcomes/dead-letters");
    let letters = cluster.api.call(Method::GET, &path, None).await.json();
    assert_eq!(
        (&letters[0]["sequence"], &letters[0]["bytes"]),
        (&json!(1), &json!(8))
    );
    let id = letters[0]["id"].as_str().unwrap();
    let (status, retried) = cluster.post(&format!("outcomes/dead-letters/{id}/retry")).await;
    assert_eq!((status, &retried["applied"]), (200, &json!(0)));
    assert_eq!(retried["failed"][0]["id"], id);
    let (code, said) = cluster.cli(&["projections", "retry", "outcomes", "--all"]).await;
    assert_eq!(code, Some(1), "{said}");
    publish(&cluster.link, &cluster.names, frame(&mut core, 10)).await;
    reaches(&cluster.url, COUNTED, 10).await;
}

#[tokio::test]
async fn without_a_projector_nobody_is_asked() {
    let (nats, url) = (Nats::shared_url().await, Postgres::database().await);
    let (prefix, folder) = (fixtures::prefix(), tempfile::tempdir().unwrap());
    let _link = fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    let settings = Settings::new("admin", folder.path(), (nats, &prefix)).with("DATABASE_URL", url);
    let _running = settings.start();
    let api = settings.api().await;
    let answer = api
        .call(Method::POST, &format!("{LIST}/config/rebuild"), None)
        .await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["code"]),
        (503, &json!("no_projector"))
    );
    let list = api.call(Method::GET, LIST, None).await.json();
    assert_eq!(list[0]["status"], "idle");
}
