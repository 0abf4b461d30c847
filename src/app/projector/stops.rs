//! Tells whoever should hear of it that a projection has stopped, and that it goes on: once each.

use std::{convert::Infallible, time::Duration};

use flexgate_projections::{Error, Stopped, note_going_on, note_stop};
use flexgate_schemas::alert::AlertKind;
use tokio::sync::Notify;

use crate::journal::alerts::Alerts;

/// The pause between two looks at whether a projection that had stopped goes on.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Whether a projection stands still, as far as others were told.
pub(super) struct Stops {
    projection: &'static str,
    url: String,
    alerts: Alerts,
    told: Told,
}

/// What others were told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Whatever the process before this one has told them.
    Unknown,
    Stopped,
    GoesOn,
}

impl Stops {
    pub(super) fn new(projection: &'static str, url: String, alerts: Alerts) -> Self {
        Self {
            projection,
            url,
            alerts,
            told: Told::Unknown,
        }
    }

    /// Tells of an error that stops the projection, unless that is known.
    pub(super) async fn note(&mut self, error: &Error) {
        if !error.stops() || self.told == Told::Stopped {
            return;
        }
        // Where nothing can be written down, a process that is started again tells it again.
        let noted = note_stop(&self.url, self.projection, error).await.ok().flatten();
        self.told = Told::Stopped;
        if noted.is_none_or(|noted| noted.is_news) {
            self.alerts.raise(AlertKind::ProjectionStopped {
                projection: self.projection.to_owned(),
                position: noted.map(|noted| noted.position),
                error: error.without_values(),
            });
        }
    }

    /// Tells when the projection goes on, if others were told that it had stopped.
    pub(super) async fn watch(&mut self, goes_on: &Notify) -> Infallible {
        loop {
            goes_on.notified().await;
            if self.told == Told::GoesOn {
                continue;
            }
            match note_going_on(&self.url, self.projection).await {
                Ok(None) => {
                    if self.told == Told::Stopped {
                        self.goes_on(None);
                    }
                    self.told = Told::GoesOn;
                }
                Ok(Some(Stopped {
                    position,
                    is_news: true,
                })) => self.goes_on(Some(position)),
                // It has not come past the event that stopped it, or the database has gone.
                Ok(Some(_)) | Err(_) => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    goes_on.notify_one();
                }
            }
        }
    }

    fn goes_on(&mut self, position: Option<u64>) {
        self.told = Told::GoesOn;
        let projection = self.projection.to_owned();
        self.alerts
            .raise(AlertKind::ProjectionResumed { projection, position });
    }
}
