//! The event stream, read as a browser would.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Api, TOKEN};
use crate::{client::Connection, fixtures::PATIENCE};

/// An open stream.
pub(super) struct Stream {
    _connection: Connection,
    headers: http::HeaderMap,
    body: Incoming,
    text: String,
}

/// One event of it.
#[derive(Debug)]
pub(super) struct Event {
    name: String,
    id: String,
    pub(super) data: Value,
}

impl Api {
    pub(super) async fn stream(&self, last_event_id: Option<&str>) -> Stream {
        let request = Request::builder()
            .uri("/api/stream/events")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {TOKEN}"));
        let request = match last_event_id {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let request = request.body(Full::new(Bytes::new())).unwrap();
        let mut connection = Connection::open(self.addr).await.unwrap();
        let response = timeout(PATIENCE, connection.begin(request))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(response.status(), 200);
        let (head, body) = response.into_parts();
        Stream {
            _connection: connection,
            headers: head.headers,
            body,
            text: String::new(),
        }
    }
}

impl Stream {
    /// The next event; `None` when the stream has ended.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let value = block
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                    value.map(str::trim).unwrap_or_default().to_owned()
                };
                let Ok(data) = serde_json::from_str(&field("data")) else {
                    continue;
                };
                return Some(Event {
                    name: field("event"),
                    id: field("id"),
                    data,
                });
            }
            let frame = timeout(PATIENCE, self.body.frame())
                .await
                .expect("an event")?
                .ok()?;
            self.text
                .push_str(std::str::from_utf8(frame.data_ref()?).unwrap());
        }
    }
}

#[tokio::test]
async fn a_stream_tells_of_commits_from_now_on() {
    let api = Api::with_backend().await;
    let mut stream = api.stream(None).await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.headers["cache-control"], "no-store");
    assert_eq!(stream.headers["x-accel-buffering"], "no");
    let connected = stream.next().await.unwrap();
    assert_eq!(
        (&*connected.name, &*connected.id),
        ("connected", &*format!("1-{}", api.journal.view().revision()))
    );

    let written = api
        .patch("/api/upstreams/backend", json!({ "timeout": 5 }))
        .await
        .is(200);
    let event = stream.next().await.unwrap();
    assert_eq!(
        (&*event.name, &*event.id),
        ("message", &*format!("1-{}", written.revision()))
    );
    assert_eq!(event.data["revision"], written.revision());
    assert_eq!(
        event.data["commit"]["events"][0]["type"],
        "io.flexgate.upstream.updated.v1"
    );
}

#[tokio::test]
async fn a_stream_goes_on_after_the_last_event_that_was_seen() {
    let api = Api::with_backend().await;
    let seen = api
        .patch("/api/upstreams/backend", json!({ "timeout": 1 }))
        .await
        .revision();
    let missed = api
        .patch("/api/upstreams/backend", json!({ "timeout": 2 }))
        .await
        .revision();
    let mut stream = api.stream(Some(&format!("1-{seen}"))).await;
    assert_eq!(stream.next().await.unwrap().name, "connected");
    assert_eq!(stream.next().await.unwrap().data["revision"], missed);
    let live = api
        .patch("/api/upstreams/backend", json!({ "timeout": 3 }))
        .await
        .revision();
    assert_eq!(stream.next().await.unwrap().data["revision"], live);
}

#[tokio::test]
async fn an_id_of_another_history_begins_anew_and_says_so() {
    let api = Api::with_backend().await;
    for id in ["2-1", "1-1000000"] {
        let reset = api.stream(Some(id)).await.next().await.unwrap();
        assert_eq!(
            (&*reset.name, &reset.data["revision"]),
            ("reset", &json!(api.journal.view().revision()))
        );
    }
    api.call(http::Method::GET, "/api/stream/events")
        .header("Last-Event-ID", "yesterday")
        .send()
        .await
        .problem(400, "bad_header");
    api.get("/api/stream/events?after=yesterday")
        .await
        .problem(400, "bad_query");
}

#[tokio::test]
async fn there_are_only_so_many_streams_and_a_closed_one_makes_room() {
    let api = Api::start().await;
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(api.stream(None).await);
    }
    api.get("/api/stream/events")
        .await
        .problem(503, "too_many_streams");
    streams.pop();
    let room = async {
        while api
            .call(http::Method::HEAD, "/api/stream/events")
            .send()
            .await
            .status
            != 200
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, room).await.expect("room for one more");
}

#[tokio::test]
async fn a_stream_ends_when_the_process_does() {
    let api = Api::start().await;
    let mut stream = api.stream(None).await;
    stream.next().await.unwrap();
    assert!(api.tasks.stop(PATIENCE).await, "nothing holds the process up");
    assert!(stream.next().await.is_none());
}
