use flexgate_schemas::{
    ApiKey, Event, FileDigest, KeyId, RouteId, Settings, UpstreamId,
    event::{KeyDeleted, RouteDeleted, UpstreamDeleted},
    file::{Entities, FileApplied},
    key::{Basic, KeyTerms, SecretHash},
};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    domain::{ApplyFile, KnownKey},
    routing::{Found, arbitrary},
};

fn any_upstream() -> impl Strategy<Value = Upstream> {
    (upstream_name(), 1..3_u32)
        .prop_map(|(name, timeout)| upstream(name.as_str(), json!({ "timeout": timeout })))
}

fn upstream_name() -> impl Strategy<Value = UpstreamId> {
    (0..4).prop_map(|number| format!("u{number}").parse().unwrap())
}

fn any_settings() -> impl Strategy<Value = Settings> {
    any::<bool>().prop_map(|forwarded| Settings {
        forwarded,
        ..Settings::default()
    })
}

fn hash() -> impl Strategy<Value = SecretHash> {
    (0..8_u8).prop_map(|number| SecretHash::of(&[number]))
}

fn key_id() -> impl Strategy<Value = KeyId> {
    (0..4_u8).prop_map(|number| SecretHash::of(&[number]).derived_id())
}

fn terms() -> impl Strategy<Value = KeyTerms> {
    (
        any::<bool>(),
        prop::collection::btree_set(arbitrary::route_id(), 0..2),
    )
        .prop_map(|(enabled, routes)| {
            read(
                json!({ "name": "app" }),
                json!({ "enabled": enabled, "scopes": { "routes": routes } }),
            )
        })
}

/// Few enough names that keys want the same.
fn basic() -> impl Strategy<Value = Option<Basic>> {
    prop::option::of((0..2, "[AEIM]").prop_map(|(name, salt)| {
        let hash = format!("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbH{salt}$AAAAAAAAAAAAAAAAAAAAAA");
        let salted = json!({ "username": format!("n{name}"), "passwordHash": hash });
        serde_json::from_value(salted).unwrap()
    }))
}

fn any_key() -> impl Strategy<Value = ApiKey> {
    (key_id(), hash(), terms(), basic())
        .prop_map(|(id, sha256, terms, basic)| ApiKey::new(id, sha256, terms).with_basic(basic))
}

fn known_key() -> impl Strategy<Value = KnownKey> {
    (hash(), terms(), basic()).prop_map(|(sha256, terms, basic)| KnownKey { sha256, terms, basic })
}

fn at() -> impl Strategy<Value = Timestamp> {
    (0..50_i64).prop_map(|millis| Timestamp::from_millis(millis).unwrap())
}

fn key_command() -> impl Strategy<Value = Command> {
    let patch = any::<bool>().prop_map(|enabled| json!({ "enabled": enabled, "networks": ["::1"] }));
    prop_oneof![
        4 => (key_id(), hash(), terms(), basic())
            .prop_map(|(id, sha256, terms, basic)| Command::CreateKey { id, sha256, terms, basic }),
        2 => (key_id(), basic()).prop_map(|(id, basic)| Command::SetBasic { id, basic }),
        2 => (key_id(), terms()).prop_map(|(id, terms)| Command::PutKey { id, terms }),
        1 => (key_id(), patch).prop_map(|(id, patch)| Command::PatchKey { id, patch }),
        3 => (key_id(), hash(), at(), at())
            .prop_map(|(id, sha256, at, until)| Command::RotateKey { id, sha256, at, until }),
        1 => (key_id(), any::<bool>(), at(), at()).prop_map(|(id, which, at, until)| {
            let secret = if which { "${A}" } else { "${B}" }.parse().unwrap();
            Command::SignKey { id, secret, at, until }
        }),
        1 => key_id().prop_map(Command::UnsignKey),
        1 => (key_id(), at()).prop_map(|(id, at)| Command::RevokeKey { id, at }),
        1 => key_id().prop_map(Command::DeleteKey),
    ]
}

fn any_file() -> impl Strategy<Value = Command> {
    let said = (
        vec(any_upstream(), 0..3),
        vec(arbitrary::route(), 0..4),
        prop::option::of(any_settings()),
        vec(known_key(), 0..3),
    );
    (
        prop::sample::select(vec!["a.yml", "b.yml"]),
        said,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(file, (upstreams, routes, settings, keys), prune, force)| {
            Command::ApplyFile(Box::new(ApplyFile {
                file: file.parse().unwrap(),
                upstreams,
                routes,
                settings,
                keys,
                withheld: vec![],
                prune,
                force,
            }))
        })
}

fn command() -> impl Strategy<Value = Command> {
    let patch = (0..3).prop_map(|priority| json!({ "priority": priority }));
    let patched = (arbitrary::route_id(), patch);
    prop_oneof![
        4 => arbitrary::route().prop_map(Command::CreateRoute),
        2 => arbitrary::route().prop_map(Command::PutRoute),
        1 => patched.prop_map(|(id, patch)| Command::PatchRoute { id, patch }),
        1 => arbitrary::route_id().prop_map(Command::DeleteRoute),
        4 => any_upstream().prop_map(Command::CreateUpstream),
        2 => any_upstream().prop_map(Command::PutUpstream),
        1 => upstream_name().prop_map(Command::DeleteUpstream),
        1 => any_settings().prop_map(Command::PutSettings),
        6 => key_command(),
        1 => (
            vec(any_upstream(), 0..3), vec(arbitrary::route(), 0..4), prop::option::of(any_settings()),
            vec(known_key(), 0..3),
        )
            .prop_map(|(upstreams, routes, settings, keys)| Command::Apply {
                upstreams, routes, settings, keys, withheld: vec![],
            }),
        4 => any_file(),
    ]
}

fn some_entities() -> impl Strategy<Value = Entities> {
    let lists = (
        vec(upstream_name(), 0..2),
        vec(arbitrary::route_id(), 0..3),
        vec(key_id(), 0..2),
    );
    (lists, any::<bool>()).prop_map(|((upstreams, routes, keys), settings)| Entities {
        upstreams,
        routes,
        keys,
        settings,
    })
}

/// Any event at all, also one that no decision would have made of the state it meets.
fn event() -> impl Strategy<Value = Event> {
    let deleted_route = |id: RouteId| Event::RouteDeleted(RouteDeleted { id });
    let deleted_upstream = |name: UpstreamId| Event::UpstreamDeleted(UpstreamDeleted { name });
    prop_oneof![
        4 => arbitrary::route().prop_map(|route| Event::RouteCreated(route.into())),
        4 => arbitrary::route().prop_map(|route| Event::RouteUpdated(route.into())),
        2 => arbitrary::route_id().prop_map(deleted_route),
        2 => any_upstream().prop_map(|upstream| Event::UpstreamCreated(upstream.into())),
        2 => any_upstream().prop_map(|upstream| Event::UpstreamUpdated(upstream.into())),
        1 => upstream_name().prop_map(deleted_upstream),
        1 => any_settings().prop_map(|settings| Event::SettingsUpdated(settings.into())),
        2 => any_key().prop_map(|key| Event::KeyCreated(key.into())),
        2 => any_key().prop_map(|key| Event::KeyUpdated(key.into())),
        1 => key_id().prop_map(|id| Event::KeyDeleted(KeyDeleted { id })),
        2 => (prop::sample::select(vec!["a.yml", "b.yml"]), some_entities(), some_entities()).prop_map(
            |(file, claims, releases)| {
                let digest = FileDigest::of(file.as_bytes());
                Event::FileApplied(FileApplied { file: file.parse().unwrap(), digest, claims, releases }.into())
            },
        ),
    ]
}

fn folded(events: &[Event]) -> ConfigState {
    let mut state = ConfigState::default();
    state.get_ready_to_decide();
    for (revision, event) in (1..).zip(events) {
        evolve(&mut state, event, &stamp(revision));
    }
    state
}

proptest! {
    #[test]
    fn to_decide_the_same_again_yields_nothing(commands in vec(command(), 1..40)) {
        let mut state = ConfigState::default();
        for (revision, command) in (1..).zip(commands) {
            let Ok(decision) = when(&state, &command) else { continue };
            let before = state.clone();
            happen(&mut state, &decision.events, revision);
            prop_assert_eq!(decision.events.is_empty(), before == state);
            match when(&state, &command) {
                Ok(again) => prop_assert_eq!(again.events, []),
                Err(Refusal::NotFound(_)) => {
                    let deletion = matches!(
                        command,
                        Command::DeleteRoute(_) | Command::DeleteUpstream(_) | Command::DeleteKey(_)
                    );
                    prop_assert!(deletion, "{:?}", command);
                }
                Err(refusal) => prop_assert!(false, "{command:?}: {refusal}"),
            }
        }
    }

    #[test]
    fn no_decision_leaves_a_route_without_its_upstream_or_anything_with_a_double(commands in vec(command(), 1..40)) {
        let mut state = ConfigState::default();
        for (revision, command) in (1..).zip(commands) {
            if let Ok(decision) = when(&state, command) {
                happen(&mut state, &decision.events, revision);
            }
        }
        let mut keys: Vec<_> = state.routes().values().map(|entry| entry.value.match_key()).collect();
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), state.routes().len());
        for entry in state.routes().values() {
            if let flexgate_schemas::UpstreamRef::Named(name) = &entry.value.upstream {
                prop_assert!(state.upstream(name).is_some());
                prop_assert!(state.routes_using(name).any(|id| *id == entry.value.id));
            }
        }
        for entry in state.keys().values() {
            if let Some(basic) = &entry.value.particulars().basic {
                prop_assert!(state.usernames().owners(&basic.username).eq([entry.value.id]));
            }
        }
    }

    #[test]
    fn a_key_that_is_revoked_stays_so_with_the_secret_that_it_has(commands in vec(key_command(), 1..40)) {
        let mut state = ConfigState::default();
        for (revision, command) in (1..).zip(commands) {
            let Ok(decision) = when(&state, &command) else { continue };
            let before = state.clone();
            happen(&mut state, &decision.events, revision);
            for (id, entry) in before.keys() {
                let revoked = entry.value.particulars().revoked_at;
                if let (Some(_), Some(after)) = (revoked, state.key(id)) {
                    prop_assert_eq!(after.value.particulars().revoked_at, revoked, "{:?}", command);
                    prop_assert_eq!(after.value.sha256, entry.value.sha256);
                }
            }
        }
    }

    #[test]
    fn what_is_derived_along_the_way_is_what_the_entities_say(
        events in vec(event(), 0..60),
        requests in vec(arbitrary::request(), 5),
    ) {
        let state = folded(&events);
        let anew: ConfigState = serde_json::from_value(serde_json::to_value(&state).unwrap()).unwrap();
        prop_assert_eq!(&state, &anew);
        prop_assert_eq!(state.hash(), anew.hash());
        prop_assert_eq!(state.table().len(), anew.table().len());
        for request in &requests {
            prop_assert_eq!(state.table().find(&request.target()), anew.table().find(&request.target()));
            if let Found::Rule(route) = state.table().find(&request.target()) {
                prop_assert!(std::sync::Arc::ptr_eq(route, &state.route(&route.id).unwrap().value));
            }
        }
        for name in (0..4).map(|number| format!("u{number}").parse().unwrap()) {
            prop_assert!(state.routes_using(&name).eq(anew.routes_using(&name)));
        }
        for name in (0..2).map(|number| format!("n{number}").parse().unwrap()) {
            prop_assert!(state.usernames().owners(&name).eq(anew.usernames().owners(&name)));
        }
        for entry in state.routes().values() {
            let double = |state: &ConfigState| state.duplicate_of(&entry.value).cloned();
            prop_assert_eq!(double(&state), double(&anew));
        }
    }

    #[test]
    fn the_hash_does_not_depend_on_the_order_of_independent_events(
        routes in prop::collection::btree_map(arbitrary::route_id(), arbitrary::route(), 0..20),
        upstreams in prop::collection::btree_map(upstream_name(), any_upstream(), 0..4),
        rotation in 0..20_usize,
    ) {
        let routes = routes.into_iter().map(|(id, route)| Event::RouteCreated(Route { id, ..route }.into()));
        let upstreams = upstreams.into_iter().map(|(name, upstream)| {
            Event::UpstreamCreated(Upstream { name, ..upstream }.into())
        });
        let mut events: Vec<Event> = routes.chain(upstreams).collect();
        let state = folded(&events);
        if !events.is_empty() {
            let middle = rotation % events.len();
            events.rotate_left(middle);
            events.reverse();
        }
        prop_assert_eq!(state.hash(), folded(&events).hash());
        let empty = ConfigState::default().hash();
        prop_assert_eq!(state.hash() == empty, events.is_empty());
    }
}
