//! `flexgate check`: everything that can be said about a file without a cluster.

use flexgate_schemas::{UpstreamRef, event::Entity};
use serde_json::{Value, json};

use super::{
    args::Check,
    exit::{Exit, Failure},
    invocation::Invocation,
    output::counted,
};
use crate::{
    app::mistake,
    config::{ConfigError, Finding, file::Loaded},
    domain::{self, Command, ConfigState, Expect, KnownKey, Refusal, Warning},
};

/// The most refusals that are looked for.
const REFUSALS_MAX: usize = 50;
/// The most warnings that are shown.
const WARNINGS_MAX: usize = 100;

pub(super) fn check(run: &Invocation, options: &Check) -> Result<Exit, Failure> {
    let file = options.file.display();
    let checked = Loaded::read(&options.file, &run.sources().all())
        .and_then(|loaded| decide(&loaded).map(|warnings| (loaded, warnings)));
    if run.output.is_data() {
        let (valid, findings) = match &checked {
            Ok((_, warnings)) => (true, warnings),
            Err(ConfigError(mistakes)) => (false, mistakes),
        };
        let findings: Vec<_> = findings.iter().map(as_json).collect();
        run.output
            .data(&json!({ "valid": valid, "findings": findings }))?;
        return Ok(if valid { Exit::Done } else { Exit::Invalid });
    }
    let (loaded, warnings) = checked.map_err(|error| Failure {
        message: format!("{file} is not valid: {}", counted(error.0.len(), "mistake")),
        ..error.into()
    })?;
    run.output.findings(&warnings);
    let [upstreams, routes, warnings] = [
        counted(loaded.upstreams.len(), "upstream"),
        counted(loaded.routes.len(), "route"),
        counted(warnings.len(), "warning"),
    ];
    run.output
        .line(&format!("{file} is valid: {upstreams}, {routes}, {warnings}"))
}

/// What the domain says of a file as if nothing existed yet: all its refusals, or all that may surprise.
pub(super) fn decide(loaded: &Loaded) -> Result<Vec<Finding>, ConfigError> {
    let mut upstreams = loaded.upstreams.clone();
    let mut routes = loaded.routes.clone();
    let mut refusals: Vec<Refusal> = Vec::new();
    loop {
        let command = Command::Apply {
            upstreams: upstreams.clone(),
            routes: routes.clone(),
            settings: loaded.settings_to_apply().cloned(),
            keys: loaded.keys.iter().map(KnownKey::from).collect(),
            withheld: Vec::new(),
        };
        match domain::decide(&ConfigState::default(), &command, &Expect::Any) {
            Ok(decision) if refusals.is_empty() => return Ok(surprises(loaded, &decision.warnings)),
            Ok(_) => return Err(mistakes(loaded, &refusals)),
            Err(refusal) => refusals.push(refusal),
        }
        // Without the one at fault, and what needs it, the next refusal is about another one.
        let before = upstreams.len() + routes.len();
        match refusals.last() {
            Some(Refusal::Item {
                item: Entity::Route(id),
                ..
            }) => routes.retain(|route| route.id != *id),
            Some(Refusal::Item {
                item: Entity::Upstream(name),
                ..
            }) => {
                upstreams.retain(|upstream| upstream.name != *name);
                routes.retain(|route| route.upstream != UpstreamRef::Named(name.clone()));
            }
            _ => {}
        }
        if refusals.len() == REFUSALS_MAX || upstreams.len() + routes.len() == before {
            return Err(mistakes(loaded, &refusals));
        }
    }
}

fn mistakes(loaded: &Loaded, refusals: &[Refusal]) -> ConfigError {
    let places = loaded.places();
    ConfigError(in_order(refusals.iter().map(|refusal| mistake(&places, refusal))))
}

fn surprises(loaded: &Loaded, warnings: &[Warning]) -> Vec<Finding> {
    let places = loaded.places();
    let surprise = |warning: &Warning| {
        let (entity, field) = subject(warning);
        Finding {
            place: places.find(&entity, &format!("/{field}")),
            ..Finding::warning(warning.to_string())
        }
    };
    let shown = warnings.iter().take(WARNINGS_MAX).map(surprise);
    let mut findings = in_order(loaded.warnings.iter().cloned().chain(shown));
    if let more @ 1.. = warnings.len().saturating_sub(WARNINGS_MAX) {
        findings.push(Finding::warning(format!(
            "{}: {more} more warnings",
            loaded.source.name
        )));
    }
    findings
}

/// What a warning is about: an entity, and a field of it.
fn subject(warning: &Warning) -> (Entity, &'static str) {
    match warning {
        Warning::Shadowed { route, .. } | Warning::TakenLiterally { route, .. } => {
            (Entity::Route(route.clone()), "path")
        }
        Warning::NotActedOn { entity, policy } => (entity.clone(), policy),
        Warning::Prohibited {
            entity: entity @ Entity::Route(_),
            ..
        } => (entity.clone(), "upstream"),
        Warning::Prohibited { entity, .. } => (entity.clone(), "url"),
        Warning::ScopedRoutesMissing { key, .. } => (Entity::Key(*key), "scopes"),
        Warning::Unlisted { upstream, .. } => (Entity::Upstream(upstream.clone()), "url"),
        Warning::KeepsFrom { .. }
        | Warning::BlockedThoughListed { .. }
        | Warning::WithheldKeysMissing { .. } => (Entity::Settings, "security"),
    }
}

/// In the order of the file; what has no place comes first.
fn in_order(findings: impl Iterator<Item = Finding>) -> Vec<Finding> {
    let mut findings: Vec<_> = findings.collect();
    findings.sort_by_key(|finding| finding.place.as_ref().map(|place| place.span.start));
    findings
}

fn as_json(finding: &Finding) -> Value {
    let place = finding.place.as_ref().map(|place| {
        let (line, column) = place.line_and_column();
        json!({ "file": place.source.name, "line": line, "column": column })
    });
    json!({
        "severity": format!("{:?}", finding.severity).to_lowercase(),
        "message": finding.message,
        "help": finding.help,
        "place": place,
    })
}
