//! Where words go: results to stdout, everything else to stderr.

use std::io::{self, ErrorKind, IsTerminal, Write};

use comfy_table::{Row, Table, presets};
use serde::Serialize;

use super::{
    args::Format,
    exit::{Exit, Failure},
};
use crate::config::{Finding, colour_is_welcome};

/// The two ways out.
pub(super) struct Output {
    format: Format,
    colour: bool,
    results: io::Stdout,
    remarks: io::Stderr,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            colour: colour_is_welcome() && io::stderr().is_terminal(),
            results: io::stdout(),
            remarks: io::stderr(),
        }
    }

    /// Whether it is for programs: JSON, or the same as YAML.
    pub(super) fn is_data(&self) -> bool {
        self.format != Format::Table
    }

    pub(super) fn is_yaml(&self) -> bool {
        self.format == Format::Yaml
    }

    /// One line of result.
    pub(super) fn line(&self, line: &str) -> Result<Exit, Failure> {
        let mut out = self.results.lock();
        done(writeln!(out, "{line}").and_then(|()| out.flush()))
    }

    /// A result for programs: as YAML where that is asked for, as JSON everywhere else.
    pub(super) fn data(&self, value: &impl Serialize) -> Result<Exit, Failure> {
        let text = if self.is_yaml() {
            serde_saphyr::to_string(value).map_err(|error| error.to_string())
        } else {
            serde_json::to_string_pretty(value).map_err(|error| error.to_string())
        };
        self.line(text.map_err(|error| unwritten(&error))?.trim_end())
    }

    /// One of many results that come one by one: a line of JSON, or a document of YAML.
    pub(super) fn item(&self, value: &impl Serialize) -> Result<Exit, Failure> {
        if self.is_yaml() {
            self.line("---")?;
            return self.data(value);
        }
        let text = serde_json::to_string(value);
        self.line(&text.map_err(|error| unwritten(&error.to_string()))?)
    }

    /// A result as a table.
    pub(super) fn table<const N: usize>(
        &self,
        header: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Result<Exit, Failure> {
        let mut table = Table::new();
        table.set_header(header);
        self.rows(table, rows)
    }

    /// A result as a table of as many columns as it happens to have.
    pub(super) fn grid(
        &self,
        header: impl IntoIterator<Item = String>,
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Result<Exit, Failure> {
        let mut table = Table::new();
        table.set_header(header);
        self.rows(table, rows)
    }

    /// A result as names and values.
    pub(super) fn pairs(&self, rows: impl IntoIterator<Item = [String; 2]>) -> Result<Exit, Failure> {
        self.rows(Table::new(), rows)
    }

    fn rows<R: Into<Row>>(
        &self,
        mut table: Table,
        rows: impl IntoIterator<Item = R>,
    ) -> Result<Exit, Failure> {
        table.load_style(presets::NOTHING).add_rows(rows);
        // Without borders each column is padded by a space on either side; what stands first and last needs none.
        let lines = table
            .lines()
            .map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned());
        self.line(&lines.collect::<Vec<_>>().join("\n"))
    }

    /// A remark beside the result.
    pub(super) fn note(&self, text: &str) {
        self.aside(&format!("{text}\n"));
    }

    /// A warning beside the result.
    pub(super) fn warning(&self, text: &str) {
        self.aside(&format!("{}: {text}\n", self.painted("warning", "33")));
    }

    /// Mistakes and warnings of a configuration.
    pub(super) fn findings(&self, findings: &[Finding]) {
        for finding in findings {
            if finding.place.is_some() {
                self.aside(&format!("{}\n", finding.render(self.colour)));
            } else {
                self.aside(&finding.render(self.colour));
            }
        }
    }

    /// Why a command failed, and what to do next.
    pub(super) fn failure(&self, failure: &Failure) {
        self.findings(&failure.findings);
        self.aside(&format!("{}: {}\n", self.painted("error", "31"), failure.message));
        for field in failure
            .fields
            .iter()
            .filter(|field| !failure.message.contains(&field.detail))
        {
            self.aside(&format!("  {}: {}\n", field.pointer, field.detail));
        }
        if let Some(next) = &failure.next {
            self.aside(&format!("{}: {next}\n", self.painted("next", "36")));
        }
    }

    /// In bold and a colour (ECMA-48 8.3.117), where there is a terminal that wants it.
    pub(super) fn painted(&self, word: &str, colour: &str) -> String {
        if self.colour {
            format!("\x1b[1;{colour}m{word}\x1b[0m")
        } else {
            word.to_owned()
        }
    }

    fn aside(&self, text: &str) {
        // Nobody reads it when stderr is closed, and there is nobody else to tell.
        drop(self.remarks.lock().write_all(text.as_bytes()));
    }
}

/// A number of things, in words.
pub(super) fn counted(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// A reader that has seen enough, such as `head`, is no failure.
fn done(written: io::Result<()>) -> Result<Exit, Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritten(&error.to_string())),
        _ => Ok(Exit::Done),
    }
}

fn unwritten(why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write the result: {why}"))
}
