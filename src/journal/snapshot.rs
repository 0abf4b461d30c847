//! The snapshot file: the fold on disk, so that a node starts without NATS.
//!
//! One line of header with the hash of the rest, then the fold as JSON, then each API key in a line of its own: there may be
//! a million, and neither who writes nor who reads has them all in memory a second time. Written beside the old ones and
//! renamed into place; the three newest are kept, and one that does not verify is passed over with a warning.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{Context, SHA256};
use flexgate_schemas::{Chain, ClusterId, Timestamp, chain::hex};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    Fold, View,
    fold::{Kept, Remembered},
};
use crate::{domain::ConfigState, drain::Tasks};

/// The shape of the file. In the first one there were no keys.
const FORMAT: u32 = 2;
/// The length of the header, its end included. It is written last, when the hash is known, and filled up with blanks.
const HEADER_BYTES: usize = 256;
/// What is between the disk and us.
const BUFFER_BYTES: usize = 64 << 10;
/// How many files are kept.
const KEPT: usize = 3;
/// The shortest pause between two files.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// A file is written at most for one part in this many of the time.
const EFFORT: u32 = 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Header {
    format: u32,
    sha256: String,
    bytes: usize,
    state_hash: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    cluster: Option<ClusterId>,
    generation: u64,
    revision: u64,
    chain: Chain,
    parent: Chain,
    at: Option<Timestamp>,
    state: ConfigState,
    remembered: Vec<Kept>,
}

/// The folder with the snapshots of one node.
#[derive(Debug, Clone)]
pub struct Snapshots {
    folder: PathBuf,
}

/// Why a file is not a snapshot that can be served.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is not a snapshot: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("{0}")]
    Broken(&'static str),
}

impl Snapshots {
    /// The snapshots in a folder, which is made when the first one is written.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The newest snapshot that verifies. Blocks on the disk.
    pub fn load(&self) -> Option<Fold> {
        self.files().into_iter().rev().find_map(|path| match read(&path) {
            Ok(fold) => Some(fold),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "passing over a snapshot");
                None
            }
        })
    }

    /// Writes a snapshot and removes the oldest beyond three. Blocks on the disk.
    pub fn save(&self, fold: &Fold) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let name = format!("snapshot-{:010}-{:020}.json", fold.generation, fold.revision);
        let unfinished = self.folder.join(format!("{name}.part"));
        let mut file = fs::File::create(&unfinished)?;
        write(&mut file, fold)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.folder.join(name))?;
        fs::File::open(&self.folder)?.sync_all()?;
        let files = self.files();
        for old in &files[..files.len().saturating_sub(KEPT)] {
            fs::remove_file(old)?;
        }
        Ok(())
    }

    /// The files, oldest first: their names sort by generation and revision.
    fn files(&self) -> Vec<PathBuf> {
        let is_snapshot = |path: &PathBuf| {
            let name = path.file_stem().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("snapshot-"))
                && path.extension().is_some_and(|end| end == "json")
        };
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(is_snapshot).collect();
        files.sort();
        files
    }
}

fn write(file: &mut fs::File, fold: &Fold) -> io::Result<()> {
    file.write_all(&[b' '; HEADER_BYTES])?;
    let (sha256, bytes) = write_rest(file, fold)?;
    let mut header = serde_json::to_vec(&Header {
        format: FORMAT,
        sha256,
        bytes,
        state_hash: fold.state.hash().to_string(),
    })?;
    header.resize(HEADER_BYTES - 1, b' ');
    header.push(b'\n');
    file.rewind()?;
    file.write_all(&header)
}

/// Everything but the header, of which this returns the hash and the length.
fn write_rest(file: &mut fs::File, fold: &Fold) -> io::Result<(String, usize)> {
    let (state, keys) = fold.state.without_keys();
    let mut rest = BufWriter::with_capacity(BUFFER_BYTES, Hashed::of(file));
    let body = Body {
        cluster: fold.cluster.clone(),
        generation: fold.generation,
        revision: fold.revision,
        chain: fold.chain,
        parent: fold.parent,
        at: fold.at,
        state,
        remembered: fold.remembered.iter().cloned().collect(),
    };
    serde_json::to_writer(&mut rest, &body)?;
    // Every other one first: keys that come in order leave the nodes of their tree half empty, and the others fill them up.
    let others = keys.values().skip(1).step_by(2);
    for entry in keys.values().step_by(2).chain(others) {
        rest.write_all(b"\n")?;
        serde_json::to_writer(&mut rest, entry)?;
    }
    rest.flush()?;
    Ok(rest.get_ref().so_far())
}

fn read(path: &Path) -> Result<Fold, Unusable> {
    let mut file = BufReader::with_capacity(BUFFER_BYTES, fs::File::open(path)?);
    let mut line = Vec::new();
    file.read_until(b'\n', &mut line)?;
    let header: Header = serde_json::from_slice(&line)?;
    if !(1..=FORMAT).contains(&header.format) {
        return Err(Unusable::Broken("it was written by another version"));
    }
    let mut rest = Hashed::of(io::sink());
    let mut next = |line: &mut Vec<u8>| {
        line.clear();
        file.read_until(b'\n', line)?;
        rest.write_all(line)?;
        Ok::<_, io::Error>(!line.is_empty())
    };
    next(&mut line)?;
    let mut body: Body = serde_json::from_slice(&line)?;
    while next(&mut line)? {
        body.state.restore_key(serde_json::from_slice(&line)?);
    }
    if (header.sha256, header.bytes) != rest.so_far() {
        return Err(Unusable::Broken("its content is not what was written"));
    }
    if header.state_hash != body.state.hash().to_string() {
        return Err(Unusable::Broken(
            "its state does not have the hash it had when it was written",
        ));
    }
    Ok(Fold {
        state: body.state,
        cluster: body.cluster,
        generation: body.generation,
        revision: body.revision,
        chain: body.chain,
        parent: body.parent,
        last_sequence: body.revision,
        at: body.at,
        remembered: body.remembered.into_iter().collect::<Remembered>(),
    })
}

/// Counts and hashes what is written to something.
struct Hashed<W> {
    inner: W,
    context: Context,
    bytes: usize,
}

impl<W: Write> Hashed<W> {
    fn of(inner: W) -> Self {
        Self {
            inner,
            context: Context::new(&SHA256),
            bytes: 0,
        }
    }

    /// The hash in hexadecimal, and the number of bytes.
    fn so_far(&self) -> (String, usize) {
        (hex(self.context.clone().finish().as_ref()), self.bytes)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.context.update(&bytes[..written]);
        self.bytes += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a snapshot whenever the fold has changed, and a last one when the tasks are stopped.
pub async fn keep(snapshots: Snapshots, mut view: watch::Receiver<Arc<View>>, tasks: Tasks) {
    let mut saved = { view.borrow().from_snapshot.then(|| view.borrow().chain()) };
    loop {
        // Looked at first: what is folded while the last file is written still gets its own.
        let stopping = tasks.is_stopping();
        let latest = view.borrow_and_update().clone();
        let mut pause = PAUSE_MIN;
        if latest.generation() > 0 && saved != Some(latest.chain()) {
            let started = Instant::now();
            save(&snapshots, latest.clone()).await;
            saved = Some(latest.chain());
            pause = pause.max(started.elapsed() * EFFORT);
        }
        if stopping {
            return;
        }
        tasks.unless_stopped(tokio::time::sleep(pause)).await;
        if let Some(Err(_)) = tasks.unless_stopped(view.changed()).await {
            return;
        }
    }
}

async fn save(snapshots: &Snapshots, view: Arc<View>) {
    let snapshots = snapshots.clone();
    let saving = tokio::task::spawn_blocking(move || snapshots.save(&view.fold));
    match saving.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(%error, "no snapshot written: a start without NATS serves an older state");
        }
        Err(error) => tracing::error!(%error, "the snapshot writer failed"),
    }
}
