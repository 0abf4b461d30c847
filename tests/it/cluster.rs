//! Whole processes: an edit on one takes effect on all, whatever dies meanwhile.

mod keys;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use flexgate::{
    app::{Endpoints, Process},
    config::{Config, Layer, Purpose, Sources},
    journal::{
        Status,
        jetstream::{JetStreamLog, Link, Names},
        store::{Outgoing, Store as _},
    },
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    client::{self, Admin, Connection},
    fixtures::{self, Nats, PATIENCE},
    upstream::Upstream,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A process with its data folder, which outlives a restart.
struct Node {
    process: Process,
    folder: TempDir,
}

/// Processes that share a NATS server and a stream prefix.
struct Cluster {
    nats: String,
    prefix: String,
}

impl Cluster {
    async fn on(nats: &str) -> Self {
        let prefix = fixtures::prefix();
        fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
        Self {
            nats: nats.to_owned(),
            prefix,
        }
    }

    async fn start(&self, roles: &str) -> Node {
        self.start_in(tempfile::tempdir().unwrap(), roles).await
    }

    async fn start_in(&self, folder: TempDir, roles: &str) -> Node {
        let variables = [
            ("FLEXGATE_DATA_DIR", folder.path().to_str().unwrap()),
            ("FLEXGATE_PROXY_ADDR", "127.0.0.1:0"),
            ("FLEXGATE_ADMIN_ADDR", "127.0.0.1:0"),
            ("FLEXGATE_OPS_ADDR", "127.0.0.1:0"),
            ("FLEXGATE_ADMIN_TOKEN", TOKEN),
            ("FLEXGATE_STREAM_PREFIX", &self.prefix),
            ("FLEXGATE_ROLES", roles),
            ("FLEXGATE_THREADS", "1"),
            ("FLEXGATE_DRAIN_DELAY", "0s"),
            ("NATS_URL", &self.nats),
        ];
        let config = Config::load(&Sources::of([Layer::variables(variables)]), Purpose::Serve).unwrap();
        let process = Process::start(&config, &Endpoints::given(&config).unwrap())
            .await
            .unwrap();
        Node { process, folder }
    }
}

impl Node {
    fn proxy(&self) -> SocketAddr {
        self.process.addresses().proxy.unwrap()
    }

    fn admin(&self) -> Admin {
        Admin {
            addr: self.process.addresses().admin.unwrap(),
            token: TOKEN.to_owned(),
        }
    }

    /// Waits until this process follows a history.
    async fn ready(self) -> Self {
        let mut view = self.process.journal().watch();
        let ready = view.wait_for(|view| view.generation() > 0 && view.status == Status::Following);
        assert!(timeout(PATIENCE, ready).await.expect("to be ready").is_ok());
        self
    }

    /// Waits until this process knows so many members.
    async fn knows(&self, members: usize) {
        let known = async {
            while self.process.members().list().len() != members {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(
            timeout(PATIENCE, known).await.is_ok(),
            "{:?}",
            self.process.members().list()
        );
    }

    async fn stop(self) -> TempDir {
        self.process.drain().await;
        self.folder
    }
}

fn route(id: &str, path: &str, upstream: &Upstream) -> Value {
    json!({ "id": id, "path": path, "upstream": upstream.url() })
}

#[tokio::test]
async fn the_next_request_follows_an_edit_on_every_node() {
    let cluster = Cluster::on(Nats::shared_url().await).await;
    let upstream = Upstream::replying(200).start().await;
    let admin = cluster.start("admin,gateway").await.ready().await;
    let others = [
        cluster.start("gateway").await.ready().await,
        cluster.start("gateway").await.ready().await,
    ];
    admin.knows(3).await;
    let nodes = [admin.proxy(), others[0].proxy(), others[1].proxy()];
    for node in nodes {
        assert_eq!(client::get(node, "/a").await.status, StatusCode::NOT_FOUND);
    }
    let created = admin
        .admin()
        .call(
            Method::POST,
            "/api/routes?wait=nodes",
            Some(route("a", "/a", &upstream)),
        )
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    for node in nodes {
        assert_eq!(client::get(node, "/a").await.status, StatusCode::OK);
    }
    let deleted = admin
        .admin()
        .call(Method::DELETE, "/api/routes/a?wait=nodes", None)
        .await;
    assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
    for node in nodes {
        assert_eq!(client::get(node, "/a").await.status, StatusCode::NOT_FOUND);
    }
    let [one, other] = others;
    one.stop().await;
    other.stop().await;
    admin.knows(1).await;
    admin.stop().await;
}

#[tokio::test]
async fn a_node_that_does_not_confirm_is_named_until_it_is_forgotten() {
    let nats = Nats::shared_url().await;
    let cluster = Cluster::on(nats).await;
    let upstream = Upstream::replying(200).start().await;
    let admin = cluster.start("admin,gateway").await.ready().await;
    admin.knows(1).await;
    // A member that says hello once and never again, as one that was stopped with SIGSTOP.
    let names = Names::new(&cluster.prefix).unwrap();
    let link = fixtures::connected(nats).await;
    let mut silent = admin.process.members().list().remove(0).heartbeat;
    silent.node = "silent".parse().unwrap();
    let bucket = link.jetstream().get_key_value(names.nodes()).await.unwrap();
    bucket
        .put("silent", serde_json::to_vec(&silent).unwrap().into())
        .await
        .unwrap();
    admin.knows(2).await;
    let path = "/api/routes?wait=nodes&timeout=300ms";
    let answer = admin
        .admin()
        .call(Method::POST, path, Some(route("a", "/a", &upstream)))
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let convergence = &answer.json()["convergence"];
    assert_eq!(convergence["converged"], false);
    assert!(convergence.to_string().contains("silent"), "{convergence}");
    bucket.delete("silent").await.unwrap();
    admin.knows(1).await;
    let answer = admin
        .admin()
        .call(Method::POST, path, Some(route("b", "/b", &upstream)))
        .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    admin.stop().await;
}

#[tokio::test]
async fn no_request_fails_while_nats_is_killed_and_edits_say_why_they_are_refused() {
    let mut nats = Nats::start().await;
    let cluster = Cluster::on(nats.server.url()).await;
    let upstream = Upstream::replying(200).start().await;
    let node = cluster.start("admin,gateway").await.ready().await;
    let created = node
        .admin()
        .call(Method::POST, "/api/routes", Some(route("a", "/a", &upstream)))
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    let load = Load::on(node.proxy(), "/a");

    nats.server.kill9();
    let mut view = node.process.journal().watch();
    let cut = view.wait_for(|view| matches!(view.status, Status::Disconnected { .. }));
    assert!(timeout(PATIENCE, cut).await.unwrap().is_ok());
    let refused = node
        .admin()
        .call(Method::POST, "/api/routes", Some(route("b", "/b", &upstream)))
        .await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"));
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("nothing was changed"),
        "{refused:?}"
    );
    load.has_sent_more(200).await;

    nats.server.restart().await.unwrap();
    let node = node.ready().await;
    let created = node
        .admin()
        .call(Method::POST, "/api/routes", Some(route("b", "/b", &upstream)))
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    let routes = node.admin().call(Method::GET, "/api/routes", None).await.json();
    assert_eq!(routes.as_array().unwrap().len(), 2, "{routes}");
    load.has_sent_more(50).await;
    assert_eq!(load.stop().await, 0, "failed requests");
    node.stop().await;
}

#[tokio::test]
async fn no_request_fails_and_none_is_late_while_routes_are_edited() {
    let cluster = Cluster::on(Nats::shared_url().await).await;
    let upstream = Upstream::replying(200).start().await;
    let node = cluster.start("admin,gateway").await.ready().await;
    let admin = node.admin();
    admin
        .call(
            Method::POST,
            "/api/routes",
            Some(route("kept", "/kept", &upstream)),
        )
        .await;
    let load = Load::on(node.proxy(), "/kept");
    for count in 0..100 {
        let (id, path) = (format!("r{count}"), format!("/r/{count}"));
        let created = admin
            .call(Method::POST, "/api/routes", Some(route(&id, &path, &upstream)))
            .await;
        assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
        assert_eq!(
            client::get(node.proxy(), &path).await.status,
            StatusCode::OK,
            "{path} after its answer"
        );
    }
    assert_eq!(load.stop().await, 0, "failed requests");
    node.stop().await;
}

#[tokio::test]
async fn a_node_starts_from_its_snapshot_with_nats_down_and_catches_up() {
    let mut nats = Nats::start().await;
    let cluster = Cluster::on(nats.server.url()).await;
    let upstream = Upstream::replying(200).start().await;
    let node = cluster.start("admin,gateway").await.ready().await;
    node.admin()
        .call(Method::POST, "/api/routes", Some(route("a", "/a", &upstream)))
        .await;
    let folder = node.stop().await;
    nats.server.kill9();

    let node = cluster.start_in(folder, "admin,gateway").await;
    assert_eq!(client::get(node.proxy(), "/a").await.status, StatusCode::OK);
    let ready = client::get(node.admin().addr, "/health/ready").await;
    assert_eq!(ready.status, StatusCode::OK);
    let health = ready.json();
    assert_eq!(
        (&health["checks"]["jetstream"], &health["journal"]["fromSnapshot"]),
        (&json!("DOWN"), &json!(true))
    );

    nats.server.restart().await.unwrap();
    let node = node.ready().await;
    let created = node
        .admin()
        .call(Method::POST, "/api/routes", Some(route("b", "/b", &upstream)))
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    node.stop().await;
}

#[tokio::test]
async fn nodes_keep_the_last_good_state_when_the_stream_is_wiped_and_raise_an_alert() {
    let nats = Nats::shared_url().await;
    let cluster = Cluster::on(nats).await;
    let names = Names::new(&cluster.prefix).unwrap();
    let upstream = Upstream::replying(200).start().await;
    let node = cluster.start("admin,gateway").await.ready().await;
    node.admin()
        .call(Method::POST, "/api/routes", Some(route("a", "/a", &upstream)))
        .await;
    let link = fixtures::connected(nats).await;
    link.jetstream().delete_stream(names.config()).await.unwrap();
    fixtures::provisioned(nats, &names).await;

    let mut view = node.process.journal().watch();
    let frozen = view.wait_for(|view| matches!(view.status, Status::Frozen { .. }));
    assert!(timeout(PATIENCE, frozen).await.unwrap().is_ok());
    assert_eq!(client::get(node.proxy(), "/a").await.status, StatusCode::OK);
    let health = client::get(node.admin().addr, "/health/ready").await.json();
    assert_eq!(health["journal"]["status"], "frozen", "{health}");
    let refused = node.admin().call(Method::DELETE, "/api/routes/a", None).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    let alert = first_alert(&link, &names).await;
    assert_eq!(
        (&alert["type"], &alert["data"]["revision"]),
        (&json!("journal.frozen"), &json!(2))
    );
    node.stop().await;
}

#[tokio::test]
async fn a_data_folder_serves_one_process_at_a_time() {
    let cluster = Cluster::on(Nats::shared_url().await).await;
    let node = cluster.start("gateway").await;
    let taken = flexgate::membership::Identity::take(node.folder.path(), None).unwrap_err();
    assert!(taken.to_string().contains("another FlexGate runs"), "{taken}");
    node.stop().await;
}

#[tokio::test]
async fn a_gateway_beside_a_stranger_s_commit_freezes_and_serves_on() {
    let nats = Nats::shared_url().await;
    let cluster = Cluster::on(nats).await;
    let node = cluster.start("admin,gateway").await.ready().await;
    let names = Names::new(&cluster.prefix).unwrap();
    let log = JetStreamLog::new(fixtures::connected(nats).await, &names);
    let message = Outgoing {
        subject: "route.x".into(),
        id: "x".into(),
        headers: Vec::new(),
        payload: r#"{"readerLevel":1,"surprise":true}"#.into(),
    };
    log.append(&message, 1).await.unwrap();
    let mut view = node.process.journal().watch();
    let frozen = view.wait_for(|view| matches!(view.status, Status::Frozen { .. }));
    assert!(timeout(PATIENCE, frozen).await.unwrap().is_ok());
    assert_eq!(
        client::get(node.proxy(), "/").await.status,
        StatusCode::NOT_FOUND,
        "it routes by revision 1"
    );
    node.stop().await;
}

async fn first_alert(link: &Link, names: &Names) -> Value {
    let stream = link.jetstream().get_stream(names.alerts()).await.unwrap();
    let found = async {
        loop {
            if let Ok(message) = stream.get_raw_message(1).await {
                return serde_json::from_slice(&message.payload).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, found).await.expect("an alert")
}

/// Requests one after the other on one connection, until stopped; whatever is not 200 has failed.
struct Load {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<u64>,
}

impl Load {
    fn on(addr: SocketAddr, path: &'static str) -> Self {
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (sent.clone(), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "joined in stop")]
        let task = tokio::spawn(async move {
            let mut connection = Connection::open(addr).await.unwrap();
            let mut failed = 0;
            while !stopped.load(Ordering::Relaxed) {
                let answer = connection.get(path).await.unwrap();
                failed += u64::from(answer.status != StatusCode::OK);
                count.fetch_add(1, Ordering::Relaxed);
            }
            failed
        });
        Self { sent, stop, task }
    }

    async fn has_sent_more(&self, more: u64) {
        let goal = self.sent.load(Ordering::Relaxed) + more;
        let reached = async {
            while self.sent.load(Ordering::Relaxed) < goal {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(PATIENCE, reached).await.is_ok());
    }

    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}
