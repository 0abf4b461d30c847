//! NATS, PostgreSQL and Valkey as children of `flexgate up`, and of the tests.
//!
//! Everything lives below one data folder: `bin/` (what `make servers` fetched), `nats/`, `postgres/` and `valkey/`
//! (their data), `log/`, `run/` (who runs: a lock and a record per child), `ports.json` and `password`. The servers
//! listen on 127.0.0.1 only and want that password: another user of the machine gets nothing from them. They end
//! when we do, however we end.

mod account;
mod binaries;
mod error;
mod hold;
mod launch;
mod nats;
mod password;
mod ports;
mod postgres;
mod process;
mod running;
mod server;
mod spawn;
mod valkey;

use std::path::PathBuf;

pub use binaries::Binaries;
pub use error::DevstackError;
pub use hold::{Stopped, stop_recorded};
pub use ports::free_port;
pub use running::Running;
pub use server::{Server, ServerOptions};

use hold::Hold;
use ports::Ports;

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `.flexgate`: created when it is not there.
    pub data_dir: PathBuf,
    /// Where to look for the servers.
    pub binaries: Binaries,
    /// The URL of a NATS server that runs already (`NATS_URL`). Without it one is started.
    pub nats: Option<String>,
    /// The read models' database. What needs it is off without it.
    pub postgres: Need,
    /// Shared rate-limit budgets. Limits count per node without it.
    pub redis: Need,
    /// How much a power cut may cost.
    pub durability: Durability,
}

impl Plan {
    /// Starts all three, with what `make servers` put into `data_dir`.
    pub fn all_below(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            binaries: Binaries::fetched_into(data_dir.join("bin")),
            data_dir,
            nats: None,
            postgres: Need::Start,
            redis: Need::Start,
            durability: Durability::Safe,
        }
    }
}

/// An optional server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Its URL: somebody else runs it, it is never stopped by us.
    Given(String),
    /// Ours to start and to stop.
    Start,
    /// Not wanted, so its absence is not reported.
    Off,
}

/// How much a power cut may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was acknowledged: NATS and PostgreSQL sync before they answer.
    Safe,
    /// Everything, for speed. Killing a server still loses nothing.
    Test,
}

/// The servers of one data folder. Dropping it kills them; [`Devstack::stop`] lets them finish.
#[derive(Debug)]
pub struct Devstack {
    nats: Source,
    postgres: Option<Source>,
    redis: Option<Source>,
    degraded: Vec<String>,
    /// Held until the last child has gone: the next `up` must not meet it.
    hold: Hold,
}

/// Where a server comes from.
#[derive(Debug)]
enum Source {
    Given(String),
    Ours(Server),
}

impl Devstack {
    /// Starts what the plan asks for, side by side, and returns when each has answered in its own protocol.
    ///
    /// What an earlier run that was killed has left behind is stopped first. A live run on the same data folder is
    /// left alone: that is [`DevstackError::InUse`].
    pub async fn start(plan: Plan) -> Result<Self, DevstackError> {
        let data_dir = std::path::absolute(&plan.data_dir).map_err(error::io("find", &plan.data_dir))?;
        let hold = Hold::take(&data_dir)?;
        hold.stop_leftovers().await;

        let ports = Ports::choose(&data_dir)?;
        let options = |binary, port| ServerOptions {
            data_dir: data_dir.clone(),
            binary,
            port: Some(port),
            durability: plan.durability,
        };
        // Boxed, or whoever awaits this carries all three state machines along.
        let nats = Box::pin(async {
            match plan.nats {
                Some(url) => Ok(Source::Given(url)),
                None => Server::nats(options(plan.binaries.nats().await?, ports.nats))
                    .await
                    .map(Source::Ours),
            }
        });
        let postgres = Box::pin(optional(plan.postgres, async {
            Server::postgres(options(plan.binaries.postgres().await?, ports.postgres)).await
        }));
        let redis = Box::pin(optional(plan.redis, async {
            Server::valkey(options(plan.binaries.valkey().await?, ports.valkey)).await
        }));

        // Without NATS there is nothing to run: then the others, half started, are dropped and thereby killed.
        let (nats, postgres, redis) =
            tokio::try_join!(nats, async { Ok(postgres.await) }, async { Ok(redis.await) })?;
        let mut degraded = Vec::new();
        let mut or_degraded = |source: Result<_, DevstackError>, loss| {
            source.unwrap_or_else(|error| {
                degraded.push(format!("{loss}: {}", error.in_one_line()));
                None
            })
        };
        let postgres = or_degraded(postgres, "history, audit and reports are off");
        let redis = or_degraded(redis, "rate limits count per node");
        Ok(Self {
            nats,
            postgres,
            redis,
            degraded,
            hold,
        })
    }

    /// Carries the password of a server of ours: print it only where the user asked for it. Connect with
    /// [`login`](crate::journal::jetstream::login).
    pub fn nats_url(&self) -> &str {
        self.nats.url()
    }

    /// As [`Devstack::nats_url`]; `None` when there is no database.
    pub fn database_url(&self) -> Option<&str> {
        self.postgres.as_ref().map(Source::url)
    }

    /// As [`Devstack::nats_url`]; `None` when there is no Redis.
    pub fn redis_url(&self) -> Option<&str> {
        self.redis.as_ref().map(Source::url)
    }

    /// A line per optional server that is not there: what is off, why, and how to get it.
    pub fn degraded(&self) -> &[String] {
        &self.degraded
    }

    /// Stops our servers, in an orderly way as far as they let us. Stop what uses them first.
    pub async fn stop(self) {
        tokio::join!(self.nats.stop(), stop(self.postgres), stop(self.redis));
        drop(self.hold);
    }
}

impl Source {
    fn url(&self) -> &str {
        match self {
            Self::Given(url) => url,
            Self::Ours(server) => server.url(),
        }
    }

    async fn stop(self) {
        match self {
            Self::Given(_) => {}
            Self::Ours(server) => server.stop().await,
        }
    }
}

async fn optional(
    need: Need,
    start: impl Future<Output = Result<Server, DevstackError>>,
) -> Result<Option<Source>, DevstackError> {
    match need {
        Need::Given(url) => Ok(Some(Source::Given(url))),
        Need::Start => start.await.map(|server| Some(Source::Ours(server))),
        Need::Off => Ok(None),
    }
}

async fn stop(source: Option<Source>) {
    if let Some(source) = source {
        source.stop().await;
    }
}
