//! How the outbox is doing, as whoever looks at the health of a gateway sees it.

use flexgate::journal::jetstream::Names;

use crate::{
    client,
    fixtures::{self, Nats},
    program::Settings,
    upstream::Upstream,
};

#[tokio::test]
async fn an_outbox_says_how_much_waits_while_nats_is_away() {
    let (mut nats, upstream) = (Nats::start().await, Upstream::replying(200).start().await);
    let (folder, prefix) = (tempfile::tempdir().unwrap(), fixtures::prefix());
    let names = Names::new(&prefix).unwrap();
    fixtures::provisioned(nats.server.url(), &names).await;
    let gateway = Settings::new("admin,gateway", folder.path(), (nats.server.url(), &prefix));
    let _running = gateway.start();
    gateway.route_to(&upstream.url()).await;
    gateway.shows("outbox", "UP", "").await;
    nats.server.kill9();
    gateway
        .shows("outbox", "DOWN", "not connected to NATS: 0 outcomes wait")
        .await;
    for _ in 0..5 {
        assert_eq!(client::get(gateway.proxy, "/a").await.status, 200);
    }
    gateway
        .shows("outbox", "DOWN", "not connected to NATS: 5 outcomes wait")
        .await;
    assert_eq!(gateway.health().await["status"], "UP", "it serves all the same");
    nats.server.restart().await.unwrap();
    gateway.shows("outbox", "UP", "").await;
}

#[tokio::test]
async fn an_outbox_says_that_the_stream_does_not_take_what_it_sends() {
    let (nats, upstream) = (Nats::shared_url().await, Upstream::replying(200).start().await);
    let (folder, prefix) = (tempfile::tempdir().unwrap(), fixtures::prefix());
    let names = Names::new(&prefix).unwrap();
    let link = fixtures::provisioned(nats, &names).await;
    let gateway = Settings::new("admin,gateway", folder.path(), (nats, &prefix));
    let _running = gateway.start();
    gateway.route_to(&upstream.url()).await;
    gateway.shows("outbox", "UP", "").await;
    link.jetstream().delete_stream(names.outcomes()).await.unwrap();
    assert_eq!(client::get(gateway.proxy, "/a").await.status, 200);
    gateway
        .shows("outbox", "DOWN", "the stream does not take outcomes")
        .await;
    fixtures::provisioned(nats, &names).await;
    gateway.shows("outbox", "UP", "").await;
}

#[tokio::test]
async fn a_process_without_an_outbox_says_why() {
    let (nats, prefix) = (Nats::shared_url().await, fixtures::prefix());
    fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    for (roles, recording, reason) in [
        ("gateway", "off", "recording is off"),
        ("admin", "on", "not a role of this process"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::new(roles, folder.path(), (nats, &prefix));
        let settings = settings.with("FLEXGATE_RECORDING", recording);
        let _running = settings.start();
        settings.shows("outbox", "OFF", reason).await;
    }
}
