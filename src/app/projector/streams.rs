//! Which stream feeds which projection, and what it is called where health is told: in one place, exhaustively, so that a
//! projection cannot be forgotten.

use flexgate_projections::{Building, Error, Live, Refill, Stream};

use super::{
    refill::{Commits, Frames, Raised, Refused},
    service::Sources,
};
use crate::health::{Checks, Dependency, Verdict};

/// What a projection is filled from.
#[derive(Debug)]
pub(super) enum Feeds {
    Commits(Commits),
    Refused(Refused),
    Frames(Box<Frames>),
    Raised(Raised),
}

impl Sources {
    /// What is read of a stream to make a projection anew.
    pub(super) fn of(&self, stream: Stream) -> Feeds {
        let (link, names) = (self.link.clone(), &self.names);
        match stream {
            Stream::Config => Feeds::Commits(Commits::new(self.journal.clone())),
            Stream::Admin => Feeds::Refused(Refused::new(link, names)),
            Stream::Outcomes => Feeds::Frames(Frames::new(link, names.clone(), self.retention).into()),
            Stream::Alerts => Feeds::Raised(Raised::new(link, names)),
        }
    }
}

/// What health calls the projection of a stream.
pub(super) fn dependency(stream: Stream) -> Dependency {
    match stream {
        Stream::Config => Dependency::Projections,
        Stream::Admin => Dependency::AdminEvents,
        Stream::Outcomes => Dependency::Outcomes,
        Stream::Alerts => Dependency::Alerts,
    }
}

/// How the projection of a stream is doing in this process.
pub(super) fn verdict(checks: &Checks, stream: Stream) -> Verdict {
    match stream {
        Stream::Config => checks.projections,
        Stream::Admin => checks.admin_events,
        Stream::Outcomes => checks.outcomes,
        Stream::Alerts => checks.alerts,
    }
}

impl Refill for Feeds {
    async fn end(&mut self) -> Result<u64, Error> {
        match self {
            Self::Commits(commits) => commits.end().await,
            Self::Refused(refused) => refused.end().await,
            Self::Frames(frames) => frames.end().await,
            Self::Raised(raised) => raised.end().await,
        }
    }

    async fn goal(&mut self, live: &Live) -> Result<Option<u64>, Error> {
        match self {
            Self::Commits(commits) => commits.goal(live).await,
            Self::Refused(refused) => refused.goal(live).await,
            Self::Frames(frames) => frames.goal(live).await,
            Self::Raised(raised) => raised.goal(live).await,
        }
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        // Boxed: connections are made in them, and two batches are in one.
        match self {
            Self::Commits(commits) => Box::pin(commits.fill(building, until, at)).await,
            Self::Refused(refused) => Box::pin(refused.fill(building, until, at)).await,
            Self::Frames(frames) => Box::pin(frames.fill(building, until, at)).await,
            Self::Raised(raised) => Box::pin(raised.fill(building, until, at)).await,
        }
    }
}
