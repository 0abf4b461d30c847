//! What is to be said about a configuration: mistakes, and what may surprise. Each with its place, when it has one.

use std::{fmt, ops::Range, sync::Arc};

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents, ThemeStyles,
};

/// Something to be said about a configuration.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The part of a file it is about.
    pub place: Option<Place>,
    /// The same as a JSON Pointer (RFC 6901) into what the file says, if it is that of a mistake in a file.
    pub pointer: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It must be mended: nothing is applied.
    Mistake,
    /// It is accepted, and may not do what its author thinks.
    Warning,
}

/// A part of a file.
#[derive(Clone)]
pub struct Place {
    /// The file.
    pub source: Arc<SourceText>,
    /// The bytes it is about.
    pub span: Range<usize>,
}

/// A file that findings are about.
#[derive(Debug)]
pub struct SourceText {
    /// Its name, as the user gave it.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// All mistakes of a configuration; at least one.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Finding>);

impl Finding {
    /// A mistake without a place in a file.
    pub fn mistake(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Mistake,
            message: shortened(message.into()),
            help: None,
            place: None,
            pointer: None,
        }
    }

    /// A warning without a place in a file.
    pub fn warning(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::mistake(message)
        }
    }

    /// With what would be right.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With its place.
    #[must_use]
    pub fn at(mut self, source: &Arc<SourceText>, span: Range<usize>) -> Self {
        self.place = Some(Place {
            source: source.clone(),
            span,
        });
        self
    }

    /// In several lines for a person: with the line of the file, and a caret below the place.
    pub fn render(&self, colour: bool) -> String {
        let theme = GraphicalTheme {
            styles: if colour {
                ThemeStyles::ansi()
            } else {
                ThemeStyles::none()
            },
            ..GraphicalTheme::ascii()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_context_lines(1)
            .with_width(110);
        let mut text = String::new();
        match handler.render_report(&mut text, &Report(self)) {
            Ok(()) => text,
            Err(fmt::Error) => format!("{self}\n"), // a span outside of the text cannot be shown, the words can
        }
    }
}

/// In one line: `config/proxy.yml:12:5: unknown key ...`.
impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(out, "{place}: ")?;
        }
        out.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(out, " ({help})"))
    }
}

impl std::error::Error for Finding {}

/// A finding as `miette` draws it: place and help have lines of their own there.
#[derive(Debug)]
struct Report<'a>(&'a Finding);

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.0.severity {
            Severity::Mistake => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0
            .help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0
            .place
            .as_ref()
            .map(|place| &*place.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.0.place.as_ref()?;
        let text = &place.source.text;
        let mut span = place.span.clone();
        if span.len() > LINE_MAX {
            span.end = floor(text, span.start + SHOWN_MAX).max(span.start);
        }
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}

impl SourceCode for SourceText {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let part = self.text.read_span(span, before, after)?;
        let is_long = |line: &[u8]| line.len() > LINE_MAX;
        if part.data().split(|byte| *byte == b'\n').any(is_long) {
            return Ok(Box::new(self.excerpt(span, (before, after), &*part)));
        }
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            part.data(),
            *part.span(),
            part.line(),
            part.column(),
            part.line_count(),
        )))
    }
}

/// The most bytes of a line that is shown whole.
const LINE_MAX: usize = 400;
/// How many bytes around a place are shown of a longer one, and how many of a long value.
const SHOWN_MAX: usize = 80;

impl SourceText {
    /// What is near a place in a line that is too long to be shown.
    fn excerpt<'a>(
        &'a self,
        span: &SourceSpan,
        context: (usize, usize),
        part: &dyn SpanContents<'a>,
    ) -> MietteSpanContents<'a> {
        let text = &self.text;
        let line_start = text[..span.offset()].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[span.offset()..]
            .find('\n')
            .map_or(text.len(), |newline| span.offset() + newline);
        let near = if context == (0, 0) { 0 } else { SHOWN_MAX };
        let start = floor(text, span.offset().saturating_sub(near)).max(line_start);
        let end = floor(text, span.offset() + 2 * SHOWN_MAX)
            .min(line_end)
            .max(start);
        let line = part.line() + text[part.span().offset()..start].matches('\n').count();
        MietteSpanContents::new_named(
            self.name.clone(),
            &text.as_bytes()[start..end],
            (start, end - start).into(),
            line,
            text[line_start..start].chars().count(),
            1,
        )
    }
}

/// The last boundary of a character that is not after this byte.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A message that repeats a value of any length, without the middle of it.
fn shortened(message: String) -> String {
    const END: usize = 200;
    let Some((head, _)) = message
        .char_indices()
        .nth(END)
        .filter(|_| message.len() > 5 * END)
    else {
        return message;
    };
    let tail = floor(&message, message.len() - END);
    format!("{} [...] {}", &message[..head], &message[tail..])
}

impl Place {
    /// Line and column, both from 1; the column counts characters.
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = self
            .source
            .text
            .get(..self.span.start)
            .unwrap_or(&self.source.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }
}

/// `config/proxy.yml:12:5`.
impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        write!(out, "{}:{line}:{column}", self.source.name)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
