//! Routes and requests that overlap as much as possible, for property tests.

use flexgate_schemas::{HostPattern, Matchers, Methods, Route, RouteId, route::Priority};
use http::{HeaderMap, HeaderValue, Method};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::json;

use super::Target;

/// A request that owns what a [`Target`] borrows.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    host: &'static str,
    path: String,
    query: Option<&'static str>,
    method: Method,
    headers: HeaderMap,
}

impl Request {
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            host: self.host,
            path: &self.path,
            query: self.query,
            method: &self.method,
            headers: &self.headers,
        }
    }
}

/// One of `r0` to `r39`.
pub(crate) fn route_id() -> impl Strategy<Value = RouteId> {
    (0..40).prop_map(|number| format!("r{number}").parse().unwrap())
}

/// A route whose upstream, if it is named, is one of `u0` to `u3`.
pub(crate) fn route() -> impl Strategy<Value = Route> {
    let upstream = select(vec!["u0", "u1", "u2", "u3", "http://127.0.0.1:1"]);
    let priority = prop_oneof![3 => Just(0_i64), 1 => -2..=2_i64];
    let enabled = prop::bool::weighted(0.9);
    let matched = (host(), path(), methods(), matchers());
    (route_id(), enabled, priority, matched, upstream).prop_map(
        |(id, enabled, priority, (host, path, methods, matchers), upstream)| Route {
            enabled,
            priority: Priority::try_from(priority).unwrap(),
            host,
            methods,
            matchers: matchers.into(),
            ..Route::new(id, path.parse().unwrap(), upstream.parse().unwrap())
        },
    )
}

fn host() -> impl Strategy<Value = Option<HostPattern>> {
    let patterns = select(vec!["a.test", "b.a.test", "*.test", "*.a.test", "*.b.a.test"]);
    option::of(patterns.prop_map(|pattern| pattern.parse().unwrap()))
}

/// Now and then more names than a short list of children holds.
fn segment() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab]", 2 => "[c-n]"]
}

fn path() -> impl Strategy<Value = String> {
    let segments = vec(prop_oneof![3 => segment(), 2 => Just(":".to_owned())], 0..4);
    (segments, select(vec!["", "/", "/*", "/*"])).prop_map(|(segments, end)| {
        let named = segments
            .iter()
            .enumerate()
            .map(|(place, segment)| match &**segment {
                ":" => format!("/:name{place}"),
                literal => format!("/{literal}"),
            });
        let path = named.collect::<String>() + end;
        if path.is_empty() { "/".to_owned() } else { path }
    })
}

fn methods() -> impl Strategy<Value = Methods> {
    let some = vec(select(vec![Method::GET, Method::POST, Method::PUT]), 0..3);
    some.prop_map(|methods| methods.into_iter().collect())
}

fn matchers() -> impl Strategy<Value = Matchers> {
    let headers = vec(predicate(&["x-a", "x-b"]), 0..3);
    let query = vec(predicate(&["q"]), 0..2);
    let path = option::of(select(vec!["/[ab].*", ".*/", "/a(/b)?"]));
    let some = (path, headers, query).prop_map(|(path, headers, query)| {
        serde_json::from_value(json!({ "pathRegex": path, "headers": headers, "query": query })).unwrap()
    });
    prop_oneof![2 => Just(Matchers::default()), 1 => some]
}

fn predicate(names: &[&'static str]) -> impl Strategy<Value = serde_json::Value> {
    let wanted = vec![
        ("value", "1"),
        ("value", "2"),
        ("regex", "1"),
        ("regex", "1|2"),
        ("regex", ""),
    ];
    (select(names.to_vec()), select(wanted)).prop_map(|(name, (kind, text))| {
        let text = (!text.is_empty()).then_some(text); // absent: any
        json!({ "name": name, (kind): text })
    })
}

/// A request, in normal form.
pub(crate) fn request() -> impl Strategy<Value = Request> {
    let host = select(vec!["", "test", "a.test", "b.a.test", "c.b.a.test", "other"]);
    let segments = vec(prop_oneof![6 => segment(), 1 => Just(String::new())], 1..5);
    let path = prop_oneof![
        20 => segments.prop_map(|segments| format!("/{}", segments.join("/"))),
        1 => Just("*".to_owned()),
    ];
    let query = option::of(select(vec!["q", "q=1", "q=%31", "p=1&q=2", "Q=1", ""]));
    let method = select(vec![Method::GET, Method::POST, Method::PUT, Method::OPTIONS]);
    let lines = vec((select(vec!["x-a", "x-b"]), select(vec!["1", "2"])), 0..3);
    (host, path, query, method, lines).prop_map(|(host, path, query, method, lines)| {
        let lines = lines.into_iter();
        Request {
            host,
            path,
            query,
            method,
            headers: lines
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                .collect(),
        }
    })
}
