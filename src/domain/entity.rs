//! What routes, upstreams, keys and the settings have in common.

use std::sync::Arc;

use flexgate_schemas::{Event, event::Entity};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{ConfigState, Entry, Refusal, Warning};

/// Something that has one value at a time.
pub(super) trait Managed: Clone + PartialEq {
    /// By what it is found.
    type Id: Ord + Clone;

    fn id(&self) -> &Self::Id;
    fn entity(id: &Self::Id) -> Entity;
    fn entry<'a>(state: &'a ConfigState, id: &Self::Id) -> Option<Entry<&'a Self>>;
    fn updated(value: Arc<Self>) -> Event;

    /// The rules that its type does not hold, in the state as it would be. `before` is the value that it replaces, if it
    /// replaces one.
    fn check(&self, before: Option<&Self>, after: &ConfigState) -> Result<(), Refusal>;
    /// Whether it is as another one says; what comes with its life, such as the secrets of a key, is nobody's to say.
    fn agrees_with(&self, other: &Self) -> bool {
        self == other
    }
    fn warnings(&self, after: &ConfigState) -> Vec<Warning>;
}

/// Something of which there are many, which come and go.
pub(super) trait Listed: Managed + Serialize + DeserializeOwned {
    /// What several of them are called.
    const KIND: &'static str;
    /// The most there may be.
    const MAX: usize;
    /// Where the id stands in the written form.
    const ID_POINTER: &'static str;

    fn count(state: &ConfigState) -> usize;
    fn created(value: Arc<Self>) -> Event;
    fn deleted(id: Self::Id) -> Event;

    /// Whether it may go.
    fn check_deletion(id: &Self::Id, state: &ConfigState) -> Result<(), Refusal>;
    /// Brings the fields of a patch to the names and forms under which they are written.
    fn respell(patch: &mut Map<String, Value>);
}
