//! The resting lines of one core.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    net::IpAddr,
    sync::Arc,
};

use super::{channel::Channels, line::Line, origin::Origin};
use crate::egress::Guard;

/// The most lines that rest per origin on one core. Full: the line that would be the next is closed.
const SHELF_MAX: usize = 256;
/// The most lines that rest on one core in all. Full: likewise.
const POOL_MAX: usize = 2048;
/// How long a line rests before it is closed, in ticks of a second, unless the upstream announced less.
pub(super) const REST_TICKS: u32 = 60;

/// The lines to one origin; boxed, because they are large and move with every request.
type Shelf = Vec<Box<Line>>;

/// Lines that wait for their next request, per origin, the one used last on top: the fewest connections stay warm and
/// the others run out.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Those of HTTP/2, which do not rest.
    pub(super) channels: Channels,
    shelves: RefCell<HashMap<u64, Shelf, BuildHasherDefault<Unhashed>>>,
    resting: Cell<usize>,
    tick: Cell<u32>,
}

impl Pool {
    /// A line to this origin that rested least, of those that lead where requests may go. Those that do not are closed.
    pub(super) fn take(&self, origin: &Origin, guard: &Arc<Guard>) -> Option<Box<Line>> {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.get_mut(&origin.id)?;
        loop {
            let line = shelf.pop()?;
            self.resting.set(self.resting.get() - 1);
            if line.end.admits(guard) {
                return Some(line);
            }
        }
    }

    /// Puts a line that is free to rest.
    pub(super) fn give(&self, mut line: Box<Line>) {
        line.rested_at = self.tick.get();
        line.used = true;
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.entry(line.end.origin.id).or_default();
        if shelf.len() < SHELF_MAX && self.resting.get() < POOL_MAX {
            shelf.push(line);
            self.resting.set(self.resting.get() + 1);
        }
    }

    /// Whether a line rested long enough that its upstream may be about to close it.
    pub(super) fn is_stale(&self, line: &Line) -> bool {
        line.used && self.tick.get() != line.rested_at
    }

    /// How many lines rest.
    pub(super) fn resting(&self) -> usize {
        self.resting.get()
    }

    /// Closes lines that rested too long, that their upstream closed, or that lead where requests may not go any more.
    /// Called every tick, which makes it also the pool's clock: no request has to read one.
    pub(super) fn sweep(&self, guard: &Arc<Guard>) {
        let now = self.tick.get().wrapping_add(1);
        self.tick.set(now);
        self.retain(|line| {
            now.wrapping_sub(line.rested_at) < line.rest_ticks && line.end.admits(guard) && line.is_alive()
        });
        self.channels.sweep(guard);
    }

    /// Closes the lines to an origin that lead elsewhere than its name does now.
    pub(super) fn keep_only(&self, origin: &Origin, addresses: &[IpAddr]) {
        self.retain(|line| line.end.origin.id != origin.id || addresses.contains(&line.end.address));
        self.channels.keep_only(origin, addresses);
    }

    /// The origins that there are connections to which can be used again, and that are known by a name.
    pub(super) fn named_origins(&self) -> Vec<Arc<Origin>> {
        let shelves = self.shelves.borrow();
        let lines = shelves.values().filter_map(|shelf| shelf.first());
        let mut origins = self.channels.origins();
        origins.extend(lines.map(|line| Arc::clone(&line.end.origin)));
        origins.retain(|origin| origin.known_as.address().is_none());
        origins
    }

    fn retain(&self, mut keep: impl FnMut(&mut Line) -> bool) {
        let mut shelves = self.shelves.borrow_mut();
        shelves.retain(|_, shelf| {
            shelf.retain_mut(|line| keep(line));
            !shelf.is_empty()
        });
        self.resting.set(shelves.values().map(Shelf::len).sum());
    }
}

/// The hash of a number that already is one.
#[derive(Default)]
struct Unhashed(u64);

impl Hasher for Unhashed {
    fn write(&mut self, bytes: &[u8]) {
        // Keys are u64; anything else would still be hashed, only badly.
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| hash.wrapping_mul(31) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        // Spread over the high bits, which the map looks at too.
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
