//! A stream, read backwards: a window at a time.

use chrono::{DateTime, Utc};
use flexgate_projections::AuditCursor;
use flexgate_schemas::AdminEvent;

use super::{
    super::super::{Shared, error::Error, past},
    found::Found,
};
use crate::{journal::store::StoreError, outcomes::feed::Feed};

/// How many messages are read at once.
const WINDOW: u64 = 500;

/// What of a stream is still to be told.
pub(super) struct Tail<'a> {
    stream: Stream<'a>,
    /// What was read and not taken yet, in order.
    window: Vec<Found>,
    /// The last sequence that was not read.
    unread: u64,
    /// The last sequence that the stream has let go of.
    gone: u64,
}

enum Stream<'a> {
    Commits(&'a Shared),
    /// And when it was created.
    Events(&'a Feed, DateTime<Utc>),
    /// There is none.
    Empty,
}

impl<'a> Tail<'a> {
    /// What was done, but for what comes before a place in both streams.
    pub(super) fn of_commits(admin: &'a Shared, after: Option<&AuditCursor>) -> Self {
        let newest = admin.journal.view().revision();
        Self::of(Stream::Commits(admin), "CONFIG", (0, newest), after)
    }

    /// What was not done.
    pub(super) async fn of_events(admin: &'a Shared, after: Option<&AuditCursor>) -> Result<Self, Error> {
        let (stream, (gone, newest)) = match &admin.admin_events {
            Some(feed) => {
                let extent = feed.extent().await.map_err(Error::NoLog)?;
                let gone = extent.first_sequence().saturating_sub(1);
                (
                    Stream::Events(feed, extent.created),
                    (gone, extent.last_sequence()),
                )
            }
            None => (Stream::Empty, (0, 0)),
        };
        Ok(Self::of(stream, "ADMIN", (gone, newest), after))
    }

    fn of(stream: Stream<'a>, name: &str, (gone, newest): (u64, u64), after: Option<&AuditCursor>) -> Self {
        let unread = after.and_then(|after| after.next_of(name));
        Self {
            stream,
            window: Vec::new(),
            unread: unread.map_or(newest, |unread| unread.min(newest)),
            gone,
        }
    }

    /// Where the newest of what is still to be told has its place, if there is any.
    pub(super) async fn newest(&mut self) -> Result<Option<AuditCursor>, Error> {
        while self.window.is_empty() && self.unread > self.gone {
            let (after, last) = (self.unread.saturating_sub(WINDOW).max(self.gone), self.unread);
            self.window = self.stream.between(after, last).await?;
            self.unread = after;
        }
        Ok(self.window.last().map(Found::place))
    }

    /// The newest, once it was asked for.
    pub(super) fn take(&mut self) -> Option<Found> {
        self.window.pop()
    }

    /// The sequence of the newest that is still to be told; not more than that.
    pub(super) fn rest(&self) -> u64 {
        self.window.last().map_or(self.unread, Found::sequence)
    }
}

impl Stream<'_> {
    /// What comes after one sequence and up to another.
    async fn between(&self, after: u64, last: u64) -> Result<Vec<Found>, Error> {
        let mut found = Vec::new();
        match self {
            Self::Empty => {}
            Self::Commits(admin) => {
                let mut commits = past::commits(admin, after, last).await?;
                while let Some(recorded) = commits.next().await? {
                    found.push(Found::Commit(recorded));
                }
            }
            Self::Events(feed, created) => {
                for message in feed.between(after, last).await.map_err(Error::NoLog)? {
                    let sequence = message.sequence;
                    let unreadable = |error| {
                        let why = format!("message {sequence} of ADMIN cannot be read: {error}");
                        Error::NoLog(StoreError::Failed(why))
                    };
                    let event = AdminEvent::from_payload(&message.message.payload).map_err(unreadable)?;
                    found.push(Found::Event(*created, sequence, event.into()));
                }
            }
        }
        Ok(found)
    }
}
