//! The backend and the two proxies, each with processes of its own.

use std::{
    fs,
    net::TcpListener,
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
/// Workers of nginx and threads of FlexGate: the cores of the machine.
const WORKERS: usize = 2;
const TOKEN: &str = "bench-token-bench-token-bench-token";

/// Whether a tool is on the path.
pub fn installed(tool: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("PATH=$PATH:/usr/sbin command -v {tool}")])
        .stdout(Stdio::null())
        .status()
        .unwrap()
        .success()
}

/// A child that dies with us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// nginx that answers with 128 bytes by itself.
pub struct Backend {
    _running: NginxProcess,
    port: u16,
}

impl Backend {
    /// Starts it.
    pub fn start(folder: &Path) -> Self {
        let port = free_port();
        let body = "x".repeat(128);
        let server = format!(
            "keepalive_requests 100000000;
             server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{body}'; }} }}"
        );
        Self {
            _running: NginxProcess::start(&folder.join("backend"), &server, port),
            port,
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// nginx as a proxy that adds what FlexGate adds.
pub struct Nginx {
    running: NginxProcess,
    port: u16,
}

impl Nginx {
    /// Starts it in front of the backend.
    pub fn start(folder: &Path, backend: u16) -> Self {
        let port = free_port();
        let server = format!(
            "keepalive_requests 100000000;
             upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 100000000; }}
             server {{
               listen 127.0.0.1:{port} reuseport;
               location / {{
                 proxy_pass http://backend;
                 proxy_http_version 1.1;
                 proxy_buffering off;
                 proxy_set_header Connection '';
                 proxy_set_header Host 127.0.0.1:{backend};
                 proxy_set_header Via '1.1 nginx';
                 proxy_set_header X-Forwarded-For $remote_addr;
                 proxy_set_header X-Forwarded-Proto $scheme;
                 proxy_set_header X-Forwarded-Host $http_host;
                 proxy_set_header X-Forwarded-Port $server_port;
                 proxy_set_header X-Correlation-ID $request_id;
                 proxy_set_header traceparent '00-$request_id-00f067aa0ba902b7-01';
                 add_header X-Correlation-ID $request_id;
               }}
             }}"
        );
        Self {
            running: NginxProcess::start(&folder.join("nginx"), &server, port),
            port,
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Master and workers.
    pub fn pids(&self) -> Vec<u32> {
        let master = self.running.child.0.id();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        children
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .chain([master])
            .collect()
    }
}

struct NginxProcess {
    child: Running,
}

impl NginxProcess {
    fn start(folder: &Path, server: &str, port: u16) -> Self {
        fs::create_dir_all(folder).unwrap();
        let conf = folder.join("nginx.conf");
        let text = format!(
            "daemon off; worker_processes {WORKERS}; pid {0}/pid; error_log {0}/error.log;
             events {{ worker_connections 4096; }}
             http {{
               access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/f;
               uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;
               {server}
             }}",
            folder.display()
        );
        fs::write(&conf, text).unwrap();
        let child = Command::new("sh")
            .args(["-c", "PATH=$PATH:/usr/sbin exec nginx -c \"$0\" -e \"$1\""])
            .args([&conf, &folder.join("error.log")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let child = Running(child);
        wait_for(port);
        Self { child }
    }
}

impl Drop for NginxProcess {
    fn drop(&mut self) {
        // The master takes its workers with it only when it is asked.
        let pid = self.child.0.id().to_string();
        let _asked = Command::new("kill").args(["-TERM", &pid]).status();
        let _reaped = self.child.0.wait();
    }
}

/// FlexGate: a gateway process to be measured, and what it takes to give it a route.
pub struct FlexGate {
    gateway: Running,
    port: u16,
    _admin: Running,
    _nats: Server,
}

impl FlexGate {
    /// Starts NATS, an admin and a gateway, and routes everything to the backend.
    pub async fn start(folder: &Path, backend: u16) -> Self {
        let binaries =
            Binaries::fetched_into(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".flexgate/bin"));
        let nats = Server::nats(ServerOptions {
            data_dir: folder.join("nats"),
            binary: binaries.nats().await.unwrap(),
            port: None,
            durability: Durability::Test,
        })
        .await
        .unwrap();
        let link = Link::open(nats.url(), "bench").await.unwrap();
        link.connected().await;
        streams::provision(&link, &Names::new("BENCH").unwrap(), 1)
            .await
            .unwrap();

        let (admin_port, port) = (free_port(), free_port());
        let process = |role: &str, data: &str| {
            let child = Command::new(env!("CARGO_BIN_EXE_flexgate"))
                .args(["serve", "--role", role])
                .env("NATS_URL", nats.url())
                .env("FLEXGATE_STREAM_PREFIX", "BENCH")
                .env("FLEXGATE_DATA_DIR", folder.join(data))
                .env("FLEXGATE_ADMIN_TOKEN", TOKEN)
                .env("FLEXGATE_ADMIN_ADDR", format!("127.0.0.1:{admin_port}"))
                .env("FLEXGATE_PROXY_ADDR", format!("127.0.0.1:{port}"))
                .env("FLEXGATE_OPS_ADDR", "127.0.0.1:0")
                .env("FLEXGATE_THREADS", WORKERS.to_string())
                .env("FLEXGATE_LOG", "warn")
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            Running(child)
        };
        let admin = process("admin", "admin");
        let gateway = process("gateway", "gateway");
        wait_for(admin_port);
        wait_for(port);
        let created = Command::new(env!("CARGO_BIN_EXE_flexgate"))
            .args([
                "routes",
                "create",
                "--path",
                "/*",
                "--upstream",
                &format!("http://127.0.0.1:{backend}"),
            ])
            .env("FLEXGATE_ADMIN_TOKEN", TOKEN)
            .env("FLEXGATE_ADMIN_ADDR", format!("127.0.0.1:{admin_port}"))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(created.success(), "the route could not be made");
        Self {
            gateway,
            port,
            _admin: admin,
            _nats: nats,
        }
    }

    /// Where the gateway listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The gateway process alone.
    pub fn pids(&self) -> Vec<u32> {
        vec![self.gateway.0.id()]
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn wait_for(port: u16) {
    let until = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "nothing listens on {port}");
        std::thread::yield_now();
    }
}
