//! Reports as text: tables for people, CSV, JSON and NDJSON for programs.
//!
//! Renderers know no SQL and write wherever they are told to; rows leave as they come wherever the report allows.

pub mod csv;
mod ink;
pub mod json;
pub mod summary;
pub mod table;

use std::{fmt, io};

use crate::{
    report::{ClickRow, Timeline},
    store,
};

pub use ink::Ink;

/// Why a report could not be written to its end.
#[derive(Debug)]
pub enum Error {
    /// The database can't be read on.
    Store(store::Error),
    /// What is written to takes no more.
    Output(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// `1 lead`, `2 leads`, `2 searches`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    let plural = match number {
        1 => "",
        _ if noun.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{number} {noun}{plural}")
}

/// What comes next of a timeline.
enum Next<'a> {
    Row(&'a ClickRow<'a>),
    /// Reading on may take a while, so a reader should have what there is.
    Wait,
}

/// Gives every click of a timeline to `write`, as it is read.
fn for_each_row(
    mut timeline: Timeline<'_>,
    mut write: impl FnMut(Next<'_>) -> io::Result<()>,
) -> Result<(), Error> {
    loop {
        if timeline.has_to_read() {
            write(Next::Wait)?;
        }
        let Some(click) = timeline.next() else {
            return Ok(());
        };
        write(Next::Row(&timeline.row(&click?)))?;
    }
}

/// A share of the whole as programs get it: four digits after the point.
fn rounded(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}
