//! The password of the servers of one data folder. Loopback is shared by all users of a machine, and NATS holds the
//! record: it must not be open to them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::{self, DevstackError};

/// The user name that goes with it.
pub(super) const USER: &str = "flexgate";

/// Reads the password, or makes one up at the first start. Hexadecimal, so it needs no escaping in any URL or file.
pub(super) fn read_or_create(data_dir: &Path) -> Result<String, DevstackError> {
    let path = data_dir.join("password");
    match fs::read_to_string(&path) {
        Ok(password) if !password.is_empty() => return Ok(password),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error::io("read", &path)(error)),
        Ok(_) | Err(_) => {}
    }
    let mut random = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|error| error::io("make up", &path)(io::Error::other(error)))?;
    let password = format!("{:032x}", u128::from_be_bytes(random));
    write_private(&path, &password)?;
    Ok(password)
}

/// The password, if there has been a first start and it may be read.
pub(super) fn read(data_dir: &Path) -> Option<String> {
    fs::read_to_string(data_dir.join("password"))
        .ok()
        .filter(|password| !password.is_empty())
}

/// Readable by its owner alone from the first instant.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), DevstackError> {
    let write = || -> io::Result<()> {
        // A file that is already there would keep its old mode.
        fs::remove_file(path).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?
            .write_all(text.as_bytes())
    };
    write().map_err(error::io("write", path))
}
