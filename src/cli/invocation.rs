//! What a command works with: its settings, its output, the admin API, and a runtime to wait in.

use std::future::Future;

use super::{
    args::Args,
    client::AdminClient,
    exit::{Exit, Failure},
    output::Output,
};
use crate::config::{Config, Layer, Purpose, Sources};

/// One run of the program.
pub(super) struct Invocation {
    options: Layer,
    pub(super) output: Output,
}

impl Invocation {
    pub(super) fn new(args: &Args) -> Self {
        Self {
            options: args.layer(),
            output: Output::new(args.shared.output),
        }
    }

    /// Where settings come from. Reads the environment and `.env`.
    pub(super) fn sources(&self) -> Sources {
        Sources::of_process(self.options.clone())
    }

    /// The settings. Warnings are shown.
    pub(super) fn config(&self, purpose: Purpose) -> Result<Config, Failure> {
        let config = Config::load(&self.sources(), purpose)?;
        self.output.findings(&config.warnings);
        Ok(config)
    }

    /// Does something with the admin API of a running process.
    pub(super) fn with_admin<T, F>(&self, work: impl FnOnce(AdminClient) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let sources = self.sources();
        let config = Config::load(&sources, Purpose::Client)?;
        let client = AdminClient::find(&config, &sources)?;
        block_on(work(client))?
    }
}

/// Waits for something on this thread.
pub(super) fn block_on<F: Future>(work: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::new(Exit::Failed, format!("the system gives no timers: {error}")))?;
    Ok(runtime.block_on(work))
}
