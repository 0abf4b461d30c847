//! Keeps the read model of alerts, from the stream that everybody raises them on.

use std::convert::Infallible;

use flexgate_projections::{AlertProjector, Error, connect};

use super::{
    keeper::{self, ASK_EVERY, Project, READ_AGAIN, Shown},
    stops::Stops,
};
use crate::{
    drain::Tasks,
    health::{Dependency, Health},
    journal::{
        alerts::Alerts,
        jetstream::{Link, Names},
        store::StoreError,
    },
    outcomes::feed::Feed,
};

/// Keeps the read model of alerts in a database until the tasks are stopped.
pub async fn keep(url: String, (link, names): (Link, Names), alerts: Alerts, health: Health, tasks: Tasks) {
    let shown = Shown::new(Dependency::Alerts, health);
    let stops = Stops::new(AlertProjector::NAME, url.clone(), alerts);
    let feed = Feed::of_alerts(link, &names);
    Box::pin(keeper::keep(Raised { url, feed }, shown, stops, tasks)).await; // large: connections are made in it
}

struct Raised {
    url: String,
    feed: Feed,
}

impl Project for Raised {
    async fn project(&mut self, shown: &mut Shown) -> Result<Infallible, Error> {
        let mut connection = connect(&self.url).await?;
        while !AlertProjector::may_act(&mut connection).await? {
            shown.waits();
            tokio::time::sleep(ASK_EVERY).await;
        }
        let mut projector = AlertProjector::take_over(connection).await?;
        loop {
            if let Err(error) = self.read(&mut projector, shown).await? {
                tracing::debug!(%error, "the alerts cannot be read now");
            }
            tokio::time::sleep(READ_AGAIN).await;
        }
    }
}

impl Raised {
    /// Projects until the stream breaks, or the database.
    async fn read(
        &self,
        projector: &mut AlertProjector,
        shown: &mut Shown,
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
        if extent.waiting(after) == 0 {
            shown.up();
        }
        projector
            .run(extent.created, messages, |_| shown.up())
            .await
            .map(Ok)
    }
}
