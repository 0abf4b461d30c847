//! Path templates of rewrites: `/v2/users/:id/*`, filled from what the route's pattern matched.

use std::{fmt, str::FromStr};

use crate::path::{PathError, PathPattern, Segment};

/// What a rewritten path is made of. Written like a [`PathPattern`]; a name stands for the segment that the pattern
/// gave that name, and a final `*` for the rest of the path below the pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathTemplate(PathPattern);

impl PathTemplate {
    /// The segments in order.
    pub fn segments(&self) -> &[Segment] {
        self.0.segments()
    }

    /// Whether the rest of the matched path follows.
    pub fn appends_rest(&self) -> bool {
        self.0.is_prefix()
    }

    /// The first name, or `*`, that `pattern` does not provide.
    pub fn missing_in(&self, pattern: &PathPattern) -> Option<&str> {
        if self.appends_rest() && !pattern.is_prefix() {
            return Some("*");
        }
        self.segments().iter().find_map(|segment| match segment {
            Segment::Named(name) if !pattern.names(name) => Some(&**name),
            Segment::Named(_) | Segment::Literal(_) => None,
        })
    }
}

impl FromStr for PathTemplate {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

text_value!(
    PathTemplate,
    "a path with `:name` and a final `*` from the route's pattern",
    "^/"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_uses_only_what_the_pattern_provides() {
        let missing = |template: &str, pattern: &str| {
            let template: PathTemplate = template.parse().unwrap();
            template.missing_in(&pattern.parse().unwrap()).map(str::to_owned)
        };
        assert_eq!(missing("/v2/:id/*", "/users/:id/*"), None);
        assert_eq!(missing("/v2/:name", "/users/:id"), Some("name".to_owned()));
        assert_eq!(missing("/v2/*", "/users/:id"), Some("*".to_owned()));
    }
}
