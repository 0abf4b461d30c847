//! A node's share of a budget while Redis does not answer: of what is known to be left, then of what comes in.
//!
//! The share is the budget on a smaller scale: it is in the same state, and only a fraction as large. So it says, when Redis
//! is back, in what state the budget would be if every node had done as this one did. Nobody has to add anything up.

use super::{
    bucket::{self, Bucket, gcra},
    local::{Standing, of_bucket},
    period,
    rule::Rule,
    window::{self, Window},
};

/// What a node knows of a budget from the last answer of Redis.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// When the answer came, in microseconds of the node's clock; 0 if there was none.
    pub(super) at: u64,
    /// The debt of a bucket in ticks, or how many were used or leased.
    pub(super) state: u64,
    /// How many were left for all.
    pub(super) left: u64,
    /// How many answers there were, to anybody, and when the first.
    pub(super) version: u64,
    pub(super) born: u64,
    /// The end of the calendar's span, by the clock of Redis.
    pub(super) period_end: u64,
    /// What this node itself used of a sliding window.
    pub(super) own: Window,
}

/// What a node may let pass by itself.
#[derive(Debug)]
pub(super) struct Share {
    /// In how many parts the budget was divided.
    nodes: u64,
    /// How many it has let pass.
    spent: u64,
    counted: Counted,
}

#[derive(Debug)]
enum Counted {
    Bucket(bucket::Rule, Bucket),
    Window {
        rule: window::Rule,
        /// When the sharing began.
        since: u64,
        /// The most that this node may have in its window at first: what it had, and its share of what was left.
        first: u64,
        own: Window,
    },
    Period {
        rule: period::Rule,
        end: u64,
        left: u64,
    },
}

impl Known {
    /// The state now, if nobody has used anything since.
    pub(super) fn state_at(&self, rule: &Rule, now: u64) -> u64 {
        let passed = now.saturating_sub(self.at);
        match rule {
            _ if self.at == 0 => 0,
            Rule::Bucket(rule) => self.state.saturating_sub(rule.ticks(passed)),
            Rule::Window(rule) if passed > (window::SLOTS + 1) * rule.slot => 0,
            Rule::Window(_) | Rule::Period(_) => self.state,
        }
    }
}

impl Share {
    /// The share of one of so many nodes, from now on.
    pub(super) fn of(rule: &Rule, known: &Known, nodes: u64, now: u64) -> Self {
        let nodes = nodes.max(1);
        let counted = match rule {
            Rule::Bucket(whole) => {
                let part = bucket::Rule {
                    interval: whole.interval * nodes,
                    burst: (whole.burst / nodes).max(1),
                    ..*whole
                };
                // A part that is no whole number of tokens is rounded down: the debt that is left is what fits.
                let debt = known.state_at(rule, now).min(part.full_debt());
                Counted::Bucket(part, Bucket { debt, at: now })
            }
            Rule::Window(rule) => {
                let mut own = known.own.clone();
                own.pass(rule, now);
                let left = if known.at == 0 { rule.max } else { known.left };
                Counted::Window {
                    rule: *rule,
                    since: now,
                    first: own.used() + left / nodes,
                    own,
                }
            }
            Rule::Period(rule) => {
                let is_over = now >= known.period_end;
                Counted::Period {
                    rule: *rule,
                    end: if is_over {
                        rule.unit.end(now)
                    } else {
                        known.period_end
                    },
                    left: if is_over { rule.max } else { known.left } / nodes,
                }
            }
        };
        Self {
            nodes,
            spent: 0,
            counted,
        }
    }

    /// Takes so many tokens, all or none; whether it did, and where that leaves it.
    pub(super) fn take(&mut self, now: u64, tokens: u64) -> (bool, Standing) {
        let (enough, standing) = match &mut self.counted {
            Counted::Bucket(rule, bucket) => {
                bucket.pass(rule, now);
                let tokens = tokens.min(rule.burst);
                let (granted, debt) = gcra(rule, bucket.debt, 0, tokens);
                let enough = granted == tokens;
                if enough {
                    bucket.debt = debt;
                }
                (
                    enough,
                    of_bucket(rule, bucket.debt, if enough { 1 } else { tokens }),
                )
            }
            Counted::Window {
                rule,
                since,
                first,
                own,
            } => {
                own.pass(rule, now);
                // After a whole window nobody has anything in it that the others do not expect; after a second one that
                // holds of those, too, who had more than their part in the first.
                let window = (window::SLOTS + 1) * rule.slot;
                let even = rule.max / self.nodes;
                let most = match now.saturating_sub(*since) / window {
                    0 => *first,
                    1 => even.min(*first),
                    _ => even,
                };
                let enough = own.used() + tokens <= most;
                if enough {
                    own.count(rule, now, tokens);
                }
                let standing = Standing {
                    remaining: most.saturating_sub(own.used()),
                    full: own.until_empty(rule, now),
                    again: own.until_next(rule, now).max(rule.slot),
                };
                (enough, standing)
            }
            Counted::Period { rule, end, left } => {
                if now >= *end {
                    (*end, *left) = (rule.unit.end(now), rule.max / self.nodes);
                }
                let enough = *left >= tokens;
                if enough {
                    *left -= tokens;
                }
                let standing = Standing {
                    remaining: *left,
                    full: *end - now,
                    again: *end - now,
                };
                (enough, standing)
            }
        };
        if enough {
            self.spent += tokens;
        }
        (enough, standing)
    }

    /// How many it has let pass.
    pub(super) fn spent(&self) -> u64 {
        self.spent
    }

    /// So many were let pass without asking it.
    pub(super) fn overrun(&mut self, now: u64, tokens: u64) {
        self.spent += tokens;
        match &mut self.counted {
            Counted::Bucket(rule, bucket) => {
                bucket.pass(rule, now);
                bucket.debt = (bucket.debt + tokens.saturating_mul(rule.interval)).min(rule.full_debt());
            }
            Counted::Window { rule, own, .. } => {
                own.pass(rule, now);
                own.count(rule, now, tokens);
            }
            Counted::Period { left, .. } => *left = left.saturating_sub(tokens),
        }
    }

    /// In what state the whole budget would be now.
    pub(super) fn state(&mut self, known: &Known, now: u64) -> u64 {
        match &mut self.counted {
            Counted::Bucket(rule, bucket) => {
                bucket.pass(rule, now);
                bucket.debt
            }
            Counted::Window { rule, own, .. } => {
                own.pass(rule, now);
                let known = known.state_at(&Rule::Window(*rule), now);
                known.max((own.used() * self.nodes).min(rule.max))
            }
            Counted::Period { .. } => known.state,
        }
    }

    /// What it used of a sliding window.
    pub(super) fn own(&self) -> Option<&Window> {
        match &self.counted {
            Counted::Window { own, .. } => Some(own),
            Counted::Bucket(..) | Counted::Period { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn takes(share: &mut Share, now: u64) -> u64 {
        let mut taken = 0;
        while share.take(now, 1).0 {
            taken += 1;
        }
        taken
    }

    #[test]
    fn what_is_left_is_shared_and_then_what_comes_in() {
        let rule = Rule::Bucket(bucket::Rule::new(90, 9 * SECOND, 90));
        let Rule::Bucket(bucket) = rule else { return };
        let known = Known {
            at: SECOND,
            state: bucket.interval * 60,
            left: 30,
            ..Known::default()
        };
        let mut share = Share::of(&rule, &known, 3, SECOND);
        assert_eq!(takes(&mut share, SECOND), 10);
        assert_eq!(takes(&mut share, 4 * SECOND), 10, "30 came in for three nodes");
        assert_eq!(
            takes(&mut share, 99 * SECOND),
            30,
            "no more than a third, however long it takes"
        );
        assert_eq!(share.spent(), 50);
        assert_eq!(bucket.left(share.state(&known, 99 * SECOND)), 0);
        assert_eq!(bucket.left(share.state(&known, 102 * SECOND)), 30);
    }

    #[test]
    fn a_budget_that_nobody_has_asked_for_is_full() {
        let rule = Rule::Bucket(bucket::Rule::new(10, SECOND, 10));
        assert_eq!(takes(&mut Share::of(&rule, &Known::default(), 3, 5), 5), 3);
        assert_eq!(
            takes(&mut Share::of(&rule, &Known::default(), 20, 5), 5),
            1,
            "one at least"
        );
    }

    #[test]
    fn a_share_of_a_window_never_makes_the_whole_too_large() {
        let rule = Rule::Window(window::Rule::new(90, SECOND));
        let Rule::Window(window) = rule else { return };
        let now = 100 * SECOND;
        let known = |own: u64| {
            let mut known = Known {
                at: now,
                state: 60,
                left: 30,
                ..Known::default()
            };
            known.own.count(&window, now, own);
            known
        };
        let mut all: Vec<_> = [60, 0, 0].map(|own| Share::of(&rule, &known(own), 3, now)).into();
        let mut passed: Vec<_> = vec![now; 60];
        for now in (now..now + 5 * SECOND).step_by(10_000) {
            for share in &mut all {
                for _ in 0..takes(share, now) {
                    passed.push(now);
                }
            }
        }
        for (first, last) in passed.iter().zip(passed.iter().skip(90)) {
            assert!(last - first >= SECOND, "{first} {last}");
        }
        let late = passed.iter().filter(|time| **time >= now + 3 * SECOND).count();
        assert!(late >= 150, "{late} in two seconds");
    }

    #[test]
    fn a_share_of_a_quota_is_a_part_of_what_is_left_of_it() {
        let rule = Rule::Period(period::Rule {
            max: 90,
            unit: period::Unit::Day,
        });
        let end = period::Unit::Day.end(5);
        let known = Known {
            at: 5,
            state: 60,
            left: 30,
            period_end: end,
            ..Known::default()
        };
        let mut share = Share::of(&rule, &known, 3, 5);
        assert_eq!(takes(&mut share, 5), 10);
        assert_eq!(takes(&mut share, end), 30);
    }
}
