use super::*;
use crate::outcome::Outcome;

fn run(first: u64, count: u32) -> Run {
    Run {
        source: Source {
            node: "node-a".parse().unwrap(),
            boot: "boot-1".parse().unwrap(),
            core: 1,
        },
        id_key: IdKey::new(42),
        first,
        count,
    }
}

fn outcomes() -> Vec<Outcome<'static>> {
    let plain = Outcome {
        at: 1_800_000_000_000_000,
        generation: 1,
        revision: 7,
        route: Some("users"),
        upstream: Some("api"),
        target: Some("10.0.0.1:80"),
        method: "GET",
        path: "/users/1",
        status: Some(200),
        attempts: 1,
        micros: 900,
        upstream_micros: Some(800),
        bytes_out: 17,
        ..Outcome::default()
    };
    let paths = ["/users/1", "/users/2", "/\"quoted\"/\u{e9}"];
    let one = |n: i64| Outcome {
        counter: 100 + n.unsigned_abs(),
        arrival: 101 + n.unsigned_abs() - 2 * (n.unsigned_abs() % 2),
        at: plain.at + 1000 * n - 300 * (n % 2),
        path: paths[usize::try_from(n % 3).unwrap()],
        status: (n != 5).then_some(if n % 4 == 0 { 404 } else { 200 }),
        refused: (n % 4 == 0).then_some("route_not_found"),
        upstream_micros: (n % 4 != 0).then_some(700 + n.unsigned_abs()),
        error: (n == 5).then_some(crate::outcome::CLIENT_GONE),
        ..plain
    };
    (0..10).map(one).collect()
}

fn seal(outcomes: &[Outcome<'_>]) -> Sealed {
    seal_sample(outcomes, |_| true)
}

fn seal_sample(outcomes: &[Outcome<'_>], has_row: impl Fn(&Outcome<'_>) -> bool) -> Sealed {
    let run = run(outcomes[0].counter, 0);
    let mut draft = Draft::new(run.first);
    for outcome in outcomes {
        if has_row(outcome) {
            draft.add(outcome);
        } else {
            draft.leave_out(outcome);
        }
    }
    let sealed = Writer::new().unwrap().seal(run.source, run.id_key, draft);
    sealed.unwrap().unwrap()
}

fn repacked(message: &Sealed, change: impl Fn(&mut serde_json::Value)) -> Sealed {
    let text = zstd::bulk::decompress(&message.payload, 1 << 20).unwrap();
    let mut value = serde_json::from_slice(&text).unwrap();
    change(&mut value);
    Sealed {
        headers: message.headers.clone(),
        payload: zstd::bulk::compress(&serde_json::to_vec(&value).unwrap(), 1).unwrap(),
    }
}

fn error(message: &Sealed) -> FrameError {
    Opened::new(message)
        .and_then(|opened| opened.read().map(drop))
        .unwrap_err()
}

#[test]
fn what_is_written_is_read() {
    let outcomes = outcomes();
    let message = seal(&outcomes);
    let opened = Opened::new(&message).unwrap();
    let frame = opened.read().unwrap();
    assert_eq!(*frame.run(), run(100, 10));
    assert_eq!(frame.rows().collect::<Vec<_>>(), outcomes);
    assert_eq!(message.header("Nats-Msg-Id"), Some("node-a-boot-1-1-100-10"));
    assert_eq!(message.header("Flexgate-Rows"), Some("10"));
}

#[test]
fn outcomes_without_a_row_are_counted() {
    let outcomes = outcomes();
    let has_row = |outcome: &Outcome<'_>| !outcome.counter.is_multiple_of(2);
    let message = seal_sample(&outcomes, has_row);
    let opened = Opened::new(&message).unwrap();
    let frame = opened.read().unwrap();
    let (rows, left): (Vec<_>, Vec<_>) = outcomes.iter().partition(|outcome| has_row(outcome));
    assert_eq!(frame.rows().collect::<Vec<_>>(), rows);
    let groups = frame.left_out().iter();
    let counts = groups.map(|group| (group.status_class, group.requests, group.latency.count()));
    assert_eq!(counts.collect::<Vec<_>>(), [(4, 3, 3), (2, 2, 2)]);
    assert_eq!(left.len(), 5);
}

#[test]
fn an_outcome_has_the_id_that_its_request_was_given() {
    let outcomes = outcomes();
    let opened = Opened::new(&seal(&outcomes)).unwrap();
    let frame = opened.read().unwrap();
    let outcome = frame.rows().nth(3).unwrap();
    assert_eq!(
        frame.id(&outcome),
        IdKey::new(42).id(1, outcome.arrival, 1_800_000_000_002)
    );
}

#[test]
fn a_frame_with_wrong_counts_is_refused() {
    let message = seal(&outcomes());
    for (name, change) in [
        ("count", serde_json::json!(11)),
        ("rows", serde_json::json!(9)),
        ("first", serde_json::json!(99)),
        ("micros", serde_json::json!([1, 2, 3])),
        (
            "path",
            serde_json::json!({"values": ["/"], "rows": [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]}),
        ),
        ("place", serde_json::json!(0)),
        (
            "leftOut",
            serde_json::json!([{
                "hour": 1, "statusClass": 2, "requests": 1, "errors": 0, "bytesIn": 0, "bytesOut": 0,
                "latency": {}, "upstreamLatency": {},
            }]),
        ),
    ] {
        let changed = repacked(&message, |body| body[name] = change.clone());
        assert!(
            matches!(error(&changed), FrameError::Counts(_)),
            "{name}: {}",
            error(&changed)
        );
    }
}

#[test]
fn numbers_that_no_table_holds_are_refused() {
    let message = seal(&outcomes());
    for (name, change) in [
        ("micros", serde_json::json!(u64::MAX)),
        ("status", serde_json::json!(7)),
        ("from", serde_json::json!(i64::MAX)),
        ("after", serde_json::json!(i64::MIN)),
        ("attempts", serde_json::json!(1_000_000)),
    ] {
        let changed = repacked(&message, |body| body[name] = change.clone());
        assert!(
            matches!(error(&changed), FrameError::Range(_)),
            "{name}: {}",
            error(&changed)
        );
    }
}

#[test]
fn what_is_no_frame_says_why() {
    let message = seal(&outcomes());
    let with = |name: &str, value: &str| {
        let mut other = message.clone();
        other.headers.iter_mut().find(|(held, _)| held == name).unwrap().1 = value.to_owned();
        other
    };
    assert_eq!(
        error(&with("ce-type", "io.flexgate.outcomes.v2")),
        FrameError::Type("io.flexgate.outcomes.v2".into())
    );
    assert!(matches!(
        error(&with("Content-Encoding", "gzip")),
        FrameError::Packing(_)
    ));
    let torn = Sealed {
        payload: message.payload[..message.payload.len() / 2].to_vec(),
        ..message.clone()
    };
    assert!(matches!(error(&torn), FrameError::Packing(_)));
    let foreign = Sealed {
        payload: b"hello".to_vec(),
        ..message.clone()
    };
    assert!(matches!(error(&foreign), FrameError::Packing(_)));
    let unknown = repacked(&message, |body| body["extra"] = 1.into());
    assert!(matches!(error(&unknown), FrameError::Syntax(_)));
}

#[test]
fn a_small_message_cannot_demand_a_large_memory() {
    let bomb = Sealed {
        payload: zstd::bulk::compress(&vec![b' '; TEXT_BYTES_MAX + 1], 1).unwrap(),
        ..seal(&outcomes())
    };
    assert!(bomb.payload.len() < 100_000 && matches!(error(&bomb), FrameError::Packing(_)));
}

#[test]
fn a_frame_of_ordinary_requests_takes_less_than_40_bytes_each() {
    let paths: Vec<String> = (0..40).map(|n| format!("/users/{n}/orders")).collect();
    let mut noise = 1_u32;
    let mut random = move |below: u32| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 8) % below
    };
    let one = |n: u32| {
        let mut pick = |from: &[&'static str]| from[random(u32::try_from(from.len()).unwrap()) as usize];
        let (route, target) = (
            pick(&["users", "orders", "carts"]),
            pick(&["10.0.0.1:80", "10.0.0.2:80"]),
        );
        let host = pick(&["shop.example", "api.example"]);
        let upstream = 400 + random(4000);
        Outcome {
            counter: n.into(),
            arrival: (n + random(20)).into(),
            at: 1_800_000_000_000_000 + i64::from(50 * n + random(40)),
            generation: 1,
            revision: 412,
            route: Some(route),
            upstream: Some("api"),
            target: Some(target),
            method: "GET",
            host: Some(host),
            path: &paths[random(40) as usize],
            status: Some(if random(50) == 0 { 404 } else { 200 }),
            attempts: 1,
            micros: (upstream + 40 + random(100)).into(),
            upstream_micros: Some(upstream.into()),
            bytes_out: random(3000).into(),
            client: Some("10.1.2.3"),
            user_agent: Some("curl/8.1"),
            ..Outcome::default()
        }
    };
    let rows: Vec<_> = (0..256).map(one).collect();
    let message = seal(&rows);
    let each = message.payload.len() / rows.len();
    assert!(each < 40, "{each} bytes each");
}
