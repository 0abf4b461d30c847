//! Which tables are those of outcomes.

use super::{NAME, VERSION};
use crate::catalog::{Kind, Projection, Settling, Stream, Table};

/// All of its tables outlive what the stream has: [`carrying`](super::carrying) says what becomes of that.
pub(crate) static PROJECTION: Projection = Projection {
    name: NAME,
    about: "what became of every request, as rows and as counts",
    stream: Stream::Outcomes,
    version: VERSION,
    tables: &[
        Table::whole("requests", &["at", "id"]).kind(Kind::Partitions),
        Table::whole("rollup_hourly", &["hour", "route"]),
        Table::whole("rollup_daily", &["day", "route"]),
        Table::whole("rollup_weekly", &["week", "route"]),
        Table::whole(
            "status_hourly",
            &["hour", "route", "upstream", "status_class", "refused"],
        ),
        Table::whole("usage_hourly", &["hour", "api_key"]),
        Table::whole("dead_letter", &["stream_created", "sequence"])
            .own("l.projection = 'outcomes'")
            .beside(&["noticed_at"]),
        Table::whole("outcome_sources", &["node", "boot", "core"]).kind(Kind::Memory),
        Table::whole("rollup_closed", &["hour"]).kind(Kind::Memory),
    ],
    settling: Settling::Outcomes,
};
