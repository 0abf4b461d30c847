//! Cutting frames: which outcomes share a message.
//!
//! Where a frame was cut is noted in the outbox before it is sent. After a crash the same frames are cut again, so that a
//! frame which is on the stream already is recognised as a whole, sums of a sample and all.

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering},
};

use flexgate_schemas::frame::{self, Draft, OUTCOMES_MAX, PAYLOAD_BYTES_MAX, Sealed};

use crate::outcomes::outbox::{Kept, Position, Reader};

/// A frame that is ready to be sent.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) sealed: Sealed,
    /// How many outcomes it has.
    pub(super) count: u32,
    /// Where the next one begins.
    pub(super) end: Position,
}

/// Cuts the next frame; `None` if there is nothing to read. The reader stays where it is. `limit` is how many outcomes fitted
/// into a frame so far.
pub(super) fn cut(reader: &Reader, writer: &mut frame::Writer, limit: &mut usize) -> io::Result<Option<Cut>> {
    let segment = reader.segment();
    let mut half = usize::MAX;
    while let Some(Taken { draft, begins, end }) = take(reader, *limit, half) {
        let count = draft.count();
        let Some(sealed) = writer.seal(segment.header().source(), segment.header().id_key, draft)? else {
            half = (count as usize).div_ceil(2);
            *limit = half;
            continue;
        };
        begins.store(count, Ordering::Release);
        if sealed.payload.len() < PAYLOAD_BYTES_MAX / 2 && count as usize == *limit {
            *limit = OUTCOMES_MAX.min(*limit * 2);
        }
        return Ok(Some(Cut { sealed, count, end }));
    }
    Ok(None)
}

/// What goes into one frame.
struct Taken<'r> {
    draft: Draft<'r>,
    /// Where it is noted how many they are.
    begins: &'r AtomicU32,
    end: Position,
}

/// The outcomes of one frame: those that were cut together before, or up to `limit` until the next such cut; never more than
/// `half`.
fn take(reader: &Reader, limit: usize, half: usize) -> Option<Taken<'_>> {
    let begins = reader.records().next()?.cut;
    let noted = begins.load(Ordering::Acquire) as usize;
    let count_max = if noted > 0 { noted } else { limit }.min(half);
    let (mut draft, mut end) = (Draft::new(reader.counter()?), None);
    let mut outcomes = reader.outcomes();
    while (draft.count() as usize) < count_max
        && let Some(recorded) = outcomes.read()
    {
        let begins_another = recorded.cut.load(Ordering::Acquire) > 0 && end.is_some();
        if noted == 0 && begins_another {
            break;
        }
        match recorded.kept {
            Kept::Row => draft.add(recorded.outcome),
            Kept::Counted => draft.leave_out(recorded.outcome),
        }
        end = Some(recorded.end);
    }
    Some(Taken {
        draft,
        begins,
        end: end?,
    })
}
