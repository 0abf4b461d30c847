//! Who a node is: an id kept in its data folder under a lock, and a new boot id at each start.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use flexgate_schemas::{BootId, NodeId};
use uuid::Uuid;

/// A node's identity. While it lives, no other process can have the same.
#[derive(Debug)]
pub struct Identity {
    /// The same over restarts.
    pub node: NodeId,
    /// Another one each time.
    pub boot: BootId,
    _lock: File,
}

/// Why a node cannot have its identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Another process runs on the same data folder.
    #[error(
        "another FlexGate runs on the data folder {0}: stop it, or give this one its own with FLEXGATE_DATA_DIR"
    )]
    Taken(PathBuf),
    /// The folder cannot be used.
    #[error("the data folder {folder} cannot be used: {error}")]
    Io {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{0} does not hold a node id: remove it, and the node gets a new one")]
    Broken(PathBuf),
}

impl Identity {
    /// Takes the identity of a data folder, which is made if need be; `wanted` names a node that has none yet.
    pub fn take(folder: &Path, wanted: Option<NodeId>) -> Result<Self, IdentityError> {
        let failed = |error| IdentityError::Io {
            folder: folder.to_owned(),
            error,
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join("node.lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(IdentityError::Taken(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let path = folder.join("node.id");
        let node = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| IdentityError::Broken(path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let node = wanted.unwrap_or_else(|| NodeId::from_uuid(Uuid::now_v7()));
                let unfinished = folder.join("node.id.part");
                let mut file = File::create(&unfinished).map_err(failed)?;
                writeln!(file, "{node}")
                    .and_then(|()| file.sync_all())
                    .map_err(failed)?;
                fs::rename(&unfinished, &path).map_err(failed)?;
                node
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Self {
            node,
            boot: BootId::from_uuid(Uuid::new_v4()),
            _lock: lock,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_outlives_a_restart_and_cannot_be_had_twice() {
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::take(folder.path(), None).unwrap();
        assert!(matches!(
            Identity::take(folder.path(), None),
            Err(IdentityError::Taken(_))
        ));
        let (node, boot) = (first.node.clone(), first.boot.clone());
        drop(first);
        let second = Identity::take(folder.path(), Some("other".parse().unwrap())).unwrap();
        assert_eq!(second.node, node);
        assert_ne!(second.boot, boot);
    }
}
