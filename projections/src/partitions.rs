//! The partitions of `flexgate.requests`: a day each, or an hour each where a day is too much to be let go of at once.
//!
//! A partition is made beside the table and attached: that waits for nobody, while `CREATE TABLE ... PARTITION OF` would
//! make every reader wait for the longest one. Its name says what it holds, so that nothing else has to.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use crate::Error;

pub(crate) const STATEMENTS: [&str; 1] = [LIST];

/// What the name of each begins with.
const PREFIX: &str = "requests_";
/// From how many rows a second on the partitions of a day that begins hold an hour: ninety million rows a day.
const HOURLY_FROM: u64 = 1000;

/// The partitions that are attached, with their sizes in bytes.
const LIST: &str = "
    SELECT relname::text, pg_total_relation_size(pg_class.oid) FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = $1::text::regclass";

/// A partition, by what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Partition {
    /// Hours since 1970.
    begin: i64,
    /// How many hours: 1 or 24.
    hours: i64,
}

/// The partitions that are known to be there.
#[derive(Debug, Default)]
pub(crate) struct Partitions(BTreeSet<Partition>);

impl Partitions {
    /// Those that are attached now.
    pub(crate) async fn load(connection: &mut PgConnection) -> Result<Self, Error> {
        let sizes = sizes(connection).await?;
        Ok(Self(sizes.into_iter().map(|(partition, _)| partition).collect()))
    }

    /// Makes those that are missing for rows of these hours (since 1970), of which so many arrived in a second.
    pub(crate) async fn ensure(
        &mut self,
        connection: &mut PgConnection,
        hours: &BTreeSet<i64>,
        per_second: u64,
    ) -> Result<(), Error> {
        for hour in hours {
            if self.holder(*hour).is_none() {
                let partition = self.fitting(*hour, per_second >= HOURLY_FROM);
                partition.make(connection).await?;
                self.0.insert(partition);
            }
        }
        Ok(())
    }

    /// Whether one of them shares some time with another one.
    pub(crate) fn any_overlaps(&self, other: Partition) -> bool {
        self.0.iter().any(|partition| partition.overlaps(other))
    }

    /// They are gone.
    pub(crate) fn forget(&mut self, gone: &[Partition]) {
        self.0.retain(|partition| !gone.contains(partition));
    }

    fn holder(&self, hour: i64) -> Option<&Partition> {
        let at_or_before = self.0.range(
            ..=Partition {
                begin: hour,
                hours: i64::MAX,
            },
        );
        at_or_before
            .last()
            .filter(|partition| hour < partition.begin + partition.hours)
    }

    /// A day that has begun by the hour goes on by the hour: partitions must not overlap.
    fn fitting(&self, hour: i64, is_busy: bool) -> Partition {
        let day = hour - hour.rem_euclid(24);
        let by_hour = (day..day + 24).any(|hour| self.holder(hour).is_some());
        if is_busy || by_hour {
            Partition {
                begin: hour,
                hours: 1,
            }
        } else {
            Partition {
                begin: day,
                hours: 24,
            }
        }
    }
}

impl Partition {
    /// What a name says; none of a partition that somebody else attached.
    fn named(name: &str) -> Option<Self> {
        let digits = name.strip_prefix(PREFIX)?;
        let (hours, text) = match digits.len() {
            8 => (24, format!("{digits}00")),
            10 => (1, digits.to_owned()),
            _ => return None,
        };
        let begin = NaiveDateTime::parse_from_str(&format!("{text}0000"), "%Y%m%d%H%M%S").ok()?;
        Some(Self {
            begin: begin.and_utc().timestamp().div_euclid(3600),
            hours,
        })
    }

    /// When it begins.
    pub(crate) fn begin(self) -> DateTime<Utc> {
        self.time(0)
    }

    /// Whether something can be in both.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.begin < other.begin + other.hours && other.begin < self.begin + self.hours
    }

    /// When it ends.
    pub(crate) fn end(self) -> DateTime<Utc> {
        self.time(self.hours)
    }

    /// When each of its hours begins.
    pub(crate) fn each_hour(self) -> Vec<DateTime<Utc>> {
        (0..self.hours).map(|hours| self.time(hours)).collect()
    }

    fn time(self, hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(self.begin + hours)
    }

    /// Also when it was made before and not attached, since somebody was killed in between.
    async fn make(self, connection: &mut PgConnection) -> Result<(), Error> {
        let (begin, end) = (self.time(0).to_rfc3339(), self.end().to_rfc3339());
        let make = format!(
            "CREATE TABLE IF NOT EXISTS {self} (LIKE requests INCLUDING ALL);
             ALTER TABLE requests ATTACH PARTITION {self} FOR VALUES FROM ('{begin}') TO ('{end}')"
        );
        match connection.execute(AssertSqlSafe(make)).await {
            // Another projector was faster: only one of us will write into it.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(ALREADY_ATTACHED) => Ok(()),
            made => Ok(made.map(drop)?),
        }
    }

    /// Drops it, unless somebody is reading it: then it is tried again later. Whether it is gone.
    pub(crate) async fn drop(self, connection: &mut PgConnection) -> Result<bool, Error> {
        // Whoever comes while this waits for the lock waits behind it, so it does not wait for long.
        let drop = format!("SET LOCAL lock_timeout = '100ms'; DROP TABLE {self}");
        match connection
            .execute(AssertSqlSafe(format!("BEGIN; {drop}; COMMIT")))
            .await
        {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(LOCK_NOT_AVAILABLE) => {
                connection.execute("ROLLBACK").await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The SQLSTATE of what is a partition already, and was to be attached.
const ALREADY_ATTACHED: &str = "42809";
/// The SQLSTATE of a lock that was not to be had in time.
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// The partitions that are attached, oldest first, with their sizes in bytes.
pub(crate) async fn sizes(connection: &mut PgConnection) -> Result<Vec<(Partition, u64)>, Error> {
    sizes_of(connection, "requests").await
}

/// Those of a table that is named with its schema.
pub(crate) async fn sizes_of(
    connection: &mut PgConnection,
    table: &str,
) -> Result<Vec<(Partition, u64)>, Error> {
    let listed: Vec<(String, i64)> = sqlx::query_as(LIST).bind(table).fetch_all(connection).await?;
    let known = |(name, bytes): (String, i64)| Some((Partition::named(&name)?, bytes.unsigned_abs()));
    let mut sizes: Vec<_> = listed.into_iter().filter_map(known).collect();
    sizes.sort_unstable();
    Ok(sizes)
}

/// The names, with their schema, of those of a table.
pub(crate) async fn named_in(
    connection: &mut PgConnection,
    schema: &str,
    table: &str,
) -> Result<Vec<String>, Error> {
    let sizes = sizes_of(connection, &format!("{schema}.{table}")).await?;
    let names = sizes
        .into_iter()
        .map(|(partition, _)| format!("{schema}.{partition}"));
    Ok(names.collect())
}

/// Its name.
impl fmt::Display for Partition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.hours == 24 { "%Y%m%d" } else { "%Y%m%d%H" };
        write!(out, "{PREFIX}{}", self.time(0).format(format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(names: &[&str]) -> Partitions {
        Partitions(names.iter().map(|name| Partition::named(name).unwrap()).collect())
    }

    fn hour(text: &str) -> i64 {
        text.parse::<DateTime<Utc>>().unwrap().timestamp() / 3600
    }

    #[test]
    fn a_name_says_what_is_held() {
        for name in [
            "requests_20261123",
            "requests_2026112309",
            "requests_19991231",
            "requests_1999123123",
        ] {
            assert_eq!(Partition::named(name).unwrap().to_string(), name);
        }
        for other in [
            "requests_",
            "requests_2026",
            "requests_20261332",
            "other_20261123",
        ] {
            assert_eq!(Partition::named(other), None, "{other}");
        }
    }

    #[test]
    fn a_day_is_one_partition_unless_it_is_busy() {
        let fitting =
            |known: &Partitions, busy| known.fitting(hour("2026-11-23T09:00:00Z"), busy).to_string();
        assert_eq!(fitting(&known(&[]), false), "requests_20261123");
        assert_eq!(fitting(&known(&[]), true), "requests_2026112309");
        assert_eq!(
            fitting(&known(&["requests_20261122"]), false),
            "requests_20261123"
        );
        assert_eq!(
            fitting(&known(&["requests_2026112304"]), false),
            "requests_2026112309",
            "it must not overlap"
        );
    }

    #[test]
    fn an_hour_is_held_by_its_own_partition_or_its_days() {
        let known = known(&["requests_20261122", "requests_2026112304"]);
        let holder = |text| known.holder(hour(text)).map(ToString::to_string);
        assert_eq!(
            holder("2026-11-22T00:00:00Z").as_deref(),
            Some("requests_20261122")
        );
        assert_eq!(
            holder("2026-11-22T23:00:00Z").as_deref(),
            Some("requests_20261122")
        );
        assert_eq!(
            holder("2026-11-23T04:00:00Z").as_deref(),
            Some("requests_2026112304")
        );
        assert_eq!(holder("2026-11-23T05:00:00Z"), None);
        assert_eq!(holder("2026-11-21T23:00:00Z"), None);
    }
}
