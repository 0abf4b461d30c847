//! Who runs on a data folder: a lock that the kernel takes back when its holder dies, and a record of each child.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::error::{self, DevstackError};
use super::process::ProcessId;
use super::server;

/// While it exists, nobody else starts or stops anything on the data folder.
#[derive(Debug)]
pub(super) struct Hold {
    data_dir: PathBuf,
    lock: File,
}

impl Hold {
    /// Creates the data folder if need be.
    pub(super) fn take(data_dir: &Path) -> Result<Self, DevstackError> {
        let run = data_dir.join("run");
        fs::create_dir_all(&run).map_err(error::io("create", &run))?;
        let path = lock_path(data_dir);
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(error::io("open", &path))?;

        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = holder(data_dir).map(|holder| holder.pid);
                return Err(DevstackError::InUse {
                    data_dir: data_dir.to_owned(),
                    pid,
                });
            }
            Err(TryLockError::Error(source)) => return Err(error::io("lock", &path)(source)),
        }
        let ourselves = serde_json::to_vec(&ProcessId::ourselves()).unwrap_or_default();
        lock.set_len(0)
            .and_then(|()| lock.write_all(&ourselves))
            .map_err(error::io("write", &path))?;
        Ok(Self {
            data_dir: data_dir.to_owned(),
            lock,
        })
    }

    /// Stops the children of an earlier run that could not do so itself. The lock is ours, so that run has ended.
    pub(super) async fn stop_leftovers(&self) {
        let Ok(records) = fs::read_dir(self.data_dir.join("run")) else {
            return;
        };
        for record in records
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_record(path))
        {
            if let Some(leftover) = read(&record) {
                server::stop_process(&leftover).await;
            }
            let _gone = fs::remove_file(record);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Before the lock goes: afterwards the file may be the next holder's. A stale name would do no harm either.
        let _stale = self.lock.set_len(0);
    }
}

/// What `flexgate down` found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// No run holds the data folder.
    NothingRan,
    /// This process has ended, and so have its servers.
    Run(i32),
}

/// Asks the run that holds `data_dir` to stop and waits until it has let go of it. Never signals a process that only
/// happens to have the recorded pid.
pub async fn stop_recorded(data_dir: &Path, within: Duration) -> Result<Stopped, DevstackError> {
    if !lock_path(data_dir).exists() {
        return Ok(Stopped::NothingRan);
    }
    let hold = match Hold::take(data_dir) {
        Ok(hold) => hold,
        Err(DevstackError::InUse { .. }) => return stop_holder(data_dir, within).await,
        Err(error) => return Err(error),
    };
    hold.stop_leftovers().await;
    Ok(Stopped::NothingRan)
}

async fn stop_holder(data_dir: &Path, within: Duration) -> Result<Stopped, DevstackError> {
    let Some(holder) = holder(data_dir) else {
        return Err(DevstackError::InUse {
            data_dir: data_dir.to_owned(),
            pid: None,
        });
    };
    holder.signal(Signal::TERM);
    if holder.ends_within(within).await {
        Ok(Stopped::Run(holder.pid))
    } else {
        Err(DevstackError::StillRunning {
            pid: holder.pid,
            within,
        })
    }
}

/// Writes down a child, for the case that we cannot stop it ourselves.
pub(super) fn record(data_dir: &Path, name: &str, pid: i32) -> Result<(), DevstackError> {
    let path = record_path(data_dir, name);
    let json = serde_json::to_vec(&ProcessId::of(pid)).unwrap_or_default();
    fs::create_dir_all(data_dir.join("run"))
        .and_then(|()| fs::write(&path, json))
        .map_err(error::io("write", &path))
}

/// Whether the child of this name runs.
pub(super) fn runs(data_dir: &Path, name: &str) -> bool {
    read(&record_path(data_dir, name)).is_some_and(|child| child.is_alive())
}

/// The child has ended.
pub(super) fn forget(data_dir: &Path, name: &str) {
    let _gone = fs::remove_file(record_path(data_dir, name));
}

fn holder(data_dir: &Path) -> Option<ProcessId> {
    read(&lock_path(data_dir))
}

fn read(path: &Path) -> Option<ProcessId> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()?
}

fn lock_path(data_dir: &Path) -> PathBuf {
    data_dir.join("run").join("lock")
}

fn record_path(data_dir: &Path, name: &str) -> PathBuf {
    data_dir.join("run").join(format!("{name}.json"))
}

fn is_record(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A process that is nobody's child to wait for, as far as `Hold` can see.
    fn sleeper() -> (Child, i32) {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().try_into().unwrap();
        (child, pid)
    }

    #[tokio::test]
    async fn what_an_earlier_run_left_behind_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let (mut leftover, pid) = sleeper();
        record(folder.path(), "nats", pid).unwrap();

        Hold::take(folder.path()).unwrap().stop_leftovers().await;

        assert!(leftover.try_wait().unwrap().is_some());
        assert_eq!(read(&record_path(folder.path(), "nats")), None);
    }

    #[tokio::test]
    async fn a_process_that_only_has_the_pid_of_a_leftover_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (mut stranger, pid) = sleeper();
        record(folder.path(), "nats", pid).unwrap();
        let path = record_path(folder.path(), "nats");
        let mut earlier: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        earlier["started"] = "1".into();
        fs::write(&path, earlier.to_string()).unwrap();

        Hold::take(folder.path()).unwrap().stop_leftovers().await;

        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn a_hold_ends_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let hold = Hold::take(folder.path()).unwrap();
        assert!(matches!(
            Hold::take(folder.path()),
            Err(DevstackError::InUse { pid: Some(_), .. })
        ));
        drop(hold);
        // A child that another test forks at this moment has the lock too, until it becomes another program.
        let again = (0..10_000).find_map(|_| {
            std::thread::yield_now();
            Hold::take(folder.path()).ok()
        });
        assert!(again.is_some());
    }
}
