//! `flexgate export` and `flexgate history`: the configuration as it is, and how it came to be.

use http::{HeaderValue, Method, header};
use serde_json::Value;

use super::{
    args::{Export, History},
    client::Ask,
    entity::cell,
    exit::{Exit, Failure},
    invocation::Invocation,
    output::counted,
};

pub(super) fn export(run: &Invocation, options: &Export) -> Result<Exit, Failure> {
    let query = options
        .revision
        .map_or_else(String::new, |revision| format!("?revision={revision}"));
    let target = format!("/api/config{query}");
    if run.output.is_data() && !run.output.is_yaml() {
        let answer = run.with_admin(async |client| client.get(&target).await)?;
        return run.output.data(&answer.body);
    }
    let yaml = HeaderValue::from_static("application/yaml");
    let ask = Ask::new(Method::GET, &target).header(header::ACCEPT, yaml);
    let text = run.with_admin(async |client| client.text(ask).await)?;
    run.output.line(text.trim_end())
}

pub(super) fn history(run: &Invocation, options: &History) -> Result<Exit, Failure> {
    let target = format!("/api/config/history?limit={}", options.limit);
    let answer = run.with_admin(async |client| client.get(&target).await)?;
    if run.output.is_data() {
        return run.output.data(&answer.body);
    }
    let commits = answer.body.as_array().map(Vec::as_slice).unwrap_or_default();
    run.output.table(
        ["REVISION", "AT", "BY", "FROM", "THROUGH", "WHAT", "WHY"],
        commits.iter().map(|commit| {
            let source = &commit["source"];
            let through = format!("{} {}", cell(source, "type"), cell(source, "name"));
            [
                cell(commit, "revision"),
                cell(commit, "at"),
                cell(&commit["actor"], "id"),
                cell(&commit["provenance"], "address"),
                through.trim_end().to_owned(),
                what(commit),
                cell(commit, "reason"),
            ]
        }),
    )
}

/// The one change, or how many there are.
fn what(commit: &Value) -> String {
    match commit["changes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    {
        [] => String::new(),
        [change] => {
            let event = cell(change, "type")
                .replace("io.flexgate.", "")
                .replace(".v1", "");
            format!("{event} {}", cell(change, "id")).trim_end().to_owned()
        }
        several => counted(several.len(), "change"),
    }
}
