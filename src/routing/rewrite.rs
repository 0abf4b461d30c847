//! The path that is forwarded.

use std::borrow::Cow;

use flexgate_schemas::{PathPattern, PathTemplate, Route, path::Segment};

/// The path to forward for one that the route matched, both in normal form: what the route's `rewrite` makes of it,
/// or what `stripPath` leaves of it, or the path as it is. The `*` of `OPTIONS *` stays what it is.
pub fn forward_path<'p>(route: &Route, path: &'p str) -> Cow<'p, str> {
    if !path.starts_with('/') {
        return Cow::Borrowed(path);
    }
    if let Some(template) = &route.rewrite {
        return Cow::Owned(fill(template, &route.path, path));
    }
    if !route.strip_path {
        return Cow::Borrowed(path);
    }
    let literals =
        (route.path.segments().iter()).take_while(|segment| matches!(segment, Segment::Literal(_)));
    match after_segments(path, literals.count()) {
        "" => Cow::Borrowed("/"),
        rest => Cow::Borrowed(rest),
    }
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

    fn route(path: &str) -> Route {
        Route::new("r".parse().unwrap(), path.parse().unwrap(), "u".parse().unwrap())
    }

    #[test]
    fn without_a_rewrite_the_path_goes_as_it_is() {
        assert_eq!(forward_path(&route("/api/*"), "/api//x/"), "/api//x/");
    }

    #[test]
    fn strip_path_takes_the_literal_part_away() {
        let check = |pattern: &str, path: &str, forwarded: &str| {
            let route = Route {
                strip_path: true,
                ..route(pattern)
            };
            assert_eq!(forward_path(&route, path), forwarded, "{pattern} {path}");
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
            let rewrite = Some(template.parse().unwrap());
            let route = Route {
                rewrite,
                ..route(pattern)
            };
            assert_eq!(
                forward_path(&route, path),
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
}
