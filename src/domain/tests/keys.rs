use flexgate_schemas::{
    ApiKey, KeyId,
    event::Entity,
    key::{Basic, KeyTerms, NETWORKS_MAX, PREVIOUS_MAX, SCOPED_ROUTES_MAX, SecretHash},
};
use serde_json::json;

use super::*;
use crate::domain::KnownKey;

fn id() -> KeyId {
    "7Kx2mPq9RtZa".parse().unwrap()
}

fn secret(number: u8) -> SecretHash {
    SecretHash::of(&[number])
}

fn terms(fields: Value) -> KeyTerms {
    read(json!({ "name": "app" }), fields)
}

fn creation(fields: Value) -> Command {
    Command::CreateKey {
        id: id(),
        sha256: secret(0),
        terms: terms(fields),
        basic: None,
    }
}

/// With a secret of this number, by a caller whose clock shows these seconds.
fn rotation(number: u8, at: u64, until: u64) -> Command {
    Command::RotateKey {
        id: id(),
        sha256: secret(number),
        at: stamp(at).at,
        until: stamp(until).at,
    }
}

fn key(state: &ConfigState) -> &ApiKey {
    &state.key(&id()).unwrap().value
}

#[test]
fn a_key_lives_like_a_route() {
    let mut state = ConfigState::default();
    let other = || terms(json!({ "name": "other", "enabled": false }));
    let patch = |patch| Command::PatchKey { id: id(), patch };
    for (revision, command, expected) in [
        (1, creation(json!({})), Some("key.created")),
        (2, creation(json!({})), None),
        (
            3,
            Command::PutKey {
                id: id(),
                terms: other(),
            },
            Some("key.updated"),
        ),
        (
            4,
            Command::PutKey {
                id: id(),
                terms: other(),
            },
            None,
        ),
        (
            5,
            patch(json!({ "enabled": true, "networks": ["10.0.0.0/8"] })),
            Some("key.updated"),
        ),
        (6, patch(json!({ "networks": null })), Some("key.updated")),
        (7, rotation(1, 7, 9), Some("key.updated")),
        (
            8,
            Command::RevokeKey {
                id: id(),
                at: stamp(8).at,
            },
            Some("key.updated"),
        ),
        (9, Command::DeleteKey(id()), Some("key.deleted")),
    ] {
        let decision = when(&state, command).unwrap();
        assert_eq!(types(&decision), Vec::from_iter(expected), "{revision}");
        happen(&mut state, &decision.events, revision);
    }
    assert_eq!(state, ConfigState::default());
    assert_eq!(state.hash(), ConfigState::default().hash());
    for command in [Command::DeleteKey(id()), patch(json!({})), rotation(1, 1, 1)] {
        assert_eq!(when(&state, command), Err(Refusal::NotFound(Entity::Key(id()))));
    }
}

#[test]
fn a_key_keeps_its_secrets_whatever_is_decided_about_it() {
    let mut state = given([creation(json!({ "expiresAt": stamp(99).at })), rotation(1, 2, 50)]);
    let command = Command::PutKey {
        id: id(),
        terms: terms(json!({ "name": "other" })),
    };
    let decision = when(&state, command).unwrap();
    happen(&mut state, &decision.events, 3);
    assert_eq!(key(&state).name.as_str(), "other");
    assert_eq!(key(&state).sha256, secret(1));
    assert_eq!(key(&state).particulars().expires_at, None);
    assert_eq!(key(&state).particulars().previous[0].sha256, secret(0));
    for field in ["sha256", "previous", "revokedAt", "id"] {
        let refusal = when(
            &state,
            Command::PatchKey {
                id: id(),
                patch: json!({ field: "x" }),
            },
        )
        .unwrap_err();
        assert_eq!(refusal.pointer(), Some(&*format!("/{field}")), "{refusal}");
    }
}

#[test]
fn only_so_many_secrets_of_a_key_are_valid_at_once() {
    let most = u8::try_from(PREVIOUS_MAX).unwrap();
    let rotations = (1..=most).map(|number| rotation(number, 2, 100));
    let state = given([creation(json!({}))].into_iter().chain(rotations));
    let refusal = when(&state, rotation(99, 3, 100)).unwrap_err();
    assert_eq!(refusal.code(), "too_many");
    assert!(when(&state, rotation(99, 3, 3)).is_ok(), "which ends the others");
    assert!(
        when(&state, rotation(99, 100, 200)).is_ok(),
        "when the others have ended"
    );
}

#[test]
fn a_revoked_key_gets_no_other_secret_and_may_be_renamed() {
    let revoked = Command::RevokeKey {
        id: id(),
        at: stamp(2).at,
    };
    let state = given([creation(json!({})), revoked]);
    assert_eq!(when(&state, rotation(1, 3, 3)), Err(Refusal::KeyRevoked(id())));
    let later = Command::RevokeKey {
        id: id(),
        at: stamp(3).at,
    };
    assert_eq!(types(&when(&state, later).unwrap()), [""; 0]);
    let patch = json!({ "name": "leaked in March", "enabled": true });
    let decision = when(&state, Command::PatchKey { id: id(), patch }).unwrap();
    let Event::KeyUpdated(key) = &decision.events[0] else {
        panic!("{decision:?}")
    };
    assert_eq!(key.particulars().revoked_at, Some(stamp(2).at));
}

#[test]
fn lists_of_a_key_have_an_end() {
    let routes: Vec<_> = (0..=SCOPED_ROUTES_MAX)
        .map(|number| format!("r{number}"))
        .collect();
    let networks: Vec<_> = (0..=NETWORKS_MAX)
        .map(|number| format!("10.0.0.{number}"))
        .collect();
    for (fields, pointer) in [
        (json!({ "scopes": { "routes": routes } }), "/scopes/routes"),
        (json!({ "networks": networks }), "/networks"),
    ] {
        let refusal = when(&ConfigState::default(), creation(fields)).unwrap_err();
        assert_eq!(refusal.pointer(), Some(pointer));
    }
}

#[test]
fn scopes_that_name_no_route_are_warned_of() {
    let state = given_routes([route("users", json!({}))]);
    let decision = when(
        &state,
        creation(json!({ "scopes": { "routes": ["users", "orders"] } })),
    )
    .unwrap();
    assert_eq!(
        warnings(&decision),
        [
            r#"the scopes of key "7Kx2mPq9RtZa" name route "orders": there is no such route, so that they open nothing there"#
        ]
    );
    assert_eq!(decision.warnings[0].code(), "scoped_routes_missing");
}

#[test]
fn a_key_that_is_known_elsewhere_is_as_it_is_written_and_keeps_what_it_got_since() {
    let apply = |name: &str| Command::Apply {
        upstreams: vec![],
        routes: vec![],
        settings: None,
        keys: vec![KnownKey {
            sha256: secret(7),
            terms: terms(json!({ "name": name })),
            basic: None,
        }],
        withheld: vec![],
    };
    let id = secret(7).derived_id();
    let rotated = Command::RotateKey {
        id,
        sha256: secret(8),
        at: stamp(2).at,
        until: stamp(2).at,
    };
    let state = given([apply("app"), rotated]);
    assert_eq!(types(&when(&state, apply("app")).unwrap()), [""; 0]);
    let decision = when(&state, apply("other")).unwrap();
    let Event::KeyUpdated(key) = &decision.events[0] else {
        panic!("{decision:?}")
    };
    assert_eq!((key.id, key.sha256, key.name.as_str()), (id, secret(8), "other"));
}

fn basic(username: &str) -> Basic {
    let hash = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA";
    serde_json::from_value(json!({ "username": username, "passwordHash": hash })).unwrap()
}

#[test]
fn a_user_name_is_that_of_one_key() {
    let other = secret(7).derived_id();
    let second = |name: &str| Command::CreateKey {
        id: other,
        sha256: secret(7),
        terms: terms(json!({})),
        basic: Some(basic(name)),
    };
    let set = |name: Option<&str>| Command::SetBasic {
        id: id(),
        basic: name.map(basic),
    };
    let state = given([creation(json!({})), set(Some("ada"))]);
    let ada = "ada".parse().unwrap();
    assert_eq!(state.usernames().owner(&ada), Some(id()));
    let taken = Refusal::UsernameTaken {
        username: ada.clone(),
        key: id(),
    };
    assert_eq!(when(&state, second("ada")), Err(taken.clone()));
    assert_eq!(taken.pointer(), Some("/basic/username"));
    assert!(when(&state, second("eve")).is_ok());

    // It stays with a key that is revoked, and is free when that is deleted, or has another one.
    let revoked = Command::RevokeKey {
        id: id(),
        at: stamp(3).at,
    };
    let still = given([creation(json!({})), set(Some("ada")), revoked]);
    assert_eq!(when(&still, second("ada")), Err(taken));
    assert_eq!(when(&still, set(Some("eve"))), Err(Refusal::KeyRevoked(id())));
    for command in [Command::DeleteKey(id()), set(None), set(Some("eve"))] {
        let freed = given([creation(json!({})), set(Some("ada")), command, second("ada")]);
        assert_eq!(freed.usernames().owner(&ada), Some(other));
    }
}

#[test]
fn names_are_exchanged_in_one_step_and_a_file_says_the_password() {
    let known = |number, name: &str| KnownKey {
        sha256: secret(number),
        terms: terms(json!({})),
        basic: Some(basic(name)),
    };
    let apply = |keys| Command::Apply {
        upstreams: vec![],
        routes: vec![],
        settings: None,
        keys,
        withheld: vec![],
    };
    let state = given([
        apply(vec![known(1, "ada"), known(2, "eve")]),
        apply(vec![known(1, "eve"), known(2, "ada")]),
    ]);
    let owner = |name: &str| state.usernames().owner(&name.parse().unwrap());
    assert_eq!(owner("ada"), Some(secret(2).derived_id()));
    assert_eq!(owner("eve"), Some(secret(1).derived_id()));
    let refused = when(&state, apply(vec![known(3, "ada")])).unwrap_err();
    assert_eq!(refused.code(), "username_taken");
}

#[test]
fn nothing_that_is_said_of_a_key_has_a_hash_in_it() {
    let state = given([creation(json!({})), rotation(1, 2, 50)]);
    let hash = serde_json::to_value(secret(1)).unwrap();
    let said = format!("{state:?} {:?}", when(&state, rotation(2, 3, 4)));
    assert!(!said.contains(hash.as_str().unwrap()));
}
