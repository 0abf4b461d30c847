//! The life of nodes: they say it themselves, and it is in the tables.

use flexgate::{
    app::projector,
    drain::Tasks,
    health::Health,
    journal::{
        alerts::{self, Alerts},
        jetstream::Names,
    },
    outcomes::feed::Feed,
};
use flexgate_projections::{AlertRows, Stream};
use tokio::time::timeout;

use super::Cluster;
use crate::{
    fixtures::{self, LOOK_AGAIN, Nats, PATIENCE, Postgres},
    outcomes::database::Database,
};

const LIFE: &str = "SELECT concat_ws(' ', event, version, revision) FROM flexgate.node_history
    WHERE node = 'second' ORDER BY at";

#[tokio::test]
async fn a_node_that_comes_and_goes_is_in_its_history_whether_or_not_a_projector_was_there() {
    let nats = Nats::shared_url().await;
    let cluster = Cluster::on(nats).await;
    let admin = cluster.start("admin,gateway").await.ready().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("node.id"), "second\n").unwrap();
    let second = cluster.start_in(folder, "gateway").await.ready().await;
    admin.knows(2).await;
    let folder = second.stop().await;
    let second = cluster.start_in(folder, "gateway").await.ready().await;

    // It comes later than all that, and finds it on the stream.
    let names = Names::new(&cluster.prefix).unwrap();
    let link = fixtures::connected(nats).await;
    let database = Database {
        url: Postgres::database().await,
    };
    let tasks = Tasks::new();
    let (raising, raised) = Alerts::channel("projector".parse().unwrap());
    tasks.spawn(alerts::publish(
        link.clone(),
        names.clone(),
        raised,
        tasks.clone(),
    ));
    tasks.spawn(projector::keep_messages::<AlertRows>(
        (database.url.clone(), Feed::of_alerts(link, &names)),
        Stream::Alerts,
        raising,
        Health::new("test"),
        tasks.clone(),
    ));
    second.stop().await;
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        format!("joined {version} 1"),
        "left 1".to_owned(),
        format!("joined {version} 1"),
        "left 1".to_owned(),
    ];
    let lived = async {
        while database.rows(LIFE).await != expected {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let in_time = timeout(PATIENCE, lived).await.is_ok();
    assert!(in_time, "{:?}", database.rows(LIFE).await);
    let boots = "SELECT count(DISTINCT boot)::text FROM flexgate.node_history WHERE node = 'second'";
    assert_eq!(database.rows(boots).await, ["2"]);
    assert!(tasks.stop(PATIENCE).await);
    admin.stop().await;
}
