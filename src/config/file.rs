//! The configuration file: upstreams, routes, settings of the cluster, and a little about the node that reads it.
//!
//! The format is the original's, in both its vocabularies. Reading is strict: an unknown key is a mistake. It goes on
//! after a mistake, so that all of them are reported at once, each with file, line and column.

mod dialect;
mod entities;
mod export;
mod identity;
mod interpolate;
mod later;
mod mask;
mod overrides;
mod places;
mod reading;
mod schema;
mod sections;
mod source;
mod suggest;
mod syntax;
mod tree;
mod typed;
mod wrong;

use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc};

use flexgate_schemas::{FileName, KeyId, Route, Settings, Upstream, key::GivenKey};

pub use export::{pointer_in_file, yaml};
pub use places::Places;
pub use schema::schema;
pub use source::{FileSource, Mark};

use super::{
    budgets::Budgets,
    finding::{ConfigError, Finding, SourceText},
    log::LogFormat,
    servers::ServerUrl,
    tls::TlsSection,
};

/// A file that was read and is valid on its own. Whether it fits what exists is for the domain to decide.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// By what it is known again, if it says that itself; wherever it lies, and whatever it is called there.
    pub name: Option<FileName>,
    /// Its upstreams, in the order of the file; no name twice.
    pub upstreams: Vec<Upstream>,
    /// Its routes, in the order of the file; no id twice. One without an `id` has one that is derived from what it
    /// matches: `file-` and 16 hexadecimal digits.
    pub routes: Vec<Route>,
    /// Its keys, by the hashes of their secrets; no hash twice.
    pub keys: Vec<GivenKey>,
    /// Keys that it names without their secrets, and that stay as they are; no id twice, and none of `keys`.
    pub withheld_keys: Vec<KeyId>,
    /// The cluster's settings; what the file does not say has its default.
    pub settings: Settings,
    /// What it says about the node that reads it.
    pub node: NodeOverrides,
    /// What is accepted, and may not do what its author thinks.
    pub warnings: Vec<Finding>,
    /// Its name and its text, without secrets.
    pub source: Arc<SourceText>,
}

/// What a file may say about the node that reads it; every other source is stronger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeOverrides {
    /// `proxy.host`.
    pub host: Option<IpAddr>,
    /// `proxy.port`.
    pub port: Option<u16>,
    /// `proxy.tls`.
    pub tls: Option<TlsSection>,
    /// `rateLimit.redis.url`, or the old `redis` section.
    pub redis: Option<ServerUrl>,
    /// `rateLimit.backend`.
    pub budgets: Option<Budgets>,
    /// `logging.level`, as a filter.
    pub log_level: Option<String>,
    /// `logging.format`.
    pub log_format: Option<LogFormat>,
}

/// The largest file. A hundred thousand routes have about 15 MB.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

impl Loaded {
    /// Reads a file and reports every mistake at once. Variables resolve `${NAME}` in its values.
    pub fn read(path: &Path, variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let wrong = |message: String| ConfigError(vec![Finding::mistake(format!("{name}: {message}"))]);
        let size = std::fs::metadata(path)
            .map_err(|error| wrong(error.to_string()))?
            .len();
        if size > FILE_BYTES_MAX {
            return Err(wrong(format!(
                "the file has {size} bytes, at most {FILE_BYTES_MAX} are read"
            )));
        }
        let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let source = Arc::new(SourceText {
                name: name.clone(),
                text: mask::masked(&text),
            });
            let mistake = Finding::mistake("this is not UTF-8").with_help("save the file as UTF-8");
            ConfigError(vec![mistake.at(&source, at..at + '\u{fffd}'.len_utf8())])
        })?;
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let exported = if is_json { export::of_api(&text) } else { None };
        let text = exported.transpose().map_err(wrong)?.unwrap_or(text);
        Self::parse(&name, &text, variables)
    }

    /// Reads the text of a file that is called so.
    pub fn parse(name: &str, text: &str, variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let source = Arc::new(SourceText {
            name: name.to_owned(),
            text: mask::masked(text),
        });
        reading::read(source, text, variables)
    }

    /// What variables such as `FLEXGATE_PROXY__PORT` say where there is no file. Nothing without one.
    pub(super) fn of_variables(
        variables: &BTreeMap<String, String>,
    ) -> Option<Result<NodeOverrides, ConfigError>> {
        variables.keys().any(|name| overrides::is_one(name)).then(|| {
            let loaded = Self::parse("", "", variables)?;
            if loaded.settings_to_apply().is_none() {
                return Ok(loaded.node);
            }
            let mistake = Finding::mistake(
                "variables set keys that are not about this node, and there is no file for them",
            );
            Err(ConfigError(vec![
                mistake.with_help("name a configuration file with FLEXGATE_CONFIG"),
            ]))
        })
    }

    /// What the text of a file says about the node that reads it, whatever else is wrong with it.
    pub(super) fn node_in(text: &str, variables: &BTreeMap<String, String>) -> NodeOverrides {
        let source = Arc::new(SourceText {
            name: String::new(),
            text: mask::masked(text),
        });
        reading::node(source, text, variables)
    }

    /// The settings, where the file says any: a file that says none leaves those alone that somebody else made.
    pub fn settings_to_apply(&self) -> Option<&Settings> {
        (self.settings != Settings::default()).then_some(&self.settings)
    }

    /// By what it is known again when it is applied.
    pub fn own_name(&self) -> FileName {
        let called = || FileName::at(&self.source.name);
        let name = self.name.clone().map_or_else(called, Ok);
        name.unwrap_or_else(|_| "configuration".parse().expect("letters are a name"))
    }

    /// What a commit says it came from: the name that it gives itself, or where it lies.
    pub fn origin(&self) -> String {
        let name = self.name.as_ref().map(ToString::to_string);
        name.unwrap_or_else(|| self.source.name.clone())
    }

    /// Finds where things stand, for messages. Parses the text again: messages are few, and positions are many.
    pub fn places(&self) -> Places<'_> {
        Places::of(self)
    }
}
