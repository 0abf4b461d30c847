//! Processes named so that they cannot be mistaken: a pid is reused, a pid with its start time is not.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// A process of any parentage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessId {
    pub(super) pid: i32,
    started: String,
}

impl ProcessId {
    /// `None` when there is no such process, or only one that has ended and waits for its parent to notice.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let started = if cfg!(target_os = "linux") {
            started_by_proc(pid)
        } else {
            started_by_ps(pid)
        }?;
        Some(Self { pid, started })
    }

    pub(super) fn ourselves() -> Option<Self> {
        Self::of(Pid::as_raw(Some(rustix::process::getpid())))
    }

    pub(super) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// To this process or to none.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid)
            && self.is_alive()
        {
            // It may have ended since the check; then there is nothing left to tell it.
            let _ended = kill_process(pid, signal);
        }
    }

    /// Whether it ended in time.
    pub(super) async fn ends_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(super::server::POLL).await;
        }
        true
    }
}

/// Fields 3 (state) and 22 (ticks from boot to start) of `/proc/PID/stat`. Counted from behind the command's name,
/// which is in parentheses and may itself hold spaces and parentheses.
fn started_by_proc(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?;
    (state != "Z" && state != "X").then(|| started.to_owned())
}

fn started_by_ps(pid: i32) -> Option<String> {
    let ps = Command::new("ps")
        .args(["-o", "stat=,lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let line = String::from_utf8(ps.stdout).ok()?;
    let (state, started) = line.trim().split_once(' ')?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_is_recognised_and_an_ended_one_is_not() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(child.id().try_into().unwrap()).unwrap();
        assert!(id.is_alive());

        child.kill().unwrap();
        while ProcessId::of(id.pid).is_some() {
            std::thread::yield_now();
        }
        assert!(!id.is_alive(), "a zombie is not alive");
        child.wait().unwrap();
        assert!(!id.is_alive());
    }

    #[test]
    fn the_same_pid_with_another_start_is_another_process() {
        let ourselves = ProcessId::ourselves().unwrap();
        assert!(
            !ProcessId {
                started: "1".to_owned(),
                ..ourselves
            }
            .is_alive()
        );
    }

    #[test]
    fn both_ways_to_ask_for_the_start_know_the_same_processes() {
        let ourselves = ProcessId::ourselves().unwrap().pid;
        assert!(started_by_ps(ourselves).is_some());
        assert!(started_by_ps(i32::MAX).is_none());
        assert!(started_by_proc(i32::MAX).is_none());
    }
}
