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
struct PortClaim {
    lock: File,
    /// Whether the holder before us may still be listening, because it drains.
    takes_over: bool,
}

/// Somebody has the port.
#[derive(Debug, thiserror::Error)]
#[error("{addr} is taken by {holder}: stop it, or choose another address with {variable}")]
pub struct PortTaken {
    addr: SocketAddr,
    variable: &'static str,
    holder: String,
}

/// What a lock file says after its holder began to drain.
const DRAINING: &str = "draining";

/// The right to bind each port of a data plane.
#[derive(Debug, Default)]
pub(super) struct PortClaims(Vec<PortClaim>);

impl PortClaims {
    /// Claims them all, each with the variable that chooses another one.
    pub(super) fn take(
        wanted: impl IntoIterator<Item = (SocketAddr, &'static str)>,
    ) -> Result<Self, super::Error> {
        let claims = wanted
            .into_iter()
            .map(|(addr, variable)| PortClaim::take(addr, variable));
        let claims: Vec<_> = claims.collect::<Result<_, _>>()?;
        Ok(Self(claims.into_iter().flatten().collect()))
    }

    /// Whether the holder before us may still be listening on one of them, because it drains.
    pub(super) fn take_over(&self) -> bool {
        self.0.iter().any(|claim| claim.takes_over)
    }

    /// Lets a successor bind the ports while we still serve what reaches us.
    pub(super) fn hand_over(self) {
        self.0.into_iter().for_each(PortClaim::hand_over);
    }
}

impl PortClaim {
    /// Claims a port; `None` for port 0, which is nobody's.
    fn take(addr: SocketAddr, variable: &'static str) -> Result<Option<Self>, super::Error> {
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
                return Err(PortTaken {
                    addr,
                    variable,
                    holder,
                }
                .into());
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
    fn hand_over(mut self) {
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
