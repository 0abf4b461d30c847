//! How much of the machines that others serve from is taken to make projections anew.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// The longest rest. What took longer than it should was not all work.
const REST_MAX: Duration = Duration::from_secs(10);
/// What is applied at once is so many times less where there is a rest, so that whoever serves waits for little.
const SMALLER: usize = 32;

/// How much of the time is spent working, in percent: 1 to 100. The rest is left to those who serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Pace(u8);

/// A pace that there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pace is 1 to 100, in percent of the time")]
pub struct NoPace;

impl Pace {
    /// Without a rest.
    pub const FULL: Self = Self(100);

    /// Whether there is no rest.
    pub(crate) fn is_full(self) -> bool {
        self == Self::FULL
    }

    /// How much to do at once of what is at most this.
    pub(crate) fn portion(self, most: usize) -> usize {
        if self.is_full() {
            most
        } else {
            most.div_ceil(SMALLER)
        }
    }

    /// Rests after so much work.
    pub(crate) async fn rest(self, worked: Duration) {
        let rest = self.rest_after(worked);
        if !rest.is_zero() {
            sleep(rest).await;
        }
    }

    /// How long what is to take this without a rest may take with it.
    pub(crate) fn stretch(self, within: Duration) -> Duration {
        within * 100 / u32::from(self.0)
    }

    fn rest_after(self, worked: Duration) -> Duration {
        let (work, rest) = (u32::from(self.0), u32::from(100 - self.0));
        (worked / work).saturating_mul(rest).min(REST_MAX)
    }
}

impl Default for Pace {
    /// A tenth of the time: thirty million outcomes in half an hour, and requests that share two processors with it do not
    /// notice.
    fn default() -> Self {
        Self(10)
    }
}

impl TryFrom<u8> for Pace {
    type Error = NoPace;

    fn try_from(percent: u8) -> Result<Self, NoPace> {
        match percent {
            1..=100 => Ok(Self(percent)),
            _ => Err(NoPace),
        }
    }
}

impl From<Pace> for u8 {
    fn from(Pace(percent): Pace) -> Self {
        percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(percent: u8, worked: u64) -> u128 {
        let pace = Pace::try_from(percent).unwrap();
        pace.rest_after(Duration::from_millis(worked)).as_millis()
    }

    #[test]
    fn a_rest_is_what_is_left_of_the_time() {
        assert_eq!(rest(100, 80), 0);
        assert_eq!(rest(50, 80), 80);
        assert_eq!(rest(25, 80), 240);
        assert_eq!(rest(1, 10), 990);
        assert_eq!(rest(1, 60_000), 10_000, "nobody rests for longer");
    }

    #[test]
    fn there_is_no_pace_without_work_and_none_above_all_of_the_time() {
        assert_eq!([0, 101, 255].map(Pace::try_from), [Err(NoPace); 3]);
        let read: Result<Pace, _> = serde_json::from_str("0");
        assert!(read.is_err());
    }
}
