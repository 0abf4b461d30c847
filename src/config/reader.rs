//! Takes settings out of the sources, each parsed into its type, and collects what is wrong with them.

use std::{fmt::Display, path::PathBuf, str::FromStr, time::Duration};

use flexgate_schemas::Millis;

use super::{
    environment::{Found, Sources},
    file::{FileSource, Loaded, NodeOverrides},
    finding::{ConfigError, Finding, Severity},
};

/// Reads settings by the name of their environment variable. A value that cannot be read becomes a mistake and counts
/// as absent, so that reading goes on to the next mistake.
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        Self {
            sources,
            findings: sources.mistakes().to_vec(),
        }
    }

    /// The strongest value of any of these names.
    pub(super) fn find(&self, names: &[&'static str]) -> Option<Found<'a>> {
        self.sources.find(names)
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        let found = self.find(&[name])?;
        self.parse(found, str::parse)
    }

    /// Parses what was found.
    pub(super) fn parse<T, E: Display>(
        &mut self,
        found: Found<'_>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(found.value)
            .map_err(|error| self.mistake(format!("{}: {error}", found.written)))
            .ok()
    }

    pub(super) fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.find(&[name]).map(|found| found.value.into())
    }

    /// A span of time; `0` is one.
    pub(super) fn span(&mut self, name: &'static str) -> Option<Duration> {
        let found = self.find(&[name])?;
        self.parse(found, |text| match text {
            "0" | "0s" | "0ms" => Ok(Duration::ZERO),
            text => text.parse().map(Millis::duration),
        })
    }

    /// Reads the configuration file that this setting names.
    pub(super) fn file(&mut self, name: &'static str) -> Option<(FileSource, Result<Loaded, ConfigError>)> {
        let source = FileSource::at(self.path(name)?, self.sources.all());
        let read = source.read();
        if let Ok(loaded) = &read {
            self.findings.extend(loaded.warnings.iter().cloned());
        }
        Some((source, read))
    }

    /// What variables say in the place of a file that there is not.
    pub(super) fn without_file(&mut self) -> NodeOverrides {
        match Loaded::of_variables(&self.sources.all()) {
            Some(Ok(node)) => node,
            Some(Err(mistakes)) => {
                self.mistaken(mistakes);
                NodeOverrides::default()
            }
            None => NodeOverrides::default(),
        }
    }

    /// Takes the mistakes of a file that nothing can be done without.
    pub(super) fn mistaken(&mut self, ConfigError(mistakes): ConfigError) {
        self.findings.extend(mistakes);
    }

    /// Whether anything is wrong so far.
    pub(super) fn has_mistakes(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Mistake)
    }

    pub(super) fn mistake(&mut self, message: impl Into<String>) {
        self.findings.push(Finding::mistake(message));
    }

    pub(super) fn warn(&mut self, message: impl Into<String>) {
        self.findings.push(Finding::warning(message));
    }

    /// The warnings, or everything that was found when something is wrong.
    pub(super) fn finish(self) -> Result<Vec<Finding>, ConfigError> {
        if self.has_mistakes() {
            return Err(ConfigError(self.findings));
        }
        Ok(self.findings)
    }
}
