use serde_json::json;

use super::*;

#[test]
fn a_snapshot_is_the_entities_and_their_place_in_the_history() {
    let state = given_routes([route("users", json!({}))]);
    let never = "1970-01-01T00:00:00.000Z";
    assert_eq!(
        serde_json::to_value(&state).unwrap(),
        json!({
            "upstreams": [{
                "value": { "name": "backend", "url": "http://127.0.0.1:8080" },
                "revision": 1, "createdAt": stamp(1).at, "updatedAt": stamp(1).at,
            }],
            "routes": [{
                "value": { "id": "users", "enabled": true, "path": "/users", "upstream": "backend" },
                "revision": 2, "createdAt": stamp(2).at, "updatedAt": stamp(2).at,
            }],
            "settings": { "value": {}, "revision": 0, "createdAt": never, "updatedAt": never },
        })
    );
}

#[test]
fn a_snapshot_with_fields_that_are_not_known_is_not_read() {
    let mut snapshot = serde_json::to_value(ConfigState::default()).unwrap();
    snapshot["consumers"] = json!([]);
    assert!(serde_json::from_value::<ConfigState>(snapshot).is_err());
}
