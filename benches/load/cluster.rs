//! A FlexGate cluster for benches: NATS, an admin and gateways, each a process of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use flexgate::{
    devstack::{self, Binaries, Durability, Server, ServerOptions},
    journal::jetstream::{Link, Names, streams},
};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::client::Admin;

/// How long anything may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the streams are called.
const PREFIX: &str = "BENCH";
/// Opens the admin API.
pub const TOKEN: &str = "bench-token-bench-token-bench-token";

/// A child that dies with us.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Whether the gateways record what became of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// They do.
    On,
    /// They do not.
    Off,
}

/// One of the processes, and where it listens.
struct Node {
    process: Running,
    port: u16,
    /// Where a gateway speaks TLS.
    tls_port: u16,
}

/// The processes.
pub struct FlexGate {
    gateways: Vec<Node>,
    admin: Node,
    nats: Server,
}

impl FlexGate {
    /// Starts so many gateways, and routes everything to a backend.
    pub async fn start(
        folder: &Path,
        gateways: usize,
        threads: usize,
        backend: u16,
        recording: Recording,
    ) -> Self {
        Self::start_with(folder, (gateways, threads), backend, recording, &[]).await
    }

    /// The same with further variables.
    pub async fn start_with(
        folder: &Path,
        (gateways, threads): (usize, usize),
        backend: u16,
        recording: Recording,
        more: &[(&str, &str)],
    ) -> Self {
        let (nats, _) = nats(folder).await;
        let certificate = Certificate::make(folder);
        let start = |role: &str, data: String| {
            let (port, tls_port) = (free_port(), free_port());
            let child = Command::new(env!("CARGO_BIN_EXE_flexgate"))
                .args(["serve", "--role", role])
                .env("NATS_URL", nats.url())
                .env("FLEXGATE_STREAM_PREFIX", PREFIX)
                .env("FLEXGATE_DATA_DIR", folder.join(data))
                .env("FLEXGATE_ADMIN_TOKEN", TOKEN)
                .env(
                    if role == "admin" {
                        "FLEXGATE_ADMIN_ADDR"
                    } else {
                        "FLEXGATE_PROXY_ADDR"
                    },
                    format!("127.0.0.1:{port}"),
                )
                .env("FLEXGATE_PROXY_TLS_ADDR", format!("127.0.0.1:{tls_port}"))
                .env("FLEXGATE_TLS_CERTIFICATE", &certificate.certificate)
                .env("FLEXGATE_TLS_KEY", &certificate.key)
                .env("FLEXGATE_OPS_ADDR", "127.0.0.1:0")
                .env("FLEXGATE_THREADS", threads.to_string())
                .env(
                    "FLEXGATE_RECORDING",
                    if recording == Recording::On { "on" } else { "off" },
                )
                .env("FLEXGATE_LOG", "warn")
                .envs(more.iter().copied())
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            Node {
                process: Running(child),
                port,
                tls_port,
            }
        };
        let admin = start("admin", "admin".to_owned());
        let gateways: Vec<_> = (0..gateways)
            .map(|number| start("gateway", format!("node-{number}")))
            .collect();
        gateways
            .iter()
            .chain([&admin])
            .for_each(|node| wait_for(node.port));
        let flexgate = Self {
            gateways,
            admin,
            nats,
        };
        flexgate.create_route(&format!("http://127.0.0.1:{backend}"));
        flexgate
    }

    fn create_route(&self, upstream: &str) {
        let created = Command::new(env!("CARGO_BIN_EXE_flexgate"))
            .args(["routes", "create", "--path", "/*", "--upstream", upstream])
            .env("FLEXGATE_ADMIN_TOKEN", TOKEN)
            .env("FLEXGATE_ADMIN_ADDR", self.admin().to_string())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(created.success(), "the route could not be made");
    }

    /// Asks the admin API to make something.
    pub async fn create(&self, path: &str, what: Value) -> Value {
        let admin = Admin {
            addr: self.admin(),
            token: TOKEN.to_owned(),
        };
        let created = admin
            .call(Method::POST, &format!("{path}?wait=nodes"), Some(what))
            .await;
        assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
        created.json()
    }

    /// Where its NATS listens.
    pub fn nats(&self) -> &str {
        self.nats.url()
    }

    /// Where the admin API listens.
    pub fn admin(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.admin.port).into()
    }

    /// Where the gateways listen.
    pub fn ports(&self) -> Vec<u16> {
        self.gateways.iter().map(|node| node.port).collect()
    }

    /// Where they speak TLS.
    pub fn tls_ports(&self) -> Vec<u16> {
        self.gateways.iter().map(|node| node.tls_port).collect()
    }

    /// The gateway processes alone.
    pub fn pids(&self) -> Vec<u32> {
        self.gateways.iter().map(|node| node.process.0.id()).collect()
    }
}

/// A certificate for 127.0.0.1 and its key, as files.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    /// Signed by itself: nobody here asks who signed it.
    pub fn make(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let files = Self {
            certificate: folder.join("certificate.pem"),
            key: folder.join("certificate.key"),
        };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }
}

/// NATS with the streams, as safe as by default.
pub async fn nats(folder: &Path) -> (Server, Link) {
    let server = Server::nats(options(folder.join("nats"), binaries().nats().await.unwrap())).await;
    let server = server.unwrap();
    let link = Link::open(server.url(), "bench").await.unwrap();
    link.connected().await;
    streams::provision(&link, &Names::new(PREFIX).unwrap(), 1)
        .await
        .unwrap();
    (server, link)
}

/// PostgreSQL, as it comes.
pub async fn postgres(folder: &Path) -> Server {
    let binary = binaries().postgres().await.unwrap();
    Server::postgres(options(folder.join("postgres"), binary))
        .await
        .unwrap()
}

/// Valkey, in memory.
pub async fn valkey(folder: &Path) -> Server {
    let binary = binaries().valkey().await.unwrap();
    Server::valkey(options(folder.join("valkey"), binary))
        .await
        .unwrap()
}

/// A projector between the two.
pub fn projector(folder: &Path, nats: &str, postgres: &str) -> Running {
    let child = Command::new(env!("CARGO_BIN_EXE_flexgate"))
        .args(["serve", "--role", "projector"])
        .env("NATS_URL", nats)
        .env("DATABASE_URL", postgres)
        .env("FLEXGATE_STREAM_PREFIX", PREFIX)
        .env("FLEXGATE_DATA_DIR", folder.join("projector"))
        .env("FLEXGATE_OPS_ADDR", "127.0.0.1:0")
        .env("FLEXGATE_LOG", "warn")
        .stdin(Stdio::null())
        .spawn();
    Running(child.unwrap())
}

fn binaries() -> Binaries {
    Binaries::fetched_into(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".flexgate/bin"))
}

fn options(data_dir: PathBuf, binary: PathBuf) -> ServerOptions {
    std::fs::create_dir_all(&data_dir).unwrap();
    ServerOptions {
        data_dir,
        binary,
        port: None,
        durability: Durability::Safe,
    }
}

/// See [`devstack::free_port`].
pub fn free_port() -> u16 {
    devstack::free_port().unwrap()
}

/// Waits until somebody listens.
pub fn wait_for(port: u16) {
    let until = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "nothing listens on {port}");
        std::thread::yield_now();
    }
}
