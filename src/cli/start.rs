//! `flexgate up`, `serve` and `down`: settings to the composition root, its failures to exit codes.

use super::{
    args::Up,
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
    start(run, Purpose::Serve, app::serve)
}

pub(super) fn down(run: &Invocation) -> Result<Exit, Failure> {
    app::down(run.config(Purpose::Client)?)?;
    Ok(Exit::Done)
}

fn start(
    run: &Invocation,
    purpose: Purpose,
    app: fn(Config) -> Result<(), app::Error>,
) -> Result<Exit, Failure> {
    let config = run.config(purpose)?;
    telemetry::init(&config.log);
    app(config)?;
    Ok(Exit::Done)
}

impl From<app::Error> for Failure {
    fn from(error: app::Error) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}
