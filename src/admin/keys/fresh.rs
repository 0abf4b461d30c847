//! Secrets that were just made, and are told once.

use flexgate_schemas::{
    ApiKey, KeyId, Secret,
    key::{SecretHash, secret, signing},
};

use super::{
    super::{Shared, error::Error},
    shown::Shown,
};

/// A secret that was just made, and what is kept of it.
pub(super) struct Fresh<K> {
    text: String,
    pub(super) kept: K,
}

impl Fresh<SecretHash> {
    pub(super) fn of(id: KeyId) -> Result<Self, Error> {
        let text = secret::made_of(id, &random()?);
        let kept = SecretHash::of(text.as_bytes());
        Ok(Self { text, kept })
    }
}

impl Fresh<Secret> {
    pub(super) fn sealed(admin: &Shared, id: KeyId) -> Result<Self, Error> {
        let keys = admin.sealing.as_ref().ok_or(Error::NoSealing)?;
        let text = signing::made_of(&random()?);
        let sealed = keys
            .seal(&text, signing::purpose(&id))
            .map_err(|_| Error::NoRandom)?;
        let kept = Secret::Sealed(sealed);
        Ok(Self { text, kept })
    }
}

/// What is told once.
pub(super) enum Told {
    Secret(Fresh<SecretHash>),
    Signing(Fresh<Secret>),
}

impl Told {
    /// Tells it, if this is the key that it was made for: a repetition is answered with what the request itself made.
    pub(super) fn tell(self, key: &ApiKey, shown: &mut Shown) -> bool {
        match self {
            Self::Secret(fresh) if fresh.kept.matches(&key.sha256) => shown.secret = Some(fresh.text),
            Self::Signing(fresh) => match &key.particulars().signing {
                Some(signing) if signing.secret == fresh.kept => shown.signing_secret = Some(fresh.text),
                _ => return false,
            },
            Self::Secret(_) => return false,
        }
        true
    }
}

pub(super) fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::NoRandom)?;
    Ok(bytes)
}
