//! Secrets on a node: values that show themselves to nobody, and the resolution of references to them.

use std::{collections::BTreeMap, fmt, fs::File, io::Read, sync::Arc};

use flexgate_schemas::{
    Secret,
    secret::{Purpose, Sealed},
};

use super::sealing;
use crate::sealing::{OpenError, SealingKeys};

/// A value that neither `Debug` nor a log line shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Hides a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself: for whom it is meant, never for a log line.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// What this node resolves secrets by: its environment, its files, and its keys.
#[derive(Clone, Default)]
pub struct SecretResolver {
    variables: Arc<BTreeMap<String, String>>,
    keys: Option<Arc<SealingKeys>>,
}

/// Why a reference means nothing on this node. Names the reference, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretUnresolved {
    /// There is no such variable, or it is empty.
    #[error("{0:?}: the variable is not set on this node")]
    Unset(Secret),
    /// The file cannot be read.
    #[error("{secret:?}: {error}")]
    Unreadable {
        /// The reference.
        secret: Secret,
        /// What the system said.
        error: String,
    },
    /// The file is empty.
    #[error("{0:?}: the file is empty")]
    Empty(Secret),
    /// The file is too large to be a secret.
    #[error("{0:?}: the file is larger than {SECRET_BYTES_MAX} bytes")]
    TooLarge(Secret),
    /// It is sealed, and this node has no key at all.
    #[error(
        "{0:?}: this node has no key to open it; give it the one that sealed it with FLEXGATE_SECRET_KEY"
    )]
    NoKey(Sealed),
    /// It is sealed, and not with a key of this node, or not for this.
    #[error("{0:?}: {1}")]
    Unopened(Sealed, OpenError),
}

/// The largest secret. A private key in PEM has a few KiB.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

impl SecretResolver {
    /// Resolves by these variables and keys. What the keys themselves stand in is no variable that can be referred to:
    /// whoever may edit the configuration could have it sent anywhere.
    pub fn new(mut variables: BTreeMap<String, String>, keys: Option<Arc<SealingKeys>>) -> Self {
        variables.remove(sealing::KEY);
        Self {
            variables: Arc::new(variables),
            keys,
        }
    }

    /// The secret, here and now: a file is read each time, since it may be rotated. Blocks for a small local file.
    pub fn resolve(
        &self,
        secret: &Secret,
        purpose: Purpose<'_>,
    ) -> Result<Redacted<String>, SecretUnresolved> {
        match secret {
            Secret::Variable(name) => match self.variables.get(&**name) {
                Some(value) if !value.is_empty() => Ok(Redacted(value.clone())),
                _ => Err(SecretUnresolved::Unset(secret.clone())),
            },
            Secret::File(path) => file(secret, path).map(Redacted),
            Secret::Sealed(sealed) => {
                let keys = self.keys.as_ref();
                let keys = keys.ok_or_else(|| SecretUnresolved::NoKey(sealed.clone()))?;
                keys.open(sealed, purpose)
                    .map(Redacted)
                    .map_err(|error| SecretUnresolved::Unopened(sealed.clone(), error))
            }
        }
    }
}

fn file(secret: &Secret, path: &str) -> Result<String, SecretUnresolved> {
    let unreadable = |error: std::io::Error| SecretUnresolved::Unreadable {
        secret: secret.clone(),
        error: error.to_string(),
    };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(SECRET_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(SecretUnresolved::TooLarge(secret.clone()));
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() {
        Err(SecretUnresolved::Empty(secret.clone()))
    } else {
        Ok(text)
    }
}

impl fmt::Debug for SecretResolver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SecretResolver({} variables)", self.variables.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_resolved_by_variable_or_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hunter2\n").unwrap();
        let resolver = SecretResolver::new([("TOKEN".to_owned(), "hunter3".to_owned())].into(), None);
        let resolve = |text: &str| resolver.resolve(&text.parse().unwrap(), Purpose::Upstream);

        assert_eq!(resolve("${TOKEN}").unwrap().expose(), "hunter3");
        assert_eq!(
            resolve(&format!("file:{}", path.display())).unwrap().expose(),
            "hunter2"
        );
        assert!(matches!(resolve("${OTHER}"), Err(SecretUnresolved::Unset(_))));
        assert!(matches!(
            resolve("file:/nowhere/at/all"),
            Err(SecretUnresolved::Unreadable { .. })
        ));
    }

    #[test]
    fn a_sealed_secret_is_opened_where_its_key_is() {
        let key = SealingKeys::make().unwrap();
        let keys = Arc::new(SealingKeys::read(&key).unwrap());
        let sealed = Secret::Sealed(keys.seal("hunter2", Purpose::Upstream).unwrap());
        let variables = BTreeMap::from([(sealing::KEY.to_owned(), key)]);
        let with = SecretResolver::new(variables, Some(keys));
        let opened = with.resolve(&sealed, Purpose::Upstream).unwrap();
        assert_eq!(opened.expose(), "hunter2");
        assert!(matches!(
            with.resolve(&sealed, Purpose::Tokens),
            Err(SecretUnresolved::Unopened(_, OpenError::Purpose))
        ));
        let key_itself = format!("${{{}}}", sealing::KEY).parse().unwrap();
        let resolved = with.resolve(&key_itself, Purpose::Upstream);
        assert!(matches!(resolved, Err(SecretUnresolved::Unset(_))));

        let without = SecretResolver::default().resolve(&sealed, Purpose::Upstream);
        let error = without.unwrap_err();
        assert!(matches!(error, SecretUnresolved::NoKey(_)));
        assert!(error.to_string().len() < 120, "{error}");
    }

    #[test]
    fn neither_a_secret_nor_a_resolver_shows_what_it_holds() {
        let resolver = SecretResolver::new([("TOKEN".to_owned(), "hunter2".to_owned())].into(), None);
        let shown = format!(
            "{resolver:?} {:?}",
            resolver.resolve(&"${TOKEN}".parse().unwrap(), Purpose::Upstream)
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
