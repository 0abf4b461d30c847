//! Keeps the keys of providers fresh, beside the cores: no request ever fetches anything itself.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{SHA256, digest};
use flexgate_schemas::ProviderId;
use futures_util::future::join_all;
use metrics::{counter, gauge};
use tokio::time::sleep_until;

use super::{
    PublishedKeys,
    fetch::{FetchError, Fetched, Fetcher},
    key::Keys,
};
use crate::{
    drain::Tasks,
    gateway::{Published, Roots, snapshot::Snapshot, tls::Tls},
};

/// The pause after a fetch that failed; doubled for each further one.
const RETRY_MIN: Duration = Duration::from_secs(10);
/// The longest.
const RETRY_MAX: Duration = Duration::from_mins(1);
/// How long to sleep when nothing is to be fetched. Whatever changes that wakes.
const IDLE: Duration = Duration::from_hours(1);

/// What is to be told of the keys that are published: who has none, or old ones, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenKeysReport {
    /// No provider publishes keys.
    Unused,
    /// All are as fresh as they should be.
    Fresh,
    /// Those of this provider are not.
    Stale {
        /// Which.
        provider: ProviderId,
        /// Why, and what is used meanwhile.
        reason: Box<str>,
    },
}

/// Keeps the keys of all providers of a gateway.
pub struct TokenKeys {
    published: Published,
    fetcher: Fetcher,
    places: Vec<Place>,
}

/// What is known of one place.
struct Place {
    keys: Arc<PublishedKeys>,
    provider: ProviderId,
    due: Instant,
    /// When keys came from there last.
    fetched: Option<Instant>,
    failures: u32,
    failure: Option<FetchError>,
    /// The hash of what came last: the same again changes nothing.
    hash: Option<Vec<u8>>,
}

impl TokenKeys {
    /// What keeps the keys of the providers that are published, with these name servers (the system's, if there are none) and
    /// roots. Needs a runtime.
    pub fn new(published: &Published, name_servers: &[SocketAddr], roots: &Roots) -> Self {
        Self {
            published: published.clone(),
            fetcher: Fetcher::new(Tls::new(roots), name_servers),
            places: Vec::new(),
        }
    }

    /// Keeps them until the tasks are stopped, and reports after every change.
    pub fn keep(mut self, tasks: &Tasks, report: impl Fn(TokenKeysReport) + Send + 'static) {
        let own = tasks.clone();
        tasks.spawn(async move {
            let desk = self.published.desk();
            loop {
                let snapshot = self.published.current();
                self.take_note(&snapshot);
                self.fetch_due(&snapshot).await;
                report(self.report());
                let next = self.places.iter().map(|place| place.due).min();
                let until = next.unwrap_or_else(|| Instant::now() + IDLE);
                let waits = async {
                    tokio::select! {
                        () = sleep_until(until.into()) => {}
                        () = desk.wake.notified() => {}
                    }
                };
                if own.unless_stopped(waits).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Of the places that the settings name now.
    fn take_note(&mut self, snapshot: &Snapshot) {
        let named = |place: &Place| {
            snapshot
                .tokens
                .published()
                .any(|(_, keys)| Arc::ptr_eq(keys, &place.keys))
        };
        self.places.retain(named);
        for (provider, keys) in snapshot.tokens.published() {
            if !self.places.iter().any(|place| Arc::ptr_eq(&place.keys, keys)) {
                self.places.push(Place::new(&provider.name, keys));
            }
        }
    }

    async fn fetch_due(&mut self, snapshot: &Snapshot) {
        let now = Instant::now();
        let due = self
            .places
            .iter_mut()
            .filter(|place| place.due <= now || place.keys.is_wanted(now));
        let fetcher = &self.fetcher;
        let fetched = due.map(|place| async move {
            place.keys.begin();
            let fetched = fetcher.fetch(&place.keys.url, &snapshot.guard).await;
            place.end(fetched);
        });
        join_all(fetched).await; // each bounded, and few
    }

    fn report(&self) -> TokenKeysReport {
        let failed = self
            .places
            .iter()
            .find_map(|place| Some((place, place.failure.as_ref()?)));
        match failed {
            None if self.places.is_empty() => TokenKeysReport::Unused,
            None => TokenKeysReport::Fresh,
            Some((place, failure)) => {
                let meanwhile = match place.fetched {
                    Some(at) => format!("those of {} s ago are used", at.elapsed().as_secs()),
                    None => "its tokens are refused".to_owned(),
                };
                TokenKeysReport::Stale {
                    provider: place.provider.clone(),
                    reason: format!("{}: {failure}; {meanwhile}", place.keys.url).into(),
                }
            }
        }
    }
}

impl Place {
    /// One that was never asked.
    fn new(provider: &ProviderId, keys: &Arc<PublishedKeys>) -> Self {
        Self {
            keys: Arc::clone(keys),
            provider: provider.clone(),
            due: Instant::now(),
            fetched: None,
            failures: 0,
            failure: None,
            hash: None,
        }
    }

    fn end(&mut self, fetched: Result<Fetched, FetchError>) {
        let taken = fetched.and_then(|fetched| self.take(&fetched).map(|keys| (keys, fetched.fresh)));
        let now = Instant::now();
        let (keys, pause, result) = match taken {
            Ok((keys, fresh)) => {
                self.fetched = Some(now);
                self.failures = 0;
                self.failure = None;
                (keys, fresh, "ok")
            }
            Err(error) => {
                tracing::warn!(provider = %self.provider, url = %self.keys.url, %error, "the keys of a token provider cannot be fetched");
                let pause = RETRY_MIN * 2_u32.saturating_pow(self.failures.min(8));
                self.failures += 1;
                self.failure = Some(error);
                (None, pause.min(RETRY_MAX), "failed")
            }
        };
        counter!("flexgate_token_key_fetches_total", "provider" => self.provider.to_string(), "result" => result)
            .increment(1);
        if let Some(at) = self.fetched {
            gauge!("flexgate_token_keys_age_seconds", "provider" => self.provider.to_string())
                .set(now.duration_since(at).as_secs_f64());
        }
        self.due = now + pause;
        self.keys.end(keys);
    }

    /// The keys, unless they are those that are there already.
    fn take(&mut self, fetched: &Fetched) -> Result<Option<Arc<Keys>>, FetchError> {
        let hash = digest(&SHA256, &fetched.json).as_ref().to_vec();
        if self.hash.as_ref() == Some(&hash) {
            return Ok(None);
        }
        let keys = Keys::published(&fetched.json, &self.keys.algorithms).filter(|keys| !keys.is_empty());
        let keys = Arc::new(keys.ok_or(FetchError::Keys)?);
        self.hash = Some(hash);
        Ok(Some(keys))
    }
}
