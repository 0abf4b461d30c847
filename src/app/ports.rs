//! A port belongs to one process, until that process goes away.
//!
//! The data plane binds with `SO_REUSEPORT`, a socket per core, so a second process would bind the same port in silence
//! and take half of the connections. A lock file per port says who has it; a process that drains lets go of the lock
//! first, so that its successor can bind beside it and no connection finds the port closed.

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
};

/// The right to bind a port.
#[derive(Debug)]
pub(super) struct PortClaim {
    lock: File,
    /// Whether the holder before us may still be listening, because it drains.
    pub(super) takes_over: bool,
}

/// Somebody has the port.
#[derive(Debug, thiserror::Error)]
#[error("{addr} is taken by {holder}: stop it, or choose another address with FLEXGATE_PROXY_ADDR")]
pub struct PortTaken {
    addr: SocketAddr,
    holder: String,
}

/// What a lock file says after its holder began to drain.
const DRAINING: &str = "draining";

impl PortClaim {
    /// Claims a port; `None` for port 0, which is nobody's.
    pub(super) fn take(addr: SocketAddr) -> Result<Option<Self>, super::Error> {
        if addr.port() == 0 {
            return Ok(None);
        }
        let mut lock = open(addr)?;
        let mut said = String::new();
        lock.read_to_string(&mut said)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = format!("another FlexGate (process {})", said.trim());
                return Err(PortTaken { addr, holder }.into());
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        write(&mut lock, &std::process::id().to_string())?;
        Ok(Some(Self {
            lock,
            takes_over: said.trim() == DRAINING,
        }))
    }

    /// Lets a successor bind the port while we still serve what reaches us.
    pub(super) fn hand_over(mut self) {
        if let Err(error) = write(&mut self.lock, DRAINING) {
            tracing::warn!(%error, "a successor cannot take the port over before this process has ended");
        }
    }
}

fn open(addr: SocketAddr) -> io::Result<File> {
    let user = rustix::process::getuid().as_raw();
    let folder: PathBuf = std::env::temp_dir().join(format!("flexgate-ports-{user}"));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}.lock", addr.port()));
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn write(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}
