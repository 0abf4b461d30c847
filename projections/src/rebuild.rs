//! Making a projection anew, beside the tables that are read.
//!
//! The same projector as always fills tables of the same names in a schema of their own, from the beginning of the stream
//! up to where the tables are that are read, and no further: so both have the same, also where those stand still, and what
//! only they know can be told from what is yet to come. Then the projector of those is held by the row that it moves with
//! everything it writes; what came meanwhile is read, and what only the tables know carried over; and in one transaction
//! rows and position change hands. Whoever projected then finds that another one has taken over, and begins where the new
//! tables are. What is left of a build whose process died is a schema, which the next one drops.

mod building;
mod compare;
mod live;
mod pace;
mod swap;

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    Error,
    catalog::{Projection, Settling},
    connect,
    migrate::{late, open_in},
    outcomes::carrying,
};

pub use self::live::Live;
use self::live::look;
pub use compare::{Compared, Comparison, Difference, Side, Whose};
pub use pace::{NoPace, Pace};

/// How long the database may take for one step of what is done with whole tables.
const STEP_WITHIN: Duration = Duration::from_hours(1);
/// How long it may take to say something.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How often what has come meanwhile is read before the projector is held. Each time there is less.
const ROUNDS_MAX: usize = 10;
/// A round that is done within this has left little to be read while the projector is held.
const ROUND_SHORT: Duration = Duration::from_secs(1);
/// How long tables that are behind the stream may stay where they are before it is taken that they stand still.
const STANDS_AFTER: Duration = Duration::from_secs(2);
/// How long tables that were begun meanwhile may stay where they are, behind those that were made anew.
const STANDSTILL_MAX: Duration = Duration::from_secs(30);
/// The pause before it is looked again where they are.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Held while a projection is made anew, and while its dead letters are applied.
pub(crate) const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended('flexgate rebuild ' || $1, 0))";

/// The end of a connection is noticed a moment later, in which the next one who asks would be refused.
const UNLOCK: &str = "SELECT pg_advisory_unlock(hashtextextended('flexgate rebuild ' || $1, 0))";

/// A projection that was never kept gets its row, so that there is one to be held.
const REGISTER: &str = "
    INSERT INTO projection_checkpoint (projection, version) VALUES ($1, $2) ON CONFLICT (projection) DO NOTHING";

/// Waits for the transaction of the projector that is under way, and makes its next one wait.
const HOLD: &str = "SELECT FROM projection_checkpoint WHERE projection = $1 FOR UPDATE";

/// Where the messages of a projection come from.
pub trait Refill: Send {
    /// Where the stream ends now; 0 if it is empty.
    fn end(&mut self) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Up to where these tables have what there is to be read: what is made anew comes as far. None if they have nothing
    /// of it, since nothing was applied yet, or all of another history.
    fn goal(&mut self, live: &Live) -> impl Future<Output = Result<Option<u64>, Error>> + Send;

    /// Has the projection's own projector apply everything up to a sequence to what is made anew, from where that is, and
    /// nothing behind it. Says from which sequence on nothing is missing of what there was to be read; none if nothing new
    /// was missing.
    fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> impl Future<Output = Result<Option<u64>, Error>> + Send;
}

/// Where a projection is made anew.
#[derive(Debug, Clone)]
pub struct Building {
    url: String,
    schema: String,
    pace: Pace,
}

impl Building {
    /// A connection whose tables are those that are made anew.
    pub async fn connect(&self) -> Result<PgConnection, Error> {
        let mut connection = open_in(&self.url, &self.schema).await?;
        // What a server that dies forgets is made anew, and the end of it waits for all that was written before.
        let setting = connection.execute("SET synchronous_commit = off");
        timeout(ANSWER_WITHIN, setting).await.map_err(late)??;
        Ok(connection)
    }

    /// How fast they are to be filled.
    pub fn pace(&self) -> Pace {
        self.pace
    }
}

/// A step on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The stream is read.
    Reading,
    /// The tables are compared.
    Comparing,
    /// The tables change hands.
    Swapping,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which step.
    pub phase: Phase,
    /// Sequences of the stream that were read.
    pub done: u64,
    /// Sequences that there are to be read.
    pub total: u64,
}

/// Whether a projection is being made anew now.
#[derive(Debug)]
pub enum Begun {
    /// By this.
    Here(Rebuild),
    /// By another process, or another task.
    Elsewhere,
}

/// A projection that is made anew. Dropped before its end it leaves a schema behind, which the next one drops.
#[derive(Debug)]
pub struct Rebuild {
    projection: &'static Projection,
    building: Building,
    pace: Pace,
    /// Has the lock, and does what is done to the tables that are read.
    keeper: PgConnection,
}

impl Rebuild {
    /// Begins, unless somebody else is at it.
    pub async fn begin(url: &str, projection: &'static Projection, pace: Pace) -> Result<Begun, Error> {
        let mut keeper = connect(url).await?;
        let beginning = async {
            let ours = sqlx::query_scalar(LOCK)
                .bind(projection.name)
                .fetch_one(&mut keeper)
                .await?;
            if ours {
                keeper.execute("SET timezone = 'UTC'").await?;
                building::drop(&mut keeper, projection).await?;
            }
            Ok::<bool, Error>(ours)
        };
        if !timeout(STEP_WITHIN, beginning).await.map_err(late)?? {
            return Ok(Begun::Elsewhere);
        }
        Ok(Begun::Here(Self {
            projection,
            building: Building {
                url: url.to_owned(),
                schema: projection.building(),
                pace,
            },
            pace,
            keeper,
        }))
    }

    /// Drops what a process that died has left of each projection that nobody makes anew now. Says of which.
    pub async fn clean_up(url: &str) -> Result<Vec<&'static str>, Error> {
        let mut cleaned = Vec::new();
        let mut keeper = connect(url).await?;
        for projection in crate::PROJECTIONS {
            if building::is_there(&mut keeper, projection).await?
                && let Begun::Here(left) = Self::begin(url, projection, Pace::FULL).await?
            {
                cleaned.push(left.projection.name);
            }
        }
        Ok(cleaned)
    }

    /// Makes it anew, and swaps; or, to verify, compares and throws away what was made.
    pub async fn run(
        mut self,
        refill: &mut impl Refill,
        verify: bool,
        progress: &watch::Sender<Progress>,
    ) -> Result<Option<Comparison>, Error> {
        let done = self.make(refill, verify, progress).await;
        if verify || done.is_err() {
            // If that fails, too, what is left is dropped by the next one.
            let dropping = building::drop(&mut self.keeper, self.projection);
            let _left = timeout(ANSWER_WITHIN, dropping).await;
        }
        let unlocking = sqlx::query(UNLOCK)
            .bind(self.projection.name)
            .execute(&mut self.keeper);
        let _unlocked = timeout(ANSWER_WITHIN, unlocking).await;
        done
    }

    async fn make(
        &mut self,
        refill: &mut impl Refill,
        verify: bool,
        progress: &watch::Sender<Progress>,
    ) -> Result<Option<Comparison>, Error> {
        self.prepare().await?;
        let mut until = self.aim(refill, 0).await?;
        let mut began = Instant::now();
        let mut reach = self.fill(refill, until, progress).await?;
        let mut last_round = began.elapsed();
        let end = refill.end().await?;
        for _ in 0..ROUNDS_MAX {
            until = self.aim(refill, end).await?;
            began = Instant::now();
            reach = reach.max(self.fill(refill, until, progress).await?);
            let round = began.elapsed();
            if round < ROUND_SHORT {
                break;
            }
            if round > last_round / 2 {
                self.building.pace = Pace::FULL; // at this one it would hardly ever end
            }
            last_round = round;
        }
        self.carry_rows(reach).await?;
        progress.send_modify(|shown| {
            shown.phase = if verify { Phase::Comparing } else { Phase::Swapping };
        });
        let done = self.finish(refill, verify).await;
        if !matches!(done, Err(Error::Behind { .. })) {
            return done;
        }
        // They were begun just before they were held: nothing was settled yet.
        self.aim(refill, end).await?;
        self.finish(refill, verify).await
    }

    /// Makes the tables that are filled then.
    async fn prepare(&mut self) -> Result<(), Error> {
        let preparing = async {
            sqlx::query(REGISTER)
                .bind(self.projection.name)
                .bind(self.projection.version)
                .execute(&mut self.keeper)
                .await?;
            building::make(&mut self.keeper, self.projection).await?;
            Ok::<_, Error>(())
        };
        timeout(ANSWER_WITHIN, preparing).await.map_err(late)?
    }

    async fn fill(
        &mut self,
        refill: &mut impl Refill,
        until: u64,
        progress: &watch::Sender<Progress>,
    ) -> Result<Option<u64>, Error> {
        progress.send_modify(|shown| shown.total = until);
        let at = |sequence| {
            progress.send_modify(|shown| shown.done = sequence);
        };
        refill.fill(&self.building, until, &at).await
    }

    /// Where the tables are that are read; where the stream ends if they have nothing of it. As long as they move on they are
    /// waited for: up to there, so that whoever asked finds everything, and so that they are not behind what was read.
    async fn aim(&mut self, refill: &mut impl Refill, end: u64) -> Result<u64, Error> {
        let mut building = self.building.connect().await?;
        let made = look(&mut building, self.projection).await?;
        let mut last = (0, Instant::now());
        loop {
            let live = look(&mut self.keeper, self.projection).await?;
            let Some(at) = refill.goal(&live).await? else {
                return refill.end().await;
            };
            if at > last.0 {
                last = (at, Instant::now());
            }
            let (projection, stands_for) = (self.projection.name, last.1.elapsed());
            if at >= made.sequence && (at >= end || stands_for > STANDS_AFTER) {
                return Ok(at);
            }
            if at < made.sequence && refill.goal(&made).await? != Some(made.sequence) {
                return Err(Error::Replaced { projection });
            }
            if stands_for > STANDSTILL_MAX {
                return Err(Error::Behind { projection });
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// What is long, and the same whatever comes meanwhile.
    async fn carry_rows(&mut self, reach: Option<u64>) -> Result<(), Error> {
        if self.projection.settling == Settling::Outcomes {
            let mut building = self.building.connect().await?;
            let carrying = async {
                carrying::rows(&mut building, &mut self.keeper, reach, self.pace).await?;
                swap::bound_partitions(&mut building, self.pace).await
            };
            timeout(self.pace.stretch(STEP_WITHIN), carrying)
                .await
                .map_err(late)??;
        }
        Ok(())
    }

    /// With the projector held: reads what is left, carries over what only the tables know, and compares or swaps.
    async fn finish(&mut self, refill: &mut impl Refill, verify: bool) -> Result<Option<Comparison>, Error> {
        let projection = self.projection;
        self.building.pace = Pace::FULL; // whoever is held is not to wait for a rest
        let mut held = self.keeper.begin().await?;
        let holding = sqlx::query(HOLD).bind(projection.name).execute(&mut *held);
        timeout(ANSWER_WITHIN * 5, holding).await.map_err(late)??;
        if projection.settling == Settling::Outcomes {
            let keeping = held.execute(carrying::KEEP_HOURS);
            timeout(ANSWER_WITHIN, keeping).await.map_err(late)??;
        }
        let live = look(&mut held, projection).await?;
        let goal = refill.goal(&live).await?;
        if let Some(goal) = goal {
            refill.fill(&self.building, goal, &|_| {}).await?;
        }
        let mut building = self.building.connect().await?;
        if let Some(goal) = goal {
            let made = look(&mut building, projection).await?;
            made.holds(&live, goal, projection)?;
        }
        let settling = async {
            building
                .execute("SET timezone = 'UTC'; SET work_mem = '64MB'")
                .await?;
            if projection.settling == Settling::Outcomes {
                carrying::late_rows(&mut building, &mut held).await?;
            }
            building::carry_over(&mut building, projection).await?;
            if projection.settling == Settling::Outcomes {
                carrying::counts(&mut building, &mut held).await?;
            }
            Ok::<_, Error>(())
        };
        timeout(STEP_WITHIN, settling).await.map_err(late)??;
        if verify {
            let mut looking = connect(&self.building.url).await?;
            let snapshot = compare::snapshot(&mut looking).await?;
            held.rollback().await?;
            let comparing = compare::compare(snapshot, projection, self.pace);
            let within = self.pace.stretch(STEP_WITHIN);
            return Ok(Some(timeout(within, comparing).await.map_err(late)??));
        }
        timeout(STEP_WITHIN, swap::swap(&mut held, &mut building, projection))
            .await
            .map_err(late)??;
        held.commit().await?;
        Ok(None)
    }
}

/// Sends a statement that was put together here, from names that stand in the [catalog](crate::catalog).
async fn execute(connection: &mut PgConnection, statement: String) -> Result<u64, sqlx::Error> {
    let done = connection.execute(AssertSqlSafe(statement)).await?;
    Ok(done.rows_affected())
}
