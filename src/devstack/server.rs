//! One server as a child of ours. The tests use it directly, for servers that they kill and freeze.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::time::{Instant, sleep, timeout};

use super::error::{self, DevstackError};
use super::launch::{self, Launch};
use super::process::ProcessId;
use super::{Durability, hold, nats, ports, postgres, valkey};

/// How often we look whether something has happened that nobody tells us about.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// Long enough to read back gigabytes after a crash. A server that ends is noticed at once.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// One attempt to talk to a server that may be frozen, or may be somebody else's.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What an orderly stop may take, and after it the kernel's own clearing up.
const STOP_WITHIN: Duration = Duration::from_secs(10);
const DEATH_WITHIN: Duration = Duration::from_secs(5);

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
            .map_or_else(ports::free_port, Ok)
            .map_err(error::io("choose a port for", &self.binary))
    }
}

/// A server that has answered. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    child: Child,
}

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

    /// SIGSTOP: connections stay open and nobody answers. Returns when the last thread stands still.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
        let pid = WaitId::Pid(Pid::from_child(&self.child));
        let look = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while self.ended().is_none() && !matches!(waitid(pid.clone(), look), Ok(Some(_))) {
            // Microseconds as a rule.
            std::thread::yield_now();
        }
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
            self.child = self.launch.start().await?;
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
            child: launch.start().await?,
            launch,
        };
        server.greeted().await?;
        Ok(server)
    }

    async fn greeted(&mut self) -> Result<(), DevstackError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let attempt = timeout(ANSWER_WITHIN, self.launch.greet()).await;
            let reason = match attempt {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(refusal)) => refusal,
                Err(_elapsed) => "no answer".to_owned(),
            };
            let server = self.launch.name();
            let log = self.launch.log();
            if let Some(status) = self.ended() {
                return Err(DevstackError::Ended {
                    server,
                    status,
                    tail: launch::tail(&log),
                    log,
                });
            }
            if Instant::now() >= deadline {
                let tail = launch::tail(&log);
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
        hold::forget(&self.launch.data_dir, self.launch.name());
        if let Some(scratch) = &self.launch.scratch {
            let _gone = fs::remove_dir_all(scratch);
        }
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
