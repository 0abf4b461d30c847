//! Signed requests: what was signed passes, to the last byte of its body and once, and nothing else does.

use std::{
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::{digest, hmac};
use base64::{Engine, engine::general_purpose::STANDARD};
use flexgate_schemas::{KeyId, Secret, key::signing};
use serde_json::json;

use super::{Node, SEALING, assert_refused, keys::Key, route_with};
use crate::{
    token_provider::now,
    upstream::{Behaviour, Upstream},
    wire::Message,
};

pub(crate) const SECRET: &str = "fgs_of-a-test";
const OLD_SECRET: &str = "fgs_of-yesterday";

/// A request, and what its client signs.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    method: &'a str,
    host: &'a str,
    pub(crate) target: &'a str,
    body: &'a str,
    at: u64,
    /// Another one in each, so that none is a repetition.
    nonce: u64,
    pub(crate) secret: &'a str,
}

static NONCE: AtomicU64 = AtomicU64::new(0);

impl<'a> Request<'a> {
    pub(crate) fn new(method: &'a str, body: &'a str) -> Self {
        Self {
            method,
            host: "api.example",
            target: "/orders?page=1",
            body,
            at: now(),
            nonce: NONCE.fetch_add(1, Ordering::Relaxed),
            secret: SECRET,
        }
    }

    /// The fields that prove who sends it.
    pub(crate) fn fields(self, key: &Key) -> String {
        self.fields_of(&key.id)
    }

    /// By the id of its key.
    pub(crate) fn fields_of(self, key: &KeyId) -> String {
        let digest = STANDARD.encode(digest::digest(&digest::SHA256, self.body.as_bytes()));
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let Self {
            method,
            host,
            at,
            nonce,
            ..
        } = self;
        let message =
            format!("FlexGate-HMAC-SHA256\n{at}\n{method}\n{host}\n{path}\n{query}\n{digest}\n{nonce}");
        let secret = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&secret, message.as_bytes()));
        format!(
            "content-digest: sha-256=:{digest}:\r\n\
             authorization: FlexGate-HMAC-SHA256 key={key}, timestamp={at}, nonce={nonce}, signature={signature}\r\n"
        )
    }

    /// As it is sent, with these fields.
    pub(crate) fn sent(self, fields: &str) -> String {
        let Self {
            method,
            host,
            target,
            body,
            ..
        } = self;
        let length = body.len();
        format!(
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n{fields}\r\n{body}"
        )
    }
}

pub(crate) fn sealed(secret: &str, key: &Key) -> String {
    let sealed = SEALING.seal(secret, signing::purpose(&key.id)).unwrap();
    Secret::Sealed(sealed).to_string()
}

struct Signing {
    node: Node,
    backend: Upstream,
    key: Key,
}

impl Signing {
    async fn towards(behaviour: Behaviour) -> Self {
        let backend = behaviour.start().await;
        let key = Key::new(1);
        let secret = sealed(SECRET, &key);
        let key = key.with(json!({"signing": {"secret": secret}, "scopes": {"methods": ["GET", "POST"]}}));
        let node = Node::start(&[
            route_with("private", "/*", &backend.url(), r#""auth":"required""#),
            key.created(),
        ]);
        Self { node, backend, key }
    }

    async fn ask(&self, request: Request<'_>) -> Message {
        self.node.ask(&request.sent(&request.fields(&self.key))).await
    }
}

#[track_caller]
fn assert_invalid(refused: &Message, says: &str) {
    assert_refused(refused, 401, "invalid_signature", "http_request_denied");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(says), "{detail}");
    let challenges = refused.all("www-authenticate");
    assert!(
        challenges.contains(&"FlexGate-HMAC-SHA256 realm=\"flexgate\""),
        "{challenges:?}"
    );
}

#[tokio::test]
async fn what_was_signed_passes_and_the_signature_goes_no_further() {
    let signing = Signing::towards(Upstream::replying(200)).await;
    for request in [Request::new("GET", ""), Request::new("POST", r#"{"a":1}"#)] {
        let answer = signing.ask(request).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let seen = signing.backend.last();
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.header("x-flexgate-key"), Some(signing.key.id.as_str()));
        assert_eq!(seen.text(), request.body);
    }
    let request = Request::new("GET", "");
    let fields = request.fields(&signing.key);
    let (_, without_digest) = fields.split_once("\r\n").unwrap();
    let answer = signing.node.ask(&request.sent(without_digest)).await;
    assert_eq!(
        answer.status(),
        200,
        "nothing has one digest, which need not be said"
    );
}

#[tokio::test]
async fn what_was_changed_on_the_way_is_refused() {
    let signing = Signing::towards(Upstream::replying(200)).await;
    let signed = Request::new("POST", "body");
    let fields = signed.fields(&signing.key);
    for changed in [
        Request {
            method: "GET",
            ..signed
        },
        Request {
            host: "evil.example",
            ..signed
        },
        Request {
            target: "/orders/1?page=1",
            ..signed
        },
        Request {
            target: "/orders?page=2",
            ..signed
        },
        Request {
            target: "/orders?page=1&",
            ..signed
        },
        Request {
            target: "/%6frders?page=1",
            ..signed
        },
    ] {
        assert_invalid(
            &signing.node.ask(&changed.sent(&fields)).await,
            "is not that of a key",
        );
    }
    for (from, to, says) in [
        (
            format!("timestamp={}", signed.at),
            format!("timestamp={}", signed.at - 1),
            "is not that of a key",
        ),
        (
            signing.key.id.to_string(),
            Key::new(2).id.to_string(),
            "is not that of a key",
        ),
        (
            "signature=".to_owned(),
            "signature=AAAA".to_owned(),
            "is not that of a key",
        ),
        (
            ", timestamp".to_owned(),
            "; timestamp".to_owned(),
            "is written as",
        ),
        ("sha-256=:".to_owned(), "sha-512=:".to_owned(), "has no SHA-256"),
    ] {
        let changed = fields.replace(&from, &to);
        assert_invalid(&signing.node.ask(&signed.sent(&changed)).await, says);
    }
    assert!(signing.backend.seen().is_empty());
}

#[tokio::test]
async fn a_signature_is_good_for_five_minutes() {
    let signing = Signing::towards(Upstream::replying(200)).await;
    for (at, status) in [
        (now() - 290, 200),
        (now() + 290, 200),
        (now() - 310, 401),
        (now() + 310, 401),
    ] {
        let answer = signing
            .ask(Request {
                at,
                ..Request::new("GET", "")
            })
            .await;
        assert_eq!(answer.status(), status);
        if status == 401 {
            assert_invalid(&answer, "five minutes");
        }
    }
}

/// The upstream may see that a request begins; it never sees a whole one.
#[tokio::test]
async fn another_body_than_the_signed_one_never_arrives_in_whole() {
    let signing = Signing::towards(Upstream::replying(200)).await;
    for body in ["Body", "bod", "", "bodyy"] {
        let signed = Request::new("POST", "body");
        let fields = signed.fields(&signing.key);
        let refused = signing.node.ask(&Request { body, ..signed }.sent(&fields)).await;
        assert_invalid(&refused, "the body is not the one");
    }
    for chunks in [
        "4\r\nBody\r\n0\r\n\r\n",
        "2\r\nbo\r\n2\r\nDY\r\n0\r\n\r\n",
        "0\r\n\r\n",
    ] {
        let head = "POST /orders?page=1 HTTP/1.1\r\nhost: api.example\r\ntransfer-encoding: chunked\r\n";
        let fields = Request::new("POST", "body").fields(&signing.key);
        let refused = signing.node.ask(&format!("{head}{fields}\r\n{chunks}")).await;
        assert_invalid(&refused, "the body is not the one");
    }
    assert!(signing.backend.seen().is_empty());
    let answer = signing.ask(Request::new("POST", "body")).await;
    assert_eq!((answer.status(), signing.backend.seen().len()), (200, 1));
}

#[tokio::test]
async fn a_long_body_is_verified_while_it_passes() {
    let signing = Signing::towards(Upstream::echoing()).await;
    let body = "0123456789abcdef".repeat(64 * 1024);
    let request = Request::new("POST", &body);
    let answer = signing.ask(request).await;
    assert_eq!((answer.status(), answer.body.len()), (200, body.len()));
    let chunks = format!(
        "2\r\n01\r\n{:x}\r\n{}\r\n0\r\nx-unsigned: 1\r\n\r\n",
        body.len() - 2,
        &body[2..]
    );
    let head = "POST /orders?page=1 HTTP/1.1\r\nhost: api.example\r\ntransfer-encoding: chunked\r\n";
    let request = Request::new("POST", &body);
    let answer = signing
        .node
        .ask(&format!("{head}{}\r\n{chunks}", request.fields(&signing.key)))
        .await;
    assert_eq!((answer.status(), answer.body.len()), (200, body.len()));
    assert!(
        signing.backend.last().trailers.is_empty(),
        "what was not signed goes no further"
    );
}

#[tokio::test]
async fn the_terms_of_a_key_hold_for_what_it_signs_and_a_replaced_secret_for_its_time() {
    let mut signing = Signing::towards(Upstream::replying(200)).await;
    let refused = signing.ask(Request::new("DELETE", "")).await;
    assert_refused(&refused, 403, "scope_denied", "http_request_denied");

    let previous = |until: &str| {
        let key = Key::new(1);
        let (secret, old) = (sealed(SECRET, &key), sealed(OLD_SECRET, &key));
        key.with(json!({"signing": {"secret": secret, "previous": [{"secret": old, "until": until}]}}))
            .updated()
    };
    let old = || Request {
        secret: OLD_SECRET,
        ..Request::new("GET", "")
    };
    signing.node.change(&[previous("2100-01-01T00:00:00Z")]);
    assert_eq!(signing.ask(old()).await.status(), 200);
    assert_eq!(signing.ask(Request::new("GET", "")).await.status(), 200);
    signing.node.change(&[previous("2020-01-01T00:00:00Z")]);
    assert_invalid(&signing.ask(old()).await, "is not that of a key");

    signing.node.change(&[Key::new(1).updated()]);
    let refused = signing.ask(Request::new("GET", "")).await;
    assert_refused(&refused, 401, "invalid_signature", "http_request_denied");
}

#[tokio::test]
async fn what_was_signed_passes_once() {
    let signing = Signing::towards(Upstream::replying(200)).await;
    let request = Request::new("POST", "body");
    assert_eq!(signing.ask(request).await.status(), 200);
    for _ in 0..2 {
        let refused = signing.ask(request).await;
        assert_refused(&refused, 401, "signature_replayed", "http_request_denied");
    }
    assert_eq!(signing.ask(Request::new("POST", "body")).await.status(), 200);
    assert_eq!(signing.backend.seen().len(), 2);

    // What is refused for other reasons is not used up.
    let denied = Request::new("DELETE", "");
    for _ in 0..2 {
        let refused = signing.ask(denied).await;
        assert_refused(&refused, 403, "scope_denied", "http_request_denied");
    }
}

/// A secret that was sealed for one key is no secret of another, whoever writes it there.
#[tokio::test]
async fn nobody_signs_with_the_secret_of_another_key() {
    let signing = Signing::towards(Upstream::replying(200)).await;
    let other = Key::new(2);
    let moved = other.with(json!({"signing": {"secret": sealed(SECRET, &signing.key)}}));
    let mut node = signing.node;
    node.change(&[moved.created()]);
    let request = Request::new("GET", "");
    assert_invalid(
        &node.ask(&request.sent(&request.fields(&moved))).await,
        "is not that of a key",
    );
}

#[tokio::test]
async fn a_route_may_take_no_signatures() {
    let mut signing = Signing::towards(Upstream::replying(200)).await;
    let route = |accept: &str| {
        let auth = format!(r#""auth":{{"mode":"required","accept":["{accept}"]}}"#);
        route_with("private", "/*", &signing.backend.url(), &auth)
    };
    let events = [route("apiKey"), route("signature")];
    for (event, status) in events.into_iter().zip([401, 200]) {
        signing.node.change(&[event]);
        let answer = signing.ask(Request::new("GET", "")).await;
        assert_eq!(answer.status(), status);
        if status == 401 {
            assert_refused(&answer, 401, "credential_not_accepted", "http_request_denied");
        }
    }
}

/// What the documentation says works.
#[tokio::test]
async fn the_documented_example_is_answered() {
    let signing = Signing::towards(Upstream::echoing()).await;
    let docs = include_str!("../../../docs/authentication.md");
    let (_, example) = docs.split_once("```bash\n# sign\n").expect("an example");
    let (example, _) = example.split_once("```").unwrap();
    let addr = signing.node.addr().to_string();
    let script = example.replace("localhost:8000", &addr);
    assert_ne!(script, example);
    let mut run = Command::new("bash");
    run.args(["-euo", "pipefail", "-c", &script])
        .env("KEY_ID", signing.key.id.as_str())
        .env("SIGNING_SECRET", SECRET);
    let done = tokio::task::spawn_blocking(move || run.output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(said.contains(r#"{"item":"tea"}"#), "{said}");
    assert_eq!(
        signing.backend.last().header("x-flexgate-key"),
        Some(signing.key.id.as_str())
    );
}
