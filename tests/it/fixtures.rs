//! Real servers, started once per run and shared; tests are kept apart by stream prefix and database name.

use std::{
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use flexgate::{
    devstack::{Binaries, Durability, Server, ServerOptions},
    journal::jetstream::{Link, Names, streams},
};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// How long anything may take that a test waits for. Generous: it is only used up when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What `make servers` fetched.
pub fn binaries() -> Binaries {
    Binaries::fetched_into(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".flexgate/bin"))
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
