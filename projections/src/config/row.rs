//! The rows of the tables, as a statement takes many of them at once: in JSON, with the names of their columns.

use flexgate_schemas::{
    Route, Settings, Timestamp, Upstream, audit::Value, host::HostPattern, key::ToldKey, route::Name,
};
use serde::Serialize;

use super::run::Run;

/// A row of one of the tables.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Row<'a> {
    Route {
        id: &'a str,
        name: Option<&'a str>,
        enabled: bool,
        priority: i32,
        host: Option<String>,
        path: String,
        methods: Vec<String>,
        upstream: String,
        value: &'a Route,
    },
    Upstream {
        name: &'a str,
        targets: Vec<String>,
        value: &'a Upstream,
    },
    Key {
        id: String,
        name: &'a str,
        enabled: bool,
        expires_at: Option<Timestamp>,
        revoked_at: Option<Timestamp>,
        value: &'a ToldKey,
    },
    Settings {
        id: &'static str,
        value: &'a Settings,
    },
}

/// What is there after a run.
pub(super) fn rows<'a>(run: &'a Run<'a>) -> Vec<Row<'a>> {
    let values = run.changes.iter().filter_map(|(_, change)| change.after.as_ref());
    values.map(Row::of).collect()
}

impl<'a> Row<'a> {
    fn of(value: &'a Value<'a>) -> Self {
        match value {
            Value::Route(route) => Self::Route {
                id: route.id.as_str(),
                name: route.name.as_ref().map(Name::as_str),
                enabled: route.enabled,
                priority: route.priority.get(),
                host: route.host.as_ref().map(HostPattern::to_string),
                path: route.path.to_string(),
                methods: route.methods.iter().map(|method| method.to_string()).collect(),
                upstream: route.upstream.to_string(),
                value: route,
            },
            Value::Upstream(upstream) => Self::Upstream {
                name: upstream.name.as_str(),
                targets: upstream
                    .targets
                    .as_slice()
                    .iter()
                    .map(|target| target.url.to_string())
                    .collect(),
                value: upstream,
            },
            Value::Key(key) => Self::Key {
                id: key.id.to_string(),
                name: key.terms.name.as_str(),
                enabled: key.terms.enabled,
                expires_at: key.terms.expires_at,
                revoked_at: key.revoked_at,
                value: key,
            },
            Value::Settings(settings) => Self::Settings {
                id: "global",
                value: settings,
            },
        }
    }
}
