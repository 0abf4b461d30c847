//! The admin token: given by `FLEXGATE_ADMIN_TOKEN`, or made at the first start and kept in the data folder.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::secrets::Redacted;

/// A bearer token of the admin API: visible ASCII, at least 16 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken(Redacted<String>);

/// Why there is no admin token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// What is there is no token.
    #[error("an admin token has at least {TOKEN_LENGTH_MIN} characters, all of them visible ASCII")]
    Invalid,
    /// The file cannot be read, written or closed to others.
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The system has no randomness to give.
    #[error("the system gave no random bytes")]
    Random,
}

/// A shorter one could be guessed over the network in time.
const TOKEN_LENGTH_MIN: usize = 16;
const MODE: u32 = 0o600;

impl AdminToken {
    /// The file that keeps it.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("admin-token")
    }

    /// A token that somebody chose.
    pub fn given(text: &str) -> Result<Self, TokenError> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if !visible || text.len() < TOKEN_LENGTH_MIN {
            return Err(TokenError::Invalid);
        }
        Ok(Self(Redacted::new(text.to_owned())))
    }

    /// The token in the data folder; `None` before the first start.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, TokenError> {
        let path = Self::path(data_dir);
        match fs::read_to_string(&path) {
            // A start that was killed between creating and writing leaves it empty.
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => Self::given(text.trim_end()).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TokenError::File { path, error }),
        }
    }

    /// The token in the data folder, made now if there is none: 32 random bytes, readable by its owner alone. The
    /// second value says that others could read it until now, which is mended but may be too late.
    pub fn obtain(data_dir: &Path) -> Result<(Self, bool), TokenError> {
        let path = Self::path(data_dir);
        let failed = |error| TokenError::File {
            path: path.clone(),
            error,
        };
        if let Some(token) = Self::read(data_dir)? {
            let mode = fs::metadata(&path).map_err(failed)?.permissions().mode();
            let exposed = mode & 0o077 != 0;
            if exposed {
                fs::set_permissions(&path, Permissions::from_mode(MODE)).map_err(failed)?;
            }
            return Ok((token, exposed));
        }
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| TokenError::Random)?;
        let text = URL_SAFE_NO_PAD.encode(bytes);
        fs::create_dir_all(data_dir).map_err(failed)?;
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(MODE)
                .open(&path)?;
            file.set_permissions(Permissions::from_mode(MODE))?; // the file may have been there, empty
            writeln!(file, "{text}")?;
            file.sync_all()
        };
        write().map_err(failed)?;
        Ok((Self(Redacted::new(text)), false))
    }

    /// The token itself: to compare with, or to send.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let (made, _) = AdminToken::obtain(folder.path()).unwrap();
        let mode = fs::metadata(AdminToken::path(folder.path()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(AdminToken::obtain(folder.path()).unwrap(), (made.clone(), false));
        assert_eq!(AdminToken::read(folder.path()).unwrap(), Some(made.clone()));
        assert_eq!(URL_SAFE_NO_PAD.decode(made.expose()).unwrap().len(), 32);
    }

    #[test]
    fn a_token_that_others_could_read_is_closed_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let (made, _) = AdminToken::obtain(folder.path()).unwrap();
        let path = AdminToken::path(folder.path());
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(AdminToken::obtain(folder.path()).unwrap(), (made, true));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_token_is_long_visible_and_never_shown() {
        assert!(AdminToken::given("short").is_err());
        assert!(AdminToken::given("sixteen letters with spaces").is_err());
        let shown = format!("{:?}", AdminToken::given("correct-horse-battery").unwrap());
        assert!(!shown.contains("horse"), "{shown}");
    }
}
