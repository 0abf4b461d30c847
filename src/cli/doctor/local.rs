//! What is examined on this machine.

use std::{
    fs::{self, OpenOptions},
    io,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use rustix::process::{Resource, getrlimit};

use super::{Examined, Health};
use crate::config::{AdminToken, Config};

/// Two for each proxied request, with room for files and the servers behind: enough for 4,000 at a time.
const OPEN_FILES_MIN: u64 = 8192;

pub(super) fn data_dir(path: &Path) -> Examined {
    const WHAT: &str = "data folder";
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Examined::ok(
                WHAT,
                format!("{shown} is not there yet; the first start makes it"),
            );
        }
        Err(error) => return Examined::new(WHAT, Health::Fail, format!("{shown}: {error}")),
        Ok(found) if !found.is_dir() => {
            return Examined::new(WHAT, Health::Fail, format!("{shown} is no folder"))
                .mend("move it away, or name another with --data-dir");
        }
        Ok(_) => {}
    }
    let probe = path.join(".doctor");
    match OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&probe)
        .and_then(|_| fs::remove_file(&probe))
    {
        Ok(()) => Examined::ok(WHAT, format!("{shown} can be written to")),
        Err(error) => Examined::new(
            WHAT,
            Health::Fail,
            format!("{shown} cannot be written to: {error}"),
        )
        .mend(format!(
            "give it to the user that runs FlexGate: chown -R USER {shown}"
        )),
    }
}

pub(super) fn token(config: &Config) -> Examined {
    const WHAT: &str = "admin token";
    if config.admin_token.is_some() {
        return Examined::ok(WHAT, "given by FLEXGATE_ADMIN_TOKEN");
    }
    let path = AdminToken::path(&config.data_dir);
    let shown = path.display();
    match AdminToken::read(&config.data_dir) {
        Ok(None) => {
            return Examined::ok(
                WHAT,
                format!("{shown} is not there yet; the first start makes it"),
            );
        }
        Err(error) => {
            return Examined::new(WHAT, Health::Fail, error.to_string())
                .mend(format!("delete {shown}: the next start makes a new token"));
        }
        Ok(Some(_)) => {}
    }
    let mode = fs::metadata(&path).map_or(0, |found| found.permissions().mode());
    let for_others = mode & 0o077;
    if for_others == 0 {
        return Examined::ok(WHAT, format!("{shown}, readable by its owner alone"));
    }
    Examined::new(
        WHAT,
        Health::Fail,
        format!("{shown} can be read by others (mode {:o})", mode & 0o777),
    )
    .mend(format!(
        "chmod 600 {shown}; if others may have read it, delete it and restart for a new one"
    ))
}

pub(super) fn open_files() -> Examined {
    const WHAT: &str = "open files";
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (
        limit.current.unwrap_or(u64::MAX),
        limit.maximum.unwrap_or(u64::MAX),
    );
    if soft >= OPEN_FILES_MIN {
        return Examined::ok(WHAT, format!("at most {soft}"));
    }
    let mend = if hard >= OPEN_FILES_MIN {
        format!("ulimit -n {hard} before the start, or LimitNOFILE={hard} in the systemd unit")
    } else {
        "raise the hard limit: LimitNOFILE=65536 in the systemd unit, or limits.conf".to_owned()
    };
    Examined::new(
        WHAT,
        Health::Warn,
        format!("at most {soft}: a proxied request takes two"),
    )
    .mend(mend)
}

/// Whether there is room for what may have to wait on the disk.
pub(super) fn disk(config: &Config) -> Examined {
    const WHAT: &str = "disk";
    const MIB: u64 = 1 << 20;
    let wanted = config.recording.map_or(0, |recording| recording.outbox_bytes);
    // The folder that is there, or the one that it would be made in.
    let found = config.data_dir.ancestors().find(|path| path.exists());
    let path = found.unwrap_or(Path::new("."));
    let Ok(space) = rustix::fs::statvfs(path) else {
        return Examined::new(
            WHAT,
            Health::Warn,
            format!("{} tells nothing of its space", path.display()),
        );
    };
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let says = format!("{} MiB are free", free / MIB);
    if free < 64 * MIB {
        return Examined::new(WHAT, Health::Fail, says)
            .mend("make room, or name another folder with --data-dir");
    }
    if free < wanted {
        let says = format!("{says}, and the outbox may need {}", wanted / MIB);
        return Examined::new(WHAT, Health::Warn, says)
            .mend("make room, or set FLEXGATE_OUTBOX_BYTES to less");
    }
    Examined::ok(WHAT, says)
}

/// Whether the ports can be had. Those of a process that runs are taken by it.
pub(super) fn ports(config: &Config, runs: bool) -> Vec<Examined> {
    if runs {
        return vec![Examined::ok("ports", "not looked at: a process runs")];
    }
    let listeners = [
        ("proxy port", config.listen.proxy, "--proxy-addr"),
        ("admin port", config.listen.admin, "--admin-addr"),
    ];
    listeners
        .map(|(what, address, option)| port(what, address, option))
        .into()
}

fn port(what: &'static str, address: SocketAddr, option: &str) -> Examined {
    match TcpListener::bind(address) {
        Ok(_) => Examined::ok(what, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Examined::new(
            what,
            Health::Fail,
            format!("{address} is taken by another process"),
        )
        .mend(format!(
            "find it with `ss -ltnp 'sport = :{}'`, or choose another with {option}",
            address.port()
        )),
        Err(error) => Examined::new(what, Health::Fail, format!("{address}: {error}"))
            .mend(format!("choose another with {option}")),
    }
}
