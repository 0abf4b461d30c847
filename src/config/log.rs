//! What is logged, and how.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;

use super::{file::NodeOverrides, reader::Reader};

/// How a process logs, to stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A filter in the syntax of `tracing_subscriber::EnvFilter`, valid.
    pub filter: String,
    /// The form of a line.
    pub format: LogFormat,
    /// Whether colours are welcome (`NO_COLOR` is not set); they still need a terminal.
    pub colour: bool,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people, which is who starts it by hand.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is no log format: `text` or `json`")),
        }
    }
}

fn filter(text: &str) -> Result<String, String> {
    let wrong = |error| {
        format!("{text:?} is no log filter ({error}): write `info`, or `info,flexgate::gateway=debug`")
    };
    EnvFilter::builder()
        .parse(text)
        .map(|_| text.to_owned())
        .map_err(wrong)
}

pub(super) fn read(reader: &mut Reader<'_>, file: &NodeOverrides) -> Log {
    let asked = reader
        .find(&["FLEXGATE_LOG"])
        .and_then(|found| reader.parse(found, filter));
    Log {
        filter: asked
            .or_else(|| file.log_level.clone())
            .unwrap_or_else(|| "info,async_nats=warn,sqlx=warn".to_owned()),
        format: reader
            .parsed("FLEXGATE_LOG_FORMAT")
            .or(file.log_format)
            .unwrap_or_default(),
        colour: reader.find(&["NO_COLOR"]).is_none(),
    }
}
