//! Where settings come from: named values in layers, the strongest first. The environment is one of them.

use std::{collections::BTreeMap, path::Path};

use super::{finding::Finding, options};

/// The values of one source, by the name of the environment variable that each corresponds to.
#[derive(Clone, Default)]
pub struct Layer(BTreeMap<String, Entry>);

#[derive(Clone)]
struct Entry {
    value: String,
    /// Where it was written, as a person would say it: `--proxy-addr`, `PORT in .env, line 3`.
    written: String,
}

/// All sources but the configuration file, which is named by one of them.
#[derive(Clone, Default)]
pub struct Sources {
    /// Strongest first.
    layers: Vec<Layer>,
    mistakes: Vec<Finding>,
}

/// A value and where it was written.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) written: &'a str,
}

impl Layer {
    /// Command-line options: the variable that each stands for, the option, and its value where it was given.
    pub fn options<'a>(options: impl IntoIterator<Item = (&'a str, &'a str, Option<String>)>) -> Self {
        let entry = |(name, option, value): (&str, &str, Option<String>)| {
            let written = option.to_owned();
            value.map(|value| (name.to_owned(), Entry { value, written }))
        };
        Self(options.into_iter().filter_map(entry).collect())
    }

    /// Environment variables.
    pub fn variables<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let entry = |(name, value): (N, V)| {
            let name = name.into();
            let written = name.clone();
            let value = value.into();
            (name, Entry { value, written })
        };
        Self(variables.into_iter().map(entry).collect())
    }

    /// The environment of this process. Variables that are not UTF-8 name nothing of ours.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::variables(std::env::vars_os().filter_map(text))
    }
}

/// Whether the user wants colours at all (`NO_COLOR`). Known before settings are read: it is for their mistakes too.
#[expect(
    clippy::disallowed_methods,
    reason = "the one file that reads the environment"
)]
pub fn colour_is_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Sources {
    /// What a process has: its options, its environment, and `.env` in its working directory.
    pub fn of_process(options: Layer) -> Self {
        let sources = Self::of([options, Layer::of_process()]);
        match std::fs::read_to_string(".env") {
            Ok(text) => sources.with_dotenv(Path::new(".env"), &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => sources,
            Err(error) => sources.with_mistake(Finding::mistake(format!("cannot read .env: {error}"))),
        }
    }

    /// These layers, the strongest first.
    pub fn of(layers: impl IntoIterator<Item = Layer>) -> Self {
        Self {
            layers: layers.into_iter().collect(),
            mistakes: Vec::new(),
        }
    }

    /// Adds the text of a `.env` file, weaker than everything so far. Lines are `NAME=value`, a value perhaps in
    /// quotes, perhaps after `export`; `#` begins a comment at the start of a line or after a space.
    #[must_use]
    pub fn with_dotenv(mut self, path: &Path, text: &str) -> Self {
        let mut layer = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}, line {}", path.display(), number + 1);
            match assignment(line) {
                Ok(None) => {}
                Ok(Some((name, value))) => {
                    let written = format!("{name} in {place}");
                    layer.insert(name.to_owned(), Entry { value, written });
                }
                Err(wrong) => self.mistakes.push(Finding::mistake(format!("{place}: {wrong}"))),
            }
        }
        self.layers.push(Layer(layer));
        self
    }

    fn with_mistake(mut self, mistake: Finding) -> Self {
        self.mistakes.push(mistake);
        self
    }

    /// What was wrong with the sources themselves.
    pub(super) fn mistakes(&self) -> &[Finding] {
        &self.mistakes
    }

    /// The strongest value of any of these names; of two in one layer the one named first. An empty value counts as
    /// none: that is how compose files leave a variable out.
    pub(super) fn find(&self, names: &[&'static str]) -> Option<Found<'_>> {
        debug_assert!(
            names.iter().all(|name| options::is_known(name)),
            "{names:?}: an option is in the list of options"
        );
        self.layers.iter().find_map(|Layer(values)| {
            names.iter().find_map(|name| {
                let entry = values.get(*name).filter(|entry| !entry.value.is_empty())?;
                Some(Found {
                    name,
                    value: &entry.value,
                    written: &entry.written,
                })
            })
        })
    }

    /// Whether any source has a value of this name.
    pub fn has(&self, name: &'static str) -> bool {
        self.find(&[name]).is_some()
    }

    /// Every name with its strongest value.
    pub fn all(&self) -> BTreeMap<String, String> {
        let weakest_first = self.layers.iter().rev().flat_map(|Layer(values)| values);
        weakest_first
            .map(|(name, entry)| (name.clone(), entry.value.clone()))
            .collect()
    }
}

/// Reads one line of a `.env` file; `None` when it is blank or a comment.
fn assignment(line: &str) -> Result<Option<(&str, String)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or("write NAME=value")?;
    let (name, value) = (name.trim_end(), value.trim_start());
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err("the name of a variable is made of letters, digits and `_`");
    }
    let value = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted(&value[1..], quote)?,
        _ => value.split(" #").next().unwrap_or_default().trim_end().to_owned(),
    };
    Ok(Some((name, value)))
}

/// The text up to the closing quote. In double quotes `\n`, `\"` and `\\` are escapes, in single ones nothing is.
fn quoted(text: &str, quote: char) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quote == '"' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(escaped @ ('"' | '\\' | '$')) => value.push(escaped),
                _ => return Err("a backslash in double quotes is followed by `n`, `\"`, `$` or `\\`"),
            },
            c if c == quote => {
                let rest = chars.as_str().trim_start();
                let ends = rest.is_empty() || rest.starts_with('#');
                return if ends {
                    Ok(value)
                } else {
                    Err("there is text after the closing quote")
                };
            }
            c => value.push(c),
        }
    }
    Err("the quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_dotenv_file_is_an_assignment_or_nothing() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let read = assignment(line).unwrap();
            assert_eq!(
                read.as_ref().map(|(name, value)| (*name, &**value)),
                expected,
                "{line}"
            );
        };
        check("", None);
        check("  # NAME=value", None);
        check("PORT=3000", Some(("PORT", "3000")));
        check("export PORT = 3000 # the proxy", Some(("PORT", "3000")));
        check("URL=http://a/#b", Some(("URL", "http://a/#b")));
        check("A='it is # $5'  # c", Some(("A", "it is # $5")));
        check(r#"A="two\nlines \"here\"""#, Some(("A", "two\nlines \"here\"")));
        check("EMPTY=", Some(("EMPTY", "")));
    }

    #[test]
    fn what_is_no_assignment_is_a_mistake() {
        for line in ["PORT", "=1", "A B=1", "A=\"open", "A='x' y", r#"A="\q""#] {
            assert!(assignment(line).is_err(), "{line}");
        }
    }

    #[test]
    fn an_empty_value_does_not_hide_a_weaker_one() {
        let sources = Sources::of([
            Layer::variables([("PORT", "")]),
            Layer::variables([("PORT", "3000")]),
        ]);
        assert_eq!(sources.find(&["PORT"]).unwrap().value, "3000");
    }
}
