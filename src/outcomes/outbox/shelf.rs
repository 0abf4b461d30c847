//! The folder: what its files are called, and whose they are.
//!
//! A start locks a file of its own for as long as it lives. The files of a start whose lock is free are nobody's, and the
//! next start takes them over; those of a predecessor that is still draining stay its own until it is gone.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use flexgate_schemas::{BootId, IdKey, NodeId};

use super::{
    header::{Header, Unreadable},
    ledger::Place,
    lock,
    segment::{self, Pen, Segment},
};

/// How the file ends that a start locks.
const LOCK: &str = "lock";
/// How a file with outcomes ends.
const SEGMENT: &str = "seg";

/// The folder of an outbox.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    node: NodeId,
    boot: BootId,
    /// The starts that were taken over, each with its lock; their places name them by their number here.
    adopted: Mutex<Vec<(BootId, File)>>,
    _own: File,
}

/// Which file it is, as its name says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) boot: BootId,
    pub(super) core: u16,
    pub(super) number: u64,
}

impl Shelf {
    /// Makes the folder if need be.
    pub(super) fn open(folder: &Path, node: NodeId, boot: BootId) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // Locked before it has its name: nobody finds it free.
        let unnamed = folder.join(format!("{boot}.part"));
        let own = File::create(&unnamed)?;
        own.try_lock()?;
        fs::rename(&unnamed, folder.join(format!("{boot}.{LOCK}")))?;
        Ok(Self {
            folder: folder.to_owned(),
            node,
            boot,
            adopted: Mutex::new(Vec::new()),
            _own: own,
        })
    }

    /// Makes a file for a core, with room for all of it.
    pub(super) fn create(&self, core: u16, number: u64, id_key: IdKey) -> io::Result<Pen> {
        let header = Header {
            node: self.node.clone(),
            boot: self.boot.clone(),
            core,
            number,
            id_key,
            made_at: now(),
        };
        let path = self.path(&self.boot, core, number);
        let made = Segment::create(&path, header, allocate);
        if made.is_err() {
            let _absent = fs::remove_file(&path);
        }
        made
    }

    /// Opens a file as memory. One of another node, in a folder that was copied, is not ours to ship.
    pub(super) fn open_segment(&self, place: Place) -> Result<Arc<Segment>, Unreadable> {
        let segment = Segment::open(&self.path_of(place))?;
        if segment.header().node != self.node {
            return Err(Unreadable::Header(format!(
                "it is of node {}",
                segment.header().node
            )));
        }
        Ok(segment)
    }

    /// Deletes a file. The last one of an earlier start takes its lock with it.
    pub(super) fn delete(&self, place: Place) {
        let path = self.path_of(place);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "a file of the outbox cannot be deleted");
        }
    }

    /// Takes over the starts whose lock is free, and returns their files.
    pub(super) fn adopt(&self) -> Vec<(Place, Name)> {
        let Ok(found) = files(&self.folder) else {
            return Vec::new();
        };
        let mut adopted = lock(&self.adopted);
        let known = |boot: &BootId| *boot == self.boot || adopted.iter().any(|(known, _)| known == boot);
        let locked = boots(&self.folder).unwrap_or_default().into_iter();
        let named = found.iter().map(|(name, _)| name.boot.clone());
        let strangers: BTreeSet<_> = locked.chain(named).filter(|boot| !known(boot)).collect();
        let mut taken_over = Vec::new();
        for boot in strangers {
            if let Some(lock) = self.take_lock(&boot) {
                let origin = u32::try_from(adopted.len()).unwrap_or(Place::OWN - 1);
                // Listed once more, now that nobody adds to them.
                let theirs = files(&self.folder).unwrap_or_default().into_iter();
                let theirs = theirs.filter(|(name, _)| name.boot == boot);
                let before = taken_over.len();
                taken_over.extend(theirs.map(|(name, _)| (place_of(origin, &name), name)));
                if taken_over.len() == before {
                    let _absent = fs::remove_file(self.lock_path(&boot)); // it left nothing else
                }
                adopted.push((boot, lock));
            }
        }
        taken_over
    }

    /// Removes the lock of an earlier start of which nothing is left.
    pub(super) fn forget(&self, is_gone: impl Fn(u32) -> bool) {
        for (origin, (boot, _)) in (0..).zip(&*lock(&self.adopted)) {
            if is_gone(origin) {
                let _absent = fs::remove_file(self.lock_path(boot));
            }
        }
    }

    /// Removes our own lock, when nothing is left that a next start would look for.
    pub(super) fn leave(&self) {
        let _absent = fs::remove_file(self.lock_path(&self.boot));
    }

    /// A lock that is not there is free: a start makes its own before anything else.
    fn take_lock(&self, boot: &BootId) -> Option<File> {
        let lock = File::create(self.lock_path(boot)).ok()?;
        match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, %boot, "the outcomes of an earlier start cannot be taken over");
                None
            }
        }
    }

    fn lock_path(&self, boot: &BootId) -> PathBuf {
        self.folder.join(format!("{boot}.{LOCK}"))
    }

    fn path(&self, boot: &BootId, core: u16, number: u64) -> PathBuf {
        self.folder.join(format!("{boot}-{core}-{number}.{SEGMENT}"))
    }

    fn path_of(&self, place: Place) -> PathBuf {
        let adopted = lock(&self.adopted);
        let theirs = usize::try_from(place.origin)
            .ok()
            .and_then(|origin| adopted.get(origin));
        let boot = theirs.map_or(&self.boot, |(boot, _)| boot);
        self.path(boot, place.core, place.number)
    }
}

/// The files with outcomes in a folder, in the order of their names.
pub(super) fn files(folder: &Path) -> io::Result<Vec<(Name, PathBuf)>> {
    let mut files: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((name_of(&path)?, path))
        })
        .collect();
    files.sort();
    Ok(files)
}

/// The starts that have a lock in a folder.
fn boots(folder: &Path) -> io::Result<Vec<BootId>> {
    let boot = |path: PathBuf| {
        let is_lock = path.extension()? == LOCK;
        is_lock
            .then(|| path.file_stem()?.to_str()?.parse().ok())
            .flatten()
    };
    Ok(fs::read_dir(folder)?
        .filter_map(|entry| boot(entry.ok()?.path()))
        .collect())
}

fn name_of(path: &Path) -> Option<Name> {
    if path.extension()? != SEGMENT {
        return None;
    }
    let mut parts = path.file_stem()?.to_str()?.rsplitn(3, '-');
    let number = parts.next()?.parse().ok()?;
    let core = parts.next()?.parse().ok()?;
    let boot = parts.next()?.parse().ok()?;
    Some(Name { boot, core, number })
}

fn place_of(origin: u32, name: &Name) -> Place {
    Place {
        origin,
        core: name.core,
        number: name.number,
    }
}

/// Reserves the room on the disk, so that a write to the memory never finds the disk full. Where the file system cannot
/// reserve, zeros are written.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::{
        fs::{FallocateFlags, fallocate},
        io::Errno,
    };
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeros = vec![0; usize::try_from(bytes).unwrap_or(segment::BYTES)];
            io::Write::write_all(&mut &*file, &zeros)
        }
        done => Ok(done?),
    }
}

fn now() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
