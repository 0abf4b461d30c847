//! Every endpoint that changes something, and what the audit log has of it.

/// What the audit log has of a call that works.
#[derive(Debug, Clone, Copy)]
pub enum Has {
    /// A commit that changes one entity: its kind, and what becomes of it.
    Change(&'static str, &'static str),
    /// An event, since it is not about the configuration.
    Event,
}
use Has::{Change, Event};

/// An endpoint, how it is asked so that it works, and how so that it does not: with the code that says why. Bodies are JSON;
/// an empty one is none.
pub type Endpoint = (
    &'static str,
    &'static str,
    (&'static str, &'static str, Has),
    (&'static str, &'static str, &'static str),
);

/// In an order in which they work. `{key}` is the id of the key that was made, `{letter}` that of a dead letter, `silent` a
/// node that is lost.
pub const ENDPOINTS: [Endpoint; 24] = [
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
        (
            "/api/projections/outcomes/dead-letters/1-1/retry",
            "",
            "not_found",
        ),
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
