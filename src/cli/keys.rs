//! `flexgate keys`.

use std::io::{self, BufRead as _, IsTerminal as _};

use http::Method;
use serde_json::{Map, Value, json};

use super::{
    args::{KeyChange, KeyVerb},
    entity::{Kind, cell, joined},
    exit::{Exit, Failure},
    invocation::Invocation,
    write::{self, set},
};

const KEYS: Kind<6> = Kind {
    noun: "key",
    path: "/api/keys",
    identity: "id",
    columns: [
        ("ID", |key| cell(key, "id")),
        ("NAME", |key| cell(key, "name")),
        ("STATE", state),
        ("EXPIRES", |key| cell(key, "expiresAt")),
        ("ROUTES", |key| {
            key.get("scopes")
                .map(|scopes| joined(scopes, "routes"))
                .unwrap_or_default()
        }),
        ("REVISION", |key| cell(key, "revision")),
    ],
};

pub(super) fn run(run: &Invocation, verb: &KeyVerb) -> Result<Exit, Failure> {
    match verb {
        KeyVerb::List => KEYS.list(run),
        KeyVerb::Get { id } => KEYS.get(run, id),
        KeyVerb::Create { change, username } => {
            let mut fields = fields(change)?;
            if let Some(username) = username {
                let basic = json!({ "username": username, "password": password(run)? });
                fields.insert("basic".to_owned(), basic);
            }
            let key = Value::Object(fields);
            let answer =
                run.with_admin(async |client| write::create(&client, KEYS.path, &change.how, &key).await)?;
            tell(run, &answer.body, "secret")?;
            let id = cell(&answer.body, "id");
            write::report(&run.output, &format!("key {id} created"), &answer)
        }
        KeyVerb::Update { id, change } => KEYS.update(run, id, fields(change)?, &change.how),
        KeyVerb::Rotate { id, overlap, how } => {
            let body = overlap
                .as_ref()
                .map_or_else(|| json!({}), |overlap| json!({ "overlap": overlap }));
            let answer = KEYS.act(run, id, (Method::POST, "/rotate"), Some(&body), how)?;
            tell(run, &answer.body, "secret")?;
            write::report(&run.output, &format!("key {id} has another secret"), &answer)
        }
        KeyVerb::Sign { id, overlap, how } => {
            let body = overlap
                .as_ref()
                .map_or_else(|| json!({}), |overlap| json!({ "overlap": overlap }));
            let answer = KEYS.act(run, id, (Method::POST, "/signing"), Some(&body), how)?;
            tell(run, &answer.body, "signingSecret")?;
            write::report(
                &run.output,
                &format!("key {id} signs with another secret"),
                &answer,
            )
        }
        KeyVerb::Unsign { id, how } => {
            let answer = KEYS.act(run, id, (Method::DELETE, "/signing"), None, how)?;
            write::report(&run.output, &format!("key {id} signs nothing any more"), &answer)
        }
        KeyVerb::Password { id, username, how } => {
            let mut body = json!({ "password": password(run)? });
            if let Some(username) = username {
                body["username"] = json!(username);
            }
            let answer = KEYS.act(run, id, (Method::POST, "/basic"), Some(&body), how)?;
            write::report(&run.output, &format!("key {id} has another password"), &answer)
        }
        KeyVerb::NoPassword { id, how } => {
            let answer = KEYS.act(run, id, (Method::DELETE, "/basic"), None, how)?;
            write::report(
                &run.output,
                &format!("key {id} has no password any more"),
                &answer,
            )
        }
        KeyVerb::Revoke { id, how } => {
            let answer = KEYS.act(run, id, (Method::POST, "/revoke"), None, how)?;
            write::report(&run.output, &format!("key {id} revoked"), &answer)
        }
        KeyVerb::Delete { id, how } => KEYS.delete(run, id, how),
    }
}

/// The one time that a secret is seen: alone on a line, before anything else can fail.
fn tell(run: &Invocation, key: &Value, field: &str) -> Result<(), Failure> {
    match key.get(field).and_then(Value::as_str) {
        None => run.output.warning(&format!(
            "the first answer was lost, and the secret with it: `flexgate keys {} {}` makes another",
            if field == "secret" { "rotate" } else { "sign" },
            cell(key, "id")
        )),
        Some(_) if run.output.is_data() => {}
        Some(secret) => {
            run.output
                .note("this is the secret; it is shown now and never again:");
            run.output.line(secret)?;
        }
    }
    Ok(())
}

/// The first line of what is piped in. On a terminal it would be seen.
fn password(run: &Invocation) -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        run.output
            .note("type the password, which can be seen here, then Enter:");
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("the password cannot be read from standard input: {error}"),
        )
    })?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn fields(change: &KeyChange) -> Result<Map<String, Value>, Failure> {
    let mut fields = write::fields(&change.data)?;
    set(&mut fields, "name", change.name.clone());
    set(&mut fields, "enabled", change.enabled);
    set(&mut fields, "expiresAt", change.expires_at.clone());
    for (name, list) in [("routes", &change.routes), ("methods", &change.methods)] {
        if !list.is_empty() {
            fields.entry("scopes").or_insert_with(|| json!({}))[name] = json!(list);
        }
    }
    set(
        &mut fields,
        "networks",
        (!change.networks.is_empty()).then(|| change.networks.clone()),
    );
    Ok(fields)
}

fn state(key: &Value) -> String {
    let state = if key.get("revokedAt").is_some() {
        "revoked"
    } else if key.get("enabled") == Some(&Value::Bool(false)) {
        "disabled"
    } else {
        "enabled"
    };
    state.to_owned()
}
