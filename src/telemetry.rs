//! What a process says about itself: log lines on stderr, and [`metrics`].

pub mod metrics;

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt, layer::SubscriberExt as _, registry,
    util::SubscriberInitExt as _,
};

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
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(log.colour && io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let begun = registry()
        .with(lines)
        .with(filter)
        .with(filter_fn(has_no_payload))
        .try_init();
    drop(begun);
}

/// Whether a line is none of those in which the client of NATS writes down every message, and the password that it connects
/// with. Whoever asks for every detail does not ask for the hashes and the sealed secrets in the log.
fn has_no_payload(line: &Metadata<'_>) -> bool {
    !line.target().starts_with("async_nats") || *line.level() <= Level::INFO
}
