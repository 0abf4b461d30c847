//! What a budget has left and who holds how much of it: `ledger.lua` in Rust, for tests to reason about.
//!
//! Why it never gives too much, for a bucket: let `e` be its debt, and never less than what is held. A grant adds to `e` what
//! it grants; a token that is spent stays in it until a call tells of it, and from then on is paid off by time like any
//! other; what is given back was not spent. So what is spent in a time t is at most what `e` rises by plus t's worth of
//! payment, plus what was held before, which was in `e` already: burst + rate x t. A reply that is lost leaves tokens in `e`
//! that nobody has; a lease whose holder died counts as spent when it ends, and its holder stops before that.

use std::collections::BTreeMap;

use super::{
    bucket::{self, Bucket, gcra},
    desk::{Call, LEASE, Reply},
    period::Period,
    rule::{Rule, Terms},
    window::Window,
};

/// One budget, as Redis has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// When it was first asked for.
    born: Option<u64>,
    version: u64,
    bucket: Bucket,
    window: Window,
    period: Period,
    leases: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    amount: u64,
    expiry: u64,
    seq: u64,
}

impl Ledger {
    /// What is left of one that must never give too much, after everything was lost at this time.
    pub(super) fn doubted(rule: &Rule, lost: u64) -> Self {
        let mut ledger = Self::default();
        match rule {
            Rule::Bucket(rule) => {
                ledger.bucket = Bucket {
                    debt: rule.full_debt(),
                    at: lost + LEASE,
                }
            }
            Rule::Window(rule) => ledger.window.count(rule, lost + LEASE, rule.max),
            Rule::Period(_) => {}
        }
        ledger
    }

    /// Takes a call of this node at this time. None if one that was sent later came before it.
    pub(super) fn call(&mut self, terms: &Terms, now: u64, node: &str, call: &Call) -> Option<Reply> {
        let own = self.leases.get(node).copied();
        if own.is_some_and(|own| call.seq > 0 && own.seq >= call.seq) {
            return None;
        }
        self.pass(&terms.rule, now);
        let (mut others, mut over) = (0, 0);
        self.leases.retain(|holder, lease| {
            if holder == node {
                return true;
            }
            *(if lease.expiry > now {
                &mut others
            } else {
                &mut over
            }) += lease.amount;
            lease.expiry > now
        });
        let recorded = own.map_or(0, |own| own.amount);
        let born = *self.born.get_or_insert(now);
        let forgotten = call.told_born > 0 && (call.told_born != born || self.version < call.told_version);
        if forgotten || call.told_forced {
            self.raise(&terms.rule, now, call, others + over + recorded);
        }
        let kept = own.map_or(forgotten || call.held == 0, |own| own.expiry > now);
        let (mut held, returned) = if kept { (call.held, call.returned) } else { (0, 0) };
        let spent = recorded.saturating_sub(held + returned) + over;
        match &terms.rule {
            Rule::Bucket(rule) => {
                let before = (others + over + recorded.max(held)) * rule.interval;
                let debt = self
                    .bucket
                    .debt
                    .max(before)
                    .saturating_sub(returned * rule.interval);
                self.bucket.debt = debt.max((others + held) * rule.interval);
            }
            Rule::Window(rule) => self.window.count(rule, now, spent),
            Rule::Period(_) => self.period.used += spent + call.own_uses,
        }
        let left = self.left(&terms.rule, others + held);
        let mut granted = left.min(call.wanted).min(call.need.max(left.div_ceil(2)));
        if call.strict && granted < call.wanted {
            granted = 0;
        }
        match &terms.rule {
            Rule::Bucket(rule) => self.bucket.debt = gcra(rule, self.bucket.debt, others + held, granted).1,
            Rule::Window(rule) if call.strict => self.window.count(rule, now, granted),
            Rule::Period(_) if call.strict => self.period.used += granted,
            Rule::Window(_) | Rule::Period(_) => {}
        }
        if !call.strict {
            held += granted;
        }
        self.leases.remove(node);
        if held > 0 {
            let entry = Entry {
                amount: held,
                expiry: now + LEASE,
                seq: call.seq,
            };
            self.leases.insert(node.to_owned(), entry);
        }
        self.version += 1;
        Some(self.reply(&terms.rule, now, (granted, kept, others + held)))
    }

    fn pass(&mut self, rule: &Rule, now: u64) {
        match rule {
            Rule::Bucket(rule) => self.bucket.pass(rule, now),
            Rule::Window(rule) => self.window.pass(rule, now),
            Rule::Period(rule) => self.period.pass(rule, now),
        }
    }

    fn raise(&mut self, rule: &Rule, now: u64, call: &Call, held: u64) {
        match rule {
            Rule::Bucket(rule) => self.bucket.debt = self.bucket.debt.max(call.told.min(rule.full_debt())),
            Rule::Window(rule) => {
                let more = call.told.min(rule.max).saturating_sub(self.window.used() + held);
                self.window.count(rule, now, more);
            }
            Rule::Period(_) if call.told_end == self.period.end => {
                self.period.used = self.period.used.max(call.told.saturating_sub(held));
            }
            Rule::Period(_) => {}
        }
    }

    fn left(&self, rule: &Rule, held: u64) -> u64 {
        match rule {
            Rule::Bucket(rule) => rule.left(self.bucket.debt.max(held * rule.interval)),
            Rule::Window(rule) => rule.max.saturating_sub(self.window.used() + held),
            Rule::Period(rule) => rule.max.saturating_sub(self.period.used + held),
        }
    }

    fn reply(&self, rule: &Rule, now: u64, (granted, kept, held): (u64, bool, u64)) -> Reply {
        let (state, again, full) = match rule {
            Rule::Bucket(rule) => {
                let debt = self.bucket.debt;
                (debt, rule.until(debt, 1), bucket::Rule::micros(rule, debt))
            }
            Rule::Window(rule) => {
                let window = &self.window;
                (
                    window.used() + held,
                    window.until_next(rule, now),
                    window.until_empty(rule, now),
                )
            }
            Rule::Period(_) => (
                self.period.used + held,
                self.period.end - now,
                self.period.end - now,
            ),
        };
        Reply {
            granted,
            left: self.left(rule, held),
            again,
            full,
            state,
            version: self.version,
            born: self.born.unwrap_or_default(),
            kept,
            period_end: self.period.end,
        }
    }
}

#[cfg(test)]
mod tests;
