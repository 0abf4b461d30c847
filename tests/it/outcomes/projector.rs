//! The role `projector`, from the stream on: it takes over, waits and catches up.

use std::time::Duration;

use flexgate::{
    app::projector,
    drain::Tasks,
    health::{Health, Verdict},
    journal::{
        alerts::{self, Alerts},
        jetstream::{Link, Names},
    },
};
use flexgate_projections::Retention;
use flexgate_schemas::{Outcome, frame::Sealed};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::{
    database::{COUNTED, DEAD, REQUESTS, reaches},
    frames::{Core, frame, plain, publish},
};
use crate::fixtures::{self, LOOK_AGAIN, Nats, PATIENCE, Postgres};

#[tokio::test]
async fn frames_on_the_stream_become_rows() {
    let (cluster, url) = (
        Cluster::new(Nats::shared_url().await).await,
        Postgres::database().await,
    );
    let running = cluster.project_into(&url);
    let mut core = Core::of_boot("b1");
    cluster.publish(frame(&mut core, 10)).await;
    reaches(&url, REQUESTS, 10).await;
    cluster.publish(frame(&mut core, 5)).await;
    reaches(&url, COUNTED, 15).await;
    running.stop().await;
}

#[tokio::test]
async fn when_a_projector_ends_another_takes_over_where_it_was() {
    let (cluster, url) = (
        Cluster::new(Nats::shared_url().await).await,
        Postgres::database().await,
    );
    let mut core = Core::of_boot("b1");
    let first = cluster.project_into(&url);
    cluster.publish(frame(&mut core, 10)).await;
    reaches(&url, REQUESTS, 10).await;
    let second = cluster.project_into(&url);
    second.shows(Verdict::Off).await;
    first.stop().await;
    cluster.publish(frame(&mut core, 10)).await;
    reaches(&url, REQUESTS, 20).await;
    reaches(&url, COUNTED, 20).await;
    second.stop().await;
}

#[tokio::test]
async fn a_database_that_dies_is_caught_up_with() {
    let cluster = Cluster::new(Nats::shared_url().await).await;
    let mut postgres = Postgres::start().await;
    let url = postgres.server.url().to_owned();
    let running = cluster.project_into(&url);
    let mut core = Core::of_boot("b1");
    cluster.publish(frame(&mut core, 10)).await;
    reaches(&url, REQUESTS, 10).await;
    postgres.server.kill9();
    cluster.publish(frame(&mut core, 10)).await;
    running.shows(Verdict::Down).await;
    postgres.server.restart().await.unwrap();
    reaches(&url, REQUESTS, 20).await;
    reaches(&url, COUNTED, 20).await;
    running.shows(Verdict::Up).await;
    running.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_made_anew_is_read_from_its_beginning() {
    let (cluster, url) = (
        Cluster::new(Nats::shared_url().await).await,
        Postgres::database().await,
    );
    let running = cluster.project_into(&url);
    let mut core = Core::of_boot("b1");
    let frames: Vec<_> = (0..5).map(|_| frame(&mut core, 10)).collect();
    for frame in &frames {
        cluster.publish(frame.clone()).await;
    }
    reaches(&url, REQUESTS, 50).await;
    let jetstream = cluster.link.jetstream();
    jetstream.delete_stream(cluster.names.outcomes()).await.unwrap();
    fixtures::provisioned(Nats::shared_url().await, &cluster.names).await;
    cluster.publish(frames[4].clone()).await; // what the projector has seen before
    cluster.publish(frame(&mut core, 7)).await;
    reaches(&url, REQUESTS, 57).await;
    reaches(&url, COUNTED, 57).await;
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_applied_is_on_a_stream_and_raises_an_alert() {
    let (cluster, url) = (
        Cluster::new(Nats::shared_url().await).await,
        Postgres::database().await,
    );
    let running = cluster.project_into(&url);
    let mut core = Core::of_boot("b1");
    let broken = Sealed {
        payload: b"no frame".to_vec(),
        ..frame(&mut core, 10)
    };
    cluster.publish(broken).await;
    cluster.publish(frame(&mut core, 10)).await;
    reaches(&url, REQUESTS, 10).await;
    reaches(&url, DEAD, 1).await;
    let letter = cluster.first_of(&cluster.names.dead_letters()).await;
    assert_eq!(&*letter.payload, b"no frame");
    let error = letter.headers.unwrap().get("Flexgate-Error").unwrap().to_string();
    assert!(error.contains("cannot be unpacked"), "{error}");
    let alert = cluster.first_of(&cluster.names.alerts()).await;
    let alert: serde_json::Value = serde_json::from_slice(&alert.payload).unwrap();
    assert_eq!(alert["type"], "projection.dead_letter", "{alert}");
    running.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_off_raises_an_alert_and_its_requests_count() {
    for hours in [1, -1] {
        let (cluster, url) = (
            Cluster::new(Nats::shared_url().await).await,
            Postgres::database().await,
        );
        let running = cluster.project_into(&url);
        let mut core = Core::of_boot("b1");
        let off = chrono::TimeDelta::hours(hours);
        let at = (chrono::Utc::now() + off).timestamp_micros();
        let outcomes = core.numbered(&[Outcome { at, ..plain() }]);
        let mut frame = core.seal(&outcomes);
        let sent = flexgate_schemas::Timestamp::from(chrono::Utc::now() + off);
        frame
            .headers
            .push((flexgate_schemas::frame::SENT.to_owned(), sent.to_string()));
        cluster.publish(frame).await;
        reaches(&url, COUNTED, 1).await;
        let alert = cluster.first_of(&cluster.names.alerts()).await;
        let alert: serde_json::Value = serde_json::from_slice(&alert.payload).unwrap();
        assert_eq!(
            (&alert["type"], &alert["data"]["node"]),
            (&"node.clock".into(), &"node-a".into())
        );
        let ahead = alert["data"]["aheadMs"].as_i64().unwrap();
        assert!((ahead - hours * 3_600_000).abs() < 60_000, "{ahead}");
        running.stop().await;
    }
}

/// Streams of one's own.
struct Cluster {
    link: Link,
    names: Names,
}

impl Cluster {
    async fn new(server: &str) -> Self {
        let names = fixtures::names();
        Self {
            link: fixtures::provisioned(server, &names).await,
            names,
        }
    }

    async fn publish(&self, frame: Sealed) {
        publish(&self.link, &self.names, frame).await;
    }

    /// The first message of a stream, as soon as there is one.
    async fn first_of(&self, stream: &str) -> async_nats::Message {
        let first = async {
            let stream = self.link.jetstream().get_stream(stream).await.unwrap();
            let config = async_nats::jetstream::consumer::pull::Config::default();
            let mut messages = stream
                .create_consumer(config)
                .await
                .unwrap()
                .messages()
                .await
                .unwrap();
            messages.next().await.unwrap().unwrap().message
        };
        timeout(PATIENCE, first).await.expect("a message")
    }

    fn project_into(&self, url: &str) -> Running {
        let (health, tasks) = (Health::new("test"), Tasks::new());
        let (alerts, raised) = Alerts::channel("test-node".parse().unwrap());
        tasks.spawn(alerts::publish(
            self.link.clone(),
            self.names.clone(),
            raised,
            tasks.clone(),
        ));
        let streams = (self.link.clone(), self.names.clone());
        let keeping = projector::keep_outcomes(
            (url.to_owned(), Retention::default()),
            streams,
            alerts,
            health.clone(),
            tasks.clone(),
        );
        tasks.spawn(keeping);
        Running { health, tasks }
    }
}

/// A projector that runs.
struct Running {
    health: Health,
    tasks: Tasks,
}

impl Running {
    async fn shows(&self, verdict: Verdict) {
        let shown = async {
            while self.health.readiness().checks.outcomes != verdict {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        assert!(timeout(PATIENCE, shown).await.is_ok(), "never {verdict:?}");
    }

    async fn stop(self) {
        assert!(self.tasks.stop(Duration::from_secs(10)).await);
    }
}
