//! Where a configuration file is, and how it is read again.

use std::{
    collections::BTreeMap,
    fmt,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{super::finding::ConfigError, Loaded, NodeOverrides};

/// A file that can be read more than once, with the variables that its values refer to.
#[derive(Clone)]
pub struct FileSource {
    /// Where it is.
    pub path: PathBuf,
    /// What it was when it was read first.
    pub mark: Mark,
    variables: Arc<BTreeMap<String, String>>,
}

impl FileSource {
    /// The file at a path, whether there is one or not.
    pub fn at(path: PathBuf, variables: BTreeMap<String, String>) -> Self {
        Self {
            // Before it is read: what changes in between is then seen as a change.
            mark: Mark::of(&path),
            path,
            variables: Arc::new(variables),
        }
    }

    /// Reads it. Blocks on the disk.
    pub fn read(&self) -> Result<Loaded, ConfigError> {
        Loaded::read(&self.path, &self.variables)
    }

    /// What it says about the node that reads it, as far as that can be read. Blocks on the disk.
    pub fn node(&self) -> NodeOverrides {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        Loaded::node_in(&text, &self.variables)
    }
}

/// Without the variables: there are secrets among them.
impl fmt::Debug for FileSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "FileSource({})", self.path.display())
    }
}

/// What tells one version of a file from another: where its content lies, how long it is, and when it was written. Nothing
/// when there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark(Option<Found>);

/// What the folder says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    place: (u64, u64),
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Mark {
    /// Of the file at a path, links followed. Blocks on the disk.
    pub fn of(path: &Path) -> Self {
        Self(std::fs::metadata(path).ok().map(|about| Found {
            place: (about.dev(), about.ino()),
            bytes: about.size(),
            written: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }))
    }
}
