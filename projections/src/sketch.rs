//! A sketch as the database has it: one number, in base 10^16, whose digits count the buckets.

use flexgate_schemas::Sketch;

/// A sketch on its way to the database, or from there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stored(pub(crate) Sketch);
