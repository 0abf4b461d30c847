//! The configuration as it was: read from the log and folded anew, by a few requests at a time.

use std::time::Duration;

use flexgate_schemas::Chain;
use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::{
    sync::SemaphorePermit,
    task::consume_budget,
    time::{Instant, timeout, timeout_at},
};

use super::{Shared, error::Error};
use crate::{
    domain::{self, ConfigState, Stamp},
    journal::{Recorded, store::StoreError},
};

/// How many requests fold the log at the same time. Each reads all of it, and has a configuration of its own in memory.
pub(super) const FOLDS_MAX: usize = 2;
/// How long one waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(3);
/// How long the log may take to be read.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// The states at these revisions, which are in order, made anew from the log. Whoever drops this ends it.
pub(super) async fn states<const N: usize>(
    admin: &Shared,
    revisions: [u64; N],
) -> Result<Vec<ConfigState>, Error> {
    let now = admin.journal.view().revision();
    let last = revisions.last().copied().unwrap_or_default();
    if last > now || revisions.contains(&0) {
        return Err(Error::Missing(format!("the log goes from revision 1 to {now}")));
    }
    let _turn = turn(admin).await?;
    let mut state = ConfigState::default();
    let mut chain = None;
    let mut states = Vec::new();
    let mut commits = commits(admin, 0, last).await?;
    while let Some(recorded) = commits.next().await? {
        while states.len() < N && revisions[states.len()] < recorded.revision {
            states.push(state.clone());
        }
        if recorded.commit.is_genesis() {
            state = ConfigState::default();
        } else {
            continues(chain, &recorded)?;
        }
        chain = Some(recorded.chain);
        let stamp = Stamp {
            revision: recorded.revision,
            at: recorded.commit.at,
        };
        for event in &*recorded.commit.events {
            domain::evolve(&mut state, event, &stamp);
            // Others have a turn of this thread, and who has hung up is noticed.
            consume_budget().await;
        }
    }
    states.resize(N, state);
    Ok(states)
}

/// The commits after one revision and up to another that is there.
pub(super) async fn commits(admin: &Shared, after: u64, last: u64) -> Result<Commits, Error> {
    let present = admin.journal.view().revision();
    let stream = admin.journal.follow(after).await.map_err(Error::NoLog)?;
    Ok(Commits {
        stream,
        last,
        present,
        until: Instant::now() + READ_WITHIN,
        done: last <= after,
    })
}

/// Some of the log, as it comes.
pub(super) struct Commits {
    stream: BoxStream<'static, Recorded>,
    last: u64,
    /// What certainly comes. The last one may be no commit, but a part of one.
    present: u64,
    until: Instant,
    done: bool,
}

impl Commits {
    /// The next one, unless there are no more.
    pub(super) async fn next(&mut self) -> Result<Option<Recorded>, Error> {
        if self.done {
            return Ok(None);
        }
        let next = timeout_at(self.until, self.stream.next()).await;
        let next = next.map_err(|_| Error::SlowLog)?;
        let recorded = next.ok_or_else(|| {
            Error::NoLog(StoreError::Disconnected(
                "the connection was lost meanwhile".to_owned(),
            ))
        })?;
        self.done = recorded.revision >= self.last || recorded.revision >= self.present;
        Ok((recorded.revision <= self.last).then_some(recorded))
    }
}

async fn turn(admin: &Shared) -> Result<SemaphorePermit<'_>, Error> {
    match timeout(TURN_WITHIN, admin.folds.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_)) | Err(_) => Err(Error::TooManyFolds),
    }
}

/// A commit that this version cannot read is not passed over.
fn continues(chain: Option<Chain>, recorded: &Recorded) -> Result<(), Error> {
    match chain {
        Some(chain) if chain == recorded.commit.parent => Ok(()),
        Some(_) => Err(Error::Missing(format!(
            "what was before revision {} cannot be told: this version cannot read all of it",
            recorded.revision
        ))),
        None => Err(Error::Missing(
            "the log has no beginning any more from which that could be told".to_owned(),
        )),
    }
}
