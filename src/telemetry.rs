//! What a process says about itself: log lines on stderr, and [`metrics`].

mod log_file;
pub mod metrics;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::Mutex,
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt, layer::SubscriberExt as _, registry,
    util::SubscriberInitExt as _,
};

use self::log_file::LogFile;
use crate::config::{Log, LogFormat};

/// The file that [`init`] writes, in [`log_folder`].
pub const LOG: &str = "flexgate.log";

/// Where the logs of a data folder are: ours, and those of servers that it starts.
pub fn log_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("log")
}

/// Makes aws-lc-rs the one crypto provider of this process. Before anything speaks TLS: with two providers in the
/// graph rustls would panic at first use.
pub fn install_crypto() {
    // A provider that is there already is this one, installed by an earlier call.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

/// Begins to log, to stderr, and into a file of the data folder where one is given. A second call changes nothing: tests start
/// several processes' worth of us in one.
pub fn init(log: &Log, data_dir: Option<&Path>) {
    let filter = EnvFilter::builder().parse_lossy(&log.filter); // parsed once already, in `config`
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(log.colour && io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    // A disk that takes no log is no reason not to start: stderr has every line.
    let file = data_dir.and_then(|data_dir| LogFile::create(&log_folder(data_dir).join(LOG)).ok());
    let copy = file.map(|file| {
        let lines = fmt::layer().with_writer(Mutex::new(file)).with_ansi(false);
        match log.format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
        }
    });
    let begun = registry()
        .with(lines)
        .with(copy)
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
