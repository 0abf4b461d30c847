//! The composition root: builds everything from the settings, runs it, and lets it end in order.

use crate::config::Config;

/// Why a process could not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The parts of a node are not built into this program yet.
    #[error("this build has no servers in it")]
    NotBuilt,
}

/// Runs all roles, with servers of its own, until it is told to end.
pub fn up(_: Config) -> Result<(), Error> {
    Err(Error::NotBuilt)
}

/// Runs some roles against servers that exist, until it is told to end.
pub fn serve(_: Config) -> Result<(), Error> {
    Err(Error::NotBuilt)
}

/// Ends what `up` runs in the data folder.
pub fn down(_: Config) -> Result<(), Error> {
    Err(Error::NotBuilt)
}
