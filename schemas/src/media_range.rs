//! Media types, and the ranges that they fall into (RFC 9110 8.3.1 and 12.5.1).

use std::{borrow::Cow, fmt, str::FromStr};

/// Some media types: `application/json`, `text/*`, `*/*`, or `text/plain;charset=utf-8`, which are only those with that
/// parameter. In lower case, but for values of parameters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaRange {
    kind: Box<str>,
    subtype: Box<str>,
    parameters: Box<[(Box<str>, Box<str>)]>,
}

/// A media type as a message has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType<'m> {
    kind: &'m str,
    subtype: &'m str,
    /// Well-formed.
    parameters: &'m str,
}

impl<'m> MediaType<'m> {
    /// None for what is no media type.
    pub fn parse(text: &'m str) -> Option<Self> {
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let (kind, subtype) = essence.trim_matches(WHITE).split_once('/')?;
        let is_one = is_token(kind) && is_token(subtype) && Parameters(parameters).all(|one| one.is_some());
        is_one.then_some(Self {
            kind,
            subtype,
            parameters,
        })
    }

    /// What stands under this name, if something does.
    fn parameter(&self, wanted: &str) -> Option<Cow<'m, str>> {
        let mut parameters = Parameters(self.parameters).flatten();
        parameters.find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then_some(value))
    }
}

impl MediaRange {
    /// Whether a media type is one of them. Parameters that the range does not name do not matter.
    pub fn includes(&self, media_type: &MediaType<'_>) -> bool {
        let fits = |mine: &str, theirs: &str| mine == "*" || mine.eq_ignore_ascii_case(theirs);
        fits(&self.kind, media_type.kind)
            && fits(&self.subtype, media_type.subtype)
            && self.parameters.iter().all(|(name, wanted)| {
                let value = media_type.parameter(name);
                value.is_some_and(|value| is_same(name, &value, wanted))
            })
    }
}

/// Names of character sets are compared without case (RFC 2046 4.1.2); of other values only their definition says whether.
fn is_same(name: &str, value: &str, wanted: &str) -> bool {
    value == wanted || name == "charset" && value.eq_ignore_ascii_case(wanted)
}

const WHITE: [char; 2] = [' ', '\t'];

/// The parameters of a media type, one after the other; none for what is no parameter, with which it ends.
struct Parameters<'p>(&'p str);

impl<'p> Iterator for Parameters<'p> {
    type Item = Option<(&'p str, Cow<'p, str>)>;

    fn next(&mut self) -> Option<Self::Item> {
        // An empty one is allowed, and means nothing (RFC 9110 5.6.6).
        self.0 = self.0.trim_start_matches([' ', '\t', ';']);
        if self.0.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.0 = "";
        }
        Some(read)
    }
}

impl<'p> Parameters<'p> {
    fn read(&mut self) -> Option<(&'p str, Cow<'p, str>)> {
        let (name, rest) = self.0.split_once('=').filter(|(name, _)| is_token(name))?;
        let (value, rest) = if let Some(quoted) = rest.strip_prefix('"') {
            unquoted(quoted)?
        } else {
            let end = rest.find([' ', '\t', ';']).unwrap_or(rest.len());
            let (value, rest) = rest.split_at_checked(end).filter(|(value, _)| is_token(value))?;
            (Cow::Borrowed(value), rest)
        };
        let rest = rest.trim_start_matches(WHITE);
        self.0 = rest;
        (rest.is_empty() || rest.starts_with(';')).then_some((name, value))
    }
}

/// The text of a quoted string whose first quote was read, and what follows it (RFC 9110 5.6.4).
fn unquoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '"' => return Some((Cow::Owned(value), rest.as_str())),
            '\\' => value.push(rest.next()?),
            other => value.push(other),
        }
    }
}

fn is_token(text: &str) -> bool {
    let is_in = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_in)
}

impl FromStr for MediaRange {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no media type such as \"application/json\" or \"text/*\"");
        let read = MediaType::parse(text).ok_or_else(wrong)?;
        let is_range = |part: &str| part.contains('*');
        let well_formed = match (read.kind, read.subtype) {
            ("*", "*") => true,
            (kind, "*") => !is_range(kind),
            (kind, subtype) => !is_range(kind) && !is_range(subtype),
        };
        if !well_formed {
            return Err(wrong());
        }
        let lower = |text: &str| text.to_ascii_lowercase().into_boxed_str();
        let parameters = Parameters(read.parameters).flatten();
        Ok(Self {
            kind: lower(read.kind),
            subtype: lower(read.subtype),
            parameters: parameters
                .map(|(name, value)| (lower(name), value.into()))
                .collect(),
        })
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.kind, self.subtype)?;
        for (name, value) in &self.parameters {
            if is_token(value) {
                write!(out, ";{name}={value}")?;
            } else {
                let escaped = value.replace('\\', r"\\").replace('"', "\\\"");
                write!(out, ";{name}=\"{escaped}\"")?;
            }
        }
        Ok(())
    }
}

text_value!(
    MediaRange,
    "a media type, or all of a kind: `application/json`, `text/*`",
    r"^[^/\s]+/[^/\s]+.*$"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn includes(range: &str, media_type: &str) -> bool {
        let range: MediaRange = range.parse().unwrap();
        MediaType::parse(media_type).is_some_and(|media_type| range.includes(&media_type))
    }

    #[test]
    fn a_range_includes_types_whatever_their_case_and_parameters() {
        for (range, media_type) in [
            ("application/json", "application/json"),
            ("application/json", "Application/JSON ; charset=utf-8"),
            ("Application/*", "application/problem+json"),
            ("*/*", "image/png"),
            (
                "text/plain;charset=utf-8",
                "text/plain; format=flowed; Charset=\"UTF-8\"",
            ),
            ("a/b;x=\"a b\"", r#"a/b;x="a\ b";;"#),
        ] {
            assert!(includes(range, media_type), "{range} {media_type}");
        }
        for (range, media_type) in [
            ("application/json", "application/json-patch+json"),
            ("application/json", "text/json"),
            ("application/*", "text/plain"),
            ("text/plain;charset=utf-8", "text/plain"),
            ("text/plain;charset=utf-8", "text/plain;charset=utf-16"),
            ("a/b;x=y", "a/b;x=Y"),
        ] {
            assert!(!includes(range, media_type), "{range} {media_type}");
        }
    }

    #[test]
    fn what_is_no_media_type_is_in_no_range() {
        for text in [
            "",
            "json",
            "application/",
            "application/json, text/plain",
            "application/json;charset",
            "application/json;a=b c=d",
            "application/json;a=\"b",
            "application/json;=b",
            "application /json",
            "application/json;a= b",
        ] {
            assert!(!includes("*/*", text), "{text}");
        }
    }

    #[test]
    fn a_range_has_one_form() {
        let check = |text: &str, written: &str| {
            assert_eq!(text.parse::<MediaRange>().unwrap().to_string(), written);
        };
        check("Text/HTML ; Charset=UTF-8", "text/html;charset=UTF-8");
        check(r#"a/b;c="d\"e\\f""#, r#"a/b;c="d\"e\\f""#);
        check("a/b;", "a/b");
        for wrong in ["*/json", "*", "appl*/json", "a/*+json", "a/b;c", ""] {
            assert!(wrong.parse::<MediaRange>().is_err(), "{wrong}");
        }
    }
}
