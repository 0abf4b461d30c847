//! `flexgate.dead_letter`: messages that could not be applied, kept whole.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use flexgate_schemas::frame::Delivered;
use sqlx::{PgConnection, types::Json};

use super::{NAME, batch::Dead};
use crate::{checkpoint::bigint, messages::readable};

pub(super) const STATEMENTS: [&str; 3] = [PUT, SAY_AGAIN, BURY];

const PUT: &str = "
    INSERT INTO dead_letter (projection, stream_created, sequence, stored_at, error, headers, payload)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (projection, stream_created, sequence) DO NOTHING";

const SAY_AGAIN: &str = "
    UPDATE dead_letter SET error = $4 WHERE projection = $1 AND stream_created = $2 AND sequence = $3";

const BURY: &str =
    "DELETE FROM dead_letter WHERE projection = $1 AND stream_created = $2 AND sequence = ANY($3)";

/// Which dead letter: written as when its stream was created, in microseconds since 1970, a hyphen, and its sequence there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterId {
    /// When its stream was created, to the microsecond.
    pub stream_created: DateTime<Utc>,
    /// Its sequence there.
    pub sequence: u64,
}

/// Keeps a message for whoever can do something about it.
pub(super) async fn put(
    transaction: &mut PgConnection,
    stream_created: Option<DateTime<Utc>>,
    dead: &Dead,
) -> Result<(), sqlx::Error> {
    let delivered = &dead.message;
    // Headers are whatever somebody sent.
    let headers = delivered.message.headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| (readable(name), readable(value)))
        .collect();
    sqlx::query(PUT)
        .bind(NAME)
        .bind(stream_created.unwrap_or_default())
        .bind(bigint(delivered.sequence)?)
        .bind(DateTime::<Utc>::from(delivered.stored_at))
        .bind(readable(&dead.error))
        .bind(Json(headers))
        .bind(&*delivered.message.payload)
        .execute(transaction)
        .await
        .map(drop)
}

/// Says why a message still cannot be applied.
pub(super) async fn say_again(
    transaction: &mut PgConnection,
    stream_created: DateTime<Utc>,
    dead: &Dead,
) -> Result<(), sqlx::Error> {
    sqlx::query(SAY_AGAIN)
        .bind(NAME)
        .bind(stream_created)
        .bind(bigint(dead.message.sequence)?)
        .bind(readable(&dead.error))
        .execute(transaction)
        .await
        .map(drop)
}

/// Lets go of messages that were applied after all.
pub(super) async fn bury(
    transaction: &mut PgConnection,
    stream_created: DateTime<Utc>,
    applied: &[Delivered],
) -> Result<(), sqlx::Error> {
    let sequences = applied.iter().map(|letter| bigint(letter.sequence));
    sqlx::query(BURY)
        .bind(NAME)
        .bind(stream_created)
        .bind(sequences.collect::<Result<Vec<_>, _>>()?)
        .execute(transaction)
        .await
        .map(drop)
}

impl fmt::Display for LetterId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}-{}",
            self.stream_created.timestamp_micros(),
            self.sequence
        )
    }
}

impl FromStr for LetterId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "the id of a dead letter is two numbers with a hyphen between them";
        let (created, sequence) = text.split_once('-').ok_or(EXPECTED)?;
        let created = created.parse().ok().and_then(DateTime::from_timestamp_micros);
        let sequence = sequence.parse::<i64>().ok().map(u64::try_from);
        Ok(Self {
            stream_created: created.ok_or(EXPECTED)?,
            sequence: sequence.ok_or(EXPECTED)?.map_err(|_| EXPECTED)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        for text in ["1728000000000000-11", "0-1", "1-9223372036854775807"] {
            assert_eq!(text.parse::<LetterId>().unwrap().to_string(), text);
        }
        for other in [
            "",
            "1",
            "1-",
            "-1",
            "a-1",
            "1-a",
            "1--1",
            "9223372036854775807-1",
            "1-9223372036854775808",
        ] {
            assert!(other.parse::<LetterId>().is_err(), "{other}");
        }
    }
}
