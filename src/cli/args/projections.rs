//! The read models, and what can be done with them.

use clap::Subcommand;
use flexgate_projections::Pace;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ProjectionVerb {
    /// List the read models: how far each is, how fast, and what it has put aside
    #[command(visible_alias = "ls")]
    List,
    /// List what a projection could not apply, without what is in it
    DeadLetters {
        /// Which projection
        projection: String,
    },
    /// Apply once more what could not be applied: one message, or all of them
    Retry {
        /// Which projection
        projection: String,
        /// Which dead letter
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<String>,
        /// All of them, a thousand at once
        #[arg(long)]
        all: bool,
    },
}

/// What `replay` makes anew.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Replay {
    /// Which projection, as `projections list` has it
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(in crate::cli) projection: Option<String>,
    /// All of them, one after the other
    #[arg(long)]
    all: bool,
    /// Make it anew only to compare it with the tables that are read, which stay as they are: 7 if anything differs
    #[arg(long)]
    pub(in crate::cli) verify: bool,
    /// How much of the time is spent on it, in percent; the rest is left to those who serve. 100: as fast as it can
    #[arg(long, value_name = "PERCENT", default_value_t = Pace::default().into(), value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(in crate::cli) pace: u8,
}
