//! What is written to Redis about a budget, and what is read from it: one call, one answer.

use std::sync::atomic::Ordering;

use super::{
    budget::Purse,
    period,
    rule::{Rule, Terms},
    share::{Known, Share},
    window,
};

/// How long a lease lasts after a call, in microseconds. It bounds for how long tokens of a node that died are lost to the
/// others, and for how long a node may spend what it holds when Redis has gone.
pub(super) const LEASE: u64 = 2_000_000;
/// How much earlier a node stops to spend than Redis takes back: more than clocks come apart in a lease.
const LEASE_MARGIN: u64 = 100_000;
/// A lease is for about as long, in microseconds of demand.
const AHEAD: u64 = 100_000;
/// A budget is never leased to one node in fewer parts than these.
const PARTS_MIN: u64 = 10;
/// The shortest pause before a budget that has nothing is asked for again, in microseconds: it keeps what comes in meanwhile.
const DRY_PAUSE: u64 = 20_000;

/// What a node knows of a budget beside its lease.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) known: Known,
    /// What it lets pass by itself, from the first request that Redis was not there for until Redis knows of it.
    pub(super) share: Option<Share>,
    /// The number of the last call.
    seq: u64,
    /// When that was, and how many tokens were held after it.
    called: u64,
    held: u64,
    /// How many tokens are held ahead of use.
    block: u64,
}

/// What one call says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Call {
    /// The number of the call, rising; 0 if the order does not matter.
    pub(super) seq: u64,
    /// How many tokens the node holds.
    pub(super) held: u64,
    /// How many of those it had it gives back.
    pub(super) returned: u64,
    /// How many requests wait for, and how many would be good to have.
    pub(super) need: u64,
    pub(super) wanted: u64,
    /// Whether those are for one request, which takes all or none.
    pub(super) strict: bool,
    /// What the node knows of the budget: it counts where Redis knows less, or when requests have passed without it.
    pub(super) told: u64,
    pub(super) told_version: u64,
    pub(super) told_born: u64,
    pub(super) told_forced: bool,
    pub(super) told_end: u64,
    /// How many requests have passed without Redis: what a quota counts.
    pub(super) own_uses: u64,
}

/// What the answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reply {
    pub(super) granted: u64,
    pub(super) left: u64,
    pub(super) again: u64,
    pub(super) full: u64,
    pub(super) state: u64,
    pub(super) version: u64,
    /// Whether what the node holds is still its.
    pub(super) kept: bool,
    pub(super) period_end: u64,
    /// When the budget was first asked for.
    pub(super) born: u64,
}

impl Call {
    /// As the script reads them. Time 0 is that of Redis.
    pub(super) fn arguments(&self, now: u64, holder: &str, terms: &Terms) -> [String; 20] {
        let flag = |flag: bool| u64::from(flag).to_string();
        let (kind, size, max, shift) = match terms.rule {
            Rule::Bucket(rule) => ("b", rule.interval, rule.burst, rule.shift),
            Rule::Window(rule) => ("w", rule.slot, rule.max, 0),
            Rule::Period(rule) => match rule.unit {
                period::Unit::Day => ("d", 0, rule.max, 0),
                period::Unit::Month => ("m", 0, rule.max, 0),
            },
        };
        let closed = terms.without_redis == flexgate_schemas::rate_limit::OnRedisFailure::Closed;
        [
            now.to_string(),
            holder.to_owned(),
            self.seq.to_string(),
            self.held.to_string(),
            self.returned.to_string(),
            self.need.to_string(),
            self.wanted.to_string(),
            flag(self.strict),
            self.told.to_string(),
            self.told_version.to_string(),
            flag(self.told_forced),
            self.told_end.to_string(),
            self.own_uses.to_string(),
            LEASE.to_string(),
            flag(closed),
            kind.to_owned(),
            size.to_string(),
            max.to_string(),
            shift.to_string(),
            self.told_born.to_string(),
        ]
    }
}

impl Reply {
    /// What the script answers; none if another call of the same lease came before.
    pub(super) fn read(numbers: &[i64]) -> Option<Self> {
        let number = |place: usize| u64::try_from(*numbers.get(place)?).ok();
        Some(Self {
            granted: number(0)?,
            left: number(1)?,
            again: number(2)?,
            full: number(3)?,
            state: number(4)?,
            version: number(5)?,
            kept: number(6)? == 1,
            period_end: number(7)?,
            born: number(8)?,
        })
    }
}

impl Purse {
    /// What to say now. With `gives_back` the lease is given back.
    pub(super) fn call(&self, terms: &Terms, now: u64, gives_back: bool) -> Call {
        let mut desk = self.desk();
        if now >= self.lease.until() {
            self.lease.empty(); // Redis has it for spent, and nobody spends it any more
        }
        let idle = if gives_back { self.lease.empty() } else { 0 };
        let held = self.lease.tokens();
        let awaited = self.awaited.load(Ordering::Relaxed);
        let call = desk.call(
            terms,
            now,
            (held, idle + self.put_back.swap(0, Ordering::Relaxed)),
        );
        let wanted = if gives_back {
            0
        } else {
            desk.block.saturating_sub(held)
        };
        Call {
            need: awaited,
            wanted: wanted.max(awaited),
            ..call
        }
    }

    /// What to say for one request that takes so many tokens now.
    pub(super) fn strict_call(&self, terms: &Terms, now: u64, tokens: u64) -> Call {
        let returned = self.put_back.swap(0, Ordering::Relaxed);
        let call = self.desk().call(terms, now, (0, returned));
        Call {
            seq: 0,
            need: tokens,
            wanted: tokens,
            strict: true,
            ..call
        }
    }

    /// Takes the answer to a call that was made at `asked`.
    pub(super) fn answer(&self, terms: &Terms, (asked, now): (u64, u64), call: &Call, reply: &Reply) {
        let mut desk = self.desk();
        desk.learn(terms, now, call, reply);
        self.left.store(reply.left, Ordering::Relaxed);
        self.full_at.store(now + reply.full, Ordering::Relaxed);
        self.again_at.store(now + reply.again, Ordering::Relaxed);
        if call.strict {
            return;
        }
        if !reply.kept {
            self.lease.empty();
        }
        let fell_short = reply.granted < call.wanted && reply.left == 0;
        let dry_until = if fell_short {
            now + pause(&terms.rule, reply.again)
        } else {
            0
        };
        self.dry_until.store(dry_until, Ordering::Relaxed);
        self.lease.renew(reply.granted, asked + LEASE - LEASE_MARGIN);
        desk.held = self.lease.tokens();
        self.low.store(desk.held / 2, Ordering::Relaxed);
    }

    /// Whether the lease is to be looked after at this time: because it is not used, or ends soon. Whether it is not used.
    pub(super) fn is_due(&self, now: u64, every: u64) -> Option<bool> {
        let desk = self.desk();
        if now.saturating_sub(desk.called) < every {
            return None;
        }
        let held = self.lease.tokens();
        let is_over = desk.held == 0 && held == 0 && self.put_back.load(Ordering::Relaxed) == 0;
        (!is_over).then_some(held == desk.held)
    }

    /// Whether nothing is held, and nothing is to be told.
    pub(super) fn is_settled(&self) -> bool {
        let desk = self.desk();
        desk.held == 0 && self.lease.tokens() == 0 && self.put_back.load(Ordering::Relaxed) == 0
    }
}

impl Desk {
    fn call(&mut self, terms: &Terms, now: u64, (held, returned): (u64, u64)) -> Call {
        self.seq += 1;
        // As many as were used in a tenth of a second, by how fast those of the last lease went.
        let used = self.held.saturating_sub(held + returned);
        let passed = now.saturating_sub(self.called).max(1);
        let most = (terms.rule.max() / PARTS_MIN).max(1);
        self.block = (used.saturating_mul(AHEAD) / passed).clamp(1, most);
        self.called = now;
        self.held = held;
        if let Rule::Window(rule) = &terms.rule {
            self.known.own.pass(rule, now);
            self.known.own.count(rule, now, used);
        }
        let Self { known, share, .. } = self;
        let (told, told_forced, own_uses) = match share {
            // A quota adds up what every node says, the others are told what it comes to.
            Some(share) => {
                let is_quota = matches!(terms.rule, Rule::Period(_));
                (share.state(known, now), !is_quota, share.spent())
            }
            None => (known.state_at(&terms.rule, now), false, 0),
        };
        Call {
            seq: self.seq,
            held,
            returned,
            told,
            told_version: known.version,
            told_born: known.born,
            told_forced,
            told_end: known.period_end,
            own_uses,
            ..Call::default()
        }
    }

    /// Redis knows what was told, and this node what was answered.
    fn learn(&mut self, terms: &Terms, now: u64, call: &Call, reply: &Reply) {
        let mut own = std::mem::take(&mut self.known.own);
        if let Some(share) = self.share.take_if(|share| share.spent() == call.own_uses)
            && let Some(used) = share.own()
        {
            own.clone_from(used);
        }
        if let Rule::Window(rule) = &terms.rule
            && call.strict
        {
            own.count(rule, now, reply.granted);
        }
        self.known = Known {
            at: now,
            state: reply.state,
            left: reply.left,
            version: reply.version,
            born: reply.born,
            period_end: reply.period_end,
            own,
        };
    }
}

/// How long to leave a budget alone that has nothing. As long as it takes until there is one token, or a few if many come
/// fast; never so long that it fills up meanwhile, or that what others give back is not seen.
fn pause(rule: &Rule, again: u64) -> u64 {
    let few = match rule {
        Rule::Bucket(rule) => DRY_PAUSE.min(rule.micros(rule.full_debt() / 4)),
        Rule::Window(_) | Rule::Period(_) => DRY_PAUSE,
    };
    let most = (rule.span() / window::SLOTS).clamp(DRY_PAUSE, 2_000_000);
    again.clamp(few, most.max(few))
}
