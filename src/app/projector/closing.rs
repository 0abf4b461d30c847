//! Publishes closed hours, each when it is over and again when late frames have changed it.

use std::{convert::Infallible, time::Duration};

use chrono::{DateTime, Utc};
use flexgate_projections::{Closing, Error};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::outcomes::closed_hours::ClosedHours;

/// How often it is looked which hours are over.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Publishes closed hours for as long as the projector acts. `read_up_to` is the time up to which everything on the stream
/// was applied: while old frames are read again, nothing is published by the clock on the wall.
pub(super) async fn publish(
    mut closing: Closing,
    stream: ClosedHours,
    read_up_to: watch::Receiver<DateTime<Utc>>,
) -> Result<Infallible, Error> {
    let mut clock = interval(LOOK_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let up_to = *read_up_to.borrow();
        while let Some(due) = closing.next(up_to).await? {
            match stream.publish(&due).await {
                Ok(()) => closing.published(&due).await?,
                Err(error) => {
                    tracing::warn!(%error, hour = %due.hour, "a closed hour is not published yet");
                    break;
                }
            }
        }
    }
}
