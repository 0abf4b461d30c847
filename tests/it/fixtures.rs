//! Real servers, started once per run and shared; tests are kept apart by stream prefix and database name.

use std::{
    fs::{self, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use flexgate::{
    devstack::{Binaries, Durability, Server, ServerOptions},
    domain::{Command, Expect},
    journal::{
        Transaction,
        jetstream::{Link, Names, streams},
    },
    telemetry::metrics::Metrics,
};
use flexgate_schemas::commit::{Actor, ActorKind, Source};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// How long anything may take that a test waits for. Generous: it is only used up when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a test looks for what nobody tells it about.
pub const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What `make servers` fetched.
pub fn binaries() -> Binaries {
    Binaries::fetched_into(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".flexgate/bin"))
}

/// A program that a test holds ours against. Where it is not installed the test is skipped, and says so where it is seen:
/// what tests print is not. In CI everything must be there.
pub fn installed(program: &str) -> Option<PathBuf> {
    let folders = env!("PATH").split(':').chain(["/usr/sbin"]);
    let mut paths = folders.map(|folder| Path::new(folder).join(program));
    let found = paths.find(|path| path.exists());
    if found.is_none() {
        let message = format!("{program} is not here; `make peers` installs it");
        assert_ne!(option_env!("CI"), Some("true"), "{message}");
        skipped(&message);
    }
    found
}

/// How often gateways of this process refused something with this code.
pub fn refusals(code: &str) -> u64 {
    let series = format!(r#"flexgate_gateway_refusals_total{{code="{code}"}} "#);
    let text = Metrics::install().render();
    let count = text.lines().find_map(|line| line.strip_prefix(&series));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Says that something was not tested: past the harness, which keeps what a test prints to itself.
pub fn skipped(why: &str) {
    let line = format!("SKIPPED, NOT PASSED: {why}\n");
    io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A NATS server and its data, for one test that harms it or for all that do not.
pub struct Nats {
    /// The server.
    pub server: Server,
    _data: TempDir,
}

impl Nats {
    /// A server of one's own.
    pub async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let options = ServerOptions {
            data_dir: data.path().to_owned(),
            binary: binaries().nats().await.unwrap(),
            port: None,
            durability: Durability::Test,
        };
        Self {
            server: Server::nats(options).await.unwrap(),
            _data: data,
        }
    }

    /// The server that all tests share. It ends with the test process.
    pub async fn shared_url() -> &'static str {
        static SHARED: OnceCell<Nats> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await.server.url()
    }
}

/// A PostgreSQL server and its data, for one test that harms it or for all that do not.
pub struct Postgres {
    /// The server.
    pub server: Server,
    data: TempDir,
}

impl Postgres {
    /// A server of one's own.
    pub async fn start() -> Self {
        Self::start_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).await
    }

    /// A server of one's own, with its data on the disk of this folder.
    pub async fn start_in(folder: &Path) -> Self {
        let data = tempfile::Builder::new()
            .prefix(&format!("postgres-{}-", process::id()))
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(folder)
            .unwrap();
        let options = ServerOptions {
            data_dir: data.path().to_owned(),
            binary: binaries().postgres().await.unwrap(),
            port: None,
            durability: Durability::Test,
        };
        Self {
            server: Server::postgres(options).await.unwrap(),
            data,
        }
    }

    /// The folder that its server keeps everything in.
    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// A migrated database that no other test uses, on the server that all tests share.
    pub async fn database() -> String {
        Self::database_like("flexgate").await
    }

    /// The same, without a table.
    pub async fn empty_database() -> String {
        Self::database_like("template1").await
    }

    async fn database_like(model: &str) -> String {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let template = SHARED.get_or_init(Self::with_template).await.server.url();
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let server = template.parse::<PgConnectOptions>().unwrap().database("postgres");
        let mut connection = PgConnection::connect_with(&server).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {model}"));
        connection.execute(create).await.unwrap();
        template.replace("/flexgate?", &format!("/{name}?"))
    }

    /// Its own database becomes what those of the tests are copied from. Nobody may be connected to it then.
    async fn with_template() -> Self {
        remove_what_ended_runs_left();
        let shared = Self::start().await;
        let connection = flexgate_projections::connect(shared.server.url()).await.unwrap();
        connection.close().await.unwrap();
        shared
    }
}

/// A server that is shared until the process ends has nobody to remove its data, which would add up.
fn remove_what_ended_runs_left() {
    for entry in fs::read_dir(env!("CARGO_TARGET_TMPDIR")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let run = name
            .strip_prefix("postgres-")
            .and_then(|rest| rest.split('-').next());
        if run.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _gone = fs::remove_dir_all(entry.path());
        }
    }
}

/// A stream prefix that no other test uses.
pub fn prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("T{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Names that no other test uses.
pub fn names() -> Names {
    Names::new(&prefix()).unwrap()
}

/// A connection to a server, with the streams of `names` made.
pub async fn provisioned(url: &str, names: &Names) -> Link {
    let link = connected(url).await;
    streams::provision(&link, names, 1).await.unwrap();
    link
}

/// A connection to a server.
pub async fn connected(url: &str) -> Link {
    let link = Link::open(url, "test").await.unwrap();
    tokio::time::timeout(PATIENCE, link.connected())
        .await
        .expect("NATS to be there");
    link
}

/// A command that somebody sends through the API, under no condition.
pub fn transaction(command: Command) -> Transaction {
    Transaction {
        command,
        expect: Expect::Any,
        after: None,
        actor: Actor {
            kind: ActorKind::Token,
            id: "test".into(),
        },
        source: Source::Api,
        reason: None,
        idempotency: None,
        provenance: None,
    }
}
