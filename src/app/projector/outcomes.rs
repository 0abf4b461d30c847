//! Keeps the read models of outcomes, from the stream that gateways ship their frames to.

use std::{convert::Infallible, time::Duration};

use chrono::Utc;
use flexgate_projections::{Applied, Error, OutcomeProjector, Position, Retention, connect};
use flexgate_schemas::alert::AlertKind;
use futures_util::StreamExt as _;
use metrics::{counter, gauge};

use super::keeper::{self, ASK_EVERY, Project, READ_AGAIN, Shown};
use crate::{
    drain::Tasks,
    health::{Dependency, Health},
    journal::{alerts::Alerts, store::StoreError},
    outcomes::feed::Feed,
};

/// How often it is looked how far the stream has gone on.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The share of what the stream may hold at which somebody hears of a backlog: there is as much time left as was lost.
const BEHIND: f64 = 0.5;

/// Keeps the read models of outcomes in a database until the tasks are stopped.
pub async fn keep(url: String, feed: Feed, alerts: Alerts, health: Health, tasks: Tasks) {
    let shown = Shown::new(Dependency::Outcomes, health);
    let projection = Outcomes {
        url,
        feed,
        alerts,
        refused: false,
        is_behind: false,
    };
    keeper::keep(projection, shown, tasks).await;
}

struct Outcomes {
    url: String,
    feed: Feed,
    alerts: Alerts,
    /// Whether the database has refused something that was asked of it last.
    refused: bool,
    /// Whether an alert was raised of a backlog that is still there.
    is_behind: bool,
}

impl Project for Outcomes {
    async fn project(&mut self, shown: &mut Shown) -> Result<Infallible, Error> {
        let mut connection = connect(&self.url).await?;
        while !OutcomeProjector::may_act(&mut connection).await? {
            shown.waits();
            tokio::time::sleep(ASK_EVERY).await;
        }
        let mut projector = OutcomeProjector::take_over(connection, Retention::default()).await?;
        if std::mem::take(&mut self.refused) {
            projector = projector.careful();
        }
        loop {
            if let Err(error) = self.read(&mut projector, shown).await? {
                tracing::debug!(%error, "the outcomes cannot be read now");
            }
            tokio::time::sleep(READ_AGAIN).await;
        }
    }
}

impl Outcomes {
    /// Projects until the stream breaks, or the database.
    async fn read(
        &mut self,
        projector: &mut OutcomeProjector,
        shown: &mut Shown,
    ) -> Result<Result<(), StoreError>, Error> {
        let extent = match self.feed.extent().await {
            Ok(extent) => extent,
            Err(error) => return Ok(Err(error)),
        };
        let Position {
            stream_created,
            sequence,
        } = projector.position();
        let messages = match self
            .feed
            .after(extent.continuation(stream_created, sequence))
            .await
        {
            Ok(messages) => messages,
            Err(error) => return Ok(Err(error)),
        };
        shown.up();
        let done = projector
            .run(extent.created, messages, |applied| note(applied))
            .await;
        self.refused = done.as_ref().is_err_and(Error::stops);
        done.map(Ok)
    }
}

fn note(applied: &Applied) {
    counter!("flexgate_outcomes_projected_total").increment(applied.outcomes);
    counter!("flexgate_outcomes_repeated_total").increment(applied.repeated);
    counter!("flexgate_dead_letters_total").increment(applied.dead as u64);
}
