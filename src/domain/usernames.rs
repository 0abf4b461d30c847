//! Which key has which user name.

use flexgate_schemas::{ApiKey, KeyId, key::Username};

/// Pairs of a user name and a key, in order: whoever decides sees a name that is there twice. A clone shares everything.
#[derive(Debug, Clone, Default)]
pub struct Usernames(im::OrdSet<(Username, Option<KeyId>)>);

impl Usernames {
    pub(super) fn add(&mut self, key: &ApiKey) {
        if let Some(pair) = pair(key) {
            self.0.insert(pair);
        }
    }

    pub(super) fn remove(&mut self, key: &ApiKey) {
        if let Some(pair) = pair(key) {
            self.0.remove(&pair);
        }
    }

    /// Whether nobody has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose it is. No decision gives it to two.
    pub fn owner(&self, name: &Username) -> Option<KeyId> {
        self.owners(name).next()
    }

    /// All whose it is.
    pub(super) fn owners(&self, name: &Username) -> impl Iterator<Item = KeyId> {
        // A name without a key sorts before the same name with one.
        let name = name.clone();
        let pairs = self.0.range((name.clone(), None)..);
        let own = pairs.take_while(move |(owned, _)| *owned == name);
        own.filter_map(|(_, key)| *key)
    }

    /// One who has one.
    pub fn any(&self) -> Option<KeyId> {
        self.0.get_min().and_then(|(_, key)| *key)
    }
}

fn pair(key: &ApiKey) -> Option<(Username, Option<KeyId>)> {
    let basic = key.particulars().basic.as_ref()?;
    Some((basic.username.clone(), Some(key.id)))
}
