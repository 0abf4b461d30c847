//! The shipper: takes outcomes from the outbox to the stream, in frames, each until it is acknowledged.
//!
//! While there is no connection nothing is read and nothing is sent: the outbox is where outcomes wait.

mod cut;
mod line;

use std::{collections::BTreeMap, time::Duration};

use chrono::Utc;
use flexgate_schemas::{NodeId, alert::AlertKind, frame};
use metrics::{counter, gauge};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::line::{Line, Stuck};
use super::{
    condition::{self, Condition},
    outbox::{Depth, Outbox},
};
use crate::{
    drain::Tasks,
    journal::{
        alerts::Alerts,
        jetstream::{Link, Names},
    },
};

/// How long an outcome waits for others to share its frame: most of how late it is on the stream.
const EVERY: Duration = Duration::from_millis(100);
/// The pause after something went wrong.
const PAUSE: Duration = Duration::from_secs(1);

/// Ships one outbox.
pub struct Shipper {
    outbox: Outbox,
    link: Link,
    place: Place,
    alerts: Alerts,
    report: Report,
    lines: BTreeMap<(u32, u16), Line>,
    writer: Option<frame::Writer>,
    /// What was known of the outbox when it was told last.
    told: Depth,
    /// Whether outcomes are being lost.
    overflowing: bool,
    /// Why the stream gets nothing, when it does not.
    stuck: Option<condition::Stuck>,
}

/// Is told how the outbox is doing.
type Report = Box<dyn Fn(&Condition) + Send + Sync>;

/// Where frames go.
#[derive(Debug)]
struct Place {
    subject: String,
    stream: String,
}

impl Shipper {
    /// Ships the outcomes of a node.
    pub fn new(outbox: Outbox, (link, names): (Link, &Names), node: &NodeId, alerts: Alerts) -> Self {
        Self {
            outbox,
            link,
            place: Place {
                subject: names.outcome_subject(node.as_str()),
                stream: names.outcomes(),
            },
            alerts,
            report: Box::new(|_| {}),
            lines: BTreeMap::new(),
            writer: None,
            told: Depth::default(),
            overflowing: false,
            stuck: None,
        }
    }

    /// Tells somebody how the outbox is doing, in every round.
    #[must_use]
    pub fn reporting(mut self, report: impl Fn(&Condition) + Send + Sync + 'static) -> Self {
        self.report = Box::new(report);
        self
    }

    /// Ships until the tasks are stopped.
    pub async fn run(mut self, tasks: Tasks) -> Self {
        let mut clock = interval(EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while tasks.unless_stopped(clock.tick()).await.is_some() {
            if tasks.unless_stopped(self.round()).await.is_none() {
                break;
            }
        }
        self
    }

    /// Ships what is left, until nothing is or the time has come. For when nothing more is written.
    pub async fn finish(mut self, within: Duration) {
        self.begin_anew(); // a round may have been cut short
        let until = Instant::now() + within;
        let shipping = async {
            while !self.outbox.is_empty() && self.link.is_up() {
                self.round().await;
                tokio::time::sleep(EVERY / 10).await;
            }
        };
        tokio::select! {
            () = shipping => {}
            () = sleep_until(until) => {}
        }
        let waiting = self.outbox.depth().outcomes;
        if waiting > 0 {
            tracing::warn!(waiting, "outcomes wait in the outbox for the next start");
        }
    }

    /// Sends what is there and takes what was acknowledged. Not cancel-safe in that what was cut is cut again, alike.
    async fn round(&mut self) {
        self.tell();
        if !self.link.is_up() {
            self.stuck("not connected to NATS".to_owned());
            return self.begin_anew();
        }
        let link = self.link.clone();
        let shipped = tokio::select! {
            shipped = self.ship() => shipped,
            () = link.disconnected() => return self.begin_anew(),
        };
        if let Err(stuck) = shipped {
            self.begin_anew();
            counter!("flexgate_outcome_frames_refused_total").increment(1);
            self.stuck(format!("the stream does not take outcomes ({stuck})"));
            tokio::time::sleep(PAUSE).await;
        } else if self.stuck.take().is_some() {
            tracing::info!("outcomes are taken by the stream again");
            self.report();
        }
    }

    /// Something is in the way, still or anew.
    fn stuck(&mut self, reason: String) {
        let since = self.stuck.take().map(|before| before.since);
        if since.is_none() {
            tracing::warn!(%reason, "outcomes are not taken by the stream: they wait in the outbox");
        }
        let since = since.unwrap_or_else(|| Utc::now().into());
        self.stuck = Some(condition::Stuck { reason, since });
        self.report();
    }

    async fn ship(&mut self) -> Result<(), Stuck> {
        for line in self.outbox.lines() {
            let line = self.lines.entry(line).or_insert_with(|| Line::new(line));
            let mut writer = match self.writer.take() {
                Some(writer) => writer,
                None => frame::Writer::new().map_err(Stuck::Memory)?,
            };
            let sent = line
                .send(&self.outbox, &self.link, &self.place, &mut writer)
                .await;
            self.writer = Some(writer);
            sent?;
        }
        for line in self.lines.values_mut() {
            line.settle(&self.outbox).await?;
        }
        let left = self.outbox.lines();
        self.lines
            .retain(|id, line| left.contains(id) || !line.is_at_rest());
        Ok(())
    }

    /// Forgets what is on its way: what is not acknowledged is cut and sent again.
    fn begin_anew(&mut self) {
        if !self.lines.is_empty() {
            self.lines.clear();
            self.outbox.unclaim();
        }
    }

    /// Says how the outbox is: to who scrapes, and to who should hear of it.
    fn tell(&mut self) {
        let now = self.outbox.depth();
        let lost = now.lost - self.told.lost;
        counter!("flexgate_outcomes_recorded_total").increment(now.recorded - self.told.recorded);
        counter!("flexgate_outcomes_lost_total").increment(lost);
        counter!("flexgate_outbox_late_files_total").increment(now.late - self.told.late);
        #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
        {
            gauge!("flexgate_outbox_bytes").set(now.bytes as f64);
            gauge!("flexgate_outbox_waiting_outcomes").set(now.outcomes as f64);
        }
        let was_overflowing = self.overflowing;
        self.overflowing = lost > 0 || was_overflowing && (now.no_room || now.is_nearly_full());
        if self.overflowing && !was_overflowing {
            self.alerts.raise(AlertKind::OutboxOverflowed {
                lost: now.lost,
                bytes_max: now.bytes_max,
            });
        }
        self.told = now;
        self.report();
    }

    fn report(&self) {
        (self.report)(&Condition {
            depth: self.told,
            loses: self.overflowing,
            stuck: self.stuck.clone(),
        });
    }
}
