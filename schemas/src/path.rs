//! Path patterns of routes: `/users` exactly, `/users/:id` with named segments, `/api/*` with everything below.

use std::{fmt, str::FromStr};

/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 2048;
/// The most segments a pattern may have.
const SEGMENTS_MAX: usize = 64;

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// This text, in the normal form that requests are matched in.
    Literal(Box<str>),
    /// Any one non-empty segment, known by this name to rewrites.
    Named(Box<str>),
}

/// Which paths a route takes. `/api/*` takes `/api`, `/api/` and everything below, never `/apix`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern {
    segments: Box<[Segment]>,
    prefix: bool,
}

/// Why a string is not a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Does not begin with a slash.
    #[error("a path pattern begins with `/`, {0:?} does not")]
    NoSlash(String),
    /// A `*` that is not the last segment.
    #[error("`*` stands only alone and last, as in `/api/*`; {0:?} has it elsewhere")]
    Wildcard(String),
    /// A `:` without a name, or with one that is no identifier.
    #[error("{0:?} is not a segment name: write `:` and letters, digits or `_`")]
    Name(String),
    /// The same name twice.
    #[error("the segment name {0:?} is used twice")]
    DoubleName(String),
    /// A literal that no normalised request path can contain.
    #[error("no request can match {segment:?}: {reason}")]
    Literal {
        /// The segment as written.
        segment: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Over the length or segment bound.
    #[error("a path pattern has at most {PATTERN_BYTES_MAX} bytes and {SEGMENTS_MAX} segments")]
    TooLong,
}

impl PathPattern {
    /// The segments before the `*`, if there is one.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it ends in `/*`.
    pub fn is_prefix(&self) -> bool {
        self.prefix
    }

    /// Whether it has a segment of this name.
    pub fn names(&self, name: &str) -> bool {
        self.segments
            .iter()
            .any(|segment| matches!(segment, Segment::Named(own) if **own == *name))
    }

    /// The pattern with its names taken away: two patterns of the same shape match the same paths.
    #[must_use]
    pub fn shape(&self) -> Self {
        let nameless = |segment: &Segment| match segment {
            Segment::Literal(_) => segment.clone(),
            Segment::Named(_) => Segment::Named("".into()),
        };
        Self {
            segments: self.segments.iter().map(nameless).collect(),
            prefix: self.prefix,
        }
    }
}

fn parse_segment(text: &str) -> Result<Segment, PathError> {
    if let Some(name) = text.strip_prefix(':') {
        let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return if valid {
            Ok(Segment::Named(name.into()))
        } else {
            Err(PathError::Name(text.to_owned()))
        };
    }
    if text.contains('*') {
        return Err(PathError::Wildcard(text.to_owned()));
    }
    let refuse = |reason| {
        Err(PathError::Literal {
            segment: text.to_owned(),
            reason,
        })
    };
    if matches!(text, "." | "..") {
        return refuse("dot segments are removed before matching");
    }
    if text.contains(['?', '#']) {
        return refuse("the query is matched by `match.query`, a fragment is never sent");
    }
    match normal_text(text) {
        Ok(normal) => Ok(Segment::Literal(normal.into())),
        Err(reason) => refuse(reason),
    }
}

/// Text of a path in the normal form of RFC 3986 6.2.2, in which requests are matched: escapes of unreserved characters
/// decoded, the others with upper-case digits, and everything that a path cannot carry escaped.
pub(crate) fn normal_text(text: &str) -> Result<String, &'static str> {
    let mut normal = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let pair = [bytes.next().unwrap_or(0), bytes.next().unwrap_or(0)];
                let digits = std::str::from_utf8(&pair)
                    .ok()
                    .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                let Some(value) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
                    return Err("`%` is followed by two hexadecimal digits");
                };
                if value == 0 {
                    return Err("NUL is refused in every request");
                }
                if is_unreserved(value) {
                    normal.push(value.into());
                } else {
                    push_escaped(&mut normal, value);
                }
            }
            b'\\' => return Err("a backslash is refused in every request"),
            0..=0x20 | 0x7f => return Err("white space and control characters are written as escapes (%20)"),
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => push_escaped(&mut normal, byte),
            _ => normal.push(byte.into()),
        }
    }
    Ok(normal)
}

/// Whether a byte means the same escaped and bare (RFC 3986 2.3).
pub fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn push_escaped(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(DIGITS[usize::from(byte >> 4)].into());
    out.push(DIGITS[usize::from(byte & 15)].into());
}

impl FromStr for PathPattern {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| PathError::NoSlash(text.to_owned()))?;
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let (literal, prefix) = match rest.strip_suffix('*') {
            Some("") => {
                return Ok(Self {
                    segments: Box::default(),
                    prefix: true,
                });
            }
            Some(before) => match before.strip_suffix('/') {
                Some(before) => (before, true),
                None => return Err(PathError::Wildcard(text.to_owned())),
            },
            None => (rest, false),
        };
        let segments = literal
            .split('/')
            .map(parse_segment)
            .collect::<Result<Box<[_]>, _>>()?;
        if segments.len() > SEGMENTS_MAX {
            return Err(PathError::TooLong);
        }
        for (position, segment) in segments.iter().enumerate() {
            if let Segment::Named(name) = segment
                && segments[..position].contains(segment)
            {
                return Err(PathError::DoubleName(name.to_string()));
            }
        }
        Ok(Self { segments, prefix })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(out, "/{text}")?,
                Segment::Named(name) => write!(out, "/:{name}")?,
            }
        }
        if self.prefix { out.write_str("/*") } else { Ok(()) }
    }
}

text_value!(
    PathPattern,
    "a path pattern: `/users`, `/users/:id`, `/api/*`",
    "^/"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_written_as_it_was_read() {
        for text in [
            "/",
            "/*",
            "/users",
            "/users/",
            "/users/:id",
            "/users/:id/*",
            "//",
            "/a%2Fb",
        ] {
            assert_eq!(text.parse::<PathPattern>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_literal_is_kept_in_the_form_requests_are_matched_in() {
        assert_eq!(
            "/%61b/%c3%a9/é".parse::<PathPattern>().unwrap().to_string(),
            "/ab/%C3%A9/%C3%A9"
        );
    }

    #[test]
    fn what_no_request_can_match_is_refused() {
        for text in [
            "", "users", "/a*", "/*/b", "/:", "/:a/:a", "/../a", "/a?b=1", "/a%zz", "/a%0", "/a b", "/a\\b",
            "/%00",
        ] {
            assert!(text.parse::<PathPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_that_differ_only_in_names_have_one_shape() {
        let shape = |text: &str| text.parse::<PathPattern>().unwrap().shape();
        assert_eq!(shape("/users/:id"), shape("/users/:name"));
        assert_ne!(shape("/users/:id"), shape("/users/:id/*"));
    }
}
