//! Ports come from the operating system and are kept, so that yesterday's `psql` line works today.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{self, DevstackError};

/// One for each server, whether it is started or not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ports {
    pub(super) nats: u16,
    pub(super) postgres: u16,
    pub(super) valkey: u16,
}

impl Ports {
    /// Those that the last start has chosen. Unreadable is like absent.
    pub(super) fn kept(data_dir: &Path) -> Option<Self> {
        let json = fs::read(data_dir.join("ports.json")).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// Last time's where they are free, others where they are not. Written to `ports.json`.
    pub(super) fn choose(data_dir: &Path) -> Result<Self, DevstackError> {
        let path = data_dir.join("ports.json");
        // The worst that comes of an unreadable file is other numbers.
        let kept = Self::kept(data_dir).unwrap_or_default();

        let choose = || -> io::Result<Self> {
            // All three are held until all are chosen, or the system might name one twice.
            let (nats, postgres, valkey) = (hold(kept.nats)?, hold(kept.postgres)?, hold(kept.valkey)?);
            let ports = Self {
                nats: number(&nats)?,
                postgres: number(&postgres)?,
                valkey: number(&valkey)?,
            };
            fs::write(&path, serde_json::to_string_pretty(&ports)?)?;
            Ok(ports)
        };
        choose().map_err(error::io("choose ports for", &path))
    }
}

/// A port that is free now.
pub(super) fn any() -> io::Result<u16> {
    number(&hold(0)?)
}

fn hold(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .or_else(|_taken| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
}

fn number(listener: &TcpListener) -> io::Result<u16> {
    listener.local_addr().map(|address| address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_kept_while_they_are_free() {
        let folder = tempfile::tempdir().unwrap();
        let first = Ports::choose(folder.path()).unwrap();
        assert_eq!(Ports::choose(folder.path()).unwrap(), first);

        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first.nats)).unwrap();
        let second = Ports::choose(folder.path()).unwrap();
        assert_ne!(second.nats, first.nats);
        assert_eq!((second.postgres, second.valkey), (first.postgres, first.valkey));
    }

    #[test]
    fn a_broken_file_costs_only_the_numbers() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ports.json"), "{").unwrap();
        assert_ne!(Ports::choose(folder.path()).unwrap().nats, 0);
    }
}
