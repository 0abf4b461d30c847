//! Rows for `flexgate.requests`, in the binary form of COPY, which spares the server all parsing.

use std::collections::BTreeSet;

use flexgate_schemas::{Outcome, frame::Frame};

use super::arrivals::Arrivals;

/// Takes what [`Rows`] holds.
pub(super) const COPY: &str = "
    COPY requests
        (id, at, generation, revision, duration_us, upstream_us, bytes_in, bytes_out, status, attempts, node, route,
         upstream, target, method, host, path, query, refused, error, api_key, client, user_agent, correlation_id,
         trace_id, matched)
    FROM STDIN WITH (FORMAT binary)";

/// How many columns [`COPY`] names.
const COLUMNS: i16 = 26;
/// Signature, flags and the length of the header's extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What no further tuple begins with.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// What a null has instead of a length.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// The version of the binary form of `jsonb`.
const JSONB: u8 = 1;
/// PostgreSQL counts from 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Rows on their way to the database.
#[derive(Debug)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    count: u64,
    arrivals: Arrivals,
    /// Hours since 1970.
    hours: BTreeSet<i64>,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            bytes: HEADER.to_vec(),
            count: 0,
            arrivals: Arrivals::default(),
            hours: BTreeSet::new(),
        }
    }
}

impl Rows {
    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The hours in which their requests arrived, counted since 1970.
    pub(super) fn hours(&self) -> &BTreeSet<i64> {
        &self.hours
    }

    /// How many of them arrived in a second.
    pub(super) fn per_second(&self) -> u64 {
        self.count / (self.arrivals.seconds() + 1)
    }

    /// All of them, as COPY takes them.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend(TRAILER);
        self.bytes
    }

    /// Adds the row of an outcome. Everything in a frame was seen to fit into its columns.
    pub(super) fn push(&mut self, frame: &Frame<'_>, outcome: &Outcome<'_>) {
        self.count += 1;
        self.arrivals.note(outcome.at);
        self.hours.insert(outcome.hour());
        self.bytes.extend(COLUMNS.to_be_bytes());
        self.field(frame.id(outcome).as_bytes());
        self.bigint(outcome.at - EPOCH_MICROS);
        self.bigint(outcome.generation.cast_signed());
        self.bigint(outcome.revision.cast_signed());
        self.bigint(outcome.micros.cast_signed());
        self.optional(outcome.upstream_micros, |rows, micros| {
            rows.bigint(micros.cast_signed());
        });
        self.bigint(outcome.bytes_in.cast_signed());
        self.bigint(outcome.bytes_out.cast_signed());
        self.optional(outcome.status, |rows, status| rows.field(&status.to_be_bytes()));
        let attempts = i16::try_from(outcome.attempts).unwrap_or(i16::MAX);
        self.field(&attempts.to_be_bytes());
        self.text(frame.run().source.node.as_str());
        for text in [outcome.route, outcome.upstream, outcome.target] {
            self.optional(text, Self::text);
        }
        self.text(outcome.method);
        self.optional(outcome.host, Self::text);
        self.text(outcome.path);
        let texts = [
            outcome.query,
            outcome.refused,
            outcome.error,
            outcome.key,
            outcome.client,
            outcome.user_agent,
            outcome.correlation,
            outcome.trace,
        ];
        for text in texts {
            self.optional(text, Self::text);
        }
        self.optional(outcome.matched, Self::json);
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.bytes.extend(NULL),
        }
    }

    fn bigint(&mut self, number: i64) {
        self.field(&number.to_be_bytes());
    }

    /// A text of PostgreSQL has no NUL.
    fn text(&mut self, text: &str) {
        if text.contains('\0') {
            self.field(text.replace('\0', "\u{fffd}").as_bytes());
        } else {
            self.field(text.as_bytes());
        }
    }

    fn json(&mut self, text: &str) {
        self.length(text.len() + 1);
        self.bytes.push(JSONB);
        self.bytes.extend(text.as_bytes());
    }

    fn field(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.bytes.extend(bytes);
    }

    /// A frame unpacks to at most 64 MiB, and so does every text in it.
    fn length(&mut self, bytes: usize) {
        let length = i32::try_from(bytes).unwrap_or(i32::MAX);
        self.bytes.extend(length.to_be_bytes());
    }
}
