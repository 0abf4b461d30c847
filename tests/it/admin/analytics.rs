//! `/api/analytics`: what it answers is what counting by hand comes to.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, TimeDelta, Utc};
use flexgate_schemas::Outcome;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use super::Api;
use crate::outcomes::{
    database::Database,
    frames::{Core, plain},
};

/// The first day that has requests: a Thursday.
const BEGIN: &str = "2026-01-01T00:00:00Z";
const DAYS: i64 = 40;

/// What can be most.
type Measure<'a> = &'a dyn Fn(&[&Outcome<'_>]) -> u64;

#[tokio::test]
async fn every_step_of_a_series_is_what_a_recount_comes_to() {
    let (api, outcomes) = traffic().await;
    for (interval, hours, until) in [("hour", 1, 3), ("day", 24, DAYS), ("week", 168, DAYS)] {
        for route in [None, Some("users")] {
            let only = route.map_or_else(String::new, |route| format!("&route={route}"));
            let query = format!("?interval={interval}{}{only}", range(0, until));
            let series = api
                .get(&format!("/api/analytics/timeseries{query}"))
                .await
                .is(200)
                .json();
            assert_eq!(series["interval"], interval);
            let points = series["points"].as_array().unwrap();
            let (since, until) = (time(&series["since"]), time(&series["until"]));
            assert_eq!(points.len(), steps(since, until, hours), "{query}");
            for point in points {
                let start = time(&point["start"]);
                let end = start + TimeDelta::hours(hours);
                let within = outcomes.iter().filter(|outcome| {
                    let at = DateTime::from_timestamp_micros(outcome.at).unwrap();
                    start <= at && at < end && (route.is_none() || outcome.route == route)
                });
                is_count_of(point, &within.collect::<Vec<_>>());
            }
        }
    }
}

#[tokio::test]
async fn what_had_most_is_what_a_recount_comes_to() {
    let (api, outcomes) = traffic().await;
    let all = range(0, DAYS);
    let mut of_routes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut of_keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for outcome in &outcomes {
        of_routes.entry(outcome.route).or_default().push(outcome);
        of_keys.entry(outcome.key).or_default().push(outcome);
    }
    of_keys.remove(&None);
    let errors = |of: &[&Outcome<'_>]| of.iter().filter(|outcome| outcome.is_error()).count() as u64;
    let bytes = |of: &[&Outcome<'_>]| of.iter().map(|outcome| outcome.bytes_out).sum::<u64>();
    let measures: [(&str, Measure<'_>); 3] = [
        ("requests", &|of| of.len() as u64),
        ("errors", &errors),
        ("bytes", &bytes),
    ];
    for (metric, measure) in measures {
        for (by, groups) in [("route", &of_routes), ("key", &of_keys)] {
            let query = format!("?by={by}&metric={metric}&limit=3{all}");
            let top = api
                .get(&format!("/api/analytics/top{query}"))
                .await
                .is(200)
                .json();
            let entries = top["entries"].as_array().unwrap();
            let mut most: Vec<_> = groups.values().map(|of| measure(of)).collect();
            most.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
            let told: Vec<_> = entries
                .iter()
                .map(|entry| measure(&groups[&entry["id"].as_str()]))
                .collect();
            assert_eq!(told, most[..told.len()], "{query}");
            for entry in entries.iter().filter(|_| by == "route") {
                is_count_of(entry, &groups[&entry["id"].as_str()]);
            }
        }
    }
    let slow = api
        .get(&format!("/api/analytics/top?metric=p95&limit=9{all}"))
        .await
        .is(200)
        .json();
    let p95: Vec<_> = slow["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["p95Ms"].as_f64())
        .collect();
    assert!(p95.len() == 4 && p95.is_sorted_by(|a, b| a >= b), "{p95:?}");
}

#[tokio::test]
async fn parts_are_what_a_recount_comes_to() {
    let (api, outcomes) = traffic().await;
    let value = |by: &str, outcome: &Outcome<'_>| match by {
        "status" => outcome.status.map(|status| format!("{}xx", status / 100)),
        "refused" => outcome.refused.map(str::to_owned),
        _ => outcome.upstream.map(str::to_owned),
    };
    for by in ["status", "refused", "upstream"] {
        for route in [None, Some("orders")] {
            let only = route.map_or_else(String::new, |route| format!("&route={route}"));
            let target = format!("/api/analytics/breakdown?by={by}{}{only}", range(0, DAYS));
            let parts = api.get(&target).await.is(200).json();
            let mut counted: BTreeMap<_, u64> = BTreeMap::new();
            for outcome in outcomes
                .iter()
                .filter(|outcome| route.is_none() || outcome.route == route)
            {
                *counted.entry(value(by, outcome)).or_default() += 1;
            }
            if by == "refused" {
                counted.remove(&None);
            }
            let told = parts["entries"].as_array().unwrap().iter();
            let told: BTreeMap<_, _> = told
                .map(|part| {
                    (
                        part["value"].as_str().map(str::to_owned),
                        part["requests"].as_u64().unwrap(),
                    )
                })
                .collect();
            assert_eq!(told, counted, "{target}");
        }
    }
}

#[tokio::test]
async fn the_table_is_the_one_that_fits_the_range_unless_the_caller_says() {
    let (api, _) = traffic().await;
    for (days, interval) in [(3, "hour"), (30, "day"), (400, "week")] {
        let query = range(0, days);
        let series = api
            .get(&format!("/api/analytics/timeseries?{}", &query[1..]))
            .await
            .is(200)
            .json();
        assert_eq!(series["interval"], interval, "{days}");
    }
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let (api, _) = traffic().await;
    let hours = format!("?interval=hour{}", range(0, 365));
    for (query, why) in [
        (format!("timeseries{hours}"), "8760 steps, of 2000 at most"),
        (
            format!("timeseries?since={BEGIN}&until={BEGIN}"),
            "`since` must be before `until`",
        ),
        ("timeseries?interval=month".to_owned(), "unknown variant `month`"),
        ("top?limit=0".to_owned(), "`limit` is 1 to 1000"),
        (
            "top?by=key&metric=p95".to_owned(),
            "latencies of keys are not kept",
        ),
        ("breakdown?by=colour".to_owned(), "unknown variant `colour`"),
    ] {
        let problem = api
            .get(&format!("/api/analytics/{query}"))
            .await
            .problem(400, "bad_query");
        assert!(
            problem["detail"].as_str().unwrap().contains(why),
            "{query}: {problem}"
        );
    }
    let without = Api::start().await;
    let problem = without
        .get("/api/analytics/top")
        .await
        .problem(503, "no_database");
    assert!(
        problem["detail"].as_str().unwrap().contains("DATABASE_URL"),
        "{problem}"
    );
    let nobody = flexgate::devstack::free_port().unwrap();
    let away = Api::over_tables(&format!("postgres://127.0.0.1:{nobody}/flexgate")).await;
    away.get("/api/analytics/top")
        .await
        .problem(503, "database_unavailable");
}

/// An API over a database with some weeks of traffic, and that traffic.
async fn traffic() -> (Api, Vec<Outcome<'static>>) {
    let database = Database::new().await;
    let mut random = SmallRng::seed_from_u64(7);
    let begin: DateTime<Utc> = BEGIN.parse().unwrap();
    let outcomes: Vec<_> = (0..6_000).map(|_| outcome(begin, &mut random)).collect();
    let mut core = Core::of_boot("b1");
    let numbered = core.numbered(&outcomes);
    let frames = numbered.chunks(1000).map(|chunk| core.seal(chunk)).collect();
    assert_eq!(database.apply(frames).await.outcomes, 6_000);
    (Api::over_tables(&database.url).await, outcomes)
}

fn outcome(begin: DateTime<Utc>, random: &mut SmallRng) -> Outcome<'static> {
    let within = TimeDelta::days(DAYS).num_microseconds().unwrap();
    let route = *[Some("users"), Some("users"), Some("orders"), Some("search"), None]
        .choose(random)
        .unwrap();
    let micros = 1u64 << random.random_range(4..24);
    let common = Outcome {
        at: begin.timestamp_micros() + random.random_range(0..within),
        route,
        key: *[None, Some("key-1"), Some("key-2"), Some("key-3"), Some("key-3")]
            .choose(random)
            .unwrap(),
        micros: micros + random.random_range(0..micros),
        bytes_in: random.random_range(0..1_000),
        bytes_out: random.random_range(0..100_000),
        upstream: *[Some("api"), Some("api"), Some("http://10.0.0.1")]
            .choose(random)
            .unwrap(),
        ..plain()
    };
    match random.random_range(0..10) {
        _ if route.is_none() => Outcome {
            status: Some(404),
            refused: Some("route_not_found"),
            upstream: None,
            ..common
        },
        0 => Outcome {
            status: Some(502),
            ..common
        },
        1 => Outcome {
            status: Some(429),
            refused: Some("rate_limited"),
            ..common
        },
        2 => Outcome {
            status: None,
            ..common
        },
        _ => common,
    }
}

/// The part of a query that asks for days after the first.
fn range(from: u64, to: i64) -> String {
    let begin: DateTime<Utc> = BEGIN.parse().unwrap();
    let since = begin.checked_add_days(Days::new(from)).unwrap();
    let until = begin + TimeDelta::days(to);
    let written = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    format!("&since={}&until={}", written(since), written(until))
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

fn steps(since: DateTime<Utc>, until: DateTime<Utc>, hours: i64) -> usize {
    usize::try_from((until - since).num_hours() / hours).unwrap()
}

/// What the API counted is what these are.
fn is_count_of(counts: &Value, outcomes: &[&Outcome<'_>]) {
    let errors = outcomes.iter().filter(|outcome| outcome.is_error()).count();
    let sum = |of: fn(&Outcome<'_>) -> u64| outcomes.iter().map(|outcome| of(outcome)).sum::<u64>();
    assert_eq!(
        json!([
            counts["requests"],
            counts["errors"],
            counts["bytesIn"],
            counts["bytesOut"]
        ]),
        json!([
            outcomes.len(),
            errors,
            sum(|outcome| outcome.bytes_in),
            sum(|outcome| outcome.bytes_out)
        ]),
        "{counts}"
    );
    let mut micros: Vec<_> = outcomes.iter().map(|outcome| outcome.micros).collect();
    micros.sort_unstable();
    for (name, percent) in [("p50Ms", 50), ("p95Ms", 95), ("p99Ms", 99)] {
        // By nearest rank.
        let rank = (micros.len() * percent).div_ceil(100);
        let exact = rank.checked_sub(1).map(|index| micros[index]);
        assert_eq!(counts[name].is_number(), exact.is_some(), "{counts}");
        if let Some(exact) = exact {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let exact = exact as f64 / 1000.0;
            let told = counts[name].as_f64().unwrap();
            assert!((told / exact - 1.0).abs() <= 0.0055, "{name} {told} {exact}");
        }
    }
}
