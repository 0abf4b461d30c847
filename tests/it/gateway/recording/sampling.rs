//! Which requests have a row of their own.

use super::Recording;
use crate::{
    gateway::{route, route_with, settings},
    upstream::Upstream,
};

#[tokio::test]
async fn a_tenth_of_the_successes_has_rows_and_all_are_counted() {
    let backend = Upstream::replying(200).start().await;
    let recording = Recording::of(&[
        settings(r#"{"logging":{"sampling":{"successRate":0.1}}}"#),
        route("all", "/*", &backend.url()),
    ]);
    let mut client = recording.client().await;
    for _ in 0..3000 {
        assert_eq!(client.get("/", "").await.status(), 200);
    }
    let recorded = recording.over().await;
    assert!(
        (200..400).contains(&recorded.rows.len()),
        "{} of 3000",
        recorded.rows.len()
    );
    let left_out: u64 = recorded.left_out.iter().map(|group| group.requests).sum();
    assert_eq!(recorded.rows.len() as u64 + left_out, 3000);
    let bytes: u64 = recorded.left_out.iter().map(|group| group.bytes_out).sum();
    assert_eq!(bytes, 5 * left_out);
}

#[tokio::test]
async fn errors_are_kept_where_successes_are_not() {
    let backend = Upstream::replying(200).start().await;
    let recording = Recording::of(&[
        settings(r#"{"logging":{"sampling":{"successRate":0}}}"#),
        route("fine", "/fine", &backend.url()),
        route_with("private", "/private", &backend.url(), r#""auth":"required""#),
    ]);
    for path in ["/fine", "/nowhere", "/private"] {
        recording.get(path).await;
    }
    let recorded = recording.over().await;
    let statuses: Vec<_> = recorded.rows.iter().map(|row| row.outcome.status).collect();
    assert_eq!(statuses, [Some(404), Some(401)]);
    assert_eq!(recorded.left_out.len(), 1);
}
