//! The servers this process works with: given ones, or children of `up`.

use crate::{
    app::Error,
    config::Config,
    journal::jetstream::{Link, Names, streams},
};
use std::time::Duration;

/// How long NATS may take to answer when its streams are looked at.
const NATS_DEADLINE: Duration = Duration::from_secs(10);

/// Where the servers are. URLs may carry passwords: never logged.
#[derive(Clone)]
pub struct Endpoints {
    /// NATS.
    pub nats: String,
    /// PostgreSQL, if there is one.
    pub database: Option<String>,
    /// Redis or Valkey, if there is one.
    pub redis: Option<String>,
}

impl Endpoints {
    /// The servers that the configuration names. NATS is the one that must be.
    pub fn given(config: &Config) -> Result<Self, Error> {
        let nats = config.servers.nats.as_ref().ok_or_else(|| {
            Error::Unreachable(
                "set NATS_URL: this works with servers that exist (`flexgate up` brings its own)".to_owned(),
            )
        })?;
        Ok(Self {
            nats: nats.expose().to_owned(),
            database: config
                .servers
                .postgres
                .as_ref()
                .map(|url| url.expose().to_owned()),
            redis: config.servers.redis.as_ref().map(|url| url.expose().to_owned()),
        })
    }

    /// Makes the streams that are missing.
    pub async fn provision(&self, config: &Config, replicas: usize) -> Result<(), Error> {
        let link = Link::open(&self.nats, "flexgate-streams").await?;
        let names = Names::new(config.streams.as_str())?;
        if tokio::time::timeout(NATS_DEADLINE, link.connected())
            .await
            .is_err()
        {
            return Err(Error::Unreachable(format!(
                "{} does not answer: is a nats-server with JetStream (`-js`) there? Without NATS_URL, `flexgate up` starts its own",
                link.server()
            )));
        }
        Ok(streams::provision(&link, &names, replicas).await?)
    }
}

/// The servers of one `up`.
pub(super) struct Servers {
    endpoints: Endpoints,
    #[cfg(feature = "devstack")]
    stack: crate::devstack::Devstack,
}

#[cfg(feature = "devstack")]
impl Servers {
    /// Starts what is not given.
    pub(super) async fn for_up(config: &Config) -> Result<Self, Error> {
        use crate::devstack::{Binaries, Devstack, Durability, Need, Plan};
        let given = &config.servers;
        let need = |url: &Option<crate::config::ServerUrl>| {
            url.as_ref()
                .map_or(Need::Start, |url| Need::Given(url.expose().to_owned()))
        };
        let stack = Devstack::start(Plan {
            data_dir: config.data_dir.clone(),
            binaries: Binaries {
                nats: given.binaries.nats.clone(),
                postgres: given.binaries.postgres.clone(),
                valkey: given.binaries.valkey.clone(),
                ..Binaries::fetched_into(config.data_dir.join("bin"))
            },
            nats: given.nats.as_ref().map(|url| url.expose().to_owned()),
            postgres: need(&given.postgres),
            redis: need(&given.redis),
            durability: Durability::Safe,
        })
        .await?;
        let endpoints = Endpoints {
            nats: stack.nats_url().to_owned(),
            database: stack.database_url().map(str::to_owned),
            redis: stack.redis_url().map(str::to_owned),
        };
        Ok(Self { endpoints, stack })
    }

    pub(super) fn degraded(&self) -> &[String] {
        self.stack.degraded()
    }

    /// Stops what was started.
    pub(super) async fn stop(self) {
        self.stack.stop().await;
    }
}

#[cfg(not(feature = "devstack"))]
impl Servers {
    /// This build starts no servers, so all must be given.
    pub(super) async fn for_up(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            endpoints: Endpoints::given(config)?,
        })
    }

    pub(super) fn degraded(&self) -> &[String] {
        &[]
    }

    pub(super) async fn stop(self) {}
}

impl Servers {
    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }
}
