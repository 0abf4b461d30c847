//! `flexgate schema`: what the program reads and writes, described for editors and other programs.

use flexgate_schemas::catalog;

use super::{
    args::SchemaOf,
    exit::{Exit, Failure},
    invocation::Invocation,
};
use crate::{admin::openapi, config::file};

pub(super) fn print(run: &Invocation, of: SchemaOf) -> Result<Exit, Failure> {
    run.output.data(&match of {
        SchemaOf::Config => file::schema(),
        SchemaOf::Events => catalog::events(),
        SchemaOf::Openapi => openapi::document(),
        SchemaOf::Asyncapi => catalog::asyncapi(),
    })
}
