use serde_json::json;

use super::*;

/// Calculated apart from this program: the sum, modulo 2^256, of the SHA-256 of
/// `upstream\0backend\0{"name":"backend","url":"http://127.0.0.1:8080"}`,
/// `route\0users\0{"id":"users","enabled":true,"path":"/users","upstream":"backend"}` and `settings\0global\0{}`.
#[test]
fn the_hash_of_a_configuration_is_the_same_for_ever_within_a_fold_version() {
    let state = given_routes([route("users", json!({}))]);
    assert_eq!(
        state.hash().to_string(),
        "1:ca0a760fd6fccc65e3d3797140d7d00a4ec8dc4878f0381080fd7fd6ecafe211"
    );
}

#[test]
fn equal_content_has_an_equal_hash_whatever_its_history() {
    let straight = given_routes([route("users", json!({ "priority": 1 }))]);
    let mut edited = given_routes([route("users", json!({})), route("gone", json!({}))]);
    for command in [
        Command::PutRoute(route("users", json!({ "priority": 1 }))),
        Command::DeleteRoute("gone".parse().unwrap()),
    ] {
        let decision = when(&edited, command).unwrap();
        assert_ne!(edited.hash(), straight.hash());
        happen(&mut edited, &decision.events, 9);
    }
    assert_eq!(edited.hash(), straight.hash());
    assert_ne!(edited, straight);
}
