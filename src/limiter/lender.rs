//! The one task that speaks with Redis: it asks for leases, looks after them, and notices when Redis is gone and when it is
//! back. Nothing is tried twice: who waits would wait longer than it takes to decide without Redis.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use metrics::{Counter, Gauge, counter, gauge};
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, aio::MultiplexedConnection};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    Budget, Link,
    budget::Purse,
    desk::Reply,
    once::Remember,
    wish::{Ask, Wish},
};
use crate::drain::Tasks;

/// What a connection runs: the script where all nodes meet, and the one that greets.
const LEDGER: &str = include_str!("ledger.lua");
const HELLO: &str = include_str!("hello.lua");
/// How many calls go in one round trip.
const BATCH: usize = 128;
/// How long Redis may take to answer before it counts as gone.
const ANSWER_WITHIN: Duration = Duration::from_millis(50);
/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_millis(500);
/// How often a Redis that is gone is tried again.
const TRY_EVERY: Duration = Duration::from_millis(25);
/// How long a node that has found Redis again goes on by itself: until the others have found it, too, and told it what they
/// let pass meanwhile. Whoever takes tokens before that takes some that are gone.
const SETTLE: Duration = Duration::from_millis(250);
/// How long nothing may be asked of Redis before it is asked whether it is there at all, in microseconds: so that not the
/// next request has to find out.
const SILENCE: u64 = 200_000;
/// How often leases are looked after.
const TICK: Duration = Duration::from_millis(50);
/// A lease that is not used for so long is given back, and one that is is renewed, in microseconds.
const LOOK_AFTER: u64 = 300_000;
/// How long the last leases may take to be given back.
const GOODBYE_WITHIN: Duration = Duration::from_millis(200);

/// Why there can be no lender.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LenderError {
    /// The address is none. It is not repeated: it may carry a password.
    #[error("REDIS_URL is not the URL of a Redis")]
    Url,
}

/// Speaks with Redis for a limiter. To be run.
pub struct Lender {
    client: Client,
    link: Arc<Link>,
    wishes: mpsc::Receiver<Wish>,
    marks: mpsc::Receiver<Remember>,
    /// Budgets of which something is leased, or was until a moment ago.
    active: Vec<Arc<Budget>>,
    /// Since when Redis remembers, as it said last.
    marker: String,
    /// Whether there was a Redis before this one.
    has_met: bool,
    ledger: String,
    /// When Redis was asked something last.
    called: u64,
    calls: Counter,
    failures: Counter,
    fallbacks: Counter,
    up: Gauge,
}

impl Lender {
    pub(super) fn new(
        url: &str,
        link: Arc<Link>,
        (wishes, marks): (mpsc::Receiver<Wish>, mpsc::Receiver<Remember>),
    ) -> Result<Self, LenderError> {
        Ok(Self {
            client: Client::open(url).map_err(|_| LenderError::Url)?,
            link,
            wishes,
            marks,
            active: Vec::new(),
            marker: String::new(),
            has_met: false,
            ledger: String::new(),
            called: 0,
            calls: counter!("flexgate_rate_limit_lease_calls_total"),
            failures: counter!("flexgate_rate_limit_redis_failures_total"),
            fallbacks: counter!("flexgate_rate_limit_fallbacks_total"),
            up: gauge!("flexgate_rate_limit_redis_connections"),
        })
    }

    /// Works until the tasks are stopped; then gives back what is leased.
    pub async fn run(mut self, tasks: Tasks) {
        let mut failing = false;
        loop {
            match tasks.unless_stopped(self.connect()).await {
                None => return,
                Some(Ok(mut connection)) => {
                    let Some(told) = tasks.unless_stopped(self.settle(&mut connection)).await else {
                        return;
                    };
                    let mut lost = told;
                    if lost.is_ok() {
                        failing = false;
                        tracing::info!("rate limits are shared through Redis");
                        self.set_up(true);
                        lost = self.lend(connection, &tasks).await;
                        self.set_up(false);
                    }
                    let Err(error) = lost else { return };
                    self.failures.increment(1);
                    tracing::warn!(
                        reason = reason(&error),
                        "Redis does not answer: this node limits by its share"
                    );
                }
                Some(Err(error)) if !failing => {
                    failing = true;
                    tracing::warn!(
                        reason = reason(&error),
                        "Redis cannot be reached: this node limits by its share"
                    );
                }
                Some(Err(_)) => {}
            }
            self.refuse_waiting();
            self.keep_house();
            if tasks.unless_stopped(sleep(TRY_EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// Connects, and learns whether this Redis remembers what the last one knew.
    async fn connect(&mut self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        self.ledger = redis::cmd("SCRIPT")
            .arg("LOAD")
            .arg(LEDGER)
            .query_async(&mut connection)
            .await?;
        let mut hello = redis::cmd("EVAL");
        hello
            .arg(HELLO)
            .arg(1)
            .arg(self.marker_key())
            .arg(0)
            .arg(&self.marker);
        self.marker = hello.query_async(&mut connection).await?;
        Ok(connection)
    }

    /// Tells Redis what this node let pass by itself, gives the others time to do so, and tells it what came in that time.
    async fn settle(&mut self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        self.tell(connection).await?;
        if std::mem::replace(&mut self.has_met, true) {
            sleep(SETTLE).await;
            self.tell(connection).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let mut untold = self.link.untold();
        while !untold.is_empty() {
            let some = untold.split_off(untold.len().saturating_sub(BATCH));
            let now = self.now();
            let tells = some
                .iter()
                .filter_map(|budget| Ask::to_look_after(budget, now, true));
            let tells = tells.collect();
            let told = self.call(connection, tells).await;
            for budget in some {
                let more = budget.purse().is_some_and(|purse| purse.desk().share.is_some());
                if more {
                    self.link.is_by_itself(&budget); // something passed meanwhile
                }
            }
            told?;
        }
        Ok(())
    }

    fn marker_key(&self) -> String {
        format!("{}:limits", self.link.prefix)
    }

    /// Serves wishes and looks after leases until Redis fails, which is an error, or the tasks are stopped.
    async fn lend(&mut self, mut connection: MultiplexedConnection, tasks: &Tasks) -> Result<(), RedisError> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wishes = Vec::with_capacity(BATCH);
        let mut marks = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                () = tasks.stopping() => {
                    drop(timeout(GOODBYE_WITHIN, self.give_back(&mut connection)).await);
                    return Ok(());
                }
                count = self.wishes.recv_many(&mut wishes, BATCH) => {
                    if count == 0 {
                        return Ok(()); // no limiter is left that could wish for anything
                    }
                    let asked = self.now();
                    let asks = wishes.drain(..).map(|wish| Ask::of(wish, asked)).collect();
                    self.call(&mut connection, asks).await?;
                }
                count = self.marks.recv_many(&mut marks, BATCH) => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.called = self.now();
                    remember(&mut connection, marks.drain(..)).await?;
                }
                _ = ticks.tick() => {
                    let now = self.now();
                    self.keep_house();
                    let due = self.active.iter().filter_map(|budget| {
                        let unused = budget.purse()?.is_due(now, LOOK_AFTER)?;
                        Ask::to_look_after(budget, now, unused)
                    });
                    let due: Vec<_> = due.take(BATCH).collect();
                    if due.is_empty() && now.saturating_sub(self.called) > SILENCE {
                        redis::cmd("PING").query_async::<()>(&mut connection).await?;
                        self.called = now;
                    }
                    self.call(&mut connection, due).await?;
                }
            }
        }
    }

    fn now(&self) -> u64 {
        self.link.clock.now()
    }

    /// One round trip.
    async fn call(
        &mut self,
        connection: &mut MultiplexedConnection,
        asks: Vec<Ask>,
    ) -> Result<(), RedisError> {
        if asks.is_empty() {
            return Ok(());
        }
        self.calls.increment(asks.len() as u64);
        let asked = self.now();
        self.called = asked;
        let mut pipeline = Pipeline::with_capacity(asks.len());
        pipeline.ignore_errors();
        for ask in &asks {
            pipeline.add_command(self.command(ask));
        }
        let replies: Vec<Result<Vec<i64>, RedisError>> = pipeline.query_async(connection).await?;
        let now = self.now();
        let mut failed = None;
        for (ask, reply) in asks.into_iter().zip(replies) {
            let numbers = reply.map_err(|error| failed = Some(error)).unwrap_or_default();
            let reply = Reply::read(&numbers);
            self.keep_an_eye_on(&ask);
            ask.answer((asked, now), reply);
        }
        // An answer that is an error, such as for want of memory, is none.
        failed.map_or(Ok(()), Err)
    }

    fn command(&self, ask: &Ask) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command
            .arg(&self.ledger)
            .arg(2)
            .arg(&*ask.budget.name)
            .arg(self.marker_key());
        if let Some(purse) = ask.budget.purse() {
            command.arg(&ask.call.arguments(0, &purse.holder, &ask.budget.terms));
        }
        command
    }

    fn keep_an_eye_on(&mut self, ask: &Ask) {
        let is_new = |purse: &Purse| !purse.watched.swap(true, Ordering::Relaxed);
        if ask.tell.is_none() && ask.budget.purse().is_some_and(is_new) {
            self.active.push(Arc::clone(&ask.budget));
        }
    }

    async fn give_back(&mut self, connection: &mut MultiplexedConnection) {
        let now = self.now();
        let held = self
            .active
            .drain(..)
            .filter_map(|budget| Ask::to_look_after(&budget, now, true));
        let mut held: Vec<_> = held.collect();
        while !held.is_empty() {
            let some = held.split_off(held.len().saturating_sub(BATCH));
            if self.call(connection, some).await.is_err() {
                return;
            }
        }
    }

    fn set_up(&self, up: bool) {
        self.link.up.store(up, Ordering::Relaxed);
        self.up.set(if up { 1.0 } else { 0.0 });
    }

    /// Whoever has asked meanwhile decides without Redis.
    fn refuse_waiting(&mut self) {
        while let Ok(wish) = self.wishes.try_recv() {
            drop(Ask::of(wish, self.now())); // which tells them
        }
        while let Ok(mark) = self.marks.try_recv() {
            drop(mark); // which does, too
        }
    }

    fn keep_house(&mut self) {
        self.active.retain(|budget| {
            let unsettled = |purse: &Purse| !purse.is_settled();
            let stays = budget.purse().is_some_and(unsettled);
            if let Some(purse) = budget.purse() {
                purse.watched.store(stays, Ordering::Relaxed);
            }
            stays
        });
        self.fallbacks
            .absolute(self.link.fallbacks.load(Ordering::Relaxed));
    }
}

/// Has Redis remember, in one round trip, and tells whether it did not yet.
async fn remember(
    connection: &mut MultiplexedConnection,
    marks: impl ExactSizeIterator<Item = Remember>,
) -> Result<(), RedisError> {
    let mut pipeline = Pipeline::with_capacity(marks.len());
    pipeline.ignore_errors();
    let mut waiting = Vec::with_capacity(marks.len());
    for Remember { name, keep, tell } in marks {
        pipeline
            .cmd("SET")
            .arg(&*name)
            .arg("")
            .arg("NX")
            .arg("PX")
            .arg(keep);
        waiting.push(tell);
    }
    let replies: Vec<Result<Option<String>, RedisError>> = pipeline.query_async(connection).await?;
    let mut failed = None;
    for (tell, reply) in waiting.into_iter().zip(replies) {
        match reply {
            Ok(done) => drop(tell.send(done.is_some())), // unless the client has gone
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// What went wrong, without what a client says of an address: that may have a password in it.
fn reason(error: &RedisError) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connection_refusal() {
        "connection refused"
    } else if error.is_connection_dropped() {
        "the connection was lost"
    } else if error.is_io_error() {
        "no connection"
    } else {
        "it refuses what it is asked"
    }
}
