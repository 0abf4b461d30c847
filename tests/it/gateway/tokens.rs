//! Tokens: whom a provider vouches for, by the keys that it publishes or that were written down.

use std::time::Duration;

use flexgate::{
    drain::Tasks,
    gateway::{Published, Roots, TokenKeys, TokenKeysReport},
    limiter::Limiter,
};
use flexgate_schemas::{Event, Secret, secret::Purpose};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Node, SEALING, assert_refused, keys::Key, route, route_with, settings, upstream};
use crate::{
    token_provider::{KeyServer, Signer, now},
    upstream::Upstream,
    wire::Message,
};

const ISSUER: &str = "https://id.example";

/// Claims that a provider vouches for, changed like this.
fn claims(change: &Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "sub": "ada", "aud": "api", "exp": now() + 60});
    claims
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    claims
}

fn provider(more: &Value) -> Value {
    let mut provider = json!({"name": "corp", "issuer": ISSUER, "audiences": ["api"]});
    provider
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    provider
}

fn with_providers(providers: &[Value]) -> Event {
    settings(&json!({"auth": {"jwt": providers}}).to_string())
}

/// A gateway whose `/private/*` is for those whom the provider of these keys vouches for, and what it reports of the keys.
struct Corp {
    node: Node,
    backend: Upstream,
    reports: watch::Receiver<Option<TokenKeysReport>>,
    _tasks: Tasks,
}

impl Corp {
    async fn with(server: &KeyServer, more: &Value) -> Self {
        let mut published = provider(&json!({
            "algorithms": ["ES256", "RS256", "PS256", "EdDSA"], "jwksUrl": server.url(),
        }));
        published
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        Self::on(super::published(), server, &published).await
    }

    /// One that may ask as often as it misses a key.
    async fn hasty(server: &KeyServer) -> Self {
        let published = Published::with_fetch_pause(super::secrets(), Limiter::alone(), Duration::ZERO);
        let provider = provider(&json!({"algorithms": ["ES256"], "jwksUrl": server.url()}));
        Self::on(published, server, &provider).await
    }

    async fn on(published: Published, server: &KeyServer, provider: &Value) -> Self {
        let backend = Upstream::replying(200).start().await;
        let events = [
            upstream("keys", &server.url(), ""), // whoever asks on the gateway's behalf must be let into private networks
            route_with("private", "/private/*", &backend.url(), r#""auth":"required""#),
            route("public", "/public", &backend.url()),
            with_providers(std::slice::from_ref(provider)),
        ];
        let node = Node::start_on(published, super::options(), &events);
        let tasks = Tasks::new();
        let (report, reports) = watch::channel(None);
        TokenKeys::new(&node.published, &[], &Roots::System)
            .keep(&tasks, move |now| drop(report.send_replace(Some(now))));
        Self {
            node,
            backend,
            reports,
            _tasks: tasks,
        }
    }

    async fn get(&self, token: &str) -> Message {
        let line = format!("authorization: Bearer {token}\r\n");
        self.node.client().await.get("/private/a", &line).await
    }

    async fn until(&mut self, is: impl Fn(&TokenKeysReport) -> bool) -> TokenKeysReport {
        let reported = self
            .reports
            .wait_for(|report| report.as_ref().is_some_and(&is))
            .await;
        reported.unwrap().clone().unwrap()
    }
}

#[track_caller]
fn assert_invalid(refused: &Message, says: &str) {
    assert_refused(refused, 401, "invalid_token", "http_request_denied");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(says), "{detail}");
    let challenge = refused.all("www-authenticate")[0];
    assert_eq!(challenge, "Bearer realm=\"flexgate\", error=\"invalid_token\"");
}

#[tokio::test]
async fn whom_a_provider_vouches_for_may_pass_whatever_it_signs_with() {
    let signers = [
        Signer::es256("1"),
        Signer::eddsa("2"),
        Signer::rsa("3", Algorithm::RS256),
        Signer::rsa("4", Algorithm::PS256),
    ];
    let server = KeyServer::with(&signers.each_ref()).await;
    let corp = Corp::with(&server, &json!({})).await;
    for signer in &signers {
        let token = signer.sign(&claims(&json!({})));
        for _ in 0..2 {
            let answer = corp.get(&token).await;
            assert_eq!(answer.status(), 200, "{:?} {}", signer.algorithm, answer.text());
        }
    }
    assert_eq!(corp.backend.last().header("authorization"), None);
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_with_the_reason() {
    let (signer, other) = (Signer::es256("1"), Signer::es256("1"));
    let server = KeyServer::with(&[&signer]).await;
    let corp = Corp::with(&server, &json!({})).await;
    assert_eq!(corp.get(&signer.sign(&claims(&json!({})))).await.status(), 200);
    for (claims, says) in [
        (claims(&json!({"exp": now() - 31})), "has expired"),
        (claims(&json!({"nbf": now() + 60})), "not valid yet"),
        (claims(&json!({"aud": "other"})), "another audience"),
        (claims(&json!({"iss": "https://evil.example"})), "no issuer"),
        (json!({"iss": ISSUER, "aud": "api", "sub": "a"}), "until when"),
    ] {
        let token = signer.sign(&claims);
        let refused = corp.get(&token).await;
        assert_invalid(&refused, says);
        assert!(!refused.text().contains(&token[..40]), "{}", refused.text());
    }
    assert_invalid(&corp.get(&other.sign(&claims(&json!({})))).await, "signature");
    assert_eq!(
        corp.get(&signer.sign(&claims(&json!({"exp": now() - 15}))))
            .await
            .status(),
        200
    );
    assert_eq!(corp.backend.seen().len(), 2);
}

/// Whoever knows the public key signs with it as if it were a secret, and says so.
#[tokio::test]
async fn a_public_key_is_never_taken_for_a_secret() {
    let signer = Signer::rsa("1", Algorithm::RS256);
    let server = KeyServer::with(&[&signer]).await;
    let corp = Corp::with(&server, &json!({})).await;
    let modulus = signer.jwk["n"].as_str().unwrap();
    for secret in [modulus.as_bytes(), signer.jwk.to_string().as_bytes()] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("1".to_owned());
        let forged = jsonwebtoken::encode(&header, &claims(&json!({})), &EncodingKey::from_secret(secret));
        assert_invalid(&corp.get(&forged.unwrap()).await, "algorithm");
    }
    let genuine = signer.sign(&claims(&json!({})));
    let (_, rest) = genuine.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb05FIn0"] {
        assert_invalid(&corp.get(&format!("{header}.{payload}.")).await, "algorithm");
    }
    assert!(corp.backend.seen().is_empty());
}

#[tokio::test]
async fn nobody_has_a_provider_asked_again_and_again_by_naming_keys_at_random() {
    let old = Signer::es256("old");
    let server = KeyServer::with(&[&old]).await;
    let corp = Corp::with(&server, &json!({})).await;
    assert_eq!(corp.get(&old.sign(&claims(&json!({})))).await.status(), 200);
    assert_eq!(server.fetches(), 1);

    for number in 0..20 {
        let token = Signer::es256(&format!("made-up-{number}")).sign(&claims(&json!({})));
        assert_invalid(&corp.get(&token).await, "a key that its issuer does not have");
    }
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn a_key_that_a_provider_has_just_begun_to_use_is_fetched_while_the_request_waits() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let server = KeyServer::with(&[&old]).await;
    let corp = Corp::hasty(&server).await;
    let genuine = old.sign(&claims(&json!({})));
    assert_eq!(corp.get(&genuine).await.status(), 200);

    server.publish(&[&new]);
    assert_eq!(corp.get(&new.sign(&claims(&json!({})))).await.status(), 200);
    assert_eq!(server.fetches(), 2);
    // A token that was found genuine is not any more when its key is gone.
    assert_invalid(&corp.get(&genuine).await, "a key that its issuer does not have");
}

#[tokio::test]
async fn old_keys_are_used_while_a_provider_is_down_and_that_is_reported() {
    let signer = Signer::es256("1");
    let server = KeyServer::with(&[&signer]).await;
    let mut corp = Corp::hasty(&server).await;
    assert_eq!(corp.get(&signer.sign(&claims(&json!({})))).await.status(), 200);
    assert_eq!(
        corp.until(|report| *report != TokenKeysReport::Unused).await,
        TokenKeysReport::Fresh
    );

    for (status, body, says) in [
        ("503 Service Unavailable", "", "it answered 503"),
        ("302 Found", "", "it answered 302"),
        ("200 OK", "<html>", "no JWK Set"),
        ("200 OK", r#"{"keys":[]}"#, "no key that can be used"),
        ("200 OK", &" ".repeat(600 * 1024), "longer than"),
    ] {
        server.answer_with(status, body);
        let unknown = Signer::es256("2").sign(&claims(&json!({})));
        assert_invalid(&corp.get(&unknown).await, "a key that its issuer does not have");
        let is_that = |report: &TokenKeysReport| matches!(report, TokenKeysReport::Stale { reason, .. } if reason.contains(says));
        corp.until(is_that).await;
        let genuine = signer.sign(&claims(&json!({"sub": status})));
        assert_eq!(corp.get(&genuine).await.status(), 200);
    }
    server.publish(&[&signer]);
    drop(corp.get(&Signer::es256("3").sign(&claims(&json!({})))).await);
    corp.until(|report| *report == TokenKeysReport::Fresh).await;
}

#[tokio::test]
async fn without_any_keys_nobody_passes() {
    let signer = Signer::es256("1");
    let server = KeyServer::with(&[]).await;
    let corp = Corp::with(&server, &json!({})).await;
    let refused = corp.get(&signer.sign(&claims(&json!({})))).await;
    assert_refused(
        &refused,
        503,
        "token_keys_unavailable",
        "proxy_configuration_error",
    );
    assert!(corp.backend.seen().is_empty());
}

/// Whoever writes the settings vouches for nothing that is inside.
#[tokio::test]
async fn keys_are_fetched_only_from_where_the_gateway_itself_may_go() {
    let signer = Signer::es256("1");
    let server = KeyServer::with(&[&signer]).await;
    let backend = Upstream::replying(200).start().await;
    let published = json!({"algorithms": ["ES256"], "jwksUrl": server.url()});
    let node = Node::start(&[
        route_with("private", "/*", &backend.url(), r#""auth":"required""#),
        with_providers(&[provider(&published)]),
    ]);
    let (tasks, (report, mut reports)) = (Tasks::new(), watch::channel(None));
    let keys = TokenKeys::new(&node.published, &[], &Roots::System);
    keys.keep(&tasks, move |now| drop(report.send_replace(Some(now))));
    let reported = reports.wait_for(Option::is_some).await.unwrap().clone();
    let Some(TokenKeysReport::Stale { provider, reason }) = reported else {
        panic!("{reported:?}");
    };
    assert_eq!(provider.as_str(), "corp");
    assert!(
        reason.contains("127.0.0.1") && reason.contains("security.allowedHosts"),
        "{reason}"
    );
    assert_eq!(server.fetches(), 0);
}

#[tokio::test]
async fn claims_become_fields_that_no_client_can_send() {
    let signer = Signer::es256("1");
    let server = KeyServer::with(&[&signer]).await;
    let more = json!({"claimsToHeaders": {"sub": "x-user", "/realm/roles": "x-roles"}});
    let corp = Corp::with(&server, &more).await;
    let token = signer.sign(&claims(&json!({"realm": {"roles": ["a", "b"]}})));
    let spoofed = "x-user: root\r\nx-roles: admin\r\nconnection: x-user\r\n";
    let lines = format!("authorization: Bearer {token}\r\n{spoofed}");
    assert_eq!(
        corp.node.client().await.get("/private/a", &lines).await.status(),
        200
    );
    let seen = corp.backend.last();
    assert_eq!(
        (seen.header("x-user"), seen.header("x-roles")),
        (Some("ada"), Some("a,b"))
    );

    let without_roles = signer.sign(&claims(&json!({})));
    let lines = format!("authorization: Bearer {without_roles}\r\n{spoofed}");
    corp.node.client().await.get("/private/a", &lines).await;
    assert_eq!(corp.backend.last().header("x-roles"), None);

    corp.node.client().await.get("/public", spoofed).await;
    assert_eq!(corp.backend.last().header("x-user"), None, "on no route whatever");
}

#[tokio::test]
async fn a_token_without_a_claim_that_is_asked_for_is_not_enough() {
    let signer = Signer::es256("1");
    let server = KeyServer::with(&[&signer]).await;
    let corp = Corp::with(&server, &json!({"requiredClaims": {"scope": ["orders"]}})).await;
    let with_scope = signer.sign(&claims(&json!({"scope": "a orders"})));
    assert_eq!(corp.get(&with_scope).await.status(), 200);
    let refused = corp.get(&signer.sign(&claims(&json!({})))).await;
    assert_refused(&refused, 403, "insufficient_scope", "http_request_denied");
    assert_eq!(
        refused.all("www-authenticate")[0],
        "Bearer realm=\"flexgate\", error=\"insufficient_scope\""
    );
}

#[tokio::test]
async fn a_token_may_come_under_the_terms_of_an_api_key() {
    let signer = Signer::es256("1");
    let server = KeyServer::with(&[&signer]).await;
    let mut corp = Corp::with(&server, &json!({"keyClaim": "azp"})).await;
    let key = Key::new(1).with(json!({"scopes": {"methods": ["GET"]}}));
    corp.node.change(&[key.created()]);
    let token = signer.sign(&claims(&json!({"azp": key.id})));
    assert_eq!(corp.get(&token).await.status(), 200);
    assert_eq!(
        corp.backend.last().header("x-flexgate-key"),
        Some(key.id.as_str())
    );
    let post = format!(
        "POST /private/a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    assert_refused(
        &corp.node.ask(&post).await,
        403,
        "scope_denied",
        "http_request_denied",
    );

    corp.node
        .change(&[Key::new(1).with(json!({"enabled": false})).updated()]);
    assert_refused(
        &corp.get(&token).await,
        401,
        "key_inactive",
        "http_request_denied",
    );
    let unknown = signer.sign(&claims(&json!({"azp": "AAAAAAAAAAAA"})));
    assert_invalid(&corp.get(&unknown).await, "no API key");
}

#[tokio::test]
async fn keys_may_be_written_down_and_secrets_sealed() {
    let backend = Upstream::replying(200).start().await;
    let secret = "a secret of thirty-two bytes, at least";
    let sealed = SEALING.seal(secret, Purpose::Tokens).unwrap();
    let ours = provider(&json!({
        "algorithms": ["HS256"], "keys": [{"secret": Secret::Sealed(sealed)}],
    }));
    let node = Node::start(&[
        route_with("private", "/*", &backend.url(), r#""auth":"required""#),
        with_providers(&[ours]),
    ]);
    let token = |secret: &str| {
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(&json!({})), &key);
        format!("authorization: Bearer {}\r\n", token.unwrap())
    };
    assert_eq!(node.client().await.get("/", &token(secret)).await.status(), 200);
    let wrong = node
        .client()
        .await
        .get("/", &token("another secret of thirty-two bytes"))
        .await;
    assert_invalid(&wrong, "signature");
}

#[tokio::test]
async fn without_a_provider_a_token_is_the_upstreams() {
    let backend = Upstream::replying(200).start().await;
    let node = Node::start(&[
        route_with("optional", "/optional", &backend.url(), r#""auth":"optional""#),
        route_with("required", "/required", &backend.url(), r#""auth":"required""#),
    ]);
    let line = "authorization: Bearer eyJ.e30.x\r\n";
    assert_eq!(node.client().await.get("/optional", line).await.status(), 200);
    assert_eq!(backend.last().header("authorization"), Some("Bearer eyJ.e30.x"));
    let refused = node.client().await.get("/required", line).await;
    assert_refused(&refused, 401, "unauthorized", "http_request_denied");
}
