//! Becoming psql. The password goes through the environment: other users of the machine see a command line.

use std::{
    fs, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use percent_encoding::percent_decode_str;

use crate::cli::exit::{Exit, Failure};

/// Where Debian's packages put it, one folder for each major version, whether or not one is on the path.
const DEBIAN: &str = "/usr/lib/postgresql";

/// This process becomes psql, so that signals and the exit code are psql's own. Returns only if it cannot.
pub(super) fn become_it(url: &str, words: &[String]) -> Failure {
    let (url, password) = without_password(url);
    for program in candidates() {
        let mut psql = Command::new(&program);
        psql.arg("--dbname").arg(&url).args(words);
        psql.env("PGOPTIONS", "-c search_path=flexgate,public");
        if let Some(password) = &password {
            psql.env("PGPASSWORD", password);
        }
        let error = psql.exec();
        if error.kind() != io::ErrorKind::NotFound {
            let says = format!("{} cannot be started: {error}", program.display());
            return Failure::new(Exit::Failed, says);
        }
    }
    Failure::new(Exit::Unreachable, "there is no psql on this machine").next(
        "install it (Debian: postgresql-client; macOS: libpq), or run one query without it: flexgate sql -c QUERY",
    )
}

/// The one on the path, then the newest of the others.
fn candidates() -> Vec<PathBuf> {
    let folders = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut versions: Vec<u32> = folders
        .filter_map(|folder| folder.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    let others = versions
        .into_iter()
        .map(|version| Path::new(DEBIAN).join(version.to_string()).join("bin/psql"));
    std::iter::once("psql".into()).chain(others).collect()
}

/// The URL without its password, and the password. It may stand before the host or among the parameters, which win.
fn without_password(url: &str) -> (String, Option<String>) {
    let (rest, query) = url.split_once('?').unwrap_or((url, ""));
    let (passwords, others): (Vec<_>, Vec<_>) = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .partition(|pair| pair.starts_with("password="));
    let (scheme, rest) = rest.split_once("://").unwrap_or(("postgresql", rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (authority, own) = match authority.rsplit_once('@') {
        Some((login, host)) => match login.split_once(':') {
            Some((user, password)) => (format!("{user}@{host}"), Some(password)),
            None => (authority.to_owned(), None),
        },
        None => (authority.to_owned(), None),
    };
    let password = passwords
        .last()
        .and_then(|pair| pair.strip_prefix("password="))
        .or(own);
    let query = match others.as_slice() {
        [] => String::new(),
        others => format!("?{}", others.join("&")),
    };
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    (
        format!("{scheme}://{authority}{path}{query}"),
        password.map(decoded),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_stay_in_the_url() {
        let check = |url: &str, bare: &str, password: Option<&str>| {
            assert_eq!(
                without_password(url),
                (bare.to_owned(), password.map(str::to_owned))
            );
        };
        check("postgres://db/flexgate", "postgres://db/flexgate", None);
        check("postgres://me@db", "postgres://me@db", None);
        check(
            "postgres://me:p%40ss@db:5432/flexgate?sslmode=disable",
            "postgres://me@db:5432/flexgate?sslmode=disable",
            Some("p@ss"),
        );
        check(
            "postgresql:///flexgate?host=/run&password=hunter2&user=me",
            "postgresql:///flexgate?host=/run&user=me",
            Some("hunter2"),
        );
    }
}
