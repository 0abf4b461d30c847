//! `flexgate upstreams`.

use serde_json::{Map, Value, json};

use super::{
    args::{UpstreamChange, UpstreamVerb},
    entity::{Kind, cell},
    exit::{Exit, Failure},
    invocation::Invocation,
    write::{self, set},
};

const UPSTREAMS: Kind<5> = Kind {
    noun: "upstream",
    path: "/api/upstreams",
    identity: "name",
    columns: [
        ("NAME", |upstream| cell(upstream, "name")),
        ("TARGETS", targets),
        ("TIMEOUT", |upstream| millis(upstream, "timeout")),
        ("CONNECT", |upstream| millis(upstream, "connectTimeout")),
        ("REVISION", |upstream| cell(upstream, "revision")),
    ],
};

pub(super) fn run(run: &Invocation, verb: &UpstreamVerb) -> Result<Exit, Failure> {
    match verb {
        UpstreamVerb::List => UPSTREAMS.list(run),
        UpstreamVerb::Get { name } => UPSTREAMS.get(run, name),
        UpstreamVerb::Create { name, change } => {
            let mut fields = fields(change)?;
            set(&mut fields, "name", Some(name.clone()));
            UPSTREAMS.create(run, fields, &change.how)
        }
        UpstreamVerb::Update { name, change } => UPSTREAMS.update(run, name, fields(change)?, &change.how),
        UpstreamVerb::Delete { name, how } => UPSTREAMS.delete(run, name, how),
    }
}

/// One URL is `url`, several are `targets`; whichever it is takes the other's place.
fn fields(change: &UpstreamChange) -> Result<Map<String, Value>, Failure> {
    let mut fields = write::fields(&change.data)?;
    match &*change.urls {
        [] => {}
        [url] => set(&mut fields, "url", Some(url.clone())),
        urls => {
            let targets: Vec<_> = urls.iter().map(|url| json!({ "url": url })).collect();
            set(&mut fields, "targets", Some(targets));
        }
    }
    set(&mut fields, "timeout", change.timeout.clone());
    set(&mut fields, "connectTimeout", change.connect_timeout.clone());
    set(&mut fields, "retries", change.retries);
    Ok(fields)
}

fn targets(upstream: &Value) -> String {
    let several = upstream
        .get("targets")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let urls = several.map(|target| cell(target, "url")).collect::<Vec<_>>();
    if urls.is_empty() {
        cell(upstream, "url")
    } else {
        urls.join(" ")
    }
}

fn millis(upstream: &Value, field: &str) -> String {
    upstream
        .get(field)
        .map(|millis| format!("{millis} ms"))
        .unwrap_or_default()
}
