//! How many requests may pass: budgets of one node, or of all of them together through Redis.
//!
//! A node takes tokens from Redis ahead of use, as a lease, so that a request waits for nobody. `bucket`, `window` and `period`
//! are the three ways to count, pure and in whole numbers; `ledger.lua` is the one place where all nodes meet; `budget` is what
//! a request asks, `lender` the one task that speaks with Redis.

pub mod bucket;
mod budget;
mod clock;
mod desk;
mod each;
mod lease;
#[cfg(test)]
mod ledger;
mod lender;
mod local;
mod once;
pub mod period;
mod rule;
mod share;
pub mod window;
mod wish;

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

pub use self::{
    budget::{Budget, Taken},
    lender::{Lender, LenderError},
    local::Standing,
    once::{Came, Known, Mark, Question},
    rule::{Rule, Terms},
};
use self::{
    clock::Clock,
    each::{BUDGETS_MAX, Each, Limit},
    once::{Marks, Remember},
    wish::Wish,
};

/// How many budgets, and how many marks, wait to be asked about. Full: requests decide without Redis.
const WISHES_MAX: usize = 4096;
/// How long a request waits for Redis. The lender knows sooner when Redis is gone; this is for when the lender is not heard.
const PATIENCE: Duration = Duration::from_millis(75);

/// All budgets of a node. Clones share them.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    clock: Clock,
    link: Option<Arc<Link>>,
    /// Those of all requests of a limit together, by name, as long as a limit has them.
    common: Mutex<HashMap<Box<str>, Weak<Budget>>>,
    each: Each,
    marks: Marks,
}

/// Whom a budget is for, beside the limit that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Whom<'a> {
    /// The key's id.
    pub key: Option<&'a str>,
    /// The client's address; in IPv6 its /64 counts.
    pub address: Option<IpAddr>,
}

/// The budgets of a limit that each key, each address, or each pair of them has of its own.
#[derive(Debug)]
pub struct Budgets {
    limiter: Limiter,
    limit: Limit,
    name: Box<str>,
    terms: Terms,
}

impl Budgets {
    /// Somebody's, made now if there is none.
    pub fn of(&self, whom: Whom<'_>, now: u64) -> Arc<Budget> {
        let owner = (whom.key, whom.address.map(network));
        self.limiter.0.each.of(&self.limit, owner, now, || {
            let mut name = String::from(&*self.name);
            if let Some(key) = whom.key {
                name.extend([":k:", key]);
            }
            if let Some(address) = whom.address {
                let network = Ipv6Addr::from_bits(network(address));
                name.extend([":a:", &network.to_canonical().to_string()]);
            }
            self.limiter.make(&named(&name, &self.terms), self.terms)
        })
    }
}

/// What requests and the lender share.
pub(crate) struct Link {
    clock: Clock,
    prefix: Box<str>,
    /// This start of this node.
    node: Box<str>,
    holders: AtomicU64,
    up: AtomicBool,
    /// How many nodes there are, as far as is known.
    nodes: Arc<AtomicUsize>,
    wishes: mpsc::Sender<Wish>,
    marks: mpsc::Sender<Remember>,
    patience: Duration,
    fallbacks: AtomicU64,
    /// Budgets that this node has shared out by itself, of which Redis is to be told. No more than there are budgets.
    by_itself: Mutex<Vec<Arc<Budget>>>,
}

impl Limiter {
    /// One whose budgets are this node's alone.
    pub fn alone() -> Self {
        Self(Arc::new(Inner {
            clock: Clock::new(),
            link: None,
            common: Mutex::default(),
            each: Each::new(BUDGETS_MAX),
            marks: Marks::new(),
        }))
    }

    /// One whose budgets all nodes share, and what speaks with Redis for it. `node` names this start of this node; keys in
    /// Redis begin with `prefix`; `nodes` says by how many a budget is divided while Redis does not answer.
    pub fn shared(
        url: &str,
        prefix: &str,
        node: &str,
        nodes: Arc<AtomicUsize>,
    ) -> Result<(Self, Lender), LenderError> {
        let clock = Clock::new();
        let (wishes, asked) = mpsc::channel(WISHES_MAX);
        let (marks, noted) = mpsc::channel(WISHES_MAX);
        let link = Arc::new(Link {
            clock,
            prefix: prefix.into(),
            node: node.into(),
            holders: AtomicU64::new(0),
            up: AtomicBool::new(false),
            nodes,
            wishes,
            marks,
            patience: PATIENCE,
            fallbacks: AtomicU64::new(0),
            by_itself: Mutex::default(),
        });
        let limiter = Self(Arc::new(Inner {
            clock,
            link: Some(Arc::clone(&link)),
            common: Mutex::default(),
            each: Each::new(BUDGETS_MAX),
            marks: Marks::new(),
        }));
        let lender = Lender::new(url, link, (asked, noted))?;
        Ok((limiter, lender))
    }

    /// The time of a moment, as budgets take it.
    pub fn at(&self, moment: Instant) -> u64 {
        self.0.clock.at(moment)
    }

    /// The budget of all requests of a limit together. The same one for the same name and terms, for as long as somebody
    /// has it: an edit of something else does not fill it up.
    pub fn common(&self, name: &str, terms: Terms) -> Arc<Budget> {
        let name = named(name, &terms);
        let mut common = self.0.common.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = common.get(&*name).and_then(Weak::upgrade) {
            return budget;
        }
        common.retain(|_, budget| budget.strong_count() > 0);
        let budget = Arc::new(self.make(&name, terms));
        common.insert(name, Arc::downgrade(&budget));
        budget
    }

    /// The budgets of a limit that each key or address has of its own.
    pub fn each(&self, limit: &str, terms: Terms) -> Budgets {
        Budgets {
            limiter: self.clone(),
            limit: self.0.each.limit(limit),
            name: limit.into(),
            terms,
        }
    }

    /// Whether something comes for the first time, to any node if they share, at this time in seconds since 1970. From then on
    /// it has come.
    pub fn first(&self, mark: Mark, now: u64) -> Known {
        let here = self.0.marks.note(mark, now);
        match &self.0.link {
            Some(link) if here != Came::Again => link.first(mark, here, now),
            _ => Known::Now(here),
        }
    }

    /// How many budgets there are of single keys and addresses.
    pub fn count(&self) -> usize {
        self.0.each.count()
    }

    /// How often a request was decided without Redis although there is one.
    pub fn fallbacks(&self) -> u64 {
        self.0
            .link
            .as_ref()
            .map_or(0, |link| link.fallbacks.load(Ordering::Relaxed))
    }

    /// Whether budgets are shared, and Redis answers.
    pub fn is_up(&self) -> Option<bool> {
        self.0.link.as_ref().map(|link| link.is_up())
    }

    fn make(&self, name: &str, terms: Terms) -> Budget {
        match &self.0.link {
            None => Budget::alone(name.into(), terms, self.0.clock.epoch),
            Some(link) => {
                let name = format!("{}:limit:{name}", link.prefix).into();
                Budget::shared(name, terms, link, self.0.clock.epoch)
            }
        }
    }
}

/// A limit with other numbers is another budget: nodes that know the one and nodes that know the other must not count in
/// each other's units.
fn named(name: &str, terms: &Terms) -> Box<str> {
    let numbers = match terms.rule {
        Rule::Bucket(rule) => format!("b{}.{}.{}", rule.interval, rule.burst, rule.shift),
        Rule::Window(rule) => format!("w{}.{}", rule.slot, rule.max),
        Rule::Period(rule) => format!("{}{}", rule.unit.seconds(), rule.max),
    };
    format!("{name}:{numbers}").into()
}

/// As many bits of an address as a client cannot choose: in IPv6 a host has all addresses of its /64.
pub(crate) fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & (!0 << 64),
    }
}

impl Link {
    fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// By how many a budget is divided.
    fn nodes(&self) -> u64 {
        u64::try_from(self.nodes.load(Ordering::Relaxed))
            .unwrap_or(1)
            .max(1)
    }

    fn next_holder(&self) -> Box<str> {
        let number = self.holders.fetch_add(1, Ordering::Relaxed);
        format!("{}.{number}", self.node).into()
    }

    fn ask(&self, budget: &Arc<Budget>) -> bool {
        self.wishes.try_send(Wish::Lease(Arc::clone(budget))).is_ok()
    }

    fn ask_strictly(&self, budget: &Arc<Budget>, tokens: u64, tell: oneshot::Sender<Taken>) -> bool {
        let budget = Arc::clone(budget);
        self.wishes
            .try_send(Wish::Strict { budget, tokens, tell })
            .is_ok()
    }

    /// This node has begun to share out this budget by itself.
    fn is_by_itself(&self, budget: &Arc<Budget>) {
        let mut budgets = self.by_itself.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.push(Arc::clone(budget));
    }

    /// Those of which Redis has not been told.
    fn untold(&self) -> Vec<Arc<Budget>> {
        std::mem::take(&mut *self.by_itself.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count_fallback(&self) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Link({}, up: {})", self.prefix, self.is_up())
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Limiter({:?}, {} budgets)", self.0.link, self.count())
    }
}
