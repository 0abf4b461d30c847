//! `flexgate apply`: a file to a running cluster.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{
    args::Apply,
    client::Ask,
    entity::cell,
    exit::{Exit, Failure},
    invocation::Invocation,
    output::counted,
    write,
};
use crate::{
    config::{Finding, file::Loaded},
    problem::FieldError,
};

/// A hundred thousand routes take seconds to decide and to store.
const WITHIN: Duration = Duration::from_mins(2);

pub(super) fn apply(run: &Invocation, options: &Apply) -> Result<Exit, Failure> {
    let loaded = Loaded::read(&options.file, &run.sources().all())?;
    run.output.findings(&loaded.warnings);
    let body = json!({
        "file": loaded.source.name,
        "upstreams": loaded.upstreams,
        "routes": loaded.routes,
        "settings": loaded.settings_to_apply(),
        "keys": loaded.keys,
    });
    let ask = Ask::change(Method::POST, write::target("/api/config/apply", &options.how));
    let asked = run.with_admin(async |client| client.ask(ask.json(&body).within(WITHIN)).await);
    let answer = asked.map_err(|failure| located(failure, &loaded))?;
    let changes = answer
        .body
        .get("changes")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if !run.output.is_json() {
        for change in changes {
            run.output.line(&format!(
                "{}  {}",
                cell(change, "type").replace("io.flexgate.", ""),
                cell(change, "id")
            ))?;
        }
    }
    let file = options.file.display();
    let what = match changes.len() {
        0 => format!("{file}: everything is as it says already"),
        number => format!("{file} applied: {}", counted(number, "change")),
    };
    write::report(&run.output, &what, &answer)
}

/// Shows the lines of the file that were refused.
fn located(failure: Failure, loaded: &Loaded) -> Failure {
    let places = loaded.places();
    let mistake = |field: &FieldError| {
        let place = places.at(&field.pointer)?;
        Some(Finding {
            place: Some(place),
            ..Finding::mistake(field.detail.clone())
        })
    };
    let findings: Vec<_> = failure.fields.iter().filter_map(mistake).collect();
    if findings.is_empty() {
        return failure;
    }
    let message = format!("{} is refused, and nothing is changed", loaded.source.name);
    Failure {
        findings,
        message,
        fields: Vec::new(),
        ..failure
    }
}
