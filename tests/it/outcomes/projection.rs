//! Frames become rows and counts, once each, whatever comes on the stream.

use flexgate_projections::{Error, OutcomeProjector};
use flexgate_schemas::{
    Outcome,
    frame::Sealed,
    outcome::{CLIENT_GONE, UPSTREAM_GONE},
};
use futures_util::stream;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng, seq::SliceRandom as _};

use super::{
    database::{Database, created},
    frames::{Core, delivered, now, plain},
};

const SUMS: &str = "
    SELECT concat_ws(' ', route, requests, errors, bytes_in, bytes_out, flexgate.sketch_count(latency),
        flexgate.sketch_count(upstream_latency))
    FROM flexgate.rollup_hourly ORDER BY 1";
const DEAD: &str = "SELECT sequence || ' ' || error FROM flexgate.dead_letter ORDER BY sequence";
const COUNTS: &str = "
    SELECT concat_ws(' ',
        (SELECT count(*) FROM flexgate.requests), (SELECT count(DISTINCT id) FROM flexgate.requests),
        (SELECT coalesce(sum(requests), 0) FROM flexgate.rollup_hourly),
        (SELECT coalesce(sum(requests), 0) FROM flexgate.rollup_daily),
        (SELECT coalesce(sum(requests), 0) FROM flexgate.rollup_weekly),
        (SELECT coalesce(sum(requests), 0) FROM flexgate.status_hourly))";

#[tokio::test]
async fn an_outcome_is_a_row_and_counts() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&[
        plain(),
        Outcome {
            route: None,
            upstream: None,
            target: None,
            status: Some(404),
            refused: Some("route_not_found"),
            attempts: 0,
            upstream_micros: None,
            query: Some("a=b"),
            key: Some("key-1"),
            correlation: Some("mine"),
            matched: Some(r#"{"header":{"x-version":"2"}}"#),
            ..plain()
        },
        Outcome {
            status: None,
            error: Some(CLIENT_GONE),
            ..plain()
        },
        Outcome {
            error: Some(UPSTREAM_GONE),
            key: Some("key-1"),
            ..plain()
        },
    ]);
    let applied = database.apply(vec![core.seal(&outcomes)]).await;
    assert_eq!((applied.outcomes, applied.rows, applied.dead.len()), (4, 4, 0));

    let rows = "SELECT concat_ws(' ', route, status, refused, error, query, api_key, correlation_id, matched)
        FROM flexgate.requests ORDER BY route NULLS LAST, status, error NULLS FIRST";
    assert_eq!(
        database.rows(rows).await,
        [
            "users 200",
            "users 200 upstream_gone key-1",
            "users client_gone",
            r#"404 route_not_found a=b key-1 mine {"header": {"x-version": "2"}}"#,
        ]
    );
    assert_eq!(
        database.rows(SUMS).await,
        ["1 0 10 2000 1 0", "users 3 1 30 6000 3 3"]
    );
    let statuses = "SELECT concat_ws(' ', route, upstream, status_class, refused, requests)
        FROM flexgate.status_hourly ORDER BY 1";
    assert_eq!(
        database.rows(statuses).await,
        ["4 route_not_found 1", "users api 0 1", "users api 2 2"]
    );
    let usage =
        "SELECT concat_ws(' ', api_key, requests, errors, bytes_in, bytes_out) FROM flexgate.usage_hourly";
    assert_eq!(database.rows(usage).await, ["key-1 2 1 20 4000"]);
}

#[tokio::test]
async fn a_row_has_the_id_that_the_request_was_given() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&[plain()]);
    database.apply(vec![core.seal(&outcomes)]).await;
    let millis = u64::try_from(outcomes[0].at / 1000).unwrap();
    let id = flexgate_schemas::IdKey::new(7).id(0, 0, millis);
    assert_eq!(
        database.rows("SELECT id::text FROM flexgate.requests").await,
        [id.to_string()]
    );
    let at = "SELECT (extract(epoch FROM at) * 1000000)::bigint::text FROM flexgate.requests";
    assert_eq!(database.rows(at).await, [outcomes[0].at.to_string()]);
}

#[tokio::test]
async fn frames_that_come_twice_late_or_cut_differently_count_once() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&vec![plain(); 100]);
    let cut = |range: std::ops::Range<usize>| core.seal(&outcomes[range]);
    let applied = database
        .apply(vec![
            cut(50..60),  // before its predecessors
            cut(0..20),   // late
            cut(0..20),   // twice
            cut(10..55),  // cut anew, over both
            cut(55..100), // cut anew, and longer
            cut(0..100),  // all of it once more
        ])
        .await;
    assert_eq!((applied.outcomes, applied.repeated), (100, 140));
    assert_eq!(database.rows(COUNTS).await, ["100 100 100 100 100 100"]);

    // Long after the server has forgotten the ids of its messages, for another projector.
    let applied = database.apply(vec![cut(0..50), cut(40..100)]).await;
    assert_eq!((applied.outcomes, applied.repeated), (0, 110));
    assert_eq!(database.rows(COUNTS).await, ["100 100 100 100 100 100"]);
}

#[tokio::test]
async fn what_never_came_is_a_hole_until_it_comes() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&vec![plain(); 40]);
    let holes = "SELECT concat_ws(' ', mark, holes, outcomes, rows) FROM flexgate.outcome_sources";
    database
        .apply(vec![core.seal(&outcomes[10..20]), core.seal(&outcomes[30..40])])
        .await;
    assert_eq!(database.rows(holes).await, ["40 {[0,10),[20,30)} 20 20"]);
    database.apply(vec![core.seal(&outcomes[20..30])]).await;
    assert_eq!(database.rows(holes).await, ["40 {[0,10)} 30 30"]);
}

#[tokio::test]
async fn counts_are_exact_also_where_only_a_sample_has_rows() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&vec![plain(); 50]);
    let sample = core.seal_sample(&outcomes, 5);
    let applied = database.apply(vec![sample.clone(), sample]).await;
    assert_eq!((applied.outcomes, applied.rows, applied.repeated), (50, 5, 50));
    assert_eq!(database.rows(COUNTS).await, ["5 5 50 50 50 50"]);
    assert_eq!(database.rows(SUMS).await, ["users 50 0 500 100000 50 50"]);
}

#[tokio::test]
async fn a_sum_that_repeats_only_in_part_is_put_aside() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&vec![plain(); 50]);
    let sample = core.seal_sample(&outcomes, 5);
    let applied = database.apply(vec![core.seal(&outcomes[..10]), sample]).await;
    assert_eq!((applied.outcomes, applied.dead.len()), (10, 1));
    assert!(database.rows(DEAD).await[0].contains("cannot be taken apart"));
}

#[tokio::test]
async fn counts_equal_a_recount_and_percentiles_are_within_their_error() {
    let database = Database::new().await;
    let mut random = SmallRng::seed_from_u64(3);
    let mut core = Core::of_boot("b1");
    let now = now();
    let midnight = now - now % 86_400_000_000;
    let routes = [Some("skewed"), Some("steps"), Some("tiny"), Some("wide"), None];
    let mut outcomes = Vec::new();
    for n in 0..6000_i64 {
        let route = routes[usize::try_from(n % 5).unwrap()];
        let micros = match route {
            Some("skewed") => {
                if random.random_ratio(1, 100) {
                    9_000_000
                } else {
                    500 + random.random_range(0..40)
                }
            }
            Some("steps") => [1000, 1001, 2000, 1_000_000][random.random_range(0..4)],
            Some("tiny") => random.random_range(0..100),
            Some("wide") => 1_u64 << random.random_range(0..40),
            _ => random.random_range(1..100_000),
        };
        outcomes.push(Outcome {
            at: midnight - random.random_range(0..40 * 3_600_000_000_i64),
            route,
            micros,
            upstream_micros: (n % 3 > 0).then_some(micros / 2),
            status: [Some(200), Some(204), Some(404), Some(503), None][random.random_range(0..5)],
            bytes_out: random.random_range(0..10_000),
            ..plain()
        });
    }
    let outcomes = core.numbered(&outcomes);
    let mut frames: Vec<_> = outcomes.chunks(170).map(|run| core.seal(run)).collect();
    frames.shuffle(&mut random);
    database.apply(frames).await;

    for (table, span) in [
        ("rollup_hourly", "date_trunc('hour', at, 'UTC')"),
        ("rollup_daily", "date_trunc('day', at AT TIME ZONE 'UTC')::date"),
        ("rollup_weekly", "date_trunc('week', at AT TIME ZONE 'UTC')::date"),
    ] {
        let column = &table["rollup_".len()..];
        let column = match column {
            "hourly" => "hour",
            "daily" => "day",
            _ => "week",
        };
        let differing = format!("
            WITH recount AS (
                SELECT {span} AS span, route, count(*) AS requests,
                    count(*) FILTER (WHERE status >= 500 OR error = 'upstream_gone') AS errors,
                    sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out,
                    percentile_disc(ARRAY[0, 0.5, 0.95, 0.99, 1]) WITHIN GROUP (ORDER BY duration_us) AS latency,
                    percentile_disc(ARRAY[0, 0.5, 0.95, 0.99, 1]) WITHIN GROUP (ORDER BY upstream_us) AS upstream_latency
                FROM flexgate.requests GROUP BY 1, 2),
            held AS (SELECT {column} AS span, * FROM flexgate.{table})
            SELECT concat_ws(' ', span, r.route, h.requests, r.requests)
            FROM recount r FULL JOIN held h USING (span)
            WHERE h.route IS NOT DISTINCT FROM r.route
              AND (h.requests, h.errors, h.bytes_in, h.bytes_out) IS NOT DISTINCT FROM (r.requests, r.errors, r.bytes_in, r.bytes_out)
              AND (SELECT bool_and(abs(flexgate.percentile(h.latency, q) - exact) <= exact * 0.005416)
                   FROM unnest(ARRAY[0, 0.5, 0.95, 0.99, 1], r.latency) AS wanted (q, exact))
              AND (SELECT bool_and(coalesce(abs(flexgate.percentile(h.upstream_latency, q) - exact) <= exact * 0.005416, exact IS NULL))
                   FROM unnest(ARRAY[0, 0.5, 0.95, 0.99, 1], r.upstream_latency) AS wanted (q, exact))");
        let spans = format!("SELECT count(DISTINCT ({span}, route))::text FROM flexgate.requests");
        let agreeing = database.rows(&differing).await.len();
        assert_eq!(database.rows(&spans).await, [agreeing.to_string()], "{table}");
        let held = format!("SELECT count(*)::text FROM flexgate.{table}");
        assert_eq!(database.rows(&held).await, [agreeing.to_string()], "{table}");
    }
}

#[tokio::test]
async fn merging_in_any_order_gives_identical_rows() {
    let mut core = Core::of_boot("b1");
    let mut random = SmallRng::seed_from_u64(4);
    let outcomes: Vec<_> = (0..500)
        .map(|_| Outcome {
            micros: random.random_range(0..1 << 30),
            ..plain()
        })
        .collect();
    let outcomes = core.numbered(&outcomes);
    let mut frames: Vec<_> = outcomes.chunks(50).map(|run| core.seal(run)).collect();
    let sums = "SELECT md5(string_agg(r::text, '' ORDER BY route)) FROM flexgate.rollup_hourly r";
    let mut seen = Vec::new();
    for _ in 0..3 {
        let database = Database::new().await;
        for frame in &frames {
            database.apply(vec![frame.clone()]).await; // a transaction each
        }
        seen.push(database.rows(sums).await);
        frames.shuffle(&mut random);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_whole_and_stops_nothing() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&vec![plain(); 30]);
    let good = core.seal(&outcomes[..10]);
    let with = |name: &str, value: &str| {
        let mut other = good.clone();
        other.headers.iter_mut().find(|(held, _)| held == name).unwrap().1 = value.to_owned();
        other
    };
    let noise = Sealed {
        payload: b"\0\x01 no frame".to_vec(),
        ..good.clone()
    };
    let messages = vec![
        noise.clone(),
        with("ce-type", "io.flexgate.outcomes.v2"),
        with("ce-type", "io.flexgate.something.else.v1"),
        with("Flexgate-Count", "11"),
        good.clone(),
        Sealed::default(),
    ];
    let applied = database.apply(messages).await;
    assert_eq!((applied.outcomes, applied.dead.len()), (10, 5));
    let dead = database.rows(DEAD).await;
    let expected = [
        "1 it cannot be unpacked",
        "2 its type is \"io.flexgate.outcomes.v2\"",
        "3 its type is \"io.flexgate.something.else.v1\"",
        "4 its counts are wrong",
        "6 its type is \"\"",
    ];
    for (dead, expected) in dead.iter().zip(expected) {
        assert!(dead.starts_with(expected), "{dead}");
    }
    let payload = "SELECT encode(payload, 'hex') FROM flexgate.dead_letter WHERE sequence = 1";
    assert_eq!(database.rows(payload).await, ["0001206e6f206672616d65"]);
}

#[tokio::test]
async fn a_clock_an_hour_ahead_is_believed_and_one_a_day_ahead_is_not() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let ahead = |hours: i64| Outcome {
        at: now() + hours * 3_600_000_000,
        ..plain()
    };
    let outcomes = core.numbered(&[ahead(1), ahead(25)]);
    let applied = database
        .apply(vec![core.seal(&outcomes[..1]), core.seal(&outcomes[1..])])
        .await;
    assert_eq!((applied.outcomes, applied.dead.len()), (1, 1));
    assert!(database.rows(DEAD).await[0].contains("the node's clock is wrong"));
}

#[tokio::test]
async fn what_the_database_refuses_becomes_a_dead_letter_and_nothing_else_does() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let mut outcomes = core.numbered(&vec![plain(); 30]);
    outcomes[15].matched = Some("{no json");
    let frames: Vec<_> = outcomes.chunks(10).map(|run| core.seal(run)).collect();
    let refused = database.project(delivered(frames.clone()), false).await;
    assert!(matches!(refused, Err(Error::Inapplicable { .. })), "{refused:?}");
    assert_eq!(database.rows(COUNTS).await, ["0 0 0 0 0 0"]);
    database.project(delivered(frames), true).await.unwrap();
    assert_eq!(database.rows(COUNTS).await, ["20 20 20 20 20 20"]);
    assert!(database.rows(DEAD).await[0].starts_with("2 "));
    let holes = "SELECT holes::text FROM flexgate.outcome_sources";
    assert_eq!(database.rows(holes).await, ["{[10,20)}"]);
}

#[tokio::test]
async fn text_that_no_database_takes_is_made_readable() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&[Outcome {
        path: "/a\0b",
        route: Some("r\0"),
        user_agent: Some("\0"),
        ..plain()
    }]);
    database.apply(vec![core.seal(&outcomes)]).await;
    let row = "SELECT concat_ws(' ', path, route, user_agent) FROM flexgate.requests";
    assert_eq!(database.rows(row).await, ["/a\u{fffd}b r\u{fffd} \u{fffd}"]);
}

#[tokio::test]
async fn of_two_projectors_only_the_later_one_writes() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&vec![plain(); 20]);
    let mut first = database.projector().await;
    let mut second = database.projector().await;
    let messages = delivered(vec![core.seal(&outcomes[..10]), core.seal(&outcomes[10..])]);
    let run = async |projector: &mut OutcomeProjector| {
        projector
            .run(created(), stream::iter(messages.clone()), |_| {})
            .await
    };
    assert!(matches!(run(&mut first).await, Err(Error::Fenced)));
    run(&mut second).await.unwrap();
    assert!(run(&mut first).await.is_err());
    assert_eq!(database.rows(COUNTS).await, ["20 20 20 20 20 20"]);
}

#[tokio::test]
async fn a_projector_goes_on_after_its_stream_broke() {
    let database = Database::new().await;
    let mut core = Core::of_boot("b1");
    let outcomes = core.numbered(&vec![plain(); 20]);
    let messages = delivered(vec![core.seal(&outcomes[..10]), core.seal(&outcomes[10..])]);
    let mut projector = database.projector().await;
    for part in [&messages[..1], &messages[..], &messages[1..]] {
        let part = stream::iter(part.to_vec());
        projector.run(created(), part, |_| {}).await.unwrap();
    }
    assert_eq!(database.rows(COUNTS).await, ["20 20 20 20 20 20"]);
    assert_eq!(projector.position().sequence, 2);
}
