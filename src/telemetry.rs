//! What a process says about itself: log lines on stderr, and [`metrics`].

pub mod metrics;

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Log, LogFormat};

/// Makes aws-lc-rs the one crypto provider of this process. Before anything speaks TLS: with two providers in the
/// graph rustls would panic at first use.
pub fn install_crypto() {
    // A provider that is there already is this one, installed by an earlier call.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

/// Begins to log. A second call changes nothing: tests start several processes' worth of us in one.
pub fn init(log: &Log) {
    let filter = EnvFilter::builder().parse_lossy(&log.filter); // parsed once already, in `config`
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    let begun = match log.format {
        LogFormat::Text => lines
            .with_ansi(log.colour && io::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
    };
    drop(begun);
}
