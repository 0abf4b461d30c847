//! A hash of the whole configuration that costs as much to keep as what changes.

use std::fmt;

use flexgate_schemas::chain::sha256;
use serde::Serialize;

/// Which fold made a state. It rises whenever the same events would give another state or another hash; hashes are
/// only compared between equal versions.
pub const FOLD_VERSION: u32 = 1;

/// The sum, modulo 2^256, of the SHA-256 of every entity's kind, id and JSON. Equal configurations have equal hashes,
/// whatever the order of the events that made them; revisions and times are not part of it.
///
/// It tells honest nodes apart that should be equal. Against forgery there is the chain: a sum can be forged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StateHash([u64; 4]); // the least significant first

impl StateHash {
    /// Takes an entity in.
    pub(super) fn add<T: Serialize>(&mut self, kind: &str, id: &str, value: &T) {
        *self = self.and(Self(digest(kind, id, value)));
    }

    /// The hash of the entities of both.
    pub(super) fn and(mut self, other: Self) -> Self {
        let mut carry = false;
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            (*mine, carry) = mine.carrying_add(theirs, carry);
        }
        self
    }

    /// Takes out an entity that was taken in.
    pub(super) fn remove<T: Serialize>(&mut self, kind: &str, id: &str, value: &T) {
        let mut borrow = false;
        for (mine, theirs) in self.0.iter_mut().zip(digest(kind, id, value)) {
            (*mine, borrow) = mine.borrowing_sub(theirs, borrow);
        }
    }
}

/// Neither a kind nor an id has a NUL, so that no two entities are written the same.
fn digest<T: Serialize>(kind: &str, id: &str, value: &T) -> [u64; 4] {
    let mut written = Vec::with_capacity(256);
    for part in [kind, id] {
        written.extend_from_slice(part.as_bytes());
        written.push(0);
    }
    serde_json::to_writer(&mut written, value)
        .expect("an entity has string keys and a vector takes every write");
    let digest = sha256(&written);
    let (words, _) = digest.as_chunks();
    std::array::from_fn(|place| u64::from_be_bytes(words[3 - place]))
}

/// `<fold version>:<64 hexadecimal digits>`.
impl fmt::Display for StateHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [d, c, b, a] = self.0;
        write!(out, "{FOLD_VERSION}:{a:016x}{b:016x}{c:016x}{d:016x}")
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "StateHash({self})")
    }
}
