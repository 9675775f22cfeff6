//! The import of files: experts of the marketplace, and clicks of a report.

pub mod clicks;
pub mod experts;
mod merge;

pub(crate) use merge::{ImportStopped, ImportedClicks, compare, import};

use std::{
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
    /// Some lines are invalid.
    #[error("{0}")]
    Lines(clicks::BadLines),
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

/// Opens the file at `path`, or standard input if that is `-`.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, ImportError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(ImportError::Io)?;
    Ok(Box::new(file))
}

/// Reads a whole file of at most `bytes_max` bytes.
fn read(input: impl Read, bytes_max: u64) -> Result<Vec<u8>, ImportError> {
    let mut file = Vec::new();
    input
        .take(bytes_max + 1)
        .read_to_end(&mut file)
        .map_err(ImportError::Io)?;
    if file.len() as u64 > bytes_max {
        return Err(ImportError::TooLarge(bytes_max));
    }
    Ok(file)
}

/// The line on which a row begins, and the file from there on. The position from the reader is the end of the row before,
/// so it may be followed by the line feed of a CRLF, and by blank lines.
fn locate<'a>(position: &csv::Position, file: &'a [u8]) -> (u64, &'a [u8]) {
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = file.get(start..).unwrap_or_default();
    let breaks = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let line_feeds = breaks.filter(|byte| **byte == b'\n').count();
    (position.line() + line_feeds as u64, rest)
}

/// Rejects the row that was just read, and begins on `line`, if it extends to the end of the file because of a quote that
/// is not closed.
fn check_quotes<R: Read>(
    reader: &csv::Reader<R>,
    line: u64,
    row: &[u8],
    file: &[u8],
) -> Result<(), ImportError> {
    let is_last = reader.position().byte() >= file.len() as u64;
    if is_last && ends_in_quotes(row) {
        return Err(ImportError::OpenQuote(line));
    }
    Ok(())
}

/// Whether a row that extends to the end of the file ends within a quoted field.
fn ends_in_quotes(row: &[u8]) -> bool {
    let mut in_quotes = false;
    let mut field_begins = true;
    for byte in row {
        match byte {
            // A doubled quote closes the field and opens it again.
            b'"' if in_quotes || field_begins => {
                in_quotes = !in_quotes;
                field_begins = !in_quotes;
            }
            b',' | b'\r' | b'\n' => field_begins = !in_quotes,
            _ => field_begins = false,
        }
    }
    in_quotes
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
            let name = name.strip_prefix(BYTE_ORDER_MARK).unwrap_or(name);
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

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

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
