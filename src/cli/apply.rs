//! `flexgate diff` and `flexgate apply`: a file to a running cluster.

use std::{path::Path, time::Duration};

use http::{HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    args::{Apply, Called, Diff, Extent},
    client::{Answer, Ask},
    difference,
    entity::cell,
    exit::{Exit, Failure},
    invocation::Invocation,
    output::counted,
    progress, write,
};
use crate::{
    config::{Finding, file::Loaded},
    problem::FieldError,
};

/// A hundred thousand routes take seconds to decide and to store.
const WITHIN: Duration = Duration::from_mins(2);

/// What is to be applied, and to which state: what `diff --plan` writes and `apply` takes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Plan {
    /// The shape of this file.
    #[serde(rename = "flexgatePlan")]
    shape: u32,
    /// The state it was made for.
    generation: u64,
    revision: u64,
    prune: bool,
    force: bool,
    /// What is sent.
    configuration: Value,
}

/// The shape of plans today.
const PLAN: u32 = 1;

pub(super) fn diff(run: &Invocation, options: &Diff) -> Result<Exit, Failure> {
    let loaded = read(run, &options.file, &options.called)?;
    let body = body(&loaded);
    let planned = rehearse(run, &loaded, &body, options.extent)?;
    if let Some(path) = &options.plan {
        let number = |name| planned.body.get(name).and_then(Value::as_u64).unwrap_or_default();
        let plan = Plan {
            shape: PLAN,
            generation: number("generation"),
            revision: number("revision"),
            prune: options.extent.prune,
            force: options.extent.force,
            configuration: body,
        };
        let text = serde_json::to_string_pretty(&plan).unwrap_or_default() + "\n";
        std::fs::write(path, text)
            .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", path.display())))?;
    }
    let found = difference::show(&run.output, &options.file, &planned.body)?;
    Ok(if found.is_any() {
        Exit::Differences
    } else {
        Exit::Done
    })
}

pub(super) fn apply(run: &Invocation, options: &Apply) -> Result<Exit, Failure> {
    if let Some(plan) = plan(&options.file)? {
        return apply_plan(run, options, &plan);
    }
    let loaded = read(run, &options.file, &options.called)?;
    let body = body(&loaded);
    if options.dry_run {
        let planned = rehearse(run, &loaded, &body, options.extent)?;
        let found = difference::show(&run.output, &options.file, &planned.body)?;
        return Ok(if found.conflicts > 0 {
            Exit::Conflict
        } else {
            Exit::Done
        });
    }
    let target = target(options.extent, &write::target("/api/config/apply", &options.how));
    let ask = Ask::change(Method::POST, target).json(&body).within(WITHIN);
    let asked = run.with_admin(async |client| progress::ask(&client, ask).await);
    let answer = asked.map_err(|failure| located(failure, &loaded))?;
    applied(run, &options.file, &answer)
}

fn read(run: &Invocation, file: &Path, called: &Called) -> Result<Loaded, Failure> {
    let mut loaded = Loaded::read(file, &run.sources().all())?;
    run.output.findings(&loaded.warnings);
    loaded.name = called.name.clone().or(loaded.name);
    Ok(loaded)
}

fn apply_plan(run: &Invocation, options: &Apply, plan: &Plan) -> Result<Exit, Failure> {
    let extent = options.extent;
    if options.dry_run || extent.prune || extent.force || options.called.name.is_some() {
        let message = "a plan says itself how it is applied: `--dry-run`, `--name`, `--prune` and `--force` go with `diff`";
        return Err(Failure::new(Exit::Usage, message));
    }
    let extent = Extent {
        prune: plan.prune,
        force: plan.force,
    };
    let target = target(extent, &write::target("/api/config/apply", &options.how));
    let tag = format!("\"{}-{}\"", plan.generation, plan.revision);
    let tag = HeaderValue::try_from(tag).expect("digits, a dash and quotes");
    let ask = Ask::change(Method::POST, target)
        .json(&plan.configuration)
        .header(header::IF_MATCH, tag)
        .within(WITHIN);
    let answer = run
        .with_admin(async |client| progress::ask(&client, ask).await)
        .map_err(|failure| Failure {
            next: (failure.exit == Exit::Conflict)
                .then(|| "make another plan with `flexgate diff FILE --plan PLAN`".to_owned())
                .or(failure.next.clone()),
            ..failure
        })?;
    applied(run, &options.file, &answer)
}

/// The plan in a file, if it is one.
fn plan(path: &Path) -> Result<Option<Plan>, Failure> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Ok(None);
    };
    if !text.trim_start().starts_with('{') || !text.contains("\"flexgatePlan\"") {
        return Ok(None);
    }
    let wrong = |why: String| Failure::new(Exit::Invalid, format!("{} is no plan: {why}", path.display()));
    let plan: Plan = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if plan.shape != PLAN {
        return Err(wrong(format!(
            "it has shape {}, this version reads {PLAN}",
            plan.shape
        )));
    }
    Ok(Some(plan))
}

fn body(loaded: &Loaded) -> Value {
    json!({
        "file": loaded.origin(),
        "upstreams": loaded.upstreams,
        "routes": loaded.routes,
        "settings": loaded.settings_to_apply(),
        "keys": loaded.keys,
        "withheldKeys": loaded.withheld_keys,
    })
}

fn rehearse(run: &Invocation, loaded: &Loaded, body: &Value, extent: Extent) -> Result<Answer, Failure> {
    let target = target(extent, "/api/config/apply?dryRun=true");
    let ask = Ask::change(Method::POST, target).json(body).within(WITHIN);
    run.with_admin(async |client| client.ask(ask).await)
        .map_err(|failure| located(failure, loaded))
}

fn target(extent: Extent, target: &str) -> String {
    let flags = [(extent.prune, "prune=true"), (extent.force, "force=true")];
    let mut target = target.to_owned();
    for (_, flag) in flags.into_iter().filter(|(is_set, _)| *is_set) {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(flag);
    }
    target
}

fn applied(run: &Invocation, file: &Path, answer: &Answer) -> Result<Exit, Failure> {
    let changes = answer
        .body
        .get("changes")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if !run.output.is_data() && !changes.is_empty() {
        let line = |change| {
            let what = cell(change, "type").replace("io.flexgate.", "");
            format!("{what}  {}", cell(change, "id"))
        };
        let lines: Vec<_> = changes.iter().map(line).collect();
        run.output.line(&lines.join("\n"))?;
    }
    let file = file.display();
    let what = match changes.len() {
        0 => format!("{file}: there is nothing to change"),
        number => format!("{file} applied: {}", counted(number, "change")),
    };
    write::report(&run.output, &what, answer)
}

/// Shows the lines of the file that were refused.
fn located(failure: Failure, loaded: &Loaded) -> Failure {
    let places = loaded.places();
    let mistake = |field: &FieldError| {
        Some(Finding {
            place: Some(places.at(&field.pointer)?),
            ..Finding::mistake(field.detail.clone())
        })
    };
    let findings: Vec<_> = failure.fields.iter().filter_map(mistake).collect();
    if findings.is_empty() {
        return failure;
    }
    // What disappeared from the file has no line in it.
    let elsewhere = |field: &FieldError| places.at(&field.pointer).is_none();
    let fields = failure
        .fields
        .iter()
        .filter(|field| elsewhere(field))
        .cloned()
        .collect();
    let message = format!("{} is refused, and nothing is changed", loaded.source.name);
    Failure {
        message,
        findings,
        fields,
        ..failure
    }
}
