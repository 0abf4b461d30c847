//! The accounting equation: whatever is killed, and whenever, each answer that a client got is counted once.

use std::{net::SocketAddr, time::Duration};

use flexgate::{
    journal::jetstream::{Link, Names},
    outcomes::{feed::Feed, verify::verify},
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::time::{sleep, timeout};

use super::load::Load;
use crate::{
    fixtures::{self, LOOK_AGAIN, Nats, Postgres},
    program::{Program, Settings},
    upstream::Upstream,
};

/// How long everything may take to come to rest.
const REST: Duration = Duration::from_secs(90);

/// What is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Gateway,
    Projector,
    Postgres,
    Nats,
}
use Victim::{Gateway, Nats as Stream, Postgres as Database, Projector};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_kills_at_two_thousand_requests_a_second_lose_and_double_nothing() {
    survives(&[Gateway, Stream, Projector, Database, Gateway], 5).await;
}

/// Takes some minutes: `cargo test --test it a_hundred_kills -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "by hand: it takes some minutes"]
async fn a_hundred_kills_at_two_thousand_requests_a_second_lose_and_double_nothing() {
    let mut random = SmallRng::seed_from_u64(100);
    let victims = [Gateway, Stream, Projector, Database];
    let victims: Vec<_> = (0..100).map(|_| victims[random.random_range(0..4)]).collect();
    survives(&victims, 100).await;
}

/// Kills one after the other under load, each at a random moment, and holds the books in the end.
async fn survives(victims: &[Victim], seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut stack = Stack::start().await;
    let load = Load::start(stack.proxy);
    for victim in victims {
        sleep(Duration::from_millis(random.random_range(200..900))).await;
        stack.kill(*victim).await;
    }
    sleep(Duration::from_millis(500)).await;
    let (answered, broken) = load.stop().await;
    assert!(answered > 500, "there was hardly any load: {answered}");
    let applied = stack.at_rest().await;
    assert!(
        (answered..=answered + broken).contains(&applied),
        "{answered} answers, {broken} broken off, {applied} counted"
    );
}

/// Real processes, each of which can be killed.
struct Stack {
    nats: Nats,
    postgres: Postgres,
    gateway: (Settings, Program),
    projector: (Settings, Program),
    proxy: SocketAddr,
    names: Names,
    link: Link,
    folder: tempfile::TempDir,
    _upstream: Upstream,
}

impl Stack {
    async fn start() -> Self {
        let (nats, postgres) = (Nats::start().await, Postgres::start().await);
        let prefix = fixtures::prefix();
        let names = Names::new(&prefix).unwrap();
        let link = fixtures::provisioned(nats.server.url(), &names).await;
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let upstream = Upstream::replying(200).start().await;
        let process = |roles: &str, data: &str| {
            let streams = (nats.server.url(), &*prefix);
            let settings = Settings::new(roles, &folder.path().join(data), streams)
                .with("FLEXGATE_THREADS", "2")
                .with("DATABASE_URL", postgres.server.url());
            let program = settings.start();
            (settings, program)
        };
        let gateway = process("admin,gateway", "gateway");
        let projector = process("projector", "projector");
        gateway.0.route_to(&upstream.url()).await;
        Self {
            proxy: gateway.0.proxy,
            gateway,
            projector,
            nats,
            postgres,
            names,
            link,
            folder,
            _upstream: upstream,
        }
    }

    /// As if the power had failed, and come back at once.
    async fn kill(&mut self, victim: Victim) {
        match victim {
            Gateway => kill_and_start(&mut self.gateway),
            Projector => kill_and_start(&mut self.projector),
            Database => {
                self.postgres.server.kill9();
                self.postgres.server.restart().await.unwrap();
            }
            Stream => {
                self.nats.server.kill9();
                self.nats.server.restart().await.unwrap();
            }
        }
    }

    /// Waits until everything is in the tables, and says how many outcomes that are.
    async fn at_rest(&self) -> u64 {
        let feed = Feed::new(self.link.clone(), &self.names);
        let outbox = self.folder.path().join("gateway").join("outbox");
        let mut seen = None;
        let rest = async {
            loop {
                if let Ok(verdict) = verify(self.postgres.server.url(), &feed, &outbox).await {
                    let whereabouts = verdict.whereabouts;
                    let is_done =
                        whereabouts.applied == whereabouts.recorded && verdict.differences.is_empty();
                    // Twice the same: a gateway that has just started may not have looked at what was left yet.
                    let before = seen.replace(verdict);
                    if is_done && before == seen {
                        return whereabouts.applied;
                    }
                }
                sleep(10 * LOOK_AGAIN).await;
            }
        };
        let applied = timeout(REST, rest).await.ok();
        applied.unwrap_or_else(|| panic!("it does not come to rest: {seen:?}"))
    }
}

fn kill_and_start((settings, program): &mut (Settings, Program)) {
    program.kill();
    *program = settings.start();
}
