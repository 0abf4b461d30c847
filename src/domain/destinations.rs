//! Where the requests of routes and upstreams go, as far as the edit can tell: by the names and addresses in their URLs.
//! What a name resolves to, the gateway asks of every connection.

use flexgate_schemas::{Route, Upstream, UpstreamRef, UpstreamUrl, event::Entity, security::Host};

use super::{ConfigState, Refusal, Warning, entity::Managed};
use crate::egress::{self, Behalf, Guard, Prohibited};

/// How many of the routes and upstreams that settings keep requests from a warning names.
const NAMED: usize = 3;

/// Something whose requests go somewhere.
pub(super) trait Sends: Managed {
    /// The URLs that it gives itself.
    fn urls(&self) -> impl Iterator<Item = &UpstreamUrl>;
    /// Where one of them stands in the written form, as a JSON Pointer (RFC 6901).
    fn pointer(&self, place: usize) -> String;
}

impl Sends for Upstream {
    fn urls(&self) -> impl Iterator<Item = &UpstreamUrl> {
        self.targets.as_slice().iter().map(|target| &target.url)
    }

    fn pointer(&self, place: usize) -> String {
        match self.targets.as_slice() {
            [_] => "/url".to_owned(),
            _ => format!("/targets/{place}/url"),
        }
    }
}

impl Sends for Route {
    fn urls(&self) -> impl Iterator<Item = &UpstreamUrl> {
        match &self.upstream {
            UpstreamRef::Url(url) => Some(url),
            UpstreamRef::Named(_) => None,
        }
        .into_iter()
    }

    fn pointer(&self, _: usize) -> String {
        "/upstream".to_owned()
    }
}

/// Refuses a target that no request may go to. One that was there before stays: whoever blocks an address in an
/// emergency must be able to edit what leads there.
pub(super) fn check<S: Sends>(now: &S, before: Option<&S>, guard: &Guard) -> Result<(), Refusal> {
    let is_new = |url: &UpstreamUrl| !before.is_some_and(|before| before.urls().any(|old| old == url));
    for (place, url) in now.urls().enumerate().filter(|(_, url)| is_new(url)) {
        if let Some(reason) = prohibition(url, guard) {
            return Err(Refusal::Prohibited {
                pointer: now.pointer(place),
                reason,
            });
        }
    }
    Ok(())
}

/// What keeps requests from the targets that were accepted all the same.
pub(super) fn warnings<S: Sends>(entity: &S, guard: &Guard) -> impl Iterator<Item = Warning> {
    let reasons = entity.urls().filter_map(|url| prohibition(url, guard));
    reasons.map(|reason| Warning::Prohibited {
        entity: S::entity(entity.id()),
        reason,
    })
}

/// The hosts of an upstream that the list of hosts leaves out.
pub(super) fn unlisted(upstream: &Upstream, guard: &Guard) -> impl Iterator<Item = Warning> {
    let hosts = upstream.urls().map(|url| Host::of(url.host()));
    let unlisted = hosts.filter(|host| guard.leaves_out(host));
    unlisted.map(|host| Warning::Unlisted {
        upstream: upstream.name.clone(),
        host,
    })
}

/// The routes and upstreams whose requests the settings keep back.
pub(super) fn kept_back(state: &ConfigState) -> Option<Warning> {
    let guard = state.guard();
    let upstreams = state.upstreams().values();
    let routes = state.routes().values();
    let mut kept_back = upstreams
        .filter_map(|entry| prohibited_entity(&*entry.value, guard))
        .chain(routes.filter_map(|entry| prohibited_entity(&*entry.value, guard)));
    let first: Vec<_> = kept_back.by_ref().take(NAMED).collect();
    let count = first.len() + kept_back.count();
    (count > 0).then_some(Warning::KeepsFrom { first, count })
}

fn prohibited_entity<S: Sends>(entity: &S, guard: &Guard) -> Option<Entity> {
    let is_prohibited = |url| prohibition(url, guard).is_some();
    entity.urls().any(is_prohibited).then(|| S::entity(entity.id()))
}

fn prohibition(url: &UpstreamUrl, guard: &Guard) -> Option<Prohibited> {
    egress::verdict_on_host(guard, &Host::of(url.host()), Behalf::Client).err()
}
