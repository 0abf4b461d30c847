//! What a caller should know about a change that is made all the same.

use flexgate_schemas::{RouteId, event::Entity};

use crate::routing::Protection;

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
    /// Protection that this build does not give: the gateway lets nobody pass.
    #[error("{entity} asks for {protection}, which this version cannot enforce: its requests are refused")]
    FailsClosed {
        /// The route, or the settings, which mean every route.
        entity: Entity,
        /// What it asks for.
        protection: Protection,
    },
    /// A policy that this build keeps but does nothing about. Requests pass without it.
    #[error("`{policy}` of {entity} is stored, but this version does not act on it yet")]
    NotActedOn {
        /// Whose.
        entity: Entity,
        /// The field.
        policy: &'static str,
    },
}

impl Warning {
    /// The kind for programs: stable, `snake_case`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Shadowed { .. } => "route_shadowed",
            Self::FailsClosed { .. } => "fails_closed",
            Self::NotActedOn { .. } => "policy_not_acted_on",
        }
    }
}
