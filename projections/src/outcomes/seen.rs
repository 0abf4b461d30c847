//! Which outcomes of a source have been applied.
//!
//! Frames may come twice, late, out of order or cut differently: the server's own memory of repetitions is minutes long,
//! ours is this.

use std::ops::Range;

/// The most holes that are remembered of one source. With more, the oldest count as lost for good: what would fill them is
/// taken for a repetition.
const HOLES_MAX: usize = 1024;

/// The counters that have been seen: all below a mark, but for some holes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    mark: u64,
    /// Ascending, apart from each other, none empty, all below the mark.
    holes: Vec<Range<u64>>,
}

impl Seen {
    /// As it was stored. Holes that cannot be are left out.
    pub(crate) fn new(mark: u64, holes: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut seen = Self {
            mark,
            holes: Vec::new(),
        };
        for hole in holes {
            let hole = hole.start..hole.end.min(mark);
            let apart = seen.holes.last().is_none_or(|before| before.end < hole.start);
            if apart && !hole.is_empty() {
                seen.holes.push(hole);
            }
        }
        seen
    }

    /// The counter after the highest that has been seen.
    pub(crate) fn mark(&self) -> u64 {
        self.mark
    }

    /// What below the mark has not been seen.
    pub(crate) fn holes(&self) -> &[Range<u64>] {
        &self.holes
    }

    /// What has been seen, ascending.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        let mut from = 0;
        let mut ranges = Vec::with_capacity(self.holes.len() + 1);
        for hole in &self.holes {
            ranges.push(from..hole.start);
            from = hole.end;
        }
        ranges.push(from..self.mark);
        ranges.retain(|range| !range.is_empty());
        ranges
    }

    /// The parts of a run that have not been seen, ascending.
    pub(crate) fn fresh(&self, run: &Range<u64>) -> Vec<Range<u64>> {
        let within = |part: &Range<u64>| part.start.max(run.start)..part.end.min(run.end);
        let beyond = self.mark..u64::MAX;
        self.holes
            .iter()
            .chain([&beyond])
            .map(within)
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// Counts a run as seen, and says how much of it had not been.
    pub(crate) fn see_more(&mut self, run: &Range<u64>) -> u64 {
        let fresh = self.fresh(run);
        self.see(run);
        fresh.iter().map(|part| part.end - part.start).sum()
    }

    /// Counts a run as seen.
    pub(crate) fn see(&mut self, run: &Range<u64>) {
        if run.is_empty() {
            return;
        }
        if run.start > self.mark {
            self.holes.push(self.mark..run.start);
        }
        self.mark = self.mark.max(run.end);
        let outside = |hole: Range<u64>| {
            let before = hole.start..hole.end.min(run.start);
            let after = hole.start.max(run.end)..hole.end;
            [before, after].into_iter().filter(|part| !part.is_empty())
        };
        self.holes = std::mem::take(&mut self.holes)
            .into_iter()
            .flat_map(outside)
            .collect();
        let too_many = self.holes.len().saturating_sub(HOLES_MAX);
        self.holes.drain(..too_many);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn a_source_is_seen_from_its_first_outcome_on() {
        let mut seen = Seen::default();
        assert_eq!(seen.fresh(&(0..5)), vec![0..5]);
        seen.see(&(0..5));
        assert_eq!((seen.mark(), seen.holes().len()), (5, 0));
        assert!(seen.fresh(&(0..5)).is_empty());
    }

    #[test]
    fn what_was_skipped_is_a_hole_until_it_comes() {
        let mut seen = Seen::default();
        seen.see(&(10..20));
        assert_eq!(seen.holes(), vec![0..10]);
        seen.see(&(3..5));
        assert_eq!(seen.holes(), [0..3, 5..10]);
        assert_eq!(seen.fresh(&(0..12)), [0..3, 5..10]);
        seen.see(&(0..10));
        assert_eq!((seen.mark(), seen.holes().len()), (20, 0));
    }

    #[test]
    fn a_longer_cut_of_the_same_run_is_fresh_where_it_is_longer() {
        let mut seen = Seen::default();
        seen.see(&(0..100));
        assert_eq!(seen.fresh(&(50..150)), vec![100..150]);
    }

    #[test]
    fn holes_are_bounded_and_the_oldest_go() {
        let mut seen = Seen::default();
        for start in 0..2000 {
            seen.see(&(2 * start + 1..2 * start + 2));
        }
        assert_eq!(seen.holes().len(), HOLES_MAX);
        assert!(seen.fresh(&(0..1)).is_empty());
        assert_eq!(seen.holes().last(), Some(&(3998..3999)));
    }

    proptest! {
        #[test]
        fn every_counter_is_fresh_exactly_once(runs in vec((0u64..60, 0u64..20), 1..30)) {
            let mut seen = Seen::default();
            let mut counted = [0; 80];
            for (start, length) in runs {
                let run = start..start + length;
                for counter in seen.fresh(&run).into_iter().flatten() {
                    counted[usize::try_from(counter).unwrap()] += 1;
                }
                seen.see(&run);
                let stored = Seen::new(seen.mark(), seen.holes().to_vec());
                prop_assert_eq!(&stored, &seen);
            }
            for (counter, times) in (0..).zip(counted) {
                let is_hole = seen.holes().iter().any(|hole| hole.contains(&counter));
                prop_assert_eq!(times, i32::from(counter < seen.mark() && !is_hole));
            }
        }
    }
}
