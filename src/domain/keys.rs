//! The rules of API keys.

use std::{collections::BTreeSet, sync::Arc};

use flexgate_schemas::{
    ApiKey, Event, KeyId, RouteId, Secret, Timestamp,
    event::{Entity, KeyDeleted},
    key::{Basic, CERTIFICATES_MAX, KeyTerms, NETWORKS_MAX, PREVIOUS_MAX, SCOPED_ROUTES_MAX, SecretHash},
};
use serde_json::{Map, Value};

use super::{
    ConfigState, Entry, KEYS_MAX, Refusal, Warning,
    draft::Draft,
    entity::{Listed, Managed},
    patch::{self, respell_policies},
    settings::{check_length, check_rate_limits},
};

/// How many routes or keys that are not there a warning names.
const MISSING_NAMED: usize = 3;

impl Managed for ApiKey {
    type Id = KeyId;

    fn id(&self) -> &KeyId {
        &self.id
    }

    fn entity(id: &KeyId) -> Entity {
        Entity::Key(*id)
    }

    fn entry<'a>(state: &'a ConfigState, id: &KeyId) -> Option<Entry<&'a Self>> {
        state.key(id).map(Entry::seen)
    }

    fn updated(value: Arc<Self>) -> Event {
        Event::KeyUpdated(value)
    }

    fn check(&self, _: Option<&Self>, after: &ConfigState) -> Result<(), Refusal> {
        let own = self.particulars();
        if let Some(basic) = &own.basic
            && let Some(other) = after
                .usernames()
                .owners(&basic.username)
                .find(|owner| *owner != self.id)
        {
            return Err(Refusal::UsernameTaken {
                username: basic.username.clone(),
                key: other,
            });
        }
        let routes = own.scopes.routes.len();
        check_length(
            "/scopes/routes",
            routes,
            SCOPED_ROUTES_MAX,
            "routes; leave them out to open all",
        )?;
        let networks = own.networks.len();
        check_length(
            "/networks",
            networks,
            NETWORKS_MAX,
            "networks; join neighbours into larger ones",
        )?;
        let certificates = own.certificates.len();
        check_length(
            "/certificates",
            certificates,
            CERTIFICATES_MAX,
            "certificates; a name in them stands for many",
        )?;
        check_rate_limits(own.rate_limit.as_ref())
    }

    fn agrees_with(&self, other: &Self) -> bool {
        self == other
            || (self.terms() == other.terms() && self.particulars().basic == other.particulars().basic)
    }

    fn warnings(&self, after: &ConfigState) -> Vec<Warning> {
        missing_routes(self, after).into_iter().collect()
    }
}

impl Listed for ApiKey {
    const KIND: &'static str = "keys";
    const MAX: usize = KEYS_MAX;
    const ID_POINTER: &'static str = "/id";

    fn count(state: &ConfigState) -> usize {
        state.keys().len()
    }

    fn created(value: Arc<Self>) -> Event {
        Event::KeyCreated(value)
    }

    fn deleted(id: KeyId) -> Event {
        Event::KeyDeleted(KeyDeleted { id })
    }

    fn check_deletion(_: &KeyId, _: &ConfigState) -> Result<(), Refusal> {
        Ok(()) // nothing refers to a key
    }

    fn respell(patch: &mut Map<String, Value>) {
        respell_policies(patch);
    }
}

/// A route may be made after the key that opens it, and may go before it.
fn missing_routes(key: &ApiKey, after: &ConfigState) -> Option<Warning> {
    let scoped = key.particulars().scopes.routes.iter();
    let missing: Vec<_> = scoped.filter(|route| after.route(route).is_none()).collect();
    let first = missing.iter().take(MISSING_NAMED);
    (!missing.is_empty()).then(|| Warning::ScopedRoutesMissing {
        key: key.id,
        first: first.map(|route| Entity::Route(RouteId::clone(route))).collect(),
        count: missing.len(),
    })
}

impl Draft<'_> {
    /// Keys that are named without their secrets: each once, and none of those that are given. One that is not there cannot be
    /// made of its name.
    pub(super) fn check_withheld(&mut self, withheld: &[KeyId], given: &[ApiKey]) -> Result<(), Refusal> {
        let mut seen: BTreeSet<KeyId> = given.iter().map(|key| key.id).collect();
        let mut missing = Vec::new();
        for id in withheld {
            if !seen.insert(*id) {
                return Err(Refusal::Item {
                    item: Entity::Key(*id),
                    refusal: Box::new(Refusal::ListedTwice),
                });
            }
            if !self.is_there::<ApiKey>(id) {
                missing.push(*id);
            }
        }
        if !missing.is_empty() {
            self.warn(Warning::WithheldKeysMissing {
                first: missing
                    .iter()
                    .take(MISSING_NAMED)
                    .copied()
                    .map(Entity::Key)
                    .collect(),
                count: missing.len(),
            });
        }
        Ok(())
    }

    /// Other terms. Secrets, and that it is revoked, stay.
    pub(super) fn put_key(&mut self, id: &KeyId, terms: KeyTerms) -> Result<(), Refusal> {
        let key = self.current::<ApiKey>(id)?.value.with_terms(terms);
        self.put(&key)
    }

    /// Some other terms.
    pub(super) fn patch_key(&mut self, id: &KeyId, patch: &Value) -> Result<(), Refusal> {
        let current = self.current::<ApiKey>(id)?.value;
        let mut patch = patch::object(patch)?.clone();
        ApiKey::respell(&mut patch);
        let terms = patch::patched(&current.terms(), &patch)?;
        self.put_key(id, terms)
    }

    /// Another secret, if it does not have it already.
    pub(super) fn rotate_key(
        &mut self,
        id: &KeyId,
        sha256: SecretHash,
        at: Timestamp,
        until: Timestamp,
    ) -> Result<(), Refusal> {
        let current = self.current::<ApiKey>(id)?.value;
        if current.particulars().revoked_at.is_some() {
            return Err(Refusal::KeyRevoked(*id));
        }
        if current.sha256 == sha256 {
            return Ok(());
        }
        let rotated = current.rotated(sha256, at, until);
        if rotated.particulars().previous.len() > PREVIOUS_MAX {
            return Err(Refusal::TooMany {
                kind: "earlier secrets of this key that are still valid",
                limit: PREVIOUS_MAX,
            });
        }
        self.put(&rotated)
    }

    /// Another secret to sign with, if it does not have it already.
    pub(super) fn sign_key(
        &mut self,
        id: &KeyId,
        secret: &Secret,
        at: Timestamp,
        until: Timestamp,
    ) -> Result<(), Refusal> {
        let current = self.current::<ApiKey>(id)?.value;
        let own = current.particulars();
        if own.revoked_at.is_some() {
            return Err(Refusal::KeyRevoked(*id));
        }
        if own
            .signing
            .as_ref()
            .is_some_and(|signing| signing.secret == *secret)
        {
            return Ok(());
        }
        let signing = current.signing_with(secret.clone(), at, until);
        let previous = signing.particulars().signing.as_ref();
        if previous.is_some_and(|signing| signing.previous.len() > PREVIOUS_MAX) {
            return Err(Refusal::TooMany {
                kind: "earlier secrets of this key that are still valid",
                limit: PREVIOUS_MAX,
            });
        }
        self.put(&signing)
    }

    /// No secret to sign with.
    pub(super) fn unsign_key(&mut self, id: &KeyId) -> Result<(), Refusal> {
        let unsigned = self.current::<ApiKey>(id)?.value.unsigned();
        self.put(&unsigned)
    }

    /// Another user name and password, or none.
    pub(super) fn set_basic(&mut self, id: &KeyId, basic: Option<Basic>) -> Result<(), Refusal> {
        let current = self.current::<ApiKey>(id)?.value;
        if basic.is_some() && current.particulars().revoked_at.is_some() {
            return Err(Refusal::KeyRevoked(*id));
        }
        let changed = current.with_basic(basic);
        self.put(&changed)
    }

    /// Nothing any more, for good.
    pub(super) fn revoke_key(&mut self, id: &KeyId, at: Timestamp) -> Result<(), Refusal> {
        let revoked = self.current::<ApiKey>(id)?.value.revoked(at);
        self.put(&revoked)
    }
}
