//! What is taken away from processes, and what they serve meanwhile.

use std::time::Duration;

use flexgate::journal::{
    Status,
    jetstream::{JetStreamLog, Link, Names},
    store::{Outgoing, Store as _},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Cluster, Load, route};
use crate::{
    client,
    fixtures::{self, Nats, PATIENCE},
    upstream::Upstream,
};

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
    let alert = first_alert(&link, &names, "journal.frozen").await;
    assert_eq!(alert["data"]["revision"], 2);
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

/// The first alert of a type.
async fn first_alert(link: &Link, names: &Names, type_name: &str) -> Value {
    let stream = link.jetstream().get_stream(names.alerts()).await.unwrap();
    let subject = names.alert_subject(type_name);
    let found = async {
        loop {
            if let Ok(message) = stream.get_first_raw_message_by_subject(&subject, 1).await {
                return serde_json::from_slice(&message.payload).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, found).await.expect("an alert")
}
