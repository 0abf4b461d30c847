//! Values that are made for each request: text, and variables in it, `user-${path.id}`.

use std::{fmt, str::FromStr};

use crate::{
    PathPattern,
    variable::{Variable, VariableError},
};

/// The longest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 4096;

/// What a value is made of. A variable that a request does not have stands for nothing.
///
/// In a configuration file `${NAME}` is resolved when the file is read; names of variables have a dot, which names in
/// the environment never have, so that both can stand in one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ValueTemplate(Box<[Piece]>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Piece {
    /// This text, without control characters.
    Text(Box<str>),
    /// What the request has of this.
    Variable(Variable),
}

/// Why a string is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing.
    #[error("a value cannot be empty: to take something away, list its name in `remove`")]
    Empty,
    /// A line end, a NUL or the like.
    #[error("a value has no control characters")]
    Control,
    /// Over the bound.
    #[error("a value has at most {TEMPLATE_BYTES_MAX} bytes")]
    TooLong,
    /// A `${` without its `}`.
    #[error("`${{` is not closed: write `${{request.id}}`")]
    Open,
    /// Braces around something else.
    #[error(transparent)]
    Variable(#[from] VariableError),
}

impl ValueTemplate {
    /// The pieces in order, at least one.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The first variable that routes with this pattern do not have.
    pub fn missing_in(&self, pattern: &PathPattern) -> Option<&Variable> {
        self.0.iter().find_map(|piece| match piece {
            Piece::Variable(variable) if !variable.is_in(pattern) => Some(variable),
            Piece::Variable(_) | Piece::Text(_) => None,
        })
    }
}

impl FromStr for ValueTemplate {
    type Err = TemplateError;
    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty);
        }
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(TemplateError::Control);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or(TemplateError::Open)?;
            pieces.extend(text_piece(before));
            pieces.push(Piece::Variable(name.parse()?));
            rest = after;
        }
        pieces.extend(text_piece(rest));
        Ok(Self(pieces.into()))
    }
}

fn text_piece(text: &str) -> Option<Piece> {
    (!text.is_empty()).then(|| Piece::Text(text.into()))
}

impl fmt::Display for ValueTemplate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.write_str(text)?,
                Piece::Variable(variable) => write!(out, "${{{variable}}}")?,
            }
        }
        Ok(())
    }
}

text_value!(
    ValueTemplate,
    "a value, in which `${client.address}` and other variables stand for what the request has",
    r"^[^\x00-\x1f\x7f]+$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_written_as_it_was_read() {
        for text in [
            "plain text, $5 and {braces}",
            "${request.id}",
            "a${request.id}b${header.x-user}",
            "${path.id}${query.a.b}",
            "Zoë",
        ] {
            assert_eq!(text.parse::<ValueTemplate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_a_value_is_refused() {
        let refusal = |text: &str| text.parse::<ValueTemplate>().unwrap_err();
        assert_eq!(refusal(""), TemplateError::Empty);
        assert_eq!(refusal(&"x".repeat(4097)), TemplateError::TooLong);
        assert_eq!(refusal("a${request.id"), TemplateError::Open);
        assert!(matches!(refusal("${request.ids}"), TemplateError::Variable(_)));
        for text in ["a\r\nset-cookie: b", "a\nb", "a\0", "a\u{7f}", "a\u{85}"] {
            assert_eq!(refusal(text), TemplateError::Control, "{text:?}");
        }
    }

    #[test]
    fn a_segment_must_be_in_the_pattern() {
        let missing = |template: &str, pattern: &str| {
            let template: ValueTemplate = template.parse().unwrap();
            template
                .missing_in(&pattern.parse().unwrap())
                .map(ToString::to_string)
        };
        assert_eq!(missing("${path.id}-${request.id}", "/users/:id"), None);
        assert_eq!(
            missing("${path.name}", "/users/:id").as_deref(),
            Some("path.name")
        );
    }
}
