//! `flexgate init`: the files that a beginning needs.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::{
    exit::{Exit, Failure},
    invocation::Invocation,
};
use crate::config::file;

/// What is written where: a name, a text, who may read it.
const FILES: [(&str, &str, u32); 2] = [
    ("proxy.yml", include_str!("init/proxy.yml"), 0o644),
    // Secrets are to be written into it.
    (".env", include_str!("init/dotenv"), 0o600),
];
/// By which editors complete the file.
const SCHEMA: &str = "flexgate.schema.json";

pub(super) fn begin(run: &Invocation, folder: &Path) -> Result<Exit, Failure> {
    let schema = serde_json::to_string_pretty(&file::schema()).expect("a tree of JSON can be written") + "\n";
    let files = FILES.into_iter().chain([(SCHEMA, &*schema, 0o644)]);
    fs::create_dir_all(folder).map_err(|error| failure(folder, &error))?;
    for (name, text, mode) in files {
        let path = folder.join(name);
        let shown = path.display();
        match write_new(&path, text, mode) {
            Ok(()) => run.output.line(&format!("{shown} is written"))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => run
                .output
                .line(&format!("{shown} is there already, and stays as it is"))?,
            Err(error) => return Err(failure(&path, &error)),
        };
    }
    run.output
        .note("next: edit proxy.yml, `flexgate check proxy.yml`, and `flexgate up`");
    Ok(Exit::Done)
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    let says = format!("{}: {error}", path.display());
    Failure::new(Exit::Failed, says).next("name a folder that can be written to")
}
