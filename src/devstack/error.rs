//! Why there is no stack, in words for the person who typed the command.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a server, or the whole stack, could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum DevstackError {
    /// A live run has the data folder.
    #[error("{} is in use by {}: stop it with `flexgate down`, or set FLEXGATE_DATA_DIR to another folder", .data_dir.display(), holder(*.pid))]
    InUse {
        /// The folder.
        data_dir: PathBuf,
        /// Who holds it; `None` in the instant before it has written that down.
        pid: Option<i32>,
    },

    /// No binary anywhere that is recent enough.
    #[error("{wanted} was not found{}. {ways}", unless_empty(.rejected))]
    Missing {
        /// The server and the oldest version that will do.
        wanted: String,
        /// What was found and was not good enough.
        rejected: Vec<String>,
        /// How to get one.
        ways: &'static str,
    },

    /// The binary somebody pointed at will not do. Falling back silently would hide the mistake.
    #[error("{variable} does not name a usable server: {reason}")]
    Unusable {
        /// The environment variable that named it.
        variable: &'static str,
        /// What is wrong with it.
        reason: String,
    },

    /// There is no user to run PostgreSQL as.
    #[error("PostgreSQL runs neither as root nor as a user without a name, and nobody else can reach {}: run FlexGate as a normal user, or set DATABASE_URL", .0.display())]
    NoAccount(PathBuf),

    /// It ended instead of answering.
    #[error("{server} ended at its start, {status}. The end of its log, {}:{tail}", .log.display())]
    Ended {
        /// Which server.
        server: &'static str,
        /// Its exit code or signal.
        status: std::process::ExitStatus,
        /// The whole log.
        log: PathBuf,
        /// The log's last lines, each on a line of its own.
        tail: String,
    },

    /// It runs and does not answer.
    #[error("{server} did not answer within {} s ({reason}). The end of its log, {}:{tail}", .within.as_secs(), .log.display())]
    Silent {
        /// Which server.
        server: &'static str,
        /// How long it had.
        within: Duration,
        /// What the last attempt to talk to it said.
        reason: String,
        /// The whole log.
        log: PathBuf,
        /// The log's last lines, each on a line of its own.
        tail: String,
    },

    /// `initdb` refused.
    #[error("PostgreSQL's data folder could not be prepared: {0}")]
    Initdb(String),

    /// The recorded run was asked to stop and goes on.
    #[error("process {pid} was asked to stop and still runs after {} s", .within.as_secs())]
    StillRunning {
        /// The run.
        pid: i32,
        /// How long it had.
        within: Duration,
    },

    /// A file or a process.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// A verb.
        doing: &'static str,
        /// The file or program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DevstackError {
    /// Without the log's last lines.
    pub(super) fn in_one_line(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }
}

/// For `map_err`: says what was done to which path.
pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DevstackError {
    move |source| DevstackError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

fn holder(pid: Option<i32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

fn unless_empty(rejected: &[String]) -> String {
    if rejected.is_empty() {
        String::new()
    } else {
        format!(" ({})", rejected.join(", "))
    }
}
