//! Reading events of every version ever written: an old shape is lifted, version by version, to the one of today.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{Event, event};

/// An event as it lies in the log, before anybody knows whether it can be read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RawEvent {
    /// The CloudEvents type, with its version.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The payload.
    #[serde(default)]
    pub data: Value,
}

/// One step from a version to the next. Pure: the same input gives the same output for ever.
struct Upcaster {
    from: &'static str,
    to: &'static str,
    lift: fn(Value) -> Value,
}

/// Every step there is. Append only: an old event is read through these for as long as a log may hold it.
const UPCASTERS: &[Upcaster] = &[];

/// Fields that a newer writer may add to a version of an event without altering routing or access, and that this build
/// drops without knowing them: the type, and the field's name at the top of `data`.
const IGNORABLE: &[(&str, &str)] = &[];

/// Why an event cannot be read by this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// A type that this build does not know.
    #[error("unknown event type {0:?}: this node is too old to read it")]
    Unknown(String),
    /// A known type with a payload that does not fit, for instance an unknown field that is not ignorable.
    #[error("event {type_name:?} cannot be read: {problem}")]
    Payload {
        /// The type as written.
        type_name: String,
        /// What does not fit.
        problem: String,
    },
}

/// Reads an event from its stored form.
pub(crate) fn read(stored: &RawValue) -> Result<Event, EventError> {
    // Nearly all are as they would be written today. What is read that way needs no lifting, and has no field to be dropped.
    if let Ok(event) = serde_json::from_str(stored.get()) {
        return Ok(event);
    }
    let raw: RawEvent = serde_json::from_str(stored.get()).map_err(|error| EventError::Payload {
        type_name: "event".to_owned(),
        problem: error.to_string(),
    })?;
    raw.read()
}

impl RawEvent {
    /// Reads the event, lifting it first where its version is an old one.
    pub fn read(self) -> Result<Event, EventError> {
        read_with(UPCASTERS, IGNORABLE, self)
    }
}

fn read_with(
    upcasters: &[Upcaster],
    ignorable: &[(&str, &str)],
    mut raw: RawEvent,
) -> Result<Event, EventError> {
    while let Some(step) = upcasters.iter().find(|step| step.from == raw.type_name) {
        raw = RawEvent {
            type_name: step.to.to_owned(),
            data: (step.lift)(raw.data),
        };
    }
    let RawEvent { type_name, mut data } = raw;
    if !event::TYPES.iter().any(|(known, _)| *known == type_name) {
        return Err(EventError::Unknown(type_name));
    }
    if let Some(fields) = data.as_object_mut() {
        fields.retain(|field, _| !ignorable.contains(&(&*type_name, field)));
    }
    let tagged = Value::from_iter([
        ("type".to_owned(), Value::from(&*type_name)),
        ("data".to_owned(), data),
    ]);
    Event::deserialize(tagged).map_err(|error| EventError::Payload {
        type_name,
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(type_name: &str, data: Value) -> RawEvent {
        RawEvent {
            type_name: type_name.to_owned(),
            data,
        }
    }

    #[test]
    fn an_unknown_type_is_named() {
        let error = raw("io.flexgate.route.teleported.v1", json!({}))
            .read()
            .unwrap_err();
        assert_eq!(
            error,
            EventError::Unknown("io.flexgate.route.teleported.v1".into())
        );
    }

    #[test]
    fn an_unknown_field_is_an_error_unless_it_is_ignorable() {
        let event = raw(
            "io.flexgate.route.deleted.v1",
            json!({ "id": "r", "why": "tired" }),
        );
        assert!(matches!(event.clone().read(), Err(EventError::Payload { .. })));
        let ignorable = [("io.flexgate.route.deleted.v1", "why")];
        assert!(read_with(&[], &ignorable, event).is_ok());
    }

    #[test]
    fn an_old_version_is_lifted_step_by_step() {
        let steps = [
            Upcaster {
                from: "io.flexgate.route.removed.v1",
                to: "io.flexgate.route.removed.v2",
                lift: |data| data,
            },
            Upcaster {
                from: "io.flexgate.route.removed.v2",
                to: "io.flexgate.route.deleted.v1",
                lift: |data| json!({ "id": data["route"] }),
            },
        ];
        let event = read_with(
            &steps,
            &[],
            raw("io.flexgate.route.removed.v1", json!({ "route": "r" })),
        )
        .unwrap();
        assert_eq!(event.type_name(), "io.flexgate.route.deleted.v1");
    }
}
