//! How each start of a server goes: what runs, what it says, and when it counts as running.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Child;

use rustix::process::Pid;

use super::error::{self, DevstackError};
use super::{hold, nats, postgres, spawn, valkey};

/// How much of a log is shown when a start fails.
const TAIL_LINES: usize = 15;

/// All that is needed to start a server, again and again.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) protocol: Protocol,
    pub(super) data_dir: PathBuf,
    pub(super) port: u16,
    pub(super) url: String,
    /// What changes the user; empty unless PostgreSQL needs it.
    pub(super) account: &'static [&'static str],
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// A test's data outside of its data folder, which nobody else would clear away.
    pub(super) scratch: Option<PathBuf>,
}

/// What a server speaks, and thereby which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Nats,
    Postgres,
    Redis,
}

impl Protocol {
    /// Of the server that speaks it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Postgres => "postgres",
            Self::Redis => "valkey",
        }
    }
}

/// Boxed: the clients' futures are tens of kilobytes, and every future that waits for one would be as large.
type Greeting<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

impl Launch {
    /// In the log's and the record's name, and in messages.
    pub(super) fn name(&self) -> &'static str {
        self.protocol.name()
    }

    /// Forks it, and writes down that it runs.
    pub(super) async fn start(&self) -> Result<Child, DevstackError> {
        let log = self.log();
        let out = fresh(&log).map_err(error::io("write", &log))?;
        let err = out.try_clone().map_err(error::io("write", &log))?;
        let mut command = spawn::command(self.account, &self.program);
        command.args(&self.arguments).stdout(out).stderr(err);

        let mut child = spawn::spawn(command)
            .await
            .map_err(error::io("start", &self.program))?;
        let recorded = hold::record(&self.data_dir, self.name(), Pid::from_child(&child).as_raw_pid());
        if recorded.is_err() {
            let _killed = child.kill().and_then(|()| child.wait());
        }
        recorded.map(|()| child)
    }

    /// One conversation, with the password: whoever else listens there does not pass for ours.
    pub(super) fn greet(&self) -> Greeting<'_> {
        match self.protocol {
            Protocol::Nats => Box::pin(nats::greet(&self.url)),
            Protocol::Postgres => Box::pin(postgres::greet(&self.url)),
            Protocol::Redis => Box::pin(valkey::greet(&self.url)),
        }
    }

    pub(super) fn log(&self) -> PathBuf {
        self.data_dir.join("log").join(format!("{}.log", self.name()))
    }
}

/// An empty log; the one of the start before is kept beside it, and no more than that.
fn fresh(log: &Path) -> io::Result<File> {
    fs::create_dir_all(log.parent().unwrap_or(log))?;
    let _first_start = fs::rename(log, log.with_extension("log.old"));
    File::create(log)
}

/// A log's last lines, each indented and on a line of its own.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<_> = text.lines().map(|line| format!("\n  {line}")).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].concat()
}
