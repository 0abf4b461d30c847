//! The token bucket, as GCRA: integers only, so that Rust, Lua and every node come to the same result.
//!
//! What is remembered is a debt of time: a token that is taken adds the interval between two tokens to it, and passing time
//! pays it off. A bucket without a debt is full, one that owes `burst` intervals is empty.

/// The numbers of a bucket. Whatever it owes stays well below 2^53, up to which a number in Lua is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The time between two tokens, in ticks, rounded up: never more than the rate passes.
    pub interval: u64,
    /// How many tokens a full bucket has, at least 1.
    pub burst: u64,
    /// A microsecond has 2^shift ticks. As many as fit, so that the rounding does not show: at a million tokens a second
    /// the rate is exact to 1/4096.
    pub shift: u32,
}

/// The finest tick there is, 2^-12 microseconds.
const SHIFT_MAX: u32 = 12;
/// The most ticks that a bucket can owe.
const TICKS_MAX: u128 = 1 << 50;
/// What a bucket remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// In ticks.
    pub debt: u64,
    /// The time up to which it is paid off, in microseconds of whichever clock is asked.
    pub at: u64,
}

impl Rule {
    /// So many requests in a window of so many microseconds.
    pub fn new(requests: u64, window_micros: u64, burst: u64) -> Self {
        let (requests, burst) = (requests.max(1), burst.max(1));
        let mut shift = SHIFT_MAX;
        loop {
            let interval = (u128::from(window_micros) << shift)
                .div_ceil(requests.into())
                .max(1);
            let fits = interval * u128::from(burst) <= TICKS_MAX;
            if fits || shift == 0 {
                let interval = u64::try_from(interval).unwrap_or(u64::MAX);
                return Self {
                    interval,
                    // What takes longer than a year to fill is refused where limits are edited.
                    burst: burst
                        .min(u64::try_from(TICKS_MAX).unwrap_or(u64::MAX) / interval)
                        .max(1),
                    shift,
                };
            }
            shift -= 1;
        }
    }

    /// The ticks of so many microseconds, at most those of a full bucket and some.
    pub fn ticks(&self, micros: u64) -> u64 {
        u64::try_from(u128::from(micros) << self.shift).unwrap_or(u64::MAX)
    }

    /// The microseconds of so many ticks, rounded up.
    pub fn micros(&self, ticks: u64) -> u64 {
        ticks.div_ceil(1 << self.shift)
    }

    /// What an empty bucket owes.
    pub fn full_debt(&self) -> u64 {
        self.interval * self.burst
    }

    /// How many tokens are left of a debt.
    pub fn left(&self, debt: u64) -> u64 {
        self.full_debt().saturating_sub(debt) / self.interval
    }

    /// How long until there are so many tokens, in microseconds.
    pub fn until(&self, debt: u64, tokens: u64) -> u64 {
        let tokens = tokens.min(self.burst);
        self.micros((debt + tokens * self.interval).saturating_sub(self.full_debt()))
    }
}

impl Bucket {
    /// Lets time pass. A clock that goes backwards stands still.
    pub fn pass(&mut self, rule: &Rule, now: u64) {
        self.debt = self.debt.saturating_sub(rule.ticks(now.saturating_sub(self.at)));
        self.at = self.at.max(now);
    }
}

/// The one decision: of a debt, with `held` tokens that were taken and may still be spent, how many of the `wanted` tokens
/// there are. Returns them and the debt after.
///
/// With nothing held this is the generic cell rate algorithm. Held tokens count as if they were taken now, however long ago
/// that was: what is in the bucket and what is held are together never more than `burst`, so that in any time t at most
/// burst + rate x t are spent, by whomever.
pub fn gcra(rule: &Rule, debt: u64, held: u64, wanted: u64) -> (u64, u64) {
    let base = debt.max(held.saturating_mul(rule.interval));
    let granted = rule.left(base).min(wanted);
    (granted, base + granted * rule.interval)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60_000_000;

    #[test]
    fn no_limit_lets_more_pass_than_it_says_and_hardly_less() {
        // The rate is exact to one part in so many.
        let check = |requests: u64, window, parts: u128| {
            let rule = Rule::new(requests, window, requests);
            let ticks = u128::from(window) << rule.shift;
            let used = u128::from(rule.interval) * u128::from(requests);
            assert!(
                ticks <= used && used <= ticks + ticks / parts,
                "{requests} in {window}"
            );
            assert!(u128::from(rule.interval) * u128::from(rule.burst) <= TICKS_MAX);
        };
        check(7, 1_000_000, 100_000_000);
        check(1000, MINUTE, u128::MAX);
        check(99_991, 24 * 60 * MINUTE, 100_000_000);
        check(1_000_003, 1_000_000, 4096);
        check(1, 24 * 60 * MINUTE, u128::MAX);
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_one_token_at_a_time() {
        let rule = Rule::new(60, MINUTE, 3);
        let mut bucket = Bucket::default();
        let mut take = |now, wanted| {
            bucket.pass(&rule, now);
            let (granted, debt) = gcra(&rule, bucket.debt, 0, wanted);
            bucket.debt = debt;
            granted
        };
        assert_eq!(take(5, 9), 3);
        assert_eq!(take(1_000_004, 1), 0);
        assert_eq!(take(1_000_005, 1), 1);
        assert_eq!(take(500_000, 1), 0, "a clock that goes backwards gives nothing");
        assert_eq!(take(90 * MINUTE, 9), 3);
    }

    #[test]
    fn what_is_held_is_not_in_the_bucket() {
        let rule = Rule::new(60, MINUTE, 10);
        assert_eq!(gcra(&rule, 0, 4, 9).0, 6);
        assert_eq!(gcra(&rule, 0, 11, 9).0, 0);
        assert_eq!(rule.until(gcra(&rule, 0, 10, 0).1, 1), 1_000_000);
    }

    proptest! {
        /// The algorithm as others know it, with nothing held.
        #[test]
        fn it_decides_as_governor_does(
            (requests, burst) in (1u32..2000, 1u32..500),
            steps in prop::collection::vec((0u64..3_000_000, 1u32..5), 1..200),
        ) {
            use std::{num::NonZeroU32, time::Duration};
            use governor::{Quota, RateLimiter, clock::FakeRelativeClock};
            let clock = FakeRelativeClock::default();
            // An interval of whole microseconds, so that neither side rounds.
            let interval = u64::from(requests) * 100;
            let quota = Quota::with_period(Duration::from_micros(interval)).unwrap()
                .allow_burst(NonZeroU32::new(burst).unwrap());
            let oracle = RateLimiter::direct_with_clock(quota, clock.clone());
            let rule = Rule::new(1, interval, burst.into());
            let (mut bucket, mut now) = (Bucket::default(), 0);
            for (pause, tokens) in steps {
                clock.advance(Duration::from_micros(pause));
                now += pause;
                bucket.pass(&rule, now);
                let (granted, debt) = gcra(&rule, bucket.debt, 0, tokens.into());
                let whole = granted == u64::from(tokens);
                if whole { bucket.debt = debt; }
                let expected = oracle.check_n(NonZeroU32::new(tokens).unwrap());
                prop_assert_eq!(whole, matches!(expected, Ok(Ok(()))), "at {}", now);
            }
        }
    }
}
