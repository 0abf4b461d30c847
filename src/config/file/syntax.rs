//! What is wrong with a text that is no YAML, and what to do about it.

use std::{ops::Range, sync::Arc};

use serde_saphyr::{DuplicateKeyPolicy, Error};

use super::{super::finding::Finding, SourceText, tree::Node};

/// Parses the text of a file.
pub(super) fn parse(source: &Arc<SourceText>, text: &str) -> Result<Node, Finding> {
    let mut options = serde_saphyr::options! {
        with_snippet: false,
        // Found in the tree, where all of them can be reported.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
    };
    if let Some(budget) = &mut options.budget {
        budget.max_events = EVENTS_MAX;
        budget.max_nodes = EVENTS_MAX;
        budget.enforce_alias_anchor_ratio = false; // a hundred routes may share one anchor
    }
    options.alias_limits.max_total_replayed_events = REPLAYED_MAX;
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error, source, text))
}

/// Room for a million routes.
const EVENTS_MAX: usize = 50_000_000;
/// What aliases may add to that: thousands of routes that share a few lines, and no bomb.
const REPLAYED_MAX: usize = 200_000;

fn explain(error: &Error, source: &Arc<SourceText>, text: &str) -> Finding {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    // What follows is for whoever calls the parser.
    let message = message.split("; use ").next().unwrap_or_default();
    let line = error
        .location()
        .map_or(1, |location| usize::try_from(location.line()).unwrap_or(1));
    if let Some(tab) = indentation_tab(text, line) {
        return Finding::mistake("a tab cannot indent YAML")
            .with_help("indent with spaces, the same number for keys of the same mapping")
            .at(source, tab);
    }
    let column = error
        .location()
        .map_or(1, |location| usize::try_from(location.column()).unwrap_or(1));
    let finding =
        Finding::mistake(format!("this is not YAML: {message}")).at(source, span(text, line, column));
    let near = text.lines().skip(line.saturating_sub(2)).take(2);
    let dash = message.contains("mapping values") && near.map(str::trim_start).any(is_dash_without_space);
    match help(message).filter(|_| !dash) {
        // YAML 1.2.2, 7.4.2.
        _ if column > 1024 && message.contains("mapping") => {
            finding.with_help("a key in the line of its value has at most 1024 characters")
        }
        _ if dash => finding.with_help("the `-` that begins an item is followed by a space"),
        Some(help) => finding.with_help(help),
        None => finding,
    }
}

fn is_dash_without_space(line: &str) -> bool {
    line.strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(char::is_alphabetic))
}

fn help(message: &str) -> Option<&'static str> {
    let cases = [
        (
            "mapping values are not allowed",
            "a value that contains `: ` needs quotes; a key of its own needs a new line",
        ),
        (
            "expected '-' indicator",
            "items of one list begin in the same column, what belongs to an item further right",
        ),
        (
            "unclosed quote",
            "close the quote, or double it where it is part of the value",
        ),
        ("unclosed bracket", "close the bracket"),
        (
            "unexpected character",
            "a value that begins with this character needs quotes",
        ),
        (
            "unknown anchor",
            "`*` begins an alias in YAML: quote a value that begins so, or name it with `&` before",
        ),
        (
            "simple key expected ':'",
            "a key is followed by a colon and a space",
        ),
        (
            "expected string scalar",
            "`{{` begins two mappings in YAML: fill templates in first, or put the value into quotes",
        ),
        (
            "implicit flow mapping",
            "items have one comma between them, and the last bracket closes the first",
        ),
        (
            "recursion limit",
            "nothing of a configuration is nested as deep as this",
        ),
        (
            "alias replay",
            "aliases of aliases multiply: write out what is meant",
        ),
        (
            "multiple YAML documents",
            "a configuration is one document: take the `---` away",
        ),
        (
            "did not find expected key",
            "keys of the same mapping begin in the same column",
        ),
        (
            "illegal placement of ':'",
            "check the brackets and quotes before it",
        ),
        (
            "unknown escape character",
            "in double quotes a backslash begins an escape; use single quotes",
        ),
    ];
    cases
        .iter()
        .find(|(part, _)| message.contains(part))
        .map(|(_, help)| *help)
}

/// A tab in the indentation of the line with the error or of the next one: the parser notices late, or early.
fn indentation_tab(text: &str, line: usize) -> Option<Range<usize>> {
    let mut start = 0;
    for (number, content) in (1..).zip(text.split_inclusive('\n')) {
        let indentation = content.len() - content.trim_start_matches([' ', '\t']).len();
        let tab = content[..indentation]
            .find('\t')
            .filter(|_| number == line || number == line + 1);
        if let Some(tab) = tab {
            return Some(start + tab..start + tab + 1);
        }
        start += content.len();
    }
    None
}

/// The character at this line and column, both from 1.
fn span(text: &str, line: usize, column: usize) -> Range<usize> {
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let content = text[start..].lines().next().unwrap_or_default();
    let (offset, character) = content
        .char_indices()
        .nth(column - 1)
        .unwrap_or((content.len(), ' '));
    let end = offset + character.len_utf8();
    start + offset..start + end.min(content.len()).max(offset)
}
