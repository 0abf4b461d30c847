//! Keeps the read models of outcomes, from the stream that gateways ship their frames to.

use std::{convert::Infallible, time::Duration};

use chrono::{DateTime, Utc};
use flexgate_projections::{Applied, Closing, Error, OutcomeProjector, Retention, Stream, connect};
use flexgate_schemas::alert::AlertKind;
use metrics::{counter, gauge};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    closing,
    keeper::{self, ASK_EVERY, Project, READ_AGAIN, Shown},
    stops::Stops,
};
use crate::{
    drain::Tasks,
    health::Health,
    journal::{
        alerts::Alerts,
        jetstream::{Link, Names},
        store::StoreError,
    },
    outcomes::{
        closed_hours::ClosedHours,
        dead_letters::DeadLetters,
        feed::{Extent, Feed},
    },
};

/// The projection, as metrics and alerts call it.
const NAME: &str = OutcomeProjector::NAME;
/// How often it is looked how far the stream has gone on.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The share of what the stream may hold at which somebody hears of a backlog: there is as much time left as was lost.
const BEHIND: f64 = 0.5;

/// Keeps the read models of outcomes in a database until the tasks are stopped.
pub async fn keep(
    (url, retention): (String, Retention),
    (link, names): (Link, Names),
    alerts: Alerts,
    health: Health,
    tasks: Tasks,
) {
    let shown = Shown::new(NAME, Stream::Outcomes, health);
    let stops = Stops::new(NAME, url.clone(), alerts.clone());
    let projection = Outcomes {
        feed: Feed::new(link.clone(), &names),
        dead_letters: DeadLetters::start(link.clone(), &names, NAME, &tasks),
        closed_hours: ClosedHours::new(link, names),
        url,
        retention,
        alerts,
        refused: false,
        is_behind: false,
    };
    Box::pin(keeper::keep(projection, shown, stops, tasks)).await; // a large future: two batches are in it
}

struct Outcomes {
    url: String,
    retention: Retention,
    feed: Feed,
    dead_letters: DeadLetters,
    closed_hours: ClosedHours,
    alerts: Alerts,
    /// Whether the database has refused what was asked of it last.
    refused: bool,
    /// Whether an alert was raised of a backlog that is still there.
    is_behind: bool,
}

/// How far the projector is.
#[derive(Debug, Clone, Copy)]
struct Progress {
    sequence: u64,
    /// When the last message that was applied was stored; none since this began.
    stored_at: Option<DateTime<Utc>>,
}

impl Project for Outcomes {
    async fn project(&mut self, shown: &mut Shown) -> Result<Infallible, Error> {
        let mut connection = connect(&self.url).await?;
        while !OutcomeProjector::may_act(&mut connection).await? {
            shown.waits();
            tokio::time::sleep(ASK_EVERY).await;
        }
        let mut projector = OutcomeProjector::take_over(connection, self.retention).await?;
        if std::mem::take(&mut self.refused) {
            projector = projector.careful();
        }
        if projector.is_new() {
            self.restore(&mut projector).await?;
        }
        let (read_up_to, followed) = watch::channel(DateTime::UNIX_EPOCH);
        let closing = closing::publish(
            Closing::new(connect(&self.url).await?),
            self.closed_hours.clone(),
            followed,
        );
        let reading = async {
            loop {
                if let Err(error) = self.read(&mut projector, shown, &read_up_to).await? {
                    tracing::debug!(%error, "the outcomes cannot be read now");
                }
                tokio::time::sleep(READ_AGAIN).await;
            }
        };
        tokio::select! {
            ended = reading => ended,
            ended = closing => ended,
        }
    }
}

impl Outcomes {
    /// Brings back what was counted before the frames that are left.
    async fn restore(&self, projector: &mut OutcomeProjector) -> Result<(), Error> {
        loop {
            match tokio::try_join!(self.feed.extent(), self.closed_hours.newest()) {
                Ok((extent, hours)) => {
                    tracing::info!(hours = hours.len(), "closed hours are taken from their stream");
                    return projector.restore(extent.created, hours).await;
                }
                Err(error) => tracing::debug!(%error, "the closed hours cannot be read now"),
            }
            tokio::time::sleep(READ_AGAIN).await;
        }
    }

    /// Projects until the stream breaks, or the database.
    async fn read(
        &mut self,
        projector: &mut OutcomeProjector,
        shown: &mut Shown,
        read_up_to: &watch::Sender<DateTime<Utc>>,
    ) -> Result<Result<(), StoreError>, Error> {
        let extent = match self.feed.extent().await {
            Ok(extent) => extent,
            Err(error) => return Ok(Err(error)),
        };
        let position = projector.position();
        let after = extent.continuation(position.stream_created, position.sequence);
        let messages = match self.feed.after(after).await {
            Ok(messages) => messages,
            Err(error) => return Ok(Err(error)),
        };
        shown.up();
        let (progress, watched) = watch::channel(Progress {
            sequence: after,
            stored_at: None,
        });
        let (alerts, dead_letters) = (self.alerts.clone(), self.dead_letters.clone());
        let note = |applied: &Applied| {
            progress.send_replace(Progress {
                sequence: applied.position.sequence,
                stored_at: Some(applied.stored_at.into()),
            });
            tell(applied, &alerts, &dead_letters);
        };
        let running = projector.run(extent.created, messages, note);
        let looking = look(
            (&self.feed, &self.alerts),
            &mut self.is_behind,
            watched,
            read_up_to,
        );
        let done = tokio::select! {
            done = running => done,
            never = looking => match never {},
        };
        self.refused = done.as_ref().is_err_and(Error::stops);
        done.map(Ok)
    }
}

/// Says what was applied: to who scrapes, and to who should hear of it.
fn tell(applied: &Applied, alerts: &Alerts, dead_letters: &DeadLetters) {
    counter!("flexgate_outcomes_projected_total").increment(applied.outcomes);
    counter!("flexgate_outcomes_repeated_total").increment(applied.repeated);
    counter!("flexgate_dead_letters_total", "projection" => NAME).increment(applied.dead.len() as u64);
    if let Some(skew) = &applied.skew {
        let ahead_ms = skew.ahead_millis;
        let id = format!(
            "node.clock-{}-{}",
            skew.node,
            applied.stored_at.as_millis() / 3_600_000
        ); // once an hour
        let node = skew.node.clone();
        alerts.raise_once(id, AlertKind::NodeClock { node, ahead_ms });
    }
    if let Some(last) = applied.dead.last() {
        alerts.raise(AlertKind::DeadLetter {
            projection: NAME.to_owned(),
            sequence: last.message.sequence,
            messages: applied.dead.len() as u64,
        });
        dead_letters.send(&applied.dead);
    }
}

/// Looks how far the stream has gone on, for as long as somebody projects it.
async fn look(
    (feed, alerts): (&Feed, &Alerts),
    is_behind: &mut bool,
    progress: watch::Receiver<Progress>,
    read_up_to: &watch::Sender<DateTime<Utc>>,
) -> Infallible {
    let mut clock = interval(LOOK_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let Progress { sequence, stored_at } = *progress.borrow();
        let Ok(extent) = feed.extent().await else { continue };
        let now = Utc::now();
        let (waiting, since) = (
            extent.waiting(sequence),
            stored_at.unwrap_or_else(|| extent.oldest()),
        );
        if waiting == 0 {
            read_up_to.send_replace(now);
        } else if let Some(stored_at) = stored_at {
            read_up_to.send_replace(stored_at);
        }
        let lag = if waiting == 0 {
            0.0
        } else {
            (now - since).as_seconds_f64().max(0.0)
        };
        gauge!("flexgate_projection_lag_seconds", "projection" => NAME).set(lag);
        warn_of_backlog(&extent, (sequence, waiting, since), is_behind, alerts, now);
    }
}

fn warn_of_backlog(
    extent: &Extent,
    (sequence, waiting, since): (u64, u64, DateTime<Utc>),
    is_behind: &mut bool,
    alerts: &Alerts,
    now: DateTime<Utc>,
) {
    let backlog = extent.backlog(sequence, since, now);
    let was_behind = std::mem::replace(is_behind, backlog >= BEHIND);
    if *is_behind && !was_behind {
        alerts.raise(AlertKind::ProjectionBehind {
            projection: NAME.to_owned(),
            messages: waiting,
            percent: percent(backlog),
        });
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share, clamped"
)]
fn percent(share: f64) -> u32 {
    (share * 100.0).clamp(0.0, 1000.0) as u32
}
