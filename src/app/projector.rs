//! The role `projector`: fills the tables of a database from the log that this process follows.

use std::{convert::Infallible, time::Duration};

use flexgate_projections::{Checkpoint, Error, Projector, connect};
use flexgate_schemas::commit::Recorded;
use futures_util::stream::{BoxStream, StreamExt as _};

use super::Endpoints;
use crate::{
    config::Roles,
    drain::Tasks,
    health::{Check, Dependency, Health},
    journal::{Journal, Status, store::StoreError},
};

/// The first pause after a failure; each one after it is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause: how late it is noticed that what was in the way has gone.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// How often a projector that waits behind another one asks whether it may act: the time of a takeover.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The pause before a log that ended or failed is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Starts the role, where this process has it.
pub(super) fn start(roles: Roles, endpoints: &Endpoints, journal: &Journal, health: &Health, tasks: &Tasks) {
    if !roles.projector {
        let reason = "not a role of this process".into();
        return health.report(Dependency::Projections, Check::Off(reason));
    }
    let Some(url) = endpoints.database.clone() else {
        tracing::info!("the projector is idle: no database was given (DATABASE_URL)");
        return health.report(
            Dependency::Projections,
            Check::Off("no database was given".into()),
        );
    };
    tasks.spawn(keep(url, journal.clone(), health.clone(), tasks.clone()));
}

/// Keeps the read models of a database until the tasks are stopped. Whatever fails is tried again, from the checkpoint
/// on: nothing is skipped, and what stops it shows in the log and in the health of the process until it has gone.
pub async fn keep(url: String, journal: Journal, health: Health, tasks: Tasks) {
    let mut keeper = Keeper {
        url,
        journal,
        health,
        shown: None,
    };
    let keeping = async {
        let mut pause = PAUSE_MIN;
        loop {
            let Err(error) = keeper.project().await;
            if keeper.shown == Some(Check::Up) {
                pause = PAUSE_MIN;
            }
            keeper.failed(&error);
            tokio::time::sleep(pause).await;
            pause = PAUSE_MAX.min(2 * pause);
        }
    };
    tasks.unless_stopped(keeping).await;
}

struct Keeper {
    url: String,
    journal: Journal,
    health: Health,
    shown: Option<Check>,
}

impl Keeper {
    /// Connects, waits for its turn, and projects until something is in the way.
    async fn project(&mut self) -> Result<Infallible, Error> {
        let mut connection = connect(&self.url).await?;
        while !Projector::may_act(&mut connection).await? {
            self.show(Check::Off("another process keeps them".into()));
            tokio::time::sleep(ASK_EVERY).await;
        }
        let mut projector = Projector::take_over(connection).await?;
        loop {
            match continuation(&self.journal, projector.checkpoint()).await {
                Ok(commits) => projector.run(commits, |_| self.show(Check::Up)).await?,
                Err(error) => tracing::debug!(%error, "the log cannot be projected now"),
            }
            tokio::time::sleep(READ_AGAIN).await;
        }
    }

    /// The log gets all of an error. What anybody may read gets no words of the database, which can name its users.
    fn failed(&mut self, error: &Error) {
        let check = Check::Down(if error.stops() {
            error.to_string().into()
        } else {
            "the database does not take part".into()
        });
        if self.shown.as_ref() == Some(&check) {
            return;
        }
        if error.stops() {
            tracing::error!(%error, "the read models have stopped");
        } else {
            tracing::warn!(%error, "the read models wait");
        }
        self.show(check);
    }

    fn show(&mut self, check: Check) {
        if self.shown.as_ref() == Some(&check) {
            return;
        }
        if check == Check::Up {
            tracing::info!("the read models follow the log");
        }
        self.health.report(Dependency::Projections, check.clone());
        self.shown = Some(check);
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
