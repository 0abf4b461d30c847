//! The composition root: it knows every part, and no part knows it.
//!
//! `up` brings its own servers and runs every role in one process; `serve` runs some roles against servers that exist.
//! Tests start the same [`Process`].

use std::path::PathBuf;

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

use crate::{
    config::Config,
    gateway::{GatewayError, TlsFilesError},
    journal::jetstream::{ConnectError, streams::ProvisionError},
    limiter::LenderError,
    membership::identity::IdentityError,
    outcomes::outbox::OutboxError,
};

mod banner;
mod certificates;
mod checks;
mod cluster;
mod demo;
mod edge;
mod file;
mod limits;
mod ports;
mod process;
pub mod projector;
mod running;
mod servers;

pub use demo::Demo;
pub use file::{FileError, mistake};
pub use ports::PortTaken;
pub use process::{Addresses, Process};
pub use running::{database_at_hand, nats_at_hand};
pub use servers::Endpoints;

/// The control plane's threads: following the log, answering the admin API, reporting. Requests have theirs.
const CONTROL_THREADS: usize = 2;
/// How long `down` waits for the process that it stops.
#[cfg(feature = "devstack")]
const DOWN_DEADLINE: std::time::Duration = std::time::Duration::from_mins(1);

/// Why a process does not start, or does not end as it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system gives no threads or signals.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// The data folder cannot be used, or is in use.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A port is taken.
    #[error(transparent)]
    Port(#[from] PortTaken),
    /// The data plane does not start.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// An address cannot be listened on.
    #[error("cannot listen on {addr} for {what}: {error}; choose another address with {variable}")]
    Listen {
        /// Where.
        addr: std::net::SocketAddr,
        /// For what.
        what: &'static str,
        /// What the system said.
        error: std::io::Error,
        /// The setting that moves it.
        variable: &'static str,
    },
    /// The certificates of the data plane cannot be used.
    #[error("TLS cannot be spoken with clients: {0}")]
    Certificates(#[from] TlsFilesError),
    /// Outcomes cannot be recorded.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// There is no NATS, and there cannot be.
    #[error(transparent)]
    Nats(#[from] ConnectError),
    /// NATS does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// The streams are not as they must be.
    #[error(transparent)]
    Streams(#[from] ProvisionError),
    /// The development servers do not start.
    #[cfg(feature = "devstack")]
    #[error(transparent)]
    Devstack(#[from] crate::devstack::DevstackError),
    /// The configuration file is refused, and there is no other configuration.
    #[error(transparent)]
    File(#[from] FileError),
    /// Rate limits cannot be shared.
    #[error(transparent)]
    Limits(#[from] LenderError),
    /// The admin token cannot be kept.
    #[error(transparent)]
    Token(#[from] crate::config::TokenError),
    /// A process without roles.
    #[error("nothing to do: give `--role gateway`, `admin`, `projector`, or several of them")]
    NoRole,
    /// Nothing runs in this data folder.
    #[error("nothing runs in {0}")]
    NothingRuns(PathBuf),
}

/// `flexgate up`: every role in one process, with servers of its own where none were given.
pub fn up(config: Config) -> Result<(), Error> {
    runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let started = tokio::select! {
            started = start_up(config) => started?,
            () = signals.next() => return Ok(()),
        };
        let UpRun {
            process,
            servers,
            demo,
        } = started;
        signals.next().await;
        let stopping = async {
            process.drain().await;
            if let Some(demo) = demo {
                demo.stop().await;
            }
            servers.stop().await;
        };
        signals.unless_again(stopping).await;
        Ok(())
    })
}

/// What `up` has started.
struct UpRun {
    process: Process,
    servers: servers::Servers,
    demo: Option<Demo>,
}

async fn start_up(mut config: Config) -> Result<UpRun, Error> {
    let servers = servers::Servers::for_up(&config).await?;
    servers.endpoints().provision(&config, 1).await?;
    let demo = if config.demo {
        Some(Demo::start(&mut config).await?)
    } else {
        None
    };
    let process = Process::start(&config, servers.endpoints()).await?;
    process.apply_file(&config).await?;
    banner::print(&config, &process, demo.as_ref(), servers.degraded());
    Ok(UpRun {
        process,
        servers,
        demo,
    })
}

/// `flexgate serve`: some roles, against servers that exist.
pub fn serve(config: &Config) -> Result<(), Error> {
    runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let endpoints = Endpoints::given(config)?;
        let process = Process::start(config, &endpoints).await?;
        let applying = async {
            process.apply_file(config).await?;
            std::future::pending::<Result<(), Error>>().await
        };
        tokio::select! {
            refused = applying => refused?,
            () = signals.next() => {}
        }
        signals.unless_again(process.drain()).await;
        Ok(())
    })
}

/// `flexgate streams apply`: makes the streams that are missing, each stored on so many servers.
pub fn make_streams(config: &Config, replicas: usize) -> Result<(), Error> {
    runtime()?.block_on(async { Endpoints::given(config)?.provision(config, replicas).await })
}

/// `flexgate down`: stops the `up` that runs in the data folder, and whatever a killed one left behind.
#[cfg(feature = "devstack")]
pub fn down(config: Config) -> Result<(), Error> {
    use crate::devstack::{Stopped, stop_recorded};
    match runtime()?.block_on(stop_recorded(&config.data_dir, DOWN_DEADLINE))? {
        Stopped::Run(_) => Ok(()),
        Stopped::NothingRan => Err(Error::NothingRuns(config.data_dir)),
    }
}

/// `flexgate down` of a build that starts no servers.
#[cfg(not(feature = "devstack"))]
pub fn down(config: Config) -> Result<(), Error> {
    Err(Error::NothingRuns(config.data_dir))
}

fn runtime() -> Result<Runtime, Error> {
    Ok(Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()?)
}

/// SIGTERM and SIGINT: the first asks us to end well, the second to end now.
struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, Error> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves at the next of them. Cancel-safe.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }

    /// Runs `ending` unless the user has lost patience.
    async fn unless_again(&mut self, ending: impl Future<Output = ()>) {
        tokio::select! {
            () = ending => {}
            () = self.next() => tracing::warn!("stopped at once"),
        }
    }
}
