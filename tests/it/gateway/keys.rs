//! API keys: who may pass, and what the upstream is told of them.

use std::time::{SystemTime, UNIX_EPOCH};

use flexgate_schemas::{
    Event, KeyId,
    key::{SecretHash, secret},
};
use serde_json::{Value, json};

use super::{Node, assert_refused, recording::Recording, route, route_with, settings};
use crate::{upstream::Upstream, wire::Message};

/// A key, with further fields as events have them.
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(super) secret: String,
    fields: Value,
}

impl Key {
    pub(crate) fn new(number: u8) -> Self {
        let id = KeyId::made_of(&[number; 32]);
        let secret = secret::made_of(id, &[number; 32]);
        let fields = json!({ "id": id, "name": "app", "sha256": SecretHash::of(secret.as_bytes()) });
        Self { id, secret, fields }
    }

    pub(crate) fn with(mut self, more: Value) -> Self {
        let Value::Object(more) = more else {
            panic!("{more}")
        };
        self.fields.as_object_mut().unwrap().extend(more);
        self
    }

    pub(crate) fn created(&self) -> Event {
        Event::KeyCreated(serde_json::from_value(self.fields.clone()).unwrap())
    }

    pub(super) fn updated(&self) -> Event {
        Event::KeyUpdated(serde_json::from_value(self.fields.clone()).unwrap())
    }

    pub(crate) fn line(&self) -> String {
        format!("x-api-key: {}\r\n", self.secret)
    }
}

/// So many seconds from now, as events write it.
fn in_seconds(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = i64::try_from(now.as_millis()).unwrap() + seconds * 1000;
    flexgate_schemas::Timestamp::from_millis(at).unwrap().to_string()
}

fn private(backend: &Upstream) -> Event {
    route_with("private", "/private/*", &backend.url(), r#""auth":"required""#)
}

async fn get(node: &Node, path: &str, lines: &str) -> Message {
    node.client().await.get(path, lines).await
}

fn challenges(refused: &Message) -> Vec<&str> {
    refused.all("www-authenticate")
}

#[tokio::test]
async fn a_route_for_those_with_a_key_is_open_to_them_alone() {
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1);
    let node = Node::start(&[private(&backend), key.created()]);
    let bearer = format!("authorization: Bearer {}\r\n", key.secret);
    for lines in [key.line(), bearer.clone(), bearer.replace("Bearer", "bearer")] {
        assert_eq!(get(&node, "/private/a", &lines).await.status(), 200, "{lines}");
    }
    let refused = get(&node, "/private/a", "").await;
    assert_refused(&refused, 401, "unauthorized", "http_request_denied");
    assert_eq!(
        challenges(&refused),
        [
            "Bearer realm=\"flexgate\"",
            "ApiKey realm=\"flexgate\", header=\"x-api-key\""
        ]
    );
    assert_eq!(backend.seen().len(), 3);
}

#[tokio::test]
async fn what_proves_nothing_is_refused_without_a_word_why() {
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1);
    let node = Node::start(&[private(&backend), key.created()]);
    let wrong = secret::made_of(key.id, &[9; 32]);
    let unknown = Key::new(2).secret;
    let mut bodies = Vec::new();
    for lines in [
        format!("x-api-key: {wrong}\r\n"),
        format!("x-api-key: {unknown}\r\n"),
        format!("x-api-key: {}\r\n", key.id),
        format!("x-api-key: {}\r\n", "a".repeat(600)),
        "x-api-key:\r\n".to_owned(),
        format!("x-api-key: {0}\r\nx-api-key: {0}\r\n", key.secret),
        format!("authorization: Bearer {wrong}\r\n"),
    ] {
        let refused = get(&node, "/private/a", &lines).await;
        assert_refused(&refused, 401, "invalid_credential", "http_request_denied");
        assert_eq!(
            challenges(&refused)[0],
            "Bearer realm=\"flexgate\", error=\"invalid_token\""
        );
        let mut problem = refused.json();
        problem["correlation_id"].take();
        bodies.push(problem);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "nobody learns which ids there are");
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn a_token_of_somebody_else_is_no_credential_of_ours() {
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1);
    let node = Node::start(&[private(&backend), key.created()]);
    let theirs = "authorization: Bearer eyJhbGciOiJub25lIn0.e30.\r\n";
    let refused = get(&node, "/private/a", theirs).await;
    assert_refused(&refused, 401, "unauthorized", "http_request_denied");
    let both = get(&node, "/private/a", &format!("{theirs}{}", key.line())).await;
    assert_eq!(both.status(), 200);
    assert_eq!(
        backend.last().header("authorization"),
        Some("Bearer eyJhbGciOiJub25lIn0.e30.")
    );
}

/// Each by a credential that is good, so that it is the kind alone that decides.
#[tokio::test]
async fn a_route_takes_the_kinds_of_credentials_that_it_lists_and_says_which() {
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1);
    let route = |id: &str, accept: &str| {
        let auth = format!(r#""auth":{{"mode":"{id}","accept":[{accept}]}}"#);
        route_with(id, &format!("/{id}"), &backend.url(), &auth)
    };
    let mut node = Node::start(&[route("required", r#""signature""#), key.created()]);
    let refused = get(&node, "/required", &key.line()).await;
    assert_refused(&refused, 401, "credential_not_accepted", "http_request_denied");
    assert_eq!(challenges(&refused), ["FlexGate-HMAC-SHA256 realm=\"flexgate\""]);
    let refused = get(&node, "/required", "").await;
    assert_refused(&refused, 401, "unauthorized", "http_request_denied");

    node.change(&[route("optional", r#""certificate","jwt""#)]);
    let refused = get(&node, "/optional", &key.line()).await;
    assert_refused(&refused, 401, "credential_not_accepted", "http_request_denied");
    let expected = [
        "Bearer realm=\"flexgate\"",
        "ClientCertificate realm=\"flexgate\"",
    ];
    assert_eq!(challenges(&refused), expected);
    assert!(backend.seen().is_empty(), "it is no secret of the upstream's");
    assert_eq!(get(&node, "/optional", "").await.status(), 200);

    node.change(&[route("required", r#""jwt","apiKey""#)]);
    assert_eq!(get(&node, "/required", &key.line()).await.status(), 200);
}

#[tokio::test]
async fn the_upstream_is_told_whose_the_request_is_and_not_the_secret() {
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1);
    let node = Node::start(&[
        private(&backend),
        route("open", "/open", &backend.url()),
        key.created(),
    ]);
    let spoofed = "x-flexgate-key: somebody-else\r\nconnection: x-flexgate-key\r\n";
    for lines in [key.line(), format!("authorization: Bearer {}\r\n", key.secret)] {
        get(&node, "/private/a", &format!("{lines}{spoofed}")).await;
        let seen = backend.last();
        assert_eq!(seen.all("x-flexgate-key"), [key.id.as_str()]);
        assert_eq!(
            (seen.header("x-api-key"), seen.header("authorization")),
            (None, None)
        );
    }
    get(&node, "/open", &format!("{spoofed}{}", key.line())).await;
    let seen = backend.last();
    assert_eq!(seen.header("x-flexgate-key"), None);
    assert_eq!(
        seen.header("x-api-key"),
        Some(&*key.secret),
        "nobody has asked for it here"
    );
}

#[tokio::test]
async fn a_credential_goes_on_where_the_settings_say_so() {
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1);
    let node = Node::start(&[
        settings(r#"{"auth":{"header":"X-Client-Key","forwardCredential":true}}"#),
        private(&backend),
        key.created(),
    ]);
    let lines = format!("x-client-key: {}\r\n", key.secret);
    assert_eq!(get(&node, "/private/a", &lines).await.status(), 200);
    assert_eq!(backend.last().header("x-client-key"), Some(&*key.secret));
    let refused = get(&node, "/private/a", &key.line()).await;
    assert_refused(&refused, 401, "unauthorized", "http_request_denied");
    assert_eq!(
        challenges(&refused)[1],
        "ApiKey realm=\"flexgate\", header=\"x-client-key\""
    );
}

#[tokio::test]
async fn where_a_credential_is_optional_none_will_do_and_a_bad_one_will_not() {
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1);
    let optional = route_with("open", "/open", &backend.url(), r#""auth":"optional""#);
    let node = Node::start(&[optional, key.created()]);
    assert_eq!(get(&node, "/open", "").await.status(), 200);
    assert_eq!(backend.last().header("x-flexgate-key"), None);
    assert_eq!(get(&node, "/open", &key.line()).await.status(), 200);
    assert_eq!(backend.last().header("x-flexgate-key"), Some(key.id.as_str()));
    let refused = get(&node, "/open", "x-api-key: nonsense\r\n").await;
    assert_refused(&refused, 401, "invalid_credential", "http_request_denied");
}

#[tokio::test]
async fn a_key_opens_nothing_when_its_time_is_over() {
    let backend = Upstream::replying(200).start().await;
    let keys = [
        (
            Key::new(1).with(json!({ "enabled": false })),
            Some("The API key is disabled."),
        ),
        (
            Key::new(2).with(json!({ "expiresAt": in_seconds(-1) })),
            Some("The API key has expired."),
        ),
        (
            Key::new(3).with(json!({ "revokedAt": in_seconds(-9) })),
            Some("The API key was revoked."),
        ),
        (Key::new(4).with(json!({ "expiresAt": in_seconds(600) })), None),
    ];
    let mut events = vec![private(&backend)];
    events.extend(keys.iter().map(|(key, _)| key.created()));
    let node = Node::start(&events);
    for (key, detail) in keys {
        let response = get(&node, "/private/a", &key.line()).await;
        let Some(detail) = detail else {
            assert_eq!(response.status(), 200);
            continue;
        };
        assert_refused(&response, 401, "key_inactive", "http_request_denied");
        assert_eq!(response.json()["detail"], detail);
        assert!(challenges(&response)[0].contains("invalid_token"));
    }
}

#[tokio::test]
async fn a_key_opens_its_scopes_from_its_networks() {
    let backend = Upstream::replying(200).start().await;
    let scoped = Key::new(1).with(json!({ "scopes": { "routes": ["private"], "methods": ["GET"] } }));
    let near = Key::new(2).with(json!({ "networks": ["127.0.0.0/8", "fd00::/8"] }));
    let far = Key::new(3).with(json!({ "networks": ["203.0.113.0/24"] }));
    let node = Node::start(&[
        settings(r#"{"trustedProxies":["127.0.0.1"]}"#),
        private(&backend),
        route_with("other", "/other", &backend.url(), r#""auth":"required""#),
        scoped.created(),
        near.created(),
        far.created(),
    ]);
    assert_eq!(get(&node, "/private/a", &scoped.line()).await.status(), 200);
    let post = format!(
        "POST /private/a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n{}\r\n",
        scoped.line()
    );
    for refused in [get(&node, "/other", &scoped.line()).await, node.ask(&post).await] {
        assert_refused(&refused, 403, "scope_denied", "http_request_denied");
        assert!(
            challenges(&refused).is_empty(),
            "another credential of theirs would not help"
        );
    }
    assert_eq!(get(&node, "/other", &near.line()).await.status(), 200);
    let refused = get(&node, "/other", &far.line()).await;
    assert_refused(&refused, 403, "network_denied", "http_request_denied");
    let through_a_proxy = format!("{}x-forwarded-for: 203.0.113.7\r\n", far.line());
    assert_eq!(get(&node, "/other", &through_a_proxy).await.status(), 200);
}

#[tokio::test]
async fn an_earlier_secret_is_good_until_its_time_is_over() {
    let backend = Upstream::replying(200).start().await;
    let first = Key::new(1);
    let hash = SecretHash::of(first.secret.as_bytes());
    let second = secret::made_of(first.id, &[2; 32]);
    let rotated = |until: i64| {
        Key::new(1).with(json!({
            "sha256": SecretHash::of(second.as_bytes()),
            "previous": [{ "sha256": hash, "until": in_seconds(until) }],
        }))
    };
    let mut node = Node::start(&[private(&backend), rotated(600).created()]);
    let second_line = format!("x-api-key: {second}\r\n");
    for lines in [first.line(), second_line.clone()] {
        assert_eq!(get(&node, "/private/a", &lines).await.status(), 200);
        assert_eq!(backend.last().header("x-flexgate-key"), Some(first.id.as_str()));
    }
    node.change(&[rotated(-1).updated()]);
    assert_eq!(get(&node, "/private/a", &second_line).await.status(), 200);
    let refused = get(&node, "/private/a", &first.line()).await;
    assert_refused(&refused, 401, "invalid_credential", "http_request_denied");
}

#[tokio::test]
async fn a_key_of_any_form_is_known_by_its_hash() {
    let backend = Upstream::replying(200).start().await;
    let hash = SecretHash::of(b"correct horse battery staple");
    let known = json!({ "id": hash.derived_id(), "name": "old", "sha256": hash });
    let known = Event::KeyCreated(serde_json::from_value(known).unwrap());
    let node = Node::start(&[private(&backend), known]);
    let response = get(&node, "/private/a", "x-api-key: correct horse battery staple\r\n").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        backend.last().header("x-flexgate-key"),
        Some(hash.derived_id().as_str())
    );
}

#[tokio::test]
async fn an_edit_cannot_copy_a_credential_that_was_checked() {
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1);
    let copies = r#""auth":"required","headers":{"request":{"set":{"x-copy":"${header.x-api-key}"}}}"#;
    let node = Node::start(&[route_with("all", "/*", &backend.url(), copies), key.created()]);
    assert_eq!(get(&node, "/", &key.line()).await.status(), 200);
    assert_eq!(backend.last().header("x-copy"), None);
}

#[tokio::test]
async fn a_request_is_recorded_as_that_of_a_key_only_when_its_secret_was_right() {
    let backend = Upstream::replying(200).start().await;
    let key = Key::new(1);
    let revoked = Key::new(2).with(json!({ "revokedAt": in_seconds(-9) }));
    let matching = r#""auth":"required","match":{"headers":[{"name":"x-client-key"}]}"#;
    let recording = Recording::of(&[
        settings(r#"{"auth":{"header":"x-client-key"}}"#),
        private(&backend),
        route_with("matching", "/matching", &backend.url(), matching),
        key.created(),
        revoked.created(),
    ]);
    let framed = secret::made_of(key.id, &[9; 32]);
    for secret in [&key.secret, &revoked.secret, &framed] {
        let lines = format!("x-client-key: {secret}\r\n");
        recording.client().await.get("/private/a", &lines).await;
        recording.client().await.get("/matching", &lines).await;
    }
    let recorded = recording.over().await;
    let (key_id, revoked_id) = (Some(key.id.as_str()), Some(revoked.id.as_str()));
    let said = recorded.rows.chunks(2).map(|pair| {
        assert_eq!(pair[0].outcome.key, pair[1].outcome.key);
        assert_eq!(
            pair[1].outcome.matched, None,
            "a credential is no value to be recorded"
        );
        (pair[0].outcome.key, pair[0].outcome.refused)
    });
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            (key_id, None),
            (revoked_id, Some("key_inactive")),
            (None, Some("invalid_credential")),
        ]
    );
    for secret in [&key.secret, &revoked.secret, &framed] {
        assert!(!recorded.files_have(secret));
    }
}
