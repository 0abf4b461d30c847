//! Disks without room: the gateway's, whose outbox is lost from and says so, and the database's, which is waited for.

use std::{fs, os::unix::fs::symlink, process::Command};

use flexgate::journal::jetstream::{Link, Names};
use futures_util::TryStreamExt as _;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::{sleep, timeout};

use super::{
    database::{COUNTED, DEAD, REQUESTS, reaches},
    frames::{Core, frame, publish},
};
use crate::{
    client,
    disk::SmallDisk,
    fixtures::{self, LOOK_AGAIN, Nats, PATIENCE, Postgres},
    program::Settings,
    upstream::Upstream,
};

#[tokio::test]
async fn a_gateway_whose_disk_is_full_serves_and_says_what_it_loses() {
    let name = "outcomes::full_disk::a_gateway_whose_disk_is_full_serves_and_says_what_it_loses";
    let Some(disk) = SmallDisk::of(name, 8).await else {
        return;
    };
    let (nats, database) = (Nats::start().await, Postgres::database().await);
    let upstream = Upstream::replying(200).start().await;
    let (data, prefix) = (tempfile::tempdir().unwrap(), fixtures::prefix());
    let names = Names::new(&prefix).unwrap();
    let link = fixtures::provisioned(nats.server.url(), &names).await;
    let outbox = disk.folder().join("outbox");
    fs::create_dir(&outbox).unwrap();
    symlink(outbox, data.path().join("outbox")).unwrap();
    let streams = (nats.server.url(), &*prefix);
    let settings =
        Settings::new("admin,gateway,projector", data.path(), streams).with("DATABASE_URL", &*database);

    disk.fill();
    let _running = settings.start();
    settings.route_to(&upstream.url()).await;
    for _ in 0..30 {
        assert_eq!(client::get(settings.proxy, "/a").await.status, 200);
    }
    let lost = "the disk has no room for the outbox: outcomes are being lost, 30 so far";
    settings.shows("outbox", "DOWN", lost).await;
    let health = settings.health().await;
    assert_eq!(health["status"], "UP", "it serves all the same: {health}");
    assert_eq!(settings.metric("flexgate_outcomes_lost_total").await, 30);
    assert_eq!(overflows(&link, &names).await, 1);
    let overflowed = r#"flexgate_alerts_total{type="outbox.overflowed"}"#;
    assert_eq!(settings.metric(overflowed).await, 1);

    disk.free();
    settings.shows("outbox", "UP", "").await;
    for _ in 0..20 {
        assert_eq!(client::get(settings.proxy, "/a").await.status, 200);
    }
    reaches(&database, COUNTED, 20).await;
    assert_eq!(settings.metric("flexgate_outcomes_lost_total").await, 30);
    let verified = Command::new(env!("CARGO_BIN_EXE_flexgate"))
        .args(["verify", "outcomes"])
        .env("FLEXGATE_DATA_DIR", data.path())
        .env("FLEXGATE_STREAM_PREFIX", &prefix)
        .env("NATS_URL", nats.server.url())
        .env("DATABASE_URL", &database)
        .output()
        .unwrap();
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(
        said.contains("outcomes that are nowhere, and none: 30 and 0"),
        "{said}"
    );
    assert_eq!(settings.metric(overflowed).await, 1, "it was one episode");
}

#[tokio::test]
async fn a_database_whose_disk_is_full_is_waited_for() {
    let name = "outcomes::full_disk::a_database_whose_disk_is_full_is_waited_for";
    let Some(disk) = SmallDisk::of(name, 192).await else {
        return;
    };
    let (nats, postgres) = (Nats::start().await, Postgres::start_in(disk.folder()).await);
    let (data, prefix) = (tempfile::tempdir().unwrap(), fixtures::prefix());
    let names = Names::new(&prefix).unwrap();
    let link = fixtures::provisioned(nats.server.url(), &names).await;
    let url = postgres.server.url();
    let settings = Settings::new("projector", data.path(), (nats.server.url(), &prefix));
    let settings = settings.with("DATABASE_URL", url);
    let _running = settings.start();
    let mut core = Core::of_boot("b1");
    publish(&link, &names, frame(&mut core, 10)).await;
    reaches(url, COUNTED, 10).await;

    leave_room_in_the_log(url).await;
    disk.fill();
    for _ in 0..3 {
        publish(&link, &names, frame(&mut core, 1000)).await;
    }
    settings
        .shows("outcomes", "DOWN", "the disk of the database is full")
        .await;
    reaches(url, COUNTED, 10).await;

    disk.free();
    reaches(url, COUNTED, 3010).await;
    reaches(url, REQUESTS, 3010).await;
    reaches(url, DEAD, 0).await;
    settings.shows("outcomes", "UP", "").await;
}

/// A server that cannot go on in its write-ahead log stops altogether, which is another matter: here it begins a file, of
/// which all is there.
async fn leave_room_in_the_log(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    for statement in [
        "SELECT pg_switch_wal()",
        "CREATE TABLE logged ()",
        "DROP TABLE logged",
    ] {
        connection.execute(statement).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// How many alerts say that the outbox overflowed, as soon as there are any.
async fn overflows(link: &Link, names: &Names) -> usize {
    let subject = names.alert_subject("outbox.overflowed");
    let stream = link.jetstream().get_stream(names.alerts()).await.unwrap();
    let raised = async {
        loop {
            let mut counts = stream.info_with_subjects(&subject).await.unwrap();
            if let Some((_, count)) = counts.try_next().await.unwrap() {
                return count;
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, raised).await.expect("an alert")
}
