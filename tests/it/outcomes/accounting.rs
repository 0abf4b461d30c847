//! The accounting equation: whatever is killed, and whenever, each answer that a client got is counted once.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use flexgate::{
    journal::jetstream::{Link, Names},
    outcomes::{feed::Feed, verify::verify},
};
use http::{Method, StatusCode};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    client::{Admin, Connection},
    fixtures::{self, LOOK_AGAIN, Nats, PATIENCE, Postgres},
    upstream::Upstream,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Connections of the load, and requests a second of each.
const CLIENTS: u64 = 4;
const RATE: u64 = 500;
/// How long everything may take to come to rest.
const REST: Duration = Duration::from_secs(90);

/// What is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Gateway,
    Projector,
    Postgres,
    Nats,
}
use Victim::{Gateway, Nats as Stream, Postgres as Database, Projector};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_kills_at_two_thousand_requests_a_second_lose_and_double_nothing() {
    survives(&[Gateway, Stream, Projector, Database, Gateway], 5).await;
}

/// Takes some minutes: `cargo test --test it a_hundred_kills -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "by hand: it takes some minutes"]
async fn a_hundred_kills_at_two_thousand_requests_a_second_lose_and_double_nothing() {
    let mut random = SmallRng::seed_from_u64(100);
    let victims = [Gateway, Stream, Projector, Database];
    let victims: Vec<_> = (0..100).map(|_| victims[random.random_range(0..4)]).collect();
    survives(&victims, 100).await;
}

/// Kills one after the other under load, each at a random moment, and holds the books in the end.
async fn survives(victims: &[Victim], seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut stack = Stack::start().await;
    let load = Load::start(stack.proxy);
    for victim in victims {
        sleep(Duration::from_millis(random.random_range(200..900))).await;
        stack.kill(*victim).await;
    }
    sleep(Duration::from_millis(500)).await;
    let (answered, broken) = load.stop().await;
    assert!(answered > 500, "there was hardly any load: {answered}");
    let applied = stack.at_rest().await;
    assert!(
        (answered..=answered + broken).contains(&applied),
        "{answered} answers, {broken} broken off, {applied} counted"
    );
}

/// Real processes, each of which can be killed.
struct Stack {
    nats: Nats,
    postgres: Postgres,
    gateway: Process,
    projector: Process,
    proxy: SocketAddr,
    names: Names,
    link: Link,
    folder: tempfile::TempDir,
    upstream: Upstream,
}

impl Stack {
    async fn start() -> Self {
        let (nats, postgres) = (Nats::start().await, Postgres::start().await);
        let prefix = fixtures::prefix();
        let names = Names::new(&prefix).unwrap();
        let link = fixtures::provisioned(nats.server.url(), &names).await;
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let upstream = Upstream::replying(200).start().await;
        let [proxy, admin] = free_addresses();
        let process = |roles: &str, data: &str| Process {
            child: None,
            environment: vec![
                ("FLEXGATE_ROLES", roles.to_owned()),
                (
                    "FLEXGATE_DATA_DIR",
                    folder.path().join(data).display().to_string(),
                ),
                ("FLEXGATE_STREAM_PREFIX", prefix.clone()),
                ("FLEXGATE_PROXY_ADDR", proxy.to_string()),
                ("FLEXGATE_ADMIN_ADDR", admin.to_string()),
                ("FLEXGATE_OPS_ADDR", "127.0.0.1:0".to_owned()),
                ("FLEXGATE_ADMIN_TOKEN", TOKEN.to_owned()),
                ("FLEXGATE_LOG", "off".to_owned()),
                ("FLEXGATE_THREADS", "2".to_owned()),
                ("NATS_URL", nats.server.url().to_owned()),
                ("DATABASE_URL", postgres.server.url().to_owned()),
            ],
        };
        let mut stack = Self {
            gateway: process("admin,gateway", "gateway"),
            projector: process("projector", "projector"),
            proxy,
            nats,
            postgres,
            names,
            link,
            folder,
            upstream,
        };
        stack.gateway.start();
        stack.projector.start();
        stack.route(admin).await;
        stack
    }

    /// Makes the one route, and waits until it is served.
    async fn route(&self, admin: SocketAddr) {
        listens(admin).await;
        let route = json!({ "id": "all", "path": "/*", "upstream": self.upstream.url() });
        let api = Admin {
            addr: admin,
            token: TOKEN.to_owned(),
        };
        let created = api.call(Method::POST, "/api/routes", Some(route)).await.status;
        assert_eq!(created, StatusCode::CREATED);
    }

    /// As if the power had failed, and come back at once.
    async fn kill(&mut self, victim: Victim) {
        match victim {
            Gateway => self.gateway.kill_and_start(),
            Projector => self.projector.kill_and_start(),
            Database => {
                self.postgres.server.kill9();
                self.postgres.server.restart().await.unwrap();
            }
            Stream => {
                self.nats.server.kill9();
                self.nats.server.restart().await.unwrap();
            }
        }
    }

    /// Waits until everything is in the tables, and says how many outcomes that are.
    async fn at_rest(&self) -> u64 {
        let feed = Feed::new(self.link.clone(), &self.names);
        let outbox = self.folder.path().join("gateway").join("outbox");
        let mut seen = None;
        let rest = async {
            loop {
                if let Ok(verdict) = verify(self.postgres.server.url(), &feed, &outbox).await {
                    let whereabouts = verdict.whereabouts;
                    let is_done =
                        whereabouts.applied == whereabouts.recorded && verdict.differences.is_empty();
                    // Twice the same: a gateway that has just started may not have looked at what was left yet.
                    let before = seen.replace(verdict);
                    if is_done && before == seen {
                        return whereabouts.applied;
                    }
                }
                sleep(10 * LOOK_AGAIN).await;
            }
        };
        let applied = timeout(REST, rest).await.ok();
        applied.unwrap_or_else(|| panic!("it does not come to rest: {seen:?}"))
    }
}

/// A process of the program, killed if the test forgets it.
struct Process {
    child: Option<Child>,
    environment: Vec<(&'static str, String)>,
}

impl Process {
    fn start(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_flexgate"))
            .arg("serve")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn kill_and_start(&mut self) {
        self.kill();
        self.start();
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Clients that ask at a steady rate and count what they get.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    broken: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(proxy: SocketAddr) -> Self {
        let (stop, answered, broken) = (Arc::default(), Arc::default(), Arc::default());
        let client = |_| {
            let (stop, answered, broken) = (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&broken));
            #[expect(clippy::disallowed_methods, reason = "joined when the load stops")]
            tokio::spawn(ask(proxy, stop, answered, broken))
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self {
            stop,
            answered,
            broken,
            clients,
        }
    }

    /// Whole answers, of whatever status, and requests that were sent and not answered.
    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            timeout(PATIENCE, client).await.expect("a client to end").unwrap();
        }
        (
            self.answered.load(Ordering::Relaxed),
            self.broken.load(Ordering::Relaxed),
        )
    }
}

async fn ask(proxy: SocketAddr, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>, broken: Arc<AtomicU64>) {
    let mut clock = interval(Duration::from_micros(1_000_000 / RATE));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        clock.tick().await;
        let Some(open) = &mut connection else {
            connection = Connection::open(proxy).await.ok();
            continue;
        };
        if open.get("/orders/17").await.is_ok() {
            answered.fetch_add(1, Ordering::Relaxed);
        } else {
            broken.fetch_add(1, Ordering::Relaxed);
            connection = None;
        }
    }
}

async fn listens(addr: SocketAddr) {
    let until = Instant::now() + PATIENCE;
    while Connection::open(addr).await.is_err() {
        assert!(Instant::now() < until, "nothing listens on {addr}");
        sleep(LOOK_AGAIN).await;
    }
}

fn free_addresses() -> [SocketAddr; 2] {
    let sockets = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap())
}
