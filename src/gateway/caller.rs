//! Who sends a request.

use flexgate_schemas::{ApiKey, KeyId};
use http::{HeaderName, HeaderValue};

use super::exchange::Exchange;

/// Tells the upstream which key a request came with. What a client says in it goes no further.
pub(super) const KEY: HeaderName = HeaderName::from_static("x-flexgate-key");

/// Somebody who has proved who they are. A copy of a few bytes: what all cores share is not counted up and down for every
/// request, and the snapshot of the request has the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Whoever has this API key.
    Key {
        id: KeyId,
        /// Whether the key has limits of its own, so that nobody else has to look it up.
        is_limited: bool,
    },
}

impl Caller {
    /// The one with this key.
    pub(super) fn with(key: &ApiKey) -> Self {
        Self::Key {
            id: key.id,
            is_limited: key.is_limited(),
        }
    }

    /// What its budgets are counted under, and what is recorded of it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Key { id, .. } => id.as_str(),
        }
    }

    /// What the upstream is told.
    pub(super) fn field(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Key { id, .. } => Some((KEY, HeaderValue::from_str(id.as_str()).ok()?)),
        }
    }
}

impl Exchange {
    /// The key that it came with, if that has limits of its own.
    pub(super) fn limited_key(&self) -> Option<&ApiKey> {
        match self.caller.get()? {
            Caller::Key { id, is_limited: true } => self.snapshot.keys.get(id).map(|entry| &entry.value),
            Caller::Key { .. } => None,
        }
    }
}
