//! What may come once only, such as a signature: each node remembers what came to it, and Redis what came to any of them.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::Link;

/// The most that a node remembers: less than 40 MB, and enough for 2,900 signed requests a second. Full: what comes is not
/// known to be new, unless Redis says so.
const MARKS_MAX: usize = 1 << 20;
/// In how many parts, so that cores rarely meet.
const SHARDS: usize = 16;
/// How much longer Redis remembers than this node would: as much as the clocks of nodes may differ.
const CLOCKS: Duration = Duration::from_mins(1);

/// Something that may come once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What it is: evenly spread bits, such as those of a hash.
    pub id: u128,
    /// Until when it could come again, in seconds since 1970. Always the same for the same id.
    pub until: u64,
}

/// How often it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Never before.
    First,
    /// Never before to this node; Redis does not answer.
    FirstHere,
    /// Before.
    Again,
    /// Nobody knows: Redis does not answer, or there is none, and this node remembers as much as it may.
    Unknown,
}

/// What is known at once.
#[derive(Debug)]
pub enum Known {
    /// All there is to know.
    Now(Came),
    /// Redis has to be asked.
    Later(Question),
}

/// Something to ask Redis.
#[derive(Debug)]
pub struct Question {
    answer: oneshot::Receiver<bool>,
    patience: Duration,
    otherwise: Came,
}

impl Question {
    /// What comes of it; never later than a request waits for Redis.
    pub async fn answered(self) -> Came {
        match timeout(self.patience, self.answer).await {
            Ok(Ok(true)) => Came::First,
            Ok(Ok(false)) => Came::Again,
            Ok(Err(_)) | Err(_) => self.otherwise,
        }
    }
}

/// What the lender is asked. Dropped without an answer it says so to whoever waits.
pub(super) struct Remember {
    /// Its key in Redis.
    pub(super) name: Box<str>,
    /// For how long, in milliseconds.
    pub(super) keep: u64,
    /// Told whether it is new.
    pub(super) tell: oneshot::Sender<bool>,
}

/// What a node remembers.
#[derive(Debug)]
pub(super) struct Marks {
    shards: Box<[Mutex<Shard>]>,
    max: usize,
}

/// By the minute in which they end, so that they are forgotten together.
#[derive(Debug, Default)]
struct Shard(BTreeMap<u64, HashSet<u128>>);

impl Marks {
    pub(super) fn new() -> Self {
        Self::of_at_most(MARKS_MAX)
    }

    fn of_at_most(max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            max: max.div_ceil(SHARDS),
        }
    }

    /// Whether it has come, at this time in seconds since 1970. From then on it has.
    pub(super) fn note(&self, mark: Mark, now: u64) -> Came {
        let place = usize::try_from(mark.id % SHARDS as u128).unwrap_or_default();
        let mut shard = self.shards[place].lock().unwrap_or_else(PoisonError::into_inner);
        shard.note(mark, now, self.max)
    }
}

impl Shard {
    fn note(&mut self, Mark { id, until }: Mark, now: u64, max: usize) -> Came {
        let over = |minute: &u64| (minute + 1) * 60 <= now;
        while self.0.first_key_value().is_some_and(|(minute, _)| over(minute)) {
            self.0.pop_first();
        }
        let minute = until / 60;
        if self.0.get(&minute).is_some_and(|marks| marks.contains(&id)) {
            return Came::Again;
        }
        if self.0.values().map(HashSet::len).sum::<usize>() >= max {
            return Came::Unknown;
        }
        self.0.entry(minute).or_default().insert(id);
        Came::First
    }
}

impl Link {
    /// Asks whether something that is new here is so everywhere.
    pub(super) fn first(&self, mark: Mark, here: Came, now: u64) -> Known {
        let otherwise = if here == Came::First {
            Came::FirstHere
        } else {
            here
        };
        if !self.is_up() {
            return Known::Now(otherwise);
        }
        let (tell, answer) = oneshot::channel();
        let left = Duration::from_secs(mark.until.saturating_sub(now)) + CLOCKS;
        let remember = Remember {
            name: format!("{}:signature:{:032x}", self.prefix, mark.id).into(),
            keep: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            tell,
        };
        if self.marks.try_send(remember).is_err() {
            return Known::Now(otherwise);
        }
        Known::Later(Question {
            answer,
            patience: self.patience,
            otherwise,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_is_remembered_until_it_could_not_come_again() {
        let marks = Marks::new();
        let mark = Mark { id: 7, until: 1_000 };
        for (id, now, expected) in [
            (7, 700, Came::First),
            (7, 700, Came::Again),
            (8, 700, Came::First),
            (7, 1_000, Came::Again),
        ] {
            assert_eq!(marks.note(Mark { id, ..mark }, now), expected, "{id} at {now}");
        }
        // Minutes after its end it is not there any more, whoever asks.
        let later = Mark {
            id: 7 + 16,
            until: 2_000,
        };
        marks.note(later, 1_100);
        let shard = marks.shards[7].lock().unwrap();
        assert_eq!(shard.0.values().map(HashSet::len).sum::<usize>(), 1);
    }

    #[test]
    fn a_full_memory_remembers_what_it_has_and_says_that_it_does_not_know_the_rest() {
        let marks = Marks::of_at_most(2 * SHARDS);
        let came = |id: u128, now| marks.note(Mark { id, until: now + 300 }, now);
        let all: Vec<u128> = (0..2 * SHARDS as u128).collect();
        assert!(all.iter().all(|id| came(*id, 0) == Came::First));
        assert!(all.iter().all(|id| came(*id, 0) == Came::Again));
        assert!(all.iter().all(|id| came(id + 1_000, 0) == Came::Unknown));
        assert!(
            all.iter().all(|id| came(id + 1_000, 360) == Came::First),
            "and has room when those are over"
        );
    }
}
