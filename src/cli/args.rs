//! What can be written on the command line.
//!
//! An option that has an environment variable is named like it; [`Args::layer`] is the one list of both. Values are
//! parsed in `config`, where those of all sources are.

#![expect(
    clippy::doc_markdown,
    reason = "most of these comments are shown in a terminal, without Markdown"
)]

mod entities;
mod looks;
mod node;
mod projections;
mod requests;
mod secrets;
mod tables;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use flexgate_schemas::FileName;

use crate::config::Layer;

pub(super) use entities::{Data, KeyChange, KeyVerb, RouteChange, RouteVerb, UpstreamChange, UpstreamVerb};
pub(super) use looks::{LogOf, Logs, SchemaOf, Shown, StreamName};
pub(super) use node::{Serve, Up};
pub(super) use projections::{ProjectionVerb, Replay};
pub(super) use requests::Requests;
pub(super) use secrets::{Sealing, SecretVerb};
pub(super) use tables::{DatabaseAt, ServersAt, Sql, VerifyVerb};

/// The version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An internal HTTP API gateway whose whole life is a log.
#[derive(Debug, Parser)]
#[command(
    name = "flexgate",
    version,
    max_term_width = 110,
    disable_help_subcommand = true
)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) shared: Shared,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The heading in the help of options that every command has.
const EVERYWHERE: &str = "Everywhere";

/// Options of every command.
#[derive(Debug, clap::Args)]
pub(super) struct Shared {
    /// Where everything that must survive a restart is kept (FLEXGATE_DATA_DIR, default: .flexgate)
    #[arg(long, global = true, value_name = "DIR", help_heading = EVERYWHERE)]
    data_dir: Option<String>,
    /// The admin API to talk to, host and port (FLEXGATE_ADMIN_ADDR, default: the one in the data folder's run.json)
    #[arg(long, global = true, value_name = "ADDR", help_heading = EVERYWHERE)]
    admin: Option<String>,
    /// How results are printed
    #[arg(long, short, global = true, value_enum, default_value_t, help_heading = EVERYWHERE)]
    pub(super) output: Format,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: what the API answered.
    Json,
    /// The same as YAML.
    Yaml,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run everything in this process, and start NATS, PostgreSQL and Valkey where no address is given
    Up(Up),
    /// Stop what `flexgate up` runs in the data folder
    Down,
    /// Run some roles in this process, against servers that exist
    Serve(Serve),
    /// Show how a running process and its cluster are
    Status,
    /// Print what the `flexgate up` of the data folder logs, or a server that it started
    Logs(Logs),
    /// Write a commented configuration and a .env to begin with; nothing that is there is overwritten
    Init {
        /// The folder; it is made if it is not there
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Ask the process of the data folder how it is: 0 if it is well, 1 if not, as health checks of containers end
    Health {
        /// What to ask
        #[arg(value_enum, default_value_t)]
        probe: Probe,
    },
    /// Check a configuration file without applying it
    Check(Check),
    /// Show what applying a configuration file would change, and what others changed: 7 if anything differs
    Diff(Diff),
    /// Apply a configuration file or a plan to a running cluster, as one commit: what the file made becomes as it says
    Apply(Apply),
    /// Print the configuration as a file that can be applied again, without its keys
    Export(Export),
    /// List what was changed, by whom and why, the newest first
    History(History),
    /// Look for single requests, the newest first: what became of them
    #[command(visible_alias = "request")]
    Requests(Requests),
    /// List and change routes
    #[command(subcommand, visible_alias = "route")]
    Routes(RouteVerb),
    /// List and change upstreams
    #[command(subcommand, visible_alias = "upstream")]
    Upstreams(UpstreamVerb),
    /// API keys: who may send requests to routes that ask
    #[command(subcommand, visible_alias = "key")]
    Keys(KeyVerb),
    /// Make keys, and seal secrets with them
    #[command(subcommand)]
    Secrets(SecretVerb),
    /// Follow what happens to the configuration
    #[command(subcommand)]
    Events(EventVerb),
    /// List nodes, and forget lost ones
    #[command(subcommand, visible_alias = "node")]
    Nodes(NodeVerb),
    /// Make the streams that FlexGate needs, with an operator's credentials
    #[command(subcommand)]
    Streams(StreamVerb),
    /// Bring the tables in the database to what this version writes
    Migrate(DatabaseAt),
    /// Open psql on the tables, or run one query
    Sql(Sql),
    /// How the read models are, and what they could not apply
    #[command(subcommand, visible_alias = "projection")]
    Projections(ProjectionVerb),
    /// Make a read model anew from its streams, beside the tables that are read, and swap them; or compare them
    Replay(Replay),
    /// Hold what is kept against each other
    #[command(subcommand)]
    Verify(VerifyVerb),
    /// Examine this node and what it needs, and say how to mend what is wrong
    Doctor {
        /// Mend what is safe to mend: make a missing folder, streams and tables, and close files to others
        #[arg(long)]
        fix: bool,
        #[command(flatten)]
        at: ServersAt,
    },
    /// Print every option of a process, its value, and where that comes from; secrets are not shown
    Config {
        /// The values that hold here, and not the defaults
        #[arg(long)]
        effective: bool,
        /// The configuration file (FLEXGATE_CONFIG)
        #[arg(long, value_name = "FILE")]
        config: Option<String>,
    },
    /// Print a schema: of the configuration file for editors, of the API, of events and streams for programs
    Schema {
        /// Of what
        #[arg(value_enum)]
        of: SchemaOf,
    },
    /// Print what a shell needs to complete commands
    Completions {
        /// For which shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write man pages into a folder
    Man {
        /// The folder; it is made if it is not there
        folder: PathBuf,
    },
    /// Print the version
    Version,
}

/// What `health` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Probe {
    /// Whether the process answers: if not, start it anew.
    Live,
    /// Whether it has a routing table and is not about to end: if not, send it nothing.
    #[default]
    Ready,
}

#[derive(Debug, Subcommand)]
pub(super) enum StreamVerb {
    /// Make what is missing, and say what is there but not as it must be
    Apply {
        /// On how many servers of the NATS cluster each message is stored
        #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
        replicas: u8,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The file
    pub(super) file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    /// The file
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) called: Called,
    /// Write what would be done to this file; `apply PLAN` does it, if nothing else has happened until then
    #[arg(long, value_name = "PLAN")]
    pub(super) plan: Option<PathBuf>,
    #[command(flatten)]
    pub(super) extent: Extent,
}

#[derive(Debug, clap::Args)]
pub(super) struct Apply {
    /// The file, or a plan of `diff`
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) called: Called,
    /// Only show what would be changed: 5 if it would be refused
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) extent: Extent,
    #[command(flatten)]
    pub(super) how: How,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// As it was at this revision
    #[arg(long, value_name = "REVISION")]
    pub(super) revision: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(super) struct History {
    /// How many commits
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub(super) limit: u16,
}

/// By what a file is known again.
#[derive(Debug, clap::Args)]
pub(super) struct Called {
    /// By what the file is known again, instead of the name that it gives itself, or has
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<FileName>,
}

/// How far a file goes.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Extent {
    /// Delete what no file has made, too
    #[arg(long)]
    pub(super) prune: bool,
    /// Let the file win over what others changed since it was applied last
    #[arg(long)]
    pub(super) force: bool,
}

/// How a change is made.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Wait until every node serves it
    #[arg(long)]
    pub(super) wait: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum EventVerb {
    /// Print each commit as it happens, until Ctrl-C
    Tail {
        /// The first revision to print, instead of the next one
        #[arg(long, value_name = "REVISION")]
        from: Option<u64>,
    },
    /// Print what lies on a stream, decoded; speaks to NATS itself
    Show(Shown),
}

#[derive(Debug, Subcommand)]
pub(super) enum NodeVerb {
    /// List all nodes
    List,
    /// Take a lost node out of the membership
    Forget { id: String },
}

/// The variable that an option is like, the option, and what was written.
type Written = (&'static str, &'static str, Option<String>);

impl Args {
    /// The options that stand for settings: the variable that each is like, and what was written.
    pub(super) fn layer(&self) -> Layer {
        let shared = &self.shared;
        let mut options = vec![
            ("FLEXGATE_DATA_DIR", "--data-dir", shared.data_dir.clone()),
            ("FLEXGATE_ADMIN_ADDR", "--admin", shared.admin.clone()),
        ];
        options.extend(match &self.command {
            Command::Up(up) => up.layer(),
            Command::Serve(serve) => serve.layer(),
            Command::Config { config, .. } => vec![("FLEXGATE_CONFIG", "--config", config.clone())],
            Command::Migrate(at) => at.layer(),
            Command::Sql(sql) => sql.at.layer(),
            Command::Events(EventVerb::Show(shown)) => shown.layer(),
            Command::Doctor { at, .. } | Command::Verify(VerifyVerb::Outcomes(at)) => at.layer(),
            _ => Vec::new(),
        });
        Layer::options(options)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn words_that_belong_together_are_understood() {
        let parse = |words: &str| Args::try_parse_from(words.split(' '));
        for words in [
            "flexgate up --demo --config config/proxy.yml --data-dir /tmp/x",
            "flexgate serve --role gateway,admin --nats-url nats://a",
            "flexgate routes create --path /x --upstream u --method GET --method POST --strip-path",
            "flexgate routes update r1 --priority -5 --strip-path false -o json",
            "flexgate upstreams create u --url http://a --url http://b --wait",
            "flexgate events tail --from 12",
            "flexgate apply f.yml --reason why --prune --force --dry-run",
            "flexgate diff f.yml --plan p.json",
            "flexgate sql -- --csv -c x",
            "flexgate secrets seal --for signing:k1",
            "flexgate verify outcomes --database-url postgres://a -o json",
            "flexgate health live --data-dir /var/lib/flexgate",
        ] {
            assert!(parse(words).is_ok(), "{words}: {}", parse(words).unwrap_err());
        }
        for words in [
            "flexgate",
            "flexgate routes",
            "flexgate apply",
            "flexgate status -o xml",
            "flexgate secrets seal --for signing:",
            "flexgate fly",
        ] {
            assert!(parse(words).is_err_and(|error| error.exit_code() == 2), "{words}");
        }
    }
}
