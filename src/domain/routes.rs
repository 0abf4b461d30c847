//! The rules of routes.

use std::sync::Arc;

use flexgate_schemas::{
    Event, PathPattern, Rewrite, Route, RouteId, UpstreamId, UpstreamRef,
    event::{Entity, RouteDeleted},
    path::Segment,
    validation,
};
use serde_json::{Map, Value};

use super::{
    ConfigState, Entry, ROUTES_MAX, Refusal, Warning, destinations,
    entity::{Listed, Managed},
    patch::{respell, respell_policies},
    settings::{check_access, check_length, check_rate_limits},
    upstreams::idle_policies,
};
use crate::validation::{Schema, SchemaMistake};

impl Managed for Route {
    type Id = RouteId;

    fn id(&self) -> &RouteId {
        &self.id
    }

    fn entity(id: &RouteId) -> Entity {
        Entity::Route(id.clone())
    }

    fn entry<'a>(state: &'a ConfigState, id: &RouteId) -> Option<Entry<&'a Self>> {
        state.route(id).map(Entry::seen)
    }

    fn updated(value: Arc<Self>) -> Event {
        Event::RouteUpdated(value)
    }

    fn check(&self, before: Option<&Self>, after: &ConfigState) -> Result<(), Refusal> {
        check_rewrite(self)?;
        check_edits(self)?;
        check_access(&self.access)?;
        check_validation(self, before)?;
        check_rate_limits(self.rate_limit.as_ref())?;
        destinations::check(self, before, after.guard())?;
        if let UpstreamRef::Named(name) = &self.upstream
            && after.upstream(name).is_none()
        {
            return Err(Refusal::UnknownUpstream {
                name: name.clone(),
                suggestion: closest(name, after.upstreams().keys()).cloned(),
            });
        }
        match after.duplicate_of(self) {
            Some(existing) => Err(Refusal::DuplicateRoute {
                existing: existing.clone(),
            }),
            None => Ok(()),
        }
    }

    fn warnings(&self, after: &ConfigState) -> Vec<Warning> {
        let shadow = after.table().shadowed_by(self).filter(|_| self.enabled);
        let shadowed = shadow.map(|by| Warning::Shadowed {
            route: self.id.clone(),
            by: by.id.clone(),
        });
        let idle = idle_policies(self.retries.as_ref(), self.circuit_breaker.as_ref(), None);
        let not_acted_on = idle.map(|policy| Warning::NotActedOn {
            entity: Self::entity(&self.id),
            policy,
        });
        let literal = taken_literally(&self.path);
        let taken_literally = literal.map(|(segment, instead)| Warning::TakenLiterally {
            route: self.id.clone(),
            segment,
            instead,
        });
        shadowed
            .into_iter()
            .chain(taken_literally)
            .chain(not_acted_on)
            .chain(destinations::warnings(self, after.guard()))
            .collect()
    }
}

/// The first segment that other gateways would take for a name, as it is written there, and how that is written here.
fn taken_literally(path: &PathPattern) -> Option<(String, String)> {
    let literal = |segment: &Segment| match segment {
        Segment::Literal(text) => in_brackets(text),
        Segment::Named(_) => None,
    };
    path.segments().iter().find_map(literal)
}

/// What stands in brackets, which are escaped in the normal form of a path.
fn in_brackets(text: &str) -> Option<(String, String)> {
    [("%7B", "%7D", '{', '}'), ("%3C", "%3E", '<', '>')]
        .into_iter()
        .find_map(|(before, after, opening, closing)| {
            let inner = text.strip_prefix(before)?.strip_suffix(after)?;
            // Those of some have an expression after the name.
            let is_of_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
            let name: String = inner.chars().take_while(is_of_name).collect();
            let name = if name.is_empty() { "name".to_owned() } else { name };
            Some((format!("{opening}{inner}{closing}"), format!(":{name}")))
        })
}

impl Listed for Route {
    const KIND: &'static str = "routes";
    const MAX: usize = ROUTES_MAX;
    const ID_POINTER: &'static str = "/id";

    fn count(state: &ConfigState) -> usize {
        state.routes().len()
    }

    fn created(value: Arc<Self>) -> Event {
        Event::RouteCreated(value)
    }

    fn deleted(id: RouteId) -> Event {
        Event::RouteDeleted(RouteDeleted { id })
    }

    fn check_deletion(_: &RouteId, _: &ConfigState) -> Result<(), Refusal> {
        Ok(()) // nothing refers to a route
    }

    fn respell(patch: &mut Map<String, Value>) {
        respell_policies(patch);
        if let Some(Value::Object(cors)) = patch.get_mut("cors") {
            respell(cors, "origin", "origins");
        }
    }
}

fn check_rewrite(route: &Route) -> Result<(), Refusal> {
    let missing = match route.rewrite.as_deref() {
        None => return Ok(()),
        Some(_) if route.strip_path => return Err(Refusal::StripAndRewrite),
        Some(Rewrite::Template(template)) => template.missing_in(&route.path),
        Some(Rewrite::Regex(_)) => None,
    };
    match missing {
        Some(name) => Err(Refusal::RewriteName {
            name: name.to_owned(),
            pattern: route.path.clone(),
        }),
        None => Ok(()),
    }
}

/// Values can only be made of what the route's path has, and there is one `Host`.
fn check_edits(route: &Route) -> Result<(), Refusal> {
    let headers = &route.headers;
    let places = [
        ("/headers/request", headers.request.missing_in(&route.path)),
        ("/headers/response", headers.response.missing_in(&route.path)),
        ("/query", route.query.missing_in(&route.path)),
    ];
    for (place, missing) in places {
        if let Some((value, variable)) = missing {
            return Err(Refusal::Invalid {
                pointer: format!("{place}{value}"),
                detail: format!(
                    "there is no {variable}: the path {} has no such segment",
                    route.path
                ),
            });
        }
    }
    if route.preserve_host && route.rewrite_host.is_some() {
        return Err(Refusal::Invalid {
            pointer: "/rewriteHost".to_owned(),
            detail: "`preserveHost` and `rewriteHost` exclude each other: each says the whole `Host`"
                .to_owned(),
        });
    }
    Ok(())
}

/// What the types of the rules for requests do not hold: the length of lists, and that a schema is one.
fn check_validation(route: &Route, before: Option<&Route>) -> Result<(), Refusal> {
    let rules = &route.validate;
    if before.is_some_and(|before| before.validate == *rules) {
        return Ok(());
    }
    for (pointer, length) in [
        ("/validate/contentTypes", rules.content_types.len()),
        ("/validate/headers", rules.headers.len()),
        ("/validate/query", rules.query.len()),
    ] {
        check_length(pointer, length, validation::ENTRIES_MAX, "entries")?;
    }
    let Some(body) = &rules.body else { return Ok(()) };
    match Schema::compile(&body.schema) {
        Ok(_) => Ok(()),
        Err(SchemaMistake { pointer, detail }) => Err(Refusal::Invalid {
            pointer: format!("/validate/body/schema{pointer}"),
            detail,
        }),
    }
}

/// The name that is nearest to what was written, if it is near enough to have been meant: two slips at most, and most
/// of the name right.
fn closest<'a>(written: &UpstreamId, names: impl Iterator<Item = &'a UpstreamId>) -> Option<&'a UpstreamId> {
    let written = written.as_str();
    let near = names.filter(|name| name.as_str().len().abs_diff(written.len()) <= 2);
    near.map(|name| (strsim::osa_distance(written, name.as_str()), name))
        .filter(|(slips, name)| *slips <= 2 && 2 * slips < name.as_str().len())
        .min()
        .map(|(_, name)| name)
}
