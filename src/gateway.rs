//! The data plane: a thread per core, each with its own listener, its own upstream connections and nothing to share.
//!
//! A request reads memory and its upstream, and nothing else. `stack` is its path, top to bottom.

mod accept_encoding;
mod access;
mod address;
mod alarm;
mod around;
mod arrive;
mod ask;
mod authenticate;
mod balance;
mod basic;
mod body;
mod caller;
mod certificates;
mod channel;
mod choice;
mod client;
mod compiled;
mod compress;
mod connect;
mod core;
mod cors;
mod credential;
mod crowd;
mod door;
mod edits;
mod encoded;
mod encoder;
mod errand;
mod exchange;
mod far_end;
mod forward;
mod forwarded;
mod grpc;
mod headers;
mod held;
mod ids;
mod inbound_tls;
mod judges;
mod key_limits;
mod limit;
mod line;
mod listen;
mod local;
mod look;
mod matched;
mod matching;
mod metrics;
mod observe;
mod options;
mod origin;
mod passwords;
mod policies;
mod pool;
mod proof;
mod rate_fields;
mod rate_limit;
mod record;
mod refusal;
mod refuse;
mod replay;
mod request_body;
mod resolve;
mod seat;
mod shown;
mod signature;
mod snapshot;
mod stack;
mod step;
mod strand;
mod tls;
mod tokens;
mod trace;
mod tunnel;
mod validate;
mod values;
mod vary;
mod via;
mod wire;

use std::{
    hash::RandomState,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use flexgate_schemas::IdKey;
use tokio::{sync::watch, time::Instant};

use self::{
    core::Phase,
    crowd::Crowd,
    held::Shelf,
    judges::Judges,
    listen::Listeners,
    passwords::Checkers,
    seat::{Seat, Taken},
    tls::Tls,
    via::Via,
};
pub use self::{
    inbound_tls::{CertificateFiles, ClientAuth, InboundTls, TlsFiles, TlsFilesError, TlsVersion},
    options::{Options, TlsListen},
    snapshot::{Published, SecretMissing, Secrets, Snapshot},
    tls::Roots,
    tokens::{TokenKeys, TokenKeysReport},
};

/// What names the addresses of the two listeners.
const ADDR: &str = "FLEXGATE_PROXY_ADDR";
const TLS_ADDR: &str = "FLEXGATE_PROXY_TLS_ADDR";

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Somebody else listens there.
    #[error("{0} is taken: another process listens there; stop it, or choose another address with {1}")]
    Taken(SocketAddr, &'static str),
    /// The system does not let us listen there.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gives no thread, or no means to wait for sockets.
    #[error("cannot start a thread of the gateway: {0}")]
    Thread(io::Error),
    /// The name is no token.
    #[error("{0:?} cannot stand in `Via`: it must be a token such as flexgate-ab12cd")]
    Via(String),
}

/// How a gateway ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Requests that were answered since the start.
    pub served: u64,
    /// Connections that were cut off, since their requests did not end before the deadline.
    pub cut_off: usize,
}

/// A running gateway. To drop it ends it at once; [`Gateway::drain`] lets requests finish.
#[derive(Debug)]
pub struct Gateway {
    addr: SocketAddr,
    tls_addr: Option<SocketAddr>,
    phase: watch::Sender<Phase>,
    cores: Vec<Taken>,
    drain_delay: Duration,
    drain_deadline: Duration,
}

impl Gateway {
    /// Listens and serves what is published, now and from now on.
    pub fn start(options: Options, routing: &Published) -> Result<Self, GatewayError> {
        let Some(via) = Via::new(&options.via) else {
            return Err(GatewayError::Via(options.via));
        };
        let Listeners { addr, each } = listen(options.addr, ADDR, &options)?;
        let encrypted = match &options.tls {
            Some(tls) => Some(listen(tls.addr, TLS_ADDR, &options)?),
            None => None,
        };
        let tls_addr = encrypted.as_ref().map(|listeners| listeners.addr);
        let mut encrypted = encrypted
            .map(|listeners| listeners.each)
            .unwrap_or_default()
            .into_iter();
        let (phase, watcher) = watch::channel(Phase::Open);
        let (via, tls) = (Arc::new(via), Tls::new(&options.roots));
        let id_key = match &options.outbox {
            Some(outbox) => outbox.id_key(),
            None => IdKey::new(rand::random()),
        };
        let address_key = RandomState::new();
        let crowd = Crowd::new(options.client_connections_max);
        let (shelf, judges) = (Shelf::new(), Judges::new(options.threads));
        let checkers = Checkers::new(options.threads, options.passwords_waiting_max);
        let mut seat = |(number, listener)| Seat {
            number,
            listener,
            tls_listener: encrypted.next(),
            options: options.clone(),
            published: routing.clone(),
            via: Arc::clone(&via),
            crowd: Arc::clone(&crowd),
            shelf: Arc::clone(&shelf),
            judges: Arc::clone(&judges),
            checkers: Arc::clone(&checkers),
            tls: tls.clone(),
            id_key,
            address_key: address_key.clone(),
            phase: watcher.clone(),
        };
        let seats = (0..).zip(each).map(&mut seat);
        let cores = seats
            .map(Seat::take)
            .collect::<Result<Vec<_>, _>>()
            .map_err(GatewayError::Thread)?;
        tracing::info!(%addr, ?tls_addr, cores = cores.len(), "the gateway listens");
        Ok(Self {
            addr,
            tls_addr,
            phase,
            cores,
            drain_delay: options.drain_delay,
            drain_deadline: options.drain_deadline,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it speaks TLS, if it does.
    pub fn local_tls_addr(&self) -> Option<SocketAddr> {
        self.tls_addr
    }

    /// How many requests were answered since the start.
    pub fn requests_served(&self) -> u64 {
        self.request_count()()
    }

    /// The same as a question that can be asked from elsewhere, also when the gateway is gone.
    pub fn request_count(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let counters: Vec<_> = self.cores.iter().map(Taken::counter).collect();
        move || counters.iter().map(|served| served.load(Ordering::Relaxed)).sum()
    }

    /// Goes on accepting for the drain delay while telling clients to close, serves what waits in the accept queues,
    /// closes the listeners and lets the requests in flight finish, until the deadline.
    pub async fn drain(mut self) -> DrainReport {
        let accept_until = Instant::now() + self.drain_delay;
        let deadline = accept_until + self.drain_deadline;
        self.phase.send_replace(Phase::Leaving {
            accept_until,
            deadline,
        });
        let mut cut_off = 0;
        for core in &mut self.cores {
            cut_off += core.over().await;
        }
        DrainReport {
            served: self.requests_served(),
            cut_off,
        }
    }
}

fn listen(addr: SocketAddr, variable: &'static str, options: &Options) -> Result<Listeners, GatewayError> {
    let error = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => GatewayError::Taken(addr, variable),
        _ => GatewayError::Listen { addr, source },
    };
    if addr.port() != 0 && !options.takes_over {
        listen::probe(addr).map_err(error)?;
    }
    listen::bind(addr, options.threads).map_err(error)
}
