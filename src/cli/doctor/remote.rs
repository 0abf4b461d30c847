//! What is examined over the network: the admin API and the servers.

use std::{future::Future, time::Duration};

use async_nats::{Client, jetstream};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use super::{Examined, Health};
use crate::{
    cli::client::AdminClient,
    config::{Config, ServerUrl},
    journal::jetstream::{
        Names, login,
        streams::{StreamFound, examine},
    },
};

/// How long a server may take to say that it is there.
const WITHIN: Duration = Duration::from_secs(3);
/// The first API level of JetStream that keeps every stream setting that FlexGate relies on: nats-server 2.12.
const API_LEVEL_MIN: u64 = 2;
/// The stream that is asked for the time.
const STREAM: &str = "CONFIG";
/// From when on a clock is said to be off, in milliseconds.
const CLOCK_OFF_MAX: i64 = 2_000;

pub(super) async fn admin(client: &AdminClient) -> Examined {
    const WHAT: &str = "admin API";
    let address = client.address();
    let status = match client.get("/api/status").await {
        Ok(answer) => answer.body,
        Err(failure) if failure.exit == crate::cli::Exit::Unreachable => {
            return Examined::new(WHAT, Health::Warn, format!("nothing answers at {address}"))
                .mend("`flexgate up` starts it; --admin ADDR names another");
        }
        Err(failure) => {
            let mend = failure.next.unwrap_or_else(|| "see its log".to_owned());
            return Examined::new(WHAT, Health::Fail, format!("{address}: {}", failure.message)).mend(mend);
        }
    };
    let at = |pointer: &str| {
        status
            .pointer(pointer)
            .map(crate::cli::entity::plain)
            .unwrap_or_default()
    };
    let says = format!(
        "{address}, version {}, revision {}",
        at("/version"),
        at("/journal/revision")
    );
    match at("/journal/status").as_str() {
        "following" => Examined::ok(WHAT, says),
        state => Examined::new(
            WHAT,
            Health::Fail,
            format!("{says}; its journal is {state}: {}", at("/journal/reason")),
        )
        .mend("it serves its last good state; edits wait until the log continues"),
    }
}

pub(super) async fn nats(config: &Config) -> Vec<Examined> {
    const WHAT: &str = "NATS";
    let Some(url) = &config.servers.nats else {
        return vec![Examined::ok(WHAT, "no NATS_URL: `flexgate up` starts its own")];
    };
    let options = login(url.expose())
        .connection_timeout(WITHIN)
        .request_timeout(Some(WITHIN))
        .name("flexgate doctor");
    let servers: Vec<String> = url.expose().split(',').map(str::to_owned).collect();
    let client = match in_time(options.connect(servers)).await {
        Ok(client) => client,
        Err(why) => return vec![unreachable(WHAT, url, &why, "start it, or correct NATS_URL")],
    };
    let version = client.server_info().version;
    let level = match api(&client, "$JS.API.INFO").await {
        Ok(info) => info.pointer("/api/level").and_then(Value::as_u64).unwrap_or(0),
        Err(why) => {
            return vec![unreachable(
                WHAT,
                url,
                &format!("JetStream does not answer ({why})"),
                "start it with --jetstream",
            )];
        }
    };
    if level < API_LEVEL_MIN {
        let says = format!(
            "{url} runs {version}, whose JetStream (API level {level}) ignores settings that are needed"
        );
        return vec![
            Examined::new(WHAT, Health::Fail, says).mend("upgrade to nats-server 2.12.12, 2.14.3 or newer"),
        ];
    }
    let mut all = vec![Examined::ok(
        WHAT,
        format!("{url}, {version}, JetStream API level {level}"),
    )];
    all.extend(streams(config, &client).await);
    all.extend(clock(config, &client).await);
    all
}

async fn streams(config: &Config, client: &Client) -> Vec<Examined> {
    const WHAT: &str = "streams";
    let Ok(names) = Names::new(config.streams.as_str()) else {
        return Vec::new();
    };
    let jetstream = jetstream::new(client.clone());
    let found = match in_time(async { Ok::<_, String>(examine(&jetstream, &names).await) }).await {
        Ok(found) => found,
        Err(why) => return vec![Examined::new(WHAT, Health::Unreachable, why)],
    };
    let judged = found.into_iter().map(|(name, is)| match is {
        StreamFound::AsItMustBe(messages) => Examined::ok(WHAT, format!("{name} has {messages} messages")),
        StreamFound::Missing => Examined::new(WHAT, Health::Warn, format!("{name} is not there")).mend(
            "`flexgate streams apply` or `doctor --fix` makes it; or FLEXGATE_STREAM_PREFIX is another one there",
        ),
        StreamFound::Broken(what) => Examined::new(WHAT, Health::Fail, format!("{name}: {what}"))
            .mend("mend it with `nats stream edit`, or use another FLEXGATE_STREAM_PREFIX"),
    });
    judged.collect()
}

/// How far this machine's clock is from the server's, as an answer about the stream of commits tells its time.
async fn clock(config: &Config, client: &Client) -> Option<Examined> {
    const WHAT: &str = "clock";
    let name = config.streams.stream(STREAM);
    let info = api(client, &format!("$JS.API.STREAM.INFO.{name}")).await.ok()?;
    let theirs: DateTime<Utc> = info.get("ts")?.as_str()?.parse().ok()?;
    let ahead = (Utc::now() - theirs).num_milliseconds();
    if ahead.abs() < CLOCK_OFF_MAX {
        return Some(Examined::ok(WHAT, "as that of NATS"));
    }
    let says = format!("{} ms away from that of NATS", ahead.abs());
    Some(Examined::new(WHAT, Health::Warn, says).mend("keep both with NTP: `timedatectl set-ntp true`"))
}

async fn api(client: &Client, subject: &str) -> Result<Value, String> {
    let reply = in_time(client.request(subject.to_owned(), bytes::Bytes::new())).await?;
    serde_json::from_slice(&reply.payload).map_err(|error| error.to_string())
}

pub(super) async fn postgres(config: &Config) -> Vec<Examined> {
    const WHAT: &str = "PostgreSQL";
    let Some(url) = &config.servers.postgres else {
        return vec![Examined::ok(
            WHAT,
            "no DATABASE_URL: `flexgate up` starts its own; without one there are no reports",
        )];
    };
    let asked = async {
        let mut connection = PgConnection::connect(url.expose()).await?;
        let version: (String,) = sqlx::query_as("SHOW server_version")
            .fetch_one(&mut connection)
            .await?;
        let tables: (bool,) = sqlx::query_as("SELECT to_regclass('flexgate.routes') IS NOT NULL")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>((version.0, tables.0))
    };
    match in_time(asked).await {
        Ok((version, tables)) => {
            let server = Examined::ok(WHAT, format!("{url}, {version}"));
            let tables = if tables {
                Examined::ok("tables", "are there")
            } else {
                Examined::new("tables", Health::Warn, "are not there")
                    .mend("`flexgate migrate` or `doctor --fix` makes them; the first projector does, too")
            };
            vec![server, tables]
        }
        Err(why) => vec![unreachable(
            WHAT,
            url,
            &why,
            "start it, or correct DATABASE_URL, DATABASE_USER, DATABASE_PASSWORD",
        )],
    }
}

pub(super) async fn redis(config: &Config) -> Examined {
    const WHAT: &str = "Redis";
    let Some(url) = &config.servers.redis else {
        return Examined::ok(
            WHAT,
            "no REDIS_URL: `flexgate up` starts its own; without one limits count per node",
        );
    };
    let ping = async {
        let mut connection = redis::Client::open(url.expose())?
            .get_multiplexed_async_connection()
            .await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await
    };
    match in_time(ping).await {
        Ok(_) => Examined::ok(WHAT, format!("{url} answers")),
        Err(why) => unreachable(WHAT, url, &why, "start it, or correct REDIS_URL"),
    }
}

fn unreachable(what: &'static str, url: &ServerUrl, why: &str, mend: &str) -> Examined {
    // What a client says of a URL may repeat it, password and all.
    let why = why.replace(url.expose(), &url.to_string());
    Examined::new(what, Health::Unreachable, format!("{url}: {why}")).mend(mend)
}

pub(super) async fn in_time<T, E: std::fmt::Display>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(WITHIN, work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_elapsed) => Err(format!("no answer within {} s", WITHIN.as_secs())),
    }
}
