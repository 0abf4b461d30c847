//! The keys that a provider publishes, as the cores see them: fetched by somebody else, asked for when one is missing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use flexgate_schemas::{UpstreamUrl, tokens::TokenAlgorithm};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::key::Keys;

/// How long at least lies between two fetches from the same place, whoever asks for them.
pub(in crate::gateway) const FETCH_PAUSE: Duration = Duration::from_secs(10);
/// How long a request waits for keys that are being fetched.
const PATIENCE: Duration = Duration::from_secs(2);

/// What lies between the cores, which miss keys, and the one who fetches them.
#[derive(Debug)]
pub(in crate::gateway) struct FetchDesk {
    /// Wakes the one who fetches.
    pub(super) wake: Notify,
    /// How long at least lies between two fetches from the same place.
    pub(super) pause: Duration,
}

impl FetchDesk {
    pub(in crate::gateway) fn new(pause: Duration) -> Self {
        Self {
            wake: Notify::new(),
            pause,
        }
    }

    /// Others may have to be fetched from now on.
    pub(in crate::gateway) fn wake(&self) {
        self.wake.notify_one();
    }
}

/// The keys that are published in one place.
#[derive(Debug)]
pub(super) struct PublishedKeys {
    pub(super) url: UpstreamUrl,
    pub(super) algorithms: Box<[TokenAlgorithm]>,
    /// None until they were fetched for the first time. Afterwards never none again: old keys are better than none.
    keys: ArcSwapOption<Keys>,
    rounds: watch::Sender<Rounds>,
    desk: Arc<FetchDesk>,
}

/// How far fetching has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rounds {
    /// How many fetches are over, well or not.
    over: u64,
    /// When the last one began.
    began: Option<Instant>,
    is_under_way: bool,
    /// Somebody misses a key.
    pub(super) is_wanted: bool,
}

impl PublishedKeys {
    pub(super) fn new(url: UpstreamUrl, algorithms: &[TokenAlgorithm], desk: &Arc<FetchDesk>) -> Self {
        Self {
            url,
            algorithms: algorithms.into(),
            keys: ArcSwapOption::empty(),
            rounds: watch::Sender::default(),
            desk: Arc::clone(desk),
        }
    }

    /// Those that are known now.
    pub(super) fn current(&self) -> Option<Arc<Keys>> {
        self.keys.load_full()
    }

    /// Whether those are these.
    pub(super) fn is(&self, keys: &Arc<Keys>) -> bool {
        self.keys
            .load()
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, keys))
    }

    /// Asks for them to be fetched again: a key is missing. What to wait for; none if that has just been done, so that
    /// tokens which name keys at random cause no more than one fetch in that time.
    pub(super) fn ask(&self, now: Instant) -> Option<impl Future<Output = ()> + use<>> {
        let rounds = *self.rounds.borrow();
        let is_due = rounds.began.is_none_or(|began| now >= began + self.desk.pause);
        if !rounds.is_under_way && !is_due {
            return None;
        }
        if !rounds.is_under_way {
            self.rounds.send_modify(|rounds| rounds.is_wanted = true);
            self.desk.wake();
        }
        let mut watch = self.rounds.subscribe();
        Some(async move {
            let fetched = watch.wait_for(|now| now.over > rounds.over);
            drop(timeout(PATIENCE, fetched).await);
        })
    }

    /// A fetch begins.
    pub(super) fn begin(&self) {
        self.rounds.send_modify(|rounds| {
            *rounds = Rounds {
                began: Some(Instant::now()),
                is_under_way: true,
                is_wanted: false,
                ..*rounds
            };
        });
    }

    /// It is over, perhaps with keys.
    pub(super) fn end(&self, keys: Option<Arc<Keys>>) {
        if let Some(keys) = keys {
            self.keys.store(Some(keys));
        }
        self.rounds.send_modify(|rounds| {
            rounds.over += 1;
            rounds.is_under_way = false;
        });
    }

    /// Whether somebody misses a key, and it is time to look for it.
    pub(super) fn is_wanted(&self, now: Instant) -> bool {
        let rounds = *self.rounds.borrow();
        rounds.is_wanted && rounds.began.is_none_or(|began| now >= began + self.desk.pause)
    }
}
