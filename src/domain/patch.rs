//! JSON Merge Patch (RFC 7396) on an entity.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Refusal, refusal::pointer};

/// The fields of a patch.
pub(super) fn object(patch: &Value) -> Result<&Map<String, Value>, Refusal> {
    patch.as_object().ok_or_else(|| Refusal::Invalid {
        pointer: String::new(),
        detail: "a patch is an object with the fields to change".to_owned(),
    })
}

/// The entity with the patch applied, read anew.
pub(super) fn patched<T: Serialize + DeserializeOwned>(
    current: &T,
    patch: &Map<String, Value>,
) -> Result<T, Refusal> {
    let mut value = serde_json::to_value(current).expect("an entity has string keys and finite numbers only");
    merge(&mut value, patch);
    serde_path_to_error::deserialize(value).map_err(|error| Refusal::Invalid {
        pointer: pointer(error.path()),
        detail: error.into_inner().to_string(),
    })
}

/// RFC 7396 2, for a patch that is an object.
fn merge(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, change) in patch {
        match change {
            Value::Null => drop(target.remove(name)),
            Value::Object(change) => merge(target.entry(name).or_insert(Value::Null), change),
            _ => drop(target.insert(name.clone(), change.clone())),
        }
    }
}

/// Calls a field that is read under two names by the one it is written under, so that a patch meets it.
pub(super) fn respell(patch: &mut Map<String, Value>, alias: &str, written: &str) {
    if !patch.contains_key(written)
        && let Some(value) = patch.remove(alias)
    {
        patch.insert(written.to_owned(), value);
    }
}

/// Does the same for the policies that routes and upstreams share.
pub(super) fn respell_policies(patch: &mut Map<String, Value>) {
    let limits = match patch.get_mut("rateLimit") {
        Some(Value::Array(several)) => several.iter_mut().collect(),
        only => Vec::from_iter(only),
    };
    for limit in limits.into_iter().filter_map(Value::as_object_mut) {
        respell(limit, "max", "requests");
        respell(limit, "windowMs", "window");
    }
    if let Some(Value::Object(breaker)) = patch.get_mut("circuitBreaker") {
        respell(breaker, "failureThreshold", "threshold");
        respell(breaker, "window", "windowMs");
    }
}
