//! Reading a segment, from any of its records on.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use flexgate_schemas::Outcome;

use super::{Map, RECORDS_AT, Record, Segment, sum};
use crate::outcomes::outbox::{Kept, record::Decoder};

/// Somebody who reads a segment.
#[derive(Debug, Clone)]
pub(in crate::outcomes) struct Reader {
    segment: Arc<Segment>,
    position: Position,
}

/// Between which two records somebody is.
#[derive(Debug, Clone, Copy)]
pub(in crate::outcomes) struct Position {
    /// Where the next record begins: a multiple of four.
    pub(super) at: usize,
    /// How many records were passed.
    pub(super) count: u32,
    /// Where the last one of them begins that can be read without those before it; the begin of the first, before any.
    pub(super) whole_at: usize,
}

/// The records from a position on, up to the first that is not there yet, or broken.
#[derive(Debug)]
struct Records<'r> {
    map: &'r Map,
    position: Position,
}

/// The outcomes of these records, up to the first that cannot be read: its sum should have shown that.
#[derive(Debug)]
pub(in crate::outcomes) struct Outcomes<'r> {
    records: Records<'r>,
    decoder: Decoder<'r>,
    /// The counter of the next.
    counter: u64,
}

/// An outcome that was read.
#[derive(Debug)]
pub(in crate::outcomes) struct Recorded<'r, 'o> {
    pub(in crate::outcomes) outcome: &'o Outcome<'r>,
    pub(in crate::outcomes) kept: Kept,
    /// See [`Record::cut`].
    pub(in crate::outcomes) cut: &'r AtomicU32,
    /// Behind it.
    pub(in crate::outcomes) end: Position,
}

impl Reader {
    /// At the first record.
    pub(in crate::outcomes::outbox) fn new(segment: Arc<Segment>) -> Self {
        let position = Position {
            at: RECORDS_AT,
            count: 0,
            whole_at: RECORDS_AT,
        };
        Self { segment, position }
    }

    /// What it reads.
    pub(in crate::outcomes) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// How many records were passed.
    pub(in crate::outcomes) fn count(&self) -> u32 {
        self.position.count
    }

    /// The counter of the next outcome, once there is a first.
    pub(in crate::outcomes) fn counter(&self) -> Option<u64> {
        Some(self.segment.first()? + u64::from(self.position.count))
    }

    /// The records from here on, up to the first that is not there yet, or broken.
    pub(in crate::outcomes) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.records_from(self.position)
    }

    /// Their outcomes. What the first of them says is different is known from those that were passed, from a whole one on.
    pub(in crate::outcomes) fn outcomes(&self) -> Outcomes<'_> {
        let mut decoder = Decoder::default();
        let whole = Position {
            at: self.position.whole_at,
            ..self.position
        };
        let passed = self.records_from(whole);
        for record in passed.take_while(|record| record.end.at <= self.position.at) {
            decoder.decode(0, record.bytes);
        }
        Outcomes {
            records: self.records_from(self.position),
            decoder,
            counter: self.counter().unwrap_or_default(),
        }
    }

    fn records_from(&self, position: Position) -> Records<'_> {
        Records {
            map: &self.segment.map,
            position,
        }
    }

    /// Goes to where one of its records ends.
    pub(in crate::outcomes) fn go_to(&mut self, position: Position) {
        self.position = position;
    }

    /// Passes so many records, or all there are.
    pub(in crate::outcomes) fn pass(&mut self, records: u32) {
        for _ in 0..records {
            let Some(record) = self.segment.map.record(self.position) else {
                return;
            };
            self.position = record.end;
        }
    }
}

impl<'r> Iterator for Records<'r> {
    type Item = Record<'r>;

    fn next(&mut self) -> Option<Record<'r>> {
        let record = self.map.record(self.position)?;
        let expected = self.map.number(record.end.at - 4).load(Ordering::Relaxed);
        if sum(record.bytes) != expected {
            return None;
        }
        self.position = record.end;
        Some(record)
    }
}

impl<'r> Outcomes<'r> {
    /// The next one.
    pub(in crate::outcomes) fn read(&mut self) -> Option<Recorded<'r, '_>> {
        let record = self.records.next()?;
        let (outcome, kept) = self.decoder.decode(self.counter, record.bytes)?;
        self.counter += 1;
        Some(Recorded {
            outcome,
            kept,
            cut: record.cut,
            end: record.end,
        })
    }
}
