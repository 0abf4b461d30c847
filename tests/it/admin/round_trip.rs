//! Export and apply: what is exported and applied again changes nothing, whatever the configuration is.

mod entities;

use flexgate_schemas::{Route, Settings, Upstream, key::KeyTerms};
use http::Method;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};

use self::entities::{Known, Maker};
use super::Api;

/// A configuration of all kinds of entities, some of which belong to a file, some of which have drifted since.
async fn made(api: &Api, maker: &mut Maker<'_>, known: &Known) {
    let plain = json!({ "name": "plain", "url": "http://plain" });
    let mut entities = vec![("Upstream", "/api/upstreams", plain)];
    for number in 0..maker.choose(3) {
        let mut given = match maker.choose(3) {
            0 => json!({ "url": format!("http://h{number}") }),
            1 => json!({ "url": format!("https://h{number}") }),
            _ => json!({ "targets": [{ "url": "https://a", "weight": 3 }, { "url": "https://b" }] }),
        };
        given["name"] = format!("u{number}").into();
        entities.push(("Upstream", "/api/upstreams", maker.entity::<Upstream>(&given)));
    }
    for number in 0..maker.choose(4) {
        let path = ["/a/:id/*", "/a/:name", "/b", "/c/*"][number];
        let given = json!({ "id": format!("r{number}"), "path": path, "upstream": "plain" });
        entities.push(("Route", "/api/routes", maker.entity::<Route>(&given)));
    }
    for number in 0..maker.choose(3) {
        let given = json!({ "name": format!("key {number}") });
        entities.push(("KeyTerms", "/api/keys", maker.entity::<KeyTerms>(&given)));
    }
    for (kind, address, entity) in entities {
        take(api, known, (Method::POST, address), (kind, entity)).await;
    }
    let settings = maker.entity::<Settings>(&json!({}));
    take(api, known, (Method::PUT, "/api/settings"), ("Settings", settings)).await;
    belonging(api, maker).await;
}

/// Sends an entity, without those fields that do not go with others.
async fn take(
    api: &Api,
    known: &Known,
    (method, address): (Method, &str),
    (kind, mut entity): (&str, Value),
) {
    loop {
        let answer = api.call(method.clone(), address).json(&entity).send().await;
        if answer.status.is_success() {
            return known.was_made(kind, &entity);
        }
        let problem = answer.json();
        let pointer = problem["errors"][0]["pointer"].as_str().unwrap_or_default();
        let field = pointer.split('/').nth(1).unwrap_or_default();
        let taken = entity.as_object_mut().and_then(|fields| fields.remove(field));
        if taken.is_none() {
            return;
        }
    }
}

/// Gives some of it, and a key of its own, to a file; and then others change something.
async fn belonging(api: &Api, maker: &mut Maker<'_>) {
    let mut own = api.get("/api/config").await.json();
    own["file"] = "own.yml".into();
    own["keys"] = json!([{ "key": "4d".repeat(32), "name": "of the file" }]);
    for list in ["routes", "withheldKeys"] {
        if let Some(list) = own.get_mut(list).and_then(Value::as_array_mut) {
            list.retain(|_| maker.choose(2) == 0);
        }
    }
    if maker.choose(2) == 0 {
        own["settings"] = Value::Null;
    }
    api.post("/api/config/apply", own).await.is(200);
    for number in 0..3 {
        let address = format!("/api/routes/r{number}");
        match maker.choose(5) {
            0 => drop(api.patch(&address, json!({ "timeout": "9s" })).await),
            1 => drop(api.delete(&address).await),
            _ => {}
        }
    }
    match maker.choose(4) {
        0 => drop(api.put("/api/settings", json!({})).await.is(200)),
        1 => drop(api.put("/api/settings", json!({ "timeout": "9s" })).await.is(200)),
        _ => {}
    }
}

async fn exported(api: &Api) -> (Value, String) {
    let json = api.get("/api/config").await.json();
    let yaml = api
        .call(Method::GET, "/api/config")
        .header("Accept", "application/yaml");
    let yaml = yaml.send().await.is(200).body;
    (json, String::from_utf8(yaml.to_vec()).unwrap())
}

/// What applying this would come to, or comes to.
async fn applied(api: &Api, query: &str, content_type: &str, body: &str) -> Value {
    let call = api
        .call(Method::POST, &format!("/api/config/apply?{query}"))
        .header("content-type", content_type)
        .body(body.to_owned());
    let answer = call.send().await;
    assert_eq!(answer.status, 200, "{query}: {body}\n{}", answer.json());
    answer.json()
}

async fn changes_nothing(api: &Api) {
    let (json, yaml) = exported(api).await;
    let json = json.to_string();
    for (content_type, text) in [("application/json", &json), ("application/yaml", &yaml)] {
        let ways = [
            "dryRun=true",
            "dryRun=true&file=own.yml",
            "dryRun=true&file=own.yml&prune=true",
            "dryRun=true&file=new.yml&force=true&prune=true",
            "file=own.yml",
        ];
        for query in ways {
            let answer = applied(api, query, content_type, text).await;
            assert_eq!(answer["changes"], json!([]), "{query}: {text}");
            assert_eq!(answer.get("conflicts"), None, "{query}: {text}");
        }
    }
    assert_eq!(exported(api).await, (serde_json::from_str(&json).unwrap(), yaml));
}

#[test]
fn whatever_is_exported_and_applied_again_changes_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let key = "-----BEGIN PUBLIC KEY-----\n\
               MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwsvTYT5o4DMtcqTyQBJ9+3UCiwjB\n\
               kI0vpueOC2xzJezasCpIB/PFeU/sdxPUYJ8ml1mLAb75h7ny1fT5L/avmw==\n\
               -----END PUBLIC KEY-----\n";
    let provider = json!({
        "name": "own", "issuer": "c", "audiences": ["api"], "algorithms": ["ES256"],
        "keys": [{ "kid": "1", "publicKey": key }],
    });
    let edits = json!({ "set": { "x-a": "${request.id} a" }, "add": { "x-b": "b" }, "remove": ["x-c"] });
    let known = Known::from_goldens()
        .with("jwt[]", &[provider])
        .with("response", std::slice::from_ref(&edits))
        .with("request", &[edits]);
    let config = Config {
        cases: 100,
        failure_persistence: None,
        ..Config::default()
    };
    // The same ones every time: that no field is left out is a matter of luck only once.
    let chance = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let ran = TestRunner::new_with_rng(config, chance).run(&vec(any::<u8>(), 0..4000), |choices| {
        runtime.block_on(async {
            let api = Api::start().await;
            made(&api, &mut Maker::new(&choices, &known), &known).await;
            changes_nothing(&api).await;
        });
        Ok(())
    });
    ran.unwrap();
    let mut never = known.never_made::<Upstream>("Upstream");
    never.extend(known.never_made::<Route>("Route"));
    never.extend(known.never_made::<KeyTerms>("KeyTerms"));
    never.extend(known.never_made::<Settings>("Settings"));
    assert_eq!(never, [""; 0], "give values for these");
}

#[tokio::test]
async fn what_golden_events_say_is_exported_as_it_is() {
    let api = Api::start().await;
    let own = json!({ "file": "own.yml", "keys": [{ "key": "4d".repeat(32), "name": "of the file" }] });
    api.post("/api/config/apply", own).await.is(200);
    for (number, (kind, data)) in entities::goldens().into_iter().enumerate() {
        match &*kind {
            // Those before them may keep requests from where they go.
            "upstream" => {
                api.put("/api/settings", json!({})).await.is(200);
                let mut upstream = data;
                upstream["name"] = format!("u{number}").into();
                api.post("/api/upstreams", upstream).await.is(201);
            }
            "settings" => drop(api.put("/api/settings", data).await.is(200)),
            "route" => {
                let mut route = data;
                route["id"] = format!("r{number}").into();
                route["host"] = format!("host-{number}").into();
                route["upstream"] = "http://shop".into();
                api.post("/api/routes", route).await.is(201);
            }
            _ => {}
        }
        changes_nothing(&api).await;
    }
}

#[tokio::test]
async fn an_export_deletes_no_key_whichever_file_it_is_applied_as() {
    let api = Api::start().await;
    let hash = "4d".repeat(32);
    let own = json!({ "file": "own.yml", "keys": [{ "key": hash, "name": "of the file" }] });
    api.post("/api/config/apply", own).await.is(200);
    api.post("/api/keys", json!({ "name": "by hand" })).await.is(201);
    let (json, yaml) = exported(&api).await;
    assert_eq!(json["withheldKeys"].as_array().unwrap().len(), 2);
    assert!(!json.to_string().contains(&hash) && !yaml.contains(&hash));
    for query in ["", "file=own.yml&prune=true", "file=new.yml&prune=true"] {
        for (content_type, text) in [
            ("application/json", json.to_string()),
            ("application/yaml", yaml.clone()),
        ] {
            let answer = applied(&api, query, content_type, &text).await;
            assert_eq!(answer["changes"], json!([]));
        }
    }
    // Without the list it says that it has no keys.
    let emptied = applied(&api, "file=own.yml", "application/json", "{}").await;
    let deleted = emptied["changes"].as_array().unwrap();
    assert_eq!(
        (deleted.len(), &deleted[0]["type"]),
        (1, &json!("io.flexgate.key.deleted.v1"))
    );
    // What is not there cannot be made of its name, and that is told.
    let warned = applied(&api, "file=own.yml", "application/json", &json.to_string()).await;
    assert_eq!(warned["warnings"][0]["code"], "withheld_keys_missing", "{warned}");
}
