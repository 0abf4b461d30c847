//! Finds the servers' binaries, and only ones that are recent enough.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::error::DevstackError;

/// Where to look, in this order: what was named, what `make servers` fetched, PATH, and for PostgreSQL the folders in
/// which Debian hides it.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The folder that `make servers` fills.
    pub fetched: PathBuf,
    /// `FLEXGATE_NATS_BIN`: the binary or its folder, as for the other two.
    pub nats: Option<PathBuf>,
    /// `FLEXGATE_POSTGRES_BIN`.
    pub postgres: Option<PathBuf>,
    /// `FLEXGATE_VALKEY_BIN`.
    pub valkey: Option<PathBuf>,
}

/// What is looked for.
struct Wanted {
    title: &'static str,
    variable: &'static str,
    names: &'static [&'static str],
    floor: Version,
    ways: &'static str,
}

/// Major and minor.
type Version = (u32, u32);

const NATS: Wanted = Wanted {
    title: "nats-server",
    variable: "FLEXGATE_NATS_BIN",
    names: &["nats-server"],
    // Older ones ignore settings that FlexGate relies on, some without saying so.
    floor: (2, 12),
    ways: "Any of these helps:
  make servers                            fetches the pinned one
  FLEXGATE_NATS_BIN=/path/to/nats-server  uses one that you have
  NATS_URL=nats://127.0.0.1:4222          uses one that runs, such as the official image:
                                          docker run --publish 127.0.0.1:4222:4222 nats:2.15 --jetstream",
};

const POSTGRES: Wanted = Wanted {
    title: "PostgreSQL",
    variable: "FLEXGATE_POSTGRES_BIN",
    names: &["postgres"],
    floor: (15, 0),
    ways: "`make servers` fetches it; or install postgresql, or set FLEXGATE_POSTGRES_BIN or DATABASE_URL",
};

const VALKEY: Wanted = Wanted {
    title: "Valkey or Redis",
    variable: "FLEXGATE_VALKEY_BIN",
    names: &["valkey-server", "redis-server"],
    floor: (7, 0),
    ways: "`make servers` fetches it; or install valkey-server or redis-server, or set FLEXGATE_VALKEY_BIN or REDIS_URL",
};

impl Binaries {
    /// Nothing named: what was fetched into this folder, then what is installed.
    pub fn fetched_into(folder: impl Into<PathBuf>) -> Self {
        Self {
            fetched: folder.into(),
            nats: None,
            postgres: None,
            valkey: None,
        }
    }

    /// `nats-server`.
    pub async fn nats(&self) -> Result<PathBuf, DevstackError> {
        self.find(&NATS, self.nats.as_deref()).await
    }

    /// `postgres`, with `initdb` beside it.
    pub async fn postgres(&self) -> Result<PathBuf, DevstackError> {
        self.find(&POSTGRES, self.postgres.as_deref()).await
    }

    /// `valkey-server` or `redis-server`.
    pub async fn valkey(&self) -> Result<PathBuf, DevstackError> {
        self.find(&VALKEY, self.valkey.as_deref()).await
    }

    async fn find(&self, wanted: &Wanted, named: Option<&Path>) -> Result<PathBuf, DevstackError> {
        if let Some(named) = named {
            let binary = wanted
                .below(named)
                .into_iter()
                .find(|path| path.is_file())
                .unwrap_or(named.to_owned());
            return wanted
                .check(&binary)
                .await
                .map_err(|reason| DevstackError::Unusable {
                    variable: wanted.variable,
                    reason,
                });
        }

        let mut candidates = wanted.below(&self.fetched);
        candidates.extend(wanted.on_path().await);
        candidates.extend(
            debian_postgres_folders()
                .iter()
                .flat_map(|folder| wanted.below(folder)),
        );
        let mut rejected = Vec::new();
        for candidate in candidates.iter().filter(|path| path.is_file()) {
            match wanted.check(candidate).await {
                Ok(binary) => return Ok(binary),
                Err(reason) => rejected.push(reason),
            }
        }
        let (major, minor) = wanted.floor;
        let title = format!("{} {major}.{minor} or newer", wanted.title);
        Err(DevstackError::Missing {
            wanted: title,
            rejected,
            ways: wanted.ways,
        })
    }
}

impl Wanted {
    fn below(&self, folder: &Path) -> Vec<PathBuf> {
        self.names.iter().map(|name| folder.join(name)).collect()
    }

    /// Asks the shell, which reads PATH for us.
    async fn on_path(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for name in self.names {
            found.extend(
                output("sh", &["-c", "command -v \"$1\"", "sh", name])
                    .await
                    .map(|path| path.trim().into()),
            );
        }
        found
    }

    /// The binary itself, behind any link: PostgreSQL's tools stand beside it. Or why it will not do.
    async fn check(&self, path: &Path) -> Result<PathBuf, String> {
        let shown = path.display();
        let binary = fs::canonicalize(path).map_err(|error| format!("{shown}: {error}"))?;
        let printed = version(&binary)
            .await
            .ok_or_else(|| format!("{shown} does not run"))?;
        if printed < self.floor {
            return Err(format!("{shown} is {}.{}", printed.0, printed.1));
        }
        if self.title == POSTGRES.title && !binary.with_file_name("initdb").is_file() {
            return Err(format!("{shown} has no initdb beside it"));
        }
        Ok(binary)
    }
}

/// What `--version` prints.
pub(super) async fn version(binary: &Path) -> Option<Version> {
    parse(&output(binary, &["--version"]).await?)
}

/// The first number of a line such as `nats-server: v2.15.1`, `postgres (PostgreSQL) 18.6` or `Valkey server v=9.1.2`.
fn parse(line: &str) -> Option<Version> {
    let number = line
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .find(|word| !word.is_empty())?;
    let mut parts = number.split('.');
    let major = parts.next()?.parse().ok()?;
    // PostgreSQL's development versions are `19devel`.
    let minor = parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0);
    Some((major, minor))
}

async fn output(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    let output = timeout(Duration::from_secs(5), command.output())
        .await
        .ok()?
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Newest first.
fn debian_postgres_folders() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<_> = versions.map(|entry| entry.path().join("bin")).collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(parse(&folder.to_string_lossy())));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_each_server_prints_them() {
        for (line, expected) in [
            ("nats-server: v2.15.1\n", Some((2, 15))),
            (
                "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)",
                Some((15, 13)),
            ),
            ("postgres (PostgreSQL) 19devel", Some((19, 0))),
            (
                "Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64",
                Some((9, 1)),
            ),
            ("Redis server v=7.0.15 sha=00000000:0", Some((7, 0))),
            ("no number", None),
            ("", None),
        ] {
            assert_eq!(parse(line), expected, "{line}");
        }
    }

    #[tokio::test]
    async fn a_missing_server_says_how_to_get_it() {
        let wanted = Wanted {
            names: &["no-such-server"],
            ..NATS
        };
        let error = Binaries::fetched_into("/no/such/folder")
            .find(&wanted, None)
            .await
            .unwrap_err()
            .to_string();
        for way in [
            "nats-server 2.12 or newer",
            "make servers",
            "FLEXGATE_NATS_BIN",
            "NATS_URL",
            "nats:2.15",
        ] {
            assert!(error.contains(way), "{way} is not in: {error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_too_old_is_passed_over_and_named() {
        // A program that is surely there and prints its version.
        let cargo = Path::new(env!("CARGO"));
        let wanted = Wanted {
            names: &["cargo"],
            floor: (9999, 0),
            ..NATS
        };

        let binaries = Binaries::fetched_into(cargo.parent().unwrap());
        let passed_over = binaries.find(&wanted, None).await.unwrap_err().to_string();
        assert!(passed_over.contains("cargo is 1."), "{passed_over}");
        let refused = binaries.find(&wanted, Some(cargo)).await.unwrap_err();
        assert!(
            matches!(
                refused,
                DevstackError::Unusable {
                    variable: "FLEXGATE_NATS_BIN",
                    ..
                }
            ),
            "{refused}"
        );
    }
}
