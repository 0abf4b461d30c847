use flexgate_schemas::{FileName, event::Entity};
use serde_json::json;

use super::*;
use crate::domain::{
    ApplyFile, drifted,
    refusal::{Conflict, Contradiction},
};

/// A file with the upstream `backend` and these routes.
fn file(name: &str, routes: impl IntoIterator<Item = Route>) -> ApplyFile {
    ApplyFile {
        file: name.parse().unwrap(),
        upstreams: vec![upstream("backend", json!({}))],
        routes: routes.into_iter().collect(),
        settings: None,
        keys: vec![],
        withheld: vec![],
        prune: false,
        force: false,
    }
}

fn forced(file: ApplyFile) -> ApplyFile {
    ApplyFile { force: true, ..file }
}

fn apply(file: ApplyFile) -> Command {
    Command::ApplyFile(Box::new(file))
}

/// After a file with these routes, and then these commands.
fn given_file(
    routes: impl IntoIterator<Item = Route>,
    then: impl IntoIterator<Item = Command>,
) -> ConfigState {
    given([apply(file("proxy.yml", routes))].into_iter().chain(then))
}

fn put(id: &str, timeout: u32) -> Command {
    Command::PutRoute(route(id, json!({ "timeout": timeout })))
}

fn timed(id: &str, timeout: u32) -> Route {
    route(id, json!({ "timeout": timeout }))
}

fn conflicts(state: &ConfigState, file: ApplyFile) -> Vec<Contradiction> {
    match when(state, apply(file)).unwrap_err() {
        Refusal::FileConflicts { conflicts, .. } => {
            conflicts.into_iter().map(|Conflict { why, .. }| why).collect()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn an_unchanged_file_changes_nothing() {
    let state = given_file([timed("a", 1)], []);
    assert_eq!(
        when(&state, apply(file("proxy.yml", [timed("a", 1)])))
            .unwrap()
            .events,
        []
    );
}

#[test]
fn what_disappears_from_a_file_is_deleted_and_what_others_made_stays() {
    let state = given_file(
        [timed("a", 1), timed("b", 1)],
        [Command::CreateRoute(timed("by-hand", 1))],
    );
    let decision = when(&state, apply(file("proxy.yml", [timed("a", 1)]))).unwrap();
    assert_eq!(types(&decision), ["route.deleted", "file.applied"]);
    let mut after = state;
    happen(&mut after, &decision.events, 3);
    let ids: Vec<_> = after.routes().keys().map(ToString::to_string).collect();
    assert_eq!(ids, ["a", "by-hand"]);
}

#[test]
fn pruning_takes_what_is_no_files_own_and_leaves_what_is_another_ones() {
    let state = given_file(
        [timed("a", 1)],
        [
            Command::CreateRoute(timed("by-hand", 1)),
            apply(ApplyFile {
                upstreams: vec![],
                ..file("team.yml", [timed("of-team", 1)])
            }),
        ],
    );
    let pruning = ApplyFile {
        prune: true,
        ..file("proxy.yml", [timed("a", 1)])
    };
    let decision = when(&state, apply(pruning)).unwrap();
    assert_eq!(types(&decision), ["route.deleted"]);
    assert_eq!(
        decision.events[0].entity(),
        Entity::Route("by-hand".parse().unwrap())
    );
}

#[test]
fn an_edit_by_hand_is_drift_and_is_not_undone_by_a_file_that_says_the_same_as_before() {
    let state = given_file([timed("a", 1), timed("b", 1)], [put("a", 2)]);
    let name: FileName = "proxy.yml".parse().unwrap();
    assert_eq!(drifted(&state, &name), [Entity::Route("a".parse().unwrap())]);
    assert_eq!(
        when(&state, apply(file("proxy.yml", [timed("a", 1), timed("b", 1)])))
            .unwrap()
            .events,
        []
    );
    // Another change of the file goes through, and leaves it alone.
    let decision = when(&state, apply(file("proxy.yml", [timed("a", 1), timed("b", 5)]))).unwrap();
    assert_eq!(types(&decision), ["route.updated", "file.applied"]);
    assert_eq!(decision.events[0].entity(), Entity::Route("b".parse().unwrap()));
}

#[test]
fn a_file_that_changes_what_was_edited_by_hand_is_refused_until_it_is_forced_or_agrees() {
    let state = given_file([timed("a", 1)], [put("a", 2)]);
    assert_eq!(
        conflicts(&state, file("proxy.yml", [timed("a", 3)])),
        [Contradiction::Changed(2)]
    );
    assert_eq!(
        conflicts(&state, file("proxy.yml", [])),
        [Contradiction::GoneThoughChanged(2)]
    );

    let decision = when(&state, apply(forced(file("proxy.yml", [timed("a", 3)])))).unwrap();
    assert_eq!(types(&decision), ["route.updated", "file.applied"]);
    let undone = when(&state, apply(forced(file("proxy.yml", [timed("a", 1)])))).unwrap();
    assert_eq!(types(&undone)[0], "route.updated");

    let agreeing = when(&state, apply(file("proxy.yml", [timed("a", 2)]))).unwrap();
    assert_eq!(types(&agreeing), ["file.applied"]);
    let mut agreed = state;
    happen(&mut agreed, &agreeing.events, 3);
    let name: FileName = "proxy.yml".parse().unwrap();
    assert_eq!(drifted(&agreed, &name), []);
    let later = when(&agreed, apply(file("proxy.yml", [timed("a", 3)]))).unwrap();
    assert_eq!(types(&later), ["route.updated", "file.applied"]);
}

#[test]
fn what_was_deleted_by_hand_does_not_come_back_by_itself() {
    let deletion = Command::DeleteRoute("a".parse().unwrap());
    let state = given_file([timed("a", 1)], [deletion]);
    assert_eq!(
        when(&state, apply(file("proxy.yml", [timed("a", 1)])))
            .unwrap()
            .events,
        []
    );
    assert_eq!(
        conflicts(&state, file("proxy.yml", [timed("a", 2)])),
        [Contradiction::Deleted]
    );
    let released = when(&state, apply(file("proxy.yml", []))).unwrap();
    assert_eq!(types(&released), ["file.applied"]);
}

#[test]
fn what_was_made_by_hand_is_adopted_if_it_is_the_same_and_not_overwritten_if_not() {
    let state = given_routes([timed("a", 1)]);
    assert_eq!(
        types(&when(&state, apply(file("proxy.yml", [timed("a", 1)]))).unwrap()),
        ["file.applied"]
    );
    assert_eq!(
        conflicts(&state, file("proxy.yml", [timed("a", 2)])),
        [Contradiction::NotOwned(2)]
    );
}

#[test]
fn two_files_do_not_own_the_same() {
    let state = given_file([timed("a", 1)], []);
    let other = ApplyFile {
        upstreams: vec![],
        ..file("team.yml", [timed("a", 1)])
    };
    let owner = Contradiction::OtherFile("proxy.yml".parse().unwrap());
    assert_eq!(conflicts(&state, other.clone()), [owner]);
    let mut state = state;
    let taken = when(&state, apply(forced(other))).unwrap();
    happen(&mut state, &taken.events, 2);
    let route = Entity::Route("a".parse().unwrap());
    assert_eq!(
        state.ownership().owner(&route),
        Some(&"team.yml".parse().unwrap())
    );
}

#[test]
fn a_file_that_has_nothing_of_what_it_had_is_taken_for_another_one() {
    let state = given_file([timed("a", 1)], []);
    for routes in [vec![], vec![route("z", json!({ "upstream": "http://z" }))]] {
        let other = ApplyFile {
            upstreams: vec![],
            routes,
            ..file("proxy.yml", [])
        };
        let refusal = when(&state, apply(other.clone())).unwrap_err();
        assert_eq!(refusal.code(), "nothing_left");
        assert!(refusal.to_string().contains("2 entities"), "{refusal}");
        when(&state, apply(forced(other))).unwrap();
    }
    // Nor can one thing be told from an edit of it.
    let only = |id: &str| ApplyFile {
        upstreams: vec![],
        ..file(
            "proxy.yml",
            [route(
                id,
                json!({ "upstream": "http://z", "path": format!("/{id}") }),
            )],
        )
    };
    let state = given([apply(only("a"))]);
    when(&state, apply(only("b"))).unwrap();
}

#[test]
fn a_route_may_take_what_another_one_matched_that_goes() {
    let state = given_file([route("old", json!({ "path": "/x" }))], []);
    let decision = when(
        &state,
        apply(file("proxy.yml", [route("new", json!({ "path": "/x" }))])),
    )
    .unwrap();
    assert_eq!(
        types(&decision),
        ["route.deleted", "route.created", "file.applied"]
    );
}

#[test]
fn an_upstream_that_others_need_does_not_go() {
    let state = given_file([], [Command::CreateRoute(timed("by-hand", 1))]);
    let refusal = when(
        &state,
        apply(ApplyFile {
            upstreams: vec![],
            ..file("proxy.yml", [])
        }),
    )
    .unwrap_err();
    assert_eq!(refusal.code(), "upstream_in_use");
}

#[test]
fn settings_that_a_file_says_no_more_go_back_to_their_defaults() {
    let settings = |json| Some(read(json!({}), json));
    let with = ApplyFile {
        settings: settings(json!({ "forwarded": true })),
        ..file("proxy.yml", [])
    };
    let state = given([apply(with.clone())]);
    assert!(state.settings().value.forwarded);
    let decision = when(&state, apply(file("proxy.yml", []))).unwrap();
    assert_eq!(types(&decision), ["settings.updated", "file.applied"]);
    let state = given([
        apply(with),
        Command::PutSettings(read(json!({}), json!({ "timeout": 9 }))),
    ]);
    assert_eq!(
        conflicts(&state, file("proxy.yml", [])),
        [Contradiction::GoneThoughChanged(2)]
    );
}

#[test]
fn a_key_that_got_another_secret_has_not_drifted() {
    let sha256 = flexgate_schemas::key::SecretHash::of(b"first");
    let terms = |name: &str| serde_json::from_value(json!({ "name": name })).unwrap();
    let with = |name: &str| ApplyFile {
        keys: vec![crate::domain::KnownKey {
            sha256,
            terms: terms(name),
            basic: None,
        }],
        ..file("proxy.yml", [])
    };
    let rotation = Command::RotateKey {
        id: sha256.derived_id(),
        sha256: flexgate_schemas::key::SecretHash::of(b"second"),
        at: stamp(2).at,
        until: stamp(9).at,
    };
    let state = given([apply(with("app")), rotation]);
    assert_eq!(when(&state, apply(with("app"))).unwrap().events, []);
    assert_eq!(
        types(&when(&state, apply(with("shop"))).unwrap()),
        ["key.updated", "file.applied"]
    );
}

#[test]
fn what_files_own_is_in_the_snapshot_also_where_it_has_drifted() {
    let deletion = Command::DeleteRoute("b".parse().unwrap());
    let state = given_file(
        [timed("a", 1), timed("b", 1), timed("c", 1)],
        [put("a", 2), deletion],
    );
    let written = serde_json::to_value(&state).unwrap();
    let own = written["ownership"]["routes"].as_array().unwrap();
    assert_eq!(own.iter().filter(|one| one.get("said").is_some()).count(), 2);
    let read: ConfigState = serde_json::from_value(written).unwrap();
    assert_eq!(read, state);
}

/// A file with the key whose secret is `first`.
fn with_key(name: &str) -> (ApplyFile, flexgate_schemas::KeyId) {
    let sha256 = flexgate_schemas::key::SecretHash::of(b"first");
    let key = crate::domain::KnownKey {
        sha256,
        terms: serde_json::from_value(json!({ "name": "app" })).unwrap(),
        basic: None,
    };
    let with = ApplyFile {
        keys: vec![key],
        ..file(name, [])
    };
    (with, sha256.derived_id())
}

#[test]
fn a_key_that_is_withheld_stays_as_it_is_whoever_it_belongs_to() {
    let (with, id) = with_key("proxy.yml");
    let state = given([apply(with)]);
    let backend = upstream("backend", json!({}));
    for (name, upstreams) in [("proxy.yml", vec![backend]), ("team.yml", vec![])] {
        let withholding = ApplyFile {
            upstreams,
            withheld: vec![id],
            prune: true,
            ..file(name, [])
        };
        let mut after = state.clone();
        happen(&mut after, &when(&state, apply(withholding)).unwrap().events, 2);
        assert!(after.key(&id).is_some(), "{name}");
        let owner = after.ownership().owner(&Entity::Key(id)).map(ToString::to_string);
        assert_eq!(owner.as_deref(), Some("proxy.yml"), "{name}");
    }
}

#[test]
fn a_key_that_is_withheld_no_more_is_removed() {
    let (with, id) = with_key("proxy.yml");
    let withholding = ApplyFile {
        withheld: vec![id],
        ..file("proxy.yml", [])
    };
    let state = given([apply(with), apply(withholding)]);
    let decision = when(&state, apply(file("proxy.yml", []))).unwrap();
    assert_eq!(types(&decision), ["key.deleted", "file.applied"]);
}

#[test]
fn a_key_is_withheld_or_given_and_one_that_is_not_there_is_warned_about() {
    let (with, id) = with_key("proxy.yml");
    let both = ApplyFile {
        withheld: vec![id],
        ..with
    };
    let twice = ApplyFile {
        withheld: vec![id, id],
        ..file("proxy.yml", [])
    };
    for said in [both, twice] {
        let refusal = when(&given([]), apply(said)).unwrap_err();
        assert_eq!(refusal.code(), "listed_twice");
    }
    let missing = ApplyFile {
        withheld: vec![id],
        ..file("proxy.yml", [])
    };
    let decision = when(&given([]), apply(missing)).unwrap();
    assert_eq!(decision.warnings[0].code(), "withheld_keys_missing");
}

#[test]
fn settings_that_are_back_at_their_defaults_are_no_contradiction_to_a_file_without_any() {
    let with = ApplyFile {
        settings: Some(read(json!({}), json!({ "forwarded": true }))),
        ..file("proxy.yml", [])
    };
    let state = given([apply(with), Command::PutSettings(read(json!({}), json!({})))]);
    let decision = when(&state, apply(file("proxy.yml", []))).unwrap();
    assert_eq!(types(&decision), ["file.applied"]);
}
