//! The command line: starts processes, checks files, and talks to the admin API of a running one.
//!
//! Results go to stdout, everything else to stderr, and the exit code says what happened ([`exit::Exit`]).

mod apply;
mod args;
mod check;
mod client;
mod difference;
mod doctor;
mod entity;
mod events;
mod exit;
mod health;
mod history;
mod init;
mod invocation;
mod keys;
mod logs;
mod manual;
mod migrate;
mod nodes;
mod options;
mod output;
mod problem;
mod progress;
mod projections;
mod requests;
mod routes;
mod schema;
mod secrets;
mod sql;
mod start;
mod status;
mod upstreams;
mod verify;
mod write;

use std::process::ExitCode;

use clap::Parser;

pub use exit::{Exit, Failure};

use args::{Args, Command};
use invocation::Invocation;

/// Runs the command that this process was started with.
pub fn run() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(usage) => {
            // Help and version are printed this way too; a closed pipe is no reason to fail.
            drop(usage.print());
            return if usage.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            }
            .into();
        }
    };
    let invocation = Invocation::new(&args);
    match dispatch(&args.command, &invocation) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            invocation.output.failure(&failure);
            failure.exit.into()
        }
    }
}

fn dispatch(command: &Command, invocation: &Invocation) -> Result<Exit, Failure> {
    match command {
        Command::Up(options) => start::up(invocation, options),
        Command::Serve(_) => start::serve(invocation),
        Command::Down => start::down(invocation),
        Command::Status => status::show(invocation),
        Command::Logs(options) => logs::show(invocation, options),
        Command::Init { folder } => init::begin(invocation, folder),
        Command::Health { probe } => health::ask(invocation, *probe),
        Command::Check(options) => check::check(invocation, options),
        Command::Diff(options) => apply::diff(invocation, options),
        Command::Apply(options) => apply::apply(invocation, options),
        Command::Export(options) => history::export(invocation, options),
        Command::History(options) => history::history(invocation, options),
        Command::Requests(asked) => requests::search(invocation, asked),
        Command::Routes(verb) => routes::run(invocation, verb),
        Command::Upstreams(verb) => upstreams::run(invocation, verb),
        Command::Keys(verb) => keys::run(invocation, verb),
        Command::Secrets(verb) => secrets::run(invocation, verb),
        Command::Events(verb) => events::run(invocation, verb),
        Command::Nodes(verb) => nodes::run(invocation, verb),
        Command::Streams(verb) => start::streams(invocation, verb),
        Command::Migrate(_) => migrate::migrate(invocation),
        Command::Sql(options) => sql::run(invocation, options),
        Command::Projections(verb) => projections::run(invocation, verb),
        Command::Replay(options) => projections::replay(invocation, options),
        Command::Verify(verb) => verify::run(invocation, verb),
        Command::Doctor { fix, .. } => doctor::examine(invocation, *fix),
        Command::Config { effective, .. } => options::show(invocation, *effective),
        Command::Schema { of } => schema::print(invocation, *of),
        Command::Completions { shell } => manual::completions(invocation, *shell),
        Command::Man { folder } => manual::pages(invocation, folder),
        Command::Version => invocation.output.line(args::VERSION),
    }
}
