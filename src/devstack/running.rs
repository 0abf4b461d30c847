//! Which servers run in a data folder, for commands beside the process that started them.

use std::path::Path;

use super::{hold, launch::Protocol, nats, password, ports::Ports, postgres};

/// The servers that a live run has started, with their passwords: never logged.
#[derive(Default)]
pub struct Running {
    /// NATS, if it is one of them.
    pub nats: Option<String>,
    /// PostgreSQL, if it is one of them.
    pub database: Option<String>,
}

impl Running {
    /// Looks at what the run has written down. What was recorded and has ended is not there.
    pub fn find(data_dir: &Path) -> Self {
        let (Some(ports), Some(password)) = (Ports::kept(data_dir), password::read(data_dir)) else {
            return Self::default();
        };
        let runs = |protocol: Protocol| hold::runs(data_dir, protocol.name());
        Self {
            nats: runs(Protocol::Nats).then(|| nats::url(&password, ports.nats)),
            database: runs(Protocol::Postgres).then(|| postgres::url(&password, ports.postgres)),
        }
    }
}
