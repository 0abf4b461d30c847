//! `flexgate routes`.

use http::Method;
use serde_json::{Map, Value, json};

use super::{
    args::{RouteChange, RouteVerb},
    entity::{Kind, cell, joined},
    exit::{Exit, Failure},
    invocation::Invocation,
    write::{self, set},
};

const ROUTES: Kind<7> = Kind {
    noun: "route",
    path: "/api/routes",
    identity: "id",
    columns: [
        ("ID", |route| cell(route, "id")),
        ("HOST", |route| or(cell(route, "host"), "*")),
        ("PATH", |route| cell(route, "path")),
        ("METHODS", |route| or(joined(route, "methods"), "*")),
        ("UPSTREAM", |route| cell(route, "upstream")),
        ("ENABLED", |route| cell(route, "enabled")),
        ("REVISION", |route| cell(route, "revision")),
    ],
};

pub(super) fn run(run: &Invocation, verb: &RouteVerb) -> Result<Exit, Failure> {
    let switch = |id: &str, on: bool, how, done| {
        ROUTES.amend(run, id, Method::PATCH, Some(&json!({ "enabled": on })), how, done)
    };
    match verb {
        RouteVerb::List => ROUTES.list(run),
        RouteVerb::Get { id } => ROUTES.get(run, id),
        RouteVerb::Create(change) => ROUTES.create(run, fields(change)?, &change.how),
        RouteVerb::Update { id, change } => ROUTES.update(run, id, fields(change)?, &change.how),
        RouteVerb::Delete { id, how } => ROUTES.delete(run, id, how),
        RouteVerb::Enable { id, how } => switch(id, true, how, "enabled"),
        RouteVerb::Disable { id, how } => switch(id, false, how, "disabled"),
    }
}

fn fields(change: &RouteChange) -> Result<Map<String, Value>, Failure> {
    let mut fields = write::fields(&change.data)?;
    set(&mut fields, "path", change.path.clone());
    set(&mut fields, "upstream", change.upstream.clone());
    set(
        &mut fields,
        "methods",
        (!change.methods.is_empty()).then(|| change.methods.clone()),
    );
    set(&mut fields, "host", change.host.clone());
    set(&mut fields, "name", change.name.clone());
    set(&mut fields, "priority", change.priority);
    set(&mut fields, "stripPath", change.strip_path);
    set(&mut fields, "rewrite", change.rewrite.clone());
    set(&mut fields, "timeout", change.timeout.clone());
    Ok(fields)
}

fn or(cell: String, absent: &str) -> String {
    if cell.is_empty() { absent.to_owned() } else { cell }
}
