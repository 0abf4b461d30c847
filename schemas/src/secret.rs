//! Secrets, which events never hold in the clear: a reference that each node resolves for itself.

use std::{fmt, str::FromStr};

/// A reference to a secret. It stays a reference in the log, in snapshots and in read models.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Secret {
    /// `${NAME}`: an environment variable of the node.
    Variable(Box<str>),
    /// `file:/path`: a file on the node; a trailing newline is not part of the secret.
    File(Box<str>),
}

/// Why a string is not a secret that may be stored. Never repeats the string: it may be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Plain text.
    #[error(
        "a secret is never stored in the clear: write `${{NAME}}` or `file:/path`, which each node resolves"
    )]
    Plaintext,
    /// `${...}` around something that names no variable.
    #[error("`${{...}}` takes the name of an environment variable: letters, digits and `_`")]
    Name,
    /// `file:` with a path that depends on where the node was started.
    #[error("`file:` takes an absolute path")]
    Relative,
}

impl FromStr for Secret {
    type Err = SecretError;
    fn from_str(text: &str) -> Result<Self, SecretError> {
        if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            let valid = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
            return if valid {
                Ok(Self::Variable(name.into()))
            } else {
                Err(SecretError::Name)
            };
        }
        match text.strip_prefix("file:") {
            Some(path) if path.starts_with('/') => Ok(Self::File(path.into())),
            Some(_) => Err(SecretError::Relative),
            None => Err(SecretError::Plaintext),
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(out, "${{{name}}}"),
            Self::File(path) => write!(out, "file:{path}"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

text_value!(
    Secret,
    "a reference to a secret: `${NAME}` or `file:/path`",
    r"^(\$\{[A-Za-z_][A-Za-z0-9_]*\}|file:/.*)$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_stays_a_reference() {
        for text in ["${API_TOKEN}", "file:/run/secrets/token"] {
            assert_eq!(text.parse::<Secret>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn plaintext_is_refused_and_not_repeated() {
        let error = serde_json::from_str::<Secret>("\"Bearer hunter2\"")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert_eq!("${1A}".parse::<Secret>(), Err(SecretError::Name));
        assert_eq!("${}".parse::<Secret>(), Err(SecretError::Name));
        assert_eq!("file:token".parse::<Secret>(), Err(SecretError::Relative));
    }
}
