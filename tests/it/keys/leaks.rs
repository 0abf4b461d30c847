//! Nothing that opens anything, and no hash of it, is told by anything but the answer that makes it.

use std::fs;

use flexgate_schemas::{KeyId, key::SecretHash};
use http::Method;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::{Story, TOKEN_SECRET, basic};
use crate::{gateway::signatures::Request, token_provider::now, wire};

/// What is told: where, and what.
type Told = Vec<(&'static str, Vec<u8>)>;

impl Story {
    /// Sends a request as it is, and keeps the answer.
    async fn answered(&self, sent: &str, status: u16, told: &mut Told) {
        let mut client = wire::Client::connect(self.settings.proxy).await;
        let answer = client.ask(sent).await;
        assert_eq!(answer.status(), status, "{sent}\n{}", answer.text());
        let head = answer
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"));
        told.push((
            "an answer",
            (head.collect::<String>() + &answer.text()).into_bytes(),
        ));
    }

    /// Tries a password, a signature and a token, each right and wrong. What was sent is secret from then on.
    async fn proves_itself_otherwise(&mut self, told: &mut Told) {
        let api = self.settings.api().await;
        let call = async |method: Method, path: &str, body: Value| {
            let answer = api.call(method, path, Some(body)).await;
            assert!(answer.status.is_success(), "{answer:?}");
            answer.json()
        };
        let provider = json!({
            "name": "corp", "issuer": "https://id.example", "audiences": ["api"], "algorithms": ["HS256"],
            "keys": [{ "secret": "${TOKEN_SECRET}" }],
        });
        let jwt = json!({ "auth": { "jwt": [provider] } });
        call(Method::PUT, "/api/settings", jwt).await;
        let (password, guess, chosen) = (
            "correct-horse-battery",
            "guess-of-a-password",
            "hunter2-hashed-elsewhere",
        );
        let sent = json!({ "username": "ada", "password": password });
        let key = call(Method::POST, "/api/keys", json!({ "name": "ada", "basic": sent })).await;
        let id: KeyId = key["id"].as_str().unwrap().parse().unwrap();
        let hash = flexgate::password::hash(chosen.as_bytes()).unwrap();
        let sent = json!({ "username": "eve", "passwordHash": hash });
        call(Method::POST, "/api/keys", json!({ "name": "eve", "basic": sent })).await;
        let signed = call(Method::POST, &format!("/api/keys/{id}/signing"), json!({})).await;
        let signing = signed["signingSecret"].as_str().unwrap().to_owned();

        let mut sent = Vec::new();
        for (username, password, status) in
            [("ada", password, 200), ("ada", guess, 401), ("eve", chosen, 200)]
        {
            let line = basic(username, password);
            let get = format!("GET /a HTTP/1.1\r\nhost: api.example\r\n{line}\r\n");
            self.answered(&get, status, told).await;
            sent.extend([password.to_owned(), line]);
        }
        for (secret, status) in [(signing.as_str(), 200), ("fgs_of-somebody-else", 401)] {
            let mut request = Request::new("GET", "");
            (request.target, request.secret) = ("/a", secret);
            let fields = request.fields_of(&id);
            for status in [status, 401] {
                self.answered(&request.sent(&fields), status, told).await;
            }
            sent.extend([
                secret.to_owned(),
                fields.trim_end().rsplit('=').nth(1).unwrap().to_owned(),
            ]);
        }
        let claims = json!({ "iss": "https://id.example", "sub": "ada", "aud": "api", "exp": now() + 60 });
        for (secret, status) in [
            (TOKEN_SECRET, 200),
            ("of-somebody-else-who-has-that-one-alone", 401),
        ] {
            let key = EncodingKey::from_secret(secret.as_bytes());
            let token = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
            let get =
                format!("GET /a HTTP/1.1\r\nhost: api.example\r\nauthorization: Bearer {token}\r\n\r\n");
            self.answered(&get, status, told).await;
            let signature = token.rsplit('.').next().unwrap().to_owned();
            sent.extend([secret.to_owned(), token, signature]);
        }
        for secret in sent {
            let is_basic = secret.split_once("Basic ");
            let secret = is_basic.map_or(secret.as_str(), |(_, both)| both.trim());
            self.secrets.push(secret.to_owned());
        }
        self.secrets.push(hash.expose().to_owned());
    }
}

#[tokio::test]
async fn no_secret_and_no_hash_of_one_is_in_a_log_line_a_metric_or_an_answer() {
    let mut story = Story::lived().await;
    let mut told = Vec::new();
    story.proves_itself_otherwise(&mut told).await;
    let api = story.settings.api().await;
    for path in [
        "/metrics",
        "/api/nodes",
        "/api/status",
        "/api/keys",
        "/api/settings",
    ] {
        told.push((path, api.call(Method::GET, path, None).await.body.to_vec()));
    }
    let wrong = json!({ "name": "app", "basic": { "username": "ada", "password": "correct-horse-battery" } });
    let refused = api.call(Method::POST, "/api/keys", Some(wrong)).await;
    assert_eq!(refused.status, 409, "the user name is taken");
    told.push(("a refusal", refused.body.to_vec()));
    drop(story.running);
    let log = fs::read(story.folder.path().join("log")).unwrap();
    assert!(log.len() > 10_000, "it is told everything");
    told.push(("the log", log));
    let hash = |secret: &String| {
        let hash = serde_json::to_value(SecretHash::of(secret.as_bytes())).unwrap();
        hash.as_str().unwrap().to_owned()
    };
    // What nobody but the log has seen begins like this.
    let kept = ["$argon2id$".to_owned(), "\"sealed:".to_owned()];
    for secret in story
        .secrets
        .iter()
        .flat_map(|secret| [secret.clone(), hash(secret)])
        .chain(kept)
    {
        for (place, text) in &told {
            let found = text
                .windows(secret.len())
                .position(|bytes| bytes == secret.as_bytes());
            let before = |at: usize| String::from_utf8_lossy(&text[at.saturating_sub(300)..at]).into_owned();
            assert_eq!(found.map(before), None, "{place} has {secret}");
        }
    }
}
