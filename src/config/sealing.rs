//! The keys that secrets are sealed with: given in the environment, or in a file that nobody else may read.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{ConfigError, environment::Sources, reader::Reader};
use crate::sealing::{KeyError, SealingKeys};

/// The keys themselves. Never the value of a `${...}`.
pub(super) const KEY: &str = "FLEXGATE_SECRET_KEY";
const KEY_FILE: &str = "FLEXGATE_SECRET_KEY_FILE";

/// Why the file has no keys. Never has a part of one.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{} may be read by others than its owner: `chmod 600` it", .0.display())]
    Open(PathBuf),
    #[error("{}: {error}", path.display())]
    Key { path: PathBuf, error: KeyError },
}

/// The keys of this node, if it was given any; one that is no key stops the start.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Arc<SealingKeys>> {
    let given = reader.find(&[KEY]);
    let file = reader.find(&[KEY_FILE]);
    if given.is_some() && file.is_some() {
        reader.mistake(format!(
            "{KEY} and {KEY_FILE} are both set: give the keys in one place"
        ));
    }
    let keys = match (given, file) {
        (Some(found), _) => reader.parse(found, SealingKeys::read),
        (None, Some(found)) => reader.parse(found, |path| from_file(Path::new(path))),
        (None, None) => None,
    };
    keys.map(Arc::new)
}

/// The same for a command that needs nothing else.
pub fn keys(sources: &Sources) -> Result<Option<Arc<SealingKeys>>, ConfigError> {
    let mut reader = Reader::new(sources);
    let keys = read(&mut reader);
    reader.finish().map(|_| keys)
}

fn from_file(path: &Path) -> Result<SealingKeys, FileError> {
    let unreadable = |error| FileError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(FileError::Open(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    SealingKeys::read(&text).map_err(|error| FileError::Key {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;
    use crate::config::Layer;

    fn read_from(variables: &[(&str, &str)]) -> Result<Option<Arc<SealingKeys>>, String> {
        let variables = Layer::variables(variables.iter().copied());
        keys(&Sources::of([variables])).map_err(|ConfigError(findings)| findings[0].message.clone())
    }

    #[test]
    fn a_key_comes_from_the_environment_or_from_a_file_that_only_its_owner_reads() {
        let key = SealingKeys::make().unwrap();
        assert!(read_from(&[]).unwrap().is_none());
        assert!(read_from(&[(KEY, &key)]).unwrap().is_some());

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let file = path.to_str().unwrap();
        fs::write(&path, format!("{key}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(read_from(&[(KEY_FILE, file)]).unwrap().is_some());
        assert!(
            read_from(&[(KEY_FILE, file), (KEY, &key)])
                .unwrap_err()
                .contains("both set")
        );

        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(read_from(&[(KEY_FILE, file)]).unwrap_err().contains("chmod 600"));
    }

    #[test]
    fn what_is_no_key_is_a_mistake_that_does_not_repeat_it() {
        let wrong = read_from(&[(KEY, "aGVsbG8=")]).unwrap_err();
        assert!(
            wrong.contains("FLEXGATE_SECRET_KEY: a key has 32 bytes, this one has 5"),
            "{wrong}"
        );
        assert!(!wrong.contains("aGVsbG8"), "{wrong}");
    }
}
