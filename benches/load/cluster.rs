//! A FlexGate cluster for benches: NATS, an admin and gateways, each a process of its own.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use flexgate::{
    devstack::{Binaries, Durability, Server, ServerOptions},
    journal::jetstream::{Link, Names, streams},
};

/// How long anything may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);
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

/// The processes.
pub struct FlexGate {
    gateways: Vec<(Running, u16)>,
    admin: (Running, u16),
    _nats: Server,
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
        let binaries =
            Binaries::fetched_into(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".flexgate/bin"));
        let options = ServerOptions {
            data_dir: folder.join("nats"),
            binary: binaries.nats().await.unwrap(),
            port: None,
            durability: Durability::Safe,
        };
        let nats = Server::nats(options).await.unwrap();
        let link = Link::open(nats.url(), "bench").await.unwrap();
        link.connected().await;
        streams::provision(&link, &Names::new("BENCH").unwrap(), 1)
            .await
            .unwrap();

        let admin_port = free_port();
        let start = |role: &str, data: String, port: u16| {
            let child = Command::new(env!("CARGO_BIN_EXE_flexgate"))
                .args(["serve", "--role", role])
                .env("NATS_URL", nats.url())
                .env("FLEXGATE_STREAM_PREFIX", "BENCH")
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
                .env("FLEXGATE_OPS_ADDR", "127.0.0.1:0")
                .env("FLEXGATE_THREADS", threads.to_string())
                .env(
                    "FLEXGATE_RECORDING",
                    if recording == Recording::On { "on" } else { "off" },
                )
                .env("FLEXGATE_LOG", "warn")
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            (Running(child), port)
        };
        let admin = start("admin", "admin".to_owned(), admin_port);
        let gateways: Vec<_> = (0..gateways)
            .map(|number| start("gateway", format!("node-{number}"), free_port()))
            .collect();
        gateways
            .iter()
            .chain([&admin])
            .for_each(|(_, port)| wait_for(*port));
        let flexgate = Self {
            gateways,
            admin,
            _nats: nats,
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

    /// Where the admin API listens.
    pub fn admin(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.admin.1).into()
    }

    /// Where the gateways listen.
    pub fn ports(&self) -> Vec<u16> {
        self.gateways.iter().map(|(_, port)| *port).collect()
    }

    /// The gateway processes alone.
    pub fn pids(&self) -> Vec<u32> {
        self.gateways.iter().map(|(process, _)| process.0.id()).collect()
    }
}

/// A port that nobody has at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Waits until somebody listens.
pub fn wait_for(port: u16) {
    let until = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "nothing listens on {port}");
        std::thread::yield_now();
    }
}
