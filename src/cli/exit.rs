//! How a command ends.

use std::process::ExitCode;

use super::output::counted;
use crate::{
    config::{ConfigError, Finding},
    problem::FieldError,
};

/// What the exit code says. Scripts depend on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// It failed, and no other code says why.
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// A configuration, or a part of one, is invalid.
    Invalid = 3,
    /// Something that is needed cannot be reached.
    Unreachable = 4,
    /// It contradicts what is there.
    Conflict = 5,
    /// What it is about does not exist.
    NotFound = 6,
    /// Differences were found.
    Differences = 7,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it should, and what to do next.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub next: Option<String>,
    /// What is wrong in a file, item by item.
    pub findings: Vec<Finding>,
    /// What is wrong in what was sent, field by field.
    pub fields: Vec<FieldError>,
}

impl Failure {
    /// A failure in words.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            next: None,
            findings: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// With what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl From<ConfigError> for Failure {
    fn from(ConfigError(findings): ConfigError) -> Self {
        let message = format!(
            "the configuration is not valid: {}",
            counted(findings.len(), "mistake")
        );
        Self {
            findings,
            ..Self::new(Exit::Invalid, message)
        }
    }
}
