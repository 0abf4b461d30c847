//! What can be looked at: streams, logs, schemas.

use clap::ValueEnum;

use super::Written;

/// What `events show` prints.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Shown {
    /// Which stream
    #[arg(long, value_enum, default_value_t)]
    pub(in crate::cli) stream: StreamName,
    /// The first message: a sequence, or a time such as `2027-01-01T00:00:00Z`; without it the last ones are printed
    #[arg(long, value_name = "SEQUENCE|TIME")]
    pub(in crate::cli) from: Option<String>,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub(in crate::cli) limit: u32,
    /// NATS with JetStream (NATS_URL, default: the one of the `flexgate up` that runs in the data folder)
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
}

/// A stream of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(in crate::cli) enum StreamName {
    /// Commits.
    #[default]
    Config,
    /// Alerts.
    Alerts,
    /// What was asked and not done.
    Admin,
    /// Frames of outcomes.
    Outcomes,
    /// Closed hours.
    Rollups,
    /// What projections could not apply.
    Deadletter,
}

/// Whose log `logs` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(in crate::cli) enum LogOf {
    /// FlexGate itself.
    #[default]
    Flexgate,
    /// The NATS that `up` started.
    Nats,
    /// The PostgreSQL that `up` started.
    Postgres,
    /// The Valkey that `up` started.
    Valkey,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Logs {
    /// Whose
    #[arg(value_enum, default_value_t)]
    pub(in crate::cli) of: LogOf,
    /// How many of the last lines
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 50)]
    pub(in crate::cli) lines: usize,
    /// Go on with what is written from now on, until Ctrl-C
    #[arg(long, short)]
    pub(in crate::cli) follow: bool,
}

/// What `schema` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum SchemaOf {
    /// JSON Schema of the configuration file.
    Config,
    /// JSON Schema of the events of a commit.
    Events,
    /// OpenAPI 3.1 of the admin API.
    Openapi,
    /// AsyncAPI 3 of the streams.
    Asyncapi,
}

impl Shown {
    pub(super) fn layer(&self) -> Vec<Written> {
        vec![("NATS_URL", "--nats-url", self.nats_url.clone())]
    }
}
