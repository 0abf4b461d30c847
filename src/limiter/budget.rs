//! A budget as a node has it: by itself, or as a lease of what all nodes share.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use flexgate_schemas::rate_limit::OnRedisFailure;
use tokio::sync::{Notify, oneshot};

use super::{
    Link,
    desk::Desk,
    lease::Lease,
    local::{Local, Standing},
    rule::Terms,
    share::Share,
};

/// So many requests for somebody. Belongs to who is limited and the limit's numbers, and outlives every edit of anything else.
pub struct Budget {
    /// Its key in Redis.
    pub(super) name: Box<str>,
    pub(super) terms: Terms,
    /// When somebody last took of it, in microseconds of the node's clock.
    pub(super) seen: AtomicU64,
    counts: Counts,
}

enum Counts {
    Alone(Local),
    Shared(Box<Purse>),
}

/// What a node has of a budget that all nodes share.
#[derive(Debug)]
pub(super) struct Purse {
    pub(super) link: Arc<Link>,
    /// Tells this one from those of other nodes, and from earlier ones of this node.
    pub(super) holder: Box<str>,
    pub(super) lease: Lease,
    /// With fewer tokens than this Redis is asked for more.
    pub(super) low: AtomicU64,
    /// Whether it waits to be asked about, or is.
    pub(super) asked: AtomicBool,
    /// Whether the lender looks after it.
    pub(super) watched: AtomicBool,
    /// There is nothing more before this time.
    pub(super) dry_until: AtomicU64,
    /// What all nodes together had left at the last answer, beside what is leased.
    pub(super) left: AtomicU64,
    /// When there is one more, and when all are there, if nobody takes any.
    pub(super) again_at: AtomicU64,
    pub(super) full_at: AtomicU64,
    /// How many tokens requests wait for.
    pub(super) awaited: AtomicU64,
    /// Tokens that were taken and not used after all.
    pub(super) put_back: AtomicU64,
    /// Told of every answer, and of every failure.
    pub(super) answered: Notify,
    /// Whatever only an answer or an outage needs.
    pub(super) desk: Mutex<Desk>,
}

/// What becomes of a request, as far as one budget is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It passes.
    Yes(Standing),
    /// There is nothing left for it.
    No(Standing),
    /// Redis does not answer, and nothing passes without it.
    Unavailable,
    /// Redis must be asked: see [`Budget::wait`].
    Later,
}

impl Budget {
    /// One that this node shares with nobody.
    pub(super) fn alone(name: Box<str>, terms: Terms, epoch: u64) -> Self {
        Self {
            name,
            terms,
            seen: AtomicU64::new(epoch),
            counts: Counts::Alone(Local::new(terms.rule, epoch)),
        }
    }

    /// One that all nodes share.
    pub(super) fn shared(name: Box<str>, terms: Terms, link: &Arc<Link>, epoch: u64) -> Self {
        let purse = Purse {
            link: Arc::clone(link),
            holder: link.next_holder(),
            lease: Lease::default(),
            low: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            dry_until: AtomicU64::new(0),
            left: AtomicU64::new(terms.rule.max()),
            again_at: AtomicU64::new(0),
            full_at: AtomicU64::new(0),
            awaited: AtomicU64::new(0),
            put_back: AtomicU64::new(0),
            answered: Notify::new(),
            desk: Mutex::default(),
        };
        Self {
            name,
            terms,
            seen: AtomicU64::new(epoch),
            counts: Counts::Shared(Box::new(purse)),
        }
    }

    /// Takes so many tokens for a request that came at this time, all or none. What costs more than there ever is costs all.
    pub fn take(self: &Arc<Self>, now: u64, tokens: u64) -> Taken {
        let tokens = tokens.min(self.terms.rule.max());
        // Idle ones are looked for now and then; a line of memory that all cores write is not free.
        if now > self.seen.load(Ordering::Relaxed) + SEEN_EXACT_TO {
            self.seen.store(now, Ordering::Relaxed);
        }
        match &self.counts {
            Counts::Alone(local) => match local.take(now, tokens) {
                (true, standing) => Taken::Yes(standing),
                (false, standing) => Taken::No(standing),
            },
            Counts::Shared(purse) => self.take_shared(purse, now, tokens),
        }
    }

    fn take_shared(self: &Arc<Self>, purse: &Purse, now: u64, tokens: u64) -> Taken {
        let up = purse.link.is_up();
        if self.terms.strict && up {
            return Taken::Later;
        }
        if let Some(left) = purse.lease.spend(now, tokens) {
            let low = left < purse.low.load(Ordering::Relaxed);
            if low && up && now >= purse.dry_until.load(Ordering::Relaxed) {
                self.ask(purse);
            }
            return Taken::Yes(purse.standing(now, left));
        }
        if !up {
            return self.without_redis(now, tokens);
        }
        if now < purse.dry_until.load(Ordering::Relaxed) {
            return Taken::No(purse.standing(now, 0));
        }
        Taken::Later
    }

    /// Whether nothing can be taken now, as far as is known without taking anything.
    pub fn is_dry(&self, now: u64, tokens: u64) -> Option<Standing> {
        let Counts::Shared(purse) = &self.counts else {
            return None;
        };
        let dry = !self.terms.strict
            && now < purse.dry_until.load(Ordering::Relaxed)
            && purse.lease.tokens() < tokens.min(self.terms.rule.max())
            && purse.link.is_up();
        dry.then(|| purse.standing(now, 0))
    }

    /// Puts back what was taken a moment ago for a request that did not pass.
    pub fn put_back(&self, tokens: u64) {
        let tokens = tokens.min(self.terms.rule.max());
        match &self.counts {
            Counts::Alone(local) => local.put_back(tokens),
            // Not into the lease: what Redis was told meanwhile has it as spent. The next call tells otherwise.
            Counts::Shared(purse) => drop(purse.put_back.fetch_add(tokens, Ordering::Relaxed)),
        }
    }

    /// Takes tokens when Redis has answered, or decides without it when that takes too long. To be dropped at any time.
    pub async fn wait(self: Arc<Self>, tokens: u64) -> Taken {
        let tokens = tokens.min(self.terms.rule.max());
        let Counts::Shared(purse) = &self.counts else {
            return self.take(0, tokens); // which never waits
        };
        let patience = purse.link.patience;
        let answer = if self.terms.strict {
            tokio::time::timeout(patience, self.strictly(purse, tokens)).await
        } else {
            tokio::time::timeout(patience, self.answered(purse, tokens)).await
        };
        answer.unwrap_or_else(|_elapsed| {
            purse.link.count_fallback();
            self.without_redis(purse.link.clock.now(), tokens)
        })
    }

    async fn answered(self: &Arc<Self>, purse: &Purse, tokens: u64) -> Taken {
        purse.awaited.fetch_add(tokens, Ordering::Relaxed);
        let _no_more = Awaiting(&purse.awaited, tokens);
        loop {
            let mut answered = std::pin::pin!(purse.answered.notified());
            answered.as_mut().enable(); // so that no answer comes between the look and the wait
            match self.take_shared(purse, purse.link.clock.now(), tokens) {
                Taken::Later => self.ask(purse),
                taken => return taken,
            }
            answered.await;
        }
    }

    async fn strictly(self: &Arc<Self>, purse: &Purse, tokens: u64) -> Taken {
        let (tell, answer) = oneshot::channel();
        if purse.link.ask_strictly(self, tokens, tell)
            && let Ok(taken) = answer.await
        {
            return taken;
        }
        self.without_redis(purse.link.clock.now(), tokens)
    }

    /// Asks Redis for more, unless that is under way.
    fn ask(self: &Arc<Self>, purse: &Purse) {
        if !purse.asked.swap(true, Ordering::AcqRel) && !purse.link.ask(self) {
            purse.asked.store(false, Ordering::Release);
        }
    }

    /// What holds while Redis does not answer.
    fn without_redis(self: &Arc<Self>, now: u64, tokens: u64) -> Taken {
        let Counts::Shared(purse) = &self.counts else {
            return Taken::Unavailable; // nobody asks: who is alone needs no Redis
        };
        if self.terms.without_redis == OnRedisFailure::Closed {
            return Taken::Unavailable;
        }
        let mut desk = purse.desk();
        let Desk { known, share, .. } = &mut *desk;
        let nodes = purse.link.nodes();
        let share = share.get_or_insert_with(|| {
            purse.link.is_by_itself(self);
            Share::of(&self.terms.rule, known, nodes, now)
        });
        if self.terms.without_redis == OnRedisFailure::Open {
            share.overrun(now, tokens);
            return Taken::Yes(Standing {
                remaining: self.terms.rule.max(),
                full: 0,
                again: 0,
            });
        }
        match share.take(now, tokens) {
            (true, standing) => Taken::Yes(standing),
            (false, standing) => Taken::No(standing),
        }
    }

    /// What is shared of it, if it is.
    pub(super) fn purse(&self) -> Option<&Purse> {
        match &self.counts {
            Counts::Alone(_) => None,
            Counts::Shared(purse) => Some(purse),
        }
    }

    /// For how long it must still be remembered, in microseconds, and 0 if nobody would notice.
    pub(super) fn worth(&self, now: u64) -> u64 {
        match &self.counts {
            Counts::Alone(local) => local.until_full(now),
            // Redis remembers; what is leased is given back by whoever looks after leases.
            Counts::Shared(purse) => u64::from(purse.asked.load(Ordering::Relaxed)),
        }
    }
}

/// How exactly it is known when a budget was last used, in microseconds.
const SEEN_EXACT_TO: u64 = 100_000;

impl Purse {
    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the budget of all nodes stands, as far as it is known here, with so many tokens still leased.
    fn standing(&self, now: u64, leased: u64) -> Standing {
        let until = |time: &AtomicU64| time.load(Ordering::Relaxed).saturating_sub(now);
        Standing {
            remaining: self.left.load(Ordering::Relaxed) + leased,
            full: until(&self.full_at),
            again: until(&self.again_at),
        }
    }
}

/// A request that waits, until it does no more.
struct Awaiting<'a>(&'a AtomicU64, u64);

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Budget({})", self.name)
    }
}
