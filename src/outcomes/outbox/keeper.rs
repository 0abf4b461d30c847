//! The keeper: a thread that makes files ahead of the cores, deletes those that are not needed, and takes over what earlier
//! starts left. Whatever waits for the disk waits here.

use std::{
    io,
    sync::{Arc, Weak, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Inner,
    header::Unreadable,
    ledger::{Entry, Reserved},
    lock,
    segment::{Pen, Reader},
    shelf::Name,
};

/// How often it looks by itself: whether a predecessor has gone, and whether the disk has room again.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The thread.
pub(super) struct Keeper;

impl Keeper {
    /// Makes what the cores need first, then starts the thread.
    pub(super) fn start(inner: &Arc<Inner>) -> io::Result<JoinHandle<()>> {
        Self::adopt(inner);
        Self::make_spares(inner);
        let inner = Arc::downgrade(inner);
        thread::Builder::new()
            .name("outbox".to_owned())
            .spawn(move || Self::run(&inner))
    }

    /// Until the outbox is closed, or dropped.
    fn run(inner: &Weak<Inner>) {
        let mut adopted = Instant::now();
        loop {
            thread::park_timeout(LOOK_EVERY);
            let Some(inner) = inner.upgrade() else { return };
            let stopping = inner.stopping.load(Ordering::Acquire);
            delete_done(&inner);
            if stopping {
                return close(&inner);
            }
            if adopted.elapsed() >= LOOK_EVERY {
                Self::adopt(&inner);
                adopted = Instant::now();
            }
            Self::make_spares(&inner);
        }
    }

    fn make_spares(inner: &Inner) {
        let missing = lock(&inner.ledger).without_spare();
        let mut failed = None;
        for core in missing {
            match try_make(inner, core) {
                Ok(pen) => {
                    let late = lock(&inner.ledger).put_spare(core, pen);
                    drop(late); // outside of the lock
                }
                Err(error) => failed = Some(error),
            }
        }
        let had_none = inner.no_room.swap(failed.is_some(), Ordering::Relaxed);
        if let Some(error) = failed.filter(|_| !had_none) {
            tracing::warn!(%error, "the outbox gets no more room on the disk: the oldest outcomes go, unsent");
        }
    }

    fn adopt(inner: &Inner) {
        for (place, name) in inner.shelf.adopt() {
            match inner.shelf.open_segment(place) {
                Ok(segment) => {
                    let count = segment.sealed().unwrap_or_else(|| {
                        let records = Reader::new(Arc::clone(&segment)).records().count();
                        u32::try_from(records).unwrap_or(u32::MAX)
                    });
                    let entry = Entry {
                        made_at: segment.header().made_at,
                        first: segment.first().unwrap_or_default(),
                        sealed: Some(count),
                        shipped: 0,
                        claimed: false,
                        map: None,
                    };
                    segment.seal(count);
                    lock(&inner.ledger).adopt(place, entry);
                }
                Err(error) => leave_or_delete(inner, place, &name, &error),
            }
        }
    }
}

/// A file for a core, even if the oldest one has to go for it.
pub(super) fn make(inner: &Inner, core: u16) -> Option<Pen> {
    try_make(inner, core)
        .inspect_err(
            |error| tracing::error!(%error, core, "outcomes are lost: there is no room for them on the disk"),
        )
        .ok()
}

fn try_make(inner: &Inner, core: u16) -> io::Result<Pen> {
    loop {
        let reserved = lock(&inner.ledger).reserve(core);
        let full = match reserved {
            Reserved::Number(number) => match inner.shelf.create(core, number, inner.id_key) {
                Ok(pen) => return Ok(pen),
                Err(error) => {
                    lock(&inner.ledger).gone();
                    error
                }
            },
            Reserved::Full => io::ErrorKind::StorageFull.into(),
        };
        if delete_done(inner) {
            continue;
        }
        // The bound is what fits, if that is less than what was asked for.
        let Some((place, lost)) = lock(&inner.ledger).drop_oldest() else {
            return Err(full);
        };
        inner.lost.fetch_add(lost.into(), Ordering::Relaxed);
        inner.shelf.delete(place);
        lock(&inner.ledger).gone();
    }
}

/// Deletes what is shipped, and lets go of memory that is not written any more. Whether there is more room now.
fn delete_done(inner: &Inner) -> bool {
    let (done, maps) = lock(&inner.ledger).take_done();
    drop(maps);
    for place in &done {
        inner.shelf.delete(*place);
        lock(&inner.ledger).gone();
    }
    if !done.is_empty() {
        inner.shelf.forget(|origin| !lock(&inner.ledger).has(origin));
    }
    !done.is_empty()
}

/// What another version wrote is left to it; what nobody finished is nothing.
fn leave_or_delete(inner: &Inner, place: super::Place, name: &Name, error: &Unreadable) {
    match error {
        Unreadable::Unfinished => inner.shelf.delete(place),
        Unreadable::Io(_) | Unreadable::Format(_) | Unreadable::Header(_) => {
            tracing::error!(%error, ?name, "a file of the outbox is left alone");
        }
    }
}

/// Files that were made ahead, and not written, go; and if nothing waits, so does the lock.
fn close(inner: &Inner) {
    let cores = u16::try_from(inner.next.len()).unwrap_or(u16::MAX);
    for core in 0..cores {
        let spare = lock(&inner.ledger).take_spare(core);
        if let Some(pen) = spare {
            let number = pen.segment().header().number;
            inner.shelf.delete(super::Place {
                origin: super::Place::OWN,
                core,
                number,
            });
        }
    }
    if lock(&inner.ledger).is_empty() {
        inner.shelf.leave();
    }
}
