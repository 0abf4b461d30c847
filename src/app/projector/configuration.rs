//! Keeps the read models of the configuration, from the log that this process follows.

use std::convert::Infallible;

use flexgate_projections::{Checkpoint, ConfigProjector, Error, Stream, connect};
use flexgate_schemas::commit::Recorded;
use futures_util::stream::{BoxStream, StreamExt as _};

use super::{
    keeper::{self, ASK_EVERY, Project, READ_AGAIN, Shown},
    stops::Stops,
};
use crate::{
    drain::Tasks,
    health::Health,
    journal::{Journal, Status, alerts::Alerts, store::StoreError},
};

/// Keeps the read models of the configuration in a database until the tasks are stopped.
pub async fn keep(url: String, journal: Journal, alerts: Alerts, health: Health, tasks: Tasks) {
    let shown = Shown::new(ConfigProjector::NAME, Stream::Config, health);
    let stops = Stops::new(ConfigProjector::NAME, url.clone(), alerts);
    keeper::keep(Configuration { url, journal }, shown, stops, tasks).await;
}

struct Configuration {
    url: String,
    journal: Journal,
}

impl Project for Configuration {
    async fn project(&mut self, shown: &mut Shown) -> Result<Infallible, Error> {
        let mut connection = connect(&self.url).await?;
        while !ConfigProjector::may_act(&mut connection).await? {
            shown.waits();
            tokio::time::sleep(ASK_EVERY).await;
        }
        let mut projector = ConfigProjector::take_over(connection).await?;
        loop {
            match continuation(&self.journal, projector.checkpoint()).await {
                Ok(commits) => projector.run(commits, |_| shown.up()).await?,
                Err(error) => tracing::debug!(%error, "the log cannot be projected now"),
            }
            tokio::time::sleep(READ_AGAIN).await;
        }
    }
}

/// The log from the commit at the checkpoint on, so that it is compared before anything is applied. Where another one
/// lies in its place, or none, all of the log: only a history of a higher generation is then accepted.
async fn continuation(
    journal: &Journal,
    checkpoint: &Checkpoint,
) -> Result<BoxStream<'static, Recorded>, StoreError> {
    let mut view = journal.watch();
    // What this process itself does not follow is not projected either. The journal ends only with the process.
    let following = view.wait_for(|view| view.status == Status::Following).await;
    if following.is_ok_and(|view| view.revision() >= checkpoint.sequence) {
        let before = checkpoint.sequence.saturating_sub(1);
        let mut commits = Box::pin(journal.follow(before).await?.peekable());
        let first = commits.as_mut().peek().await;
        if checkpoint.sequence == 0 || first.is_none_or(|first| checkpoint.holds(first)) {
            return Ok(commits);
        }
    }
    journal.follow(0).await
}
