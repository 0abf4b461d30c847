//! `/api/config/apply`: many changes, one commit.

use flexgate_schemas::Commit;
use flexgate_schemas::commit::{Actor, ActorKind, Source};
use http::Method;
use serde_json::{Value, json};

use super::Api;

fn shop() -> Value {
    json!({
        "file": "proxy.yml",
        "routes": [{ "id": "shop", "path": "/shop/*", "upstream": "shop" }],
        "upstreams": [{ "name": "shop", "url": "http://shop" }],
        "settings": { "timeout": "20s" },
    })
}

#[tokio::test]
async fn a_configuration_is_one_commit_that_says_where_it_came_from_and_why() {
    let api = Api::start().await;
    let before = api.commits();
    let applied = api
        .post("/api/config/apply?reason=opening%20day", shop())
        .await
        .is(200);
    assert_eq!(api.commits(), before + 1);
    let changes = applied.json()["changes"].clone();
    assert_eq!(
        changes,
        json!([
            { "type": "io.flexgate.upstream.created.v1", "id": "shop" },
            { "type": "io.flexgate.settings.updated.v1" },
            { "type": "io.flexgate.route.created.v1", "id": "shop" },
        ])
    );
    assert_eq!(applied.json()["revision"], applied.revision());
    let record = api.log.contents().pop().unwrap();
    let commit = Commit::from_payload(&record.payload).unwrap();
    assert_eq!(commit.source, Source::File("proxy.yml".into()));
    assert_eq!(commit.reason.as_deref(), Some("opening day"));
    assert_eq!(
        commit.actor,
        Actor {
            kind: ActorKind::Token,
            id: "admin".into()
        }
    );
}

#[tokio::test]
async fn applying_the_same_again_changes_nothing() {
    let api = Api::start().await;
    let first = api.post("/api/config/apply", shop()).await.is(200);
    let commits = api.commits();
    let again = api.post("/api/config/apply", shop()).await.is(200);
    assert_eq!((again.revision(), api.commits()), (first.revision(), commits));
    assert_eq!(again.json()["changes"], json!([]));
}

#[tokio::test]
async fn a_mistake_in_one_item_refuses_all_and_is_pointed_at() {
    let api = Api::start().await;
    let mut configuration = shop();
    configuration["routes"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "id": "b", "path": "/b", "upstream": "shpo" }));
    let problem = api
        .post("/api/config/apply", configuration)
        .await
        .problem(400, "unknown_upstream");
    assert_eq!(problem["errors"][0]["pointer"], "/routes/1/upstream");
    assert!(
        problem["detail"].as_str().unwrap().contains("route \"b\""),
        "{problem}"
    );
    assert_eq!(api.get("/api/routes").await.json(), json!([]));

    let mut configuration = shop();
    configuration["upstreams"][0]["url"] = "nowhere".into();
    let problem = api
        .post("/api/config/apply", configuration)
        .await
        .problem(400, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/upstreams/0/url");
}

#[tokio::test]
async fn more_than_a_mebibyte_is_taken_here() {
    let api = Api::start().await;
    let upstreams: Vec<_> = (0..20_000)
        .map(|n| json!({ "name": format!("upstream-{n}"), "url": format!("http://host-{n}:8080") }))
        .collect();
    let configuration = json!({ "upstreams": upstreams });
    assert!(configuration.to_string().len() > 1024 * 1024);
    let applied = api.post("/api/config/apply", configuration).await.is(200);
    assert_eq!(applied.json()["changes"].as_array().unwrap().len(), 20_000);
}

#[tokio::test]
async fn preconditions_make_no_sense_here_and_are_refused() {
    let api = Api::start().await;
    for name in ["If-Match", "If-None-Match"] {
        api.call(Method::POST, "/api/config/apply")
            .header(name, "*")
            .json(&shop())
            .send()
            .await
            .problem(400, "bad_header");
    }
}

#[tokio::test]
async fn an_earlier_revision_can_be_seen_and_compared_and_the_history_says_who_and_why() {
    let api = Api::start().await;
    let first = api
        .post("/api/config/apply?reason=opening", shop())
        .await
        .is(200)
        .revision();
    let mut later = shop();
    later["routes"][0]["timeout"] = "7s".into();
    later["upstreams"] =
        json!([{ "name": "shop", "url": "http://shop" }, { "name": "new", "url": "http://new" }]);
    let second = api.post("/api/config/apply", later).await.is(200).revision();

    let before = api.get(&format!("/api/config?revision={first}")).await.json();
    assert_eq!(before["upstreams"].as_array().unwrap().len(), 1);
    assert_eq!(before["routes"][0].get("timeout"), None);
    let changes = api
        .get(&format!("/api/config/diff?from={first}&to={second}"))
        .await
        .json();
    let told: Vec<_> = changes
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["type"].clone())
        .collect();
    assert_eq!(
        told,
        ["io.flexgate.route.updated.v1", "io.flexgate.upstream.created.v1"]
    );
    assert_eq!(changes[0]["after"]["timeout"], 7000);
    let history = api.get("/api/config/history?limit=2").await.json();
    assert_eq!(history[0]["revision"], second);
    assert_eq!(history[1]["reason"], "opening");
    assert_eq!(
        history[1]["source"],
        json!({ "type": "file", "name": "proxy.yml" })
    );
    api.get("/api/config?revision=999")
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn a_dry_run_says_what_would_come_of_it_and_a_plan_is_for_one_revision() {
    let api = Api::start().await;
    let planned = api.post("/api/config/apply?dryRun=true", shop()).await.is(200);
    assert_eq!(planned.json()["changes"].as_array().unwrap().len(), 3);
    assert_eq!(api.get("/api/routes").await.json(), json!([]));
    let tag = format!(
        "\"{}-{}\"",
        planned.json()["generation"],
        planned.json()["revision"]
    );
    let apply = async || {
        api.call(Method::POST, "/api/config/apply")
            .header("If-Match", &tag)
            .json(&shop())
            .send()
            .await
    };
    apply().await.is(200);
    apply().await.problem(412, "stale");
}
