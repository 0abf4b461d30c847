//! Takes settings out of the sources, each parsed into its type, and collects what is wrong with them.

use std::{fmt::Display, path::PathBuf, str::FromStr, time::Duration};

use flexgate_schemas::Millis;

use super::{
    environment::{Found, Sources},
    file,
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
    pub(super) fn file(&mut self, name: &'static str) -> Option<file::Loaded> {
        let path = self.path(name)?;
        match file::Loaded::read(&path, &self.sources.all()) {
            Ok(loaded) => {
                self.findings.extend(loaded.warnings.iter().cloned());
                Some(loaded)
            }
            Err(ConfigError(mistakes)) => {
                self.findings.extend(mistakes);
                None
            }
        }
    }

    pub(super) fn mistake(&mut self, message: impl Into<String>) {
        self.findings.push(Finding::mistake(message));
    }

    pub(super) fn warn(&mut self, message: impl Into<String>) {
        self.findings.push(Finding::warning(message));
    }

    /// The warnings, or everything that was found when something is wrong.
    pub(super) fn finish(self) -> Result<Vec<Finding>, ConfigError> {
        if self
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Mistake)
        {
            return Err(ConfigError(self.findings));
        }
        Ok(self.findings)
    }
}
