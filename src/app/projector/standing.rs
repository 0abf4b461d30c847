//! Says how far the projections are that this process keeps, every other second, in a table that the admin API reads.

use std::time::Duration;

use flexgate_projections::{Error, PROJECTIONS, Projection, Refill as _, Standing, connect, position};
use sqlx::PgConnection;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{
    service::Sources,
    streams::{Feeds, verdict},
};
use crate::{
    drain::Tasks,
    health::{Checks, Health, Verdict},
};

/// How often.
const EVERY: Duration = Duration::from_secs(2);
/// How long a stream may take to say where it ends: the others are reported all the same.
const END_WITHIN: Duration = Duration::from_millis(500);
/// How long all reports may take.
const WITHIN: Duration = Duration::from_secs(5);

/// Reports until the tasks are stopped.
pub async fn report(sources: Sources, health: Health, tasks: Tasks) {
    let mut watched = PROJECTIONS.map(|projection| Watched::new(projection, &sources));
    let reporting = async {
        let mut clock = interval(EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut held = None;
        loop {
            clock.tick().await;
            let checks = health.readiness().checks;
            let reporting = async {
                let mut connection = match held.take() {
                    Some(connection) => connection,
                    None => connect(&sources.url).await?,
                };
                for watched in &mut watched {
                    watched.report(&mut connection, &checks, &sources.node).await?;
                }
                Ok::<PgConnection, Error>(connection)
            };
            held = timeout(WITHIN, reporting).await.ok().and_then(Result::ok);
        }
    };
    tasks.unless_stopped(Box::pin(reporting)).await;
}

/// A projection, with what was known of it a moment ago.
struct Watched {
    projection: &'static Projection,
    stream: Feeds,
    last: Option<(u64, Instant)>,
    /// When it had applied everything.
    caught_up: Instant,
}

impl Watched {
    fn new(projection: &'static Projection, sources: &Sources) -> Self {
        Self {
            projection,
            stream: sources.of(projection.stream),
            last: None,
            caught_up: Instant::now(),
        }
    }

    /// Only of one that this process keeps, or would keep if nothing were in the way.
    async fn report(
        &mut self,
        connection: &mut PgConnection,
        checks: &Checks,
        node: &str,
    ) -> Result<(), Error> {
        if verdict(checks, self.projection.stream) == Verdict::Off {
            self.last = None;
            return Ok(());
        }
        let Some(at) = position(connection, self.projection.name).await? else {
            return Ok(());
        };
        let now = Instant::now();
        let end = timeout(END_WITHIN, self.stream.end())
            .await
            .ok()
            .and_then(Result::ok);
        let waiting = end.map(|end| end.saturating_sub(at));
        if waiting == Some(0) {
            self.caught_up = now;
        }
        let per_second = self.last.map_or(0.0, |(before, then)| {
            let seconds = (now - then).as_secs_f64().max(0.001);
            f64::from(u32::try_from(at.saturating_sub(before)).unwrap_or(u32::MAX)) / seconds
        });
        self.last = Some((at, now));
        let standing = Standing {
            waiting,
            lag_seconds: waiting.map(|_| (now - self.caught_up).as_secs_f64()),
            per_second,
        };
        standing.report(connection, self.projection.name, node).await
    }
}
