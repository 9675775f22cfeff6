//! Files next to the database that are not part of it but hold clicks, and that only a person may delete.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::path_with;
use crate::{
    interrupt::{TEMPORARY_PREFIX, is_left_over},
    storage::Leftovers,
};

/// What follows the name of a database in the names of those that were replaced by a backup, before the time.
pub(super) const BEFORE_RESTORE: &str = ".before-restore-";

/// As [`crate::storage::Db::leftovers`], for the database at `path`, an absolute path without links.
pub(crate) fn find(path: &Path) -> Leftovers {
    Leftovers {
        wal: Some(path_with(path, "-wal.left")).filter(|path| path.exists()),
        copies: path.parent().map(copies_in).unwrap_or_default(),
        replaced: replaced_of(path),
    }
}

/// Databases that a restore has replaced, and the files next to them, but not the indexes of their WALs.
fn replaced_of(path: &Path) -> Vec<PathBuf> {
    let replaced = path_with(path, BEFORE_RESTORE);
    let (Some(directory), Some(prefix)) = (path.parent(), replaced.file_name()) else {
        return Vec::new();
    };
    files_in(directory, |name| {
        name.starts_with(prefix.as_encoded_bytes()) && !name.ends_with(b"-shm")
    })
}

/// Temporary files of programs that no longer run, and what SQLite has put next to them; none if the directory can't be read.
fn copies_in(directory: &Path) -> Vec<PathBuf> {
    let mut copies = files_in(directory, |name| {
        name.starts_with(TEMPORARY_PREFIX.as_bytes())
    });
    copies.retain(|path| is_left_over(path));
    copies
}

/// The files of a directory with such names, sorted.
fn files_in(directory: &Path, has_name: impl Fn(&[u8]) -> bool) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            has_name(entry.file_name().as_encoded_bytes())
                // Opening a pipe would wait.
                && entry.file_type().is_ok_and(|kind| kind.is_file())
        })
        .map(|entry| entry.path())
        .collect();
    files.sort_unstable();
    files
}
