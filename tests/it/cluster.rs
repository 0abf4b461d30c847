//! Whole processes: an edit on one takes effect on all, whatever dies meanwhile.

mod faults;
mod keys;
mod lives;
mod load;

use std::{net::SocketAddr, time::Duration};

use flexgate::{
    app::{Endpoints, Process},
    config::{Config, Layer, Purpose, Sources},
    journal::{Status, jetstream::Names},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    client::{self, Admin},
    fixtures::{self, Nats, PATIENCE},
    upstream::Upstream,
};

pub use load::Load;

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
async fn a_data_folder_serves_one_process_at_a_time() {
    let cluster = Cluster::on(Nats::shared_url().await).await;
    let node = cluster.start("gateway").await;
    let taken = flexgate::membership::Identity::take(node.folder.path(), None).unwrap_err();
    assert!(taken.to_string().contains("another FlexGate runs"), "{taken}");
    node.stop().await;
}
