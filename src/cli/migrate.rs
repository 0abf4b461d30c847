//! `flexgate migrate`, and what it means for a command when the database does not do what it should.

use flexgate_projections::Error;
use sqlx::error::DatabaseError;

use super::{
    exit::{Exit, Failure},
    invocation::{Invocation, block_on},
};
use crate::{app, config::Purpose};

/// SQLSTATE: a table is missing.
const UNDEFINED_TABLE: &str = "42P01";

pub(super) fn migrate(run: &Invocation) -> Result<Exit, Failure> {
    let url = app::database_at_hand(&run.config(Purpose::Client)?)?;
    let ran = block_on(flexgate_projections::migrate(&url))??;
    let names: Vec<String> = ran.iter().map(ToString::to_string).collect();
    if run.output.is_data() {
        return run.output.data(&serde_json::json!({ "ran": names }));
    }
    if names.is_empty() {
        return run.output.line("nothing is missing");
    }
    let lines: Vec<String> = names.iter().map(|name| format!("ran {name}")).collect();
    run.output.line(&lines.join("\n"))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let says = error.to_string();
        match error {
            Error::Database(error) => Self::of_database(&error, says),
            Error::Migration(_) => Self::new(Exit::Conflict, says).next(
                "these tables are of another version, or somebody changed them: use the version that made them",
            ),
            _ => Self::new(Exit::Failed, says),
        }
    }
}

impl Failure {
    /// A database that lets nobody in cannot be reached; one that refuses a statement can.
    fn of_database(error: &sqlx::Error, says: String) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code);
        match code.as_deref() {
            Some(UNDEFINED_TABLE) => {
                Self::new(Exit::Failed, says).next("`flexgate migrate` makes the tables")
            }
            Some(code) if !lets_nobody_in(code) => Self::new(Exit::Failed, says),
            _ => Self::new(Exit::Unreachable, says)
                .next("start it, or correct DATABASE_URL, DATABASE_USER, DATABASE_PASSWORD"),
        }
    }
}

/// SQLSTATE classes 28 (invalid authorization), 3D (no such database), 53 (insufficient resources) and 57 (operator
/// intervention, such as a start that is not over), but for 57014, a statement that was cancelled.
fn lets_nobody_in(code: &str) -> bool {
    code != "57014"
        && ["28", "3D", "53", "57"]
            .iter()
            .any(|class| code.starts_with(class))
}
