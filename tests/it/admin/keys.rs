//! API keys: what is told of them, and what never is.

use flexgate_schemas::key::{SecretHash, secret};
use http::Method;
use serde_json::{Value, json};

use flexgate::{
    journal::{
        jetstream::{Link, Names},
        memory::MemoryLog,
    },
    membership::Members,
};

use super::{Answer, Api};
use crate::gateway::SEALING;

/// A secret, and whether it is one of the key that it came with.
#[track_caller]
fn secret_of(answer: &Answer) -> String {
    let key = answer.json();
    let secret = key["secret"].as_str().expect("a secret").to_owned();
    let id = secret::claimed_id(secret.as_bytes()).unwrap();
    assert_eq!(key["id"], id.as_str());
    assert_eq!(answer.header("cache-control"), "no-store");
    secret
}

impl Api {
    async fn key(&self, fields: Value) -> (String, String) {
        let answer = self.post("/api/keys", fields).await.is(201);
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        (format!("/api/keys/{id}"), secret_of(&answer))
    }

    /// The hash that the gateway goes by, as hexadecimal.
    fn hash(&self, address: &str) -> String {
        let id = address.rsplit('/').next().unwrap().parse().unwrap();
        let view = self.journal.view();
        let hash = view.state().key(&id).unwrap().value.sha256;
        serde_json::to_value(hash).unwrap().as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_key_is_created_with_a_secret_that_is_told_once() {
    let api = Api::start().await;
    let created = api
        .post(
            "/api/keys",
            json!({ "name": "mobile app", "scopes": { "methods": ["GET"] } }),
        )
        .await
        .is(201);
    let secret = secret_of(&created);
    assert_eq!(secret.len(), 59);
    let mut key = created.json();
    let address = format!("/api/keys/{}", key["id"].as_str().unwrap());
    assert_eq!(created.header("location"), address);
    let hash = api.hash(&address);
    assert_eq!(json!(SecretHash::of(secret.as_bytes())), json!(hash));
    key.as_object_mut().unwrap().remove("secret");
    let fetched = api.get(&address).await.is(200);
    assert_eq!(fetched.json(), key);
    assert_eq!(fetched.header("etag"), created.header("etag"));
    assert_eq!(api.get("/api/keys").await.json(), json!([key]));
    for answer in [&fetched, &created] {
        assert!(!answer.json().to_string().contains(&hash));
    }
}

#[tokio::test]
async fn a_repeated_creation_makes_one_key_and_tells_its_secret_once() {
    let api = Api::start().await;
    let create = async || {
        let call = api
            .call(Method::POST, "/api/keys")
            .header("Idempotency-Key", "\"k1\"");
        call.json(&json!({ "name": "app" })).send().await.is(201)
    };
    let (first, again) = (create().await, create().await);
    let mut told = first.json();
    assert!(told.as_object_mut().unwrap().remove("secret").is_some());
    assert_eq!(again.json(), told);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(api.get("/api/keys").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_key_opens_is_changed_and_what_it_is_stays() {
    let api = Api::start().await;
    let (address, _) = api
        .key(json!({ "name": "app", "expiresAt": "2030-01-01T00:00:00Z" }))
        .await;
    let hash = api.hash(&address);
    let mut key = api.get(&address).await.json();
    key["networks"] = json!(["10.0.0.0/8"]);
    let put = api.put(&address, key).await.is(200).json();
    assert_eq!(put["networks"], json!(["10.0.0.0/8"]));
    let patched = api
        .patch(&address, json!({ "enabled": false, "expiresAt": null }))
        .await
        .is(200)
        .json();
    assert_eq!(
        (&patched["enabled"], patched.get("expiresAt")),
        (&json!(false), None)
    );
    assert_eq!(api.hash(&address), hash);
    for (field, value) in [
        ("sha256", json!("f".repeat(64))),
        ("previous", json!([])),
        ("scope", json!({})),
    ] {
        let problem = api
            .patch(&address, json!({ field: value }))
            .await
            .problem(400, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
    }
    let problem = api
        .patch(&address, json!({ "id": "000000000000" }))
        .await
        .problem(400, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/id");
    let problem = api.post("/api/keys", json!({})).await.problem(400, "invalid");
    assert!(problem["detail"].as_str().unwrap().contains("`name`"));
}

#[tokio::test]
async fn a_key_is_changed_only_as_its_caller_knows_it() {
    let api = Api::start().await;
    let (address, _) = api.key(json!({ "name": "app" })).await;
    let tag = api.get(&address).await.header("etag").clone();
    api.patch(&address, json!({ "name": "other" })).await.is(200);
    for (method, target) in [
        (Method::PATCH, address.clone()),
        (Method::DELETE, address.clone()),
        (Method::POST, format!("{address}/rotate")),
        (Method::POST, format!("{address}/revoke")),
    ] {
        let call = api.call(method, &target).header("If-Match", &tag);
        call.json(&json!({})).send().await.problem(412, "stale");
    }
    let known = api.get(&address).await.header("etag").clone();
    let call = api.call(Method::GET, &address).header("If-None-Match", &known);
    call.send().await.is(304);
}

#[tokio::test]
async fn a_rotation_ends_the_old_secret_now_unless_it_is_to_overlap() {
    let api = Api::start().await;
    let (address, first) = api.key(json!({ "name": "app" })).await;
    let rotate = format!("{address}/rotate");
    let rotated = api.call(Method::POST, &rotate).send().await.is(200);
    let second = secret_of(&rotated);
    assert_ne!(first, second);
    assert!(rotated.json()["rotatedAt"].is_string());
    assert_eq!(rotated.json().get("previousUntil"), None);

    let overlapping = api.post(&rotate, json!({ "overlap": "24h" })).await.is(200);
    assert_ne!(secret_of(&overlapping), second);
    let key = api.get(&address).await.json();
    assert_eq!(key["previousUntil"].as_array().unwrap().len(), 1);
    assert!(key["previousUntil"][0].as_str() > key["rotatedAt"].as_str());
    let at_once = api.post(&rotate, json!({})).await.is(200).json();
    assert_eq!(at_once.get("previousUntil"), None, "which ends all of them");
    for wrong in [
        json!({ "overlap": "100d" }),
        json!({ "overlap": 0 }),
        json!({ "for": "1h" }),
    ] {
        api.post(&rotate, wrong).await.problem(400, "invalid");
    }
}

#[tokio::test]
async fn a_key_is_revoked_for_good() {
    let api = Api::start().await;
    let (address, _) = api.key(json!({ "name": "app" })).await;
    let revoke = format!("{address}/revoke");
    let before = api.journal.view().revision();
    let revoked = api.call(Method::POST, &revoke).send().await.is(200).json();
    assert!(revoked["revokedAt"].is_string());
    let changed = api.get(&format!("/api/config/diff?from={before}")).await.json();
    assert_eq!(changed[0]["before"]["revokedAt"], Value::Null);
    assert_eq!(changed[0]["after"]["revokedAt"], revoked["revokedAt"]);
    let commits = api.commits();
    let again = api.call(Method::POST, &revoke).send().await.is(200).json();
    assert_eq!((again, api.commits()), (revoked.clone(), commits));
    api.call(Method::POST, &format!("{address}/rotate"))
        .send()
        .await
        .problem(409, "key_revoked");
    let put = api
        .put(&address, json!({ "name": "app", "revokedAt": null }))
        .await
        .is(200)
        .json();
    assert_eq!(put["revokedAt"], revoked["revokedAt"]);
    api.delete(&address).await.is(204);
    api.get(&address).await.problem(404, "not_found");
    api.call(Method::POST, &revoke)
        .send()
        .await
        .problem(404, "not_found");
    api.get("/api/keys/no-key").await.problem(404, "not_found");
}

#[tokio::test]
async fn many_keys_come_in_pages() {
    let api = Api::start().await;
    for number in 0..5 {
        api.key(json!({ "name": format!("app {number}") })).await;
    }
    let mut target = "/api/keys?limit=2".to_owned();
    let mut ids = Vec::new();
    loop {
        let page = api.get(&target).await.is(200);
        let keys = page.json();
        ids.extend(
            keys.as_array()
                .unwrap()
                .iter()
                .map(|key| key["id"].as_str().unwrap().to_owned()),
        );
        let Some(link) = page.headers.get("link") else {
            break;
        };
        let (next, _) = link.to_str().unwrap()[1..].split_once('>').unwrap();
        next.clone_into(&mut target);
    }
    assert!(ids.len() == 5 && ids.is_sorted(), "{ids:?}");
}

#[tokio::test]
async fn what_surprises_about_a_key_is_said() {
    let api = Api::start().await;
    let answer = api
        .post(
            "/api/keys",
            json!({ "name": "app", "scopes": { "routes": ["orders"] } }),
        )
        .await
        .is(201);
    assert_eq!(answer.json()["warnings"][0]["code"], "scoped_routes_missing");
}

#[tokio::test]
async fn a_key_that_is_known_elsewhere_is_applied_by_its_hash() {
    let api = Api::start().await;
    let hash = SecretHash::of(b"correct horse battery staple");
    let apply = json!({ "keys": [{ "key": hash, "name": "old app" }, { "key": SecretHash::of(b"x") }] });
    let applied = api.post("/api/config/apply", apply.clone()).await.is(200).json();
    assert_eq!(applied["changes"].as_array().unwrap().len(), 2);
    let key = api
        .get(&format!("/api/keys/{}", hash.derived_id()))
        .await
        .is(200)
        .json();
    assert_eq!(key["name"], "old app");
    let again = api.post("/api/config/apply", apply).await.is(200).json();
    assert_eq!(again["changes"], json!([]));
    let twice = json!({ "keys": [{ "key": hash }, { "key": hash }] });
    let problem = api
        .post("/api/config/apply", twice)
        .await
        .problem(400, "listed_twice");
    assert_eq!(problem["errors"][0]["pointer"], "/keys/0");
    let plain = json!({ "keys": [{ "key": "hunter2" }] });
    let problem = api.post("/api/config/apply", plain).await.problem(400, "invalid");
    assert!(problem["detail"].as_str().unwrap().contains("sha256sum"));
    assert!(!problem.to_string().contains("hunter2"));
}

#[tokio::test]
async fn the_stream_of_events_tells_of_keys_without_their_hashes() {
    let api = Api::start().await;
    let mut stream = api.stream(None).await;
    stream.next().await.unwrap();
    let (address, first) = api.key(json!({ "name": "app" })).await;
    let created = stream.next().await.unwrap().data;
    let hashes = [api.hash(&address)];
    api.post(&format!("{address}/rotate"), json!({ "overlap": "1h" }))
        .await
        .is(200);
    let rotated = stream.next().await.unwrap().data;
    let happened = &rotated["commit"]["events"][0];
    assert_eq!(happened["type"], "io.flexgate.key.updated.v1");
    assert!(happened["data"]["previous"][0]["until"].is_string());
    for text in [created.to_string(), rotated.to_string()] {
        for secret in hashes.iter().chain([&api.hash(&address), &first]) {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
    }
}

#[tokio::test]
async fn a_key_signs_with_a_secret_that_is_told_once_and_kept_sealed() {
    let api = Api::start().await;
    let (address, _) = api.key(json!({ "name": "app" })).await;
    let signing = format!("{address}/signing");
    let answer = api.post(&signing, json!({})).await.is(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let told = answer.json();
    let secret = told["signingSecret"].as_str().unwrap();
    assert!(secret.starts_with("fgs_") && secret.len() == 47, "{secret}");
    assert_eq!(told["signing"], true);

    let kept = |api: &Api| {
        let id = address.rsplit('/').next().unwrap().parse().unwrap();
        let view = api.journal.view();
        let key = view.state().key(&id).unwrap().value.clone();
        (key.particulars().signing.clone(), key)
    };
    let (first, key) = kept(&api);
    let flexgate_schemas::Secret::Sealed(sealed) = &first.as_ref().unwrap().secret else {
        panic!("{first:?}");
    };
    let purpose = flexgate_schemas::key::signing::purpose(&key.id);
    assert_eq!(SEALING.open(sealed, purpose).unwrap(), secret);
    let fetched = api.get(&address).await.is(200).json();
    assert_eq!(
        (&fetched["signing"], fetched.get("signingSecret")),
        (&json!(true), None)
    );

    api.post(&signing, json!({ "overlap": "1h" })).await.is(200);
    let (second, _) = kept(&api);
    let previous = second.unwrap().previous;
    assert_eq!(previous.len(), 1);
    assert_eq!(previous[0].secret, first.unwrap().secret);

    api.call(Method::DELETE, &signing).send().await.is(200);
    assert_eq!(kept(&api).0, None);
}

#[tokio::test]
async fn without_a_key_to_seal_with_no_secret_to_sign_with_is_made() {
    let nowhere = Link::open("nats://127.0.0.1:9", "test").await.unwrap();
    let members = Members::new(nowhere, Names::new("T").unwrap());
    let api = Api::sealing(MemoryLog::new(), members, None).await;
    let (address, _) = api.key(json!({ "name": "app" })).await;
    let refused = api
        .post(&format!("{address}/signing"), json!({}))
        .await
        .is(409)
        .json();
    assert_eq!(refused["code"], "no_sealing_key");
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("FLEXGATE_SECRET_KEY"),
        "{refused}"
    );
}
