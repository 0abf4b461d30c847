//! What a caller should know about a change that is made all the same.

use std::net::IpAddr;

use flexgate_schemas::{KeyId, RouteId, UpstreamId, event::Entity, security::Host};
use ipnet::IpNet;

use super::refusal::first_of;
use crate::egress::Prohibited;

/// Something the caller may have meant otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A route that can never match.
    #[error(
        "route {route:?} can never match: route {by:?} takes every request first; give {route:?} a higher `priority`, or narrow {by:?}"
    )]
    Shadowed {
        /// The route.
        route: RouteId,
        /// The one that leaves it nothing.
        by: RouteId,
    },
    /// A path with a segment in the syntax of other gateways, which is none here.
    #[error(
        "route {route:?} takes only paths that have `{segment}` in them as it is written; a segment with any text is written `{instead}`"
    )]
    TakenLiterally {
        /// The route.
        route: RouteId,
        /// The segment as people write it, such as `{id}`.
        segment: String,
        /// What was probably meant, such as `:id`.
        instead: String,
    },
    /// A policy that this build keeps but does nothing about. Requests pass without it.
    #[error("`{policy}` of {entity} is stored, but this version does not act on it yet")]
    NotActedOn {
        /// Whose.
        entity: Entity,
        /// The field.
        policy: &'static str,
    },
    /// A target that was there before what keeps requests from it.
    #[error("requests of {entity} are refused: {reason}")]
    Prohibited {
        /// The route or upstream.
        entity: Entity,
        /// Why.
        reason: Prohibited,
    },
    /// Settings that keep requests from where they went.
    #[error("`security` keeps requests from {}", named(.first, *.count))]
    KeepsFrom {
        /// The first few routes and upstreams that lead there.
        first: Vec<Entity>,
        /// How many there are in all.
        count: usize,
    },
    /// Hosts are listed, and an upstream names another one.
    #[error(
        "{host} is not one of `security.allowedHosts`: requests go there all the same, because upstream {upstream:?} names it"
    )]
    Unlisted {
        /// The upstream.
        upstream: UpstreamId,
        /// The host.
        host: Host,
    },
    /// A key that opens routes which are not there.
    #[error("the scopes of key {key:?} name {}: there is no such route, so that they open nothing there", named(.first, *.count))]
    ScopedRoutesMissing {
        /// The key.
        key: KeyId,
        /// The first few of them.
        first: Vec<Entity>,
        /// How many there are in all.
        count: usize,
    },
    /// Keys that are named without their secrets, and are not there.
    #[error("`withheldKeys` names {}, which are not there, and without their hashes they cannot be made", named(.first, *.count))]
    WithheldKeysMissing {
        /// The first few of them.
        first: Vec<Entity>,
        /// How many there are in all.
        count: usize,
    },
    /// An address that is listed as allowed and in a blocked network.
    #[error(
        "{address} is listed in `security.allowedHosts`, and {network} in `security.blockedIPs`, which wins"
    )]
    BlockedThoughListed {
        /// The address.
        address: IpAddr,
        /// What blocks it.
        network: IpNet,
    },
}

impl Warning {
    /// The kind for programs: stable, `snake_case`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Shadowed { .. } => "route_shadowed",
            Self::TakenLiterally { .. } => "path_taken_literally",
            Self::NotActedOn { .. } => "policy_not_acted_on",
            Self::Prohibited { .. } => "destination_prohibited",
            Self::KeepsFrom { .. } => "keeps_requests_from",
            Self::Unlisted { .. } => "host_not_listed",
            Self::ScopedRoutesMissing { .. } => "scoped_routes_missing",
            Self::WithheldKeysMissing { .. } => "withheld_keys_missing",
            Self::BlockedThoughListed { .. } => "blocked_though_listed",
        }
    }
}

fn named(first: &[Entity], count: usize) -> String {
    let names: Vec<_> = first.iter().map(Entity::to_string).collect();
    first_of(&names, count)
}
