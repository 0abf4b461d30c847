//! What a node decides for itself.

use std::{net::SocketAddr, num::NonZeroUsize, thread, time::Duration};

use super::{InboundTls, Roots};
use crate::outcomes::outbox::Outbox;

/// A listener that speaks TLS.
#[derive(Debug, Clone)]
pub struct TlsListen {
    /// Where; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// How.
    pub tls: InboundTls,
}

/// What a gateway needs to know beside its configuration: everything here belongs to the node.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// Where it speaks TLS too, and how; nowhere without.
    pub tls: Option<TlsListen>,
    /// How many cores it uses.
    pub threads: NonZeroUsize,
    /// Its name in `Via`, by which it recognises its own requests: a token such as `flexgate-ab12cd`, the same for
    /// every node of a cluster.
    pub via: String,
    /// How long it goes on accepting after it was told to drain, so that whoever sends it traffic can notice.
    pub drain_delay: Duration,
    /// How long requests in flight may take after that.
    pub drain_deadline: Duration,
    /// The most connections of clients at once. Full: further ones wait in the kernel's queue.
    pub connections_max: NonZeroUsize,
    /// The most connections of one client's address at once; none: as many as there are in all. Full: further ones are
    /// closed. Trusted proxies have as many as they like.
    pub client_connections_max: Option<NonZeroUsize>,
    /// Which name servers are asked, and no others; empty: those of `/etc/resolv.conf`. `/etc/hosts` comes first either way.
    pub name_servers: Vec<SocketAddr>,
    /// How many passwords may wait to be verified, beside those that are. Full: further requests are refused with 503.
    pub passwords_waiting_max: usize,
    /// Whose certificates upstreams may have.
    pub roots: Roots,
    /// Where it records what became of requests; nowhere without one. It needs a place for each of the threads.
    pub outbox: Option<Outbox>,
    /// Whether another process may still listen on the address: the one that this one takes over from.
    pub takes_over: bool,
}

impl Options {
    /// Everything but the address and the name as it is by default.
    pub fn new(addr: SocketAddr, via: impl Into<String>) -> Self {
        Self {
            addr,
            tls: None,
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN), // honours the cgroup's quota
            via: via.into(),
            drain_delay: Duration::from_secs(5), // two looks of a load balancer that looks every other second
            drain_deadline: Duration::from_secs(30), // the default timeout of a request
            connections_max: const { NonZeroUsize::new(16_384).expect("not zero") }, // two descriptors each
            client_connections_max: None, // many clients may share an address, and here it is colleagues who share it
            name_servers: Vec::new(),
            passwords_waiting_max: 64, // two seconds of them, on one thread
            roots: Roots::System,
            outbox: None,
            takes_over: false,
        }
    }
}
