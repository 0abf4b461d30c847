//! Where projections that are made anew get their messages from: the streams that the projectors follow, up to a place.

use std::{marker::PhantomData, sync::Mutex, time::Duration};

use chrono::{DateTime, Utc};
use flexgate_projections::{
    AdminEvents, AlertRows, Building, ConfigProjector, Error, Live, MessageProjector, Messages,
    OutcomeProjector, Refill, Retention,
};
use flexgate_schemas::frame::Delivered;
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::time::{sleep, timeout};

use crate::{
    journal::{
        Journal,
        jetstream::{Link, Names},
        store::StoreError,
    },
    outcomes::{
        closed_hours::ClosedHours,
        feed::{Extent, Feed},
    },
};

/// How often a stream that breaks is read again before that is given up.
const TRIES: usize = 30;
/// The pause in between.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// How long a message may be waited for that should be there: then it is looked again whether it is.
const MESSAGE_WITHIN: Duration = Duration::from_secs(30);

/// The log, for the configuration.
#[derive(Debug)]
pub struct Commits(Journal);

/// OUTCOMES and ROLLUPS, for what became of requests.
#[derive(Debug)]
pub struct Frames {
    feed: Feed,
    closed_hours: ClosedHours,
    retention: Retention,
    /// As it was when somebody looked last.
    extent: Option<Extent>,
}

/// A stream whose messages become rows one by one.
#[derive(Debug)]
pub struct Each<P> {
    feed: Feed,
    extent: Option<Extent>,
    _projection: PhantomData<P>,
}

/// ALERTS, for what somebody should hear of.
pub type Raised = Each<AlertRows>;
/// ADMIN, for what was asked and not done.
pub type Refused = Each<AdminEvents>;

impl Commits {
    /// The log that a process follows.
    pub fn new(journal: Journal) -> Self {
        Self(journal)
    }
}

impl Refill for Commits {
    async fn end(&mut self) -> Result<u64, Error> {
        Ok(self.0.view().revision())
    }

    fn goal(&self, live: &Live) -> Option<u64> {
        let view = self.0.view();
        let is_ours = live.generation == view.generation() && live.sequence <= view.revision();
        (is_ours && live.sequence > 0).then_some(live.sequence)
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        for _ in 0..TRIES {
            let projector = ConfigProjector::take_over(building.connect().await?).await?;
            let mut projector = projector.at_pace(building.pace());
            let after = projector.checkpoint().sequence;
            if after >= until {
                return Ok(None);
            }
            match self.0.follow(after).await {
                Ok(commits) => {
                    let commits = through(commits, until, |commit| commit.revision);
                    projector
                        .run(commits, |checkpoint| at(checkpoint.sequence))
                        .await?;
                }
                Err(error) => tracing::debug!(%error, "the log cannot be read now"),
            }
            if projector.checkpoint().sequence < until {
                sleep(READ_AGAIN).await;
            }
        }
        Err(Error::Stream(format!("the log could not be read up to {until}")))
    }
}

impl Frames {
    /// The streams of a cluster.
    pub fn new(link: Link, names: Names, retention: Retention) -> Self {
        Self {
            feed: Feed::new(link.clone(), &names),
            closed_hours: ClosedHours::new(link, names),
            retention,
            extent: None,
        }
    }

    async fn look(&mut self) -> Result<&Extent, Error> {
        let extent = self.feed.extent().await.map_err(|error| unreadable(&error))?;
        Ok(self.extent.insert(extent))
    }

    async fn projector(
        &self,
        building: &Building,
        created: DateTime<Utc>,
    ) -> Result<OutcomeProjector, Error> {
        let connection = building.connect().await?;
        let projector = OutcomeProjector::take_over(connection, self.retention).await?;
        let mut projector = projector.at_pace(building.pace());
        if projector.is_new() {
            let hours = self
                .closed_hours
                .newest()
                .await
                .map_err(|error| unreadable(&error))?;
            projector.restore(created, hours).await?;
        }
        Ok(projector)
    }
}

impl Refill for Frames {
    async fn end(&mut self) -> Result<u64, Error> {
        self.look().await.map(end)
    }

    fn goal(&self, live: &Live) -> Option<u64> {
        goal(self.extent.as_ref()?, live)
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        let gap = Mutex::new(None);
        let mut careful = false;
        for _ in 0..TRIES {
            let extent = self.look().await?.clone();
            let mut projector = self.projector(building, extent.created).await?;
            if careful {
                projector = projector.careful();
            }
            let after = projector.position().sequence;
            if after >= until || extent.waiting(after) == 0 {
                return Ok(gap.into_inner().unwrap_or_default());
            }
            let messages = self.feed.after(after).await.map_err(|error| unreadable(&error))?;
            let messages = through(messages, until, |message| message.sequence);
            let messages = watched(messages, after, &gap);
            let run = projector.run(extent.created, messages, |applied| at(applied.position.sequence));
            match run.await {
                // Once more, one by one: what the database refuses is put aside.
                Err(error) if error.stops() && !careful => careful = true,
                done => done?,
            }
        }
        Err(Error::Stream(format!(
            "the outcomes could not be read up to {until}"
        )))
    }
}

impl Raised {
    /// The stream of a cluster.
    pub fn new(link: Link, names: &Names) -> Self {
        Self::of(Feed::of_alerts(link, names))
    }
}

impl Refused {
    /// The stream of a cluster.
    pub fn new(link: Link, names: &Names) -> Self {
        Self::of(Feed::of_admin_events(link, names))
    }
}

impl<P> Each<P> {
    fn of(feed: Feed) -> Self {
        Self {
            feed,
            extent: None,
            _projection: PhantomData,
        }
    }
}

impl<P: Messages> Refill for Each<P> {
    async fn end(&mut self) -> Result<u64, Error> {
        let extent = self.feed.extent().await.map_err(|error| unreadable(&error))?;
        Ok(end(self.extent.insert(extent)))
    }

    fn goal(&self, live: &Live) -> Option<u64> {
        goal(self.extent.as_ref()?, live)
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        for _ in 0..TRIES {
            let extent = self.feed.extent().await.map_err(|error| unreadable(&error))?;
            let projector = MessageProjector::<P>::take_over(building.connect().await?).await?;
            let mut projector = projector.at_pace(building.pace());
            let after = projector.position().sequence;
            if after >= until || extent.waiting(after) == 0 {
                return Ok(None);
            }
            let messages = self.feed.after(after).await.map_err(|error| unreadable(&error))?;
            let messages = through(messages, until, |message| message.sequence);
            projector
                .run(extent.created, messages, |position| at(position.sequence))
                .await?;
        }
        Err(Error::Stream(format!(
            "the stream of {} could not be read up to {until}",
            P::NAME
        )))
    }
}

/// The sequence of the last message, if there is one.
fn end(extent: &Extent) -> u64 {
    extent.waiting(0).min(1) * extent.last_sequence()
}

/// How far tables are on a stream that lets go of what is old.
fn goal(extent: &Extent, live: &Live) -> Option<u64> {
    let created = live.stream_created?;
    if created == extent.created {
        return Some(live.sequence);
    }
    // Of a stream that was made anew: it is yet to be begun with, if there is something on it.
    (extent.waiting(0) > 0).then_some(0)
}

/// Notes where something is missing, which is also where a stream begins that has let go of what came before.
fn watched<'g>(
    messages: impl Stream<Item = Delivered> + Send + 'g,
    after: u64,
    gap: &'g Mutex<Option<u64>>,
) -> impl Stream<Item = Delivered> + Send + 'g {
    let mut last = after;
    messages.inspect(move |message| {
        if last == 0 || message.sequence != last + 1 {
            *gap.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(message.sequence);
        }
        last = message.sequence;
    })
}

/// What comes up to a place, without waiting for what is behind it, or for ever for what was deleted.
fn through<T: Send + 'static>(
    messages: impl Stream<Item = T> + Unpin + Send,
    until: u64,
    place: fn(&T) -> u64,
) -> impl Stream<Item = T> + Send {
    stream::unfold((messages, false), move |(mut messages, is_over)| async move {
        if is_over {
            return None;
        }
        let message = timeout(MESSAGE_WITHIN, messages.next()).await.ok()??;
        let is_last = place(&message) >= until;
        Some((message, (messages, is_last)))
    })
}

fn unreadable(error: &StoreError) -> Error {
    Error::Stream(error.to_string())
}
