use flexgate_schemas::{UpstreamId, event::Entity};
use serde_json::json;

use super::*;
use crate::domain::UPSTREAMS_MAX;

fn name(name: &str) -> UpstreamId {
    name.parse().unwrap()
}

#[test]
fn an_upstream_lives_like_a_route() {
    let mut state = given_backend();
    let changed = upstream("backend", json!({ "timeout": "5s" }));
    for (revision, command, expected) in [
        (2, Command::CreateUpstream(upstream("backend", json!({}))), None),
        (3, Command::PutUpstream(changed.clone()), Some("upstream.updated")),
        (4, Command::PutUpstream(changed), None),
        (
            5,
            Command::DeleteUpstream(name("backend")),
            Some("upstream.deleted"),
        ),
    ] {
        let decision = when(&state, command).unwrap();
        assert_eq!(types(&decision), Vec::from_iter(expected));
        happen(&mut state, &decision.events, revision);
    }
    assert_eq!(state, ConfigState::default());
    assert_eq!(
        when(&state, Command::DeleteUpstream(name("backend"))),
        Err(Refusal::NotFound(Entity::Upstream(name("backend"))))
    );
}

#[test]
fn an_upstream_in_use_stays() {
    let deleted = |state: &ConfigState| when(state, Command::DeleteUpstream(name("backend"))).err();
    let one = given_routes([route("only", json!({ "enabled": false }))]);
    assert_eq!(
        deleted(&one).unwrap().to_string(),
        r#"upstream "backend" is used by route "only": change or delete those first"#
    );
    let many = given_routes((1..=5).map(|number| route(&format!("r{number}"), json!({}))));
    assert_eq!(
        deleted(&many).unwrap().to_string(),
        r#"upstream "backend" is used by routes "r1", "r2", "r3" and 2 more: change or delete those first"#
    );
}

#[test]
fn an_upstream_that_its_routes_have_left_may_go() {
    let mut state = given_routes([route("a", json!({})), route("b", json!({}))]);
    for command in [
        Command::PutRoute(route("a", json!({ "upstream": "http://127.0.0.1:1" }))),
        Command::DeleteRoute("b".parse().unwrap()),
    ] {
        let decision = when(&state, command).unwrap();
        happen(&mut state, &decision.events, 9);
    }
    assert!(when(&state, Command::DeleteUpstream(name("backend"))).is_ok());
}

#[test]
fn a_health_check_asks_for_a_path_that_can_be_asked_for() {
    for path in ["/health/:id", "/health/*"] {
        let fields = json!({ "healthCheck": { "path": path } });
        let refusal = when(
            &given_backend(),
            Command::PutUpstream(upstream("backend", fields)),
        )
        .unwrap_err();
        assert_eq!(refusal.pointer(), Some("/healthCheck/path"));
    }
}

#[test]
fn a_health_check_is_only_stored_yet() {
    let fields = json!({ "healthCheck": { "path": "/health" } });
    let decision = when(
        &given_backend(),
        Command::PutUpstream(upstream("backend", fields)),
    )
    .unwrap();
    assert_eq!(
        warnings(&decision),
        [r#"`healthCheck` of upstream "backend" is stored, but this version does not act on it yet"#]
    );
}

#[test]
fn there_are_only_so_many_upstreams() {
    let mut state = ConfigState::default();
    for number in 0..UPSTREAMS_MAX {
        let created = Event::UpstreamCreated(upstream(&format!("u{number}"), json!({})).into());
        happen(&mut state, &[created], 1);
    }
    let refusal = when(&state, Command::CreateUpstream(upstream("more", json!({})))).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "there are 100000 upstreams already, which is the most there may be"
    );
    let changed = Command::PutUpstream(upstream("u7", json!({ "timeout": 1 })));
    assert_eq!(types(&when(&state, changed).unwrap()), ["upstream.updated"]);
}
