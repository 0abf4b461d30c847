//! The data plane: a thread per core, each with its own listener, its own upstream connections and nothing to share.
//!
//! A request reads memory and its upstream, and nothing else. `stack` is its path, top to bottom.

mod alarm;
mod arrive;
mod balance;
mod body;
mod client;
mod compiled;
mod connect;
mod core;
mod egress;
mod errand;
mod exchange;
mod forward;
mod forwarded;
mod headers;
mod ids;
mod line;
mod listen;
mod matching;
mod metrics;
mod observe;
mod origin;
mod pool;
mod protect;
mod refusal;
mod resolve;
mod snapshot;
mod stack;
mod tls;
mod trace;
mod wire;

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    num::NonZeroUsize,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime::{Builder, LocalOptions},
    sync::{oneshot, watch},
    time::Instant,
};

use self::{
    connect::Connector,
    core::{Core, Parts, Phase},
    headers::Via,
    metrics::CoreMetrics,
    tls::Tls,
};
pub use self::{
    snapshot::{Changed, Published, SecretMissing, Secrets, Snapshot},
    tls::Roots,
};

/// What a gateway needs to know beside its configuration: everything here belongs to the node.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; port 0 lets the system choose.
    pub addr: SocketAddr,
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
    /// How long a client's connection may be without a complete head of a request.
    pub client_rest: Duration,
    /// Whose certificates upstreams may have.
    pub roots: Roots,
    /// Whether another process may still listen on the address: the one that this one takes over from.
    pub takes_over: bool,
}

impl Options {
    /// Everything but the address and the name as it is by default.
    pub fn new(addr: SocketAddr, via: impl Into<String>) -> Self {
        Self {
            addr,
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN), // honours the cgroup's quota
            via: via.into(),
            drain_delay: Duration::from_secs(5), // two looks of a load balancer that looks every other second
            drain_deadline: Duration::from_secs(30), // the default timeout of a request
            connections_max: const { NonZeroUsize::new(16_384).expect("not zero") }, // two descriptors each
            client_rest: Duration::from_secs(75), // longer than the minute that load balancers keep connections for
            roots: Roots::System,
            takes_over: false,
        }
    }
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Somebody else listens there.
    #[error("{0} is taken: another process listens there")]
    Taken(SocketAddr),
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
    phase: watch::Sender<Phase>,
    cores: Vec<Running>,
    drain_delay: Duration,
    drain_deadline: Duration,
}

/// One core, seen from outside.
#[derive(Debug)]
struct Running {
    thread: thread::JoinHandle<()>,
    /// How many connections it cut off, when it is over.
    over: oneshot::Receiver<usize>,
    served: Arc<AtomicU64>,
}

impl Gateway {
    /// Listens and serves what is published, now and from now on.
    pub fn start(options: Options, routing: &Published) -> Result<Self, GatewayError> {
        if Via::new(&options.via).is_none() {
            return Err(GatewayError::Via(options.via));
        }
        let listeners = listen(&options)?;
        let addr = match listeners.first().map(StdListener::local_addr) {
            Some(Ok(addr)) => addr,
            Some(Err(source)) => {
                return Err(GatewayError::Listen {
                    addr: options.addr,
                    source,
                });
            }
            None => options.addr, // there is at least one thread, and so a listener
        };
        let (phase, watcher) = watch::channel(Phase::Open);
        let tls = Tls::new(&options.roots);
        let mut cores = Vec::with_capacity(listeners.len());
        for (number, listener) in listeners.into_iter().enumerate() {
            let seat = Seat {
                number,
                listener,
                addr,
                options: options.clone(),
                published: routing.clone(),
                tls: tls.clone(),
                phase: watcher.clone(),
            };
            cores.push(seat.start().map_err(GatewayError::Thread)?);
        }
        tracing::info!(%addr, cores = cores.len(), "the gateway listens");
        let Options {
            drain_delay,
            drain_deadline,
            ..
        } = options;
        Ok(Self {
            addr,
            phase,
            cores,
            drain_delay,
            drain_deadline,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many requests were answered since the start.
    pub fn requests_served(&self) -> u64 {
        self.cores
            .iter()
            .map(|core| core.served.load(Ordering::Relaxed))
            .sum()
    }

    /// The same as a question that can be asked from elsewhere, also when the gateway is gone.
    pub fn request_count(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let served: Vec<_> = self.cores.iter().map(|core| Arc::clone(&core.served)).collect();
        move || served.iter().map(|count| count.load(Ordering::Relaxed)).sum()
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
            cut_off += (&mut core.over).await.unwrap_or_default(); // a core that died has said why
        }
        let served = self.requests_served();
        for core in self.cores {
            drop(core.thread.join()); // it is over but for its last line
        }
        DrainReport { served, cut_off }
    }
}

fn listen(options: &Options) -> Result<Vec<StdListener>, GatewayError> {
    let addr = options.addr;
    if addr.port() != 0 && !options.takes_over {
        listen::probe(addr).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => GatewayError::Taken(addr),
            _ => GatewayError::Listen { addr, source },
        })?;
    }
    listen::bind(addr, options.threads.get()).map_err(|source| GatewayError::Listen { addr, source })
}

/// What a thread takes with it.
struct Seat {
    number: usize,
    listener: StdListener,
    addr: SocketAddr,
    options: Options,
    published: Published,
    tls: Tls,
    phase: watch::Receiver<Phase>,
}

impl Seat {
    /// Starts the thread, and waits until it listens.
    fn start(self) -> io::Result<Running> {
        let (tell_started, started) = mpsc::sync_channel(1);
        let (tell_over, over) = oneshot::channel();
        let served = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&served);
        let name = format!("gateway-{}", self.number);
        let thread = thread::Builder::new().name(name).spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            let sat = runtime.and_then(|runtime| {
                let _context = runtime.enter();
                let (core, listener, phase) = self.sit_down(counter)?;
                Ok((runtime, core.run(listener, phase)))
            });
            match sat {
                Ok((runtime, life)) => {
                    drop(tell_started.send(Ok(())));
                    let _ = tell_over.send(runtime.block_on(life)); // nobody listens if the gateway was dropped
                }
                Err(error) => drop(tell_started.send(Err(error))),
            }
        })?;
        started
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread ended")))?;
        Ok(Running { thread, over, served })
    }

    /// Takes possession of everything a core has. Needs the runtime that it will run on.
    fn sit_down(self, served: Arc<AtomicU64>) -> io::Result<(Rc<Core>, TcpListener, watch::Receiver<Phase>)> {
        let listener = TcpListener::from_std(self.listener)?;
        let threads = self.options.threads.get();
        let core = Core::new(Parts {
            published: self.published,
            connector: Connector::new(self.tls),
            metrics: CoreMetrics::new(self.number, served),
            via: Via::new(&self.options.via).expect("checked before the threads were started"),
            port: self.addr.port(),
            client_rest: self.options.client_rest,
            connections_max: self.options.connections_max.get().div_ceil(threads),
        });
        Ok((Rc::new(core), listener, self.phase))
    }
}
