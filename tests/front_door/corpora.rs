//! What others have collected to break parsers with, through the front door: JSON, naughty strings, email addresses and
//! malformed requests. `tests/run` fetches the collections; none of them is part of this repository.

mod emails;
mod gunicorn;
mod json;
mod naughty;
mod requests;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The path of a collection that `tests/run` has fetched.
#[track_caller]
fn path(within: &str) -> PathBuf {
    let corpora = std::env::var_os("LEADCLICKS_TEST_CORPORA").expect(
        "LEADCLICKS_TEST_CORPORA names a directory with the collections of tests/corpora: \
         run tests/run, which fetches them, instead of cargo test",
    );
    Path::new(&corpora).join(within)
}

/// The files with an `extension` in a directory of a collection, by name: their stems and what they hold.
#[track_caller]
fn files(within: &str, extension: &str) -> Vec<(String, Vec<u8>)> {
    let directory = path(within);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|file| file.extension().is_some_and(|found| found == extension))
        .map(|file| {
            let stem = file.file_stem().expect("a name").to_string_lossy();
            (stem.into_owned(), fs::read(&file).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

/// A collection that is one file of JSON.
#[track_caller]
pub fn json<T: serde::de::DeserializeOwned>(within: &str) -> T {
    let file = path(within);
    let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&text).expect(within)
}
