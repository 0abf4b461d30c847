//! What may be asked of the configuration, and what comes of it.

use flexgate_schemas::{Event, Route, RouteId, Settings, Upstream, UpstreamId};
use serde_json::Value;

use super::Warning;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A route that is to be. One that exists with the same value is what was asked for already.
    CreateRoute(Route),
    /// A route that is to be different. It must exist.
    PutRoute(Route),
    /// A route of which some fields are to be different.
    PatchRoute {
        /// Which.
        id: RouteId,
        /// A JSON Merge Patch (RFC 7396), with the fields of a route in any spelling that is read.
        patch: Value,
    },
    /// A route that is to be gone.
    DeleteRoute(RouteId),
    /// As for routes.
    CreateUpstream(Upstream),
    /// As for routes.
    PutUpstream(Upstream),
    /// As for routes.
    PatchUpstream {
        /// Which.
        name: UpstreamId,
        /// A JSON Merge Patch (RFC 7396).
        patch: Value,
    },
    /// As for routes; no route may use it.
    DeleteUpstream(UpstreamId),
    /// New global settings in place of the old ones.
    PutSettings(Settings),
    /// That all of these are as written here: what is missing is created, what differs is updated, nothing is deleted.
    /// Only the result has to make sense, so the order does not matter. All of it, or nothing.
    Apply {
        /// The upstreams, each once.
        upstreams: Vec<Upstream>,
        /// The routes, each once.
        routes: Vec<Route>,
        /// The settings, if they are to be set.
        settings: Option<Settings>,
    },
}

/// What the caller believes about the entity that a command is about; each of them, for [`Command::Apply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing in particular.
    Any,
    /// That it does not exist (`If-None-Match: *`).
    Absent,
    /// That this commit was the last to change it (`If-Match`).
    Revision(u64),
}

/// What a command comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What happens. Nothing, if everything is already as was asked.
    pub events: Vec<Event>,
    /// What the caller should know and may have meant otherwise.
    pub warnings: Vec<Warning>,
}
