//! Keeps one projection: whatever fails is tried again, from where the database is, and shows until it has gone.

use std::{convert::Infallible, sync::Arc, time::Duration};

use flexgate_projections::{Error, Stream};
use tokio::sync::Notify;

use super::{stops::Stops, streams::dependency};
use crate::{
    drain::Tasks,
    health::{Check, Dependency, Health},
};

/// The first pause after a failure; each one after it is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause: how late it is noticed that what was in the way has gone.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// How often a projector that waits behind another one asks whether it may act: the time of a takeover.
pub(super) const ASK_EVERY: Duration = Duration::from_secs(1);
/// The pause before a stream that ended or failed is read again.
pub(super) const READ_AGAIN: Duration = Duration::from_secs(1);

/// How a projection is doing, as far as others are to know.
pub(super) struct Shown {
    /// The projection.
    name: &'static str,
    dependency: Dependency,
    health: Health,
    check: Option<Check>,
    /// Told whenever it follows its stream.
    goes_on: Arc<Notify>,
}

impl Shown {
    pub(super) fn new(name: &'static str, stream: Stream, health: Health) -> Self {
        Self {
            name,
            dependency: dependency(stream),
            health,
            check: None,
            goes_on: Arc::default(),
        }
    }

    /// It follows its stream.
    pub(super) fn up(&mut self) {
        self.goes_on.notify_one();
        if self.show(Check::Up) {
            tracing::info!(projection = self.name, "the read models follow their stream");
        }
    }

    /// Another process acts.
    pub(super) fn waits(&mut self) {
        self.show(Check::Off("another process keeps them".into()));
    }

    /// The log gets all of an error. What anybody may read gets no words of the database, which can name its users.
    fn failed(&mut self, error: &Error) {
        let reason = if error.stops() {
            error.to_string().into()
        } else if error.is_out_of_room() {
            "the disk of the database is full".into()
        } else {
            "the database does not take part".into()
        };
        if !self.show(Check::Down(reason)) {
            return;
        }
        if error.stops() {
            tracing::error!(projection = self.name, %error, "the read models have stopped");
        } else {
            tracing::warn!(projection = self.name, %error, "the read models wait");
        }
    }

    /// Whether it is news.
    fn show(&mut self, check: Check) -> bool {
        if self.check.as_ref() == Some(&check) {
            return false;
        }
        self.health.report(self.dependency, check.clone());
        self.check = Some(check);
        true
    }
}

/// Something that projects until something is in the way.
pub(super) trait Project {
    fn project(&mut self, shown: &mut Shown) -> impl Future<Output = Result<Infallible, Error>> + Send;
}

/// Keeps projecting until the tasks are stopped. Whoever should hear of it is told when it stops, and when it goes on.
pub(super) async fn keep(mut projection: impl Project, mut shown: Shown, mut stops: Stops, tasks: Tasks) {
    let keeping = async {
        let (mut pause, goes_on) = (PAUSE_MIN, Arc::clone(&shown.goes_on));
        loop {
            // Boxed: each has a connection of its own to be made.
            let watching = Box::pin(stops.watch(&goes_on));
            let error = tokio::select! {
                Err(error) = projection.project(&mut shown) => error,
                never = watching => match never {},
            };
            if matches!(error, Error::Fenced) {
                // The tables are as they should be, and somebody else's work: they were made anew, or mended.
                tracing::info!(
                    projection = shown.name,
                    "the read models were changed by another: once more"
                );
                tokio::time::sleep(PAUSE_MIN).await;
                continue;
            }
            Box::pin(stops.note(&error)).await;
            if shown.check == Some(Check::Up) {
                pause = PAUSE_MIN;
            }
            shown.failed(&error);
            tokio::time::sleep(pause).await;
            pause = PAUSE_MAX.min(2 * pause);
        }
    };
    tasks.unless_stopped(keeping).await;
}
