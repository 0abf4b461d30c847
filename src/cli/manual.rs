//! `flexgate completions` and `flexgate man`: the help, for shells and for `man`.

use std::{fs, path::Path};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{
    args::Args,
    exit::{Exit, Failure},
    invocation::Invocation,
};

pub(super) fn completions(run: &Invocation, shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "flexgate", &mut script);
    run.output.line(String::from_utf8_lossy(&script).trim_end())
}

/// A page for each command, `flexgate-routes-create.1`, as git names its own.
pub(super) fn pages(run: &Invocation, folder: &Path) -> Result<Exit, Failure> {
    let written = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Args::command(), folder));
    written.map_err(|error| {
        let next = "name a folder that can be written to";
        Failure::new(Exit::Failed, format!("{}: {error}", folder.display())).next(next)
    })?;
    let folder = folder.display();
    run.output.line(&format!(
        "the pages are in {folder}: `man -l {folder}/flexgate.1`"
    ))
}
