//! `/api/alerts`: what somebody should hear of, from the tables.

use serde_json::{Value, json};

use super::Api;
use crate::{
    fixtures::Postgres,
    projections::alerts::{on_stream, project},
};

#[tokio::test]
async fn alerts_are_told_the_newest_first_and_by_what_is_asked_for() {
    let api = over_alerts().await;
    let all = api.get("/api/alerts").await.is(200).json();
    assert_eq!(
        ids(&all),
        ["ALERTS-5", "ALERTS-4", "ALERTS-3", "ALERTS-2", "ALERTS-1"]
    );
    assert_eq!(
        all[4],
        json!({
            "id": "ALERTS-1", "occurrence": "node.lost-1", "timestamp": "2024-10-04T00:00:01.000Z", "type": "node.lost",
            "severity": "warning", "node": "a", "subject": "b", "data": { "node": "b", "silentMs": 9000 },
        })
    );
    for (query, expected) in [
        ("type=node.lost", &["ALERTS-3", "ALERTS-1"][..]),
        ("severity=critical", &["ALERTS-2"]),
        ("node=c", &["ALERTS-3"]),
        ("subject=b", &["ALERTS-4", "ALERTS-1"]),
        ("since=2024-10-04T00:00:04.000Z", &["ALERTS-5", "ALERTS-4"]),
        ("until=2024-10-04T00:00:02.000Z", &["ALERTS-1"]),
        ("type=node.lost&node=c&subject=d", &["ALERTS-3"]),
        ("type=node", &[]),
    ] {
        let found = api.get(&format!("/api/alerts?{query}")).await.is(200).json();
        assert_eq!(ids(&found), expected, "{query}");
    }
}

#[tokio::test]
async fn pages_by_link_tell_every_alert_once() {
    let api = over_alerts().await;
    let (mut paged, mut next) = (Vec::new(), Some("/api/alerts?limit=2&node=a".to_owned()));
    while let Some(target) = next {
        let answer = api.get(&target).await.is(200);
        paged.extend(
            ids(&answer.json())
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        );
        let link = answer.headers.get("link");
        next = link.map(|link| {
            let (target, _) = link.to_str().unwrap()[1..].split_once('>').unwrap();
            target.to_owned()
        });
    }
    assert_eq!(paged, ["ALERTS-5", "ALERTS-4", "ALERTS-2", "ALERTS-1"]);
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let api = over_alerts().await;
    for (query, why) in [
        ("limit=0", "`limit` is 1 to 500"),
        ("cursor=mine", "a cursor is taken from the `Link`"),
        ("severity=grave", "unknown variant `grave`"),
        ("who=a", "unknown field `who`"),
    ] {
        let problem = api
            .get(&format!("/api/alerts?{query}"))
            .await
            .problem(400, "bad_query");
        assert!(
            problem["detail"].as_str().unwrap().contains(why),
            "{query}: {problem}"
        );
    }
    let without = Api::start().await;
    without.get("/api/alerts").await.problem(503, "no_database");
}

/// An API over a database with five alerts.
async fn over_alerts() -> Api {
    let url = Postgres::database().await;
    let lost = |node: &str| json!({ "node": node, "silentMs": 9000 });
    let alerts = [
        ("node.lost", "a", lost("b")),
        ("outbox.overflowed", "a", json!({ "lost": 3, "bytesMax": 9 })),
        ("node.lost", "c", lost("d")),
        ("node.back", "a", json!({ "node": "b", "boot": "1" })),
        (
            "config.rejected",
            "a",
            json!({ "file": "flexgate.yml", "reason": "tabs" }),
        ),
    ];
    project(&url, 0, on_stream(1, &alerts)).await.unwrap();
    Api::over_tables(&url).await
}

fn ids(alerts: &Value) -> Vec<&str> {
    let alerts = alerts.as_array().unwrap().iter();
    alerts.map(|alert| alert["id"].as_str().unwrap()).collect()
}
