//! The normal form of request paths, in which they are matched and forwarded (RFC 3986 6.2.2).

use std::borrow::Cow;

use flexgate_schemas::path::is_unreserved;

/// A path in normal form: no dot segments, no escaped unreserved characters, escapes in upper case, and everything
/// escaped that a path cannot carry bare. Empty segments are kept. The form of a route's literals is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalPath<'a> {
    /// The path; borrowed when it was in normal form already.
    pub path: Cow<'a, str>,
    /// Whether it has a `%2F` or `%5C`, which only a route that says so takes.
    pub encoded_slash: bool,
}

/// Why a request's path is refused. All of them are 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathRefusal {
    /// Neither `/...` nor `*`.
    #[error("the path does not begin with `/`")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits.
    #[error("the path has a `%` that is not followed by two hexadecimal digits")]
    Escape,
    /// NUL, which ends a string for some of those behind us and not for others.
    #[error("the path has an escaped NUL")]
    Nul,
    /// A bare backslash, which some take for a slash.
    #[error("the path has a backslash; escape it as %5C")]
    Backslash,
    /// An encoded slash that the client did not send: parts of its path make one in the rewritten path.
    #[error("the path makes an encoded slash where it is rewritten")]
    ComposedSlash,
    /// White space, a control character, `?` or `#`.
    #[error("the path has a character that must be escaped")]
    Character,
}

/// Brings a request's path, without its query, into normal form. The `*` of `OPTIONS *` is left alone.
pub fn normalize(path: &str) -> Result<NormalPath<'_>, PathRefusal> {
    if !path.starts_with('/') && path != "*" {
        return Err(PathRefusal::NotAbsolute);
    }
    if path.bytes().all(|byte| PLAIN[usize::from(byte)]) {
        return Ok(NormalPath {
            path: Cow::Borrowed(path),
            encoded_slash: false,
        });
    }
    let NormalPath { path, encoded_slash } = normalize_escapes(path)?;
    let path = match path {
        Cow::Borrowed(path) => without_dot_segments(path),
        Cow::Owned(path) => Cow::Owned(without_dot_segments(&path).into_owned()),
    };
    Ok(NormalPath { path, encoded_slash })
}

/// The bytes that mean themselves wherever they stand. The dot is not among them: it may be a dot segment.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let bytes = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~/!$&'()*+,;=:@[]";
    let mut place = 0;
    while place < bytes.len() {
        plain[bytes[place] as usize] = true;
        place += 1;
    }
    plain
};

fn normalize_escapes(path: &str) -> Result<NormalPath<'_>, PathRefusal> {
    let mut normal = Normalizing {
        source: path,
        kept: 0,
        changed: None,
    };
    let mut encoded_slash = false;
    let bytes = path.as_bytes();
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        place += match byte {
            b'%' => {
                let escape = bytes.get(place + 1..place + 3).ok_or(PathRefusal::Escape)?;
                let value = escaped(escape).ok_or(PathRefusal::Escape)?;
                encoded_slash |= matches!(value, b'/' | b'\\');
                if value == 0 {
                    return Err(PathRefusal::Nul);
                }
                if is_unreserved(value) {
                    normal.replace(place, 3).push(value.into());
                } else if escape.iter().any(u8::is_ascii_lowercase) {
                    push_escaped(normal.replace(place, 3), value);
                }
                3
            }
            b'\\' => return Err(PathRefusal::Backslash),
            0..=b' ' | 0x7f | b'?' | b'#' => return Err(PathRefusal::Character),
            b'.' => 1,
            _ if PLAIN[usize::from(byte)] => 1,
            _ => {
                let character = &bytes[place..path.ceil_char_boundary(place + 1)];
                let out = normal.replace(place, character.len());
                for &byte in character {
                    push_escaped(out, byte);
                }
                character.len()
            }
        };
    }
    Ok(NormalPath {
        path: normal.finish(),
        encoded_slash,
    })
}

/// A text of which parts are replaced, copied only once the first is.
struct Normalizing<'a> {
    source: &'a str,
    /// Up to here the source is in `changed`, if anything is.
    kept: usize,
    changed: Option<String>,
}

impl<'a> Normalizing<'a> {
    /// Copies what comes before `place` and passes by the `count` bytes there, which are whole characters. The caller
    /// pushes what stands for them.
    fn replace(&mut self, place: usize, count: usize) -> &mut String {
        let changed = self
            .changed
            .get_or_insert_with(|| String::with_capacity(self.source.len()));
        changed.push_str(&self.source[self.kept..place]);
        self.kept = place + count;
        changed
    }

    fn finish(self) -> Cow<'a, str> {
        match self.changed {
            None => Cow::Borrowed(self.source),
            Some(changed) => Cow::Owned(changed + &self.source[self.kept..]),
        }
    }
}

fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(digits[0])? << 4 | digit(digits[1])?;
    u8::try_from(value).ok()
}

fn push_escaped(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(DIGITS[usize::from(byte >> 4)].into());
    out.push(DIGITS[usize::from(byte & 15)].into());
}

/// RFC 3986 5.2.4. What climbs above the root stays at the root.
fn without_dot_segments(path: &str) -> Cow<'_, str> {
    if !path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Cow::Borrowed(path);
    }
    let mut normal = String::with_capacity(path.len());
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => normal.truncate(normal.rfind('/').unwrap_or(0)),
            _ => {
                normal.push('/');
                normal.push_str(segment);
                continue;
            }
        }
        if segments.peek().is_none() {
            normal.push('/');
        }
    }
    Cow::Owned(normal)
}

#[cfg(test)]
mod tests {
    use flexgate_schemas::PathPattern;
    use proptest::prelude::*;

    use super::*;

    fn check(path: &str, expected: Result<&str, PathRefusal>) {
        let normal = normalize(path).map(|normal| normal.path.into_owned());
        assert_eq!(normal.as_deref(), expected.as_ref().map(|text| *text), "{path}");
    }

    #[test]
    fn dot_segments_are_removed() {
        check("/a/./b", Ok("/a/b"));
        check("/a/../b", Ok("/b"));
        check("/a/b/..", Ok("/a/"));
        check("/a/b/.", Ok("/a/b/"));
        check("/a/b/../..", Ok("/"));
        check("/..", Ok("/"));
        check("/../../a", Ok("/a"));
        check("/.", Ok("/"));
        check("/a/%2e%2E/b", Ok("/b"));
        check("/a/.%2e/%2e/b", Ok("/b"));
        check("/a//../b", Ok("/a/b"));
        check("/a/%252e%252e/b", Ok("/a/%252e%252e/b"));
    }

    #[test]
    fn dots_that_are_no_dot_segments_stay() {
        for path in ["/.well-known/x", "/a.b", "/a/...", "/..a/a..", "/a%2F../b"] {
            check(path, Ok(path));
        }
    }

    #[test]
    fn escapes_have_one_spelling() {
        check("/%61%7e%2D", Ok("/a~-"));
        check("/%c3%a9%3a", Ok("/%C3%A9%3A"));
        check("/é\"{}|^`<>", Ok("/%C3%A9%22%7B%7D%7C%5E%60%3C%3E"));
        check("/a;b=1,2/$&'()*+!:@[]", Ok("/a;b=1,2/$&'()*+!:@[]"));
    }

    #[test]
    fn what_is_normal_already_is_borrowed() {
        for path in [
            "/",
            "*",
            "//a//",
            "/users/42",
            "/a%20b/%2F",
            "/v1.2/file.json",
            "/.hidden",
        ] {
            let normal = normalize(path).unwrap();
            assert!(
                matches!(normal.path, Cow::Borrowed(same) if same == path),
                "{path}"
            );
        }
    }

    #[test]
    fn an_encoded_slash_is_reported() {
        for (path, expected) in [
            ("/a%2fb", true),
            ("/a%5Cb", true),
            ("/a/b", false),
            ("/a%252Fb", false),
        ] {
            assert_eq!(normalize(path).unwrap().encoded_slash, expected, "{path}");
        }
    }

    #[test]
    fn what_no_upstream_should_see_is_refused() {
        check("", Err(PathRefusal::NotAbsolute));
        check("a", Err(PathRefusal::NotAbsolute));
        check("**", Err(PathRefusal::NotAbsolute));
        check("/%", Err(PathRefusal::Escape));
        check("/%4", Err(PathRefusal::Escape));
        check("/%+1", Err(PathRefusal::Escape));
        check("/%é", Err(PathRefusal::Escape));
        check("/%00", Err(PathRefusal::Nul));
        check("/a\\b", Err(PathRefusal::Backslash));
        check("/a b", Err(PathRefusal::Character));
        check("/a?b", Err(PathRefusal::Character));
        check("/a\u{7f}", Err(PathRefusal::Character));
    }

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-c.]{0,3}",
            Just("/".into()),
            Just("%2e".into()),
            "%[0-9a-fA-F]{2}",
            any::<char>().prop_map(String::from)
        ]
    }

    proptest! {
        #[test]
        fn normal_form_is_reached_at_once_and_has_no_dot_segments(
            pieces in prop::collection::vec(piece(), 0..12),
        ) {
            let path = format!("/{}", pieces.concat());
            if let Ok(once) = normalize(&path) {
                prop_assert!(once.path.starts_with('/'));
                prop_assert!(!once.path.split('/').any(|segment| matches!(segment, "." | "..")));
                let twice = normalize(&once.path).unwrap();
                prop_assert!(matches!(twice.path, Cow::Borrowed(_)), "{path} {once:?} {twice:?}");
            }
        }

        #[test]
        fn a_routes_literal_and_the_same_path_of_a_request_have_one_form(
            pieces in prop::collection::vec(piece(), 0..6),
        ) {
            let path = format!("/{}", pieces.concat());
            if !path.contains(['*', ':']) && let Ok(pattern) = path.parse::<PathPattern>() {
                let normal = normalize(&path).unwrap();
                // A pattern cannot have a dot segment, but may have one in escapes, which no request then matches.
                if !normalize_escapes(&path).unwrap().path.split('/').any(|segment| matches!(segment, "." | "..")) {
                    prop_assert_eq!(normal.path, pattern.to_string());
                }
            }
        }
    }
}
