//! Cutting frames: which outcomes share a message.
//!
//! Where a frame was cut is noted in the outbox before it is sent. After a crash the same frames are cut again, so that a
//! frame which is on the stream already is recognised as a whole, sums of a sample and all.

use std::{collections::HashMap, io, sync::atomic::Ordering};

use flexgate_schemas::{
    Outcome,
    frame::{self, OUTCOMES_MAX, PAYLOAD_BYTES_MAX, Run, Sealed},
    outcome::LeftOut,
};

use crate::outcomes::outbox::{Kept, Reader, Record, decode};

/// A frame that is ready to be sent.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) sealed: Sealed,
    /// How many outcomes it has.
    pub(super) count: u32,
}

/// Cuts the next frame; `None` if there is nothing to read. The reader stays where it is. `limit` is how many outcomes fitted
/// into a frame so far.
pub(super) fn cut(reader: &Reader, writer: &mut frame::Writer, limit: &mut usize) -> io::Result<Option<Cut>> {
    let records = together(reader, *limit);
    let segment = reader.segment();
    let Some(begin) = segment.first() else {
        return Ok(None);
    };
    let first = begin + u64::from(reader.count());
    let mut outcomes = decoded(&records, first);
    let Some(begins) = records.first().filter(|_| !outcomes.is_empty()) else {
        return Ok(None);
    };
    loop {
        let run = Run {
            source: segment.header().source(),
            id_key: segment.header().id_key,
            first,
            count: u32::try_from(outcomes.len()).unwrap_or(u32::MAX),
        };
        let (rows, left_out) = sorted(&outcomes);
        if let Some(sealed) = writer.seal(&run, &rows, left_out)? {
            begins.cut.store(run.count, Ordering::Release);
            let has_room = sealed.payload.len() < PAYLOAD_BYTES_MAX / 2 && outcomes.len() == *limit;
            *limit = if has_room {
                OUTCOMES_MAX.min(*limit * 2)
            } else {
                *limit
            };
            return Ok(Some(Cut {
                sealed,
                count: run.count,
            }));
        }
        outcomes.truncate(outcomes.len().div_ceil(2));
        *limit = outcomes.len();
    }
}

/// The records of one frame: those that were cut together before, or as many as may be up to the next such cut.
fn together(reader: &Reader, limit: usize) -> Vec<Record<'_>> {
    let mut records = reader.records().peekable();
    let before = records
        .peek()
        .map_or(0, |first| first.cut.load(Ordering::Acquire));
    let mut taken: Vec<Record<'_>> = Vec::new();
    for record in records {
        let is_full = match before {
            0 => !taken.is_empty() && record.cut.load(Ordering::Acquire) > 0 || taken.len() == limit,
            cut => taken.len() == cut as usize,
        };
        if is_full {
            break;
        }
        taken.push(record);
    }
    taken
}

/// The outcomes up to the first that cannot be read, if there is one: its sum should have shown that.
fn decoded<'a>(records: &[Record<'a>], first: u64) -> Vec<(Outcome<'a>, Kept)> {
    (first..)
        .zip(records)
        .map_while(|(counter, record)| decode(counter, record.bytes))
        .collect()
}

/// What outcomes without a row have in common with those they are summed up with.
type Group<'a> = (i64, [Option<&'a str>; 4], u8);

/// Those that get a row, and the sums of those that do not.
fn sorted<'a>(outcomes: &[(Outcome<'a>, Kept)]) -> (Vec<Outcome<'a>>, Vec<LeftOut>) {
    let mut rows = Vec::with_capacity(outcomes.len());
    let (mut places, mut left_out) = (HashMap::<Group<'a>, usize>::new(), Vec::<LeftOut>::new());
    for (outcome, kept) in outcomes {
        match kept {
            Kept::Row => rows.push(*outcome),
            Kept::Counted => {
                let names = [outcome.route, outcome.upstream, outcome.refused, outcome.key];
                let group = (outcome.hour(), names, outcome.status_class());
                let place = *places.entry(group).or_insert_with(|| {
                    left_out.push(LeftOut::beside(outcome));
                    left_out.len() - 1
                });
                left_out[place].add(outcome);
            }
        }
    }
    (rows, left_out)
}
