//! User names and passwords of keys: what may be sent, and that nothing of it is told again.

use flexgate::{domain::ConfigState, password};
use flexgate_schemas::key::PasswordHash;
use http::Method;
use serde_json::{Value, json};

use super::Api;

const PASSWORD: &str = "correct horse";

impl Api {
    async fn named(&self, username: &str) -> (String, Value) {
        let basic = json!({ "username": username, "password": PASSWORD });
        let answer = self
            .post("/api/keys", json!({ "name": "app", "basic": basic }))
            .await
            .is(201);
        let key = answer.json();
        (format!("/api/keys/{}", key["id"].as_str().unwrap()), key)
    }

    /// The hash that the gateway goes by.
    fn password_hash(&self, address: &str) -> PasswordHash {
        let id = address.rsplit('/').next().unwrap().parse().unwrap();
        let view = self.journal.view();
        let state: &ConfigState = view.state();
        let own = state.key(&id).unwrap().value.particulars();
        own.basic.as_ref().unwrap().password_hash.clone()
    }
}

#[tokio::test]
async fn a_key_is_created_with_a_password_of_which_nothing_is_told() {
    let api = Api::start().await;
    let (address, created) = api.named("ada").await;
    let hash = api.password_hash(&address);
    assert!(password::verify(&hash, PASSWORD.as_bytes()));
    assert_eq!(created["basic"], json!({ "username": "ada" }));
    assert!(created["secret"].is_string(), "it has a secret, too");
    let fetched = api.get(&address).await.is(200).json();
    assert_eq!(fetched["basic"], json!({ "username": "ada" }));
    for told in [created, fetched, api.get("/api/keys").await.json()] {
        let told = told.to_string();
        assert!(
            !told.contains(PASSWORD) && !told.contains(hash.expose()),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_password_is_changed_and_taken_in_its_own_place_and_the_terms_in_theirs() {
    let api = Api::start().await;
    let (address, _) = api.named("ada").await;
    let own = format!("{address}/basic");
    let first = api.password_hash(&address);
    let key = api.get(&address).await.json();
    api.put(&address, key).await.is(200);
    api.patch(&address, json!({ "enabled": false })).await.is(200);
    assert_eq!(
        api.password_hash(&address),
        first,
        "what was answered may be sent back"
    );
    let refused = api
        .patch(&address, json!({ "basic": { "password": "another one" } }))
        .await
        .problem(400, "invalid");
    assert_eq!(refused["errors"][0]["pointer"], "/basic");

    api.post(&own, json!({ "password": "battery staple" }))
        .await
        .is(200);
    assert!(password::verify(&api.password_hash(&address), b"battery staple"));
    let hash = json!(password::hash(b"hashed elsewhere").unwrap());
    let named = api
        .post(&own, json!({ "username": "eve", "passwordHash": hash }))
        .await;
    assert_eq!(named.is(200).json()["basic"], json!({ "username": "eve" }));
    assert!(password::verify(
        &api.password_hash(&address),
        b"hashed elsewhere"
    ));

    let gone = api.call(Method::DELETE, &own).send().await.is(200).json();
    assert_eq!(gone.get("basic"), None);
    let nameless = api.post(&own, json!({ "password": PASSWORD })).await;
    nameless.problem(400, "invalid");
}

#[tokio::test]
async fn two_keys_have_no_user_name_in_common() {
    let api = Api::start().await;
    let (address, key) = api.named("ada").await;
    let basic = json!({ "username": "ada", "password": "another one" });
    let taken = api
        .post("/api/keys", json!({ "name": "other", "basic": basic }))
        .await
        .problem(409, "username_taken");
    assert!(
        taken["detail"]
            .as_str()
            .unwrap()
            .contains(key["id"].as_str().unwrap())
    );
    let (other, _) = api.named("eve").await;
    let renamed = api.post(&format!("{other}/basic"), basic).await;
    renamed.problem(409, "username_taken");
    api.call(Method::DELETE, &address).send().await.is(204);
    api.named("ada").await;
}

#[tokio::test]
async fn what_is_wrong_with_a_password_is_said_without_it() {
    let api = Api::start().await;
    let expensive = "$argon2id$v=19$m=99999,t=9,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA";
    for (basic, pointer) in [
        (json!("hunter2-hunter2"), "/basic"),
        (json!({ "username": "ada" }), "/basic"),
        (json!({ "password": "hunter2-hunter2" }), "/basic"),
        (
            json!({ "username": "ada", "password": "hunter2" }),
            "/basic/password",
        ),
        (
            json!({ "username": "ada", "password": "hunter2".repeat(100) }),
            "/basic/password",
        ),
        (
            json!({ "username": "ada", "password": 12_345_678 }),
            "/basic/password",
        ),
        (
            json!({ "username": "a:da", "password": "hunter2-hunter2" }),
            "/basic/username",
        ),
        (
            json!({ "username": "ada", "passwordHash": "hunter2" }),
            "/basic/passwordHash",
        ),
        (
            json!({ "username": "ada", "passwordHash": expensive }),
            "/basic/passwordHash",
        ),
        (json!({ "username": "ada", "hunter2": "hunter2" }), "/basic"),
    ] {
        let problem = api
            .post("/api/keys", json!({ "name": "app", "basic": basic }))
            .await
            .problem(400, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        let said = problem.to_string();
        assert!(!said.contains("hunter2") && !said.contains("12345678"), "{said}");
    }
}

/// The log has a hash of each request that has an `Idempotency-Key`. A fast one would let everybody guess who reads the log.
#[tokio::test]
async fn a_repeated_request_is_recognised_by_a_hash_that_takes_as_long_as_that_of_a_password() {
    let api = Api::start().await;
    let create = async |password: &str| {
        let call = api
            .call(Method::POST, "/api/keys")
            .header("Idempotency-Key", "\"k1\"");
        let basic = json!({ "username": "ada", "password": password });
        call.json(&json!({ "name": "app", "basic": basic })).send().await
    };
    let first = create(PASSWORD).await.is(201).json();
    let again = create(PASSWORD).await.is(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json()["id"], first["id"]);
    create("another one").await.problem(422, "key_reused");
}

#[tokio::test]
async fn the_stream_of_events_tells_of_user_names_alone() {
    let api = Api::start().await;
    let mut stream = api.stream(None).await;
    stream.next().await.unwrap();
    let (address, _) = api.named("ada").await;
    let told = stream.next().await.unwrap().data;
    let key = &told["commit"]["events"][0]["data"];
    assert_eq!(key["basic"], json!({ "username": "ada" }));
    let hash = api.password_hash(&address);
    assert!(!told.to_string().contains(hash.expose()), "{told}");
}
