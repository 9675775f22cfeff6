//! The import of files: the marketplace's experts, and clicks that a report printed.

pub mod clicks;
pub mod experts;
mod merge;

pub(crate) use merge::{ImportedClicks, compare, import};

use std::{
    fmt,
    io::{self, Read},
};

/// Why a whole file can't be imported.
#[derive(Debug)]
pub enum Unreadable {
    /// The header lacks a column, or has it twice.
    Header {
        /// Which one.
        problem: String,
        /// What it should name.
        wanted: &'static str,
    },
    /// A quote is never closed, so that all rows after it are taken for one field. It is on this line or after.
    OpenQuote(u64),
    /// The file has more bytes than this.
    TooLarge(u64),
    /// Lines that hold no click.
    Lines(clicks::BadLines),
    /// It can't be read.
    Io(io::Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { problem, wanted } => {
                write!(f, "{problem}; the first line should name {wanted}")
            }
            Self::OpenQuote(line) => write!(
                f,
                "a quote is opened on line {line} or after it, and never closed; close it"
            ),
            Self::TooLarge(bytes_max) => write!(
                f,
                "more than {} MiB; split the file",
                bytes_max / (1024 * 1024)
            ),
            Self::Lines(bad) => bad.fmt(f),
            Self::Io(error) if error.kind() == io::ErrorKind::IsADirectory => {
                f.write_str("it is a directory, name a file")
            }
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                f.write_str("there is no such file, check its name")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<csv::Error> for Unreadable {
    fn from(error: csv::Error) -> Self {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => Self::Io(error),
            // Rows may have any length and any bytes, so reading them can fail in no other way.
            _ => Self::Io(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Reads a whole file of at most `bytes_max` bytes.
fn read(input: impl Read, bytes_max: u64) -> Result<Vec<u8>, Unreadable> {
    let mut file = Vec::new();
    input
        .take(bytes_max + 1)
        .read_to_end(&mut file)
        .map_err(Unreadable::Io)?;
    if file.len() as u64 > bytes_max {
        return Err(Unreadable::TooLarge(bytes_max));
    }
    Ok(file)
}

/// The line that a row begins on, and the file from there. What the reader calls its position is the end of the row
/// before: the line feed of a CRLF and blank lines are still to come there.
fn locate<'a>(position: &csv::Position, file: &'a [u8]) -> (u64, &'a [u8]) {
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = file.get(start..).unwrap_or_default();
    let breaks = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let line_feeds = breaks.filter(|byte| **byte == b'\n').count();
    (position.line() + line_feeds as u64, rest)
}

/// Refuses a row, which begins on `line` and has just been read, if it goes to the end of the file because a quote in
/// it is not closed.
fn check_quotes<R: Read>(
    reader: &csv::Reader<R>,
    line: u64,
    row: &[u8],
    file: &[u8],
) -> Result<(), Unreadable> {
    let is_last = reader.position().byte() >= file.len() as u64;
    if is_last && ends_in_quotes(row) {
        return Err(Unreadable::OpenQuote(line));
    }
    Ok(())
}

/// Whether a row that goes to the end of the file has a quoted field there that is not closed.
fn ends_in_quotes(row: &[u8]) -> bool {
    let mut in_quotes = false;
    let mut field_begins = true;
    for byte in row {
        match byte {
            // A doubled quote closes and opens again.
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

/// Where `columns` stand in the header, in any order and case, with blanks or underscores.
fn find_columns<const COUNT: usize>(
    header: &csv::ByteRecord,
    columns: [&str; COUNT],
    wanted: &'static str,
) -> Result<[usize; COUNT], Unreadable> {
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
    let refused = |problem| Unreadable::Header { problem, wanted };
    let mut found = [0; COUNT];
    for (column, index) in columns.iter().zip(&mut found) {
        let mut at = (0..names.len()).filter(|&at| names[at] == *column);
        *index = at
            .next()
            .ok_or_else(|| refused(format!("no column {column}")))?;
        if at.next().is_some() {
            return Err(refused(format!("two columns {column}")));
        }
    }
    Ok(found)
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn check_row(record: &csv::ByteRecord, columns: usize) -> Result<(), String> {
    if record.len() != columns {
        return Err(format!(
            "the header has {columns} fields and this row {}; is a quote missing?",
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
