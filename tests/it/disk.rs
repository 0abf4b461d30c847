//! A disk of a few megabytes, to be filled: a tmpfs in a mount namespace of the test's own, so that nobody else sees it and
//! nothing is left of it. Works as root and as a user; where the kernel forbids both, the test says so and is skipped.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{self, Output},
};

use tokio::{process::Command, time::timeout};

use crate::fixtures::{self, PATIENCE};

/// The file that says that the disk is there, and not only the folder it belongs into.
const MARKER: &str = "mounted";
/// `$1` is the folder, `$2` how many MiB it gets, the rest is run there.
const MOUNT: &str = r#"mkdir -p "$1" && mount -t tmpfs -o "size=$2m,mode=755" none "$1" && touch "$1/mounted" && shift 2 && exec "$@""#;

/// A small disk.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// The disk of this test, which is given by its whole name. `None`: the test was run where the disk is, and passed;
    /// there is nothing left to be done.
    pub async fn of(test: &str, mebibytes: u32) -> Option<Self> {
        // Below a folder that everybody may enter: PostgreSQL runs as nobody where we are root.
        let folder = std::env::temp_dir().join("flexgate-small-disk");
        if folder.join(MARKER).exists() {
            return Some(Self(folder));
        }
        if let Err(reason) = is_permitted(&folder).await {
            fixtures::skipped(&format!("{test}: no small disk: {reason}"));
            return None;
        }
        let program = std::env::current_exe().unwrap();
        let again = [program.to_str().unwrap(), "--exact", test, "--nocapture"];
        let output = run_beside(&folder, mebibytes, &again).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        None
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Takes all of its room.
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        let full = loop {
            if let Err(error) = ballast.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    }

    /// Gives its room back.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

/// Whether there can be such a disk. Only the kernel's no is a reason; whatever else is wrong is to be mended.
async fn is_permitted(folder: &Path) -> Result<(), String> {
    let output = run_beside(folder, 1, &["true"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    let refused = [
        "Operation not permitted",
        "Permission denied",
        "permission denied",
    ];
    if output.status.success() {
        Ok(())
    } else if refused.iter().any(|words| said.contains(words)) {
        Err(format!("the kernel permits no mount in a namespace: {said}"))
    } else {
        panic!("no mount in a namespace: {said}")
    }
}

/// Runs something where the disk is, as who we are.
async fn run_beside(folder: &Path, mebibytes: u32, what: &[&str]) -> Output {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let mut command = Command::new("unshare");
    if !user.is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "sh", "-c", MOUNT, "sh"]);
    command.arg(folder).arg(mebibytes.to_string());
    if !user.is_root() {
        let (user, group) = (format!("--map-user={user}"), format!("--map-group={group}"));
        command.args(["unshare", "--user", &user, &group]);
    }
    command
        .args(what)
        .stdin(process::Stdio::null())
        .kill_on_drop(true);
    let output = timeout(2 * PATIENCE, command.output()).await;
    output.expect("it to end").unwrap()
}
