//! What an outcome says of a request that was answered.

use std::time::SystemTime;

use flexgate::domain::Changed;

use super::{Node, Recording};
use crate::{
    gateway::{route, route_with, settings, upstream},
    upstream::Upstream,
};

fn micros_since_1970() -> i64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros();
    now.try_into().unwrap()
}

#[tokio::test]
async fn an_outcome_has_all_there_is_to_know_of_a_forwarded_request() {
    let backend = Upstream::echoing().start().await;
    let recording = Recording::of(&[
        upstream("backend", &backend.url(), ""),
        route("everything", "/api/*", "backend"),
    ]);
    let before = micros_since_1970();
    recording
        .ask(
            "POST /api/a%20b?secret=1 HTTP/1.1\r\nhost: Shop.test:8000\r\nuser-agent: curl/8\r\ncontent-length: 5\r\n\
             \r\nhello",
        )
        .await;
    let after = micros_since_1970();
    let [row] = &*recording.over().await.rows else {
        panic!("one row")
    };
    let outcome = &row.outcome;
    assert_eq!((outcome.counter, outcome.arrival), (0, 0));
    assert!((before - 1000..=after + 1000).contains(&outcome.at));
    assert_eq!((outcome.generation, outcome.revision), (1, 1));
    assert_eq!(
        (outcome.route, outcome.upstream, outcome.target),
        (
            Some("everything"),
            Some("backend"),
            Some(&*backend.addr().to_string())
        )
    );
    assert_eq!(
        (outcome.method, outcome.host, outcome.path, outcome.query),
        ("POST", Some("Shop.test:8000"), "/api/a%20b", None)
    );
    assert_eq!(
        (outcome.status, outcome.refused, outcome.error, outcome.attempts),
        (Some(200), None, None, 1)
    );
    let upstream_micros = outcome.upstream_micros.unwrap();
    assert!(upstream_micros > 0 && upstream_micros <= outcome.micros);
    assert!(outcome.micros <= (after - before).cast_unsigned());
    assert_eq!((outcome.bytes_in, outcome.bytes_out), (5, 5));
    assert_eq!(
        (outcome.key, outcome.client, outcome.user_agent),
        (None, Some("127.0.0.1"), Some("curl/8"))
    );
    assert_eq!(
        (outcome.correlation, outcome.trace, outcome.matched),
        (None, None, None)
    );
}

#[tokio::test]
async fn an_outcome_is_in_the_outbox_before_the_client_knows_that_it_has_all() {
    let backend = Upstream::replying(200).start().await;
    let recording = Recording::of(&[route("all", "/*", &backend.url())]);
    let mut client = recording.client().await;
    for count in 1..200 {
        client.get(if count % 2 == 0 { "/" } else { "/%zz" }, "").await;
        assert_eq!(recording.outbox.depth().recorded, count);
    }
}

#[tokio::test]
async fn the_id_that_everybody_saw_can_be_worked_out_from_the_outcome() {
    let backend = Upstream::replying(200).start().await;
    let recording = Recording::of(&[route("all", "/*", &backend.url())]);
    let mut seen = Vec::new();
    for path in ["/a", "/%zz", "/b"] {
        let answer = recording.get(path).await;
        seen.push(answer.header("x-correlation-id").unwrap().to_owned());
    }
    let trace = backend.last().header("traceparent").unwrap().to_owned();
    let rows = recording.over().await.rows;
    let ids: Vec<_> = rows.iter().map(|row| row.id.to_string()).collect();
    assert_eq!(ids, seen);
    assert!(
        trace.starts_with(&format!("00-{}-", rows[2].id.simple())),
        "{trace}"
    );
}

#[tokio::test]
async fn what_the_client_calls_its_request_and_its_trace_is_kept() {
    let backend = Upstream::replying(200).start().await;
    let recording = Recording::of(&[route("all", "/*", &backend.url())]);
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let lines = [
        format!("x-correlation-id: order-66\r\ntraceparent: {traceparent}\r\n"),
        "x-correlation-id: order 66\r\ntraceparent: nonsense\r\n".to_owned(),
    ];
    for lines in lines {
        recording.client().await.get("/", &lines).await;
    }
    let rows = recording.over().await.rows;
    let names = rows
        .iter()
        .map(|row| (row.outcome.correlation, row.outcome.trace));
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            (Some("order-66"), Some("0af7651916cd43dd8448eb211c80319c")),
            (None, None)
        ]
    );
}

#[tokio::test]
async fn a_refusal_is_recorded_with_its_code_and_as_much_as_was_known() {
    let recording = Recording::of(&[
        route("guarded", "/guarded", "http://127.0.0.1:9"),
        route("unreachable", "/unreachable", "http://127.0.0.1:9"),
        upstream(
            "missing",
            "http://127.0.0.1:9",
            r#""authorization":"${NOT_THERE}""#,
        ),
        route("poor", "/poor", "missing"),
        route_with("private", "/private", "missing", r#""auth":"required""#),
    ]);
    for path in ["/nowhere", "/%zz", "/unreachable", "/poor", "/private"] {
        recording.get(path).await;
    }
    let rows = recording.over().await.rows;
    let check = |place: usize, status, code, route: Option<&str>, target: Option<&str>| {
        let outcome = &rows[place].outcome;
        assert_eq!((outcome.status, outcome.refused), (Some(status), Some(code)));
        assert_eq!((outcome.route, outcome.target), (route, target), "{code}");
        assert_eq!(
            (outcome.error, outcome.attempts, outcome.upstream_micros),
            (None, 0, None)
        );
        assert!(
            outcome.bytes_out > 0 && outcome.host == Some("gateway.test"),
            "{code}"
        );
    };
    check(0, 404, "route_not_found", None, None);
    check(1, 400, "bad_path", None, None);
    check(
        2,
        502,
        "upstream_refused",
        Some("unreachable"),
        Some("127.0.0.1:9"),
    );
    check(3, 503, "credential_unavailable", Some("poor"), None);
    check(4, 401, "unauthorized", Some("private"), None);
    assert_eq!(rows[2].outcome.upstream, Some("http://127.0.0.1:9"));
}

#[tokio::test]
async fn what_routes_match_on_is_recorded_as_long_as_there_is_such_a_route() {
    let backend = Upstream::replying(200).start().await;
    let matching = r#""match":{"headers":[{"name":"x-env","value":"beta"}],"query":[{"name":"v"}]}"#;
    let mut recording = Recording::of(&[
        route("all", "/*", &backend.url()),
        route_with("beta", "/beta", &backend.url(), matching),
    ]);
    let ask = async |node: &Node| {
        let mut client = node.client().await;
        client.get("/any?v=2&w=3", "x-env: prod\r\nx-other: 1\r\n").await
    };
    ask(&recording).await;
    recording.get("/any?w=3").await;
    recording
        .node
        .change(&[route_with("beta", "/beta", &backend.url(), "")]);
    ask(&recording).await;
    recording
        .node
        .change(&[route_with("beta", "/beta", &backend.url(), matching)]);
    recording
        .node
        .published
        .publish(&recording.node.state, &Changed::All, 1, 9);
    ask(&recording).await;
    let rows = recording.over().await.rows;
    let matched: Vec<_> = rows.iter().map(|row| row.outcome.matched).collect();
    let found = Some(r#"{"header":{"x-env":"prod"},"query":{"v":"2"}}"#);
    assert_eq!(matched, [found, None, None, found]);
}

#[tokio::test]
async fn a_client_behind_a_trusted_proxy_is_recorded_also_when_it_is_refused() {
    let recording = Recording::of(&[settings(r#"{"trustedProxies":["127.0.0.1"]}"#)]);
    let lines = "x-forwarded-for: 1.2.3.4\r\nx-forwarded-for: 203.0.113.7\r\n";
    assert_eq!(recording.client().await.get("/", lines).await.status(), 404);
    let rows = recording.over().await.rows;
    assert_eq!(rows[0].outcome.client, Some("203.0.113.7"));
}

#[tokio::test]
async fn what_is_no_text_is_recorded_as_well_as_can_be() {
    let recording = Recording::of(&[settings("{}")]);
    let mut client = recording.client().await;
    client
        .send(b"GET / HTTP/1.1\r\nhost: gateway.test\r\nuser-agent: caf\xe9\r\n\r\n")
        .await;
    client.receive("GET").await;
    let rows = recording.over().await.rows;
    assert_eq!(rows[0].outcome.user_agent, Some("caf\u{fffd}"));
}

#[tokio::test]
async fn the_bytes_of_a_compressed_answer_are_those_that_went_to_the_client() {
    let body = "text ".repeat(1000);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n",
        body.len()
    );
    let backend = Upstream::raw(format!("{head}\r\n{body}")).start().await;
    let recording = Recording::of(&[route_with("all", "/*", &backend.url(), r#""compression":{}"#)]);
    let answer = recording
        .ask("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n")
        .await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let over = recording.over().await;
    let outcome = &over.rows[0].outcome;
    assert_eq!(
        (outcome.bytes_out, outcome.error),
        (answer.body.len() as u64, None)
    );
}
