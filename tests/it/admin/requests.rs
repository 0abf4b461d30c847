//! `/api/requests`: what is found is what a recount finds, whatever is asked for and however it is cut into pages.

use std::process::Command;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use flexgate_schemas::{IdKey, Outcome};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::{Api, TOKEN};
use crate::{
    client::Answer,
    outcomes::{
        database::Database,
        frames::{Core, now, plain},
    },
};

/// How far back the traffic goes.
const HOURS: i64 = 20;
/// One that carries its time, which is that of no request.
const FOREIGN: &str = "0193b2a0-0000-7000-8000-000000000000";

type Matches = fn(&Outcome<'_>) -> bool;

#[tokio::test]
async fn whatever_is_asked_for_is_what_a_recount_finds_and_the_newest_comes_first() {
    let (api, outcomes, _) = traffic(2_000).await;
    let questions: [(&str, Matches); 20] = [
        ("", |_| true),
        ("route=orders", |outcome| outcome.route == Some("orders")),
        ("upstream=api", |outcome| outcome.upstream == Some("api")),
        ("status=502", |outcome| outcome.status == Some(502)),
        ("status=4xx", |outcome| outcome.status_class() == 4),
        ("status=none", |outcome| outcome.status.is_none()),
        ("refused=rate_limited", |outcome| {
            outcome.refused == Some("rate_limited")
        }),
        ("error=upstream_gone", |outcome| {
            outcome.error == Some("upstream_gone")
        }),
        ("method=POST", |outcome| outcome.method == "POST"),
        ("path=/users/1", |outcome| outcome.path.starts_with("/users/1")),
        ("path=/users/_%25", |_| false),
        ("minDuration=2s", |outcome| outcome.micros >= 2_000_000),
        ("client=10.0.0.2", |outcome| outcome.client == Some("10.0.0.2")),
        ("key=key-1", |outcome| outcome.key == Some("key-1")),
        ("correlation=mine", |outcome| outcome.correlation == Some("mine")),
        ("node=node-a", |_| true),
        ("node=node-b", |_| false),
        ("revision=3", |outcome| outcome.revision == 3),
        ("route=users&status=5xx&minDuration=100", |outcome| {
            outcome.route == Some("users") && outcome.status_class() == 5 && outcome.micros >= 100_000
        }),
        ("method=POST&path=/orders&revision=2", |outcome| {
            outcome.method == "POST" && outcome.path.starts_with("/orders") && outcome.revision == 2
        }),
    ];
    for (query, matches) in questions {
        let mut expected: Vec<_> = outcomes
            .iter()
            .filter(|outcome| matches(outcome))
            .map(place)
            .collect();
        expected.sort_by(|one, other| other.cmp(one));
        let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
        assert_eq!(pages(&api, query, 500).await, expected, "{query}");
        if expected.len() < 300 {
            assert_eq!(pages(&api, query, 7).await, expected, "{query} in small pages");
        }
    }
}

#[tokio::test]
async fn a_range_has_its_beginning_and_not_its_end() {
    let (api, outcomes, _) = traffic(300).await;
    let written = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let middle = Utc::now() - TimeDelta::hours(HOURS / 2);
    let (earlier, later) = (middle - TimeDelta::hours(2), middle + TimeDelta::hours(2));
    let (since, until) = (written(earlier), written(later));
    let (earlier, later): (DateTime<Utc>, DateTime<Utc>) = (since.parse().unwrap(), until.parse().unwrap());
    let within = earlier.timestamp_micros()..later.timestamp_micros();
    let count = outcomes
        .iter()
        .filter(|outcome| within.contains(&outcome.at))
        .count();
    let found = pages(&api, &format!("since={since}&until={until}"), 500).await;
    assert!(count > 10);
    assert_eq!(found.len(), count);
}

#[tokio::test]
async fn a_request_is_found_by_the_id_that_the_client_was_told() {
    let (api, outcomes, _) = traffic(300).await;
    let nameless = outcomes
        .iter()
        .find(|outcome| outcome.correlation.is_none())
        .unwrap();
    let (_, id) = place(nameless);
    let found = api
        .get(&format!("/api/requests?correlation={id}"))
        .await
        .is(200)
        .json();
    let [request] = found["requests"].as_array().unwrap().as_slice() else {
        panic!("{found}");
    };
    assert_eq!(
        (&request["id"], &request["correlationId"]),
        (&json!(id), &json!(id))
    );
    assert_eq!(request["node"], "node-a");
    let nobody = api
        .get(&format!("/api/requests?correlation={FOREIGN}"))
        .await
        .is(200)
        .json();
    assert_eq!(nobody["requests"], json!([]));
}

#[tokio::test]
async fn every_filter_reads_its_range_by_an_index_and_no_other_partition() {
    let (_, _, database) = traffic(300).await;
    let statement = flexgate_projections::statements()
        .find(|sql| sql.contains("LIMIT $19"))
        .unwrap();
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let partitions = "SELECT count(*)::text FROM pg_inherits WHERE inhparent = 'flexgate.requests'::regclass";
    assert!(database.rows(partitions).await[0].parse::<u32>().unwrap() > 1);
    // Of a few rows it would read all, whatever there is to find them by.
    let prepare = format!(
        "ANALYZE flexgate.requests; SET enable_seqscan = off; SET plan_cache_mode = force_custom_plan;
         PREPARE slice AS {statement}"
    );
    connection.execute(AssertSqlSafe(prepare)).await.unwrap();
    let asked = [
        "'users'",
        "'api'",
        "500::smallint",
        "599::smallint",
        "'rate_limited'",
        "'client_gone'",
        "'GET'",
        "'/users'",
        "1000",
        "'10.0.0.1'",
        "'key-1'",
        "'mine'",
        "NULL",
        "'node-a'",
        "3",
    ];
    // Both times are of one day.
    let range = "now()::date - interval '1 hour', now()::date - interval '1 minute', NULL";
    for only in 0..asked.len() {
        let arguments: Vec<_> = (0..asked.len())
            .map(|place| if place == only { asked[place] } else { "NULL" })
            .collect();
        let explain = format!("EXPLAIN EXECUTE slice({range}, {}, 50)", arguments.join(", "));
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let plan = plan.join("\n");
        assert!(!plan.contains("Seq Scan"), "{}\n{plan}", asked[only]);
        assert!(
            !plan.contains("Append"),
            "more than one partition: {}\n{plan}",
            asked[only]
        );
        assert!(plan.contains("_at_idx"), "{}\n{plan}", asked[only]);
    }
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let (api, ..) = traffic(1).await;
    for (query, why) in [
        ("limit=501", "`limit` is 1 to 500"),
        ("cursor=mine", "a cursor is taken from the `Link`"),
        (
            "status=6000",
            "`status` is a number such as 404, a class such as 5xx, or none",
        ),
        ("minDuration=soon", "is not a span of time"),
        (
            "since=2026-01-02T00:00:00.000Z&until=2026-01-01T00:00:00.000Z",
            "`since` must be before",
        ),
        ("who=alice", "unknown field `who`"),
    ] {
        let problem = api
            .get(&format!("/api/requests?{query}"))
            .await
            .problem(400, "bad_query");
        assert!(
            problem["detail"].as_str().unwrap().contains(why),
            "{query}: {problem}"
        );
    }
    let without = Api::start().await;
    without.get("/api/requests").await.problem(503, "no_database");
    let nobody = flexgate::devstack::free_port().unwrap();
    let away = Api::over_tables(&format!("postgres://127.0.0.1:{nobody}/flexgate")).await;
    away.get("/api/requests")
        .await
        .problem(503, "database_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_finds_the_same_in_as_many_pages_as_it_takes() {
    let (api, outcomes, _) = traffic(700).await;
    let admin = api.addr.to_string();
    let run = |words: &str| {
        let folder = tempfile::tempdir().unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_flexgate"))
            .args(words.split(' '))
            .args(["--admin", &admin])
            .current_dir(folder.path())
            .env_clear()
            .env("FLEXGATE_ADMIN_TOKEN", TOKEN)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    let (code, stdout, stderr) = run("requests --limit 600 --since 20h --until 1ms -o json");
    assert_eq!(code, Some(0), "{stderr}");
    let found: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    assert_eq!(found.len(), 600, "more than a page has");
    let slow = outcomes
        .iter()
        .filter(|outcome| outcome.micros >= 2_000_000 && outcome.status == Some(502));
    let (code, stdout, _) = run("requests --status 502 --min-duration 2s --limit 600");
    assert_eq!(
        (code, stdout.lines().count()),
        (Some(0), 1 + slow.count()),
        "{stdout}"
    );
    assert!(stdout.starts_with("AT "), "{stdout}");
    let (_, stdout, _) = run("requests --path /orders --limit 1 -o yaml");
    assert!(
        stdout.starts_with("- ") && stdout.contains("path: /orders/7"),
        "{stdout}"
    );
    let (_, stdout, stderr) = run("requests --correlation nobodys");
    assert!(
        stdout.lines().count() == 1 && stderr.contains("none, as far back as 20"),
        "{stdout}{stderr}"
    );
    let (code, _, stderr) = run("requests --since yesterday");
    assert!(
        code == Some(2) && stderr.contains("or how long ago, such as 15m"),
        "{stderr}"
    );
    let (code, _, stderr) = run("requests --status often");
    assert!(
        code != Some(0) && stderr.contains("a class such as 5xx"),
        "{stderr}"
    );
}

/// The ids of all pages.
async fn pages(api: &Api, query: &str, limit: u16) -> Vec<String> {
    let (mut ids, mut next) = (Vec::new(), Some(format!("/api/requests?{query}&limit={limit}")));
    while let Some(target) = next {
        let answer = api.get(&target).await.is(200);
        let page = answer.json();
        let requests = page["requests"].as_array().unwrap();
        assert!(requests.len() <= limit.into());
        ids.extend(
            requests
                .iter()
                .map(|request| request["id"].as_str().unwrap().to_owned()),
        );
        next = link(&answer);
    }
    ids
}

fn link(answer: &Answer) -> Option<String> {
    let link = answer.headers.get("link")?.to_str().unwrap();
    Some(link[1..].split_once('>').unwrap().0.to_owned())
}

/// When an outcome's request arrived, and its id.
fn place(outcome: &Outcome<'_>) -> (i64, String) {
    let millis = u64::try_from(outcome.at / 1000).unwrap();
    let id = IdKey::new(7).id(0, outcome.arrival, millis);
    (outcome.at, id.to_string())
}

/// An API over a database with so many requests of the last hours.
async fn traffic(count: usize) -> (Api, Vec<Outcome<'static>>, Database) {
    let database = Database::new().await;
    let mut random = SmallRng::seed_from_u64(11);
    let mut core = Core::of_boot("b1");
    let outcomes: Vec<_> = (0..count).map(|_| outcome(&mut random)).collect();
    let numbered = core.numbered(&outcomes);
    let frames = numbered.chunks(500).map(|chunk| core.seal(chunk)).collect();
    assert_eq!(database.apply(frames).await.outcomes, count as u64);
    (Api::over_tables(&database.url).await, numbered, database)
}

fn outcome(random: &mut SmallRng) -> Outcome<'static> {
    let within = TimeDelta::hours(HOURS).num_microseconds().unwrap();
    let micros = 1u64 << random.random_range(4..23);
    let route = *[Some("users"), Some("users"), Some("orders"), None]
        .choose(random)
        .unwrap();
    let common = Outcome {
        // Many of the same microsecond.
        at: (now() - random.random_range(0..within)) / 60_000_000 * 60_000_000,
        route,
        path: if route == Some("orders") {
            "/orders/7"
        } else {
            ["/users/1", "/users/12", "/users/2"].choose(random).unwrap()
        },
        method: ["GET", "GET", "POST"].choose(random).unwrap(),
        revision: random.random_range(2..5),
        micros: micros + random.random_range(0..micros),
        upstream: *[Some("api"), Some("http://10.0.0.1")].choose(random).unwrap(),
        client: *[Some("10.0.0.1"), Some("10.0.0.2"), None].choose(random).unwrap(),
        key: *[None, Some("key-1"), Some("key-2")].choose(random).unwrap(),
        correlation: *[None, None, Some("mine"), Some(FOREIGN)].choose(random).unwrap(),
        ..plain()
    };
    match random.random_range(0..10) {
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
        3 => Outcome {
            error: Some("upstream_gone"),
            ..common
        },
        _ => common,
    }
}
