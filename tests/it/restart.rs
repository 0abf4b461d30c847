//! Going away, and coming back: the real program, its signals and its ports.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use flexgate::journal::jetstream::Names;
use http::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{
    client::{self, Admin, Connection},
    fixtures::{self, Nats, PATIENCE},
    upstream::Upstream,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The program as `serve`, killed if the test forgets it.
struct Serving(Child);

impl Serving {
    fn start(folder: &Path, prefix: &str, nats: &str, ports: [u16; 2], drain_delay: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_flexgate"))
            .args(["serve", "--role", "admin,gateway"])
            .env("FLEXGATE_DATA_DIR", folder)
            .env("FLEXGATE_STREAM_PREFIX", prefix)
            .env("FLEXGATE_PROXY_ADDR", format!("127.0.0.1:{}", ports[0]))
            .env("FLEXGATE_ADMIN_ADDR", format!("127.0.0.1:{}", ports[1]))
            .env("FLEXGATE_ADMIN_TOKEN", TOKEN)
            .env("FLEXGATE_DRAIN_DELAY", drain_delay)
            .env("FLEXGATE_LOG", "error")
            .env("NATS_URL", nats)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
    }

    /// Waits for its end without blocking the test's other tasks.
    async fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn free_ports() -> [u16; 2] {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

/// Waits until the process routes, by asking it.
async fn routes(addr: SocketAddr, path: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Ok(mut connection) = Connection::open(addr).await
            && connection
                .get(path)
                .await
                .is_ok_and(|answer| answer.status == StatusCode::OK)
        {
            return;
        }
        assert!(Instant::now() < until, "{path} is never routed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_restart_on_the_same_port_and_folder_loses_no_connection() {
    let nats = Nats::shared_url().await;
    let (prefix, ports, folder) = (fixtures::prefix(), free_ports(), tempfile::tempdir().unwrap());
    fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    let upstream = Upstream::replying(200).start().await;
    let [proxy, admin] = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let start = || Serving::start(folder.path(), &prefix, nats, ports, "300ms");

    let mut running = start();
    let until = Instant::now() + PATIENCE;
    while Connection::open(admin).await.is_err() {
        assert!(Instant::now() < until, "the admin API never listens");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let route = json!({ "id": "a", "path": "/a", "upstream": upstream.url() });
    let api = Admin {
        addr: admin,
        token: TOKEN.to_owned(),
    };
    let created = api.call(Method::POST, "/api/routes", Some(route)).await.status;
    assert_eq!(created, StatusCode::CREATED);
    routes(proxy, "/a").await;

    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "joined below")]
    let clients = tokio::spawn(async move {
        let mut answered = 0;
        while !stopped.load(Ordering::Relaxed) {
            // A connection of its own each: every one of them must find somebody who listens.
            assert_eq!(client::get(proxy, "/a").await.status, StatusCode::OK);
            answered += 1;
        }
        answered
    });
    for _ in 0..3 {
        running.terminate();
        let successor = start();
        assert!(running.ended().await.success(), "the old process ends well");
        running = successor;
    }
    routes(proxy, "/a").await;
    stop.store(true, Ordering::Relaxed);
    assert!(clients.await.unwrap() > 0);
    running.terminate();
    assert!(running.ended().await.success());
}

#[tokio::test]
async fn a_port_that_another_flexgate_has_is_named() {
    let nats = Nats::shared_url().await;
    let (prefix, ports) = (fixtures::prefix(), free_ports());
    fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = Serving::start(folders[0].path(), &prefix, nats, ports, "0");
    let proxy = SocketAddr::from(([127, 0, 0, 1], ports[0]));
    let until = Instant::now() + PATIENCE;
    while Connection::open(proxy).await.is_err() {
        assert!(Instant::now() < until, "the gateway never listens");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = Command::new(env!("CARGO_BIN_EXE_flexgate"))
        .args([
            "serve",
            "--role",
            "gateway",
            "--proxy-addr",
            &proxy.to_string(),
            "--ops-addr",
            "127.0.0.1:0",
        ])
        .env("FLEXGATE_DATA_DIR", folders[1].path())
        .env("NATS_URL", nats)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(5), "{said}");
    assert!(
        said.contains(&proxy.to_string()) && said.contains(&first.0.id().to_string()),
        "{said}"
    );
}
