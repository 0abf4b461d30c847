//! Names to addresses, for as long as the record says.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::{Duration, Instant},
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
};

use super::origin::Origin;

/// The most names that are kept. Full: those that ran out go, and if that does not help, all.
const NAMES_MAX: usize = 4096;
/// The shortest time an answer is kept: a record with a TTL of zero would otherwise be asked for by every connection.
const KEPT_MIN: Duration = Duration::from_secs(1);

/// The resolver of one core: `/etc/hosts` first, then name servers.
pub(super) struct Resolver {
    /// Why there is none, if the system's configuration could not be read. Addresses still work then.
    names: Result<TokioResolver, NetError>,
    known: RefCell<HashMap<Box<str>, Rc<Resolved>>>,
    turn: Cell<usize>,
}

/// What a name stood for.
#[derive(Debug)]
pub(super) struct Resolved {
    /// In the order to try them, IPv4 first; may be empty.
    pub(super) addresses: Vec<IpAddr>,
    /// When to ask again.
    until: Instant,
}

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    /// No name server answered in time.
    #[error("no name server answered in time")]
    Timeout,
    /// There is no such name, or it has no address.
    #[error("the name has no address")]
    NoAddress,
    /// A name server failed, or there is none.
    #[error("the name could not be resolved: {0}")]
    Failed(String),
}

impl Resolver {
    /// A resolver that asks these name servers, or those of the system if none are given. Needs a runtime.
    pub(super) fn new(name_servers: &[SocketAddr]) -> Self {
        let names = system(name_servers);
        if let Err(error) = &names {
            tracing::warn!(%error, "no name can be resolved: the system's resolver configuration cannot be read");
        }
        Self {
            names,
            known: RefCell::default(),
            turn: Cell::new(0),
        }
    }

    /// The addresses of an origin, from memory while they hold.
    pub(super) async fn resolve(&self, origin: &Origin) -> Result<Rc<Resolved>, ResolveError> {
        if let Some(resolved) = self.known(origin) {
            return Ok(resolved);
        }
        if let Some(address) = origin.known_as.address() {
            return Ok(Rc::new(Resolved {
                addresses: vec![address],
                until: Instant::now(),
            }));
        }
        let resolver = self
            .names
            .as_ref()
            .map_err(|error| ResolveError::Failed(error.to_string()))?;
        let found = resolver.lookup_ip(&*origin.host).await.map_err(classify)?;
        let mut addresses: Vec<IpAddr> = found.iter().map(|address| address.to_canonical()).collect();
        addresses.sort_by_key(IpAddr::is_ipv6); // stable: within a family the order is the name server's
        addresses.dedup();
        let until = found.valid_until().max(Instant::now() + KEPT_MIN);
        let resolved = Rc::new(Resolved { addresses, until });
        self.remember(origin, &resolved);
        Ok(resolved)
    }

    /// What was resolved and still holds.
    pub(super) fn known(&self, origin: &Origin) -> Option<Rc<Resolved>> {
        let known = self.known.borrow();
        known
            .get(&origin.host)
            .filter(|resolved| Instant::now() < resolved.until)
            .cloned()
    }

    /// The addresses in the order in which a new connection tries them: each takes its turn as the first of its family,
    /// so that connections spread over all addresses of a name.
    pub(super) fn in_turn(&self, resolved: &Resolved) -> Vec<IpAddr> {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let mut addresses = resolved.addresses.clone();
        let families = addresses.partition_point(IpAddr::is_ipv4);
        let (v4, v6) = addresses.split_at_mut(families);
        for family in [v4, v6] {
            if !family.is_empty() {
                family.rotate_left(turn % family.len());
            }
        }
        addresses
    }

    fn remember(&self, origin: &Origin, resolved: &Rc<Resolved>) {
        let mut known = self.known.borrow_mut();
        if known.len() >= NAMES_MAX {
            let now = Instant::now();
            known.retain(|_, resolved| now < resolved.until);
        }
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        known.insert(origin.host.clone(), Rc::clone(resolved));
    }
}

/// What asks these name servers, or those of the system if none are given. Needs a runtime.
pub(super) fn system(name_servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let builder = if name_servers.is_empty() {
        TokioResolver::builder_tokio()
    } else {
        let servers = name_servers.iter().map(|server| name_server(*server)).collect();
        let config = ResolverConfig::from_name_servers(servers);
        Ok(TokioResolver::builder_with_config(
            config,
            TokioRuntimeProvider::default(),
        ))
    };
    builder.and_then(|mut builder| {
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        builder.build()
    })
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn classify(error: NetError) -> ResolveError {
    match error {
        NetError::Timeout => ResolveError::Timeout,
        error if error.is_nx_domain() || error.is_no_records_found() => ResolveError::NoAddress,
        error => ResolveError::Failed(error.to_string()),
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Resolver({} names known)", self.known.borrow().len())
    }
}
