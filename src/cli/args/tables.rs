//! The commands about the tables.

use super::Written;

/// Where the database is.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DatabaseAt {
    /// PostgreSQL (DATABASE_URL, default: the one of the `flexgate up` that runs in the data folder)
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Sql {
    /// Run this and print what it answers, without psql
    #[arg(long, short, value_name = "QUERY")]
    pub(in crate::cli) command: Option<String>,
    /// Words for psql
    #[arg(last = true, value_name = "PSQL ARGS", conflicts_with = "command")]
    pub(in crate::cli) words: Vec<String>,
    #[command(flatten)]
    pub(super) at: DatabaseAt,
}

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum VerifyVerb {
    /// Look where every recorded outcome is: in the tables, on the stream, in this node's outbox, or nowhere
    Outcomes(ServersAt),
}

/// Where the servers are that outcomes pass.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ServersAt {
    /// NATS with JetStream (NATS_URL, default: the one of the `flexgate up` that runs in the data folder)
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
    #[command(flatten)]
    database: DatabaseAt,
}

impl DatabaseAt {
    pub(super) fn layer(&self) -> Vec<Written> {
        vec![("DATABASE_URL", "--database-url", self.database_url.clone())]
    }
}

impl ServersAt {
    pub(super) fn layer(&self) -> Vec<Written> {
        let mut layer = self.database.layer();
        layer.push(("NATS_URL", "--nats-url", self.nats_url.clone()));
        layer
    }
}
