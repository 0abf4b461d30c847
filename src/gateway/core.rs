//! What one thread owns, and the thread's life: accept, serve, drain.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::RandomState,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use flexgate_schemas::Settings;
use tokio::{
    sync::{Notify, watch},
    task::spawn_local,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout, timeout_at},
};

use super::{
    client::{self, Client},
    connect::Connector,
    crowd::Crowd,
    door::{Accepted, Door, Doors},
    encoder::Encoders,
    held::Shelf,
    ids::Ids,
    judges::Judges,
    key_limits::KeyLimits,
    listen,
    metrics::{CoreMetrics, Levels, count_refusal},
    passwords::{Checkers, KnownPasswords},
    pool::Pool,
    snapshot::{Held, Published},
    tokens::KnownTokens,
    via::Via,
};
use crate::outcomes::outbox::Writer;

/// How often idle connections are looked after, names resolved again and gauges set.
const TICK: Duration = Duration::from_secs(1);
/// How long a core does not accept after it could not, for want of file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the whole gateway is doing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// Serving.
    Open,
    /// Still accepting, but telling clients not to come back, until the first time; over by the second.
    Leaving {
        accept_until: Instant,
        deadline: Instant,
    },
}

/// What one thread owns. No request leaves it, so nothing here is locked.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) ids: Ids,
    pub(super) pool: Pool,
    pub(super) connector: Connector,
    pub(super) metrics: CoreMetrics,
    pub(super) encoders: Encoders,
    /// The limits of the keys that come here.
    pub(super) key_limits: KeyLimits,
    pub(super) known_tokens: KnownTokens,
    pub(super) known_passwords: KnownPasswords,
    pub(super) via: Arc<Via>,
    /// Where outcomes go, if they are recorded.
    pub(super) writer: Option<RefCell<Writer>>,
    /// What addresses are hashed with, should the settings ask for it. Never written down.
    pub(super) address_key: RandomState,
    /// Where bodies are held, by all cores together.
    pub(super) shelf: Arc<Shelf>,
    /// Who judges bodies, for all cores together.
    pub(super) judges: Arc<Judges>,
    /// And who verifies passwords.
    pub(super) checkers: Arc<Checkers>,
    crowd: Arc<Crowd>,
    connections_max: usize,
    published: Published,
    snapshot: RefCell<Held>,
    /// The version that `snapshot` is.
    version: Cell<u64>,
    clients: RefCell<HashMap<u64, Rc<Client>>>,
    last_client: Cell<u64>,
    /// Told when a connection is over.
    fewer_clients: Notify,
    leaving: Cell<bool>,
    closing: Cell<bool>,
    over: Cell<bool>,
}

/// What a core is given.
pub(super) struct Parts {
    pub(super) published: Published,
    pub(super) connector: Connector,
    pub(super) metrics: CoreMetrics,
    pub(super) via: Arc<Via>,
    pub(super) ids: Ids,
    pub(super) writer: Option<Writer>,
    pub(super) address_key: RandomState,
    pub(super) crowd: Arc<Crowd>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) judges: Arc<Judges>,
    pub(super) checkers: Arc<Checkers>,
    pub(super) connections_max: usize,
}

impl Core {
    /// A core without connections.
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            ids: parts.ids,
            pool: Pool::default(),
            connector: parts.connector,
            metrics: parts.metrics,
            encoders: Encoders::default(),
            key_limits: KeyLimits::default(),
            known_tokens: KnownTokens::default(),
            known_passwords: KnownPasswords::new(),
            via: parts.via,
            writer: parts.writer.map(RefCell::new),
            address_key: parts.address_key,
            shelf: parts.shelf,
            judges: parts.judges,
            checkers: parts.checkers,
            crowd: parts.crowd,
            connections_max: parts.connections_max,
            version: Cell::new(parts.published.version()),
            snapshot: RefCell::new(Rc::new(parts.published.current())),
            published: parts.published,
            clients: RefCell::default(),
            last_client: Cell::new(0),
            fewer_clients: Notify::new(),
            leaving: Cell::new(false),
            closing: Cell::new(false),
            over: Cell::new(false),
        }
    }

    /// What a request that comes now is routed by.
    pub(super) fn snapshot(&self) -> Held {
        let version = self.published.version(); // looked at first: what is published meanwhile is seen next time
        let mut snapshot = self.snapshot.borrow_mut();
        if self.version.replace(version) != version {
            *snapshot = Rc::new(self.published.current());
        }
        Rc::clone(&snapshot)
    }

    /// Whether responses tell clients to close.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Whether connections end with the request they have.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Whether what is still going on will not go on.
    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Accepts and serves until the gateway is told to stop and every connection is over, or the deadline has come.
    pub(super) async fn run(self: Rc<Self>, doors: Doors, mut phase: watch::Receiver<Phase>) {
        spawn_local(Rc::clone(&self).keep_house());
        spawn_local(Rc::clone(&self).follow_names());
        let deadline = self.accept_until_told(&doors, &mut phase).await;
        for Door { listener, entry } in doors.into_each() {
            for (stream, peer) in listen::close(listener).await {
                let entry = Rc::clone(&entry);
                self.welcome(Accepted { stream, peer, entry });
            }
        }
        self.closing.set(true);
        self.clients.borrow().values().for_each(|client| client.wake());
        let all_gone = async {
            while self.connections() > 0 {
                self.fewer_clients.notified().await;
            }
        };
        drop(timeout_at(deadline, all_gone).await);
        self.metrics.flush(&self.levels());
    }

    fn levels(&self) -> Levels {
        Levels {
            clients: self.connections(),
            resting: self.pool.resting(),
            held_bytes: self.shelf.bytes(),
            budgets: self.snapshot.borrow().limiter.count(),
        }
    }

    /// Returns the deadline of what comes after.
    async fn accept_until_told(
        self: &Rc<Self>,
        doors: &Doors,
        phase: &mut watch::Receiver<Phase>,
    ) -> Instant {
        loop {
            let now = *phase.borrow_and_update();
            let (accept_until, deadline) = match now {
                Phase::Open => (None, Instant::now()),
                Phase::Leaving {
                    accept_until,
                    deadline,
                } => (Some(accept_until), deadline),
            };
            self.leaving.set(accept_until.is_some());
            tokio::select! {
                biased; // a core that is told to stop does not accept one more first
                () = reached(accept_until) => return deadline,
                changed = phase.changed() => if changed.is_err() { return deadline }, // nobody is left who could tell
                () = self.accept(doors) => {}
            }
        }
    }

    /// Takes connections, as they come, until something else is to be done. While there are as many as there may be,
    /// further ones queue in the kernel, and when that queue is full, clients wait for an answer.
    async fn accept(self: &Rc<Self>, doors: &Doors) {
        loop {
            while self.connections() >= self.connections_max {
                self.fewer_clients.notified().await;
            }
            match doors.accept().await {
                Ok(accepted) => self.welcome(accepted),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn welcome(self: &Rc<Self>, Accepted { stream, peer, entry }: Accepted) {
        let is_trusted = || self.snapshot().settings.trusts(peer.ip().to_canonical());
        let Some(place) = self.crowd.admit(peer.ip(), is_trusted) else {
            count_refusal("too_many_connections");
            return; // which closes it: to answer would cost what is to be saved
        };
        let client = Rc::new(Client::new(Rc::clone(self), peer.ip(), entry, place));
        let id = self.last_client.get() + 1;
        self.last_client.set(id);
        self.clients.borrow_mut().insert(id, Rc::clone(&client));
        let core = Rc::clone(self);
        spawn_local(async move {
            client::serve(client, stream).await;
            core.clients.borrow_mut().remove(&id);
            core.fewer_clients.notify_waiters();
        });
    }

    /// Forgets the connections that are left over, and says how many.
    pub(super) fn cut_off(&self) -> usize {
        self.over.set(true);
        self.clients.take().len()
    }

    fn connections(&self) -> usize {
        self.clients.borrow().len()
    }

    async fn keep_house(self: Rc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.ids.set_clock();
            let snapshot = self.snapshot(); // which lets go of an old one even when no request comes
            self.pool.sweep(&snapshot.guard);
            drop(snapshot);
            self.metrics.flush(&self.levels());
        }
    }

    /// Closes resting lines that lead to where a name no longer points. One name after the other: a name server that
    /// does not answer delays only this. While a name cannot be resolved, its lines stay.
    async fn follow_names(self: Rc<Self>) {
        loop {
            sleep(TICK).await;
            for origin in self.pool.named_origins() {
                let resolved = timeout(
                    Settings::CONNECT_TIMEOUT.duration(),
                    self.connector.resolver.resolve(&origin),
                );
                if let Ok(Ok(resolved)) = resolved.await {
                    self.pool.keep_only(&origin, &resolved.addresses);
                }
            }
        }
    }
}

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
