//! Reports as text: tables for people, CSV, JSON and NDJSON for programs.
//!
//! Renderers know no SQL and write wherever they are told to; rows leave as they come wherever the report allows.

pub mod csv;
pub mod json;
pub mod table;

use std::{fmt, io};

use crate::{
    report::{ByExpert, ClickRow},
    store,
};

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

/// `1 lead`, `2 leads`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Gives every click of a one-expert report to `write` as a full row.
fn for_each_row(
    report: ByExpert<'_>,
    mut write: impl FnMut(&ClickRow<'_>) -> io::Result<()>,
) -> Result<(), Error> {
    let expert_username = report.username().to_owned();
    let expert_name = report.name().to_owned();
    for click in report {
        let click = click?;
        write(&ClickRow {
            email: &click.email,
            expert_username: &expert_username,
            expert_name: &expert_name,
            search_query: &click.search_query,
            created_at: click.created_at,
        })?;
    }
    Ok(())
}
