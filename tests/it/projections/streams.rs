//! Streams that cannot be read for a while, or that are made anew, while projections are made from them.

use async_nats::HeaderMap;
use flexgate::{
    app::projector::{Frames, Refused},
    journal::jetstream::{Link, Names, streams},
    outcomes::feed::Feed,
};
use flexgate_projections::{Building, Comparison, Error, Live, Refill, Retention};
use flexgate_schemas::{
    Timestamp,
    admin::{Call, Deed},
};
use futures_util::future::BoxFuture;
use tokio::{join, time::timeout};

use super::{
    admin_events,
    rebuild::{rebuild_from, try_rebuild_from},
};
use crate::{
    fixtures::{self, LOOK_AGAIN, Nats, PATIENCE, Postgres},
    outcomes::{
        database::{COUNTED, Database},
        frames::{Core, frame, publish},
    },
};

const REFUSED: &str = "SELECT count(*) FROM flexgate.audit_log WHERE stream = 'ADMIN'";

#[tokio::test]
async fn a_stream_that_is_not_there_yet_is_waited_for() {
    let (nats, url) = (Nats::shared_url().await, Postgres::database().await);
    let (names, link) = (fixtures::names(), fixtures::connected(nats).await);
    let mut refused = Refused::new(link.clone(), &names);
    let rebuilding = rebuild_from(&mut refused, ("admin_events", &url), false);
    let making = async {
        building_is_there(&url, "admin_events").await;
        streams::provision(&link, &names, 1).await.unwrap();
        refuse(&link, &names, 1..=3).await;
    };
    join!(rebuilding, making);
}

#[tokio::test]
async fn a_server_that_is_gone_for_a_while_costs_nothing_but_time() {
    let (mut server, names) = (Nats::start().await, fixtures::names());
    let link = fixtures::provisioned(server.server.url(), &names).await;
    refuse(&link, &names, 1..=3).await;
    let mut core = Core::of_boot("b1");
    for _ in 0..3 {
        publish(&link, &names, frame(&mut core, 10)).await;
    }
    let database = Database::new().await;
    let mut frames = Interrupted {
        stream: Frames::new(link.clone(), names.clone(), Retention::default()),
        feed: Feed::new(link.clone(), &names),
        server: Some(&mut server),
    };
    rebuild_from(&mut frames, ("outcomes", &database.url), false).await;
    assert_eq!(database.count(COUNTED).await, 30);
    let mut refused = Interrupted {
        stream: Refused::new(link.clone(), &names),
        feed: Feed::of_admin_events(link, &names),
        server: Some(&mut server),
    };
    rebuild_from(&mut refused, ("admin_events", &database.url), false).await;
    assert_eq!(database.count(REFUSED).await, 3);
}

#[tokio::test]
async fn a_stream_that_is_made_anew_meanwhile_is_not_mixed_with_the_one_before_it() {
    let (nats, names) = (Nats::shared_url().await, fixtures::names());
    let link = fixtures::provisioned(nats, &names).await;
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    for _ in 0..3 {
        publish(&link, &names, frame(&mut core, 10)).await;
    }
    refuse(&link, &names, 1..=3).await;
    let mut frames = Frames::new(link.clone(), names.clone(), Retention::default());
    rebuild_from(&mut frames, ("outcomes", &database.url), false).await;
    let mut refused = Refused::new(link.clone(), &names);
    rebuild_from(&mut refused, ("admin_events", &database.url), false).await;

    // The new one is longer than what was read of the old one.
    let made_anew = async {
        link.jetstream().delete_stream(names.outcomes()).await.unwrap();
        streams::provision(&link, &names, 1).await.unwrap();
        for _ in 0..5 {
            publish(&link, &names, frame(&mut core, 10)).await;
        }
    };
    let outcome = try_made_anew(frames, ("outcomes", &database.url), Box::pin(made_anew)).await;
    assert!(matches!(outcome, Err(Error::Replaced { .. })), "{outcome:?}");
    let made_anew = async {
        link.jetstream().delete_stream(names.admin()).await.unwrap();
        streams::provision(&link, &names, 1).await.unwrap();
        refuse(&link, &names, 4..=8).await;
    };
    let outcome = try_made_anew(refused, ("admin_events", &database.url), Box::pin(made_anew)).await;
    assert!(matches!(outcome, Err(Error::Replaced { .. })), "{outcome:?}");
    assert_eq!(
        (database.count(COUNTED).await, database.count(REFUSED).await),
        (30, 3)
    );

    // What only the tables have stays, and what is on the new stream is read when they are kept.
    let mut frames = Frames::new(link.clone(), names.clone(), Retention::default());
    rebuild_from(&mut frames, ("outcomes", &database.url), false).await;
    let mut refused = Refused::new(link.clone(), &names);
    rebuild_from(&mut refused, ("admin_events", &database.url), false).await;
    assert_eq!(
        (database.count(COUNTED).await, database.count(REFUSED).await),
        (30, 3)
    );
}

/// A stream whose server is gone when it is read first.
struct Interrupted<'s, R> {
    stream: R,
    feed: Feed,
    server: Option<&'s mut Nats>,
}

impl<R: Refill> Refill for Interrupted<'_, R> {
    async fn end(&mut self) -> Result<u64, Error> {
        self.stream.end().await
    }

    async fn goal(&mut self, live: &Live) -> Result<Option<u64>, Error> {
        self.stream.goal(live).await
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        let Some(nats) = self.server.take() else {
            return self.stream.fill(building, until, at).await;
        };
        nats.server.kill9();
        let feed = self.feed.clone();
        let back = async {
            while feed.extent().await.is_ok() {}
            nats.server.restart().await.unwrap();
        };
        join!(self.stream.fill(building, until, at), back).0
    }
}

/// A stream to which something happens when it was read once.
struct Harmed<'h, R> {
    stream: R,
    fills: usize,
    harm: Option<BoxFuture<'h, ()>>,
}

impl<R: Refill> Refill for Harmed<'_, R> {
    async fn end(&mut self) -> Result<u64, Error> {
        self.stream.end().await
    }

    async fn goal(&mut self, live: &Live) -> Result<Option<u64>, Error> {
        self.stream.goal(live).await
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        if self.fills == 1
            && let Some(harm) = self.harm.take()
        {
            harm.await;
        }
        self.fills += 1;
        self.stream.fill(building, until, at).await
    }
}

async fn try_made_anew(
    stream: impl Refill,
    projection: (&str, &str),
    harm: BoxFuture<'_, ()>,
) -> Result<Option<Comparison>, Error> {
    let mut harmed = Harmed {
        stream,
        fills: 0,
        harm: Some(harm),
    };
    try_rebuild_from(&mut harmed, projection, false).await
}

/// Puts events with these numbers on the stream of what was not done.
async fn refuse(link: &Link, names: &Names, numbers: std::ops::RangeInclusive<i64>) {
    for number in numbers {
        let at = Timestamp::from_millis(1_900_000_000_000 + 1000 * number).unwrap();
        let call = Call::new(("DELETE", "/api/nodes/b"), 409, Some("node_alive"));
        let event = admin_events::on_stream(1, &[(Some("alice"), at, Deed::Refused(call))]).remove(0);
        let subject = names.admin_subject("refused");
        let jetstream = link.jetstream();
        let publishing =
            jetstream.publish_with_headers(subject, HeaderMap::new(), event.message.payload.into());
        publishing.await.unwrap().await.unwrap();
    }
}

/// Waits until the tables are there that are made anew.
async fn building_is_there(url: &str, projection: &str) {
    let schema =
        format!("SELECT nspname::text FROM pg_namespace WHERE nspname = 'flexgate_rebuild_{projection}'");
    let there = async {
        while super::query(url, &schema).await.is_empty() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    assert!(timeout(PATIENCE, there).await.is_ok(), "nothing is made anew");
}
