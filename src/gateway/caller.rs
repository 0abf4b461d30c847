//! Who sends a request.

use std::rc::Rc;

use flexgate_schemas::{ApiKey, KeyId};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{exchange::Exchange, tokens::TokenCaller};

/// Tells the upstream which key a request came with. What a client says in it goes no further.
pub(super) const KEY: HeaderName = HeaderName::from_static("x-flexgate-key");

/// Somebody who has proved who they are. A copy of a few bytes: what all cores share is not counted up and down for every
/// request, and the snapshot of the request has the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// Whoever has this API key.
    Key {
        id: KeyId,
        /// Whether the key has limits of its own, so that nobody else has to look it up.
        is_limited: bool,
    },
    /// Somebody for whom a provider of tokens vouches.
    Token(Rc<TokenCaller>),
}

impl Caller {
    /// The one with this key.
    pub(super) fn with(key: &ApiKey) -> Self {
        Self::Key {
            id: key.id,
            is_limited: key.is_limited(),
        }
    }

    /// What its budgets are counted under, and what is recorded of it: a key, if the terms of one hold.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Key { id, .. } => id.as_str(),
            Self::Token(caller) => caller.key.as_ref().map_or(&caller.name, KeyId::as_str),
        }
    }

    /// Tells the upstream.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        let key = match self {
            Self::Key { id, .. } => Some(id),
            Self::Token(caller) => {
                for (name, value) in &caller.fields {
                    headers.insert(name, value.clone());
                }
                caller.key.as_ref()
            }
        };
        if let Some(value) = key.and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
            headers.insert(KEY, value);
        }
    }
}

impl Exchange {
    /// The key that it came with, if that has limits of its own.
    pub(super) fn limited_key(&self) -> Option<&ApiKey> {
        match self.caller.get()? {
            Caller::Key { id, is_limited: true } => self.snapshot.keys.get(id).map(|entry| &entry.value),
            Caller::Key { .. } => None,
            Caller::Token(caller) => {
                let key = self.snapshot.keys.get(caller.key.as_ref()?);
                key.map(|entry| &entry.value).filter(|key| key.is_limited())
            }
        }
    }
}
