use std::sync::Arc;

use flexgate_schemas::{
    KeyId, Timestamp,
    key::{KeyTerms, secret},
};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::Entry;

const NOW: i64 = 1_790_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

fn key(secret: &str, terms: &serde_json::Value) -> ApiKey {
    let mut written = json!({ "name": "app" });
    written
        .as_object_mut()
        .unwrap()
        .extend(terms.as_object().unwrap().clone());
    let terms: KeyTerms = serde_json::from_value(written).unwrap();
    let hash = SecretHash::of(secret.as_bytes());
    let id = secret::claimed_id(secret.as_bytes()).unwrap_or(hash.derived_id());
    ApiKey::new(id, hash, terms)
}

fn keys(all: impl IntoIterator<Item = ApiKey>) -> Keys {
    let entry = |value: ApiKey| {
        let id = value.id;
        let entry = Entry {
            value,
            revision: 1,
            created_at: at(0),
            updated_at: at(0),
        };
        (id, Arc::new(entry))
    };
    all.into_iter().map(entry).collect()
}

fn asked<'a>(route: &'a RouteId, method: &'a Method) -> Asked<'a> {
    Asked {
        at: NOW,
        from: "10.1.2.3".parse().unwrap(),
        route,
        method,
    }
}

#[test]
fn a_key_opens_what_its_terms_say() {
    let check = |terms: serde_json::Value, expected: Result<(), Denied>| {
        let route = "orders".parse().unwrap();
        assert_eq!(
            verdict(&key("s", &terms), &asked(&route, &Method::GET)),
            expected,
            "{terms}"
        );
    };
    check(json!({}), Ok(()));
    check(json!({ "enabled": false }), Err(Denied::Disabled));
    check(json!({ "expiresAt": at(NOW + 1) }), Ok(()));
    check(json!({ "expiresAt": at(NOW) }), Err(Denied::Expired));
    check(json!({ "networks": ["10.0.0.0/8"] }), Ok(()));
    check(json!({ "networks": ["fd00::/8", "10.1.2.3"] }), Ok(()));
    check(json!({ "networks": ["::ffff:10.0.0.0/104"] }), Ok(())); // which is what the mapped network stands for
    check(
        json!({ "networks": ["fd00::/8", "10.1.2.4"] }),
        Err(Denied::Network),
    );
    check(json!({ "scopes": { "routes": ["orders"] } }), Ok(()));
    check(json!({ "scopes": { "routes": ["order"] } }), Err(Denied::Scope));
    check(json!({ "scopes": { "methods": ["GET", "POST"] } }), Ok(()));
    check(json!({ "scopes": { "methods": ["POST"] } }), Err(Denied::Scope));
    check(
        json!({ "scopes": { "routes": ["orders"], "methods": ["POST"] } }),
        Err(Denied::Scope),
    );
}

#[test]
fn what_ends_a_key_beats_what_it_opens() {
    let route = "orders".parse().unwrap();
    let nowhere = json!({ "enabled": false, "networks": ["::1"], "scopes": { "methods": ["PUT"] } });
    let revoked = key("s", &nowhere).revoked(at(1));
    assert_eq!(
        verdict(&revoked, &asked(&route, &Method::GET)),
        Err(Denied::Revoked)
    );
    assert_eq!(
        verdict(&key("s", &nowhere), &asked(&route, &Method::GET)),
        Err(Denied::Disabled)
    );
}

#[test]
fn a_key_is_found_by_what_its_secret_says_or_by_its_hash() {
    let id: KeyId = "7Kx2mPq9RtZa".parse().unwrap();
    let made = secret::made_of(id, &[7; 32]);
    let foreign = secret::made_of("000000000000".parse().unwrap(), &[8; 32]);
    let elsewhere = ApiKey::new(
        SecretHash::of(foreign.as_bytes()).derived_id(),
        SecretHash::of(foreign.as_bytes()),
        key("x", &json!({})).terms(),
    );
    let elsewhere_id = elsewhere.id;
    let all = keys([key(&made, &json!({})), key("hunter2", &json!({})), elsewhere]);
    let found = |sent: &str| find(&all, &Sent::of(sent.as_bytes())).map(|key| key.id);
    assert_eq!(found(&made), Some(id));
    assert_eq!(found("hunter2"), Some(SecretHash::of(b"hunter2").derived_id()));
    assert_eq!(found(&foreign), Some(elsewhere_id));
    assert_eq!(found("hunter3"), None);
    // Found, and proves nothing: the id is not the secret.
    let guess = secret::made_of(id, &[9; 32]);
    assert_eq!(found(&guess), Some(id));
    let key = all.get(&id).unwrap();
    assert!(!proves(&key.value, &SecretHash::of(guess.as_bytes()), NOW));
}

proptest! {
    #[test]
    fn only_secrets_that_are_valid_now_prove_anything(
        overlaps in proptest::collection::vec(0..5_000_i64, 0..5),
        elapsed in 0..10_000_i64,
    ) {
        let secret = |turn: usize| SecretHash::of(format!("secret {turn}").as_bytes());
        let mut key = key("secret 0", &json!({}));
        // What the rotations say: a secret ends with the overlap of the first rotation after it that says so soonest.
        let mut ends = vec![i64::MAX; overlaps.len() + 1];
        for (turn, overlap) in overlaps.iter().enumerate() {
            let now = NOW + i64::try_from(turn).unwrap();
            key = key.rotated(secret(turn + 1), at(now), at(now + overlap));
            for end in &mut ends[..=turn] {
                *end = (*end).min(now + overlap);
            }
        }
        let when = NOW + i64::try_from(overlaps.len()).unwrap() + elapsed;
        for (turn, end) in ends.iter().enumerate() {
            prop_assert_eq!(proves(&key, &secret(turn), when), when < *end, "secret {}", turn);
        }
        prop_assert!(!proves(&key, &SecretHash::of(b"another"), when));
    }

    #[test]
    fn whatever_is_sent_only_a_secret_that_is_known_finds_its_key(sent in proptest::collection::vec(any::<u8>(), 0..80)) {
        let all = keys([key("hunter2", &json!({}))]);
        let known = Sent::of(&sent);
        let proved = find(&all, &known).is_some_and(|key| proves(key, &known.hash, NOW));
        prop_assert_eq!(proved, sent == b"hunter2");
    }
}
