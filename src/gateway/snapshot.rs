//! What the data plane routes by: built from the config state, swapped in with one atomic store.

use std::{
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use flexgate_schemas::{
    ApiKey, KeyId, Route, RouteId, Secret, Settings, UpstreamId, compression::Compressing, event::Entity,
    secret::Purpose,
};

use super::{
    access::CompiledAccess,
    certificates::Certificates,
    choice::Choice,
    compiled::{CompiledRoute, CompiledUpstream, Destination},
    compress,
    cors::CompiledCors,
    matched::Matched,
    origin::Origins,
    rate_limit::CompiledLimits,
    signature::Signer,
    tokens::{FETCH_PAUSE, FetchDesk, Tokens},
};
use crate::{
    domain::{Changed, ConfigState, Keys, Usernames},
    egress::Guard,
    limiter::Limiter,
    routing::Table,
};

/// One revision, ready to be served. A request keeps the one it started with.
#[derive(Debug)]
pub struct Snapshot {
    /// The history it belongs to.
    pub generation: u64,
    /// The commit it is the state after; zero before anything was published.
    pub revision: u64,
    pub(super) table: Table<Arc<CompiledRoute>>,
    pub(super) upstreams: Upstreams,
    pub(super) settings: Arc<Settings>,
    /// All of them, as the configuration has them: a million are shared, not copied.
    pub(super) keys: Keys,
    /// What certificates stand for which keys.
    pub(super) certificates: Certificates,
    /// What keys sign with, as far as they do.
    pub(super) signers: im::HashMap<KeyId, Arc<Signer>>,
    /// Whose keys user names stand for.
    pub(super) usernames: Usernames,
    /// What tokens are checked by. The same one as before, by its address, as long as nothing about that has changed.
    pub(super) tokens: Arc<Tokens>,
    /// Where requests may go. The same one as before, by its address, as long as nothing about that has changed.
    pub(super) guard: Arc<Guard>,
    /// From where requests may come, if the settings say so.
    pub(super) access: Option<Box<CompiledAccess>>,
    /// What the settings say of pages of other origins.
    pub(super) cors: Choice<CompiledCors>,
    /// What they say of compression.
    pub(super) compression: Choice<Compressing>,
    /// How many requests the settings let pass, if they say so.
    pub(super) limits: Option<Box<CompiledLimits>>,
    /// Where budgets are kept.
    pub(super) limiter: Limiter,
    /// What the routes of the table match on.
    pub(super) matched: Matched,
}

/// Upstreams by name.
pub(super) type Upstreams = im::HashMap<UpstreamId, Arc<CompiledUpstream>>;

/// A snapshot as one core holds it. The inner count is shared by all cores, and would be fought over by every request;
/// the outer one is the core's own.
pub(super) type Held = Rc<Arc<Snapshot>>;

/// Finds the value of a secret on this node. Called while a snapshot is built, never by a request.
pub type Secrets = Arc<dyn Fn(&Secret, Purpose<'_>) -> Result<String, SecretMissing> + Send + Sync>;

/// Why a secret has no value on this node; never holds the value. Written to the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SecretMissing(pub String);

/// The snapshot that is served now. A handle: clones share it.
#[derive(Clone)]
pub struct Published(Arc<Inner>);

struct Inner {
    current: ArcSwap<Snapshot>,
    /// How often `current` was stored.
    version: AtomicU64,
    desk: Arc<FetchDesk>,
    /// Held while a snapshot is built, so that two publishers take turns.
    workshop: Mutex<Workshop>,
}

/// What it takes to build a snapshot.
pub(super) struct Workshop {
    pub(super) origins: Origins,
    pub(super) secrets: Secrets,
    pub(super) limiter: Limiter,
}

impl Published {
    /// Nothing published yet: requests are refused until [`Published::publish`]. The limiter keeps the budgets of limits.
    pub fn new(secrets: Secrets, limiter: Limiter) -> Self {
        Self::with_fetch_pause(secrets, limiter, FETCH_PAUSE)
    }

    /// The same, with another time that at least lies between two fetches of the keys of one provider of tokens.
    pub fn with_fetch_pause(secrets: Secrets, limiter: Limiter, pause: Duration) -> Self {
        Self(Arc::new(Inner {
            current: ArcSwap::from_pointee(Snapshot {
                generation: 0,
                revision: 0,
                table: Table::new(),
                upstreams: im::HashMap::new(),
                settings: Arc::default(),
                keys: Keys::new(),
                signers: im::HashMap::new(),
                certificates: Certificates::default(),
                usernames: Usernames::default(),
                tokens: Arc::default(),
                guard: Arc::default(),
                access: None,
                cors: Choice::Unsaid,
                compression: Choice::Unsaid,
                limits: None,
                limiter: limiter.clone(),
                matched: Matched::default(),
            }),
            version: AtomicU64::new(0),
            desk: Arc::new(FetchDesk::new(pause)),
            workshop: Mutex::new(Workshop {
                origins: Origins::default(),
                secrets,
                limiter,
            }),
        }))
    }

    fn tokens(&self, settings: &Settings, before: &Snapshot, secrets: &Secrets) -> Arc<Tokens> {
        if settings.auth.jwt == before.settings.auth.jwt {
            return Arc::clone(&before.tokens);
        }
        let desk = &self.0.desk;
        Arc::new(Tokens::compile(&settings.auth.jwt, &before.tokens, secrets, desk))
    }

    /// Where keys of providers of tokens are asked for.
    pub(super) fn desk(&self) -> Arc<FetchDesk> {
        Arc::clone(&self.0.desk)
    }

    /// What requests that come now are routed by.
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.current.load_full()
    }

    /// Changes with [`Published::current`], and is cheaper to look at for every request.
    pub(super) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Serves this state from the next request on. `changed` says what differs from what was published before; what is
    /// named there and not in the state is gone. Runtime state (pools, balancer turns, metrics) is kept by identity.
    pub fn publish(&self, state: &ConfigState, changed: &Changed, generation: u64, revision: u64) {
        // A poisoned workshop is as good as new: it holds caches, and the snapshot is stored last.
        let mut workshop = self.0.workshop.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.0.current.load_full();
        let mut next = Snapshot {
            generation,
            revision,
            table: Table::new(),
            upstreams: im::HashMap::new(),
            settings: Arc::clone(&state.settings().value),
            keys: state.keys().clone(),
            signers: im::HashMap::new(),
            certificates: Certificates::default(),
            usernames: state.usernames().clone(),
            tokens: self.tokens(&state.settings().value, &before, &workshop.secrets),
            guard: Arc::clone(state.guard()),
            access: CompiledAccess::compile(&state.settings().value.access),
            cors: CompiledCors::compile(state.settings().value.cors.as_ref()),
            compression: compress::compile(state.settings().value.compression.as_ref()),
            limits: CompiledLimits::of_settings(
                state.settings().value.rate_limit.as_ref(),
                &workshop.limiter,
            ),
            limiter: workshop.limiter.clone(),
            matched: Matched::default(),
        };
        match changed {
            Changed::All => {
                for id in state.upstreams().keys() {
                    next.set_upstream(id, state, &before, &mut workshop);
                }
                // There may be a million others, for which there is nothing to be made ready.
                let others = state
                    .keys()
                    .iter()
                    .filter(|(_, entry)| entry.value.has_other_proofs());
                for (id, _) in others {
                    next.set_key(id, None, &workshop.secrets);
                }
                for entry in state.routes().values() {
                    next.set_route(&entry.value, &before, &mut workshop);
                }
            }
            Changed::Entities(entities) => {
                next.table = before.table.clone();
                next.upstreams = before.upstreams.clone();
                next.matched = before.matched.clone();
                next.signers = before.signers.clone();
                next.certificates = before.certificates.clone();
                for entity in entities {
                    match entity {
                        Entity::Route(id) => match state.route(id) {
                            Some(entry) => next.set_route(&entry.value, &before, &mut workshop),
                            None => next.remove_route(id),
                        },
                        Entity::Upstream(id) => next.set_upstream(id, state, &before, &mut workshop),
                        Entity::Key(id) => {
                            let old = before.keys.get(id).map(|entry| &entry.value);
                            next.set_key(id, old, &workshop.secrets);
                        }
                        Entity::Settings | Entity::Log => {}
                    }
                }
            }
        }
        self.0.current.store(Arc::new(next));
        self.0.version.fetch_add(1, Ordering::Release); // after the store: whoever sees it sees the snapshot
        if !Arc::ptr_eq(&before.tokens, &self.0.current.load().tokens) {
            self.0.desk.wake();
        }
        workshop.origins.forget_unused();
    }
}

impl Snapshot {
    /// The upstream a route forwards to; none if its name is not there.
    pub(super) fn upstream_of<'a>(&'a self, route: &'a CompiledRoute) -> Option<&'a Arc<CompiledUpstream>> {
        match &route.destination {
            Destination::Named(id) => self.upstreams.get(id),
            Destination::Own { upstream, .. } => Some(upstream),
        }
    }

    fn set_route(&mut self, route: &Arc<Route>, before: &Snapshot, workshop: &mut Workshop) {
        let old = before.table.get(&route.id);
        let compiled = CompiledRoute::compile(route, old.map(|old| &**old), &self.upstreams, workshop);
        self.remove_route(&route.id);
        if route.enabled {
            self.matched.add(&route.matchers);
            self.table.insert(Arc::new(compiled));
        }
    }

    fn remove_route(&mut self, id: &RouteId) {
        if let Some(old) = self.table.get(id).map(Arc::clone) {
            self.matched.remove(&old.route.matchers);
            self.table.remove(&old.route);
        }
    }

    fn set_key(&mut self, id: &KeyId, before: Option<&ApiKey>, secrets: &Secrets) {
        let key = self.keys.get(id);
        self.certificates.set(before, key.map(|entry| &entry.value));
        match key.and_then(|entry| Signer::of(&entry.value, secrets)) {
            Some(signer) => drop(self.signers.insert(*id, Arc::new(signer))),
            None => drop(self.signers.remove(id)),
        }
    }

    fn set_upstream(
        &mut self,
        id: &UpstreamId,
        state: &ConfigState,
        before: &Snapshot,
        workshop: &mut Workshop,
    ) {
        let Some(entry) = state.upstream(id) else {
            self.upstreams.remove(id);
            return;
        };
        let old = before.upstreams.get(id);
        let compiled = CompiledUpstream::compile(&entry.value, old.map(|old| &**old), workshop);
        self.upstreams.insert(id.clone(), Arc::new(compiled));
    }
}

impl std::fmt::Debug for Published {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let current = self.current();
        write!(out, "Published({}-{})", current.generation, current.revision)
    }
}
