//! One file of the outbox, as memory: the one place with `unsafe` code.
//!
//! A header, then records one after the other. A record is four numbers' worth of frame around its bytes:
//!
//! | bytes | is |
//! | --- | --- |
//! | 4 | how many bytes the record has; stored last, with release. 0: there is no record yet |
//! | 4 | of how many outcomes the message is that begins here; 0: none does, or it is not known yet |
//! | n | the record |
//! | 0-3 | nothing, up to a multiple of four |
//! | 4 | the sum of the bytes, so that a page which a loss of power kept from the disk is noticed |
//!
//! The file is mapped and shared, so that what is stored is in the page cache at once: a process that is killed loses
//! nothing. Only one [`Pen`] writes a segment, and readers see no byte before its record's length is stored.

mod reader;

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
};

use memmap2::{MmapOptions, MmapRaw};

pub(in crate::outcomes) use self::reader::{Position, Reader};
use super::{
    header::{FORMAT, Header, Unreadable},
    record,
};

/// The size of a file. Large enough that a core turns to the next one every 10,000 outcomes or more, small enough that two of
/// them per core are little memory.
pub(super) const BYTES: usize = 2 << 20;

/// `FLEXGATE` as a number; stored last, so that a header with it is complete.
const MAGIC: u64 = u64::from_le_bytes(*b"FLEXGATE");
/// What is touched to have all of a file in memory; larger pages are touched several times.
const PAGE_BYTES: usize = 4096;

// The places of the header's numbers. Its text, a `Header` as JSON, fills the rest.
const MAGIC_AT: usize = 0;
const FORMAT_AT: usize = 8;
const TEXT_BYTES_AT: usize = 12;
/// The counter of the first outcome, plus one; 0 before there is one.
const BEGUN_AT: usize = 16;
/// How many records there are, plus one; 0 while more may come.
const SEALED_AT: usize = 24;
const TEXT_AT: usize = 32;
/// Where the first record begins. The longest text takes 330 bytes.
const RECORDS_AT: usize = 512;

/// What a record takes beside its bytes: length, cut, padding and sum.
const FRAME_BYTES_MAX: usize = 4 + 4 + 3 + 4;
/// A pen that has less than this before it turns to the next file: the longest record, and the length of one more.
const ROOM_BYTES_MIN: usize = record::BYTES_MAX + FRAME_BYTES_MAX + 4;

/// A mapped file.
#[derive(Debug)]
pub(in crate::outcomes) struct Segment {
    map: Map,
    header: Header,
}

/// The memory of a file: [`BYTES`] of it.
#[derive(Debug)]
struct Map(MmapRaw);

/// The one that writes a segment.
#[derive(Debug)]
pub(super) struct Pen {
    segment: Arc<Segment>,
    /// Where the next record begins: a multiple of four.
    at: usize,
    /// How many records there are.
    count: u32,
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(in crate::outcomes) struct Record<'a> {
    /// Its bytes.
    pub(in crate::outcomes) bytes: &'a [u8],
    /// Of how many outcomes the message is that begins here; 0 if that is not known.
    pub(in crate::outcomes) cut: &'a AtomicU32,
    /// Behind it.
    pub(in crate::outcomes) end: Position,
}

impl Segment {
    /// Makes a file, with room on the disk for all of it and every page in memory. `allocate` reserves the room.
    pub(super) fn create(
        path: &Path,
        header: Header,
        allocate: impl FnOnce(&File, u64) -> io::Result<()>,
    ) -> io::Result<Pen> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        allocate(&file, BYTES as u64)?;
        let map = Map::new(&file)?;
        for page in (0..BYTES).step_by(PAGE_BYTES) {
            map.byte(page).fetch_or(0, Ordering::Relaxed);
        }
        let text = serde_json::to_vec(&header)?;
        if text.len() > RECORDS_AT - TEXT_AT {
            return Err(io::Error::other("the header is too long"));
        }
        for (place, byte) in text.iter().enumerate() {
            map.byte(TEXT_AT + place).store(*byte, Ordering::Relaxed);
        }
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        map.number(TEXT_BYTES_AT).store(length, Ordering::Relaxed);
        map.number(FORMAT_AT).store(FORMAT, Ordering::Relaxed);
        map.long_number(MAGIC_AT).store(MAGIC, Ordering::Release);
        Ok(Pen {
            segment: Arc::new(Self { map, header }),
            at: RECORDS_AT,
            count: 0,
        })
    }

    /// Maps a file that somebody made.
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, Unreadable> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if file.metadata()?.len() != BYTES as u64 {
            return Err(Unreadable::Unfinished);
        }
        let map = Map::new(&file)?;
        match map.long_number(MAGIC_AT).load(Ordering::Acquire) {
            MAGIC => {}
            0 => return Err(Unreadable::Unfinished),
            _ => return Err(Unreadable::Header("it is no file of an outbox".to_owned())),
        }
        match map.number(FORMAT_AT).load(Ordering::Relaxed) {
            FORMAT => {}
            other => return Err(Unreadable::Format(other)),
        }
        let length = map.number(TEXT_BYTES_AT).load(Ordering::Relaxed) as usize;
        let text: Vec<u8> = (TEXT_AT..RECORDS_AT)
            .take(length)
            .map(|place| map.byte(place).load(Ordering::Relaxed))
            .collect();
        let header = serde_json::from_slice(&text).map_err(|error| Unreadable::Header(error.to_string()))?;
        Ok(Arc::new(Self { map, header }))
    }

    /// Whose outcomes these are.
    pub(in crate::outcomes) fn header(&self) -> &Header {
        &self.header
    }

    /// The counter of the first outcome, if there is one.
    pub(in crate::outcomes) fn first(&self) -> Option<u64> {
        self.map
            .long_number(BEGUN_AT)
            .load(Ordering::Acquire)
            .checked_sub(1)
    }

    /// How many records there are, once no more will come.
    pub(in crate::outcomes) fn sealed(&self) -> Option<u32> {
        self.map.number(SEALED_AT).load(Ordering::Acquire).checked_sub(1)
    }

    /// Says that no more will come. Only for a file whose pen is gone.
    pub(super) fn seal(&self, count: u32) {
        self.map.number(SEALED_AT).store(count + 1, Ordering::Release);
    }
}

impl Map {
    fn new(file: &File) -> io::Result<Self> {
        MmapOptions::new().len(BYTES).map_raw(file).map(Self)
    }

    /// The number at a place, which is a multiple of four, in the header or at the begin or the end of a record.
    #[expect(unsafe_code, reason = "memory that a file backs has no type")]
    fn number(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4) && at + 4 <= BYTES, "{at}");
        // SAFETY: the map is `BYTES` long, is never made shorter and lives as long as `self`; it begins on a page, so that
        // the place is aligned. Whatever else touches these four bytes does so through this function, atomically: a pen's
        // slices and readers' slices leave out lengths, cuts and sums, and so does every place that this is called with
        // fall on one of those. Processes that map the same file keep to the same rules, and a folder has one that writes.
        unsafe { AtomicU32::from_ptr(self.0.as_mut_ptr().add(at).cast()) }
    }

    /// A number of the header, at a multiple of eight.
    #[expect(unsafe_code, reason = "memory that a file backs has no type")]
    fn long_number(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at + 8 <= TEXT_AT, "{at}");
        // SAFETY: as in `number`; only this function touches these eight bytes, once the file is made.
        unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().add(at).cast()) }
    }

    /// A byte, while nobody else has the segment: when it is made, or of the header's text, which never changes then.
    #[expect(unsafe_code, reason = "memory that a file backs has no type")]
    fn byte(&self, at: usize) -> &AtomicU8 {
        assert!(at < BYTES, "{at}");
        // SAFETY: the place is inside of the map, which lives as long as `self`. No slice of it exists: pens and readers
        // come later, and never have the text of the header.
        unsafe { AtomicU8::from_ptr(self.0.as_mut_ptr().add(at)) }
    }

    /// The record that begins at a position; `None` if there is none, or its length is broken.
    fn record(&self, Position { at, count, whole_at }: Position) -> Option<Record<'_>> {
        if at + 4 > BYTES {
            return None;
        }
        let length = self.number(at).load(Ordering::Acquire) as usize;
        let end = at + 8 + length.next_multiple_of(4);
        if length == 0 || length > record::BYTES_MAX || end + 4 > BYTES {
            return None;
        }
        let bytes = self.bytes(at + 8, length);
        Some(Record {
            bytes,
            cut: self.number(at + 4),
            end: Position {
                at: end + 4,
                count: count + 1,
                whole_at: if record::is_whole(bytes) { at } else { whole_at },
            },
        })
    }

    /// The bytes of a record whose length was stored.
    #[expect(unsafe_code, reason = "memory that a file backs has no type")]
    fn bytes(&self, at: usize, length: usize) -> &[u8] {
        assert!(at + length <= BYTES, "{at} {length}");
        // SAFETY: the slice is inside of the map, which lives as long as `self`, and any byte is a `u8`. Nobody writes it
        // any more: its length was read with acquire, and was stored with release after its bytes, which are never
        // written again (`Pen::write` only goes forward). That the length is at the begin of a record, and not some bytes
        // of one, is so because a reader comes from the first record, by the same steps as the pen.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(at), length) }
    }
}

impl Pen {
    /// What it writes.
    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Says which outcome is the first. To be called before the first is written.
    pub(super) fn begin(&mut self, first: u64) {
        let begun = self.segment.map.long_number(BEGUN_AT);
        begun.store(first.saturating_add(1), Ordering::Release);
    }

    /// Whether any record fits that may come.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.at + ROOM_BYTES_MIN <= BYTES
    }

    /// Writes one record: `fill` puts its bytes and says how many there are, at least one. Without room nothing happens.
    #[expect(unsafe_code, reason = "memory that a file backs has no type")]
    #[inline]
    pub(super) fn write(&mut self, fill: impl FnOnce(&mut [u8; record::BYTES_MAX]) -> usize) {
        if !self.has_room() {
            return;
        }
        let begin = self.at + 8;
        // SAFETY: `has_room` says that the array is inside of the map, which lives as long as `self.segment`, and any byte
        // is a `u8`. Nobody else has a reference to it: there is one pen to a segment, borrowed mutably here, and readers
        // go no further than the length before `begin`, which is still zero.
        let room = unsafe {
            &mut *self
                .segment
                .map
                .0
                .as_mut_ptr()
                .add(begin)
                .cast::<[u8; record::BYTES_MAX]>()
        };
        let length = fill(room).clamp(1, record::BYTES_MAX);
        let sum = sum(&room[..length]);
        let end = begin + length.next_multiple_of(4);
        self.segment.map.number(end).store(sum, Ordering::Relaxed);
        // `fill` may have written more than it said: the length of the next record must be zero before this one is seen.
        self.segment.map.number(end + 4).store(0, Ordering::Relaxed);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.segment.map.number(self.at).store(length, Ordering::Release);
        self.at = end + 4;
        self.count += 1;
    }

    /// Says that no more will come, and how many there are.
    pub(super) fn seal(self) -> u32 {
        self.segment.seal(self.count);
        self.count
    }
}

/// The sum of a record's bytes, eight at a time, and of their number. Zeros in place of anything else change it.
fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]);
    let sum = words.fold(bytes.len() as u64, |sum, word| {
        sum.wrapping_add(u64::from_le_bytes(*word))
    });
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    {
        (sum ^ sum >> 32) as u32
    }
}

#[cfg(test)]
mod tests;
