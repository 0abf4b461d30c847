//! The commands about routes, upstreams and keys.

use clap::{ArgAction, Subcommand};

use super::How;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RouteVerb {
    /// List all routes
    List,
    /// Show one route
    Get { id: String },
    /// Create a route
    Create(RouteChange),
    /// Change some fields of a route
    Update {
        id: String,
        #[command(flatten)]
        change: RouteChange,
    },
    /// Delete a route
    Delete {
        id: String,
        #[command(flatten)]
        how: How,
    },
    /// Let a route match again
    Enable {
        id: String,
        #[command(flatten)]
        how: How,
    },
    /// Let a route match nothing
    Disable {
        id: String,
        #[command(flatten)]
        how: How,
    },
}

/// Fields of a route. What has no option of its own goes into `--data`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RouteChange {
    /// The paths: `/users`, `/users/:id`, `/api/*`
    #[arg(long)]
    pub(in crate::cli) path: Option<String>,
    /// The upstream's name, or a URL
    #[arg(long)]
    pub(in crate::cli) upstream: Option<String>,
    /// A method; may be repeated
    #[arg(long = "method", value_name = "METHOD")]
    pub(in crate::cli) methods: Vec<String>,
    /// The host
    #[arg(long)]
    pub(in crate::cli) host: Option<String>,
    /// A name for people
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// Beats specificity: the highest wins
    #[arg(long, allow_negative_numbers = true)]
    pub(in crate::cli) priority: Option<i64>,
    /// Forward the path without what the pattern's literal part matched
    #[arg(long, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set)]
    pub(in crate::cli) strip_path: Option<bool>,
    /// Forward this path instead, such as `/v2/users/:id`
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) rewrite: Option<String>,
    /// How long the response may take to begin, such as `5s`
    #[arg(long, value_name = "SPAN")]
    pub(in crate::cli) timeout: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) data: Data,
    #[command(flatten)]
    pub(in crate::cli) how: How,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum UpstreamVerb {
    /// List all upstreams
    List,
    /// Show one upstream
    Get { name: String },
    /// Create an upstream
    Create {
        name: String,
        #[command(flatten)]
        change: UpstreamChange,
    },
    /// Change some fields of an upstream
    Update {
        name: String,
        #[command(flatten)]
        change: UpstreamChange,
    },
    /// Delete an upstream
    Delete {
        name: String,
        #[command(flatten)]
        how: How,
    },
}

/// Fields of an upstream. What has no option of its own goes into `--data`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct UpstreamChange {
    /// Where it is; may be repeated
    #[arg(long = "url", value_name = "URL")]
    pub(in crate::cli) urls: Vec<String>,
    /// How long the response may take to begin, such as `5s`
    #[arg(long, value_name = "SPAN")]
    pub(in crate::cli) timeout: Option<String>,
    /// How long a connection may take to be made
    #[arg(long, value_name = "SPAN")]
    pub(in crate::cli) connect_timeout: Option<String>,
    /// How often a failed request is tried again
    #[arg(long, value_name = "NUMBER")]
    pub(in crate::cli) retries: Option<u8>,
    #[command(flatten)]
    pub(in crate::cli) data: Data,
    #[command(flatten)]
    pub(in crate::cli) how: How,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeyVerb {
    /// List all keys
    List,
    /// Show one key; never its secret
    Get { id: String },
    /// Create a key, and show its secret once
    Create {
        #[command(flatten)]
        change: KeyChange,
        /// A user name that stands for it, too; the password is read from standard input
        #[arg(long, value_name = "NAME")]
        username: Option<String>,
    },
    /// Change some of what a key opens
    Update {
        id: String,
        #[command(flatten)]
        change: KeyChange,
    },
    /// Give a key another secret, and show it once
    Rotate {
        id: String,
        /// For how long the old secret stays valid, such as `24h`; it ends at once unless you say so
        #[arg(long, value_name = "SPAN")]
        overlap: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Let a key sign requests, with another secret if it does already, and show that once
    Sign {
        id: String,
        /// For how long the old secret stays valid, such as `24h`; it ends at once unless you say so
        #[arg(long, value_name = "SPAN")]
        overlap: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Let a key sign nothing any more
    Unsign {
        id: String,
        #[command(flatten)]
        how: How,
    },
    /// Give a key a user name and a password, which is read from standard input
    Password {
        id: String,
        /// The user name; without it the one that it has
        #[arg(long, value_name = "NAME")]
        username: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Take its user name and password from a key
    NoPassword {
        id: String,
        #[command(flatten)]
        how: How,
    },
    /// Let a key open nothing any more, for good
    Revoke {
        id: String,
        #[command(flatten)]
        how: How,
    },
    /// Delete a key
    Delete {
        id: String,
        #[command(flatten)]
        how: How,
    },
}

/// Fields of a key. What has no option of its own goes into `--data`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct KeyChange {
    /// Whose it is
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// Whether it opens anything
    #[arg(long, num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set)]
    pub(in crate::cli) enabled: Option<bool>,
    /// From when on it opens nothing, such as `2027-01-01T00:00:00Z`
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) expires_at: Option<String>,
    /// A route that it opens, by id; may be repeated; without one it opens all
    #[arg(long = "route", value_name = "ID")]
    pub(in crate::cli) routes: Vec<String>,
    /// A method that it may be used with; may be repeated; without one any
    #[arg(long = "method", value_name = "METHOD")]
    pub(in crate::cli) methods: Vec<String>,
    /// A network that it is taken from; may be repeated; without one any
    #[arg(long = "network", value_name = "CIDR")]
    pub(in crate::cli) networks: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) data: Data,
    #[command(flatten)]
    pub(in crate::cli) how: How,
}

/// A body written as JSON.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Data {
    /// Fields as a JSON object, `@FILE`, or `-` for standard input; options win over it
    #[arg(long = "data", short = 'd', value_name = "JSON")]
    pub(in crate::cli) text: Option<String>,
}
