//! The data plane: real gateways on ports of their own, real sockets on both sides of them.

mod access;
mod answers;
mod bare;
mod basic;
mod bodies;
mod changes;
mod compression;
mod connecting;
mod cors;
mod drain;
mod early;
mod edits;
mod egress;
mod expressions;
mod fields;
mod framing;
mod http2;
pub(crate) mod keys;
mod limits;
mod lines;
mod names;
mod rate_limits;
mod recording;
mod resolution;
pub(crate) mod signatures;
mod tls;
mod tokens;
mod tunnels;
mod validation;

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, LazyLock},
    time::Duration,
};

use flexgate::{
    config::SecretResolver,
    domain::{Changed, ConfigState, Stamp, evolve},
    gateway::{Gateway, Options, Published, SecretMissing, Secrets},
    limiter::Limiter,
    sealing::SealingKeys,
};
use flexgate_schemas::{Event, Secret, Timestamp, secret::Purpose};

use crate::wire::{Client, Message};

/// A gateway, and the configuration it serves.
pub(crate) struct Node {
    pub(crate) gateway: Gateway,
    published: Published,
    state: ConfigState,
    revision: u64,
}

/// The options of a gateway in a test: one core, so that the order of things is known, and no waiting.
pub(crate) fn options() -> Options {
    let mut options = Options::new(SocketAddr::from(([127, 0, 0, 1], 0)), "flexgate-test");
    options.threads = NonZeroUsize::MIN;
    options.drain_delay = Duration::ZERO;
    options.drain_deadline = Duration::from_secs(20);
    options
}

/// What test nodes open sealed secrets with.
pub(crate) static SEALING: LazyLock<Arc<SealingKeys>> = LazyLock::new(|| {
    let key = SealingKeys::make().unwrap();
    Arc::new(SealingKeys::read(&key).unwrap())
});

/// The secrets that test nodes have are `${TOKEN}`, files, and what was sealed with [`SEALING`].
fn secrets() -> Secrets {
    let variables = [("TOKEN".to_owned(), "Bearer of-the-gateway".to_owned())];
    let resolver = SecretResolver::new(variables.into(), Some(Arc::clone(&SEALING)));
    Arc::new(move |secret: &Secret, purpose: Purpose<'_>| {
        let resolved = resolver.resolve(secret, purpose);
        resolved
            .map(|value| value.expose().clone())
            .map_err(|error| SecretMissing(error.to_string()))
    })
}

fn published() -> Published {
    Published::new(secrets(), Limiter::alone())
}

impl Node {
    /// A gateway that serves these events.
    pub(crate) fn start(events: &[Event]) -> Self {
        Self::start_with(options(), events)
    }

    pub(crate) fn start_with(options: Options, events: &[Event]) -> Self {
        Self::start_on(published(), options, events)
    }

    /// A gateway whose budgets are kept there.
    pub(crate) fn limited_by(options: Options, limiter: &Limiter, events: &[Event]) -> Self {
        Self::start_on(Published::new(secrets(), limiter.clone()), options, events)
    }

    fn start_on(published: Published, options: Options, events: &[Event]) -> Self {
        let gateway = Gateway::start(options, &published).unwrap();
        let mut node = Self {
            gateway,
            published,
            state: ConfigState::default(),
            revision: 0,
        };
        if !events.is_empty() {
            node.change(events);
        }
        node
    }

    /// A gateway with one route, `/*`, to this URL.
    pub(crate) fn forwarding_to(url: &str) -> Self {
        Self::start(&[route("all", "/*", url)])
    }

    /// Folds events as one commit and publishes what changed.
    fn change(&mut self, events: &[Event]) {
        self.revision += 1;
        let stamp = Stamp {
            revision: self.revision,
            at: Timestamp::from_millis(0).unwrap(),
        };
        for event in events {
            evolve(&mut self.state, event, &stamp);
        }
        let changed = Changed::Entities(events.iter().map(Event::entity).collect());
        self.published.publish(&self.state, &changed, 1, self.revision);
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.gateway.local_addr()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.addr()).await
    }

    /// One GET over a connection of its own.
    async fn get(&self, path: &str) -> Message {
        self.client().await.get(path, "").await
    }

    /// One request over a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Message {
        self.client().await.ask(request).await
    }
}

/// A route with defaults everywhere else.
pub(crate) fn route(id: &str, path: &str, upstream: &str) -> Event {
    route_with(id, path, upstream, "")
}

/// A route with further fields, written as JSON members.
pub(crate) fn route_with(id: &str, path: &str, upstream: &str, more: &str) -> Event {
    let comma = if more.is_empty() { "" } else { "," };
    let json = format!(r#"{{"id":"{id}","path":"{path}","upstream":"{upstream}"{comma}{more}}}"#);
    Event::RouteCreated(serde_json::from_str(&json).unwrap())
}

/// An upstream with further fields, written as JSON members.
pub(crate) fn upstream(name: &str, url: &str, more: &str) -> Event {
    let comma = if more.is_empty() { "" } else { "," };
    let json = format!(r#"{{"name":"{name}","url":"{url}"{comma}{more}}}"#);
    Event::UpstreamCreated(serde_json::from_str(&json).unwrap())
}

/// Global settings, written as JSON.
pub(crate) fn settings(json: &str) -> Event {
    Event::SettingsUpdated(serde_json::from_str(json).unwrap())
}

/// Checks everything that every refusal has.
#[track_caller]
pub(crate) fn assert_refused(response: &Message, status: u16, code: &str, proxy_status: &str) {
    assert_eq!(response.status(), status, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let wanted = format!("flexgate; error={proxy_status}");
    assert_eq!(response.header("proxy-status"), Some(&*wanted));
    let problem = response.json();
    assert_eq!(
        (problem["status"].as_u64(), problem["code"].as_str()),
        (Some(status.into()), Some(code))
    );
    assert_eq!(
        problem["correlation_id"].as_str(),
        response.header("x-correlation-id")
    );
    assert!(problem["instance"].as_str().is_some() && problem["revision"].as_u64().is_some());
    assert_eq!(
        response.header("retry-after").is_some(),
        matches!(status, 429 | 503)
    );
}
