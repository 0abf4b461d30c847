use flexgate_schemas::{RouteId, event::Entity};
use serde_json::json;

use super::*;
use crate::domain::Warning;

fn id(id: &str) -> RouteId {
    id.parse().unwrap()
}

fn entity(text: &str) -> Entity {
    Entity::Route(id(text))
}

#[test]
fn a_new_route_is_created() {
    let decision = when(&given_backend(), Command::CreateRoute(route("users", json!({})))).unwrap();
    assert_eq!(types(&decision), ["route.created"]);
    assert_eq!(decision.warnings, []);
}

#[test]
fn to_create_what_exists_identically_is_nothing() {
    let state = given_routes([route("users", json!({}))]);
    let decision = when(&state, Command::CreateRoute(route("users", json!({})))).unwrap();
    assert_eq!(types(&decision), [""; 0]);
}

#[test]
fn an_id_that_is_taken_by_another_value_is_refused() {
    let state = given_routes([route("users", json!({}))]);
    let refusal = when(
        &state,
        Command::CreateRoute(route("users", json!({ "path": "/other" }))),
    )
    .unwrap_err();
    assert_eq!(refusal, Refusal::AlreadyExists(entity("users")));
}

#[test]
fn an_update_replaces_the_value_and_keeps_the_date_of_creation() {
    let mut state = given_routes([route("users", json!({}))]);
    let changed = route("users", json!({ "path": "/people" }));
    let decision = when(&state, Command::PutRoute(changed.clone())).unwrap();
    assert_eq!(types(&decision), ["route.updated"]);

    happen(&mut state, &decision.events, 3);
    let entry = state.route(&id("users")).unwrap();
    assert_eq!(*entry.value, changed);
    assert_eq!(
        (entry.revision, entry.created_at, entry.updated_at),
        (3, stamp(2).at, stamp(3).at)
    );
}

#[test]
fn an_update_that_changes_nothing_is_nothing() {
    let state = given_routes([route("users", json!({}))]);
    let decision = when(&state, Command::PutRoute(route("users", json!({})))).unwrap();
    assert_eq!(types(&decision), [""; 0]);
}

#[test]
fn what_is_not_there_can_neither_be_changed_nor_deleted() {
    let state = given_backend();
    for command in [
        Command::PutRoute(route("users", json!({}))),
        Command::PatchRoute {
            id: id("users"),
            patch: json!({}),
        },
        Command::DeleteRoute(id("users")),
    ] {
        assert_eq!(when(&state, command), Err(Refusal::NotFound(entity("users"))));
    }
}

#[test]
fn a_deleted_route_leaves_nothing() {
    let mut state = given_routes([route("users", json!({}))]);
    let decision = when(&state, Command::DeleteRoute(id("users"))).unwrap();
    assert_eq!(types(&decision), ["route.deleted"]);
    happen(&mut state, &decision.events, 3);
    assert_eq!(state, given_backend());
    assert_eq!(state.hash(), given_backend().hash());
    assert!(state.table().is_empty());
}

#[test]
fn an_unknown_upstream_is_refused_with_the_name_that_was_meant() {
    let refused = |name: &str| {
        when(
            &given_backend(),
            Command::CreateRoute(route("users", json!({ "upstream": name }))),
        )
        .unwrap_err()
    };
    let refusal = refused("bakcend");
    assert_eq!(
        refusal.to_string(),
        r#"there is no upstream "bakcend"; did you mean "backend": create it first, or give a URL"#
    );
    assert_eq!(refusal.pointer(), Some("/upstream"));
    assert_eq!(
        refused("frontend"),
        Refusal::UnknownUpstream {
            name: "frontend".parse().unwrap(),
            suggestion: None
        }
    );
}

#[test]
fn a_url_needs_no_upstream() {
    let command = Command::CreateRoute(route("users", json!({ "upstream": "http://127.0.0.1:9000" })));
    assert_eq!(
        types(&when(&ConfigState::default(), command).unwrap()),
        ["route.created"]
    );
}

#[test]
fn two_routes_for_the_same_requests_are_refused_even_if_one_is_disabled() {
    let matched = json!({ "path": "/users/:id", "host": "a.test", "methods": ["GET"], "enabled": false,
                          "match": { "headers": [{ "name": "x" }] } });
    let state = given_routes([route("old", matched)]);
    let same = json!({ "path": "/users/:name", "host": "A.test", "methods": ["get"], "priority": 7,
                       "match": { "headers": [{ "name": "X" }] } });
    assert_eq!(
        when(&state, Command::CreateRoute(route("new", same.clone()))),
        Err(Refusal::DuplicateRoute { existing: id("old") })
    );
    for difference in [
        json!({ "path": "/users/:id/*" }),
        json!({ "host": null }),
        json!({ "methods": ["GET", "PUT"] }),
        json!({ "match": {} }),
    ] {
        let mut other = same.clone();
        other
            .as_object_mut()
            .unwrap()
            .extend(difference.as_object().unwrap().clone());
        assert!(
            when(&state, Command::CreateRoute(route("new", other))).is_ok(),
            "{difference}"
        );
    }
}

#[test]
fn a_disabled_route_is_in_nobodys_way_once_it_is_gone_or_elsewhere() {
    for command in [
        Command::DeleteRoute(id("old")),
        Command::PutRoute(route("old", json!({ "path": "/b" }))),
        Command::PutRoute(route("old", json!({ "path": "/b", "enabled": false }))),
    ] {
        let mut state = given_routes([route("old", json!({ "path": "/a", "enabled": false }))]);
        let decision = when(&state, command).unwrap();
        happen(&mut state, &decision.events, 3);
        let decision = when(
            &state,
            Command::CreateRoute(route("new", json!({ "path": "/a" }))),
        )
        .unwrap();
        assert_eq!(types(&decision), ["route.created"]);
    }
}

#[test]
fn a_route_may_not_become_a_duplicate_but_may_stay_what_it_is() {
    let state = given_routes([route("a", json!({})), route("b", json!({}))]);
    let command = Command::PutRoute(route("b", json!({ "path": "/a" })));
    assert_eq!(
        when(&state, command),
        Err(Refusal::DuplicateRoute { existing: id("a") })
    );
    let command = Command::PutRoute(route("b", json!({ "priority": 1 })));
    assert_eq!(types(&when(&state, command).unwrap()), ["route.updated"]);
}

#[test]
fn a_path_is_changed_in_one_way_only() {
    let both = json!({ "path": "/a/*", "stripPath": true, "rewrite": "/b/*" });
    let refusal = when(&given_backend(), Command::CreateRoute(route("r", both))).unwrap_err();
    assert_eq!(refusal, Refusal::StripAndRewrite);
}

#[test]
fn a_rewrite_uses_only_what_the_path_has() {
    let refused = |path: &str, rewrite: &str| {
        let fields = json!({ "path": path, "rewrite": rewrite });
        when(&given_backend(), Command::CreateRoute(route("r", fields)))
            .err()
            .map(|refusal| refusal.to_string())
    };
    assert_eq!(refused("/users/:id/*", "/v2/:id/*"), None);
    assert_eq!(
        refused("/users/:id", "/v2/:name").unwrap(),
        r#"the rewrite uses "name", which the path /users/:id does not have"#
    );
    assert_eq!(
        refused("/users/:id", "/v2/*").unwrap(),
        r#"the rewrite uses "*", which the path /users/:id does not have"#
    );
}

#[test]
fn an_endless_message_is_refused() {
    let fields = json!({ "rateLimit": { "requests": 1, "window": "1s", "message": "x".repeat(513) } });
    let refusal = when(&given_backend(), Command::CreateRoute(route("r", fields))).unwrap_err();
    assert_eq!(refusal.pointer(), Some("/rateLimit/message"));
}

#[test]
fn a_caller_who_has_not_seen_the_last_change_is_refused() {
    let state = given_routes([route("users", json!({}))]);
    let changed = || Command::PutRoute(route("users", json!({ "priority": 1 })));
    assert!(decide(&state, &changed(), &Expect::Revision(2)).is_ok());
    let refusal = decide(&state, &changed(), &Expect::Revision(1)).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Stale {
            entity: entity("users"),
            current: Some(2)
        }
    );
    for command in [
        Command::DeleteRoute(id("users")),
        Command::PatchRoute {
            id: id("users"),
            patch: json!({ "priority": "not even a number" }),
        },
        Command::CreateRoute(route("users", json!({}))),
    ] {
        assert_eq!(
            decide(&state, &command, &Expect::Revision(1)).unwrap_err().code(),
            "stale"
        );
    }
}

#[test]
fn a_caller_who_expects_nothing_to_be_there_is_refused_what_is() {
    let create = Command::CreateRoute(route("users", json!({})));
    assert!(decide(&given_backend(), &create, &Expect::Absent).is_ok());
    let refusal = decide(
        &given_routes([route("users", json!({}))]),
        &create,
        &Expect::Absent,
    )
    .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        r#"route "users" is not what the caller expects; it was last changed by revision 2: read it again and decide anew"#
    );
    let refusal = decide(&given_backend(), &create, &Expect::Revision(2)).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Stale {
            entity: entity("users"),
            current: None
        }
    );
}

#[test]
fn a_route_that_can_never_match_is_made_with_a_warning() {
    let state = given_routes([route("all", json!({ "path": "/*", "priority": 10 }))]);
    let decision = when(&state, Command::CreateRoute(route("users", json!({})))).unwrap();
    assert_eq!(types(&decision), ["route.created"]);
    assert_eq!(
        decision.warnings,
        [Warning::Shadowed {
            route: id("users"),
            by: id("all")
        }]
    );

    let disabled = Command::CreateRoute(route("users", json!({ "enabled": false })));
    assert_eq!(when(&state, disabled).unwrap().warnings, []);
}

#[test]
fn a_path_in_the_syntax_of_others_is_warned_of() {
    let warned = |path: &str| {
        let command = Command::CreateRoute(route("users", json!({ "path": path })));
        warnings(&when(&given_backend(), command).unwrap())
    };
    let says = |segment: &str, instead: &str| {
        vec![format!(
            "route \"users\" takes only paths that have `{segment}` in them as it is written; a segment with any text is written `{instead}`"
        )]
    };
    assert_eq!(warned("/users/{id}"), says("{id}", ":id"));
    assert_eq!(warned("/users/{userId}/orders/{id}"), says("{userId}", ":userId"));
    assert_eq!(warned("/users/<id>/*"), says("<id>", ":id"));
    assert_eq!(warned("/users/{id:int}"), says("{id:int}", ":id"));
    assert_eq!(warned("/users/{}"), says("{}", ":name"));
    for path in ["/users/:id", "/users/{", "/a{b}c", "/users/*"] {
        assert_eq!(warned(path), [] as [String; 0], "{path}");
    }
}

#[test]
fn a_policy_that_is_only_stored_yet_is_warned_of() {
    let fields = json!({ "retries": 2, "circuitBreaker": {} });
    let decision = when(&given_backend(), Command::CreateRoute(route("users", fields))).unwrap();
    assert_eq!(
        warnings(&decision),
        [
            r#"`retries` of route "users" is stored, but this version does not act on it yet"#,
            r#"`circuitBreaker` of route "users" is stored, but this version does not act on it yet"#,
        ]
    );
    let fields = json!({ "retries": 0, "circuitBreaker": { "enabled": false } });
    let decision = when(&given_backend(), Command::CreateRoute(route("users", fields))).unwrap();
    assert_eq!(decision.warnings, []);
}

#[test]
fn an_edit_of_a_segment_that_the_path_does_not_have_is_refused() {
    let refused = |edits| {
        let fields = json!({ "path": "/users/:id", "headers": edits });
        when(&given_backend(), Command::CreateRoute(route("users", fields)))
    };
    let edits = json!({ "request": { "set": { "x-user": "${path.id}" } } });
    assert!(refused(edits).is_ok());
    let refusal = refused(json!({ "response": { "add": { "x-user": "${path.user}" } } })).unwrap_err();
    assert_eq!(refusal.pointer(), Some("/headers/response/add/x-user"));
    assert!(refusal.to_string().contains("path.user"), "{refusal}");
}

#[test]
fn a_host_cannot_be_kept_and_rewritten() {
    let fields = json!({ "preserveHost": true, "rewriteHost": "api.internal" });
    let refusal = when(&given_backend(), Command::CreateRoute(route("users", fields))).unwrap_err();
    assert_eq!(refusal.pointer(), Some("/rewriteHost"));
}
