//! The log as a file, for `flexgate logs`. At most two of a bounded length: the current one, and the one before.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The longest one. Twice this may be on the disk.
const BYTES_MAX: u64 = 32 << 20;

/// A file that is put aside when it is too long.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl LogFile {
    /// An empty one; the one of the start before is kept beside it.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        let _first_start = fs::rename(path, path.with_extension("log.old"));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes: 0,
        })
    }
}

impl Write for LogFile {
    /// A whole line: that is what the subscriber writes at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.bytes > BYTES_MAX {
            *self = Self::create(&self.path)?;
        }
        self.bytes += line.len() as u64;
        self.file.write_all(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
