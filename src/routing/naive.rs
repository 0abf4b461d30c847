//! The table's rules once more, as plainly as they can be written: look at every route, keep the one that comes first.

use flexgate_schemas::{Matchers, Methods, PathPattern, Route, WholeRegex, matchers::Wanted, path::Segment};

use super::{Found, Ruled, Target, specificity};

/// What the table should find among these routes.
pub(super) fn find<'a, R: Ruled>(rules: &'a [R], request: &Target<'_>) -> Found<'a, R> {
    let fitting: Vec<&R> = rules
        .iter()
        .filter(|rule| fits_but_for_method(rule.route(), request))
        .collect();
    let taking = fitting
        .iter()
        .filter(|rule| rule.route().methods.contains(request.method));
    if let Some(rule) = taking.min_by(|a, b| specificity::cmp(a.route(), b.route())) {
        return Found::Rule(rule);
    }
    match fitting
        .iter()
        .map(|rule| rule.route().methods)
        .reduce(Methods::union)
    {
        Some(methods) => Found::MethodNotAllowed(methods),
        None => Found::Nothing,
    }
}

fn fits_but_for_method(route: &Route, request: &Target<'_>) -> bool {
    route.enabled
        && route.host.as_ref().is_none_or(|host| host.matches(request.host))
        && path_fits(&route.path, request.path)
        && matchers_fit(&route.matchers, request)
}

fn path_fits(pattern: &PathPattern, path: &str) -> bool {
    if path == "*" {
        return pattern.segments().is_empty();
    }
    let path: Vec<&str> = path.split('/').skip(1).collect();
    let wanted = pattern.segments();
    let long_enough = path.len() == wanted.len() || pattern.is_prefix() && path.len() > wanted.len();
    long_enough
        && wanted.iter().zip(path).all(|(wanted, segment)| match wanted {
            Segment::Literal(text) => **text == *segment,
            Segment::Named(_) => !segment.is_empty(),
        })
}

fn matchers_fit(matchers: &Matchers, request: &Target<'_>) -> bool {
    let query = request.query.unwrap_or("").replace("%31", "1");
    let parameters: Vec<(&str, &str)> = query
        .split('&')
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .collect();
    let fits = |wanted: &Wanted, value: &str| match wanted {
        Wanted::Any => true,
        Wanted::Exactly(text) => **text == *value,
        Wanted::Matching(regex) => regex.is_match(value.as_bytes()),
    };
    let header = |name: &str, wanted: &Wanted| {
        let mut lines = request.headers.iter();
        lines.any(|(own, line)| own.as_str() == name && fits(wanted, line.to_str().unwrap()))
    };
    let parameter = |name: &str, wanted: &Wanted| {
        let mut all = parameters.iter();
        all.any(|(own, given)| *own == name && fits(wanted, given))
    };
    let path = |regex: &WholeRegex| regex.is_match(request.path.as_bytes());
    matchers.path().is_none_or(|wanted| path(wanted.as_regex()))
        && matchers
            .headers()
            .iter()
            .all(|wanted| header(wanted.name.as_header().as_str(), &wanted.wanted))
        && matchers
            .query()
            .iter()
            .all(|wanted| parameter(wanted.name.as_str(), &wanted.wanted))
}
