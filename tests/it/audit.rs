//! The audit log is complete: whatever is asked of a running process, through whichever door, is found in it.

mod doors;
mod endpoints;
mod streams;

use std::path::Path;

use flexgate::{
    journal::jetstream::{Link, Names},
    sealing::SealingKeys,
};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    client::{Admin, Answer},
    fixtures::{self, LOOK_AGAIN, Nats, PATIENCE, Postgres},
    outcomes::database::Database,
    program::{Program, Settings},
};

/// What calls itself the program that asks here.
const AGENT: &str = "curl/8.5.0";

/// A call, by which its entry is found again.
struct Call {
    method: &'static str,
    target: String,
    correlation: String,
    from: Option<String>,
    is_by_nobody: bool,
}

/// A process that is asked, and that fills the tables with what it was asked.
struct Running {
    settings: Settings,
    api: Admin,
    database: Database,
    names: Names,
    link: Link,
    nats: &'static str,
    prefix: String,
    _program: Program,
}

impl Running {
    async fn start(folder: &Path, with: impl FnOnce(Settings) -> Settings) -> Self {
        let (nats, prefix) = (Nats::shared_url().await, fixtures::prefix());
        let names = Names::new(&prefix).unwrap();
        let link = fixtures::provisioned(nats, &names).await;
        let database = Database {
            url: Postgres::database().await,
        };
        let settings = Settings::new("admin,projector", folder, (nats, &prefix))
            .with("DATABASE_URL", &*database.url)
            .with("FLEXGATE_SECRET_KEY", SealingKeys::make().unwrap());
        let settings = with(settings);
        let program = settings.start();
        let running = Self {
            api: settings.api().await,
            settings,
            database,
            names,
            link,
            nats,
            prefix,
            _program: program,
        };
        running
            .until("a history", async || {
                running.read("/api/config/history").await[0].is_object()
            })
            .await;
        running
    }

    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let look = async {
            while !is_so().await {
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(PATIENCE, look).await.expect(what);
    }

    async fn read(&self, target: &str) -> Value {
        self.api.call(Method::GET, target, None).await.json()
    }

    async fn send(&self, call: &Call, body: Value) -> Answer {
        let method = call.method().parse().unwrap();
        let body = Some(body).filter(|body| !body.is_null());
        let headers = [
            ("x-correlation-id", Some(&*call.correlation)),
            ("user-agent", Some(AGENT)),
            ("x-forwarded-for", call.from.as_deref()),
        ];
        let sent = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        if call.is_by_nobody {
            let nobody = Admin {
                addr: self.api.addr,
                token: String::new(),
            };
            return nobody.call_with(method, &call.target, body, sent).await;
        }
        self.api.call_with(method, &call.target, body, sent).await
    }

    /// The one entry that a query comes to, as soon as the tables have it.
    async fn entry(&self, query: &str) -> Value {
        self.entries(query, 1).await.remove(0)
    }

    /// So many entries that a query comes to, the newest first.
    async fn entries(&self, query: &str, count: usize) -> Vec<Value> {
        let mut page = Value::Null;
        let found = async {
            loop {
                let target = format!("/api/logs?{query}&pageSize=200");
                page = self.read(&target).await;
                let logs = page["logs"].as_array().map_or(0, Vec::len);
                if page["readFrom"] == "tables" && logs >= count {
                    return;
                }
                sleep(LOOK_AGAIN).await;
            }
        };
        let in_time = timeout(PATIENCE, found).await.is_ok();
        let logs = page["logs"].as_array().cloned().unwrap_or_default();
        assert!(in_time && logs.len() == count, "{query}: {page}");
        logs
    }
}

impl Call {
    fn new(method: &'static str, target: &str, correlation: String) -> Self {
        Self {
            method,
            target: target.to_owned(),
            correlation,
            from: None,
            is_by_nobody: false,
        }
    }

    /// Through a proxy that says so.
    fn from(self, address: &str) -> Self {
        let from = Some(address.to_owned());
        Self { from, ..self }
    }

    /// Without a token.
    fn by_nobody(self) -> Self {
        Self {
            is_by_nobody: true,
            ..self
        }
    }

    fn method(&self) -> String {
        self.method.to_uppercase()
    }

    /// Whether this is all that the audit log knows of who called.
    #[track_caller]
    fn is_told_by(&self, metadata: &Value, actor: &Value) {
        let from = self.from.as_deref().unwrap_or("127.0.0.1");
        assert_eq!(metadata.get("actor").unwrap_or(&Value::Null), actor, "{metadata}");
        assert_eq!(
            (
                &metadata["source"],
                &metadata["correlation"],
                &metadata["address"],
                &metadata["agent"]
            ),
            (
                &json!("api"),
                &json!(self.correlation),
                &json!(from),
                &json!(AGENT)
            ),
            "{metadata}"
        );
    }
}
