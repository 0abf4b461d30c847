//! Regular expressions that a whole value must match.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use regex::bytes::{Captures, Regex, RegexBuilder};

/// The longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 1024;
/// The largest program that an expression may become, and the most that a thread remembers of its states, in bytes.
/// Generous for what tells paths and values apart; `(a{1000}){1000}` is over it.
const PROGRAM_BYTES_MAX: usize = 128 * 1024;

/// A regular expression, in the syntax of the `regex` crate, whose running time is linear in the value: there is neither
/// a backreference nor a look-around. It means bytes and ASCII: `\d` is `[0-9]`.
///
/// It always means the whole value, whether it says `^` and `$` or not: `/v1` does not take `/v1/admin`. A forgotten
/// anchor would open more than was meant; what may precede or follow is said by `.*`.
#[derive(Clone)]
pub struct WholeRegex {
    text: Box<str>,
    regex: Regex,
}

/// Why a string is no such expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    /// Nothing, or more than the bound.
    #[error("a regular expression has 1 to {EXPRESSION_BYTES_MAX} bytes")]
    Length,
    /// It is not well-formed, or becomes too large.
    #[error("not a regular expression: {0}")]
    Syntax(String),
    /// It can be read on its own, but not as a part: a comment hides what follows.
    #[error("not a regular expression that can be anchored: leave comments out")]
    Comment,
    /// A character that no path in normal form has.
    #[error("no path has {0:?}: write it as an escape, as in `%C3%A9`")]
    NotInPaths(char),
}

impl WholeRegex {
    /// Whether all of the value matches.
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.regex.is_match(value)
    }

    /// What its groups have of a value that matches.
    pub fn captures<'v>(&self, value: &'v [u8]) -> Option<Captures<'v>> {
        self.regex.captures(value)
    }

    /// How many groups it has.
    pub fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }
}

fn built(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text)
        .unicode(false)
        .size_limit(PROGRAM_BYTES_MAX)
        .dfa_size_limit(PROGRAM_BYTES_MAX)
        .build()
}

impl FromStr for WholeRegex {
    type Err = RegexError;
    fn from_str(text: &str) -> Result<Self, RegexError> {
        if text.is_empty() || text.len() > EXPRESSION_BYTES_MAX {
            return Err(RegexError::Length);
        }
        // Alone first: nothing that is no expression may become one between the anchors, such as `a)|(?:b`.
        built(text).map_err(|error| RegexError::Syntax(error.to_string()))?;
        let regex = built(&format!(r"\A(?:{text})\z")).map_err(|_| RegexError::Comment)?;
        Ok(Self {
            text: text.into(),
            regex,
        })
    }
}

impl fmt::Display for WholeRegex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl fmt::Debug for WholeRegex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "WholeRegex({:?})", self.text)
    }
}

/// Two expressions are the same when they are written the same.
impl PartialEq for WholeRegex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for WholeRegex {}

impl PartialOrd for WholeRegex {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WholeRegex {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for WholeRegex {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.text.hash(hasher);
    }
}

text_value!(
    WholeRegex,
    "a regular expression that the whole value matches",
    "^.{1,1024}$"
);

/// A [`WholeRegex`] for paths in normal form, which are ASCII.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathRegex(WholeRegex);

impl PathRegex {
    /// The expression.
    pub fn as_regex(&self) -> &WholeRegex {
        &self.0
    }
}

impl FromStr for PathRegex {
    type Err = RegexError;
    fn from_str(text: &str) -> Result<Self, RegexError> {
        match text.chars().find(|character| !character.is_ascii()) {
            Some(character) => Err(RegexError::NotInPaths(character)),
            None => text.parse().map(Self),
        }
    }
}

impl fmt::Display for PathRegex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

text_value!(
    PathRegex,
    "a regular expression that the whole path, in normal form, matches",
    r"^[\x00-\x7f]{1,1024}$"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn regex(text: &str) -> WholeRegex {
        text.parse().unwrap()
    }

    #[test]
    fn all_of_a_value_must_match_however_the_expression_is_anchored() {
        let check = |text: &str, value: &str, expected: bool| {
            assert_eq!(
                regex(text).is_match(value.as_bytes()),
                expected,
                "{text} {value:?}"
            );
        };
        for text in ["/v[12]", "^/v[12]$", "^/v[12]", r"\A/v[12]\z"] {
            check(text, "/v1", true);
            check(text, "/v1/admin", false);
            check(text, "x/v1", false);
        }
        check("a|ab", "ab", true);
        check("a|b", "ac", false);
        check("(?m)^a$", "a\nb", false);
        check("a.*", "a\nb", false);
        check("(?i)Beta", "bETA", true);
        check(r"\d", "٣", false);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let refusal = |text: &str| text.parse::<WholeRegex>().unwrap_err();
        for text in ["(", "a)|(?:b", r"(a)\1", "(?=a)", "*", r"(a{1000}){1000}"] {
            assert!(matches!(refusal(text), RegexError::Syntax(_)), "{text}");
        }
        assert_eq!(refusal("(?x)a # letter"), RegexError::Comment);
        assert_eq!(refusal(""), RegexError::Length);
        assert_eq!(refusal(&"a".repeat(1025)), RegexError::Length);
        assert_eq!("/é".parse::<PathRegex>(), Err(RegexError::NotInPaths('é')));
    }

    proptest! {
        #[test]
        fn the_text_of_a_value_matches_that_value_alone(value in "[ -~]{1,20}", other in "[ -~]{0,20}") {
            let exactly = regex(&regex::escape(&value));
            prop_assert!(exactly.is_match(value.as_bytes()));
            prop_assert_eq!(exactly.is_match(other.as_bytes()), value == other);
        }

        #[test]
        fn an_expression_takes_what_one_of_its_branches_takes(a in "[ab.*]{1,4}", b in "[ab.*]{1,4}", value in "[ab]{0,6}") {
            if let (Ok(first), Ok(second)) = (a.parse::<WholeRegex>(), b.parse::<WholeRegex>()) {
                let either = first.is_match(value.as_bytes()) || second.is_match(value.as_bytes());
                prop_assert_eq!(regex(&format!("{a}|{b}")).is_match(value.as_bytes()), either);
            }
        }
    }
}
