//! What a route says beyond where its requests go, ready to be used.

use std::sync::Arc;

use flexgate_schemas::{Route, compression::Compressing};

use super::{
    access::CompiledAccess, choice::Choice, compress, cors::CompiledCors, edits::CompiledEdits,
    rate_limit::CompiledLimits, validate::CompiledValidation,
};
use crate::limiter::Limiter;

/// Policies of a route, or of a route that has none.
#[derive(Debug)]
pub(super) struct Policies {
    /// From where its requests may come, if it says so.
    pub(super) access: Option<Box<CompiledAccess>>,
    /// What its requests must be, if it says so.
    pub(super) validation: Option<Arc<CompiledValidation>>,
    /// What it does to messages, if it does anything.
    pub(super) edits: Option<Box<CompiledEdits>>,
    /// What it says of pages of other origins.
    pub(super) cors: Choice<CompiledCors>,
    /// What it says of compression.
    pub(super) compression: Choice<Compressing>,
    /// How many requests it takes, if it says so.
    pub(super) limits: Option<Box<CompiledLimits>>,
}

/// Those of a route that has none.
pub(super) static NO_POLICIES: Policies = Policies {
    access: None,
    validation: None,
    edits: None,
    cors: Choice::Unsaid,
    compression: Choice::Unsaid,
    limits: None,
};

impl Policies {
    /// None for a route that has none. `before` is what its previous version had.
    pub(super) fn compile(route: &Route, before: &Self, limiter: &Limiter) -> Option<Box<Self>> {
        let policies = Self {
            access: CompiledAccess::compile(&route.access),
            validation: CompiledValidation::compile(route, before.validation.as_ref()),
            edits: CompiledEdits::compile(route),
            cors: CompiledCors::compile(route.cors.as_deref()),
            compression: compress::compile(route.compression.as_deref()),
            limits: CompiledLimits::of_route(route.id.as_str(), route.rate_limit.as_ref(), limiter),
        };
        (!policies.are_none()).then(|| Box::new(policies))
    }

    fn are_none(&self) -> bool {
        let Self {
            access: None,
            validation: None,
            edits: None,
            cors: Choice::Unsaid,
            compression: Choice::Unsaid,
            limits: None,
        } = self
        else {
            return false;
        };
        true
    }
}
