//! `flexgate up`, `serve`, `down` and `streams`: settings to the composition root, its failures to exit codes.

use super::{
    args::{StreamVerb, Up},
    exit::{Exit, Failure},
    invocation::Invocation,
};
use crate::{
    app,
    config::{Config, Purpose},
    telemetry,
};

pub(super) fn up(run: &Invocation, options: &Up) -> Result<Exit, Failure> {
    start(run, Purpose::Up { demo: options.demo }, app::up)
}

pub(super) fn serve(run: &Invocation) -> Result<Exit, Failure> {
    start(run, Purpose::Serve, |config| app::serve(&config))
}

pub(super) fn down(run: &Invocation) -> Result<Exit, Failure> {
    app::down(run.config(Purpose::Client)?)?;
    Ok(Exit::Done)
}

pub(super) fn streams(run: &Invocation, verb: &StreamVerb) -> Result<Exit, Failure> {
    let StreamVerb::Apply { replicas } = verb;
    app::make_streams(&run.config(Purpose::Client)?, (*replicas).into())?;
    run.output.line("the streams are there, as they must be")
}

fn start(
    run: &Invocation,
    purpose: Purpose,
    app: fn(Config) -> Result<(), app::Error>,
) -> Result<Exit, Failure> {
    let config = run.config(purpose)?;
    // What runs in a terminal, or behind it, is asked with `flexgate logs`; a service has somebody who keeps its stderr.
    let is_up = matches!(purpose, Purpose::Up { .. });
    telemetry::init(&config.log, is_up.then_some(&*config.data_dir));
    app(config)?;
    Ok(Exit::Done)
}

impl From<app::Error> for Failure {
    fn from(error: app::Error) -> Self {
        use app::{Error, FileError};
        if let Error::File(FileError::Refused(mistakes)) = error {
            return mistakes.into();
        }
        let exit = match &error {
            Error::System(_)
            | Error::Gateway(_)
            | Error::Outbox(_)
            | Error::Listen { .. }
            | Error::Token(_)
            | Error::Streams(_) => Exit::Failed,
            Error::Identity(_) | Error::Port(_) => Exit::Conflict,
            Error::Limits(_) => Exit::Invalid,
            Error::Nats(_) | Error::Unreachable(_) => Exit::Unreachable,
            Error::File(_) | Error::Certificates(_) => Exit::Invalid,
            Error::NoRole => Exit::Usage,
            Error::NothingRuns(_) => Exit::NotFound,
            #[cfg(feature = "devstack")]
            Error::Devstack(_) => Exit::Unreachable,
        };
        let failure = Self::new(exit, error.to_string());
        match exit {
            Exit::NotFound => failure.next("name the data folder of what runs with --data-dir"),
            _ => failure,
        }
    }
}
