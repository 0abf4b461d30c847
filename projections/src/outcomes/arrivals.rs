//! When requests arrived: from when to when.

/// The first arrival and the last, in microseconds since 1970; none before there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Arrivals(Option<(i64, i64)>);

impl Arrivals {
    /// From when to when, if there were any.
    pub(super) fn new(times: Option<(i64, i64)>) -> Self {
        Self(times)
    }

    /// From when to when, if there were any.
    pub(super) fn times(self) -> Option<(i64, i64)> {
        self.0
    }

    /// One more.
    pub(super) fn note(&mut self, at: i64) {
        self.widen(Self(Some((at, at))));
    }

    /// More of them.
    pub(super) fn widen(&mut self, more: Self) {
        self.0 = match (self.0, more.0) {
            (Some((first, last)), Some((earliest, latest))) => Some((first.min(earliest), last.max(latest))),
            (some, None) | (None, some) => some,
        };
    }

    /// How long it took from the first to the last, in whole seconds.
    pub(super) fn seconds(self) -> u64 {
        self.0.map_or(0, |(first, last)| first.abs_diff(last)) / 1_000_000
    }

    /// Whether some may have been in this time, of which the end is not part.
    pub(super) fn touch(self, from: i64, to: i64) -> bool {
        self.0.is_some_and(|(first, last)| first < to && last >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_are_known_in_whatever_order_they_come() {
        let mut arrivals = Arrivals::default();
        assert_eq!((arrivals.times(), arrivals.seconds()), (None, 0));
        assert!(!arrivals.touch(i64::MIN, i64::MAX));
        for at in [5_000_000, 2_000_000, 4_000_000] {
            arrivals.note(at);
        }
        arrivals.widen(Arrivals::default());
        assert_eq!(
            (arrivals.times(), arrivals.seconds()),
            (Some((2_000_000, 5_000_000)), 3)
        );
        assert!(arrivals.touch(0, 2_000_001) && arrivals.touch(5_000_000, 9_000_000));
        assert!(!arrivals.touch(0, 2_000_000) && !arrivals.touch(5_000_001, 9_000_000));
    }
}
