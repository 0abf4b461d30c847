use serde_json::json;

use super::*;

fn apply(upstreams: Vec<Upstream>, routes: Vec<Route>) -> Command {
    Command::Apply {
        upstreams,
        routes,
        settings: None,
        keys: vec![],
        withheld: vec![],
    }
}

#[test]
fn what_is_missing_is_created_what_differs_updated_and_nothing_deleted() {
    let state = given_routes([
        route("same", json!({})),
        route("other", json!({})),
        route("unlisted", json!({})),
    ]);
    let command = Command::Apply {
        upstreams: vec![upstream("backend", json!({})), upstream("new", json!({}))],
        routes: vec![
            route("same", json!({})),
            route("other", json!({ "upstream": "new" })),
            route("fresh", json!({ "upstream": "new" })),
        ],
        settings: Some(read(json!({}), json!({ "forwarded": true }))),
        keys: vec![],
        withheld: vec![],
    };
    let decision = when(&state, command).unwrap();
    assert_eq!(
        types(&decision),
        [
            "upstream.created",
            "settings.updated",
            "route.updated",
            "route.created"
        ]
    );
}

#[test]
fn two_routes_may_swap_what_they_match() {
    let mut state = given_routes([
        route("a", json!({ "path": "/a" })),
        route("b", json!({ "path": "/b" })),
    ]);
    let swapped = vec![
        route("a", json!({ "path": "/b" })),
        route("b", json!({ "path": "/a" })),
    ];
    let decision = when(&state, apply(vec![], swapped.clone())).unwrap();
    happen(&mut state, &decision.events, 4);
    assert_eq!(state.table().len(), 2);
    for route in swapped {
        assert_eq!(*state.route(&route.id).unwrap().value, route);
    }
}

#[test]
fn one_refusal_refuses_all_and_names_the_item() {
    let refused = |upstreams, routes| {
        when(&given_backend(), apply(upstreams, routes))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(
            vec![],
            vec![route("a", json!({})), route("b", json!({ "path": "/a" }))]
        ),
        r#"route "a": route "b" has the same host, path, methods and predicates: change that one, or let this one match something else"#
    );
    assert_eq!(
        refused(
            vec![],
            vec![route("a", json!({})), route("b", json!({ "upstream": "gone" }))]
        ),
        r#"route "b": there is no upstream "gone": create it first, or give a URL"#
    );
    assert_eq!(
        refused(vec![upstream("u", json!({})), upstream("u", json!({}))], vec![]),
        r#"upstream "u": it is listed twice: keep one of them"#
    );
}

#[test]
fn the_order_of_what_is_listed_does_not_matter() {
    let shadow = || route("all", json!({ "path": "/*", "priority": 1 }));
    let first = when(
        &given_backend(),
        apply(vec![], vec![shadow(), route("a", json!({}))]),
    )
    .unwrap();
    let last = when(
        &given_backend(),
        apply(vec![], vec![route("a", json!({})), shadow()]),
    )
    .unwrap();
    assert_eq!(first.warnings, last.warnings);
    assert_eq!(first.warnings.len(), 1);
}
