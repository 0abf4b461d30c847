//! Every event and every stream, described for programs that read them: JSON Schema 2020-12 and `AsyncAPI` 3.

use schemars::{JsonSchema as _, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    AdminEvent, Alert, Commit, Event, admin,
    frame::{self, Body, Text},
    node::Serving,
    parts,
    rollup::{self, ClosedHour},
};

/// The schema of the events that can be in a commit: each is `{"type": ..., "data": ...}`.
pub fn events() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://flexgate.io/schemas/events/1",
        "title": "FlexGate events",
        "description": "What can happen to the configuration. Each event carries the full new value of what it is about.",
        "oneOf": Event::json_schema(&mut generator).to_value()["oneOf"],
    });
    document["$defs"] = generator.take_definitions(true).into();
    document
}

/// A stream, or a subject without one.
struct Channel {
    name: &'static str,
    address: &'static str,
    says: &'static str,
    message: &'static str,
    content_type: &'static str,
    payload: Value,
}

/// The `AsyncAPI` 3 document of what is on NATS. The first token of subjects is the stream prefix in lower case.
pub fn asyncapi() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let channels = channels(&mut generator);
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "FlexGate on NATS",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The streams of a cluster, and the subjects beside them. Whoever reads them needs a user of NATS that may.",
        },
        "defaultContentType": "application/json",
    });
    let mut schemas = generator.take_definitions(true);
    schemas.insert("CloudEventHeaders".to_owned(), headers());
    document["components"] = json!({ "schemas": schemas, "messages": {} });
    for channel in channels {
        let parameters: Map<String, Value> = channel
            .address
            .split(['{', '}'])
            .skip(1)
            .step_by(2)
            .map(|name| (name.to_owned(), json!({})))
            .collect();
        document["components"]["messages"][channel.message] = json!({
            "name": channel.message,
            "contentType": channel.content_type,
            "headers": { "$ref": "#/components/schemas/CloudEventHeaders" },
            "payload": channel.payload,
        });
        document["channels"][channel.name] = json!({
            "address": channel.address,
            "description": channel.says,
            "messages": { channel.message: { "$ref": format!("#/components/messages/{}", channel.message) } },
        });
        if !parameters.is_empty() {
            document["channels"][channel.name]["parameters"] = parameters.into();
        }
    }
    document
}

fn channels(generator: &mut SchemaGenerator) -> [Channel; 8] {
    let json = "application/json";
    [
        Channel {
            name: "CONFIG",
            address: "flexgate.config.{entity}.{id}",
            says: "The configuration: one message is one commit, and the stream sequence is its revision.",
            message: "commit",
            content_type: json,
            payload: generator.subschema_for::<Commit>().to_value(),
        },
        Channel {
            name: "CONFIG-parts",
            address: "flexgate.config.part.{commit}.{number}",
            says: "On the stream CONFIG, too: some of the events of a commit that is too large for one message. They count when, and only if, a later commit names this message by its sequence and its hash.",
            message: parts::TYPE,
            content_type: json,
            payload: parts::schema(generator).to_value(),
        },
        Channel {
            name: "ALERTS",
            address: "flexgate.alert.{type}",
            says: "What a person or a webhook should hear of.",
            message: "alert",
            content_type: json,
            payload: generator.subschema_for::<Alert>().to_value(),
        },
        Channel {
            name: "ADMIN",
            address: "flexgate.admin.{verb}",
            says: "What was asked of the admin API, or by a file, and is not on CONFIG: `done`, as it is not about the configuration, `denied` to who did not prove who they are, `refused` as it could not be done, and `rejected`, a file.",
            message: admin::MESSAGE,
            content_type: json,
            payload: generator.subschema_for::<AdminEvent>().to_value(),
        },
        Channel {
            name: "OUTCOMES",
            address: "flexgate.outcome.{node}",
            says: "What became of requests, in frames: many outcomes in columns, as JSON under Zstandard.",
            message: frame::TYPE,
            content_type: "application/zstd",
            payload: generator.subschema_for::<Body<Text<'_>>>().to_value(),
        },
        Channel {
            name: "ROLLUPS",
            address: "flexgate.rollup.hour.{hour}",
            says: "Hours that are over, summed up. A later version of an hour replaces all of the earlier.",
            message: rollup::TYPE,
            content_type: json,
            payload: generator.subschema_for::<ClosedHour>().to_value(),
        },
        Channel {
            name: "DEADLETTER",
            address: "flexgate.deadletter.{projection}",
            says: "What a projection could not apply and went past: the message as it was, with its own headers, and beside them `Flexgate-Error`, why, and `Flexgate-Sequence`, where it is in its stream. The table `dead_letter` has all of them; this is news.",
            message: "deadletter",
            content_type: "application/octet-stream",
            payload: json!({ "description": "The payload of the message, as it was: of OUTCOMES a frame." }),
        },
        Channel {
            name: "serving",
            address: "flexgate.serving.{node}",
            says: "Core NATS, on no stream: a node says which revision it serves from now on.",
            message: "serving",
            content_type: json,
            payload: generator.subschema_for::<Serving>().to_value(),
        },
    ]
}

/// The attributes of `CloudEvents` 1.0, as headers of messages.
fn headers() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "CloudEvents 1.0 attributes: lower-case names, percent-encoded values. Core messages have none.",
        "properties": {
            "ce-specversion": { "type": "string", "const": "1.0" },
            "ce-id": text("Unique per source."),
            "ce-type": text("Such as `io.flexgate.route.created.v1`; of a commit with several events `io.flexgate.changeset.committed.v1`."),
            "ce-source": text("Who wrote it, as a URI reference."),
            "ce-time": text("When, in RFC 3339."),
            "ce-subject": text("What it is about."),
            "ce-datacontenttype": text("The media type of the payload."),
            "ce-authtype": text("How who asked for it proved who they are."),
            "ce-authid": text("Who asked for it, if they proved who they are."),
            "ce-correlationid": text("What the request is called that asked for it."),
            "ce-traceparent": text("The trace that the request belongs to."),
        },
    })
}
