//! Secrets, which events never hold in the clear: a reference that each node resolves for itself, or the secret itself, sealed.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// A secret as it stands in the log, in snapshots and in read models: never in the clear.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Secret {
    /// `${NAME}`: an environment variable of the node.
    Variable(Box<str>),
    /// `file:/path`: a file on the node; a trailing newline is not part of the secret.
    File(Box<str>),
    /// `sealed:KEY:TEXT`: the secret itself, which only nodes with that key can read.
    Sealed(Sealed),
}

/// A secret under AES-256-GCM, bound to what it is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sealed {
    key: SealingKeyId,
    /// Nonce, ciphertext and tag in base64url.
    text: Box<str>,
}

/// Which key sealed something: eight lower-case hexadecimal digits, worked out of the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealingKeyId([u8; 4]);

/// What a secret is for. Sealed for one purpose it cannot be opened for another, so that nobody who may edit the
/// configuration, and may not know a secret, can have it used where it gives itself away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// What the gateway shows upstreams of itself, and whom it trusts there.
    Upstream,
    /// The key that the tokens of a provider are signed with.
    Tokens,
    /// What the API key of this id signs requests with.
    Signing(&'a str),
}

/// The fewest bytes of something sealed: nonce, one byte, tag.
const SEALED_BYTES_MIN: usize = 12 + 1 + 16;
/// The most: what fits is a chain of certificates with its key.
const SEALED_BYTES_MAX: usize = 12 + 64 * 1024 + 16;

/// Why a string is not a secret that may be stored. Never repeats the string: it may be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Plain text.
    #[error(
        "a secret is never stored in the clear: write `${{NAME}}` or `file:/path`, which each node resolves, or what `flexgate secrets seal` prints"
    )]
    Plaintext,
    /// `${...}` around something that names no variable.
    #[error("`${{...}}` takes the name of an environment variable: letters, digits and `_`")]
    Name,
    /// `file:` with a path that depends on where the node was started.
    #[error("`file:` takes an absolute path")]
    Relative,
    /// `sealed:` and something that nobody sealed.
    #[error("`sealed:` takes the id of a key and what it sealed, as `flexgate secrets seal` prints them")]
    Sealed,
}

impl Sealed {
    /// What a key sealed: nonce, ciphertext and tag. None if that is too short or too long to be it.
    pub fn new(key: SealingKeyId, bytes: &[u8]) -> Option<Self> {
        let fits = (SEALED_BYTES_MIN..=SEALED_BYTES_MAX).contains(&bytes.len());
        let text = || URL_SAFE_NO_PAD.encode(bytes).into();
        fits.then(|| Self { key, text: text() })
    }

    /// Which key opens it.
    pub fn key(&self) -> SealingKeyId {
        self.key
    }

    /// Nonce, ciphertext and tag.
    pub fn bytes(&self) -> Vec<u8> {
        URL_SAFE_NO_PAD
            .decode(&*self.text)
            .expect("it was encoded, or read in full, before it was kept")
    }
}

impl FromStr for Sealed {
    type Err = SecretError;
    /// What follows `sealed:`.
    fn from_str(text: &str) -> Result<Self, SecretError> {
        let (key, text) = text.split_once(':').ok_or(SecretError::Sealed)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SecretError::Sealed)?;
        Self::new(key.parse()?, &bytes).ok_or(SecretError::Sealed)
    }
}

impl SealingKeyId {
    /// The id of a key, given a hash of it.
    pub fn new(hash: [u8; 4]) -> Self {
        Self(hash)
    }
}

impl FromStr for SealingKeyId {
    type Err = SecretError;
    fn from_str(text: &str) -> Result<Self, SecretError> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 8 || !text.bytes().all(is_hex) {
            return Err(SecretError::Sealed);
        }
        let number = u32::from_str_radix(text, 16).map_err(|_| SecretError::Sealed)?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for SealingKeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SealingKeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sealed:{}:...", self.key)
    }
}

impl fmt::Display for Purpose<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream => out.write_str("upstream"),
            Self::Tokens => out.write_str("tokens"),
            Self::Signing(key) => write!(out, "signing:{key}"),
        }
    }
}

impl Secret {
    /// Whether it needs a key, and a reader that knows of sealed secrets.
    pub fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }
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
        if let Some(sealed) = text.strip_prefix("sealed:") {
            return sealed.parse().map(Self::Sealed);
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
            Self::Sealed(Sealed { key, text }) => write!(out, "sealed:{key}:{text}"),
        }
    }
}

/// For messages: what is sealed is long, and says nothing to anybody.
impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed(sealed) => fmt::Debug::fmt(sealed, out),
            reference => fmt::Display::fmt(reference, out),
        }
    }
}

text_value!(
    Secret,
    "a reference to a secret, `${NAME}` or `file:/path`, or a sealed one, as `flexgate secrets seal` prints it",
    r"^(\$\{[A-Za-z_][A-Za-z0-9_]*\}|file:/.*|sealed:[0-9a-f]{8}:[A-Za-z0-9_-]+)$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_stays_a_reference() {
        let sealed = "sealed:0badcafe:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for text in ["${API_TOKEN}", "file:/run/secrets/token", sealed] {
            assert_eq!(text.parse::<Secret>().unwrap().to_string(), text);
        }
        let shown = format!("{:?}", sealed.parse::<Secret>().unwrap());
        assert_eq!(shown, "sealed:0badcafe:...");
    }

    #[test]
    fn what_nobody_can_have_sealed_is_no_secret() {
        let text = "A".repeat(39);
        for wrong in [
            "sealed:".to_owned(),
            format!("sealed:{text}"),
            format!("sealed:0BADCAFE:{text}"),
            format!("sealed:+badcafe:{text}"),
            format!("sealed:0badcafe:{}", &text[..38]),
            format!("sealed:0badcafe:{text}="),
            format!("sealed:0badcafe:{}/", &text[..38]),
            format!("sealed:0badcafe:{}", "A".repeat(90_000)),
        ] {
            assert_eq!(wrong.parse::<Secret>(), Err(SecretError::Sealed), "{wrong:.60}");
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
