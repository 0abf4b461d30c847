//! What is asked, of the table of each interval.

use super::Interval;

/// Sums of the rows of a table within a range, perhaps of one route, and the sketch of all of them.
macro_rules! counted {
    () => {
        "sum(r.requests)::bigint AS requests, sum(r.errors)::bigint AS errors, sum(r.bytes_in)::bigint AS bytes_in,
        sum(r.bytes_out)::bigint AS bytes_out, flexgate.merge(r.latency)::flexgate.sketch AS latency"
    };
}

macro_rules! percentiles {
    () => {
        "flexgate.percentile(c.latency, 0.5) AS p50, flexgate.percentile(c.latency, 0.95) AS p95,
        flexgate.percentile(c.latency, 0.99) AS p99"
    };
}

macro_rules! series {
    ($table:literal, $within:literal, $start:literal, $step:literal) => {
        concat!(
            "SELECT s.start, coalesce(c.requests, 0) AS requests, coalesce(c.errors, 0) AS errors,
                coalesce(c.bytes_in, 0) AS bytes_in, coalesce(c.bytes_out, 0) AS bytes_out, ",
            percentiles!(),
            " FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 second', interval '",
            $step,
            "') s(start) LEFT JOIN (SELECT ",
            $start,
            " AS start, ",
            counted!(),
            " FROM flexgate.",
            $table,
            " r WHERE ",
            $within,
            " AND ($3::text IS NULL OR r.route = $3) GROUP BY 1) c USING (start) ORDER BY s.start"
        )
    };
}

/// Percentiles are made of those that are answered, not of all that were compared, unless they are what is compared.
macro_rules! top {
    ($table:literal, $within:literal) => {
        concat!(
            "SELECT c.*, n.path AS name, ",
            percentiles!(),
            " FROM (SELECT r.route AS id, ",
            counted!(),
            ", CASE $4::text
                WHEN 'errors' THEN sum(r.errors)::double precision
                WHEN 'bytes' THEN sum(r.bytes_out)::double precision
                WHEN 'slow' THEN flexgate.percentile(flexgate.merge(r.latency), 0.95)
                ELSE sum(r.requests)::double precision
            END AS measure FROM flexgate.",
            $table,
            " r WHERE ",
            $within,
            " GROUP BY r.route ORDER BY measure DESC, r.route LIMIT $3) c
            LEFT JOIN flexgate.routes n ON n.id = c.id ORDER BY c.measure DESC, c.id"
        )
    };
}

/// Of keys latencies are not kept.
pub(super) const TOP_KEYS: &str = "
    SELECT c.*, n.name, NULL::double precision AS p50, NULL::double precision AS p95, NULL::double precision AS p99
    FROM (
        SELECT api_key AS id, sum(requests)::bigint AS requests, sum(errors)::bigint AS errors,
            sum(bytes_in)::bigint AS bytes_in, sum(bytes_out)::bigint AS bytes_out,
            CASE $4::text WHEN 'errors' THEN sum(errors) WHEN 'bytes' THEN sum(bytes_out) ELSE sum(requests) END AS measure
        FROM flexgate.usage_hourly
        WHERE hour >= $1 AND hour < $2
        GROUP BY api_key
        ORDER BY measure DESC, api_key
        LIMIT $3
    ) c LEFT JOIN flexgate.api_keys n ON n.id = c.id ORDER BY c.measure DESC, c.id";

macro_rules! shares {
    ($value:literal, $of:literal) => {
        concat!(
            "SELECT ",
            $value,
            " AS value, sum(requests)::bigint AS requests FROM flexgate.status_hourly
            WHERE hour >= $1 AND hour < $2 AND ($3::text IS NULL OR route = $3)",
            $of,
            " GROUP BY 1 ORDER BY 2 DESC, 1"
        )
    };
}

pub(super) const STATUSES: &str = shares!(
    "CASE status_class WHEN 0 THEN NULL ELSE status_class || 'xx' END",
    ""
);
pub(super) const REFUSALS: &str = shares!("refused", " AND refused IS NOT NULL");
pub(super) const UPSTREAMS: &str = shares!("upstream", "");

/// All of them.
pub(in crate::tables) fn statements() -> impl Iterator<Item = &'static str> {
    let all = [Interval::Hour, Interval::Day, Interval::Week];
    let rollups = all
        .into_iter()
        .flat_map(|interval| [series(interval), top(interval)]);
    rollups.chain([TOP_KEYS, STATUSES, REFUSALS, UPSTREAMS])
}

/// Step by step.
pub(super) fn series(interval: Interval) -> &'static str {
    match interval {
        Interval::Hour => series!("rollup_hourly", "hour >= $1 AND hour < $2", "hour", "1 hour"),
        Interval::Day => series!(
            "rollup_daily",
            "day >= ($1 AT TIME ZONE 'UTC')::date AND day < ($2 AT TIME ZONE 'UTC')::date",
            "day::timestamp AT TIME ZONE 'UTC'",
            "1 day"
        ),
        Interval::Week => series!(
            "rollup_weekly",
            "week >= ($1 AT TIME ZONE 'UTC')::date AND week < ($2 AT TIME ZONE 'UTC')::date",
            "week::timestamp AT TIME ZONE 'UTC'",
            "7 days"
        ),
    }
}

/// By what had most.
pub(super) fn top(interval: Interval) -> &'static str {
    match interval {
        Interval::Hour => top!("rollup_hourly", "hour >= $1 AND hour < $2"),
        Interval::Day => top!(
            "rollup_daily",
            "day >= ($1 AT TIME ZONE 'UTC')::date AND day < ($2 AT TIME ZONE 'UTC')::date"
        ),
        Interval::Week => top!(
            "rollup_weekly",
            "week >= ($1 AT TIME ZONE 'UTC')::date AND week < ($2 AT TIME ZONE 'UTC')::date"
        ),
    }
}
