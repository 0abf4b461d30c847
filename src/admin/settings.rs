//! `/api/settings`: what holds for the whole cluster.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use flexgate_schemas::{Settings, commit::Source};

use super::{
    Shared,
    entity::{self, Outcome, Stored},
    error::Error,
    json,
    operation::{Operation, Resource},
    read::Read,
    write::Write,
};
use crate::domain::Command;

/// What can be done with the settings.
pub(super) fn resources() -> [Resource<Shared>; 1] {
    [Resource::at("/api/settings", "Settings")
        .get(
            fetch,
            Operation::new("getSettings", "The global settings").fetches::<Arc<Settings>>(),
        )
        .put(
            replace,
            Operation::new("putSettings", "Replace the global settings")
                .details("What is left out goes back to its default.")
                .replaces::<Settings, Arc<Settings>>(),
        )]
}

async fn fetch(read: Read) -> Response {
    let settings = read.view.state().settings();
    read.answer(settings.revision, &Stored::of(settings))
}

async fn replace(State(admin): State<Shared>, write: Write) -> Result<Response, Error> {
    let mut fields = write.body.object()?;
    entity::strip(&mut fields);
    let command = Command::PutSettings(json::value(fields)?);
    let current = admin.journal.view().state().settings().revision;
    let committed = write
        .transact(&admin, command, Some(current), Source::Api)
        .await?;
    let outcome = Outcome::<Settings>::of(&admin.journal.view(), &committed, &());
    let stored = outcome.expect("settings always exist").stored;
    Ok(write.answer(&admin, &committed, stored, None).await)
}
