//! Folders, plans and one question for each protocol.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use async_nats::jetstream;
use flexgate::devstack::{Binaries, Durability, Need, Plan, Server, ServerOptions};
use flexgate::journal::jetstream::login;
use rustix::process::Pid;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// What `make servers` fetched.
pub(super) fn binaries() -> Binaries {
    Binaries::fetched_into(concat!(env!("CARGO_MANIFEST_DIR"), "/.flexgate/bin"))
}

pub(super) fn plan(data_dir: &Path) -> Plan {
    Plan {
        binaries: binaries(),
        durability: Durability::Test,
        ..Plan::all_below(data_dir)
    }
}

pub(super) fn nats_only(data_dir: &Path) -> Plan {
    Plan {
        postgres: Need::Off,
        redis: Need::Off,
        ..plan(data_dir)
    }
}

/// As `make run` has it: a folder that everybody may enter.
pub(super) fn open_folder() -> TempDir {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

/// Below a home that nobody else may enter.
pub(super) fn closed_folder() -> TempDir {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .unwrap()
}

pub(super) async fn own_nats(data_dir: &Path) -> Server {
    let binary = binaries().nats().await.unwrap();
    let data_dir = data_dir.to_owned();
    Server::nats(ServerOptions {
        data_dir,
        binary,
        port: None,
        durability: Durability::Test,
    })
    .await
    .unwrap()
}

/// The recorded children, by what is on disk.
pub(super) fn children(data_dir: &Path) -> Vec<Pid> {
    let records = fs::read_dir(data_dir.join("run"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let children = records.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    children
        .map(|path| {
            let record: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            Pid::from_raw(record["pid"].as_i64().unwrap().try_into().unwrap()).unwrap()
        })
        .collect()
}

/// Ended processes that their parent has not looked at yet do not count: where process 1 never does, they stay.
pub(super) fn runs(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|fields| !fields.is_empty() && !fields.trim_start().starts_with('Z'))
}

pub(super) async fn jetstream_api_level(url: &str) -> u64 {
    let client = login(url).connect(url).await.unwrap();
    let reply = client.request("$JS.API.INFO", "".into()).await.unwrap();
    let info: serde_json::Value = serde_json::from_slice(&reply.payload).unwrap();
    info["api"]["level"].as_u64().unwrap_or(0)
}

pub(super) async fn store_one_message(url: &str) {
    let jetstream = jetstream::new(login(url).connect(url).await.unwrap());
    let stream = jetstream::stream::Config {
        name: "KEPT".into(),
        subjects: vec!["kept".into()],
        ..Default::default()
    };
    jetstream.create_stream(stream).await.unwrap();
    jetstream.publish("kept", "".into()).await.unwrap().await.unwrap();
}

pub(super) async fn stored_messages(url: &str) -> u64 {
    let jetstream = jetstream::new(login(url).connect(url).await.unwrap());
    jetstream
        .get_stream("KEPT")
        .await
        .unwrap()
        .cached_info()
        .state
        .messages
}

pub(super) async fn postgres_answer(url: &str) -> i32 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("SELECT 42")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

pub(super) async fn redis_answer(url: &str) -> String {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("PING").query_async(&mut connection).await.unwrap()
}
