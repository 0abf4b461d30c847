//! Which requests.

/// What `requests` looks for: what has all of it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Requests {
    /// That this route took
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) route: Option<String>,
    /// That this upstream was to answer
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) upstream: Option<String>,
    /// With this status, such as 404; of this class, such as 5xx; none: the client went away first
    #[arg(long, value_name = "STATUS")]
    pub(in crate::cli) status: Option<String>,
    /// That the gateway itself refused, with this code
    #[arg(long, value_name = "CODE")]
    pub(in crate::cli) refused: Option<String>,
    /// With which this went wrong after the answer had begun
    #[arg(long, value_name = "CODE")]
    pub(in crate::cli) error: Option<String>,
    /// With this method
    #[arg(long, value_name = "METHOD")]
    pub(in crate::cli) method: Option<String>,
    /// With a path that begins with this
    #[arg(long, value_name = "PREFIX")]
    pub(in crate::cli) path: Option<String>,
    /// That took at least so long, such as 500ms
    #[arg(long, value_name = "SPAN")]
    pub(in crate::cli) min_duration: Option<String>,
    /// From this address
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::cli) client: Option<String>,
    /// With the API key of this id
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) key: Option<String>,
    /// With this correlation id
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) correlation: Option<String>,
    /// That this node took
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) node: Option<String>,
    /// That were routed by this revision
    #[arg(long, value_name = "REVISION")]
    pub(in crate::cli) revision: Option<u64>,
    /// That arrived not before: a time, or how long ago, such as 15m; a day before --until unless said
    #[arg(long, value_name = "TIME|SPAN")]
    pub(in crate::cli) since: Option<String>,
    /// That arrived before: a time, or how long ago; now unless said
    #[arg(long, value_name = "TIME|SPAN")]
    pub(in crate::cli) until: Option<String>,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub(in crate::cli) limit: u16,
}
