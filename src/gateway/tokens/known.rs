//! Tokens that were found genuine, so that a core does not verify the same signature for every request.

use std::{cell::RefCell, collections::HashMap, mem, rc::Rc, sync::Arc};

use super::{Tokens, caller::TokenCaller, key::Keys, verify::Verified};

/// The most tokens in each of the two generations. Full: the younger becomes the older, and that is forgotten.
const GENERATION_MAX: usize = 512;

/// The tokens that a core knows. Only genuine ones are kept, so that nobody who has none can drive out those of others.
#[derive(Debug, Default)]
pub(in crate::gateway) struct KnownTokens(RefCell<Generations>);

#[derive(Debug, Default)]
struct Generations {
    /// What they were checked by. Another: all are forgotten.
    tokens: Arc<Tokens>,
    younger: HashMap<Digest, Known>,
    older: HashMap<Digest, Known>,
}

/// The SHA-256 of a token.
pub(super) type Digest = [u8; 32];

/// What is known of one.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) caller: Rc<TokenCaller>,
    pub(super) verified: Verified,
    /// The keys that verified it: when a provider publishes others, it is asked anew.
    pub(super) keys: Arc<Keys>,
}

impl KnownTokens {
    /// What is known of a token, if the keys of its provider are still those.
    pub(super) fn get(&self, tokens: &Arc<Tokens>, digest: &Digest) -> Option<Known> {
        let mut known = self.0.borrow_mut();
        if !Arc::ptr_eq(&known.tokens, tokens) {
            *known = Generations {
                tokens: Arc::clone(tokens),
                ..Generations::default()
            };
            return None;
        }
        if let Some(found) = known.younger.get(digest) {
            return Some(found.clone());
        }
        let found = known.older.remove(digest)?;
        known.put(*digest, found.clone());
        Some(found)
    }

    /// A token was found genuine.
    pub(super) fn put(&self, digest: Digest, found: Known) {
        self.0.borrow_mut().put(digest, found);
    }

    /// How many are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let known = self.0.borrow();
        known.younger.len() + known.older.len()
    }

    /// It is not any more.
    pub(super) fn forget(&self, digest: &Digest) {
        self.0.borrow_mut().younger.remove(digest);
    }
}

impl Generations {
    fn put(&mut self, digest: Digest, known: Known) {
        if self.younger.len() >= GENERATION_MAX {
            self.older = mem::take(&mut self.younger);
        }
        self.younger.insert(digest, known);
    }
}
