//! `flexgate status`.

use serde_json::Value;

use super::{
    entity::cell,
    exit::{Exit, Failure},
    invocation::Invocation,
};

/// What is shown, and where it is in the answer, as a JSON Pointer.
const LINES: [(&str, &str); 15] = [
    ("version", "/version"),
    ("cluster", "/cluster"),
    ("generation", "/journal/generation"),
    ("revision", "/journal/revision"),
    ("chain", "/chain"),
    ("state hash", "/stateHash"),
    ("routes", "/routes"),
    ("upstreams", "/upstreams"),
    ("jetstream", "/checks/jetstream"),
    ("database", "/checks/database"),
    ("redis", "/checks/redis"),
    ("projections", "/checks/projections"),
    ("outcomes", "/checks/outcomes"),
    ("outbox", "/checks/outbox"),
    ("tokens", "/checks/tokens"),
];

pub(super) fn show(run: &Invocation) -> Result<Exit, Failure> {
    let answer = run.with_admin(async |client| client.get("/api/status").await)?;
    if run.output.is_data() {
        return run.output.data(&answer.body);
    }
    let at = |pointer: &str| {
        answer
            .body
            .pointer(pointer)
            .map(super::entity::plain)
            .unwrap_or_default()
    };
    let mut rows = vec![[
        "journal".to_owned(),
        with_reason(&at("/journal/status"), &at("/journal/reason")),
    ]];
    for (name, pointer) in LINES {
        let reason = pointer
            .strip_prefix("/checks/")
            .map(|check| at(&format!("/reasons/{check}")));
        rows.push([
            name.to_owned(),
            with_reason(&at(pointer), &reason.unwrap_or_default()),
        ]);
    }
    rows.push([
        "nodes".to_owned(),
        nodes(answer.body.get("nodes").unwrap_or(&Value::Null)),
    ]);
    run.output.pairs(rows)
}

fn with_reason(state: &str, reason: &str) -> String {
    if reason.is_empty() {
        state.to_owned()
    } else {
        format!("{state} ({reason})")
    }
}

/// `2 serving, 1 lost`; what is zero is not said.
fn nodes(counts: &Value) -> String {
    let names = ["serving", "frozen", "draining", "lost"];
    let said = names
        .map(|name| (cell(counts, name), name))
        .into_iter()
        .filter(|(count, _)| count != "0");
    said.map(|(count, name)| format!("{count} {name}"))
        .collect::<Vec<_>>()
        .join(", ")
}
