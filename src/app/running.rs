//! The servers at hand for a command: given ones, or those of the `up` that runs in the data folder.

use super::Error;
use crate::config::{Config, ServerUrl};

/// The URL of PostgreSQL. May carry a password: never logged.
pub fn database_at_hand(config: &Config) -> Result<String, Error> {
    at_hand(
        config,
        config.servers.postgres.as_ref(),
        running(config).database,
        "DATABASE_URL",
    )
}

/// The URL of NATS. May carry a password: never logged.
pub fn nats_at_hand(config: &Config) -> Result<String, Error> {
    at_hand(
        config,
        config.servers.nats.as_ref(),
        running(config).nats,
        "NATS_URL",
    )
}

fn at_hand(
    config: &Config,
    given: Option<&ServerUrl>,
    running: Option<String>,
    variable: &str,
) -> Result<String, Error> {
    given.map(|url| url.expose().to_owned()).or(running).ok_or_else(|| {
        Error::Unreachable(format!(
            "{variable} is not set, and no `flexgate up` runs one in {}: set it, or name the folder of a running one \
             with --data-dir",
            config.data_dir.display()
        ))
    })
}

#[cfg(feature = "devstack")]
fn running(config: &Config) -> crate::devstack::Running {
    crate::devstack::Running::find(&config.data_dir)
}

/// This build starts no servers, so it knows of none.
#[cfg(not(feature = "devstack"))]
fn running(_: &Config) -> Nothing {
    Nothing::default()
}

/// What runs here.
#[cfg(not(feature = "devstack"))]
#[derive(Default)]
struct Nothing {
    nats: Option<String>,
    database: Option<String>,
}
