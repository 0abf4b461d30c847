//! The servers and processes of `compose.yaml` on loopback: with the files of `deploy/nats`, each role with its own user.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{
    client::{self, Admin},
    cluster::Load,
    fixtures::{LOOK_AGAIN, PATIENCE, Postgres, binaries},
    outcomes::database::{REQUESTS, reaches},
    program::{Settings, listens},
    upstream::Upstream,
};

/// Whose passwords the servers are told, as `NATS_<USER>_PASSWORD`.
const USERS: [&str; 6] = ["cluster", "system", "operator", "admin", "gateway", "projector"];
/// The prefix that the accounts are written for.
const PREFIX: &str = "FLEXGATE";

/// Three NATS servers in one cluster.
pub(super) struct Nats {
    servers: Vec<Child>,
    addresses: [SocketAddr; 3],
    folder: TempDir,
}

impl Nats {
    /// Starts them, and has the operator make the streams: again, as the service does, while a server does not know yet
    /// that the others are there.
    pub(super) async fn start() -> Self {
        let nats = Self::without_streams().await;
        let mut said = String::new();
        let making = async {
            loop {
                let made = tokio::process::Command::new(env!("CARGO_BIN_EXE_flexgate"))
                    .args(["streams", "apply", "--replicas", "3"])
                    .env("NATS_URL", nats.url("operator"))
                    .current_dir(nats.folder.path())
                    .stdin(Stdio::null())
                    .kill_on_drop(true)
                    .output();
                let made = made.await.unwrap();
                if made.status.success() {
                    return;
                }
                said = String::from_utf8_lossy(&made.stderr).into_owned();
            }
        };
        let in_time = timeout(PATIENCE, making).await.is_ok();
        assert!(in_time, "{said}");
        nats
    }

    async fn without_streams() -> Self {
        let [addresses, routes, monitors] = [(); 3].map(|()| [(); 3].map(|()| quiet_address()));
        let folder = tempfile::tempdir().unwrap();
        let binary = binaries().nats().await.unwrap();
        let urls = routes.map(|route| format!("nats-route://cluster:{}@{route}", password("cluster")));
        let mut servers = Vec::new();
        for number in 0..3 {
            let home = folder.path().join(format!("nats-{}", number + 1));
            fs::create_dir(&home).unwrap();
            fs::copy(deployed("nats/accounts.conf"), home.join("accounts.conf")).unwrap();
            let text = fs::read_to_string(deployed("nats/nats.conf")).unwrap();
            let text = [
                ("0.0.0.0:4222", addresses[number].to_string()),
                ("0.0.0.0:6222", routes[number].to_string()),
                ("127.0.0.1:8222", monitors[number].to_string()),
                ("/data", home.join("data").display().to_string()),
            ]
            .into_iter()
            .fold(text, |text, (deployed, here)| {
                assert_eq!(text.matches(deployed).count(), 1, "{deployed}");
                text.replace(deployed, &here)
            });
            fs::write(home.join("nats.conf"), text).unwrap();
            let log = File::create(home.join("log")).unwrap();
            let server = Command::new(&binary)
                .arg("--config")
                .arg(home.join("nats.conf"))
                .env("NATS_NAME", format!("nats-{}", number + 1))
                .env("NATS_ROUTES", json!(urls).to_string())
                .envs(USERS.map(|user| {
                    let name = format!("NATS_{}_PASSWORD", user.to_uppercase());
                    (name, password(user))
                }))
                .stdin(Stdio::null())
                .stderr(log)
                .spawn();
            servers.push(server.unwrap());
        }
        let nats = Self {
            servers,
            addresses,
            folder,
        };
        for monitor in monitors {
            nats.is_healthy(monitor).await;
        }
        nats
    }

    /// What the health check of the container waits for.
    async fn is_healthy(&self, monitor: SocketAddr) {
        listens(monitor).await;
        let healthy = async {
            while client::get(monitor, "/healthz").await.status != StatusCode::OK {
                sleep(LOOK_AGAIN).await;
            }
        };
        let in_time = timeout(PATIENCE, healthy).await.is_ok();
        assert!(in_time, "{monitor} is not healthy: {:#?}", self.logged(|_| true));
    }

    /// All servers, as a user is told of them.
    pub(super) fn url(&self, user: &str) -> String {
        let [first, second, third] = self.addresses;
        let password = password(user);
        format!("nats://{user}:{password}@{first},nats://{second},nats://{third}")
    }

    /// One of the servers.
    pub(super) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// A folder for a process, of this name.
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    }

    /// What a process of a role is told.
    pub(super) fn settings(&self, role: &str, name: &str) -> Settings {
        Settings::new(role, &self.folder(name), (&self.url(role), PREFIX))
    }

    /// What the servers have refused to anybody.
    fn refused(&self) -> Vec<String> {
        self.logged(|line| line.contains("Violation"))
    }

    fn logged(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let logs = (1..=3).map(|number| self.folder.path().join(format!("nats-{number}/log")));
        let logs: String = logs.map(|log| fs::read_to_string(log).unwrap()).collect();
        let wanted = logs.lines().filter(|line| is_wanted(line));
        wanted.map(str::to_owned).collect()
    }

    fn kill(&mut self, number: usize) {
        self.servers[number].kill().unwrap();
        self.servers[number].wait().unwrap();
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _gone = server.kill();
            let _reaped = server.wait();
        }
    }
}

/// An address that is free and stays so: below the ports that the system gives to whoever connects, of whom there are many.
fn quiet_address() -> SocketAddr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let place = process::id()
            .wrapping_mul(37)
            .wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + place % 20_000).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// A file of `deploy/`.
pub(super) fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// The password of a user.
pub(super) fn password(user: &str) -> String {
    format!("the-word-of-{user}")
}

/// Makes a route; tries again while the log has no leader. Returns its revision.
pub(super) async fn created(admin: &Admin, id: &str, upstream: &Upstream) -> u64 {
    let route = json!({ "id": id, "path": format!("/{id}"), "upstream": upstream.url() });
    let creating = async {
        loop {
            let path = "/api/routes?wait=nodes&timeout=20s";
            let answer = admin.call(Method::POST, path, Some(route.clone())).await;
            match answer.status {
                // 200: it was made after all, when the first answer had to say that nobody knows.
                StatusCode::CREATED | StatusCode::OK => return answer.json()["revision"].as_u64().unwrap(),
                StatusCode::SERVICE_UNAVAILABLE => sleep(LOOK_AGAIN).await,
                _ => panic!("{answer:?}"),
            }
        }
    };
    timeout(PATIENCE, creating).await.expect("an edit")
}

/// Waits until the admin process knows so many nodes that serve.
pub(super) async fn knows(admin: &Admin, nodes: u64) {
    let mut status = Value::Null;
    let known = async {
        while status["nodes"]["serving"] != nodes {
            status = admin.call(Method::GET, "/api/status", None).await.json();
            sleep(LOOK_AGAIN).await;
        }
    };
    assert!(timeout(PATIENCE, known).await.is_ok(), "{status}");
}

/// Has a projection be made anew from its streams, by whoever keeps it.
async fn is_made_anew(admin: &Admin, name: &str) {
    let rebuild = format!("/api/projections/{name}/rebuild");
    let begun = admin.call(Method::POST, &rebuild, None).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{begun:?}");
    let mut shown = Value::Null;
    let is_done = async {
        while shown["rebuild"]["phase"] != "done" {
            let list = admin.call(Method::GET, "/api/projections", None).await.json();
            let mut all = list.as_array().unwrap().iter();
            shown = all.find(|projection| projection["name"] == name).unwrap().clone();
            sleep(LOOK_AGAIN).await;
        }
    };
    assert!(timeout(PATIENCE, is_done).await.is_ok(), "{shown}");
}

#[tokio::test]
async fn every_role_works_with_its_own_user_and_is_asked_for_its_health() {
    let nats = Nats::start().await;
    let database = Postgres::database().await;
    let upstream = Upstream::replying(200).start().await;
    let roles = ["admin", "gateway", "projector"];
    let [admin, gateway, projector] = roles.map(|role| nats.settings(role, role));
    let [admin, projector] = [admin, projector].map(|settings| settings.with("DATABASE_URL", &database));
    let (code, said) = gateway.asked_for_health("live").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nothing runs in"), "{said}");

    let mut processes = Vec::new();
    for settings in [&admin, &gateway, &projector] {
        processes.push(settings.start());
    }
    let api = admin.api().await;
    knows(&api, 1).await;
    for settings in [&admin, &gateway, &projector] {
        let is_ready =
            async { while settings.asked_for_health("ready").await != (Some(0), "ready\n".to_owned()) {} };
        assert!(
            timeout(PATIENCE, is_ready).await.is_ok(),
            "{}",
            settings.health().await
        );
        assert_eq!(
            settings.asked_for_health("live").await,
            (Some(0), "live\n".to_owned())
        );
    }
    created(&api, "a", &upstream).await;
    assert_eq!(client::get(gateway.proxy, "/a").await.status, StatusCode::OK);
    reaches(&database, REQUESTS, 1).await;
    for name in ["config", "admin_events", "outcomes", "alerts"] {
        is_made_anew(&api, name).await;
    }
    let retry = "/api/projections/outcomes/dead-letters/retry";
    assert_eq!(api.call(Method::POST, retry, None).await.status, StatusCode::OK);
    assert_eq!(nats.refused(), [""; 0]);

    processes[1].kill();
    let (code, said) = gateway.asked_for_health("ready").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not answer"), "{said}");
}

#[tokio::test]
async fn requests_and_edits_go_on_when_a_nats_server_of_three_dies() {
    let mut nats = Nats::start().await;
    let upstream = Upstream::replying(200).start().await;
    let admin = nats.settings("admin", "admin");
    let gateways = ["gateway-1", "gateway-2"].map(|name| nats.settings("gateway", name));
    let _processes = [&admin, &gateways[0], &gateways[1]].map(Settings::start);
    let api = admin.api().await;
    knows(&api, 2).await;
    created(&api, "a", &upstream).await;
    let loads = gateways.each_ref().map(|gateway| Load::on(gateway.proxy, "/a"));

    // The one that all of them have been connected to.
    nats.kill(0);
    let before = created(&api, "b", &upstream).await;
    let after = created(&api, "c", &upstream).await;
    assert_eq!(after, before + 1);
    for gateway in &gateways {
        for path in ["/b", "/c"] {
            assert_eq!(
                client::get(gateway.proxy, path).await.status,
                StatusCode::OK,
                "{path}"
            );
        }
    }
    for load in loads {
        load.has_sent_more(50).await;
        assert_eq!(load.stop().await, 0, "failed requests");
    }
    assert_eq!(nats.refused(), [""; 0]);
}
