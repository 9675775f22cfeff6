//! Whether a click that is stored in a database will be found there.
//!
//! SQLite finds the `-wal` file, which has the newest clicks, by its name next to the database. So all files must be in one
//! place under one name, and none of them may be a stranger's.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx},
    process::geteuid,
};

use super::path_with;
use crate::storage::{Cause, Error};

/// The database and the files that SQLite reads next to it.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// The mode bit with which every user may create, rename and delete files in a directory.
const OTHERS_WRITE: u32 = 0o002;

/// Checks that clicks that this process stores in the database at `path`, which has no links in it, will be found.
///
/// # Errors
/// If one of the database's files is a mount of its own, if the database has a second name, if one of its files belongs to
/// a stranger, or if the files can't be checked.
pub(super) fn check_location(path: &Path) -> Result<(), Error> {
    match find_fault(path) {
        Ok(None) => Ok(()),
        Ok(Some(cause)) => Err(Error::new(path, cause)),
        Err(error) => Err(Error::unusable(path, error)),
    }
}

fn find_fault(path: &Path) -> io::Result<Option<Cause>> {
    for suffix in SUFFIXES {
        if is_mount(&path_with(path, suffix))? {
            return Ok(Some(Cause::FileMounted { suffix }));
        }
    }
    match fs::metadata(path) {
        Ok(file) if file.nlink() > 1 => return Ok(Some(Cause::SecondName)),
        // Restoring a backup creates it.
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let owned = fs::metadata(directory)?;
    if owned.mode() & OTHERS_WRITE == 0 {
        return Ok(None);
    }
    let trusted = [geteuid().as_raw(), 0, owned.uid()];
    for suffix in SUFFIXES {
        match fs::symlink_metadata(path_with(path, suffix)) {
            Ok(file) if !trusted.contains(&file.uid()) => {
                return Ok(Some(Cause::StrangersFile {
                    suffix,
                    directory: directory.to_owned(),
                }));
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(None)
}

/// Whether the file at `path` is mounted there itself, as containers do with single files. False before Linux 5.8, which
/// does not say it.
fn is_mount(path: &Path) -> io::Result<bool> {
    match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty()) {
        Ok(file) => Ok(file.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(error) if io::Error::from(error).kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether an open file has more than one name. Requests no times, because that would make the next write slower: see
/// `identity_of` in `file_state`.
pub(super) fn has_second_name(file: &File) -> io::Result<bool> {
    let file = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::NLINK)?;
    Ok(file.stx_nlink > 1)
}
