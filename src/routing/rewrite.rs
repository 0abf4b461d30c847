//! The path that is forwarded.

use std::borrow::Cow;

use flexgate_schemas::{PathPattern, PathTemplate, Rewrite, Route, path::Segment, rewrite::RegexRewrite};

use super::path::{PathRefusal, normalize};

/// What becomes of the paths that a route takes, as far as it can be said before there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathChange {
    /// They go as they are.
    None,
    /// So many segments go, the literal ones that the pattern begins with; a pattern has 64 at most.
    Strip(u8),
    /// The route's `rewrite` says.
    Rewrite,
}

impl PathChange {
    /// What a route says.
    pub fn of(route: &Route) -> Self {
        if route.rewrite.is_some() {
            return Self::Rewrite;
        }
        let literals =
            (route.path.segments().iter()).take_while(|segment| matches!(segment, Segment::Literal(_)));
        match u8::try_from(literals.count()) {
            Ok(count) if route.strip_path => Self::Strip(count),
            _ => Self::None,
        }
    }

    /// The path to forward for one that this very route matched, both in normal form. The `*` of `OPTIONS *` stays what it
    /// is. Only what a regular expression makes of a path can be no path.
    pub fn make<'p>(self, route: &Route, path: &'p str) -> Result<Cow<'p, str>, PathRefusal> {
        if !path.starts_with('/') {
            return Ok(Cow::Borrowed(path));
        }
        match self {
            Self::None => Ok(Cow::Borrowed(path)),
            Self::Strip(count) => Ok(Cow::Borrowed(strip(path, count))),
            Self::Rewrite => match route.rewrite.as_deref() {
                Some(Rewrite::Template(template)) => Ok(Cow::Owned(fill(template, &route.path, path))),
                Some(Rewrite::Regex(rewrite)) => replace(rewrite, path, route.allow_encoded_slashes),
                None => Ok(Cow::Borrowed(path)),
            },
        }
    }
}

fn strip(path: &str, count: u8) -> &str {
    match after_segments(path, count.into()) {
        "" => "/",
        rest => rest,
    }
}

/// The groups of an expression may be put together to anything: a dot segment is removed, half an escape is refused.
fn replace<'p>(
    rewrite: &RegexRewrite,
    path: &'p str,
    allow_encoded_slashes: bool,
) -> Result<Cow<'p, str>, PathRefusal> {
    let Some(replaced) = rewrite.replace(path) else {
        return Ok(Cow::Borrowed(path));
    };
    let normal = normalize(&replaced)?;
    if normal.encoded_slash && !allow_encoded_slashes {
        return Err(PathRefusal::ComposedSlash);
    }
    Ok(Cow::Owned(normal.path.into_owned()))
}

/// What of a path follows its first segments: nothing, or something that begins with a slash.
fn after_segments(path: &str, count: usize) -> &str {
    let next_slash = |slash: usize| path[slash + 1..].find('/').map(|found| slash + 1 + found);
    let end = (0..count).try_fold(0, |slash, _| next_slash(slash));
    end.map_or("", |slash| &path[slash..])
}

fn fill(template: &PathTemplate, pattern: &PathPattern, path: &str) -> String {
    let mut forwarded = String::with_capacity(path.len() + 16);
    for segment in template.segments() {
        forwarded.push('/');
        forwarded.push_str(match segment {
            Segment::Literal(text) => text,
            // The decider refuses a name that the pattern lacks; should one come from elsewhere, it stands for nothing.
            Segment::Named(name) => named_segment(name, pattern, path).unwrap_or_default(),
        });
    }
    if template.appends_rest() {
        forwarded.push_str(after_segments(path, pattern.segments().len()));
    }
    if forwarded.is_empty() {
        forwarded.push('/');
    }
    forwarded
}

/// What a path that the pattern matched has where the pattern has `:name`.
pub fn named_segment<'p>(name: &str, pattern: &PathPattern, path: &'p str) -> Option<&'p str> {
    let is_meant = |segment: &Segment| matches!(segment, Segment::Named(own) if **own == *name);
    let place = pattern.segments().iter().position(is_meant)?;
    path.split('/').nth(place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward_path<'p>(route: &Route, path: &'p str) -> Result<Cow<'p, str>, PathRefusal> {
        PathChange::of(route).make(route, path)
    }

    fn route(path: &str) -> Route {
        Route::new("r".parse().unwrap(), path.parse().unwrap(), "u".parse().unwrap())
    }

    #[test]
    fn without_a_rewrite_the_path_goes_as_it_is() {
        assert_eq!(forward_path(&route("/api/*"), "/api//x/").unwrap(), "/api//x/");
    }

    #[test]
    fn strip_path_takes_the_literal_part_away() {
        let check = |pattern: &str, path: &str, forwarded: &str| {
            let route = Route {
                strip_path: true,
                ..route(pattern)
            };
            assert_eq!(forward_path(&route, path).unwrap(), forwarded, "{pattern} {path}");
        };
        check("/api/*", "/api/users", "/users");
        check("/api/*", "/api/", "/");
        check("/api/*", "/api", "/");
        check("/api/*", "/api//x", "//x");
        check("/api/v1/*", "/api/v1/a/b/", "/a/b/");
        check("/api/users", "/api/users", "/");
        check("/users/:id/*", "/users/42/posts", "/42/posts");
        check("/:any/*", "/a/b", "/a/b");
        check("/*", "/a/b", "/a/b");
        check("/*", "*", "*");
    }

    #[test]
    fn a_rewrite_is_filled_from_the_path() {
        let check = |pattern: &str, template: &str, path: &str, forwarded: &str| {
            let rewrite = Some(Box::new(Rewrite::Template(template.parse().unwrap())));
            let route = Route {
                rewrite,
                ..route(pattern)
            };
            assert_eq!(
                forward_path(&route, path).unwrap(),
                forwarded,
                "{pattern} {template} {path}"
            );
        };
        check("/users/:id", "/v2/people/:id", "/users/42", "/v2/people/42");
        check("/a/:x/:y/*", "/:y/:x/*", "/a/1/2/3/4", "/2/1/3/4");
        check("/old/*", "/new/*", "/old", "/new");
        check("/old/*", "/new/*", "/old/", "/new/");
        check("/old/*", "/*", "/old", "/");
        check("/old/*", "/fixed", "/old/a/b", "/fixed");
        check("/*", "/base/*", "/a", "/base/a");
        check("/*", "/base/*", "*", "*");
    }

    #[test]
    fn a_path_that_an_expression_makes_is_as_good_as_any() {
        let check = |regex: &str, to: &str, path: &str, forwarded: Result<&str, PathRefusal>| {
            let rewrite = serde_json::json!({ "regex": regex, "to": to });
            let route = Route {
                rewrite: serde_json::from_value(rewrite).unwrap(),
                ..route("/*")
            };
            let forwarded = forwarded.map(Cow::Borrowed);
            assert_eq!(forward_path(&route, path), forwarded, "{regex} {to} {path}");
        };
        check("/v1/(.*)", "/$1", "/v1/a//b/", Ok("/a//b/"));
        check("/v1/(.*)", "/$1", "/v2/a", Ok("/v2/a"));
        check("/v1/(.*)", "/$1", "*", Ok("*"));
        check("/(.)x(.*)", "/data/.$1$2", "/.x/etc", Ok("/etc"));
        check("/(.*)x(.*)", "/$1$2", "/%xzz", Err(PathRefusal::Escape));
        check("/(.*)x(.*)", "/$1$2", "/%x5Cb", Err(PathRefusal::ComposedSlash));
        check("/(.*)", "/$1$1", "/%2", Err(PathRefusal::Escape));
    }
}
