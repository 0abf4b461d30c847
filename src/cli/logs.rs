//! `flexgate logs`: what the process of the data folder writes, and the servers that it started.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

use super::{
    args::{LogOf, Logs},
    exit::{Exit, Failure},
    invocation::{Invocation, block_on},
};
use crate::{config::Purpose, telemetry};

/// Between two looks at a file.
const PAUSE: Duration = Duration::from_millis(250);
/// How far back the last lines are looked for.
const TAIL_BYTES: u64 = 4 << 20;

pub(super) fn show(run: &Invocation, options: &Logs) -> Result<Exit, Failure> {
    let config = run.config(Purpose::Client)?;
    let name = match options.of {
        LogOf::Flexgate => telemetry::LOG,
        LogOf::Nats => "nats.log",
        LogOf::Postgres => "postgres.log",
        LogOf::Valkey => "valkey.log",
    };
    let path = telemetry::log_folder(&config.data_dir).join(name);
    let failed = |error: io::Error| {
        let says = format!("{}: {error}", path.display());
        match error.kind() {
            io::ErrorKind::NotFound => Failure::new(Exit::NotFound, says).next(
                "`flexgate up` writes it, into its data folder: name that with --data-dir. `flexgate serve` logs to stderr, for \
                 whatever started it (`journalctl`, `docker compose logs`)",
            ),
            _ => Failure::new(Exit::Failed, says),
        }
    };
    let mut file = File::open(&path).map_err(failed)?;
    let end = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(end.saturating_sub(TAIL_BYTES)))
        .map_err(failed)?;
    let text = rest(&mut file).map_err(failed)?;
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(options.lines)..] {
        run.output.line(line)?;
    }
    if !options.follow {
        return Ok(Exit::Done);
    }
    block_on(async {
        tokio::select! {
            failure = follow(run, file, &path) => Err(failed(failure)),
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        }
    })?
}

/// Prints what is written from now on, until that cannot be read any more.
async fn follow(run: &Invocation, mut file: File, path: &Path) -> io::Error {
    loop {
        tokio::time::sleep(PAUSE).await;
        let text = match rest(&mut file) {
            Ok(text) => text,
            Err(error) => return error,
        };
        if !text.is_empty() {
            if run.output.line(text.trim_end()).is_err() {
                return io::Error::from(io::ErrorKind::BrokenPipe);
            }
        } else if is_another(&file, path) {
            match File::open(path) {
                Ok(next) => file = next,
                Err(error) => return error,
            }
        }
    }
}

fn rest(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether the name belongs to another file by now: after a restart, or since this one became too long.
fn is_another(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(found)) = (file.metadata(), path.metadata()) else {
        return false;
    };
    held.ino() != found.ino()
}
