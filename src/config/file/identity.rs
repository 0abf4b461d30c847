//! The identity of a route that has none in the file.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use flexgate_schemas::{Route, RouteId};

/// `file-` and the first 16 hexadecimal digits of the SHA-256 of what the route matches, written as the JSON array
/// `[host, path, methods, matchers]`, with the names of path segments taken away.
///
/// So a route of a file keeps its identity while its upstream or its policies change, and is another one when it
/// matches other requests. Whoever wants it otherwise gives it an `id`.
pub(super) fn derive(route: &Route) -> RouteId {
    let matched = (
        &route.host,
        route.path.shape().to_string(),
        &route.methods,
        &route.matchers,
    );
    let canonical = serde_json::to_vec(&matched).expect("strings and lists of strings only");
    let mut id = "file-".to_owned();
    for byte in &digest(&SHA256, &canonical).as_ref()[..8] {
        write!(id, "{byte:02x}").expect("a string takes everything");
    }
    id.parse().expect("21 letters, digits and a hyphen")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(json: &str) -> String {
        let mut route: serde_json::Value = serde_json::from_str(json).unwrap();
        route["id"] = "x".into();
        route["upstream"] = "u".into();
        derive(&serde_json::from_value(route).unwrap()).to_string()
    }

    #[test]
    fn the_identity_is_what_is_matched_and_nothing_else() {
        let users = id(r#"{"path":"/users/:id"}"#);
        // Pinned: another value would make every file's routes other routes.
        assert_eq!(users, "file-0c26f5a9298f943a");
        assert_eq!(id(r#"{"path":"/users/:user","timeout":5}"#), users);
        assert_ne!(id(r#"{"path":"/users/*"}"#), users);
        assert_ne!(id(r#"{"path":"/users/:id","methods":["GET"]}"#), users);
        assert_ne!(id(r#"{"path":"/users/:id","host":"a"}"#), users);
    }
}
