//! Every endpoint that changes something, asked in a way that works, in one that does not, and by nobody.

mod table;

use std::collections::BTreeSet;

use flexgate_schemas::{
    Chain, READER_LEVEL, Timestamp,
    node::{Heartbeat, NodeStatus, Position},
};
use http::StatusCode;
use serde_json::{Value, json};

use self::table::{
    ENDPOINTS,
    Has::{self, Change},
};
use super::{Call, Running};
use crate::outcomes::frames::{Core, frame, publish};

fn json_of(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_default()
}

#[tokio::test]
async fn every_endpoint_that_changes_something_is_found_in_the_audit_log_whatever_becomes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), |settings| settings).await;
    running.hear_a_node_once("silent").await;
    let listed: BTreeSet<_> = ENDPOINTS
        .iter()
        .map(|(method, path, ..)| ((*path).to_owned(), (*method).to_owned()))
        .collect();
    assert_eq!(
        listed,
        running.unsafe_endpoints().await,
        "an endpoint that changes something is listed here, with what the audit log has of it"
    );
    running.becomes_lost("silent").await;
    let letter = running.dead_letter().await;
    // Whoever comes without a token comes from another address each time, so that each is told by itself.
    let mut key = String::new();
    for (number, (method, path, works, fails)) in ENDPOINTS.into_iter().enumerate() {
        let named = |target: &str| target.replace("{key}", &key).replace("{letter}", &letter);
        let (target, body, has) = works;
        let call = Call::new(method, &named(target), format!("works-{number}"));
        let answer = running.send(&call, json_of(body)).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        if path == "/api/keys" {
            key = answer.json()["id"].as_str().unwrap().to_owned();
        }
        running.has(&call, has).await;

        let named = |target: &str| target.replace("{key}", &key);
        let (target, body, code) = fails;
        let call = Call::new(method, &named(target), format!("fails-{number}"));
        let answer = running.send(&call, json_of(body)).await;
        assert_eq!(answer.json()["code"], code, "{method} {path}: {answer:?}");
        running.has_refusal(&call, "refused", code, &json!("admin")).await;

        let from = format!("203.0.113.{number}");
        let call = Call::new(method, path, format!("denied-{number}"))
            .from(&from)
            .by_nobody();
        let answer = running.send(&call, json!({})).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        running
            .has_refusal(&call, "denied", "no_token", &Value::Null)
            .await;
    }
}

impl Running {
    /// What the API's own description says can be done that changes something.
    async fn unsafe_endpoints(&self) -> BTreeSet<(String, String)> {
        let document = self.read("/api/openapi.json").await;
        let paths = document["paths"].as_object().unwrap().iter();
        let endpoints = paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(|method| (path.clone(), method.clone()))
        });
        endpoints
            .filter(|(_, method)| ["post", "put", "patch", "delete"].contains(&&**method))
            .collect()
    }

    /// The entry of a call that worked: who, from where, and what it was before and after.
    async fn has(&self, call: &Call, has: Has) {
        let entry = self.entry(&format!("correlation={}", call.correlation)).await;
        let metadata = &entry["metadata"];
        call.is_told_by(metadata, &json!("admin"));
        let Change(kind, action) = has else {
            assert_eq!(
                entry["message"],
                format!("{} {} done", call.method(), call.target)
            );
            assert!(entry["id"].as_str().unwrap().starts_with("ADMIN-"), "{entry}");
            return;
        };
        let id = format!("CONFIG-{}", metadata["revision"]);
        assert_eq!((&entry["id"], &metadata["changesTotal"]), (&json!(id), &json!(1)));
        let change = &metadata["changes"][0];
        assert_eq!(
            (&change["kind"], &change["action"]),
            (&json!(kind), &json!(action))
        );
        let was_there = action != "created" && (kind != "settings" || change.get("before").is_some());
        assert_eq!(change.get("before").is_some(), was_there, "{entry}");
        assert_eq!(change.get("after").is_some(), action != "deleted", "{entry}");
        assert_ne!(change.get("before"), change.get("after"), "{entry}");
    }

    /// The entry of a call that did not work: who, from where, and why.
    async fn has_refusal(&self, call: &Call, verb: &str, code: &str, actor: &Value) {
        let entry = self.entry(&format!("correlation={}", call.correlation)).await;
        let message = format!("{} {} {verb}: {code}", call.method(), call.target);
        assert_eq!(entry["message"], message);
        let metadata = &entry["metadata"];
        call.is_told_by(metadata, actor);
        assert_eq!(
            (
                &metadata["method"],
                &metadata["path"],
                &metadata["code"],
                &metadata["times"]
            ),
            (
                &json!(call.method()),
                &json!(call.target),
                &json!(code),
                &json!(1)
            )
        );
        assert!(
            metadata["status"]
                .as_u64()
                .is_some_and(|status| (400..500).contains(&status))
        );
    }

    /// A member says hello once and never again.
    async fn hear_a_node_once(&self, node: &str) {
        let bucket = self.link.jetstream().get_key_value(self.names.nodes()).await;
        let heartbeat = Heartbeat {
            node: node.parse().unwrap(),
            boot: "boot".parse().unwrap(),
            version: "1.2.3".to_owned(),
            reader_level: READER_LEVEL,
            position: Position {
                generation: 1,
                revision: 1,
                chain: Chain::ZERO,
                state_hash: "1:0".to_owned(),
            },
            status: NodeStatus::Serving,
            started_at: Timestamp::default(),
            at: Timestamp::default(),
            proxy: None,
            requests_per_second: 0,
        };
        let heartbeat = serde_json::to_vec(&heartbeat).unwrap();
        bucket.unwrap().put(node, heartbeat.into()).await.unwrap();
    }

    /// The id of a frame that no projector can read.
    async fn dead_letter(&self) -> String {
        let mut broken = frame(&mut Core::of_boot("b1"), 1);
        broken.payload = b"no frame".to_vec();
        publish(&self.link, &self.names, broken).await;
        let mut letters = Value::Null;
        self.until("a dead letter", async || {
            letters = self.read("/api/projections/outcomes/dead-letters").await;
            letters[0].is_object()
        })
        .await;
        letters[0]["id"].as_str().unwrap().to_owned()
    }

    async fn becomes_lost(&self, node: &str) {
        self.until("a lost node", async || {
            let nodes = self.read("/api/nodes").await;
            let mut nodes = nodes.as_array().unwrap().iter();
            nodes.any(|known| known["node"] == node && known["lost"] == true)
        })
        .await;
    }
}
