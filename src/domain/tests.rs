//! Given a history, when a command comes, then these events or this refusal. Properties are in `tests/properties.rs`.

mod apply;
mod destinations;
mod files;
mod hash;
mod keys;
mod patches;
mod properties;
mod routes;
mod settings;
mod snapshots;
mod upstreams;

use std::borrow::Borrow;

use flexgate_schemas::{Event, Route, Timestamp, Upstream};
use serde_json::{Value, json};

use super::{Command, ConfigState, Decision, Expect, Refusal, Stamp, decide, evolve};

/// A route as the admin API takes it; `path` and `upstream` need not be given.
fn route(id: &str, fields: Value) -> Route {
    read(
        json!({ "id": id, "path": format!("/{id}"), "upstream": "backend" }),
        fields,
    )
}

/// An upstream as the admin API takes it; `url` need not be given.
fn upstream(name: &str, fields: Value) -> Upstream {
    let targets = json!([{ "url": "http://127.0.0.1:8080" }]);
    read(json!({ "name": name, "targets": targets }), fields)
}

fn read<T: serde::de::DeserializeOwned>(mut defaults: Value, fields: Value) -> T {
    let Value::Object(fields) = fields else {
        panic!("{fields} is no object")
    };
    defaults.as_object_mut().unwrap().extend(fields);
    serde_json::from_value(defaults).unwrap()
}

/// The commit of this revision, decided that many seconds after 1970 began.
fn stamp(revision: u64) -> Stamp {
    let at = Timestamp::from_millis(i64::try_from(revision).unwrap() * 1000).unwrap();
    Stamp { revision, at }
}

/// The state after these commands, each of which was the commit with the next revision.
fn given(commands: impl IntoIterator<Item = Command>) -> ConfigState {
    let mut state = ConfigState::default();
    for (revision, command) in (1..).zip(commands) {
        let decision = decide(&state, &command, &Expect::Any).unwrap();
        happen(&mut state, &decision.events, revision);
    }
    state
}

fn happen(state: &mut ConfigState, events: &[Event], revision: u64) {
    for event in events {
        evolve(state, event, &stamp(revision));
    }
}

/// A state with an upstream `backend`, at revision 1.
fn given_backend() -> ConfigState {
    given([Command::CreateUpstream(upstream("backend", json!({})))])
}

/// A state with an upstream `backend`, and these routes from revision 2 on.
fn given_routes(routes: impl IntoIterator<Item = Route>) -> ConfigState {
    let backend = Command::CreateUpstream(upstream("backend", json!({})));
    given(
        [backend]
            .into_iter()
            .chain(routes.into_iter().map(Command::CreateRoute)),
    )
}

fn when(state: &ConfigState, command: impl Borrow<Command>) -> Result<Decision, Refusal> {
    decide(state, command.borrow(), &Expect::Any)
}

/// The types of the events, without what they all begin and end with.
fn types(decision: &Decision) -> Vec<&str> {
    let short = |event: &Event| {
        let name = event.type_name();
        name.strip_prefix("io.flexgate.")
            .unwrap()
            .strip_suffix(".v1")
            .unwrap()
    };
    decision.events.iter().map(short).collect()
}

fn warnings(decision: &Decision) -> Vec<String> {
    decision.warnings.iter().map(ToString::to_string).collect()
}
