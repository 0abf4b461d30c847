//! Budgets of one node alone.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::{
    bucket::{self, gcra},
    period::{self, Period},
    rule::Rule,
    window::{self, Window},
};

/// What a node remembers of a budget that it shares with nobody.
#[derive(Debug)]
pub(super) enum Local {
    /// The time at which the bucket is full again, in ticks since `epoch`: one number, so that cores need no lock for it.
    Bucket {
        rule: bucket::Rule,
        full_at: AtomicU64,
        epoch: u64,
    },
    /// Counted under a lock, which is held for as long as it takes to add up fifty numbers.
    Window(window::Rule, Mutex<Window>),
    /// Likewise.
    Period(period::Rule, Mutex<Period>),
}

/// Where a budget stands after a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many tokens are left.
    pub remaining: u64,
    /// How long until all are there again, in microseconds.
    pub full: u64,
    /// How long until there is one more than now, in microseconds; what a refused client should wait.
    pub again: u64,
}

impl Local {
    /// Untouched. Ticks are counted from `epoch` on, a time of the same clock.
    pub(super) fn new(rule: Rule, epoch: u64) -> Self {
        match rule {
            Rule::Bucket(rule) => Self::Bucket {
                rule,
                full_at: AtomicU64::new(0),
                epoch,
            },
            Rule::Window(rule) => Self::Window(rule, Mutex::default()),
            Rule::Period(rule) => Self::Period(rule, Mutex::default()),
        }
    }

    /// Takes so many tokens, all or none; whether it did, and where that leaves it.
    pub(super) fn take(&self, now: u64, tokens: u64) -> (bool, Standing) {
        match self {
            Self::Bucket { rule, full_at, epoch } => {
                let now = rule.ticks(now.saturating_sub(*epoch));
                let mut full = full_at.load(Ordering::Relaxed);
                loop {
                    let debt = full.saturating_sub(now);
                    let (granted, after) = gcra(rule, debt, 0, tokens);
                    if granted < tokens {
                        return (false, of_bucket(rule, debt, tokens));
                    }
                    // The number is all there is to agree upon: nothing else is published with it.
                    match full_at.compare_exchange_weak(
                        full,
                        now + after,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    ) {
                        Ok(_) => return (true, of_bucket(rule, after, 1)),
                        Err(other) => full = other,
                    }
                }
            }
            Self::Window(rule, window) => {
                let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
                window.pass(rule, now);
                let enough = window.used() + tokens <= rule.max;
                if enough {
                    window.count(rule, now, tokens);
                }
                let standing = Standing {
                    remaining: rule.max.saturating_sub(window.used()),
                    full: window.until_empty(rule, now),
                    again: window.until_next(rule, now),
                };
                (enough, standing)
            }
            Self::Period(rule, period) => {
                let mut period = period.lock().unwrap_or_else(PoisonError::into_inner);
                period.pass(rule, now);
                let enough = period.used + tokens <= rule.max;
                if enough {
                    period.used += tokens;
                }
                let standing = Standing {
                    remaining: rule.max.saturating_sub(period.used),
                    full: period.end.saturating_sub(now),
                    again: period.end.saturating_sub(now),
                };
                (enough, standing)
            }
        }
    }

    /// Puts tokens back that were taken a moment ago and not used.
    pub(super) fn put_back(&self, tokens: u64) {
        match self {
            Self::Bucket { rule, full_at, .. } => {
                let less = |full: u64| Some(full.saturating_sub(tokens * rule.interval));
                let _before = full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            }
            Self::Window(_, window) => {
                let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
                window.uncount(tokens);
            }
            Self::Period(_, period) => {
                let mut period = period.lock().unwrap_or_else(PoisonError::into_inner);
                period.used = period.used.saturating_sub(tokens);
            }
        }
    }

    /// How long until nothing of it is used any more, in microseconds: then it may be forgotten.
    pub(super) fn until_full(&self, now: u64) -> u64 {
        match self {
            Self::Bucket { rule, full_at, epoch } => {
                let now = rule.ticks(now.saturating_sub(*epoch));
                rule.micros(full_at.load(Ordering::Relaxed).saturating_sub(now))
            }
            Self::Window(rule, window) => {
                let window = window.lock().unwrap_or_else(PoisonError::into_inner);
                window.until_empty(rule, now)
            }
            Self::Period(_, period) => {
                let period = period.lock().unwrap_or_else(PoisonError::into_inner);
                period.end.saturating_sub(now)
            }
        }
    }
}

/// Where a debt leaves a bucket; `wanted` tokens are waited for.
pub(super) fn of_bucket(rule: &bucket::Rule, debt: u64, wanted: u64) -> Standing {
    Standing {
        remaining: rule.left(debt),
        full: rule.micros(debt),
        again: rule.until(debt, wanted),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    #[test]
    fn cores_that_take_at_once_get_no_more_than_there_is() {
        for rule in [
            Rule::Bucket(bucket::Rule::new(1000, 1_000_000_000, 1000)),
            Rule::Window(window::Rule::new(1000, 1_000_000_000)),
            Rule::Period(period::Rule {
                max: 1000,
                unit: period::Unit::Day,
            }),
        ] {
            let local = Arc::new(Local::new(rule, 0));
            let take = |local: Arc<Local>| move || (0..900).filter(|_| local.take(7, 1).0).count();
            let cores: Vec<_> = (0..3).map(|_| thread::spawn(take(Arc::clone(&local)))).collect();
            let taken: usize = cores.into_iter().map(|core| core.join().unwrap()).sum();
            assert_eq!(taken, 1000, "{rule:?}");
        }
    }

    #[test]
    fn what_is_put_back_can_be_taken_again() {
        for rule in [
            Rule::Bucket(bucket::Rule::new(2, 1_000_000_000, 2)),
            Rule::Window(window::Rule::new(2, 1_000_000_000)),
            Rule::Period(period::Rule {
                max: 2,
                unit: period::Unit::Month,
            }),
        ] {
            let local = Local::new(rule, 0);
            assert_eq!((local.take(9, 2).0, local.take(9, 1).0), (true, false));
            assert!(local.until_full(9) > 0);
            local.put_back(1);
            assert_eq!(
                (local.take(9, 2).0, local.take(9, 1).0),
                (false, true),
                "{rule:?}"
            );
        }
    }
}
