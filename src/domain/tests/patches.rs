use flexgate_schemas::Event;
use serde_json::json;

use super::*;

/// The route after the patch; `None` if nothing changed.
fn patched_route(before: Value, patch: Value) -> Result<Option<Route>, Refusal> {
    let state = given_routes([route("r", before)]);
    let decision = when(
        &state,
        Command::PatchRoute {
            id: "r".parse().unwrap(),
            patch,
        },
    )?;
    Ok(match &*decision.events {
        [] => None,
        [Event::RouteUpdated(route)] => Some((**route).clone()),
        other => panic!("{other:?}"),
    })
}

fn patched_upstream(before: Value, patch: Value) -> Result<Upstream, Refusal> {
    let state = given([Command::CreateUpstream(upstream("u", before))]);
    let decision = when(
        &state,
        Command::PatchUpstream {
            name: "u".parse().unwrap(),
            patch,
        },
    )?;
    match &*decision.events {
        [Event::UpstreamUpdated(upstream)] => Ok((**upstream).clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_patch_changes_what_it_names_and_null_takes_away() {
    let before = json!({ "host": "a.test", "timeout": "5s", "methods": ["GET"] });
    let after = patched_route(before, json!({ "timeout": "6s", "host": null }))
        .unwrap()
        .unwrap();
    assert_eq!(after, route("r", json!({ "timeout": "6s", "methods": ["GET"] })));
}

#[test]
fn a_patch_that_changes_nothing_is_nothing() {
    let before = json!({ "timeout": "5s" });
    for patch in [
        json!({}),
        json!({ "timeout": 5000 }),
        json!({ "host": null, "id": "r" }),
    ] {
        assert_eq!(patched_route(before.clone(), patch).unwrap(), None);
    }
}

#[test]
fn a_patch_reaches_into_policies_in_either_spelling() {
    let before = json!({
        "rateLimit": { "requests": 1, "window": "60s" },
        "circuitBreaker": { "threshold": 10, "windowMs": 1000 },
    });
    let patch = json!({
        "rateLimit": { "max": 2 },
        "circuitBreaker": { "failureThreshold": 20, "window": "2s" },
    });
    let expected = json!({
        "rateLimit": { "requests": 2, "window": "60s" },
        "circuitBreaker": { "threshold": 20, "windowMs": 2000 },
    });
    assert_eq!(
        patched_route(before, patch).unwrap().unwrap(),
        route("r", expected)
    );
}

#[test]
fn a_patch_that_makes_nonsense_is_refused_where_it_does() {
    let check = |patch: Value, expected: &str| {
        let refusal = patched_route(json!({}), patch).unwrap_err();
        assert_eq!(refusal.code(), "invalid");
        assert_eq!(refusal.pointer(), Some(expected), "{refusal}");
    };
    check(json!({ "priority": 1_000_001 }), "/priority");
    check(json!({ "methods": ["GET", "FETCH"] }), "/methods/1");
    check(
        json!({ "match": { "headers": [{ "name": "a" }, { "name": "b c" }] } }),
        "/match/headers/1/name",
    );
    check(
        json!({ "rateLimit": { "requests": 0, "window": "1s" } }),
        "/rateLimit/requests",
    );
    check(json!({ "rateLimt": {} }), "/rateLimt");
    check(json!({ "path": null }), "");
    check(json!(["not", "a", "patch"]), "");
}

#[test]
fn an_identity_cannot_be_patched() {
    let refusal = patched_route(json!({}), json!({ "id": "other" })).unwrap_err();
    assert_eq!(refusal.pointer(), Some("/id"));
    for field in ["name", "id"] {
        let refusal = patched_upstream(json!({}), json!({ field: "other" })).unwrap_err();
        assert_eq!(refusal.pointer(), Some("/name"));
    }
}

#[test]
fn a_patch_obeys_the_same_rules_as_an_update() {
    let refusal = patched_route(json!({}), json!({ "upstream": "nowhere" })).unwrap_err();
    assert_eq!(refusal.code(), "unknown_upstream");
}

#[test]
fn one_target_is_replaced_by_several_and_back() {
    let several = || json!({ "targets": [{ "url": "http://a", "weight": 2 }, { "url": "http://b" }] });
    let single = || json!({ "targets": [{ "url": "http://c" }] });
    assert_eq!(
        patched_upstream(single(), several()).unwrap(),
        upstream("u", several())
    );
    assert_eq!(
        patched_upstream(several(), json!({ "url": "http://c" })).unwrap(),
        upstream("u", single())
    );
}

#[test]
fn an_origin_can_be_amended_by_either_of_its_names() {
    let before = json!({ "cors": { "origins": "*", "maxAge": "1m" } });
    let route = patched_route(before, json!({ "cors": { "origin": "https://a.test" } }));
    let cors = serde_json::to_value(&route.unwrap().unwrap().cors).unwrap();
    assert_eq!(cors, json!({ "origins": ["https://a.test"], "maxAge": 60_000 }));
}
