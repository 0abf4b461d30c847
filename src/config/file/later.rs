//! Keys that are read and checked, and that nothing acts on yet. Each is said, with its line, at every start.
//!
//! Policies of upstreams and routes are not here: those are stored, the gateway refuses what it cannot protect, and
//! `domain` warns. What is here has nowhere to be stored, so no gateway could refuse anything for its sake. None of it
//! stops a start, since the README's own example has most of it.

use std::ops::Range;

use super::tree::{Node, Value};

/// Where a key stands, and what is to be said about it.
pub(super) const KEYS: [(&[&str], &str); 6] = [
    (&["redis", "keyPrefix"], "the prefix of keys is FlexGate's own"),
    (
        &["logging", "redaction"],
        "has no effect: headers and bodies are never logged",
    ),
    (
        &["metrics"],
        "has no effect: metrics are at /metrics of the admin or ops listener",
    ),
    (&["http"], "has no effect: connection pools keep their own sizes"),
    (&["backpressure"], "nothing is shed under load yet"),
    (&["metadata"], "is not kept"),
];

/// What this file has of them, in the order of the table.
pub(super) fn found(file: &Node) -> impl Iterator<Item = (String, Range<usize>)> + '_ {
    KEYS.iter().filter_map(|(path, says)| {
        let (key, value) = file.entry_at(path)?;
        let off = matches!(
            value.get("enabled").map(|switch| &switch.value),
            Some(Value::Bool(false))
        );
        (!off).then(|| (format!("`{}`: {says}", path.join(".")), key.place()))
    })
}
