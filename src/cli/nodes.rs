//! `flexgate nodes`.

use http::Method;
use serde_json::Value;

use super::{
    args::NodeVerb,
    client::Ask,
    entity::cell,
    exit::{Exit, Failure},
    invocation::Invocation,
};
use crate::config::escape;

pub(super) fn run(run: &Invocation, verb: &NodeVerb) -> Result<Exit, Failure> {
    match verb {
        NodeVerb::List => list(run),
        NodeVerb::Forget { id } => forget(run, id),
    }
}

fn list(run: &Invocation) -> Result<Exit, Failure> {
    let answer = run.with_admin(async |client| client.get("/api/nodes").await)?;
    if run.output.is_data() {
        return run.output.data(&answer.body);
    }
    let row = |node: &Value| {
        let place = format!("{}-{}", cell(node, "generation"), cell(node, "revision"));
        let heard = node
            .get("silentMs")
            .and_then(Value::as_u64)
            .map(|ms| format!("{ms} ms ago"));
        [
            cell(node, "node"),
            state(node),
            place,
            cell(node, "version"),
            cell(node, "proxy"),
            cell(node, "requestsPerSecond"),
            heard.unwrap_or_default(),
        ]
    };
    let nodes = answer.body.as_array().into_iter().flatten().map(row);
    run.output.table(
        ["NODE", "STATUS", "REVISION", "VERSION", "PROXY", "REQ/S", "HEARD"],
        nodes,
    )
}

/// A node that is not heard of is lost, whatever it said last.
fn state(node: &Value) -> String {
    if node.get("lost") == Some(&Value::Bool(true)) {
        return "lost".to_owned();
    }
    match cell(node, "reason") {
        reason if reason.is_empty() => cell(node, "status"),
        reason => format!("{}: {reason}", cell(node, "status")),
    }
}

fn forget(run: &Invocation, id: &str) -> Result<Exit, Failure> {
    let target = format!("/api/nodes/{}", escape(id));
    run.with_admin(async |client| client.ask(Ask::change(Method::DELETE, target)).await)?;
    run.output.line(&format!("node {id} is forgotten"))
}
