use flexgate_schemas::Settings;
use serde_json::json;

use super::*;

fn settings(fields: Value) -> Settings {
    read(json!({}), fields)
}

#[test]
fn settings_are_there_before_anybody_sets_them() {
    let state = ConfigState::default();
    assert_eq!(state.settings().revision, 0);
    let decision = when(&state, Command::PutSettings(Settings::default())).unwrap();
    assert_eq!(types(&decision), [""; 0]);
}

#[test]
fn settings_are_replaced_whole() {
    let state = given([Command::PutSettings(settings(json!({ "timeout": "5s" })))]);
    let mut after = state.clone();
    let decision = when(
        &state,
        Command::PutSettings(settings(json!({ "forwarded": true }))),
    )
    .unwrap();
    happen(&mut after, &decision.events, 2);
    assert_eq!(after.settings().value.timeout, None);
    assert_eq!(
        (after.settings().revision, after.settings().created_at),
        (2, stamp(1).at)
    );
}

#[test]
fn a_caller_who_has_not_seen_the_last_settings_is_refused() {
    let command = Command::PutSettings(settings(json!({ "timeout": "5s" })));
    assert!(decide(&ConfigState::default(), &command, &Expect::Revision(0)).is_ok());
    let refusal = decide(&given([command.clone()]), &command, &Expect::Revision(0)).unwrap_err();
    assert_eq!(refusal.code(), "stale");
}

#[test]
fn too_many_trusted_networks_are_refused() {
    let networks: Vec<String> = (0..1025)
        .map(|number| format!("10.0.{}.{}", number / 256, number % 256))
        .collect();
    let command = Command::PutSettings(settings(json!({ "trustedProxies": networks })));
    assert_eq!(
        when(&ConfigState::default(), command).unwrap_err().pointer(),
        Some("/trustedProxies")
    );
}

#[test]
fn limits_that_cannot_be_meant_are_refused_where_they_stand() {
    let check = |limits: serde_json::Value, pointer: Option<&str>| {
        let put = Command::PutSettings(settings(json!({ "rateLimit": limits })));
        let refusal = when(&given_backend(), put).err();
        assert_eq!(refusal.as_ref().and_then(Refusal::pointer), pointer, "{limits}");
    };
    check(json!({ "requests": 1, "window": "1s", "burst": 1000 }), None);
    check(
        json!({ "requests": 1, "window": "24h", "burst": 367 }),
        Some("/rateLimit/burst"),
    );
    let sliding = json!({ "requests": 1, "window": "1s", "burst": 1, "algorithm": "slidingWindow" });
    check(sliding.clone(), Some("/rateLimit/burst"));
    check(
        json!([{ "requests": 1, "window": "1m" }, sliding]),
        Some("/rateLimit/1/burst"),
    );
    let long = json!({ "requests": 1, "window": "1s", "message": "x".repeat(513) });
    check(long, Some("/rateLimit/message"));
}

#[test]
fn two_providers_of_tokens_have_neither_the_same_issuer_nor_the_same_name() {
    let provider = |name: &str, issuer: &str| {
        json!({
            "name": name, "issuer": issuer, "audiences": ["a"], "algorithms": ["RS256"], "jwksUrl": "https://a",
        })
    };
    let verdict = |second: Value| {
        let jwt = json!({ "auth": { "jwt": [provider("a", "x"), second] } });
        when(&ConfigState::default(), Command::PutSettings(settings(jwt))).map(drop)
    };
    let same = |field: &str| Refusal::Invalid {
        pointer: format!("/auth/jwt/1/{field}"),
        detail: format!("another provider has the same {field}"),
    };
    assert_eq!(verdict(provider("b", "y")), Ok(()));
    assert_eq!(verdict(provider("b", "x")), Err(same("issuer")));
    assert_eq!(verdict(provider("a", "y")), Err(same("name")));
}
