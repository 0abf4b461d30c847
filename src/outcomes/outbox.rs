//! The outbox: outcomes on local disk, from the end of their request until the stream has them.
//!
//! Each core appends to a file that is memory to it ([`segment`]), and when that is full, after ten thousand outcomes or
//! more, turns to the next one, made ahead by the keeper. What a process wrote survives it: the next start ships what is
//! left. The files together are bounded in bytes; at the bound the oldest goes, unsent, and what that loses is counted and
//! can be seen in the counters.

mod header;
mod keeper;
mod ledger;
mod record;
mod segment;
mod shelf;

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use flexgate_schemas::{BootId, IdKey, NodeId, Outcome, frame::Source};

use self::{
    header::Unreadable,
    keeper::Keeper,
    ledger::Ledger,
    record::Encoder,
    segment::{Pen, Segment},
    shelf::Shelf,
};
pub(super) use self::{
    ledger::Place,
    segment::{Position, Reader},
};

/// What an outbox needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of its files. It is made if need be, and nothing else may be in it.
    pub folder: PathBuf,
    /// The node whose outcomes these are.
    pub node: NodeId,
    /// Which start of it.
    pub boot: BootId,
    /// How many cores will write.
    pub cores: u16,
    /// The most bytes that the files may take together.
    pub bytes_max: u64,
}

/// Why there is no outbox.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The folder cannot be used.
    #[error("the outbox folder {folder} cannot be used: {error}")]
    Io {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// The outbox of a process. Clones share it.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shelf: Shelf,
    id_key: IdKey,
    bytes_max: u64,
    /// Held for moments, never while a file is touched. A core takes it once a file.
    ledger: Mutex<Ledger>,
    /// The counter of each core's next outcome. Written by that core alone.
    next: Box<[AtomicU64]>,
    /// Whether each core's writer was given out.
    taken: Box<[AtomicBool]>,
    lost: AtomicU64,
    /// Files that a core had to make itself, since the keeper was too slow.
    late: AtomicU64,
    /// Whether the keeper could not make a file when it tried last.
    no_room: AtomicBool,
    stopping: AtomicBool,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// Whether an outcome gets a row of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It does.
    Row,
    /// It is counted in sums only: only a sample of its kind is kept.
    Counted,
}

/// What waits in an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Outcomes that were recorded since the start.
    pub recorded: u64,
    /// Outcomes that the stream does not have yet.
    pub outcomes: u64,
    /// Bytes that the files take.
    pub bytes: u64,
    /// The most bytes that they may take.
    pub bytes_max: u64,
    /// Outcomes that were lost since the start.
    pub lost: u64,
    /// Files that a core had to make itself since the start, which takes it a millisecond.
    pub late: u64,
    /// Whether no further file could be made when that was tried last.
    pub no_room: bool,
}

impl Depth {
    /// Whether it is at its bound, or so near that it was just there.
    pub(super) fn is_nearly_full(&self) -> bool {
        self.bytes.saturating_mul(10) > self.bytes_max.saturating_mul(9)
    }
}

/// Where one core writes its outcomes. To drop it says that no more will come.
#[derive(Debug)]
pub struct Writer {
    inner: Arc<Inner>,
    core: u16,
    pen: Option<(Place, Pen)>,
    encoder: Encoder,
    /// The counter of the next outcome.
    next: u64,
    /// Whether there was no room for a file. To look for some takes long: from then on the keeper does.
    dry: bool,
}

impl Outbox {
    /// Opens the folder, and takes over what earlier starts left there.
    pub fn open(options: Options) -> Result<Self, OutboxError> {
        let failed = |error| OutboxError::Io {
            folder: options.folder.clone(),
            error,
        };
        let shelf = Shelf::open(&options.folder, options.node, options.boot).map_err(failed)?;
        let files_max = options.bytes_max / segment::BYTES as u64;
        // For each core a file that is written, one made ahead, and two that are shipped: with less there is no outbox.
        let files_max = files_max.max(4 * u64::from(options.cores));
        let cores = 0..options.cores;
        let inner = Inner {
            shelf,
            id_key: IdKey::new(rand::random()),
            bytes_max: files_max * segment::BYTES as u64,
            ledger: Mutex::new(Ledger::new(
                options.cores,
                usize::try_from(files_max).unwrap_or(usize::MAX),
            )),
            next: cores.clone().map(|_| AtomicU64::new(0)).collect(),
            taken: cores.map(|_| AtomicBool::new(false)).collect(),
            lost: AtomicU64::new(0),
            late: AtomicU64::new(0),
            no_room: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            keeper: Mutex::new(None),
        };
        let outbox = Self(Arc::new(inner));
        let keeper = Keeper::start(&outbox.0).map_err(failed)?;
        *lock(&outbox.0.keeper) = Some(keeper);
        Ok(outbox)
    }

    /// What the ids of this start are made with.
    pub fn id_key(&self) -> IdKey {
        self.0.id_key
    }

    /// Where a core writes; `None` if there is no such core, or somebody has it already.
    pub fn writer(&self, core: u16) -> Option<Writer> {
        let taken = self.0.taken.get(usize::from(core))?;
        let is_first = !taken.swap(true, Ordering::Relaxed);
        is_first.then(|| Writer {
            inner: Arc::clone(&self.0),
            core,
            pen: None,
            encoder: Encoder::default(),
            next: 0,
            dry: false,
        })
    }

    /// What waits now.
    pub fn depth(&self) -> Depth {
        let inner = &self.0;
        let next = |core: u16| inner.next[usize::from(core)].load(Ordering::Relaxed);
        let ledger = lock(&inner.ledger);
        Depth {
            recorded: inner.next.iter().map(|next| next.load(Ordering::Relaxed)).sum(),
            outcomes: ledger.waiting(next),
            bytes: ledger.files() as u64 * segment::BYTES as u64,
            bytes_max: inner.bytes_max,
            lost: inner.lost.load(Ordering::Relaxed),
            late: inner.late.load(Ordering::Relaxed),
            no_room: inner.no_room.load(Ordering::Relaxed),
        }
    }

    /// Whether everything that was recorded is on the stream.
    pub fn is_empty(&self) -> bool {
        lock(&self.0.ledger).is_empty()
    }

    /// Ends the keeper, and removes the files that are not needed. Call it when the writers are gone and nothing more is
    /// shipped; what waits is there for the next start. Waits for the disk.
    pub fn close(&self) {
        self.0.stopping.store(true, Ordering::Release);
        let keeper = lock(&self.0.keeper).take();
        if let Some(keeper) = keeper {
            keeper.thread().unpark();
            let _panicked = keeper.join();
        }
    }

    /// What lies in the folder of an outbox, whoever is writing it: a look from outside.
    pub fn peek(folder: &Path) -> io::Result<Vec<(Source, Range<u64>)>> {
        let files = shelf::files(folder)?;
        let segments = files
            .into_iter()
            .filter_map(|(_, path)| Segment::open(&path).ok());
        let run = |segment: Arc<Segment>| {
            let first = segment.first()?;
            let count = Reader::new(Arc::clone(&segment)).records().count() as u64;
            Some((segment.header().source(), first..first + count))
        };
        Ok(segments.filter_map(run).collect())
    }
}

/// What the shipper asks for.
impl Outbox {
    /// Each core of each start that has files, earlier starts first.
    pub(super) fn lines(&self) -> Vec<(u32, u16)> {
        lock(&self.0.ledger).lines()
    }

    /// A reader of the next file of a line, after this number if there is one, at the first outcome that the stream does
    /// not have. `None` if there is none yet.
    pub(super) fn claim(&self, line: (u32, u16), after: Option<u64>) -> Option<(Place, Reader)> {
        let (place, shipped, segment) = lock(&self.0.ledger).claim(line, after)?;
        let opened = segment.map_or_else(|| self.0.shelf.open_segment(place), Ok);
        match opened {
            Ok(segment) => {
                let mut reader = Reader::new(segment);
                reader.pass(shipped);
                Some((place, reader))
            }
            Err(Unreadable::Io(error)) => {
                tracing::warn!(%error, ?place, "a file of the outbox cannot be opened now");
                lock(&self.0.ledger).release(place);
                None
            }
            Err(error) => {
                tracing::error!(%error, ?place, "a file of the outbox cannot be read: what is in it is lost");
                self.broken_after(place, shipped);
                None
            }
        }
    }

    /// The shipper begins anew, with what is not acknowledged.
    pub(super) fn unclaim(&self) {
        lock(&self.0.ledger).unclaim();
    }

    /// The stream has so many more outcomes of a file.
    pub(super) fn shipped(&self, place: Place, outcomes: u32) {
        let is_done = lock(&self.0.ledger).shipped(place, outcomes);
        if is_done {
            self.0.wake_keeper();
        }
    }

    /// Of a sealed file no more than so many outcomes can be read.
    pub(super) fn broken_after(&self, place: Place, outcomes: u32) {
        let lost = lock(&self.0.ledger).readable(place, outcomes);
        self.0.lost.fetch_add(lost.into(), Ordering::Relaxed);
        self.0.wake_keeper();
    }
}

impl Inner {
    fn wake_keeper(&self) {
        if let Some(keeper) = &*lock(&self.keeper) {
            keeper.thread().unpark();
        }
    }
}

impl Writer {
    /// Records an outcome: from here on it survives the process. It gets the next counter; the one in it is ignored.
    ///
    /// Writes into memory what is different from the one before, and no more, unless the file is full and it turns to the
    /// next one. Never fails: where there is no room at all it is lost, and that is counted.
    #[inline]
    pub fn append(&mut self, outcome: &Outcome<'_>, kept: Kept) {
        if !self.pen.as_ref().is_some_and(|(_, pen)| pen.has_room()) {
            self.turn();
        }
        match &mut self.pen {
            Some((_, pen)) => pen.write(|room| self.encoder.encode(outcome, kept, room)),
            None => {
                self.inner.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.next += 1;
        self.inner.next[usize::from(self.core)].store(self.next, Ordering::Relaxed);
    }

    /// Turns to the next file.
    #[cold]
    fn turn(&mut self) {
        self.seal();
        let spare = lock(&self.inner.ledger).take_spare(self.core);
        let made_ahead = spare.is_some();
        let was_dry = std::mem::replace(&mut self.dry, false);
        let made = spare.or_else(|| {
            if was_dry {
                None
            } else {
                keeper::make(&self.inner, self.core)
            }
        });
        let Some(mut pen) = made else {
            self.dry = true;
            return;
        };
        if !made_ahead && self.next > 0 {
            self.inner.late.fetch_add(1, Ordering::Relaxed);
        }
        let place = Place {
            origin: Place::OWN,
            core: self.core,
            number: pen.segment().header().number,
        };
        pen.begin(self.next);
        self.encoder.begin();
        let late = lock(&self.inner.ledger).begin(place, self.next, Arc::clone(pen.segment()));
        drop(late); // outside of the lock
        self.pen = Some((place, pen));
        self.inner.wake_keeper();
    }

    fn seal(&mut self) {
        if let Some((place, pen)) = self.pen.take() {
            let count = pen.seal();
            lock(&self.inner.ledger).seal(place, count);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.seal();
    }
}

/// A poisoned lock is as good as another: nothing under it is changed by halves.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
