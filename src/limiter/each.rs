//! Budgets that each key, each address, or each pair of them has of its own. Bounded, since who sends requests decides how
//! many there are.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, DefaultHasher, Hasher as _, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::budget::Budget;

/// The most of them on a node: about 60 MB. Beyond that a new one takes the place of the one that was left alone longest of
/// a few; whoever had that begins anew, unless Redis remembers it.
pub(super) const BUDGETS_MAX: usize = 100_000;
/// In how many parts they are kept, so that cores rarely meet.
const SHARDS: usize = 64;
/// How many are looked at for each new one, to find some that nobody would miss. Those that are there and used are looked
/// at again and again, so that what is not goes sooner than new ones come.
const LOOKS: usize = 8;
/// How long one is kept that nobody would miss, in microseconds.
const IDLE: u64 = 5_000_000;

/// Who is limited, by a hash of 128 bits under keys that nobody outside knows.
type Who = u128;

/// All of them.
#[derive(Debug)]
pub(super) struct Each {
    keys: [RandomState; 2],
    shards: Box<[Mutex<Shard>]>,
    count: AtomicUsize,
    max: usize,
}

#[derive(Debug, Default)]
struct Shard {
    budgets: HashMap<Who, Arc<Budget>, PassedOn>,
    /// The order in which places are offered.
    hand: VecDeque<Who>,
}

/// What all budgets of a limit have in common, hashed so far.
#[derive(Debug, Clone)]
pub(super) struct Limit([DefaultHasher; 2]);

impl Limit {
    /// Those of a key, of a network, or of one in the other.
    fn who(&self, key: Option<&str>, network: Option<u128>) -> Who {
        // Of a fixed length, so that nothing that follows can be taken for a part of it.
        let mut fixed = [0; 17];
        fixed[..16].copy_from_slice(&network.unwrap_or_default().to_be_bytes());
        fixed[16] = u8::from(key.is_some()) << 1 | u8::from(network.is_some());
        let [high, low] = [0, 1].map(|half| {
            let mut hasher = self.0[half].clone();
            hasher.write(&fixed);
            hasher.write(key.unwrap_or_default().as_bytes());
            u128::from(hasher.finish())
        });
        high << 64 | low
    }
}

impl Each {
    /// At most so many.
    pub(super) fn new(max: usize) -> Self {
        Self {
            keys: [RandomState::new(), RandomState::new()],
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            count: AtomicUsize::new(0),
            max: max.div_ceil(SHARDS),
        }
    }

    /// Those of a limit that is called this.
    pub(super) fn limit(&self, name: &str) -> Limit {
        let hashed = |half: usize| {
            let mut hasher = self.keys[half].build_hasher();
            hasher.write(name.as_bytes());
            hasher.write_u8(0xff); // which is in no text
            hasher
        };
        Limit([0, 1].map(hashed))
    }

    /// Somebody's budget, made now if there is none.
    pub(super) fn of(
        &self,
        limit: &Limit,
        (key, network): (Option<&str>, Option<u128>),
        now: u64,
        make: impl FnOnce() -> Budget,
    ) -> Arc<Budget> {
        let who = limit.who(key, network);
        let place = usize::try_from(who % SHARDS as u128).unwrap_or_default();
        let mut shard = self.shards[place].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = shard.budgets.get(&who) {
            return Arc::clone(budget);
        }
        let before = shard.budgets.len();
        shard.make_room(now, self.max);
        // One is added, and some may have gone: wraps around to what it should be.
        let change = shard.budgets.len().wrapping_add(1).wrapping_sub(before);
        self.count.fetch_add(change, Ordering::Relaxed);
        let budget = Arc::new(make());
        shard.budgets.insert(who, Arc::clone(&budget));
        shard.hand.push_back(who);
        budget
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Shard {
    /// Forgets those of a few that are as if they had never been used, and if there are too many, one at least.
    fn make_room(&mut self, now: u64, max: usize) {
        let mut kept: [Option<(u64, Who)>; LOOKS] = [None; LOOKS];
        for place in &mut kept {
            let Some(who) = self.hand.pop_front() else { break };
            let Some(budget) = self.budgets.get(&who) else {
                continue;
            };
            let seen = budget.seen.load(Ordering::Relaxed);
            if now.saturating_sub(seen) >= IDLE && budget.worth(now) == 0 {
                self.budgets.remove(&who);
            } else {
                *place = Some((seen, who));
            }
        }
        if self.budgets.len() >= max
            && let Some(oldest) = kept.iter_mut().filter(|place| place.is_some()).min()
            && let Some((_, who)) = oldest.take()
        {
            self.budgets.remove(&who);
        }
        self.hand.extend(kept.into_iter().flatten().map(|(_, who)| who));
    }
}

/// The key is a hash already.
#[derive(Debug, Clone, Copy, Default)]
struct PassedOn;

/// See [`PassedOn`].
#[derive(Debug, Default)]
struct Passing(u64);

impl BuildHasher for PassedOn {
    type Hasher = Passing;
    fn build_hasher(&self) -> Passing {
        Passing(0)
    }
}

impl std::hash::Hasher for Passing {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u128(&mut self, who: u128) {
        self.0 = u64::try_from(who >> 64).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use flexgate_schemas::RateLimit;

    use super::*;
    use crate::limiter::{budget::Taken, rule::Terms};

    fn terms() -> Terms {
        let json = r#"{"requests":1,"window":"1s"}"#;
        Terms::of(&serde_json::from_str::<RateLimit>(json).unwrap())
    }

    fn address(each: &Each, number: u128, now: u64) -> Arc<Budget> {
        each.of(&each.limit("a"), (None, Some(number)), now, || {
            Budget::alone("a".into(), terms(), 0)
        })
    }

    #[test]
    fn whoever_differs_in_anything_has_another_budget() {
        let each = Each::new(10_000);
        let limits = ["a", "ab"].map(|name| each.limit(name));
        let owners = [
            (None, None),
            (Some(""), None),
            (Some("b"), None),
            (None, Some(0)),
            (None, Some(1)),
            (Some("b"), Some(1)),
        ];
        for limit in &limits {
            for owner in owners {
                let made = || Budget::alone("a".into(), terms(), 0);
                let taken = each.of(limit, owner, 1, made).take(1, 1);
                assert!(matches!(taken, Taken::Yes(_)), "{owner:?}");
            }
        }
        assert_eq!(each.count(), limits.len() * owners.len());
    }

    #[test]
    fn everybody_has_an_own_budget_and_keeps_it() {
        let each = Each::new(10_000);
        for number in 0..1000 {
            assert!(matches!(address(&each, number, 1).take(1, 1), Taken::Yes(_)));
        }
        for number in 0..1000 {
            assert!(matches!(address(&each, number, 1).take(1, 1), Taken::No(_)));
        }
        assert_eq!(each.count(), 1000);
    }

    #[test]
    fn there_are_never_too_many_and_those_that_nobody_would_miss_go() {
        let each = Each::new(64 * 16);
        for number in 0..100_000 {
            let _taken = address(&each, number, 1).take(1, 1);
        }
        assert_eq!(each.count(), 64 * 16);
        let later = 1 + IDLE;
        for number in 0..10_000 {
            let _budget = address(&each, number % 8, later);
        }
        assert!(each.count() > 8, "only new ones look for old ones");
        for number in 0..1000u64 {
            let _budget = address(&each, 1_000_000 + u128::from(number), later + IDLE * number);
        }
        assert!(each.count() < 100, "{}", each.count());
    }
}
