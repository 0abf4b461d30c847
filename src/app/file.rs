//! Applying the configuration file: at start, and again whenever it changes.

use std::time::Duration;

use flexgate_schemas::{
    Provenance,
    admin::{Deed, PLACES_MAX, Rejection},
    alert::AlertKind,
    audit::Change,
    commit::{Actor, Source},
};
use tokio::time::timeout;

use super::Error;
use crate::{
    audit::Audit,
    config::{
        Config, ConfigError, Finding, Place,
        file::{Loaded, Places},
    },
    domain::{ApplyFile, Command, Expect, KnownKey, Refusal},
    journal::{Journal, Status, TransactError, Transaction, alerts::Alerts},
};

mod watch;

pub(super) use watch::{Warned, watch};

/// How long the log may take to be there before the file is left for later.
const JOURNAL_DEADLINE: Duration = Duration::from_secs(30);

/// Why the file could not become the configuration, and there is no other.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read, or what it says does not fit together.
    #[error(transparent)]
    Refused(ConfigError),
    /// It could not be written to the log.
    #[error("{file} was not applied: {error}")]
    NotApplied {
        /// Which file.
        file: String,
        /// Why.
        error: Box<TransactError>,
    },
}

/// A file that changes nothing.
#[derive(Debug)]
pub(super) struct Refused {
    /// What of it is wrong, for programs.
    code: &'static str,
    error: FileError,
}

/// Who hears of a file that changes nothing.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) alerts: Alerts,
    pub(super) audit: Audit,
}

/// What became of a file.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The configuration is as it says, but for what others have decided since.
    Applied,
    /// It changed nothing, and will not unless it is changed.
    Refused(Refused),
    /// The log could not be reached: it may be tried again.
    Later(Option<Refused>),
}

/// Applies the file at start; whether it is done with. An empty configuration and a bad file end the process; with a
/// configuration in the log that one is served on, and an alert says so.
pub(super) async fn at_start(journal: &Journal, config: &Config, told: &Told) -> Result<bool, Error> {
    let (name, outcome) = match (&config.file, &config.unreadable) {
        (Some(file), _) => (file.source.name.clone(), apply(journal, file).await),
        (None, Some((source, mistakes))) => {
            let refused = Refused::of(mistakes.clone());
            let outcome = if is_there(journal).await {
                Outcome::Refused(refused)
            } else {
                Outcome::Later(Some(refused))
            };
            (source.path.display().to_string(), outcome)
        }
        (None, None) => return Ok(true),
    };
    let (refused, done) = match outcome {
        Outcome::Applied => return Ok(true),
        Outcome::Later(None) => return Ok(false),
        Outcome::Refused(refused) => (refused, true),
        Outcome::Later(Some(refused)) => (refused, false),
    };
    let state = journal.view();
    if state.state().routes().is_empty() && state.state().upstreams().is_empty() {
        told.audit_log_of(&name, &refused);
        return Err(refused.error.into());
    }
    report(&name, &refused, told);
    Ok(done)
}

/// Applies a file that was read.
pub(super) async fn apply(journal: &Journal, file: &Loaded) -> Outcome {
    let name = file.source.name.clone();
    if !is_there(journal).await {
        tracing::warn!(file = name, "the log cannot be reached: the file is not applied");
        return Outcome::Later(None);
    }
    match journal.transact(transaction(file)).await {
        Ok(committed) => {
            for warning in &committed.warnings {
                tracing::warn!(file = name, "{warning}");
            }
            tracing::info!(
                file = name,
                revision = committed.revision,
                changes = committed.events.iter().filter_map(Change::of).count(),
                "applied"
            );
            Outcome::Applied
        }
        Err(TransactError::Refused(refusal)) => {
            let mistakes = mistakes(&file.places(), &refusal);
            Outcome::Refused(Refused {
                code: refusal.code(),
                ..Refused::of(ConfigError(mistakes))
            })
        }
        Err(error) => {
            let for_now = matches!(
                error,
                TransactError::Unavailable { .. }
                    | TransactError::Contended { .. }
                    | TransactError::Unknown { .. }
                    | TransactError::HeldBack { .. }
            );
            let refused = Refused {
                code: "not_applied",
                error: FileError::NotApplied {
                    file: name,
                    error: Box::new(error),
                },
            };
            if for_now {
                Outcome::Later(Some(refused))
            } else {
                Outcome::Refused(refused)
            }
        }
    }
}

fn transaction(file: &Loaded) -> Transaction {
    Transaction {
        command: Command::ApplyFile(Box::new(ApplyFile {
            file: file.own_name(),
            upstreams: file.upstreams.clone(),
            routes: file.routes.clone(),
            settings: file.settings_to_apply().cloned(),
            keys: file.keys.iter().map(KnownKey::from).collect(),
            withheld: file.withheld_keys.clone(),
            prune: false,
            force: false,
        })),
        expect: Expect::Any,
        after: None,
        actor: Actor::system(),
        source: Source::File(file.origin().into()),
        reason: None,
        idempotency: None,
        provenance: None,
    }
}

/// Whether the log can be read and written within the deadline.
async fn is_there(journal: &Journal) -> bool {
    let mut view = journal.watch();
    let ready = view.wait_for(|view| view.generation() > 0 && view.status == Status::Following);
    timeout(JOURNAL_DEADLINE, ready).await.is_ok()
}

/// Says that the file changed nothing, and why.
fn report(name: &str, refused: &Refused, told: &Told) {
    let error = &refused.error;
    match error {
        FileError::Refused(ConfigError(mistakes)) => {
            for mistake in mistakes {
                tracing::error!(
                    file = name,
                    "the file changes nothing:\n{}",
                    mistake.render(false)
                );
            }
        }
        FileError::NotApplied { .. } => tracing::error!(file = name, %error, "the file changes nothing"),
    }
    told.alerts.raise(AlertKind::ConfigRejected {
        file: name.to_owned(),
        reason: error.to_string(),
    });
    told.audit_log_of(name, refused);
}

impl Refused {
    /// A file with mistakes.
    fn of(mistakes: ConfigError) -> Self {
        Self {
            code: "invalid",
            error: FileError::Refused(mistakes),
        }
    }
}

impl Told {
    fn audit_log_of(&self, name: &str, Refused { code, error }: &Refused) {
        let mistakes = match error {
            FileError::Refused(ConfigError(mistakes)) => mistakes.as_slice(),
            FileError::NotApplied { .. } => &[],
        };
        let places = mistakes.iter().filter_map(|mistake| mistake.place.as_ref());
        let place = |place: &Place| {
            let (line, column) = place.line_and_column();
            format!("{line}:{column}").into()
        };
        let rejection = Rejection {
            file: name.into(),
            code: (*code).into(),
            mistakes: mistakes.len() as u64,
            places: places.take(PLACES_MAX).map(place).collect(),
        };
        self.audit.tell(
            Deed::Rejected(rejection),
            Some(Actor::system()),
            Source::File(name.into()),
            Provenance::default(),
        );
    }
}

/// What a refusal says about the file that was applied, with the lines that it is about.
fn mistakes(places: &Places<'_>, refusal: &Refusal) -> Vec<Finding> {
    let Refusal::FileConflicts { conflicts, .. } = refusal else {
        return vec![mistake(places, refusal)];
    };
    let help =
        "bring the file in line with it, or `flexgate apply --force`: `flexgate diff` shows what differs";
    let found = conflicts.iter().map(|conflict| Finding {
        place: places.find(&conflict.entity, ""),
        ..Finding::mistake(conflict.to_string()).with_help(help)
    });
    found.collect()
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
