//! `/api/upstreams`: the named backends that routes send requests to.

use std::sync::Arc;

use flexgate_schemas::{Upstream, UpstreamId};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{
    Shared,
    collection::{Collection, amend, create, delete, fetch, list, replace},
    operation::{Operation, Resource},
};
use crate::domain::{Command, ConfigState, Entry};

const TAG: &str = "Upstreams";

/// What can be done with upstreams.
pub(super) fn resources() -> [Resource<Shared>; 2] {
    [
        Resource::at(Upstream::PATH, TAG)
            .get(
                list::<Upstream>,
                Operation::new("listUpstreams", "All upstreams, by name").lists::<Shown>(),
            )
            .post(
                create::<Upstream>,
                Operation::new("createUpstream", "Create an upstream")
                    .details("What exists with the same value is left as it is.")
                    .creates::<Upstream, Shown>(),
            ),
        Resource::at("/api/upstreams/{name}", TAG)
            .get(
                fetch::<Upstream>,
                Operation::new("getUpstream", "One upstream").fetches::<Shown>(),
            )
            .put(
                replace::<Upstream>,
                Operation::new("putUpstream", "Replace an upstream")
                    .details("The upstream must exist; with `If-None-Match: *` it must not, and is created.")
                    .puts::<Upstream, Shown>(),
            )
            .patch(
                amend::<Upstream>,
                Operation::new("patchUpstream", "Change some fields of an upstream")
                    .amends::<Upstream, Shown>(),
            )
            .delete(
                delete::<Upstream>,
                Operation::new("deleteUpstream", "Delete an upstream")
                    .details("Refused while a route uses it.")
                    .deletes(),
            ),
    ]
}

/// An upstream with its name also as `id`, so that clients can treat all entities alike.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Upstream")]
pub(super) struct Shown {
    /// Its name once more.
    id: UpstreamId,
    #[serde(flatten)]
    upstream: Arc<Upstream>,
}

impl Collection for Upstream {
    const PATH: &'static str = "/api/upstreams";
    const IDENTITY: &'static [&'static str] = &["name", "id"];
    type Shown = Shown;

    fn all(state: &ConfigState) -> &im::OrdMap<UpstreamId, Entry<Arc<Self>>> {
        state.upstreams()
    }
    /// Routes refer to its name, so only a person can give it.
    fn new_id() -> Option<String> {
        None
    }
    fn show(upstream: Arc<Self>) -> Shown {
        Shown {
            id: upstream.name.clone(),
            upstream,
        }
    }

    fn creation(self) -> Command {
        Command::CreateUpstream(self)
    }
    fn replacement(self) -> Command {
        Command::PutUpstream(self)
    }
    fn amendment(name: UpstreamId, patch: Value) -> Command {
        Command::PatchUpstream { name, patch }
    }
    fn deletion(name: UpstreamId) -> Command {
        Command::DeleteUpstream(name)
    }
}
