//! The rules of upstreams.

use std::sync::Arc;

use flexgate_schemas::{
    Event, Upstream, UpstreamId,
    event::{Entity, UpstreamDeleted},
    path::Segment,
    policy::{CircuitBreaker, HealthCheck, Retries},
};
use serde_json::{Map, Value};

use super::{
    ConfigState, Entry, Refusal, UPSTREAMS_MAX, Warning, destinations,
    entity::{Listed, Managed},
    patch::{respell, respell_policies},
};

/// How many of the routes that keep an upstream a refusal names.
const ROUTES_NAMED: usize = 3;

impl Managed for Upstream {
    type Id = UpstreamId;

    fn id(&self) -> &UpstreamId {
        &self.name
    }

    fn entity(name: &UpstreamId) -> Entity {
        Entity::Upstream(name.clone())
    }

    fn entry<'a>(state: &'a ConfigState, name: &UpstreamId) -> Option<Entry<&'a Self>> {
        state.upstream(name).map(Entry::seen)
    }

    fn updated(value: Arc<Self>) -> Event {
        Event::UpstreamUpdated(value)
    }

    fn check(&self, before: Option<&Self>, after: &ConfigState) -> Result<(), Refusal> {
        destinations::check(self, before, after.guard())?;
        self.health_check.as_ref().map_or(Ok(()), check_health_path)
    }

    fn warnings(&self, after: &ConfigState) -> Vec<Warning> {
        let idle = idle_policies(
            self.retries.as_ref(),
            self.circuit_breaker.as_ref(),
            self.health_check.as_ref(),
        );
        let not_acted_on = idle.map(|policy| Warning::NotActedOn {
            entity: Self::entity(&self.name),
            policy,
        });
        not_acted_on
            .chain(destinations::warnings(self, after.guard()))
            .chain(destinations::unlisted(self, after.guard()))
            .collect()
    }
}

impl Listed for Upstream {
    const KIND: &'static str = "upstreams";
    const MAX: usize = UPSTREAMS_MAX;
    const ID_POINTER: &'static str = "/name";

    fn count(state: &ConfigState) -> usize {
        state.upstreams().len()
    }

    fn created(value: Arc<Self>) -> Event {
        Event::UpstreamCreated(value)
    }

    fn deleted(name: UpstreamId) -> Event {
        Event::UpstreamDeleted(UpstreamDeleted { name })
    }

    fn check_deletion(name: &UpstreamId, state: &ConfigState) -> Result<(), Refusal> {
        let routes: Vec<_> = state.routes_using(name).take(ROUTES_NAMED).cloned().collect();
        if routes.is_empty() {
            return Ok(());
        }
        Err(Refusal::UpstreamInUse {
            name: name.clone(),
            routes,
            count: state.routes_using(name).count(),
        })
    }

    fn respell(patch: &mut Map<String, Value>) {
        respell_policies(patch);
        respell(patch, "id", "name");
        // One target is written as `url`, several as `targets`: to give one is to take the other away.
        for (given, other) in [("url", "targets"), ("targets", "url")] {
            if patch.get(given).is_some_and(|value| !value.is_null()) && !patch.contains_key(other) {
                patch.insert(other.to_owned(), Value::Null);
            }
        }
    }
}

/// A health check has no request whose path could fill a name.
fn check_health_path(check: &HealthCheck) -> Result<(), Refusal> {
    let named = |segment: &Segment| matches!(segment, Segment::Named(_));
    if check.path.appends_rest() || check.path.segments().iter().any(named) {
        return Err(Refusal::Invalid {
            pointer: "/healthCheck/path".to_owned(),
            detail: format!(
                "{} is no path that can be requested: write one without `:` and `*`",
                check.path
            ),
        });
    }
    Ok(())
}

/// The policies that are stored and not acted on yet, by the name of their field.
pub(super) fn idle_policies(
    retries: Option<&Retries>,
    breaker: Option<&CircuitBreaker>,
    health: Option<&HealthCheck>,
) -> impl Iterator<Item = &'static str> {
    let asked_for = [
        (retries.is_some_and(|retries| retries.attempts > 0), "retries"),
        (breaker.is_some_and(|breaker| breaker.enabled), "circuitBreaker"),
        (health.is_some_and(|check| check.enabled), "healthCheck"),
    ];
    asked_for
        .into_iter()
        .filter_map(|(asked_for, policy)| asked_for.then_some(policy))
}
