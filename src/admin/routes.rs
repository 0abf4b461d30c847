//! `/api/routes`: which requests go where.

use std::sync::Arc;

use flexgate_schemas::{Route, RouteId};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Shared,
    collection::{Collection, amend, create, delete, fetch, list, replace},
    operation::{Operation, Resource},
};
use crate::domain::{Command, ConfigState, Entry};

const TAG: &str = "Routes";

/// What can be done with routes.
pub(super) fn resources() -> [Resource<Shared>; 2] {
    [
        Resource::at(Route::PATH, TAG)
            .get(
                list::<Route>,
                Operation::new("listRoutes", "All routes, by id").lists::<Arc<Route>>(),
            )
            .post(
                create::<Route>,
                Operation::new("createRoute", "Create a route")
                    .details("Without an `id` it gets one. What exists with the same value is left as it is.")
                    .creates::<Route, Arc<Route>>(),
            ),
        Resource::at("/api/routes/{id}", TAG)
            .get(
                fetch::<Route>,
                Operation::new("getRoute", "One route").fetches::<Arc<Route>>(),
            )
            .put(
                replace::<Route>,
                Operation::new("putRoute", "Replace a route")
                    .details("The route must exist; with `If-None-Match: *` it must not, and is created.")
                    .puts::<Route, Arc<Route>>(),
            )
            .patch(
                amend::<Route>,
                Operation::new("patchRoute", "Change some fields of a route").amends::<Route, Arc<Route>>(),
            )
            .delete(
                delete::<Route>,
                Operation::new("deleteRoute", "Delete a route").deletes(),
            ),
    ]
}

impl Collection for Route {
    const PATH: &'static str = "/api/routes";
    const IDENTITY: &'static [&'static str] = &["id"];
    type Shown = Arc<Self>;

    fn all(state: &ConfigState) -> &im::OrdMap<RouteId, Entry<Arc<Self>>> {
        state.routes()
    }
    fn new_id() -> Option<String> {
        Some(Uuid::now_v7().to_string())
    }
    fn show(value: Arc<Self>) -> Arc<Self> {
        value
    }

    fn creation(self) -> Command {
        Command::CreateRoute(self)
    }
    fn replacement(self) -> Command {
        Command::PutRoute(self)
    }
    fn amendment(id: RouteId, patch: Value) -> Command {
        Command::PatchRoute { id, patch }
    }
    fn deletion(id: RouteId) -> Command {
        Command::DeleteRoute(id)
    }
}
