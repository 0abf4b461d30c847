//! Why a projection does not go on.

use sqlx::migrate::MigrateError;

/// Why a projection does not go on. Whatever it is, nothing was applied by half and nothing was skipped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, or cannot take anything at the moment.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables cannot be brought to what this build writes.
    #[error("the tables cannot be migrated: {0}")]
    Migration(MigrateError),
    /// The rows were made by a later version of the projection.
    #[error("projection {projection} was kept by a newer FlexGate: upgrade this one")]
    Newer {
        /// Which.
        projection: &'static str,
    },
    /// The rows were made by an earlier version of the projection, and would not go with those of this one.
    #[error(
        "the tables of {projection} were made by an older FlexGate: `flexgate replay {projection}` makes them anew"
    )]
    Older {
        /// Which projection.
        projection: &'static str,
    },
    /// Tables that were begun while others were made anew are not as far as those.
    #[error(
        "the tables of {projection} were begun meanwhile and do not catch up with what was read: ask once more"
    )]
    Behind {
        /// Which projection.
        projection: &'static str,
    },
    /// While tables were made anew, another history took the place of the one that they are made from.
    #[error("what {projection} is made from was replaced meanwhile: nothing has changed; ask once more")]
    Replaced {
        /// Which projection.
        projection: &'static str,
    },
    /// What is to be read cannot be read.
    #[error("the stream: {0}")]
    Stream(String),
    /// Another projector has taken over.
    #[error("another projector has taken over")]
    Fenced,
    /// The log is not the one that was projected, or a commit in between could not be read.
    #[error(
        "revision {found} of the log does not continue revision {sequence} of generation {generation}, up to which \
         the tables were filled: the log was rewound or mixed up, or holds a commit that this build cannot read"
    )]
    Discontinued {
        /// The commit that does not fit.
        found: u64,
        /// The last one that did.
        sequence: u64,
        /// Its history.
        generation: u64,
    },
    /// A message of the stream is not what it should be.
    #[error("message {sequence} of the stream is none that can be read: {reason}")]
    Unreadable {
        /// Where it lies.
        sequence: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An event is such that the tables refuse it.
    #[error("revision {revision} cannot be applied: {error}")]
    Inapplicable {
        /// The commit with the event.
        revision: u64,
        /// What the database said.
        error: sqlx::Error,
    },
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => Self::Database(error),
            other => Self::Migration(other),
        }
    }
}

impl Error {
    /// Whether somebody has to do something, since time alone will not help.
    pub fn stops(&self) -> bool {
        match self {
            Self::Database(_)
            | Self::Fenced
            | Self::Behind { .. }
            | Self::Replaced { .. }
            | Self::Stream(_) => false,
            Self::Migration(_)
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Discontinued { .. }
            | Self::Unreadable { .. }
            | Self::Inapplicable { .. } => true,
        }
    }

    /// Whether it is an event that stops the projection. It goes on when that one has been applied.
    pub fn is_of_an_event(&self) -> bool {
        matches!(
            self,
            Self::Discontinued { .. } | Self::Unreadable { .. } | Self::Inapplicable { .. }
        )
    }

    /// What it is, for whoever is told: without the words of the database, which may repeat what it was given.
    pub fn without_values(&self) -> String {
        match self {
            Self::Inapplicable {
                revision,
                error: sqlx::Error::Database(said),
            } => {
                let code = said.code().unwrap_or_default();
                let of =
                    |name: &str, is: Option<&str>| is.map(|is| format!(", {name} {is}")).unwrap_or_default();
                format!(
                    "revision {revision} cannot be applied: the tables refuse it (SQLSTATE {code}{}{})",
                    of("table", said.table()),
                    of("constraint", said.constraint())
                )
            }
            Self::Inapplicable { revision, .. } => {
                format!("revision {revision} cannot be applied: it has what the tables cannot hold")
            }
            Self::Database(_) => "the database does not take part".to_owned(),
            Self::Migration(_) => {
                "the tables cannot be migrated: `flexgate migrate` says what is in the way".to_owned()
            }
            Self::Newer { .. }
            | Self::Older { .. }
            | Self::Fenced
            | Self::Discontinued { .. }
            | Self::Unreadable { .. }
            | Self::Behind { .. }
            | Self::Replaced { .. }
            | Self::Stream(_) => self.to_string(),
        }
    }

    /// Whether the database takes nothing because it has no room: its disk is full.
    pub fn is_out_of_room(&self) -> bool {
        self.has_code(DISK_FULL)
    }

    /// Whether the database has ended a statement that took too long.
    pub fn took_too_long(&self) -> bool {
        self.has_code(QUERY_CANCELED)
    }

    fn has_code(&self, code: &str) -> bool {
        let Self::Database(sqlx::Error::Database(said)) = self else {
            return false;
        };
        said.code().as_deref() == Some(code)
    }

    /// What a statement of this commit's events came to.
    pub(crate) fn of_event(revision: u64, error: sqlx::Error) -> Self {
        let refused = match &error {
            sqlx::Error::Encode(_) => true,
            sqlx::Error::Database(said) => said.code().is_some_and(|code| is_about_the_data(&code)),
            _ => false,
        };
        if refused {
            Self::Inapplicable { revision, error }
        } else {
            Self::Database(error)
        }
    }
}

/// PostgreSQL's `disk_full`.
const DISK_FULL: &str = "53100";
/// PostgreSQL's `query_canceled`.
const QUERY_CANCELED: &str = "57014";

/// SQLSTATE classes 22 (data exception), 23 (integrity constraint violation) and 42 (the tables are not as expected).
fn is_about_the_data(code: &str) -> bool {
    ["22", "23", "42"].iter().any(|class| code.starts_with(class))
}
