//! What is written in a frame.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Column, Text};
use crate::{BootId, IdKey, NodeId, outcome::LeftOut};

/// The payload of a frame, unpacked. Written with `&str`, read with [`Text`].
///
/// `rows` outcomes have a row, the rest is left out; each column has one value per row. A column that is not there is null,
/// or 0, in every row. See [`crate::Outcome`] for what each one means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[serde(bound(serialize = "S: Serialize", deserialize = "S: Deserialize<'de>"))]
#[schemars(rename = "Frame")]
pub struct Body<S> {
    /// Whose outcomes these are.
    pub node: NodeId,
    /// Of which start of it.
    pub boot: BootId,
    /// Of which core of it.
    pub core: u16,
    /// The counter of the first outcome.
    pub first: u64,
    /// How many outcomes this covers, with those that are left out.
    pub count: u32,
    /// What the ids are made with.
    pub id_key: IdKey,
    /// The number of outcomes that have a row.
    pub rows: u32,
    /// The arrival of the first row, in microseconds since 1970.
    pub from: i64,
    /// Where a row stands among the outcomes, from `first` on. Only there when some have no row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Column<u32>>,
    /// The number of the arrival, less the counter.
    pub arrival: Column<i64>,
    /// Microseconds from the arrival of the row before to this one's; 0 in the first.
    pub after: Column<i64>,
    /// The generation it was routed by.
    pub generation: Column<u64>,
    /// The revision it was routed by.
    pub revision: Column<u64>,
    /// The route's id.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub route: Column<Option<S>>,
    /// The upstream.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub upstream: Column<Option<S>>,
    /// The target, as `host:port`.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub target: Column<Option<S>>,
    /// The method.
    pub method: Column<S>,
    /// The host.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub host: Column<Option<S>>,
    /// The path.
    pub path: Column<S>,
    /// The query.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub query: Column<Option<S>>,
    /// The status.
    pub status: Column<Option<u16>>,
    /// The code of a refusal.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub refused: Column<Option<S>>,
    /// What went wrong after the answer had begun.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub error: Column<Option<S>>,
    /// How often it was sent to an upstream.
    pub attempts: Column<u32>,
    /// Microseconds from arrival to the last byte.
    pub micros: Column<u64>,
    /// As many of them as passed without waiting for the upstream to begin; null if it never did.
    pub own_micros: Column<Option<u64>>,
    /// Bytes of the request's body.
    pub bytes_in: Column<u64>,
    /// Bytes of the answer's body.
    pub bytes_out: Column<u64>,
    /// The API key's id.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub key: Column<Option<S>>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub client: Column<Option<S>>,
    /// The user agent.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub user_agent: Column<Option<S>>,
    /// The client's correlation id; null: it is the id.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub correlation: Column<Option<S>>,
    /// The client's trace id; null: it is the id.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub trace: Column<Option<S>>,
    /// What some route matches on.
    #[serde(default, skip_serializing_if = "Nothing::is_nothing")]
    pub matched: Column<Option<S>>,
    /// What is counted of those without a row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// Reads borrowed text.
pub(super) type Read<'a> = Body<Text<'a>>;

/// Says whether a column can be left out, for both kinds of text.
trait Nothing {
    fn is_nothing(&self) -> bool;
}

impl<T> Nothing for Column<Option<T>> {
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Same(None))
    }
}
