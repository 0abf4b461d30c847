//! The servers end with the run that started them, however it ends.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use flexgate::devstack::{Devstack, Stopped, stop_recorded};
use tokio::signal::unix::{SignalKind, signal};

use super::fixture::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// Marks a data folder as the helper's, and as ready.
const HELPER: &str = "helper";
const READY: &str = "ready";

#[tokio::test]
async fn a_killed_run_leaves_nothing_running() {
    let folder = open_folder();
    let mut run = Run::start(folder.path());
    let pids = children(folder.path());
    assert_eq!(pids.len(), 3);

    run.kill9();
    eventually("the servers of a killed run end", || {
        pids.iter().all(|&pid| !runs(pid))
    });
}

#[tokio::test]
async fn the_next_run_can_start_in_the_instant_in_which_the_last_was_killed() {
    let folder = open_folder();
    let mut run = Run::start(folder.path());
    let pids = children(folder.path());

    run.kill9();
    let stack = Devstack::start(plan(folder.path())).await.unwrap();

    assert_eq!(stack.degraded(), &[] as &[String]);
    assert!(pids.iter().all(|&pid| !runs(pid)));
    stack.stop().await;
}

#[tokio::test]
async fn down_stops_the_recorded_run_and_its_servers() {
    let folder = open_folder();
    assert_eq!(
        stop_recorded(folder.path(), DEADLINE).await.unwrap(),
        Stopped::NothingRan
    );

    let run = Run::start(folder.path());
    let pids = children(folder.path());
    // Its parent has to notice its end, as a shell would.
    let pid = run.0.id();
    let parent = std::thread::spawn(move || run.end());
    let stopped = stop_recorded(folder.path(), DEADLINE).await.unwrap();

    assert_eq!(stopped, Stopped::Run(pid.try_into().unwrap()));
    assert!(parent.join().unwrap().success(), "it was killed instead of asked");
    assert!(pids.iter().all(|&pid| !runs(pid)));
    assert_eq!(
        stop_recorded(folder.path(), DEADLINE).await.unwrap(),
        Stopped::NothingRan
    );
}

/// Not a test but the run that the tests above kill. Its data folder is its working directory.
#[tokio::test]
#[ignore = "a helper: the tests start it in a process of its own"]
async fn run_until_terminated() {
    let folder = std::env::current_dir().unwrap();
    if !folder.join(HELPER).exists() {
        return;
    }
    let mut terminated = signal(SignalKind::terminate()).unwrap();
    let stack = Devstack::start(plan(&folder)).await.unwrap();
    fs::write(folder.join(READY), "").unwrap();
    terminated.recv().await;
    stack.stop().await;
}

/// A run in a process of its own; a failed test must not leave it behind.
struct Run(Child);

impl Run {
    fn start(data_dir: &Path) -> Self {
        fs::write(data_dir.join(HELPER), "").unwrap();
        let test_binary = std::env::current_exe().unwrap();
        let mut command = Command::new(test_binary);
        command
            .args(["--ignored", "--exact", "devstack::lifetime::run_until_terminated"])
            .current_dir(data_dir);
        let mut run = Self(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        );
        eventually("the run is ready", || {
            assert_eq!(run.0.try_wait().unwrap(), None, "the run ended");
            data_dir.join(READY).exists()
        });
        run
    }

    fn kill9(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn end(mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
