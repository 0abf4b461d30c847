//! Importing thousands of routes: while requests are served, and when the process that imports them is killed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use flexgate::journal::jetstream::Names;
use futures_util::StreamExt as _;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    client::{self, Admin, Answer, Connection},
    fixtures::{self, LOOK_AGAIN, Nats, PATIENCE},
    program::{Settings, TOKEN, listens},
    upstream::Upstream,
};

/// Some parts of them.
const ROUTES: usize = 4_000;

#[tokio::test]
async fn an_import_whose_process_is_killed_counts_as_a_whole_or_not_at_all_and_can_be_repeated() {
    let nats = Nats::shared_url().await;
    let (prefix, folder) = (fixtures::prefix(), tempfile::tempdir().unwrap());
    let link = fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    let upstream = Upstream::replying(200).start().await;
    let of = |roles: &str| Settings::new(roles, &folder.path().join(roles), (nats, &prefix));
    let (admin, gateway) = (of("admin"), of("gateway"));
    let mut importer = admin.start();
    let _serving = gateway.start();
    let api = admin.api().await;
    let route = json!({ "id": "all", "path": "/*", "upstream": upstream.url() });
    writes(&api, "/api/routes", &route).await;
    listens(gateway.proxy).await;
    answers(gateway.proxy, "/served").await;

    let over = Arc::new(AtomicBool::new(false));
    let (proxy, ended) = (gateway.proxy, over.clone());
    #[expect(clippy::disallowed_methods, reason = "joined below")]
    let requests = tokio::spawn(async move {
        let (mut connection, mut answered) = (Connection::open(proxy).await.unwrap(), 0);
        while !ended.load(Ordering::Relaxed) {
            assert_eq!(connection.get("/served").await.unwrap().status, StatusCode::OK);
            answered += 1;
        }
        answered
    });

    // The first part is seen at the same time as the stream sees it.
    let subject = format!("{}.config.part.>", prefix.to_lowercase());
    let mut parts = link.client().subscribe(subject).await.unwrap();
    link.client().flush().await.unwrap();
    let backend = upstream.url();
    let importing = import(&api, &backend);
    let killing = async {
        timeout(PATIENCE, parts.next()).await.unwrap().unwrap();
        importer.kill();
    };
    let (_broken, ()) = tokio::join!(importing, killing);

    let mut importer = admin.start();
    let api = admin.api().await;
    writes(&api, "/api/upstreams", &json!({ "name": "b", "url": backend })).await;
    let planned = rehearsed(&api, &upstream.url()).await;
    assert!([0, ROUTES].contains(&planned), "{planned} routes are missing");

    let lines = import(&api, &upstream.url()).await.unwrap();
    let lines: Vec<Value> = String::from_utf8(lines.body.to_vec())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["step"], &last["status"]), (&json!("done"), &json!(200)));
    assert!(lines.iter().any(|line| line["step"] == "deciding"), "{lines:?}");
    assert_eq!(rehearsed(&api, &upstream.url()).await, 0);
    answers(gateway.proxy, &format!("/imported/{}/x", ROUTES - 1)).await;
    over.store(true, Ordering::Relaxed);
    assert!(requests.await.unwrap() > 0);
    importer.kill();
}

/// Waits until a request is answered.
async fn answers(proxy: std::net::SocketAddr, path: &str) {
    let answered = async {
        while client::get(proxy, path).await.status != StatusCode::OK {
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, answered)
        .await
        .expect("an answer from upstream");
}

/// Makes something, as soon as the process has read the log and may write.
async fn writes(api: &Admin, path: &str, what: &Value) {
    let made = async {
        while api.call(Method::POST, path, Some(what.clone())).await.status != StatusCode::CREATED {
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, made).await.expect("a log to write to");
}

fn configuration(upstream: &str) -> Value {
    let route = |number| {
        let (id, path) = (format!("imported-{number}"), format!("/imported/{number}/*"));
        json!({ "id": id, "path": path, "upstream": upstream, "timeout": "5s", "stripPath": true })
    };
    json!({ "routes": (0..ROUTES).map(route).collect::<Vec<_>>() })
}

/// Sends the import, and reads the lines that say how far it is.
async fn import(api: &Admin, upstream: &str) -> Result<Answer, hyper::Error> {
    let request = Request::post("/api/config/apply")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/json")
        .header("accept", "application/x-ndjson")
        .body(Full::<Bytes>::from(configuration(upstream).to_string()))
        .unwrap();
    let mut connection = Connection::open(api.addr).await.unwrap();
    timeout(PATIENCE, connection.send(request))
        .await
        .expect("its end")
}

/// How many changes an import would make.
async fn rehearsed(api: &Admin, upstream: &str) -> usize {
    let planned = api.call(
        Method::POST,
        "/api/config/apply?dryRun=true",
        Some(configuration(upstream)),
    );
    planned.await.json()["changes"].as_array().unwrap().len()
}
