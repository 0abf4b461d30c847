//! `run.json` in the data folder: where the running process listens, so that clients beside it need no address.

use std::{fs, io, net::SocketAddr, path::Path};

use serde::{Deserialize, Serialize};

/// What a running process says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Its admin API, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
    /// Health and metrics, if it has no admin API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ops: Option<SocketAddr>,
    /// Its data plane, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<SocketAddr>,
    /// Its process id. May belong to another process by now: look before you signal.
    pub pid: u32,
}

const NAME: &str = "run.json";

impl RunRecord {
    /// The record of the process that runs in this data folder, or ran and was killed.
    pub fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(data_dir.join(NAME)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it in one step, so that no reader sees half of it.
    pub fn write(&self, data_dir: &Path) -> io::Result<()> {
        let unfinished = data_dir.join(format!("{NAME}.new"));
        fs::write(&unfinished, serde_json::to_vec(self)?)?;
        fs::rename(unfinished, data_dir.join(NAME))
    }

    /// Takes it away again.
    pub fn remove(data_dir: &Path) -> io::Result<()> {
        match fs::remove_file(data_dir.join(NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Where it can be asked how it is.
    pub fn health(&self) -> Option<SocketAddr> {
        self.admin.or(self.ops)
    }
}
