//! Ports that are free, and stay so. They are kept, so that yesterday's `psql` line works today.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

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

/// A port of the loopback interface that nobody has, and that nobody but a server will ask for: those of the system's own
/// choice go to outgoing connections, too, so that one may be gone before a server listens there, or comes back to it.
pub fn free_port() -> io::Result<u16> {
    number(&hold_any()?)
}

fn hold(port: u16) -> io::Result<TcpListener> {
    let kept = (port != 0).then(|| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    kept.and_then(Result::ok).map_or_else(hold_any, Ok)
}

/// Each call tries others than the last one did, and each process begins somewhere else.
fn hold_any() -> io::Result<TcpListener> {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random()));
    let ports = ports_for_servers();
    for _ in 0..TRIES {
        let offset = NEXT
            .fetch_add(1, Ordering::Relaxed)
            .checked_rem(ports.end - ports.start);
        let Some(offset) = offset else { break };
        if let Ok(held) = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.start + offset)) {
            return Ok(held);
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

/// How many ports are tried before the system has to choose.
const TRIES: usize = 1000;

/// Below them are those that well-known servers have.
const FIRST: u16 = 10_240;

/// Those that outgoing connections get none of (ip(7), `ip_local_port_range`); empty where that cannot be known.
fn ports_for_servers() -> Range<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let low = range
        .split_whitespace()
        .next()
        .and_then(|low| low.parse::<u16>().ok());
    FIRST..low.unwrap_or_default().max(FIRST)
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
    fn a_free_port_is_none_that_an_outgoing_connection_gets() {
        let (one, other) = (free_port().unwrap(), free_port().unwrap());
        assert_ne!(one, other);
        assert!(ports_for_servers().contains(&one) && ports_for_servers().contains(&other));
    }

    #[test]
    fn a_broken_file_costs_only_the_numbers() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ports.json"), "{").unwrap();
        assert_ne!(Ports::choose(folder.path()).unwrap().nats, 0);
    }
}
