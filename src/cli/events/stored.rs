//! `flexgate events show`: what lies on a stream, decoded.

use std::time::Duration;

use chrono::{DateTime, Utc};
use flexgate_schemas::frame::TEXT_BYTES_MAX;
use serde_json::{Map, Value, json};

use super::super::{
    args::{Shown, StreamName},
    exit::{Exit, Failure},
    invocation::{Invocation, block_on},
};
use crate::{
    app,
    config::{Config, Purpose},
    journal::{
        jetstream::{Content, Link, Names, Reader, Stored},
        store::StoreError,
    },
};

/// How long NATS may take to answer.
const WITHIN: Duration = Duration::from_secs(5);
/// The most characters of a payload in a line for people.
const LINE_MAX: usize = 400;

/// Where to begin.
enum From {
    Sequence(u64),
    Time(DateTime<Utc>),
    /// So many before the end.
    Last,
}

pub(super) fn show(run: &Invocation, options: &Shown) -> Result<Exit, Failure> {
    let from = options.from.as_deref().map_or(Ok(From::Last), from)?;
    let config = run.config(Purpose::Client)?;
    block_on(async {
        let nats = app::nats_at_hand(&config)?;
        let link = Link::open(&nats, "flexgate-events")
            .await
            .map_err(app::Error::from)?;
        let shown = print(run, &config, &link, options, from).await;
        link.close().await;
        shown
    })?
}

fn from(text: &str) -> Result<From, Failure> {
    let sequence = text.parse().map(From::Sequence).ok();
    let time = || text.parse::<DateTime<Utc>>().map(From::Time).ok();
    sequence.or_else(time).ok_or_else(|| {
        let says = format!("{text:?} is neither a sequence nor a time");
        Failure::new(Exit::Usage, says).next("write 120, or 2027-01-01T00:00:00Z")
    })
}

async fn print(
    run: &Invocation,
    config: &Config,
    link: &Link,
    options: &Shown,
    from: From,
) -> Result<Exit, Failure> {
    let unreachable = || {
        let says = format!("NATS at {} does not answer", link.server());
        Failure::new(Exit::Unreachable, says).next("start it, or correct NATS_URL")
    };
    let in_time = |waited: Result<(), tokio::time::error::Elapsed>| waited.map_err(|_| unreachable());
    in_time(tokio::time::timeout(WITHIN, link.connected()).await)?;
    let names = Names::new(config.streams.as_str()).map_err(app::Error::from)?;
    let stream = match options.stream {
        StreamName::Config => names.config(),
        StreamName::Alerts => names.alerts(),
        StreamName::Admin => names.admin(),
        StreamName::Outcomes => names.outcomes(),
        StreamName::Rollups => names.rollups(),
        StreamName::Deadletter => names.dead_letters(),
    };
    let asked = tokio::time::timeout(WITHIN, link.jetstream().get_stream(&stream)).await;
    let found = asked.map_err(|_| unreachable())?.map_err(|error| {
        let next = "`flexgate streams apply` makes the streams; FLEXGATE_STREAM_PREFIX says how they begin";
        Failure::new(Exit::NotFound, format!("{stream}: {error}")).next(next)
    })?;
    let last = found.cached_info().state.last_sequence;
    let empty = found.cached_info().state.messages == 0;
    let broken = |error: StoreError| Failure::new(Exit::Unreachable, format!("{stream}: {error}"));
    let limit = u64::from(options.limit);
    let mut reader = match from {
        From::Sequence(sequence) if sequence > last => return Ok(Exit::Done),
        From::Sequence(sequence) => {
            Reader::open(link, &stream, sequence.saturating_sub(1), Content::Whole).await
        }
        From::Time(time) if time > Utc::now() => return Ok(Exit::Done),
        From::Time(time) => Reader::since(link, &stream, time).await,
        From::Last => Reader::open(link, &stream, last.saturating_sub(limit), Content::Whole).await,
    }
    .map_err(broken)?;
    for _ in 0..if empty { 0 } else { limit } {
        // Nothing comes after the last one, and what was asked for may begin after it.
        let Ok(next) = tokio::time::timeout(WITHIN, reader.next()).await else {
            break;
        };
        let stored = next.map_err(broken)?;
        one(run, &stored)?;
        if stored.sequence >= last {
            break;
        }
    }
    Ok(Exit::Done)
}

fn one(run: &Invocation, stored: &Stored) -> Result<Exit, Failure> {
    let headers: Map<String, Value> = stored
        .message
        .headers
        .iter()
        .flat_map(|headers| headers.iter())
        .filter_map(|(name, values)| Some((name.to_string(), values.first()?.as_str().into())))
        .collect();
    let data = decoded(&headers, &stored.message.payload);
    let subject = stored.message.subject.as_str();
    if run.output.is_data() {
        return run.output.item(&json!({
            "sequence": stored.sequence,
            "storedAt": stored.stored_at,
            "subject": subject,
            "headers": headers,
            "data": data,
        }));
    }
    let kind = headers.get("ce-type").and_then(Value::as_str).unwrap_or_default();
    let text = data.to_string();
    let cut: String = text.chars().take(LINE_MAX).collect();
    let more = if cut.len() < text.len() {
        "... (all of it with -o json)"
    } else {
        ""
    };
    run.output.line(&format!(
        "{}  {}  {kind}  {subject}",
        stored.sequence, stored.stored_at
    ))?;
    run.output.line(&format!("    {cut}{more}"))
}

/// The payload as JSON, unpacked where it is packed; what is no JSON is said to be so.
fn decoded(headers: &Map<String, Value>, payload: &[u8]) -> Value {
    let packed = headers.get("Content-Encoding").and_then(Value::as_str) == Some("zstd");
    let text = if packed {
        zstd::bulk::decompress(payload, TEXT_BYTES_MAX).unwrap_or_default()
    } else {
        payload.to_vec()
    };
    serde_json::from_slice(&text)
        .unwrap_or_else(|_| json!(format!("{} bytes that are not JSON", payload.len())))
}
