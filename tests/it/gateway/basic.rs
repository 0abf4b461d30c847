//! User names and passwords: verified away from the core, known for a while, and of a key like any other proof.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD};
use flexgate_schemas::{
    Event,
    key::{PasswordHash, basic::Argon2id},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Node, assert_refused, keys::Key, options, route_with};
use crate::{upstream::Upstream, wire::Message};

/// A hash of a password that takes so much memory, in KiB.
fn hash(password: &str, memory: u32) -> Value {
    let mut parts = Argon2id {
        memory,
        passes: 1,
        lanes: 1,
        salt: b"of a test".to_vec(),
        hash: vec![0; 32],
    };
    let params = Params::new(memory, 1, 1, Some(32)).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), &parts.salt, &mut parts.hash)
        .unwrap();
    json!(PasswordHash::try_from(&parts).unwrap())
}

fn with(password: &str) -> Value {
    json!({"basic": {"username": "ada", "passwordHash": hash(password, 64)}})
}

fn line(username: &str, password: &str) -> String {
    let both = STANDARD.encode(format!("{username}:{password}"));
    format!("authorization: Basic {both}\r\n")
}

fn private(backend: &Upstream) -> Event {
    route_with("private", "/*", &backend.url(), r#""auth":"required""#)
}

async fn get(node: &Node, lines: &str) -> Message {
    node.client().await.get("/a", lines).await
}

#[track_caller]
fn assert_invalid(refused: &Message) {
    assert_refused(refused, 401, "invalid_credential", "http_request_denied");
}

#[tokio::test]
async fn a_password_opens_what_its_key_does_and_goes_no_further() {
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1).with(with("correct horse"));
    let node = Node::start(&[private(&backend), key.created()]);
    let good = line("ada", "correct horse");
    for lines in [good.clone(), good.replace("Basic", "basic"), good] {
        assert_eq!(get(&node, &lines).await.status(), 200, "{lines}");
        let seen = backend.last();
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.header("x-flexgate-key"), Some(key.id.as_str()));
    }
    for wrong in [
        line("ada", "correct horsf"),
        line("ada", ""),
        line("eve", "correct horse"),
        line("Ada", "correct horse"),
        line("", "correct horse"),
        line("ada", &"a".repeat(600)),
        "authorization: Basic ada\r\n".to_owned(),
    ] {
        for _ in 0..2 {
            assert_invalid(&get(&node, &wrong).await);
        }
    }
    assert_eq!(backend.seen().len(), 3);
    let refused = get(&node, "").await;
    assert_refused(&refused, 401, "unauthorized", "http_request_denied");
    let challenges = refused.all("www-authenticate");
    assert!(
        challenges.contains(&"Basic realm=\"flexgate\", charset=\"UTF-8\""),
        "{challenges:?}"
    );
}

#[tokio::test]
async fn why_a_key_opens_nothing_is_told_to_whoever_has_its_password() {
    let backend = Upstream::replying(200).start().await;
    let term = |more: Value| Key::new(1).with(with("correct horse")).with(more);
    let mut node = Node::start(&[private(&backend), term(json!({})).created()]);
    for (more, status, code) in [
        (json!({"expiresAt": "2020-01-01T00:00:00Z"}), 401, "key_inactive"),
        (json!({"enabled": false}), 401, "key_inactive"),
        (json!({"revokedAt": "2020-01-01T00:00:00Z"}), 401, "key_inactive"),
        (json!({"scopes": {"methods": ["POST"]}}), 403, "scope_denied"),
        (json!({"networks": ["10.0.0.0/8"]}), 403, "network_denied"),
    ] {
        node.change(&[term(more).updated()]);
        let refused = get(&node, &line("ada", "correct horse")).await;
        assert_refused(&refused, status, code, "http_request_denied");
        assert_invalid(&get(&node, &line("ada", "guess")).await);
    }
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn another_password_is_known_at_once_and_the_old_one_no_more() {
    let backend = Upstream::replying(200).start().await;
    let mut node = Node::start(&[
        private(&backend),
        Key::new(1).with(with("correct horse")).created(),
    ]);
    let (old, new) = (line("ada", "correct horse"), line("ada", "battery staple"));
    assert_eq!(get(&node, &old).await.status(), 200);
    assert_invalid(&get(&node, &new).await);
    node.change(&[Key::new(1).with(with("battery staple")).updated()]);
    assert_invalid(&get(&node, &old).await);
    assert_eq!(get(&node, &new).await.status(), 200);

    // The name goes to another key.
    let other = Key::new(2).with(with("correct horse"));
    node.change(&[Key::new(1).updated(), other.created()]);
    assert_invalid(&get(&node, &new).await);
    assert_eq!(get(&node, &old).await.status(), 200);
    assert_eq!(backend.last().header("x-flexgate-key"), Some(other.id.as_str()));
}

#[tokio::test]
async fn where_no_key_has_a_user_name_those_are_the_upstreams() {
    let backend = Upstream::replying(200).start().await;
    let optional = route_with("public", "/*", &backend.url(), r#""auth":"optional""#);
    let node = Node::start(&[optional, Key::new(1).created()]);
    let theirs = line("ada", "correct horse");
    assert_eq!(get(&node, &theirs).await.status(), 200);
    let sent = backend.last().header("authorization").map(str::to_owned);
    assert_eq!(sent.as_deref(), theirs.trim_end().strip_prefix("authorization: "));
}

#[tokio::test]
async fn a_route_may_take_passwords_alone_or_everything_else() {
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1).with(with("correct horse"));
    let route = |accept: &str| {
        let auth = format!(r#""auth":{{"mode":"required","accept":["{accept}"]}}"#);
        route_with("private", "/*", &backend.url(), &auth)
    };
    let mut node = Node::start(&[route("basic"), key.created()]);
    let good = line("ada", "correct horse");
    assert_eq!(get(&node, &good).await.status(), 200);
    let refused = get(&node, &key.line()).await;
    assert_refused(&refused, 401, "credential_not_accepted", "http_request_denied");
    let expected = ["Basic realm=\"flexgate\", charset=\"UTF-8\""];
    assert_eq!(refused.all("www-authenticate"), expected);
    node.change(&[route("apiKey")]);
    let refused = get(&node, &good).await;
    assert_refused(&refused, 401, "credential_not_accepted", "http_request_denied");
}

/// A client that opens many connections at once has its password verified once.
#[tokio::test]
async fn those_who_show_the_same_at_the_same_time_take_one_place() {
    let backend = Upstream::replying(200).start().await;
    let basic = json!({"basic": {"username": "ada", "passwordHash": hash("correct horse", 64 * 1024)}});
    let mut few = options();
    few.passwords_waiting_max = 0;
    let node = Node::start_with(few, &[private(&backend), Key::new(1).with(basic).created()]);
    let good = line("ada", "correct horse");
    let answers = join_all((0..50).map(|_| get(&node, &good))).await;
    assert!(answers.iter().all(|answer| answer.status() == 200));
}

/// Each guess takes a while, only one is verified at a time, and only one waits.
#[tokio::test]
async fn more_guesses_than_can_be_verified_are_refused_and_whoever_is_known_does_not_notice() {
    let backend = Upstream::replying(200).start().await;
    let basic = json!({"basic": {"username": "ada", "passwordHash": hash("correct horse", 64 * 1024)}});
    let mut few = options();
    few.passwords_waiting_max = 1;
    let node = Node::start_with(few, &[private(&backend), Key::new(1).with(basic).created()]);
    let good = line("ada", "correct horse");
    assert_eq!(get(&node, &good).await.status(), 200);
    let guesses = (0..20).map(|number| {
        let guess = line("ada", &format!("guess {number}"));
        let node = &node;
        async move { get(node, &guess).await }
    });
    let (answers, known) = tokio::join!(join_all(guesses), get(&node, &good));
    assert_eq!(known.status(), 200);
    let busy: Vec<_> = answers.iter().filter(|answer| answer.status() != 401).collect();
    assert!(!busy.is_empty() && busy.len() < 20, "{} of 20", busy.len());
    for refused in busy {
        assert_refused(refused, 503, "password_checks_busy", "proxy_internal_error");
        assert!(refused.header("retry-after").is_some());
    }
    assert_invalid(&get(&node, &line("ada", "one more")).await);
}
