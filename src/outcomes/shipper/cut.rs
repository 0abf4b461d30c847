//! Cutting frames: which outcomes share a message.
//!
//! Where a frame was cut is noted in the outbox before it is sent. After a crash the same frames are cut again, so that a
//! frame which is on the stream already is recognised as a whole, sums of a sample and all.

use std::{io, sync::atomic::Ordering};

use flexgate_schemas::{
    Outcome,
    frame::{self, OUTCOMES_MAX, Run, Sealed},
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

/// Cuts the next frame; `None` if there is nothing to read. The reader stays where it is.
pub(super) fn cut(reader: &Reader, writer: &mut frame::Writer) -> io::Result<Option<Cut>> {
    let records: Vec<Record<'_>> = together(reader);
    let segment = reader.segment();
    let Some((first, begin)) = records.first().zip(segment.first()) else {
        return Ok(None);
    };
    let first_counter = begin + u64::from(reader.count());
    let mut count = records.len();
    loop {
        let run = Run {
            source: segment.header().source(),
            id_key: segment.header().id_key,
            first: first_counter,
            count: u32::try_from(count).unwrap_or(u32::MAX),
        };
        let Some((rows, left_out)) = sorted(&records[..count], first_counter) else {
            return Ok(None);
        };
        if let Some(sealed) = writer.seal(&run, &rows, left_out)? {
            first.cut.store(run.count, Ordering::Release);
            return Ok(Some(Cut {
                sealed,
                count: run.count,
            }));
        }
        count = count.div_ceil(2);
    }
}

/// The records of one frame: those that were cut together before, or as many as there are up to the next such cut.
fn together(reader: &Reader) -> Vec<Record<'_>> {
    let mut records = reader.records().peekable();
    let before = records
        .peek()
        .map_or(0, |first| first.cut.load(Ordering::Acquire));
    let mut taken: Vec<Record<'_>> = Vec::new();
    for record in records {
        let is_full = match before {
            0 => !taken.is_empty() && record.cut.load(Ordering::Acquire) > 0 || taken.len() == OUTCOMES_MAX,
            cut => taken.len() == cut as usize,
        };
        if is_full {
            break;
        }
        taken.push(record);
    }
    taken
}

/// Those that get a row, and the sums of those that do not; `None` if one cannot be read, which its sum should have shown.
fn sorted<'a>(records: &[Record<'a>], first: u64) -> Option<(Vec<Outcome<'a>>, Vec<LeftOut>)> {
    let (mut rows, mut left_out) = (Vec::with_capacity(records.len()), Vec::<LeftOut>::new());
    for (counter, record) in (first..).zip(records) {
        let (outcome, kept) = decode(counter, record.bytes)?;
        match kept {
            Kept::Row => rows.push(outcome),
            Kept::Counted => {
                let place = left_out.iter().position(|group| group.takes(&outcome));
                let place = place.unwrap_or_else(|| {
                    left_out.push(LeftOut::beside(&outcome));
                    left_out.len() - 1
                });
                left_out[place].add(&outcome);
            }
        }
    }
    Some((rows, left_out))
}
