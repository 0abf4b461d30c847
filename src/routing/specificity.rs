//! Which of two routes that both fit a request takes it.

use std::cmp::Ordering;

use flexgate_schemas::{HostPattern, Matchers, Methods, PathPattern, Route, matchers::Wanted, path::Segment};

/// The order in which routes are asked: `Less` says that `a` takes a request that both fit.
///
/// 1. the higher priority;
/// 2. the host: exact, then the longer `*.suffix`, then the shorter, then none;
/// 3. the path, segment by segment: a literal, then a `:name`, then the end of the pattern, then its `/*`;
/// 4. the methods: the fewer are listed the earlier, and a route for any method last;
/// 5. the predicates on path, headers and query: the more the earlier, then the more of them ask for an exact value, then
///    the more have a regular expression;
/// 6. the smaller id. Generated ids sort by age, so that the older route keeps what it had.
pub fn cmp(a: &Route, b: &Route) -> Ordering {
    b.priority
        .cmp(&a.priority)
        .then_with(|| host(b).cmp(&host(a)))
        .then_with(|| steps(&b.path).cmp(steps(&a.path)))
        .then_with(|| methods(a.methods).cmp(&methods(b.methods)))
        .then_with(|| predicates(&b.matchers).cmp(&predicates(&a.matchers)))
        .then_with(|| a.id.cmp(&b.id))
}

/// Of two suffixes of one name the longer text has more labels.
fn host(route: &Route) -> (u8, usize) {
    match &route.host {
        None => (0, 0),
        Some(HostPattern::Wildcard(suffix)) => (1, suffix.len()),
        Some(HostPattern::Exact(_)) => (2, 0),
    }
}

/// One step of a path pattern, the least specific first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Below,
    End,
    Named,
    Literal,
}

fn steps(path: &PathPattern) -> impl Iterator<Item = Step> {
    let last = if path.is_prefix() { Step::Below } else { Step::End };
    let step = |segment: &Segment| match segment {
        Segment::Literal(_) => Step::Literal,
        Segment::Named(_) => Step::Named,
    };
    path.segments().iter().map(step).chain([last])
}

fn methods(methods: Methods) -> (bool, u32) {
    (methods.is_any(), methods.len())
}

fn predicates(matchers: &Matchers) -> (usize, usize, usize) {
    let exact = matchers
        .wanted()
        .filter(|wanted| matches!(wanted, Wanted::Exactly(_)));
    let matching = matchers
        .wanted()
        .filter(|wanted| matches!(wanted, Wanted::Matching(_)));
    let path = usize::from(matchers.path().is_some());
    (matchers.len(), exact.count(), matching.count() + path)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn route(differences: Value) -> Route {
        let mut route = json!({ "id": "m", "path": "/a", "upstream": "u" });
        let Value::Object(differences) = differences else {
            panic!()
        };
        route.as_object_mut().unwrap().extend(differences);
        serde_json::from_value(route).unwrap()
    }

    /// Each of the routes comes before all that follow.
    fn check(in_order: &[Value]) {
        let routes: Vec<Route> = in_order.iter().cloned().map(route).collect();
        for (place, first) in routes.iter().enumerate() {
            assert_eq!(cmp(first, first), Ordering::Equal);
            for second in &routes[place + 1..] {
                assert_eq!(cmp(first, second), Ordering::Less, "{first:?} before {second:?}");
                assert_eq!(cmp(second, first), Ordering::Greater);
            }
        }
    }

    #[test]
    fn each_rule_of_the_order_decides_where_those_before_it_do_not() {
        check(&[
            json!({ "priority": 1, "path": "/*" }),
            json!({ "host": "a.test", "path": "/*" }),
            json!({ "host": "*.b.test", "path": "/*" }),
            json!({ "host": "*.test", "path": "/*" }),
            json!({ "methods": ["GET"], "match": { "headers": [{ "name": "x" }] } }),
            json!({ "methods": ["GET"], "id": "l" }),
            json!({ "methods": ["GET"], "id": "z" }),
            json!({ "methods": ["GET", "PUT"], "match": { "headers": [{ "name": "x" }] } }),
            json!({ "match": { "headers": [{ "name": "x" }], "query": [{ "name": "y" }] } }),
            json!({ "match": { "query": [{ "name": "x", "value": "1" }] } }),
            json!({ "match": { "pathRegex": "/.*" } }),
            json!({ "match": { "query": [{ "name": "x", "regex": "1" }] }, "id": "z" }),
            json!({ "match": { "headers": [{ "name": "x" }] } }),
            json!({}),
            json!({ "path": "/:any" }),
            json!({ "path": "/*" }),
            json!({ "path": "/*", "priority": -1, "host": "a.test" }),
        ]);
    }

    #[test]
    fn paths_are_compared_segment_by_segment() {
        check(&[
            json!({ "path": "/a/b" }),
            json!({ "path": "/a/b/*" }),
            json!({ "path": "/a/:x" }),
            json!({ "path": "/a/:x/*" }),
            json!({ "path": "/a/*" }),
            json!({ "path": "/:x/b" }),
            json!({ "path": "/:x/b/*" }),
            json!({ "path": "/:x/:y" }),
            json!({ "path": "/:x" }),
            json!({ "path": "/:x/*" }),
            json!({ "path": "/*" }),
        ]);
    }
}
