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

/// As [`crate::storage::Db::leftovers`], for the database at `path`, an absolute path without links.
pub(crate) fn find(path: &Path) -> Leftovers {
    Leftovers {
        wal: Some(path_with(path, "-wal.left")).filter(|path| path.exists()),
        copies: path.parent().map(copies_in).unwrap_or_default(),
    }
}

/// Temporary files of programs that no longer run, and what SQLite has put next to them; none if the directory can't be read.
fn copies_in(directory: &Path) -> Vec<PathBuf> {
    let mut copies: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes()
                .starts_with(TEMPORARY_PREFIX.as_bytes())
                // Opening a pipe would wait.
                && entry.file_type().is_ok_and(|kind| kind.is_file())
        })
        .map(|entry| entry.path())
        .filter(|path| is_left_over(path))
        .collect();
    copies.sort_unstable();
    copies
}
