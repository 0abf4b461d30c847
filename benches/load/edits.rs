//! How soon an acknowledged edit takes effect on every node, while requests run.
//!
//! Three gateways, 5,000 requests a second over them, 200 edits a second for a minute. For each edit the time from the
//! log's acknowledgement until the last node has confirmed that it serves it; and whether any request failed.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Method, StatusCode};
use serde_json::json;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    client::{Admin, Connection},
    cluster::{self, FlexGate, Recording},
};

const GATEWAYS: usize = 3;
const REQUESTS_PER_SECOND: u32 = 5_000;
const EDITS_PER_SECOND: u32 = 200;
const DURATION: Duration = Duration::from_mins(1);
/// Connections of the load; each sends its share at an even pace.
const CONNECTIONS: u32 = 60;
/// Edits in flight at a time.
const EDITORS: u32 = 8;

/// Runs it and prints what it showed.
pub async fn run() {
    let folder = tempfile::tempdir().unwrap();
    let backend = backend().await;
    let flexgate = FlexGate::start(folder.path(), GATEWAYS, 1, backend.port(), Recording::On).await;
    let nodes: Vec<SocketAddr> = flexgate
        .ports()
        .into_iter()
        .map(|port| ([127, 0, 0, 1], port).into())
        .collect();
    settled(flexgate.admin()).await;

    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        clients.spawn(requests(nodes[number as usize % nodes.len()], load.clone()));
    }
    let mut editors = JoinSet::new();
    for number in 0..EDITORS {
        editors.spawn(edits(flexgate.admin(), number));
    }
    let mut took: Vec<f64> = editors.join_all().await.into_iter().flatten().collect();
    load.stop.store(true, Ordering::Relaxed);
    clients.join_all().await;

    took.sort_by(f64::total_cmp);
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank"
        )]
        let rank = ((took.len() - 1) as f64 * share) as usize;
        took[rank]
    };
    println!(
        "{} edits, {} requests ({} failed); acknowledged -> served by all {GATEWAYS} nodes: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms; \
         p99 of at most 10 ms is asked: {}",
        took.len(),
        load.sent.load(Ordering::Relaxed),
        load.failed.load(Ordering::Relaxed),
        at(0.5),
        at(0.99),
        at(1.0),
        if at(0.99) <= 10.0 && load.failed.load(Ordering::Relaxed) == 0 {
            "held"
        } else {
            "NOT HELD"
        },
    );
}

#[derive(Default)]
struct Load {
    sent: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
}

async fn requests(node: SocketAddr, load: Arc<Load>) {
    let mut connection = Connection::open(node).await.unwrap();
    let mut pace = interval(Duration::from_secs(1) * CONNECTIONS / REQUESTS_PER_SECOND);
    while !load.stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let answered = connection
            .get("/load")
            .await
            .is_ok_and(|answer| answer.status == StatusCode::OK);
        load.sent.fetch_add(1, Ordering::Relaxed);
        load.failed.fetch_add(u64::from(!answered), Ordering::Relaxed);
    }
}

/// Creates and deletes a route in turns; how long each took until the last node confirmed, in milliseconds.
async fn edits(admin: SocketAddr, number: u32) -> Vec<f64> {
    let admin = Admin {
        addr: admin,
        token: cluster::TOKEN.to_owned(),
    };
    let mut pace = interval(Duration::from_secs(1) * EDITORS / EDITS_PER_SECOND);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (until, mut took) = (Instant::now() + DURATION, Vec::new());
    let (id, mut exists) = (format!("edited-{number}"), false);
    while Instant::now() < until {
        pace.tick().await;
        let answer = if exists {
            admin
                .call(Method::DELETE, &format!("/api/routes/{id}?wait=nodes"), None)
                .await
        } else {
            let route =
                json!({ "id": id, "path": format!("/edited/{number}"), "upstream": "http://127.0.0.1:9" });
            admin
                .call(Method::POST, "/api/routes?wait=nodes", Some(route))
                .await
        };
        assert!(answer.status.is_success(), "{answer:?}");
        exists = !exists;
        let convergence = &answer.json()["convergence"];
        assert_eq!(convergence["converged"], true, "{convergence}");
        let slowest = convergence["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|node| node["tookMs"].as_f64());
        took.push(slowest.fold(0.0, f64::max));
    }
    took
}

/// Waits until the admin knows every gateway.
async fn settled(admin: SocketAddr) {
    let admin = Admin {
        addr: admin,
        token: cluster::TOKEN.to_owned(),
    };
    loop {
        let nodes = admin.call(Method::GET, "/api/nodes", None).await.json();
        if nodes.as_array().map(Vec::len) == Some(GATEWAYS) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Answers everything with 200.
async fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with the bench")]
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper::service::service_fn(|_request| async {
                Ok::<_, std::convert::Infallible>(http::Response::new(
                    http_body_util::Full::<bytes::Bytes>::from("ok"),
                ))
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    addr
}
