//! The sliding window: never more than a number in any span of time as long as the window, whoever looks when.
//!
//! Uses are counted in slots, of which a window has fifty. A slot counts until all of it has left the window, a fiftieth
//! longer than it must: that is what the limit gives away for being exact about never.

use std::collections::VecDeque;

/// How many slots a window has.
pub const SLOTS: u64 = 50;

/// The numbers of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The most in any window.
    pub max: u64,
    /// How long a slot is, in microseconds, at least 1.
    pub slot: u64,
}

/// What a window remembers: uses by the number of their slot, oldest first, [`SLOTS`] + 1 of them or fewer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window(VecDeque<(u64, u64)>);

impl Rule {
    /// So many in a window of so many microseconds.
    pub fn new(max: u64, window_micros: u64) -> Self {
        Self {
            max,
            slot: window_micros.div_ceil(SLOTS).max(1),
        }
    }

    /// The slot of a time.
    pub fn slot_of(&self, now: u64) -> u64 {
        now / self.slot
    }
}

impl Window {
    /// Forgets what has left the window.
    pub fn pass(&mut self, rule: &Rule, now: u64) {
        let slot = rule.slot_of(now);
        while self.0.front().is_some_and(|(old, _)| old + SLOTS < slot) {
            self.0.pop_front();
        }
    }

    /// How many were used.
    pub fn used(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Counts uses of now. In a clock that goes backwards they are of the newest slot.
    pub fn count(&mut self, rule: &Rule, now: u64, uses: u64) {
        if uses == 0 {
            return;
        }
        let slot = rule.slot_of(now);
        match self.0.back_mut() {
            Some((newest, count)) if *newest >= slot => *count += uses,
            _ => self.0.push_back((slot, uses)),
        }
    }

    /// Takes back uses that did not come to pass, as far as they are in the newest slot.
    pub fn uncount(&mut self, uses: u64) {
        if let Some((_, count)) = self.0.back_mut() {
            *count = count.saturating_sub(uses);
        }
    }

    /// How long until the oldest slot leaves the window, in microseconds.
    pub fn until_next(&self, rule: &Rule, now: u64) -> u64 {
        let oldest = self.0.iter().find(|(_, count)| *count > 0);
        oldest.map_or(0, |(slot, _)| {
            ((slot + SLOTS + 1) * rule.slot).saturating_sub(now)
        })
    }

    /// How long until the newest one does: then nothing is used any more.
    pub fn until_empty(&self, rule: &Rule, now: u64) -> u64 {
        self.0.back().map_or(0, |(slot, _)| {
            ((slot + SLOTS + 1) * rule.slot).saturating_sub(now)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_window_ever_has_more_and_under_load_hardly_one_less(
            (max, window) in (1u64..100, 1000u64..100_000),
            pauses in prop::collection::vec(0u64..2000, 100..400),
        ) {
            let rule = Rule::new(max, window);
            let (mut kept, mut now, mut passed) = (Window::default(), 0, Vec::new());
            for pause in pauses {
                now += pause;
                kept.pass(&rule, now);
                if kept.used() < max {
                    kept.count(&rule, now, 1);
                    passed.push(now);
                } else {
                    let again = kept.until_next(&rule, now);
                    prop_assert!(again > 0 && again <= window + 2 * rule.slot);
                }
            }
            for (first, last) in passed.iter().zip(passed.iter().skip(usize::try_from(max).unwrap())) {
                prop_assert!(last - first >= window, "{first} and {last}");
            }
        }
    }

    #[test]
    fn a_window_under_load_gives_nearly_all_it_has() {
        let rule = Rule::new(100, 1_000_000);
        let mut window = Window::default();
        let mut passed = 0;
        for now in (0..60_000_000).step_by(500) {
            window.pass(&rule, now);
            if window.used() < rule.max {
                window.count(&rule, now, 1);
                passed += 1;
            }
        }
        assert!(passed >= 5_850, "{passed} of 6000");
    }
}
