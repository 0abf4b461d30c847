//! The commands that run a node, and the options of one.

use super::Written;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Up {
    /// Run a demo upstream too
    #[arg(long)]
    pub(in crate::cli) demo: bool,
    #[command(flatten)]
    node: Node,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Serve {
    /// What to run: gateway, admin, projector, reactor, separated by commas (FLEXGATE_ROLES)
    #[arg(long, value_name = "ROLES")]
    role: Option<String>,
    #[command(flatten)]
    node: Node,
}

/// Options of a node.
#[derive(Debug, clap::Args)]
struct Node {
    /// The configuration file (FLEXGATE_CONFIG)
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// Where the data plane listens (FLEXGATE_PROXY_ADDR or PORT, default: 127.0.0.1:8000)
    #[arg(long, value_name = "ADDR")]
    proxy_addr: Option<String>,
    /// Where admin API and UI listen (FLEXGATE_ADMIN_ADDR, default: 127.0.0.1:3000)
    #[arg(long, value_name = "ADDR")]
    admin_addr: Option<String>,
    /// Where health and metrics listen without the admin role (FLEXGATE_OPS_ADDR, default: 127.0.0.1:9900)
    #[arg(long, value_name = "ADDR")]
    ops_addr: Option<String>,
    /// NATS with JetStream (NATS_URL)
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
    /// PostgreSQL, for the read models (DATABASE_URL)
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Redis or Valkey, for shared rate-limit budgets (REDIS_URL)
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// The id of this node instead of the one in the data folder (FLEXGATE_NODE_ID)
    #[arg(long = "node-id", value_name = "ID")]
    id: Option<String>,
    /// Data-plane threads (FLEXGATE_THREADS, default: one per core)
    #[arg(long, value_name = "NUMBER")]
    threads: Option<String>,
    /// What is logged, such as `info,flexgate::gateway=debug` (FLEXGATE_LOG)
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

impl Up {
    pub(super) fn layer(&self) -> Vec<Written> {
        self.node.layer()
    }
}

impl Serve {
    pub(super) fn layer(&self) -> Vec<Written> {
        let mut layer = vec![("FLEXGATE_ROLES", "--role", self.role.clone())];
        layer.extend(self.node.layer());
        layer
    }
}

impl Node {
    fn layer(&self) -> Vec<Written> {
        vec![
            ("FLEXGATE_CONFIG", "--config", self.config.clone()),
            ("FLEXGATE_PROXY_ADDR", "--proxy-addr", self.proxy_addr.clone()),
            ("FLEXGATE_ADMIN_ADDR", "--admin-addr", self.admin_addr.clone()),
            ("FLEXGATE_OPS_ADDR", "--ops-addr", self.ops_addr.clone()),
            ("NATS_URL", "--nats-url", self.nats_url.clone()),
            ("DATABASE_URL", "--database-url", self.database_url.clone()),
            ("REDIS_URL", "--redis-url", self.redis_url.clone()),
            ("FLEXGATE_NODE_ID", "--node-id", self.id.clone()),
            ("FLEXGATE_THREADS", "--threads", self.threads.clone()),
            ("FLEXGATE_LOG", "--log", self.log.clone()),
        ]
    }
}
