//! Whether SQLite's file is still where it was opened.
//!
//! A file that was moved or deleted stays writable through what is open, so SQLite would go on
//! and acknowledge writes that nobody will ever find again.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::fault::{Fault, Reason};

/// A file, by its path and by what the file system calls it.
#[derive(Debug)]
pub(crate) struct SqliteFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SqliteFile {
    /// The file that is at this path now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
        })
    }

    /// Looks again: about a microsecond, beside a commit that waits for the disk.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE` while another file, or none, is at the path.
    pub(super) fn is_in_place(&self) -> Result<(), Fault> {
        let gone = || {
            Fault::new(
                Reason::StoreUnavailable,
                "the database cannot be reached, try again",
            )
        };
        let found = fs::metadata(&self.path).map_err(|error| gone().with_source(error))?;
        if (found.dev(), found.ino()) == (self.device, self.inode) {
            Ok(())
        } else {
            Err(gone().with_source("another file has taken the place of the database"))
        }
    }
}
