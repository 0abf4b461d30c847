//! The real program as processes of their own: their settings, their signals and how they end.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use flexgate::devstack::free_port;
use http::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    client::{self, Admin, Connection},
    fixtures::{LOOK_AGAIN, PATIENCE},
};

/// What opens the admin API of every process here.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What a process is told, and may be told again when it is started anew.
#[derive(Clone)]
pub struct Settings {
    pub proxy: SocketAddr,
    /// Where the admin API is; of a process without that role, health and metrics.
    pub admin: SocketAddr,
    variables: Vec<(&'static str, String)>,
}

impl Settings {
    /// On ports that are free now. One core, and no pause before it drains.
    pub fn new(roles: &str, data: &Path, (nats, prefix): (&str, &str)) -> Self {
        let [proxy, admin] = free_addresses();
        let variables = vec![
            ("FLEXGATE_ROLES", roles.to_owned()),
            ("FLEXGATE_DATA_DIR", data.display().to_string()),
            ("FLEXGATE_STREAM_PREFIX", prefix.to_owned()),
            ("FLEXGATE_PROXY_ADDR", proxy.to_string()),
            ("FLEXGATE_ADMIN_ADDR", admin.to_string()),
            ("FLEXGATE_OPS_ADDR", admin.to_string()),
            ("FLEXGATE_ADMIN_TOKEN", TOKEN.to_owned()),
            ("FLEXGATE_THREADS", "1".to_owned()),
            ("FLEXGATE_DRAIN_DELAY", "0s".to_owned()),
            ("FLEXGATE_LOG", "off".to_owned()),
            ("NATS_URL", nats.to_owned()),
        ];
        Self {
            proxy,
            admin,
            variables,
        }
    }

    /// With one more, or another value of one.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Starts a process.
    pub fn start(&self) -> Program {
        Program(self.command().spawn().unwrap())
    }

    /// What a process is started with, for one that ends by itself.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flexgate"));
        command
            .arg("serve")
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Starts a process that will not run for long, and returns how it ended and what it said.
    pub async fn run_to_its_end(&self) -> (ExitStatus, String) {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_flexgate"))
            .arg("serve")
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, output).await.expect("its end").unwrap();
        (
            output.status,
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// What `flexgate health` in its data folder ends with and says.
    pub async fn asked_for_health(&self, probe: &str) -> (Option<i32>, String) {
        let (_, folder) = self
            .variables
            .iter()
            .find(|(name, _)| *name == "FLEXGATE_DATA_DIR")
            .unwrap();
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_flexgate"))
            .args(["health", probe, "--data-dir", folder])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, output).await.expect("its end").unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    /// The admin API, when it listens.
    pub async fn api(&self) -> Admin {
        listens(self.admin).await;
        Admin {
            addr: self.admin,
            token: TOKEN.to_owned(),
        }
    }

    /// Makes a route for everything. A process of both roles serves it before it answers, so that nobody has to ask.
    pub async fn route_to(&self, upstream: &str) {
        let route = json!({ "id": "all", "path": "/*", "upstream": upstream });
        let api = self.api().await;
        let created = api.call(Method::POST, "/api/routes", Some(route)).await.status;
        assert_eq!(created, StatusCode::CREATED);
        listens(self.proxy).await;
    }

    /// What it says of its health. It is ready, however its checks are.
    pub async fn health(&self) -> Value {
        listens(self.admin).await;
        client::get(self.admin, "/health/ready").await.json()
    }

    /// Waits until a check is like this, and says why.
    pub async fn shows(&self, check: &str, verdict: &str, reason: &str) {
        let mut seen = Value::Null;
        let shown = async {
            loop {
                seen = self.health().await;
                let why = seen["reasons"][check].as_str().unwrap_or_default();
                if seen["checks"][check] == verdict && why.contains(reason) {
                    return;
                }
                sleep(LOOK_AGAIN).await;
            }
        };
        let in_time = timeout(PATIENCE, shown).await.is_ok();
        assert!(in_time, "{check} is never {verdict} ({reason}): {seen}");
    }

    /// The value of a counter; 0 before it has counted anything.
    pub async fn metric(&self, name: &str) -> u64 {
        let api = self.api().await;
        let text = api.call(Method::GET, "/metrics", None).await.body;
        let text = String::from_utf8(text.to_vec()).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

/// A process of the program, killed if the test forgets it.
pub struct Program(pub Child);

impl Program {
    /// Its number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// As if it had never been.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for its end without blocking the test's other tasks.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = async {
            loop {
                if let Some(status) = self.0.try_wait().unwrap() {
                    return status;
                }
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(PATIENCE, ended).await.expect("a process to end")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Waits until somebody listens.
pub async fn listens(addr: SocketAddr) {
    let listening = async {
        while Connection::open(addr).await.is_err() {
            sleep(LOOK_AGAIN).await;
        }
    };
    assert!(
        timeout(PATIENCE, listening).await.is_ok(),
        "nothing listens on {addr}"
    );
}

/// Addresses that are free now.
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    [(); N].map(|()| (Ipv4Addr::LOCALHOST, free_port().unwrap()).into())
}
