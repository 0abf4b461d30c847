//! Where projections that are made anew get their messages from: the streams that the projectors follow, up to a place.

mod patience;

use std::{
    marker::PhantomData,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use flexgate_projections::{
    AdminEvents, AlertRows, Building, ConfigProjector, Error, Live, MessageProjector, Messages,
    OutcomeProjector, Position, Refill, Retention,
};
use flexgate_schemas::{Chain, frame::Delivered};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::time::timeout;

use self::patience::{Came, Patience};
use crate::{
    journal::{
        Journal, Status,
        jetstream::{Link, Names},
        store::StoreError,
    },
    outcomes::{
        closed_hours::ClosedHours,
        feed::{Extent, Feed},
    },
};

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
}

/// A stream whose messages become rows one by one.
#[derive(Debug)]
pub struct Each<P> {
    feed: Feed,
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

    /// The log is asked, and not what this process has read of it: the projector of another one may be ahead of that.
    async fn goal(&mut self, live: &Live) -> Result<Option<u64>, Error> {
        let is_there = live.sequence > 0 && self.has(live.sequence, live.generation, live.chain).await?;
        if !is_there {
            self.follows().await?;
        }
        Ok(is_there.then_some(live.sequence))
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        let mut patience = Patience::default();
        while !patience.is_over(self.read(building, until, at).await).await? {}
        Ok(None)
    }
}

impl Commits {
    /// Whether a commit lies in the log where it is expected.
    async fn has(&self, revision: u64, generation: u64, chain: Chain) -> Result<bool, Error> {
        let mut patience = Patience::default();
        loop {
            match self.0.commit(revision).await {
                Ok(found) => {
                    return Ok(found
                        .is_some_and(|found| found.commit.generation == generation && found.chain == chain));
                }
                Err(error) => patience.pause(unreadable(&error)).await?,
            }
        }
    }

    /// Waits until what this process has read is what lies in the log. What it does not follow itself is not projected.
    async fn follows(&self) -> Result<(), Error> {
        let mut patience = Patience::default();
        loop {
            let view = self.0.view();
            let follows = view.status == Status::Following
                && (view.revision() == 0
                    || self.has(view.revision(), view.generation(), view.chain()).await?);
            if follows {
                return Ok(());
            }
            let says =
                "this process does not follow the log, which is not the one that the tables are filled from";
            patience.pause(Error::Stream(says.to_owned())).await?;
        }
    }

    async fn read(&self, building: &Building, until: u64, at: &(dyn Fn(u64) + Sync)) -> Result<Came, Error> {
        let projector = ConfigProjector::take_over(building.connect().await?).await?;
        let mut projector = projector.at_pace(building.pace());
        let after = projector.checkpoint().sequence;
        if after >= until {
            return Ok(Came::Through);
        }
        let commits = self.0.follow(after).await.map_err(|error| unreadable(&error))?;
        let over = AtomicBool::new(false);
        let commits = through(commits, until, |commit| commit.revision, &over);
        projector
            .run(commits, |checkpoint| at(checkpoint.sequence))
            .await?;
        Ok(came(projector.checkpoint().sequence, until, over))
    }
}

impl Frames {
    /// The streams of a cluster.
    pub fn new(link: Link, names: Names, retention: Retention) -> Self {
        Self {
            feed: Feed::new(link.clone(), &names),
            closed_hours: ClosedHours::new(link, names),
            retention,
        }
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
        Ok(end(&extent(&self.feed).await?))
    }

    async fn goal(&mut self, live: &Live) -> Result<Option<u64>, Error> {
        goal(&self.feed, live).await
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        let gap = Mutex::new(None);
        let (mut patience, mut refused) = (Patience::default(), None);
        loop {
            let reading = self.read(building, (until, &mut refused), &gap, at);
            if patience.is_over(reading.await).await? {
                return Ok(gap.into_inner().unwrap_or_default());
            }
        }
    }
}

impl Frames {
    /// Behind where the database has refused something, messages are applied one by one: what it refuses is put aside.
    async fn read(
        &self,
        building: &Building,
        (until, refused): (u64, &mut Option<u64>),
        gap: &Mutex<Option<u64>>,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Came, Error> {
        let extent = self.feed.extent().await.map_err(|error| unreadable(&error))?;
        let mut projector = self.projector(building, extent.created).await?;
        let after = place(&extent, projector.position(), OutcomeProjector::NAME)?;
        if after >= until || extent.waiting(after) == 0 {
            return Ok(Came::Through);
        }
        if *refused == Some(after) {
            projector = projector.careful();
        }
        let messages = self.feed.after(after).await.map_err(|error| unreadable(&error))?;
        let over = AtomicBool::new(false);
        let messages = through(messages, until, |message| message.sequence, &over);
        let messages = watched(messages, after, gap);
        let run = projector.run(extent.created, messages, |applied| at(applied.position.sequence));
        let done = run.await;
        let reached = projector.position().sequence;
        match done {
            Err(error) if error.stops() && *refused != Some(reached) => {
                *refused = Some(reached);
                Ok(Came::UpTo(reached))
            }
            done => done.map(|()| came(reached, until, over)),
        }
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
            _projection: PhantomData,
        }
    }
}

impl<P: Messages> Refill for Each<P> {
    async fn end(&mut self) -> Result<u64, Error> {
        Ok(end(&extent(&self.feed).await?))
    }

    async fn goal(&mut self, live: &Live) -> Result<Option<u64>, Error> {
        goal(&self.feed, live).await
    }

    async fn fill(
        &mut self,
        building: &Building,
        until: u64,
        at: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<u64>, Error> {
        let mut patience = Patience::default();
        while !patience.is_over(self.read(building, until, at).await).await? {}
        Ok(None)
    }
}

impl<P: Messages> Each<P> {
    async fn read(&self, building: &Building, until: u64, at: &(dyn Fn(u64) + Sync)) -> Result<Came, Error> {
        let extent = self.feed.extent().await.map_err(|error| unreadable(&error))?;
        let projector = MessageProjector::<P>::take_over(building.connect().await?).await?;
        let mut projector = projector.at_pace(building.pace());
        let after = place(&extent, projector.position(), P::NAME)?;
        if after >= until || extent.waiting(after) == 0 {
            return Ok(Came::Through);
        }
        let messages = self.feed.after(after).await.map_err(|error| unreadable(&error))?;
        let over = AtomicBool::new(false);
        let messages = through(messages, until, |message| message.sequence, &over);
        projector
            .run(extent.created, messages, |position| at(position.sequence))
            .await?;
        Ok(came(projector.position().sequence, until, over))
    }
}

/// Where a stream is, as soon as it can be read.
async fn extent(feed: &Feed) -> Result<Extent, Error> {
    let mut patience = Patience::default();
    loop {
        match feed.extent().await {
            Ok(extent) => return Ok(extent),
            Err(error) => patience.pause(unreadable(&error)).await?,
        }
    }
}

/// The sequence of the last message, if there is one.
fn end(extent: &Extent) -> u64 {
    extent.waiting(0).min(1) * extent.last_sequence()
}

/// From where on their projector reads the stream next: all that comes before is in the tables.
async fn goal(feed: &Feed, live: &Live) -> Result<Option<u64>, Error> {
    if live.stream_created.is_none() {
        return Ok(None);
    }
    Ok(Some(
        extent(feed)
            .await?
            .continuation(live.stream_created, live.sequence),
    ))
}

/// From where on it is read further, on the stream with which it was begun. What was read of another one is not to be told
/// from what this one has.
fn place(extent: &Extent, made: Position, projection: &'static str) -> Result<u64, Error> {
    let is_new = made.stream_created.is_none();
    let continues = extent.continuation(made.stream_created, made.sequence) == made.sequence;
    if is_new || made.stream_created == Some(extent.created) && continues {
        Ok(made.sequence)
    } else {
        Err(Error::Replaced { projection })
    }
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

/// What comes up to a place, without waiting for what is behind it, or for ever for what was deleted. Notes that nothing is
/// left up to there.
fn through<T: Send + 'static>(
    messages: impl Stream<Item = T> + Unpin + Send,
    until: u64,
    place: fn(&T) -> u64,
    over: &AtomicBool,
) -> impl Stream<Item = T> + Send {
    stream::unfold(messages, move |mut messages| async move {
        if over.load(Ordering::Relaxed) {
            return None;
        }
        let message = timeout(MESSAGE_WITHIN, messages.next()).await.ok()??;
        over.store(place(&message) >= until, Ordering::Relaxed);
        (place(&message) <= until).then_some((message, messages))
    })
}

/// What came of reading up to a place, from what was applied and what came.
fn came(reached: u64, until: u64, over: AtomicBool) -> Came {
    if reached >= until || over.into_inner() {
        Came::Through
    } else {
        Came::UpTo(reached)
    }
}

fn unreadable(error: &StoreError) -> Error {
    Error::Stream(error.to_string())
}
