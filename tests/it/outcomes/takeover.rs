//! Of two projectors one acts, and the other is there when that one is not: real processes, killed and frozen.

use std::time::{Duration, Instant};

use flexgate::journal::jetstream::{Link, Names};
use flexgate_projections::{OutcomeProjector, connect};
use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use super::{
    database::{COUNTED, Database, REQUESTS, reaches},
    frames::{Core, frame, publish},
};
use crate::{
    fixtures::{self, Nats},
    program::{Program, Settings},
};

/// What is asked of a takeover, from the end of the one that acted to the rows of what came after it.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_killed_projector_is_replaced_within_five_seconds() {
    let mut pair = Pair::start().await;
    let mut core = Core::of_boot("b1");
    pair.publish(&mut core, 10).await;
    reaches(&pair.database.url, COUNTED, 10).await;
    let killed = Instant::now();
    pair.acting.1.kill();
    pair.publish(&mut core, 5).await;
    reaches(&pair.database.url, COUNTED, 15).await;
    let took = killed.elapsed();
    assert!(took <= TAKEOVER_MAX, "it took {took:?}");
    reaches(&pair.database.url, REQUESTS, 15).await;
    pair.waiting.0.shows("outcomes", "UP", "").await;
}

/// Frozen is not gone: its session, and with it its turn, stays until the server ends it. What matters is what it does
/// when it goes on, in the belief that nothing has happened.
#[tokio::test]
async fn a_frozen_projector_that_was_replaced_counts_nothing_twice() {
    let pair = Pair::start().await;
    let mut core = Core::of_boot("b1");
    pair.publish(&mut core, 10).await;
    reaches(&pair.database.url, COUNTED, 10).await;
    pair.acting.1.signal(Signal::STOP);
    pair.publish(&mut core, 10).await; // lies in the socket of the frozen one too
    pair.end_the_session_that_acts().await;
    reaches(&pair.database.url, COUNTED, 20).await;
    pair.acting.1.signal(Signal::CONT);
    pair.acting
        .0
        .shows("outcomes", "OFF", "another process keeps them")
        .await;
    pair.publish(&mut core, 10).await;
    reaches(&pair.database.url, COUNTED, 30).await;
    reaches(&pair.database.url, REQUESTS, 30).await;
}

/// A host that is gone says no goodbye: the server has to find out.
#[tokio::test]
async fn the_session_of_a_projector_whose_host_is_gone_is_ended_by_the_server_in_time() {
    let database = Database::new().await;
    let mut session = connect(&database.url).await.unwrap();
    assert!(OutcomeProjector::may_act(&mut session).await.unwrap());
    let seconds = "SELECT current_setting('tcp_keepalives_idle')::bigint
        + current_setting('tcp_keepalives_interval')::bigint * current_setting('tcp_keepalives_count')::bigint";
    let seconds: i64 = sqlx::query_scalar(seconds).fetch_one(&mut session).await.unwrap();
    assert!(
        Duration::from_secs(seconds.unsigned_abs()) < TAKEOVER_MAX,
        "{seconds} s"
    );
    session.close().await.unwrap();
}

/// Two projectors of one database.
struct Pair {
    database: Database,
    link: Link,
    names: Names,
    acting: (Settings, Program),
    waiting: (Settings, Program),
    _folders: [TempDir; 2],
}

impl Pair {
    async fn start() -> Self {
        let (nats, database) = (Nats::shared_url().await, Database::new().await);
        let prefix = fixtures::prefix();
        let names = Names::new(&prefix).unwrap();
        let link = fixtures::provisioned(nats, &names).await;
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let start = |folder: &TempDir| {
            let settings = Settings::new("projector", folder.path(), (nats, &prefix));
            let settings = settings.with("DATABASE_URL", &*database.url);
            let program = settings.start();
            (settings, program)
        };
        let acting = start(&folders[0]);
        acting.0.shows("outcomes", "UP", "").await;
        let waiting = start(&folders[1]);
        waiting
            .0
            .shows("outcomes", "OFF", "another process keeps them")
            .await;
        Self {
            database,
            link,
            names,
            acting,
            waiting,
            _folders: folders,
        }
    }

    async fn publish(&self, core: &mut Core, outcomes: usize) {
        publish(&self.link, &self.names, frame(core, outcomes)).await;
    }

    /// As the server does with a session that it has lost its patience with.
    async fn end_the_session_that_acts(&self) {
        let mut connection = PgConnection::connect(&self.database.url).await.unwrap();
        let lock = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
            WHERE locktype = 'advisory' AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND ((classid::bigint << 32) | objid::bigint) = hashtextextended('flexgate outcomes', 0)";
        let ended: i64 = sqlx::query_scalar(lock).fetch_one(&mut connection).await.unwrap();
        assert_eq!(ended, 1, "one session acts");
    }
}
