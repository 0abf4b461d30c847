//! Applying the configuration file at start.

use std::time::Duration;

use flexgate_schemas::{
    alert::AlertKind,
    commit::{Actor, ActorKind, Source},
};
use tokio::time::timeout;

use super::Error;
use crate::{
    config::{
        Finding,
        file::{Loaded, Places},
    },
    domain::{ApplyFile, Command, Expect, KnownKey, Refusal},
    journal::{Journal, Status, TransactError, Transaction, alerts::Alerts},
};

/// How long the log may take to be there before the file is left for later.
const JOURNAL_DEADLINE: Duration = Duration::from_secs(30);

/// Why the file could not become the configuration, and there is no other.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// What it says does not fit together.
    #[error("{0}")]
    Refused(Box<Finding>),
    /// It could not be written to the log.
    #[error("{file} was not applied: {error}")]
    NotApplied {
        /// Which file.
        file: String,
        /// Why.
        error: Box<TransactError>,
    },
}

/// Applies a file. An empty configuration and a bad file end the process; with a configuration in the log that one is
/// served on, and an alert says so.
pub(super) async fn apply(journal: &Journal, file: &Loaded, alerts: &Alerts) -> Result<(), Error> {
    let name = file.source.name.clone();
    let mut view = journal.watch();
    let ready = view.wait_for(|view| view.generation() > 0 && view.status == Status::Following);
    if timeout(JOURNAL_DEADLINE, ready).await.is_err() {
        tracing::warn!(file = name, "the log cannot be reached: the file is not applied");
        return Ok(());
    }
    let command = Command::ApplyFile(Box::new(ApplyFile {
        file: file.own_name(),
        upstreams: file.upstreams.clone(),
        routes: file.routes.clone(),
        settings: file.settings_to_apply().cloned(),
        keys: file.keys.iter().map(KnownKey::from).collect(),
        prune: false,
        force: false,
    }));
    let transaction = Transaction {
        command,
        expect: Expect::Any,
        after: None,
        actor: Actor {
            kind: ActorKind::System,
            id: "flexgate".into(),
        },
        source: Source::File(name.clone().into()),
        reason: None,
        idempotency: None,
    };
    let error = match journal.transact(transaction).await {
        Ok(committed) => {
            for warning in &committed.warnings {
                tracing::warn!(file = name, "{warning}");
            }
            tracing::info!(
                file = name,
                revision = committed.revision,
                changes = committed.events.len(),
                "applied"
            );
            return Ok(());
        }
        Err(error) => error,
    };
    if !journal.view().state().routes().is_empty() {
        alerts.raise(AlertKind::ConfigRejected {
            file: name,
            reason: error.to_string(),
        });
        return Ok(());
    }
    Err(match error {
        TransactError::Refused(refusal) => FileError::Refused(Box::new(mistake(&file.places(), &refusal))),
        error => FileError::NotApplied {
            file: name,
            error: Box::new(error),
        },
    }
    .into())
}

/// What a refusal says about the file that was applied, with the line that it is about.
pub fn mistake(places: &Places<'_>, refusal: &Refusal) -> Finding {
    match refusal {
        Refusal::Item {
            item,
            refusal: reason,
        } => Finding {
            place: places.find(item, reason.pointer().unwrap_or_default()),
            ..Finding::mistake(reason.to_string())
        },
        other => Finding::mistake(format!("{}: {other}", places.file_name())),
    }
}
