//! A projection that stops says so, once, and when it goes on.

use flexgate::health::Verdict;
use flexgate_schemas::alert::AlertKind;

use super::{Cluster, execute, query};
use crate::fixtures::Postgres;

const REFUSE: &str = "ALTER TABLE flexgate.routes ADD CONSTRAINT refusal CHECK (id <> 'b')";
const TAKE: &str = "ALTER TABLE flexgate.routes DROP CONSTRAINT refusal";

#[tokio::test]
async fn a_projection_that_stops_raises_an_alert_and_another_when_it_goes_on() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    execute(&url, REFUSE).await;
    cluster.create_routes(["a", "b", "c"]).await;
    let mut projector = cluster.project_into(&url);
    let AlertKind::ProjectionStopped {
        projection,
        position,
        error,
    } = projector.raises().await
    else {
        panic!("another alert");
    };
    assert_eq!((&*projection, position), ("config", Some(2)));
    assert_eq!(
        error,
        "revision 3 cannot be applied: the tables refuse it (SQLSTATE 23514, table routes, constraint refusal)"
    );
    let since =
        "SELECT stopped_behind::text FROM flexgate.projection_checkpoint WHERE stopped_at IS NOT NULL";
    assert_eq!(query(&url, since).await, ["2"]);
    execute(&url, TAKE).await;
    let resumed = projector.raises().await;
    assert!(
        matches!(&resumed, AlertKind::ProjectionResumed { projection, position: Some(3..=4) } if projection == "config"),
        "{resumed:?}"
    );
    assert_eq!(query(&url, since).await, [] as [String; 0]);

    // And again.
    execute(
        &url,
        "ALTER TABLE flexgate.routes ADD CONSTRAINT refusal CHECK (id <> 'd')",
    )
    .await;
    cluster.create_routes(["d"]).await;
    let stopped = projector.raises().await;
    assert!(
        matches!(
            stopped,
            AlertKind::ProjectionStopped {
                position: Some(4),
                ..
            }
        ),
        "{stopped:?}"
    );
    projector.stop().await;
}

#[tokio::test]
async fn a_process_that_is_started_again_says_nothing_new_of_a_stop_and_tells_when_it_is_over() {
    let (cluster, url) = (Cluster::begin().await, Postgres::database().await);
    execute(&url, REFUSE).await;
    cluster.create_routes(["a", "b", "c"]).await;
    let mut first = cluster.project_into(&url);
    assert!(matches!(
        first.raises().await,
        AlertKind::ProjectionStopped { .. }
    ));
    first.stop().await;
    let mut second = cluster.project_into(&url);
    second.shows(Verdict::Down).await;
    execute(&url, TAKE).await;
    let resumed = second.raises().await;
    assert!(
        matches!(resumed, AlertKind::ProjectionResumed { .. }),
        "it was told before that it had stopped: {resumed:?}"
    );
    second.stop().await;
}
