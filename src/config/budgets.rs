//! Where the budgets of rate limits are kept.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{file::NodeOverrides, reader::Reader};

/// Who counts requests that are under a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
pub enum Budgets {
    /// All nodes together, through Redis, where there is one.
    #[default]
    Redis,
    /// Each node by itself, also where there is a Redis.
    #[serde(alias = "local")]
    Memory,
}

/// `FLEXGATE_RATE_LIMIT_BACKEND`, or `rateLimit.backend` of the file.
pub(super) fn read(reader: &mut Reader<'_>, file: &NodeOverrides) -> Budgets {
    let said = reader.find(&["FLEXGATE_RATE_LIMIT_BACKEND"]);
    let said = said.and_then(|found| {
        reader.parse(found, |text| match text {
            "redis" => Ok(Budgets::Redis),
            "memory" => Ok(Budgets::Memory),
            other => Err(format!("{other:?} is neither `redis` nor `memory`")),
        })
    });
    said.or(file.budgets).unwrap_or_default()
}
