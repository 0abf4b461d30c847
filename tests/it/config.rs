//! Settings and the configuration file, as a node reads them.

mod contents;
mod mistakes;
mod sources;
mod variables;

use std::collections::BTreeMap;

use flexgate::config::{Config, ConfigError, Layer, Purpose, Sources, file::Loaded};

fn environment<const N: usize>(variables: [(&str, &str); N]) -> Sources {
    Sources::of([Layer::variables(variables)])
}

fn up(sources: &Sources) -> Result<Config, ConfigError> {
    Config::load(sources, Purpose::Up { demo: false })
}

/// A file with this text, and its path for `FLEXGATE_CONFIG`.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.yml");
    std::fs::write(&path, text).unwrap();
    (folder, path.display().to_string())
}

fn parse(text: &str) -> Loaded {
    Loaded::parse("proxy.yml", text, &BTreeMap::new()).unwrap()
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    loaded.warnings.iter().map(ToString::to_string).collect()
}
