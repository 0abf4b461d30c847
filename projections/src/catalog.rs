//! The projections, and which tables are whose: what is made anew, compared and listed is what stands here.

use crate::{admin_events, alerts, config, outcomes};

/// All of them, in the order in which they are listed and made anew.
pub static PROJECTIONS: [&Projection; 4] = [
    &config::PROJECTION,
    &admin_events::PROJECTION,
    &outcomes::PROJECTION,
    &alerts::PROJECTION,
];

/// A projection, for who looks at it from outside.
#[derive(Debug)]
pub struct Projection {
    /// Never changes.
    pub name: &'static str,
    /// What its tables hold, in a few words.
    pub about: &'static str,
    /// The stream that it reads.
    pub stream: Stream,
    /// The version of its fold.
    pub(crate) version: i32,
    /// What it writes.
    pub(crate) tables: &'static [Table],
    /// What is to be done before what was made anew stands for what is there.
    pub(crate) settling: Settling,
}

/// A stream that a projection is a fold of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// What was committed.
    Config,
    /// What was asked and not done.
    Admin,
    /// What became of requests.
    Outcomes,
    /// What a person should hear of.
    Alerts,
}

/// A table that a projection writes.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// The columns by which a row is found, and shown to people.
    pub(crate) key: &'static [&'static str],
    /// Which of its rows `l` are the projection's, where others write into the same table.
    pub(crate) own: &'static str,
    /// Which of its rows `l` are older than what the stream still has, as seen from the tables that were made anew.
    pub(crate) older: Option<&'static str>,
    /// The columns that tell of the table and not of the stream, so that they are not compared.
    pub(crate) beside: &'static [&'static str],
    pub(crate) kind: Kind,
}

/// What a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What people read.
    Content,
    /// What people read, in partitions by time, which change hands as a whole.
    Partitions,
    /// What the projector remembers. It depends on what happened when, so that it is not compared.
    Memory,
}

/// What a projection does about what only the tables know that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settling {
    /// Nothing but to carry over rows that are [older](Table::older).
    Rows,
    /// Rows, counts and sources are merged.
    Outcomes,
}

impl Projection {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROJECTIONS.into_iter().find(|projection| projection.name == name)
    }

    /// Whether it puts aside what it cannot apply, and goes on.
    pub fn puts_aside(&self) -> bool {
        self.tables.iter().any(|table| table.name == "dead_letter")
    }

    /// Where it is made anew. A schema of its own, so that two projections do not meet.
    pub(crate) fn building(&self) -> String {
        format!("flexgate_rebuild_{}", self.name)
    }
}

impl Stream {
    /// Its name, without prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "CONFIG",
            Self::Admin => "ADMIN",
            Self::Outcomes => "OUTCOMES",
            Self::Alerts => "ALERTS",
        }
    }
}

impl Table {
    /// A table of which every row is the projection's, and on its stream for ever.
    pub(crate) const fn whole(name: &'static str, key: &'static [&'static str]) -> Self {
        Self {
            name,
            key,
            own: "true",
            older: None,
            beside: &[],
            kind: Kind::Content,
        }
    }

    /// A table of which some rows are older than what the stream has.
    pub(crate) const fn older(self, older: &'static str) -> Self {
        Self {
            older: Some(older),
            ..self
        }
    }

    /// A table in which others write, too.
    pub(crate) const fn own(self, own: &'static str) -> Self {
        Self { own, ..self }
    }

    /// A table with columns that are not compared.
    pub(crate) const fn beside(self, beside: &'static [&'static str]) -> Self {
        Self { beside, ..self }
    }

    /// A table of another kind.
    pub(crate) const fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}
