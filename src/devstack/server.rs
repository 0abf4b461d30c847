//! One server as a child of ours. The tests use it directly, for servers that they kill and freeze.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

use super::error::{self, DevstackError};
use super::process::ProcessId;
use super::{Durability, hold, nats, ports, postgres, spawn, valkey};

/// How often we look whether something has happened that nobody tells us about.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// Long enough to read back gigabytes after a crash. A server that ends is noticed at once.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// One attempt to talk to a server that may be frozen, or may be somebody else's.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What an orderly stop may take, and after it the kernel's own clearing up.
const STOP_WITHIN: Duration = Duration::from_secs(10);
const DEATH_WITHIN: Duration = Duration::from_secs(5);

const TAIL_LINES: usize = 15;

/// What to start.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Holds this server's data, its log and the record that it runs.
    pub data_dir: PathBuf,
    /// See [`super::Binaries`].
    pub binary: PathBuf,
    /// `None`: any that is free.
    pub port: Option<u16>,
    /// How much a power cut may cost.
    pub durability: Durability,
}

impl ServerOptions {
    pub(super) fn port(&self) -> Result<u16, DevstackError> {
        self.port
            .map_or_else(ports::any, Ok)
            .map_err(error::io("choose a port for", &self.binary))
    }
}

/// A server that has answered. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    child: Child,
}

/// All that is needed to start it, again and again.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) protocol: Protocol,
    pub(super) data_dir: PathBuf,
    pub(super) port: u16,
    pub(super) url: String,
    /// What changes the user; empty unless PostgreSQL is started by root.
    pub(super) account: &'static [&'static str],
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

/// What a server speaks, and thereby which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Nats,
    Postgres,
    Redis,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Postgres => "postgres",
            Self::Redis => "valkey",
        }
    }

    /// One conversation, with the password: whoever else listens there does not pass for ours.
    fn greet(self, url: &str) -> Greeting<'_> {
        match self {
            Self::Nats => Box::pin(nats::greet(url)),
            Self::Postgres => Box::pin(postgres::greet(url)),
            Self::Redis => Box::pin(valkey::greet(url)),
        }
    }
}

/// Boxed: the clients' futures are tens of kilobytes, and every future that waits for one would be as large.
type Greeting<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

impl Server {
    /// NATS with JetStream.
    pub async fn nats(options: ServerOptions) -> Result<Self, DevstackError> {
        Self::launch(nats::launch(&options)?).await
    }

    /// PostgreSQL with an empty database, `flexgate`, at the first start.
    pub async fn postgres(options: ServerOptions) -> Result<Self, DevstackError> {
        Self::launch(postgres::launch(&options).await?).await
    }

    /// Valkey or Redis, in memory only.
    pub async fn valkey(options: ServerOptions) -> Result<Self, DevstackError> {
        Self::launch(valkey::launch(&options)?).await
    }

    /// With user and password.
    pub fn url(&self) -> &str {
        &self.launch.url
    }

    /// On 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.launch.port
    }

    /// The same until it is restarted.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: what a crash looks like.
    pub fn kill9(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }

    /// SIGSTOP: connections stay open and nobody answers.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: takes [`Server::freeze`] back.
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Starts it again, with the same data on the same port; kills it first if it still runs.
    pub async fn restart(&mut self) -> Result<(), DevstackError> {
        self.kill9();
        let deadline = Instant::now() + DEATH_WITHIN;
        loop {
            self.child = start(&self.launch).await?;
            match self.greeted().await {
                // The sessions of a killed PostgreSQL outlive it by a moment, and hold its memory.
                Err(DevstackError::Ended { .. }) if Instant::now() < deadline => sleep(POLL).await,
                outcome => return outcome,
            }
        }
    }

    /// Lets it finish, but not for ever.
    pub async fn stop(mut self) {
        self.signal(Signal::INT);
        self.signal(Signal::CONT);
        let deadline = Instant::now() + STOP_WITHIN;
        while self.ended().is_none() && Instant::now() < deadline {
            sleep(POLL).await;
        }
    }

    async fn launch(launch: Launch) -> Result<Self, DevstackError> {
        let mut server = Self {
            child: start(&launch).await?,
            launch,
        };
        server.greeted().await?;
        Ok(server)
    }

    async fn greeted(&mut self) -> Result<(), DevstackError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let attempt = timeout(ANSWER_WITHIN, self.launch.protocol.greet(&self.launch.url)).await;
            let reason = match attempt {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(refusal)) => refusal,
                Err(_elapsed) => "no answer".to_owned(),
            };
            let server = self.launch.protocol.name();
            let log = log_path(&self.launch);
            if let Some(status) = self.ended() {
                return Err(DevstackError::Ended {
                    server,
                    status,
                    tail: tail(&log),
                    log,
                });
            }
            if Instant::now() >= deadline {
                let tail = tail(&log);
                return Err(DevstackError::Silent {
                    server,
                    within: READY_WITHIN,
                    reason,
                    log,
                    tail,
                });
            }
            sleep(POLL).await;
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn signal(&mut self, signal: Signal) {
        // Once it has been waited for, its pid may be another's.
        if self.ended().is_none() {
            let _sent = kill_process(Pid::from_child(&self.child), signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
        hold::forget(&self.launch.data_dir, self.launch.protocol.name());
    }
}

/// Stops a process that an earlier run of ours has started.
pub(super) async fn stop_process(process: &ProcessId) {
    // SIGINT is an orderly stop for all three, and makes PostgreSQL end its sessions, where SIGTERM would wait for
    // them. A frozen process takes it once it goes on.
    process.signal(Signal::INT);
    process.signal(Signal::CONT);
    if !process.ends_within(STOP_WITHIN).await {
        process.signal(Signal::KILL);
        process.ends_within(DEATH_WITHIN).await;
    }
}

async fn start(launch: &Launch) -> Result<Child, DevstackError> {
    let log = log_path(launch);
    let out = fresh_log(&log).map_err(error::io("write", &log))?;
    let err = out.try_clone().map_err(error::io("write", &log))?;
    let mut command = spawn::command(launch.account, &launch.program);
    command.args(&launch.arguments).stdout(out).stderr(err);

    let mut child = spawn::spawn(command)
        .await
        .map_err(error::io("start", &launch.program))?;
    let recorded = hold::record(
        &launch.data_dir,
        launch.protocol.name(),
        Pid::from_child(&child).as_raw_pid(),
    );
    if recorded.is_err() {
        let _killed = child.kill().and_then(|()| child.wait());
    }
    recorded.map(|()| child)
}

fn log_path(launch: &Launch) -> PathBuf {
    launch
        .data_dir
        .join("log")
        .join(format!("{}.log", launch.protocol.name()))
}

/// An empty log; the one of the run before is kept beside it, and no more than that.
fn fresh_log(path: &Path) -> std::io::Result<File> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let _first_run = fs::rename(path, path.with_extension("log.old"));
    File::create(path)
}

/// The last lines, each indented and on a line of its own.
fn tail(log: &Path) -> String {
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<_> = text.lines().map(|line| format!("\n  {line}")).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].concat()
}
