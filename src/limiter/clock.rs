//! The time of this node: microseconds since 1970 that never go backwards.

use std::time::Instant;

use chrono::Utc;

use super::rule::micros;

/// Read once from the wall when the process starts, and from then on from the clock that nobody sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    /// The start, in microseconds since 1970.
    pub(super) epoch: u64,
}

impl Clock {
    /// Reads the wall.
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            epoch: u64::try_from(Utc::now().timestamp_micros()).unwrap_or_default(),
        }
    }

    /// The time now.
    pub(super) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// The time of a moment.
    pub(super) fn at(&self, moment: Instant) -> u64 {
        self.epoch + micros(moment.saturating_duration_since(self.started))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
