//! For how long a secret stays valid beside the one that replaces it.

use std::{fmt, str::FromStr, time::Duration};

use crate::Millis;

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;
/// The longest overlap: 90 days. Who needs more wants two keys.
const MILLIS_MAX: u64 = 90 * DAY_MILLIS;

/// A span of time in whole milliseconds, up to 90 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap(u64);

/// Why something is no overlap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an overlap is 1 ms to 90 days: write milliseconds, or a number with ms, s, m, h or d (\"24h\")")]
pub struct OverlapError;

impl Overlap {
    /// The number of milliseconds.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// As a `Duration`.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl TryFrom<u64> for Overlap {
    type Error = OverlapError;
    fn try_from(millis: u64) -> Result<Self, OverlapError> {
        (1..=MILLIS_MAX)
            .contains(&millis)
            .then_some(Self(millis))
            .ok_or(OverlapError)
    }
}

impl FromStr for Overlap {
    type Err = OverlapError;
    fn from_str(text: &str) -> Result<Self, OverlapError> {
        let whole = |number: &str, unit: u64| {
            let number: u64 = number.trim_end().parse().map_err(|_| OverlapError)?;
            number.saturating_mul(unit).try_into()
        };
        // Minutes and less are those of every span; only here hours may make more than a day.
        match (text.strip_suffix('d'), text.strip_suffix('h')) {
            (Some(days), _) => whole(days, DAY_MILLIS),
            (None, Some(hours)) => whole(hours, DAY_MILLIS / 24),
            (None, None) => {
                let millis: Millis = text.parse().map_err(|_| OverlapError)?;
                u64::from(millis.get()).try_into()
            }
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}ms", self.0)
    }
}

number_value!(
    Overlap,
    "milliseconds, or a number with ms, s, m, h or d (\"24h\")",
    "a span of time in milliseconds, or a number with ms, s, m, h or d",
    MILLIS_MAX,
    r"^\d+ *(ms|s|m|h|d)?$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_may_be_longer_than_other_spans() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(text.parse().ok().map(Overlap::get), millis, "{text}");
        };
        check("24h", Some(DAY_MILLIS));
        check("72 h", Some(3 * DAY_MILLIS));
        check("7d", Some(7 * DAY_MILLIS));
        check("90d", Some(MILLIS_MAX));
        check("5m", Some(300_000));
        check("1500", Some(1500));
        for text in ["91d", "0", "0d", "-1h", "1w", "d", "", "soon"] {
            check(text, None);
        }
    }
}
