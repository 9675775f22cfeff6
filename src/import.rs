//! The import of files: experts of the marketplace, and clicks of a report or of another database.

pub mod clicks;
pub mod experts;
mod merge;
mod source;
mod unknown;

pub(crate) use merge::{ImportStopped, ImportedClicks, compare, import};
pub(crate) use unknown::unknown_experts;

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Why a file can't be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The header lacks a column, or has a column twice.
    #[error("{problem}; the first line should name {wanted}")]
    Header {
        /// The column, and what is wrong with it.
        problem: String,
        /// The columns that the header should name.
        wanted: &'static str,
    },
    /// A quote on or after this line is never closed, so all rows after it belong to one field.
    #[error("a quote that is opened on or after line {0} is never closed; close it")]
    OpenQuote(u64),
    /// The file has more than so many bytes.
    #[error("the file is larger than {} MiB; split it", .0 / (1024 * 1024))]
    TooLarge(u64),
    /// The file is not text.
    #[error("{0}")]
    NotText(&'static str),
    /// The file is a SQLite database, and is not read as one here.
    #[error(
        "it is a database; give `leadclicks import` its path to import its clicks, or export a CSV from it"
    )]
    Database,
    /// Some lines are invalid.
    #[error(
        "{0}; correct or remove what is invalid, or import the rest with --skip-bad; nothing was imported"
    )]
    Lines(BadLines),
    /// All lines after the header are invalid.
    #[error("{0}, and no valid one; check that it is the right file")]
    NoneValid(BadLines),
    /// The file can't be read.
    #[error("{}", match .0.kind() {
        io::ErrorKind::IsADirectory => "it is a directory; name a file".to_owned(),
        io::ErrorKind::NotFound => "the file does not exist; check its name".to_owned(),
        _ => .0.to_string(),
    })]
    Io(io::Error),
}

impl From<csv::Error> for ImportError {
    fn from(error: csv::Error) -> Self {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => Self::Io(error),
            // Rows may have any length and any bytes, so there is no other error.
            _ => Self::Io(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// A line that is not imported.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The number of the line, from 1; of a row of several lines the first.
    pub line: u64,
    /// What is wrong with the line. It never quotes the line.
    pub reason: String,
}

/// The number of invalid lines that are listed. If there are more, the whole file is probably wrong.
pub const BAD_LINES_NAMED_MAX: usize = 20;

/// The invalid lines of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BadLines {
    /// The first ones, at most [`BAD_LINES_NAMED_MAX`].
    pub named: Vec<BadLine>,
    /// The number of all invalid lines.
    pub count: u64,
}

impl BadLines {
    fn add(&mut self, line: impl FnOnce() -> u64, reason: String) {
        self.count += 1;
        if self.named.len() < BAD_LINES_NAMED_MAX {
            let line = line();
            self.named.push(BadLine { line, reason });
        }
    }

    /// The number of invalid lines that are not listed.
    #[must_use]
    pub fn not_named(&self) -> u64 {
        self.count - self.named.len() as u64
    }
}

impl fmt::Display for BadLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = match self.count {
            1 => "line",
            _ => "lines",
        };
        write!(f, "{} invalid {lines}", self.count)?;
        if self.not_named() > 0 {
            write!(f, ", of which {} are listed", self.named.len())?;
        }
        Ok(())
    }
}

/// Whether the file at `path` is a SQLite database. False for standard input and other pipes, from which this reads nothing, and
/// for what can't be read.
pub(crate) fn is_database(path: &Path) -> bool {
    let mut beginning = [0; source::SQLITE.len()];
    path != Path::new("-")
        && path.is_file()
        && File::open(path).is_ok_and(|mut file| file.read_exact(&mut beginning).is_ok())
        && beginning == source::SQLITE
}

/// Opens the file at `path`, or standard input if that is `-`.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, ImportError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(ImportError::Io)?;
    Ok(Box::new(file))
}

/// The indexes of `columns` in the header, which may have them in any order and case, with spaces or underscores.
fn find_columns<const COUNT: usize>(
    header: &csv::ByteRecord,
    columns: [&str; COUNT],
    wanted: &'static str,
) -> Result<[usize; COUNT], ImportError> {
    let names: Vec<String> = header
        .iter()
        .map(|name| {
            String::from_utf8_lossy(name)
                .trim()
                .to_ascii_lowercase()
                .replace(' ', "_")
        })
        .collect();
    let invalid = |problem| ImportError::Header { problem, wanted };
    let mut found = [0; COUNT];
    for (column, index) in columns.iter().zip(&mut found) {
        let mut at = (0..names.len()).filter(|&at| names[at] == *column);
        *index = at
            .next()
            .ok_or_else(|| invalid(format!("no column {column}")))?;
        if at.next().is_some() {
            return Err(invalid(format!("duplicate column {column}")));
        }
    }
    Ok(found)
}

fn check_row(record: &csv::ByteRecord, columns: usize) -> Result<(), String> {
    if record.len() != columns {
        return Err(format!(
            "the header has {columns} fields, but this row has {}; is a quote missing?",
            record.len()
        ));
    }
    Ok(())
}

fn field_text(record: &csv::ByteRecord, index: usize) -> Result<&str, String> {
    let bytes = record.get(index).unwrap_or_default();
    std::str::from_utf8(bytes).map_err(|_| NOT_UTF8.to_owned())
}

const NOT_UTF8: &str = "not UTF-8; save the file as UTF-8";
