//! Which files there are, whose they are, and how far the stream has them. Pure: the files themselves are elsewhere.

use std::{collections::BTreeMap, sync::Arc};

use super::segment::{Pen, Segment};

/// Whose file this is and which of them, in the order in which they are shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::outcomes) struct Place {
    /// Which start of the node: earlier ones by when they were taken over, then [`Place::OWN`].
    pub(in crate::outcomes) origin: u32,
    /// Which core of it.
    pub(in crate::outcomes) core: u16,
    /// Which file of that.
    pub(in crate::outcomes) number: u64,
}

impl Place {
    /// This start of the node.
    pub(super) const OWN: u32 = u32::MAX;

    /// All files of one core of one start have the same.
    pub(in crate::outcomes) fn line(self) -> (u32, u16) {
        (self.origin, self.core)
    }
}

/// A file with outcomes.
#[derive(Debug)]
pub(super) struct Entry {
    /// When it was made, in microseconds since 1970.
    pub(super) made_at: i64,
    /// The counter of its first outcome.
    pub(super) first: u64,
    /// How many outcomes it has, once no more come.
    pub(super) sealed: Option<u32>,
    /// How many of them, from the first on, the stream has.
    pub(super) shipped: u32,
    /// Whether the shipper is at it. Such a file is not dropped.
    pub(super) claimed: bool,
    /// The file as memory, while a core writes it.
    pub(super) map: Option<Arc<Segment>>,
}

/// The files of an outbox.
#[derive(Debug)]
pub(super) struct Ledger {
    entries: BTreeMap<Place, Entry>,
    /// One for each core, made ahead.
    spares: Vec<Option<Pen>>,
    /// The number of each core's next file.
    next_numbers: Vec<u64>,
    /// The number of the file that each core began last.
    begun: Vec<Option<u64>>,
    /// Files that are not needed any more, and are to be deleted.
    done: Vec<Place>,
    /// How many files there are, with those that are being made or deleted.
    files: usize,
    files_max: usize,
}

/// Whether another file may be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    /// With this number.
    Number(u64),
    /// Not before another one has gone.
    Full,
}

impl Ledger {
    /// No files yet, of so many cores, and at most so many.
    pub(super) fn new(cores: u16, files_max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            spares: (0..cores).map(|_| None).collect(),
            next_numbers: vec![0; cores.into()],
            begun: vec![None; cores.into()],
            done: Vec::new(),
            files: 0,
            files_max,
        }
    }

    /// Reserves the place for another file of a core.
    pub(super) fn reserve(&mut self, core: u16) -> Reserved {
        if self.files >= self.files_max {
            return Reserved::Full;
        }
        self.files += 1;
        let next = &mut self.next_numbers[usize::from(core)];
        *next += 1;
        Reserved::Number(*next - 1)
    }

    /// A file that was reserved or listed is not there.
    pub(super) fn gone(&mut self) {
        self.files -= 1;
    }

    /// Cores without a spare file.
    pub(super) fn without_spare(&self) -> Vec<u16> {
        let cores = (0..).zip(&self.spares);
        cores
            .filter(|(_, spare)| spare.is_none())
            .map(|(core, _)| core)
            .collect()
    }

    /// Puts a file by for a core, which has none. It is given back, and its file deleted, if it comes too late: files are
    /// shipped by their numbers, and the core has made itself one with a higher number meanwhile.
    pub(super) fn put_spare(&mut self, core: u16, pen: Pen) -> Option<Pen> {
        let number = pen.segment().header().number;
        let spare = &mut self.spares[usize::from(core)];
        if self.begun[usize::from(core)].is_none_or(|begun| begun < number) {
            return spare.replace(pen);
        }
        self.done.push(Place {
            origin: Place::OWN,
            core,
            number,
        });
        Some(pen)
    }

    /// The file that was made ahead for a core.
    pub(super) fn take_spare(&mut self, core: u16) -> Option<Pen> {
        self.spares.get_mut(usize::from(core))?.take()
    }

    /// A core begins to write a file. Gives back what was put by for it in vain, see [`Ledger::put_spare`].
    pub(super) fn begin(&mut self, place: Place, first: u64, segment: Arc<Segment>) -> Option<Pen> {
        let entry = Entry {
            made_at: segment.header().made_at,
            first,
            sealed: None,
            shipped: 0,
            claimed: false,
            map: Some(segment),
        };
        self.entries.insert(place, entry);
        self.begun[usize::from(place.core)] = Some(place.number);
        let spare = self.take_spare(place.core)?;
        self.put_spare(place.core, spare)
    }

    /// A file of an earlier start.
    pub(super) fn adopt(&mut self, place: Place, entry: Entry) {
        self.files += 1;
        self.entries.insert(place, entry);
        self.settle(place);
    }

    /// No more outcomes come into a file: it has so many.
    pub(super) fn seal(&mut self, place: Place, count: u32) {
        if let Some(entry) = self.entries.get_mut(&place) {
            entry.sealed = Some(count);
        }
        self.settle(place);
    }

    /// The shipper takes the next file of a core and start, after this number if there is one. Says how much of it the
    /// stream has, and gives its memory if there is some.
    pub(super) fn claim(
        &mut self,
        line: (u32, u16),
        after: Option<u64>,
    ) -> Option<(Place, u32, Option<Arc<Segment>>)> {
        let (origin, core) = line;
        let number = after.map_or(0, |number| number + 1);
        let from = Place { origin, core, number };
        let (place, entry) = self.entries.range_mut(from..).next()?;
        if place.line() != line {
            return None;
        }
        entry.claimed = true;
        Some((*place, entry.shipped, entry.map.clone()))
    }

    /// The shipper has to let a file wait.
    pub(super) fn release(&mut self, place: Place) {
        if let Some(entry) = self.entries.get_mut(&place) {
            entry.claimed = false;
        }
    }

    /// The shipper begins anew.
    pub(super) fn unclaim(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.claimed = false);
    }

    /// The stream has so many more outcomes of a file. Whether there are files to be deleted.
    pub(super) fn shipped(&mut self, place: Place, outcomes: u32) -> bool {
        if let Some(entry) = self.entries.get_mut(&place) {
            entry.shipped += outcomes;
        }
        self.settle(place);
        !self.done.is_empty()
    }

    /// Of a sealed file no more than so many outcomes can be read. Says how many that loses.
    pub(super) fn readable(&mut self, place: Place, outcomes: u32) -> u32 {
        let Some(entry) = self.entries.get_mut(&place) else {
            return 0;
        };
        let lost = entry.sealed.map_or(0, |sealed| sealed.saturating_sub(outcomes));
        entry.sealed = entry.sealed.map(|sealed| sealed.min(outcomes));
        self.settle(place);
        lost
    }

    /// Forgets the oldest file that nobody is at, and says how many outcomes that loses. The file is to be deleted.
    pub(super) fn drop_oldest(&mut self) -> Option<(Place, u32)> {
        let droppable = |entry: &Entry| entry.sealed.is_some() && !entry.claimed;
        let oldest = self.entries.iter().filter(|(_, entry)| droppable(entry));
        let place = *oldest.min_by_key(|(place, entry)| (entry.made_at, **place))?.0;
        let entry = self.entries.remove(&place)?;
        Some((
            place,
            entry.sealed.unwrap_or_default().saturating_sub(entry.shipped),
        ))
    }

    /// What is to be deleted, and memory that is not written any more: to be let go of outside of any lock.
    pub(super) fn take_done(&mut self) -> (Vec<Place>, Vec<Arc<Segment>>) {
        let sealed = self.entries.values_mut().filter(|entry| entry.sealed.is_some());
        let maps = sealed.filter_map(|entry| entry.map.take()).collect();
        (std::mem::take(&mut self.done), maps)
    }

    /// Each core of each start that has files, in the order in which they are shipped.
    pub(super) fn lines(&self) -> Vec<(u32, u16)> {
        let mut lines: Vec<_> = self.entries.keys().map(|place| place.line()).collect();
        lines.dedup();
        lines
    }

    /// Whether a start has files.
    pub(super) fn has(&self, origin: u32) -> bool {
        self.entries
            .keys()
            .chain(&self.done)
            .any(|place| place.origin == origin)
    }

    /// Whether nothing is left to be shipped, now or later.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many outcomes wait. `next` is the counter of each core's next outcome.
    pub(super) fn waiting(&self, next: impl Fn(u16) -> u64) -> u64 {
        let waiting = |(place, entry): (&Place, &Entry)| {
            let count = match entry.sealed {
                Some(count) => count.into(),
                None => next(place.core).saturating_sub(entry.first),
            };
            count.saturating_sub(entry.shipped.into())
        };
        self.entries.iter().map(waiting).sum()
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.files
    }

    /// A file of which everything is shipped is done.
    fn settle(&mut self, place: Place) {
        let settled = |entry: &Entry| entry.sealed.is_some_and(|sealed| entry.shipped >= sealed);
        if self.entries.get(&place).is_some_and(settled) {
            self.entries.remove(&place);
            self.done.push(place);
        }
    }
}
