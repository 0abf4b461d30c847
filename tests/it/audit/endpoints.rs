//! Every endpoint that changes something, asked in a way that works, in one that does not, and by nobody.

use std::collections::BTreeSet;

use flexgate_schemas::{
    Chain, READER_LEVEL, Timestamp,
    node::{Heartbeat, NodeStatus, Position},
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, Running};
use crate::outcomes::frames::{Core, frame, publish};

/// What the audit log has of a call that works.
#[derive(Debug, Clone, Copy)]
enum Has {
    /// A commit that changes one entity: its kind, and what becomes of it.
    Change(&'static str, &'static str),
    /// An event, since it is not about the configuration.
    Event,
}
use Has::{Change, Event};

/// An endpoint, how it is asked so that it works, and how so that it does not: with the code that says why. Bodies are JSON;
/// an empty one is none.
type Endpoint = (
    &'static str,
    &'static str,
    (&'static str, &'static str, Has),
    (&'static str, &'static str, &'static str),
);

/// In an order in which they work. `{key}` is the id of the key that was made, `{letter}` that of a dead letter, `silent` a
/// node that is lost.
const ENDPOINTS: [Endpoint; 24] = [
    (
        "put",
        "/api/settings",
        (
            "/api/settings",
            r#"{"timeout":"9s","trustedProxies":["127.0.0.1"]}"#,
            Change("settings", "updated"),
        ),
        ("/api/settings", r#"{"what":"is this"}"#, "invalid"),
    ),
    (
        "post",
        "/api/upstreams",
        (
            "/api/upstreams",
            r#"{"name":"shop","url":"http://127.0.0.1:9"}"#,
            Change("upstream", "created"),
        ),
        (
            "/api/upstreams",
            r#"{"name":"shop","url":"http://127.0.0.1:8"}"#,
            "already_exists",
        ),
    ),
    (
        "put",
        "/api/upstreams/{name}",
        (
            "/api/upstreams/shop",
            r#"{"url":"http://127.0.0.1:7"}"#,
            Change("upstream", "updated"),
        ),
        ("/api/upstreams/shop", r#"{"what":"is this"}"#, "invalid"),
    ),
    (
        "patch",
        "/api/upstreams/{name}",
        (
            "/api/upstreams/shop",
            r#"{"url":"http://127.0.0.1:6"}"#,
            Change("upstream", "updated"),
        ),
        ("/api/upstreams/none", "{}", "not_found"),
    ),
    (
        "post",
        "/api/routes",
        (
            "/api/routes",
            r#"{"id":"cart","path":"/cart","upstream":"shop"}"#,
            Change("route", "created"),
        ),
        (
            "/api/routes",
            r#"{"path":"/x","upstream":"none"}"#,
            "unknown_upstream",
        ),
    ),
    (
        "put",
        "/api/routes/{id}",
        (
            "/api/routes/cart",
            r#"{"path":"/carts","upstream":"shop"}"#,
            Change("route", "updated"),
        ),
        ("/api/routes/cart", r#"{"what":"is this"}"#, "invalid"),
    ),
    (
        "patch",
        "/api/routes/{id}",
        (
            "/api/routes/cart",
            r#"{"enabled":false}"#,
            Change("route", "updated"),
        ),
        ("/api/routes/none", "{}", "not_found"),
    ),
    (
        "post",
        "/api/config/apply",
        (
            "/api/config/apply",
            r#"{"upstreams":[{"name":"pay","url":"http://127.0.0.1:9"}]}"#,
            Change("upstream", "created"),
        ),
        ("/api/config/apply", r#"{"what":"is this"}"#, "invalid"),
    ),
    (
        "post",
        "/api/keys",
        ("/api/keys", r#"{"name":"app"}"#, Change("key", "created")),
        ("/api/keys", "{}", "invalid"),
    ),
    (
        "put",
        "/api/keys/{id}",
        (
            "/api/keys/{key}",
            r#"{"name":"the app"}"#,
            Change("key", "updated"),
        ),
        ("/api/keys/{key}", "{}", "invalid"),
    ),
    (
        "patch",
        "/api/keys/{id}",
        (
            "/api/keys/{key}",
            r#"{"enabled":false}"#,
            Change("key", "updated"),
        ),
        ("/api/keys/nokeynokey12", "{}", "not_found"),
    ),
    (
        "post",
        "/api/keys/{id}/basic",
        (
            "/api/keys/{key}/basic",
            r#"{"username":"app","password":"correct-horse"}"#,
            Change("key", "updated"),
        ),
        ("/api/keys/{key}/basic", r#"{"username":7}"#, "invalid"),
    ),
    (
        "delete",
        "/api/keys/{id}/basic",
        ("/api/keys/{key}/basic", "", Change("key", "updated")),
        ("/api/keys/nokeynokey12/basic", "", "not_found"),
    ),
    (
        "post",
        "/api/keys/{id}/signing",
        ("/api/keys/{key}/signing", "", Change("key", "updated")),
        ("/api/keys/nokeynokey12/signing", "", "not_found"),
    ),
    (
        "delete",
        "/api/keys/{id}/signing",
        ("/api/keys/{key}/signing", "", Change("key", "updated")),
        ("/api/keys/nokeynokey12/signing", "", "not_found"),
    ),
    (
        "post",
        "/api/keys/{id}/rotate",
        ("/api/keys/{key}/rotate", "", Change("key", "updated")),
        ("/api/keys/nokeynokey12/rotate", "", "not_found"),
    ),
    (
        "post",
        "/api/keys/{id}/revoke",
        ("/api/keys/{key}/revoke", "", Change("key", "updated")),
        ("/api/keys/nokeynokey12/revoke", "", "not_found"),
    ),
    (
        "delete",
        "/api/keys/{id}",
        ("/api/keys/{key}", "", Change("key", "deleted")),
        ("/api/keys/nokeynokey12", "", "not_found"),
    ),
    (
        "delete",
        "/api/routes/{id}",
        ("/api/routes/cart", "", Change("route", "deleted")),
        ("/api/routes/none", "", "not_found"),
    ),
    (
        "delete",
        "/api/upstreams/{name}",
        ("/api/upstreams/shop", "", Change("upstream", "deleted")),
        ("/api/upstreams/none", "", "not_found"),
    ),
    (
        "delete",
        "/api/nodes/{id}",
        ("/api/nodes/silent", "", Event),
        ("/api/nodes/nobody", "", "not_found"),
    ),
    (
        "post",
        "/api/projections/{name}/dead-letters/{id}/retry",
        ("/api/projections/outcomes/dead-letters/{letter}/retry", "", Event),
        ("/api/projections/nothing/dead-letters/1/retry", "", "not_found"),
    ),
    (
        "post",
        "/api/projections/{name}/dead-letters/retry",
        ("/api/projections/outcomes/dead-letters/retry", "", Event),
        ("/api/projections/nothing/dead-letters/retry", "", "not_found"),
    ),
    (
        "post",
        "/api/projections/{name}/rebuild",
        ("/api/projections/alerts/rebuild", "", Event),
        ("/api/projections/nothing/rebuild", "", "not_found"),
    ),
];

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
