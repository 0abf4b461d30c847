//! `/api/logs`: who did what, from the tables, and from the log itself while those do not answer.

use flexgate::{app::projector, health::Health, journal::alerts::Alerts};
use flexgate_schemas::provenance::PROVENANCE_LEVEL;
use http::Method;
use serde_json::{Value, json};

use super::Api;
use crate::{client::Answer, fixtures::Postgres};

#[tokio::test]
async fn what_was_done_is_told_with_who_why_and_what_it_was_before() {
    let api = shop(&Postgres::database().await).await;
    let answer = ask(&api, "?kind=route&entity=users&pageSize=1").await;
    let page = answer.is(200).json();
    assert_eq!(
        (
            &page["total"],
            &page["page"],
            &page["pageSize"],
            &page["readFrom"]
        ),
        (&json!(3), &json!(1), &json!(1), &json!("tables"))
    );
    let log = &page["logs"][0];
    let revision = log["metadata"]["revision"].as_u64().unwrap();
    assert_eq!(log["id"], format!("CONFIG-{revision}"));
    assert_eq!(
        (&log["level"], &log["message"]),
        (&json!("info"), &json!("Route \"users\" deleted"))
    );
    assert!(log["timestamp"].as_str().unwrap().ends_with('Z'));
    let metadata = &log["metadata"];
    assert_eq!(
        (
            &metadata["actor"],
            &metadata["source"],
            &metadata["reason"],
            &metadata["changesTotal"]
        ),
        (
            &json!("admin"),
            &json!("api"),
            &json!("nobody needs it"),
            &json!(1)
        )
    );
    let change = &metadata["changes"][0];
    assert_eq!(
        (
            &change["kind"],
            &change["id"],
            &change["action"],
            &change["before"]["path"],
            &change["after"]
        ),
        (
            &json!("route"),
            &json!("users"),
            &json!("deleted"),
            &json!("/v2/users"),
            &Value::Null
        )
    );
}

#[tokio::test]
async fn what_was_done_is_told_with_from_where_and_by_which_request() {
    let api = shop(&Postgres::database().await).await;
    let trusting = json!({ "trustedProxies": ["127.0.0.1"] });
    api.put("/api/settings", trusting).await.is(200);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let call = api.call(Method::DELETE, "/api/routes/orders");
    call.header("x-correlation-id", "order-4711")
        .header("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"))
        .header("x-forwarded-for", "203.0.113.7")
        .header("user-agent", "curl/8.5.0")
        .send()
        .await
        .is(204);
    let alone = Api::over(api.log.clone()).await;
    for api in [&api, &alone] {
        for filter in ["?correlation=order-4711", "?address=203.0.113.7", "?text=CURL"] {
            let page = ask(api, filter).await.is(200).json();
            assert_eq!(page["logs"].as_array().map(Vec::len), Some(1), "{filter}: {page}");
            let metadata = &page["logs"][0]["metadata"];
            let told = ["correlation", "trace", "address", "agent"].map(|name| &metadata[name]);
            let expected = ["order-4711", trace, "203.0.113.7", "curl/8.5.0"].map(|text| json!(text));
            assert_eq!(told, expected.each_ref(), "{filter}");
        }
    }
    let history = api.get("/api/config/history?limit=1").await.json();
    assert_eq!(history[0]["provenance"]["address"], "203.0.113.7");
}

#[tokio::test]
async fn what_an_untrusted_peer_says_of_itself_is_not_believed() {
    let api = Api::with_backend().await;
    let call = api.call(Method::DELETE, "/api/upstreams/backend");
    call.header("x-forwarded-for", "203.0.113.7")
        .header("traceparent", "00-what-else")
        .header("x-correlation-id", "two words")
        .send()
        .await
        .is(204);
    let page = api.get("/api/logs?pageSize=1").await.json();
    let metadata = &page["logs"][0]["metadata"];
    assert_eq!(
        (&metadata["address"], metadata.get("trace"), metadata.get("agent")),
        (&json!("127.0.0.1"), None, None)
    );
    assert!(metadata["correlation"].as_str().unwrap().len() > 30, "{page}");
}

#[tokio::test]
async fn changes_are_not_held_back_for_a_node_that_cannot_read_where_they_come_from() {
    let api = Api::with_backend().await;
    let provenance = async || {
        let history = api.get("/api/config/history?limit=1").await.json();
        history[0].get("provenance").cloned()
    };
    assert!(provenance().await.is_some());
    api.join_reading("old", PROVENANCE_LEVEL - 1);
    api.put("/api/settings", json!({ "timeout": "7s" })).await.is(200);
    assert_eq!(provenance().await, None);
    api.join("old"); // upgraded
    api.put("/api/settings", json!({ "timeout": "8s" })).await.is(200);
    assert!(provenance().await.is_some());
}

#[tokio::test]
async fn tables_and_log_tell_the_same() {
    let api = shop(&Postgres::database().await).await;
    let alone = Api::over(api.log.clone()).await;
    for filter in [
        "",
        "?kind=route",
        "?kind=upstream&entity=backend",
        "?entity=users",
        "?kind=settings",
        "?actor=admin",
        "?actor=nobody",
        "?source=system",
        "?source=api&text=ORDERS",
        "?text=nobody%20needs",
        "?correlation=nothing",
        "?address=127.0.0.1",
        "?revision=3",
        "?since=2020-01-01T00:00:00.000Z",
        "?until=2020-01-01T00:00:00.000Z",
        "?page=2&pageSize=2",
        "?page=9&pageSize=200",
    ] {
        let (tables, log) = (
            ask(&api, filter).await.is(200).json(),
            ask(&alone, filter).await.is(200).json(),
        );
        assert_eq!(
            (&tables["readFrom"], &log["readFrom"]),
            (&json!("tables"), &json!("log"))
        );
        assert_eq!(told(&tables), told(&log), "{filter}");
        assert_eq!(log.get("total"), None);
    }
}

#[tokio::test]
async fn pages_by_link_tell_everything_once_whatever_is_done_meanwhile() {
    let tables = shop(&Postgres::database().await).await;
    let log = Api::over(tables.log.clone()).await;
    for api in [&tables, &log] {
        let all = ids(&ask(api, "?pageSize=200&source=api").await.json());
        assert!(all.len() > 5, "{all:?}");
        let (mut paged, mut next) = (Vec::new(), Some("?pageSize=2&source=api".to_owned()));
        while let Some(target) = next {
            let answer = ask(api, &target).await;
            paged.extend(ids(&answer.json()));
            next = answer.headers.get("link").map(|link| {
                let (_, query) = link.to_str().unwrap().split_once('?').unwrap();
                format!("?{}", query.split_once('>').unwrap().0)
            });
            tables
                .put("/api/settings", json!({ "timeout": format!("{}s", paged.len()) }))
                .await
                .is(200);
        }
        assert_eq!(paged, all);
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_done_without() {
    let nobody = flexgate::devstack::free_port().unwrap();
    let api = Api::over_tables(&format!("postgres://127.0.0.1:{nobody}/flexgate")).await;
    api.put("/api/settings", json!({ "timeout": "7s" })).await.is(200);
    let page = api.get("/api/logs").await.is(200).json();
    assert_eq!(page["readFrom"], "log");
    assert_eq!(page["logs"][0]["message"], "Settings updated");
}

#[tokio::test]
async fn a_question_that_cannot_be_meant_is_refused() {
    let api = Api::start().await;
    for (query, why) in [
        ("?pageSize=0", "`pageSize` is 1 to 200"),
        ("?pageSize=201", "`pageSize` is 1 to 200"),
        ("?page=0", "`page` begins with 1"),
        ("?page=2&cursor=1.CONFIG.1.2", "not both"),
        (
            "?cursor=mine",
            "a cursor is taken from the `Link` of the page before",
        ),
        ("?kind=routes", "unknown variant `routes`"),
        ("?who=alice", "unknown field `who`"),
        ("?since=yesterday", "since"),
    ] {
        let answer = api.get(&format!("/api/logs{query}")).await;
        let problem = answer.is(400).json();
        assert!(
            problem["detail"].as_str().unwrap().contains(why),
            "{query}: {problem}"
        );
    }
}

/// An API over a database, and what its people did.
async fn shop(url: &str) -> Api {
    let api = Api::over_tables(url).await;
    let (journal, tasks) = (api.journal.clone(), api.tasks.clone());
    let (alerts, _) = Alerts::channel("admin".parse().unwrap());
    let keeping = projector::keep_configuration(
        url.to_owned(),
        journal,
        alerts,
        Health::new("test"),
        tasks.clone(),
    );
    tasks.spawn(keeping);
    let backend = json!({ "name": "backend", "url": "http://127.0.0.1:8080" });
    api.post("/api/upstreams", backend).await.is(201);
    for id in ["users", "orders"] {
        let route = json!({ "id": id, "path": format!("/{id}"), "upstream": "backend" });
        api.post("/api/routes", route).await.is(201);
    }
    let moved = json!({ "path": "/v2/users", "upstream": "backend" });
    api.put("/api/routes/users", moved).await.is(200);
    api.put("/api/settings", json!({ "timeout": "9s" })).await.is(200);
    let gone = api.call(Method::DELETE, "/api/routes/users?reason=nobody%20needs%20it");
    gone.send().await.is(204);
    api
}

/// Asks for what is not older than now.
async fn ask(api: &Api, query: &str) -> Answer {
    let call = api.call(Method::GET, &format!("/api/logs{query}"));
    let revision = api.journal.view().revision().to_string();
    call.header("flexgate-min-revision", &revision).send().await
}

fn ids(page: &Value) -> Vec<String> {
    let logs = page["logs"].as_array().unwrap().iter();
    logs.map(|log| log["id"].as_str().unwrap().to_owned()).collect()
}

/// What both ways know.
pub fn told(page: &Value) -> Vec<Value> {
    let mut logs = page["logs"].as_array().unwrap().clone();
    for log in &mut logs {
        for change in log["metadata"]["changes"].as_array_mut().unwrap() {
            change.as_object_mut().unwrap().remove("before");
        }
    }
    logs
}
