//! The bytes of a file as text: its encoding, its line breaks, and the separator of a CSV. Spreadsheets choose these by country
//! and by how a file is saved.

use std::io::Read;

use super::{ImportError, find_columns};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The first bytes of files that are no text, what they are, and what to do.
const NOT_TEXT: [(&[u8], &str); 6] = [
    (
        b"PK\x03\x04",
        "it is an Excel workbook or a zip archive; save it as CSV UTF-8, or unpack it",
    ),
    (
        b"\xd0\xcf\x11\xe0",
        "it is an Excel workbook; save it as CSV UTF-8",
    ),
    (b"\x1f\x8b", "it is compressed; unpack it by gunzip"),
    (b"%PDF", "it is a PDF; export a CSV instead"),
    (b"\xff\xfe\0\0", "it is UTF-32; save it as UTF-8"),
    (b"\0\0\xfe\xff", "it is UTF-32; save it as UTF-8"),
];

/// How a SQLite database begins (<https://www.sqlite.org/fileformat.html#the_database_header>).
pub(super) const SQLITE: &[u8] = b"SQLite format 3\0";

/// The separators that are recognised by the header of a CSV.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A file in UTF-8, without a byte order mark and without a first line such as `sep=;`.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) bytes: Vec<u8>,
    /// The separator that the first line named.
    separator: Option<u8>,
}

impl Source {
    /// Reads a whole file of at most `bytes_max` bytes. UTF-16 is converted to UTF-8.
    pub(super) fn read(input: impl Read, bytes_max: u64) -> Result<Self, ImportError> {
        let mut bytes = Vec::new();
        input
            .take(bytes_max + 1)
            .read_to_end(&mut bytes)
            .map_err(ImportError::Io)?;
        if bytes.len() as u64 > bytes_max {
            return Err(ImportError::TooLarge(bytes_max));
        }
        Self::of(bytes)
    }

    fn of(mut bytes: Vec<u8>) -> Result<Self, ImportError> {
        if bytes.starts_with(SQLITE) {
            return Err(ImportError::Database);
        }
        for (beginning, what) in NOT_TEXT {
            if bytes.starts_with(beginning) {
                return Err(ImportError::NotText(what));
            }
        }
        if let Some(read) = utf16(&bytes) {
            bytes = decode(&bytes, read)?;
        }
        if bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        let named = named_separator(&bytes);
        if let Some((_, line)) = named {
            bytes.drain(..line);
        }
        Ok(Self {
            bytes,
            separator: named.map(|(separator, _)| separator),
        })
    }

    /// A text of this program.
    pub(super) fn of_text(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            separator: None,
        }
    }

    /// A reader of the CSV that is after its header.
    pub(super) fn csv<const COUNT: usize>(
        &self,
        columns: [&str; COUNT],
        wanted: &'static str,
    ) -> Result<CsvSource<'_, COUNT>, ImportError> {
        let mut best: Option<(usize, ImportError)> = None;
        let separators = match &self.separator {
            Some(separator) => std::slice::from_ref(separator),
            None => &SEPARATORS[..],
        };
        for &separator in separators {
            let mut reader = csv::ReaderBuilder::new()
                .flexible(true)
                .delimiter(separator)
                .from_reader(&*self.bytes);
            let header = reader.byte_headers()?;
            let fields = header.len();
            match find_columns(header, columns, wanted) {
                Ok(columns) => {
                    return Ok(CsvSource {
                        file: &self.bytes,
                        reader,
                        columns,
                        fields,
                        separator,
                    });
                }
                // The separator that gives the most fields is probably the right one.
                Err(error) if best.as_ref().is_none_or(|(most, _)| fields > *most) => {
                    best = Some((fields, error));
                }
                Err(_) => {}
            }
        }
        // There is at least one separator.
        Err(best.map_or(ImportError::NotText("it is empty"), |(_, error)| error))
    }

    /// The numbers of its lines.
    pub(super) fn lines(&self) -> Lines<'_> {
        Lines::of(&self.bytes, u64::from(self.separator.is_some()))
    }
}

/// A CSV whose header was read.
pub(super) struct CsvSource<'a, const COUNT: usize> {
    file: &'a [u8],
    pub(super) reader: csv::Reader<&'a [u8]>,
    /// The indexes of the columns.
    pub(super) columns: [usize; COUNT],
    /// The number of fields of the header.
    pub(super) fields: usize,
    pub(super) separator: u8,
}

impl<const COUNT: usize> CsvSource<'_, COUNT> {
    /// Rejects the row that was just read, and begins at `start`, if it extends to the end of the file because of a quote that
    /// is not closed.
    pub(super) fn check_quotes(
        &self,
        start: u64,
        lines: &mut Lines<'_>,
    ) -> Result<(), ImportError> {
        let is_last = self.reader.position().byte() >= self.file.len() as u64;
        if is_last {
            let (line, row) = lines.locate(start);
            if ends_in_quotes(row, self.separator) {
                return Err(ImportError::OpenQuote(line));
            }
        }
        Ok(())
    }
}

/// Whether a row that extends to the end of the file ends within a quoted field.
fn ends_in_quotes(row: &[u8], separator: u8) -> bool {
    let mut in_quotes = false;
    let mut field_begins = true;
    for byte in row {
        match byte {
            // A doubled quote closes the field and opens it again.
            b'"' if in_quotes || field_begins => {
                in_quotes = !in_quotes;
                field_begins = !in_quotes;
            }
            b'\r' | b'\n' => field_begins = !in_quotes,
            _ if *byte == separator => field_begins = !in_quotes,
            _ => field_begins = false,
        }
    }
    in_quotes
}

/// How UTF-16 is read, if `bytes` are that: by its byte order mark, or because every other byte of the header is zero.
fn utf16(bytes: &[u8]) -> Option<fn([u8; 2]) -> u16> {
    match *bytes {
        [0xff, 0xfe, ..] => Some(u16::from_le_bytes),
        [0xfe, 0xff, ..] => Some(u16::from_be_bytes),
        [first, 0, second, 0, ..] if first != 0 && second != 0 => Some(u16::from_le_bytes),
        [0, first, 0, second, ..] if first != 0 && second != 0 => Some(u16::from_be_bytes),
        _ => None,
    }
}

fn decode(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Result<Vec<u8>, ImportError> {
    const INVALID: ImportError = ImportError::NotText("it is not valid UTF-16; save it as UTF-8");
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(INVALID);
    }
    let mut text = String::with_capacity(pairs.len());
    for character in char::decode_utf16(pairs.iter().map(|pair| read(*pair))) {
        text.push(character.map_err(|_| INVALID)?);
    }
    Ok(text.into_bytes())
}

/// The separator in a first line such as `sep=;`, which Excel reads, and the length of that line.
fn named_separator(bytes: &[u8]) -> Option<(u8, usize)> {
    let (name, rest) = bytes.split_at_checked(4)?;
    let (separator, rest) = rest.split_first()?;
    let break_bytes = match rest {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => return None,
    };
    let is_separator = separator.is_ascii() && !matches!(separator, b'"' | b'\r' | b'\n');
    (name.eq_ignore_ascii_case(b"sep=") && is_separator)
        .then_some((*separator, name.len() + 1 + break_bytes))
}

/// Numbers the lines of a file as an editor does, from 1. Fastest if the positions rise.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    file: &'a [u8],
    /// The line feed, or the carriage return in a file without line feeds.
    line_break: u8,
    /// The number of lines that are not part of `file`.
    before: u64,
    /// Line breaks before this position were counted.
    position: usize,
    breaks: u64,
}

impl<'a> Lines<'a> {
    fn of(file: &'a [u8], before: u64) -> Self {
        let line_break = if file.contains(&b'\n') { b'\n' } else { b'\r' };
        Self {
            file,
            line_break,
            before,
            position: 0,
            breaks: 0,
        }
    }

    /// The line on which a row begins, and the file from there on. The position from the csv reader is the end of the row
    /// before, so it may be followed by the line feed of a CRLF, and by blank lines.
    pub(super) fn locate(&mut self, start: u64) -> (u64, &'a [u8]) {
        let start = usize::try_from(start)
            .unwrap_or(usize::MAX)
            .min(self.file.len());
        if start < self.position {
            (self.position, self.breaks) = (0, 0);
        }
        self.breaks += self.count(&self.file[self.position..start]);
        self.position = start;
        let rest = &self.file[start..];
        let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let blank = rest.iter().take_while(|byte| is_break(byte)).count();
        (
            1 + self.before + self.breaks + self.count(&rest[..blank]),
            rest,
        )
    }

    fn count(&self, bytes: &[u8]) -> u64 {
        bytes.split(|byte| *byte == self.line_break).count() as u64 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Source, ImportError> {
        Source::read(bytes, 1000)
    }

    fn utf16_of(text: &str, write: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(write).collect()
    }

    #[test]
    fn every_encoding_and_separator_of_a_spreadsheet_is_read() {
        for (file, separator) in [
            ("a,b\r\nx,🦀", b','),
            ("\u{feff}a;b\nx;🦀", b';'),
            ("a\tb\rx\t🦀", b'\t'),
            ("sep=;\r\na;b\r\nx;🦀", b';'),
            ("\u{feff}SEP=_\na_b\nx_🦀", b'_'),
        ] {
            let unmarked = file.trim_start_matches('\u{feff}');
            for bytes in [
                file.as_bytes().to_vec(),
                utf16_of(&format!("\u{feff}{unmarked}"), u16::to_le_bytes),
                utf16_of(&format!("\u{feff}{unmarked}"), u16::to_be_bytes),
                utf16_of(unmarked, u16::to_le_bytes),
                utf16_of(unmarked, u16::to_be_bytes),
            ] {
                let source = read(&bytes).unwrap();
                let mut csv = source.csv(["a", "b"], "a and b").unwrap();
                assert_eq!(
                    (csv.separator, csv.columns, csv.fields),
                    (separator, [0, 1], 2)
                );
                let mut record = csv::ByteRecord::new();
                assert!(csv.reader.read_byte_record(&mut record).unwrap());
                assert_eq!(record, vec!["x", "🦀"]);
            }
        }
    }

    #[test]
    fn a_file_that_is_no_text_is_named() {
        for (file, error) in [
            (
                &b"PK\x03\x04..."[..],
                "it is an Excel workbook or a zip archive; save it as CSV UTF-8, or unpack it",
            ),
            (b"\x1f\x8b\x08", "it is compressed; unpack it by gunzip"),
            (b"\xff\xfe\0\0a\0\0\0", "it is UTF-32; save it as UTF-8"),
            (b"\xff\xfea", "it is not valid UTF-16; save it as UTF-8"),
            (b"a\0b\0\0\xd8", "it is not valid UTF-16; save it as UTF-8"),
        ] {
            assert_eq!(read(file).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn the_error_about_a_header_is_that_of_the_separator_that_fits_best() {
        let error = |file: &[u8]| {
            read(file)
                .unwrap()
                .csv(["a", "b"], "a and b")
                .err()
                .map(|error| error.to_string())
        };
        for file in ["a;c", "a,c", "sep=|\na|c"] {
            assert_eq!(
                error(file.as_bytes()).as_deref(),
                Some("no column b; the first line should name a and b")
            );
        }
    }

    #[test]
    fn lines_are_numbered_by_line_feeds_or_else_by_carriage_returns() {
        for (file, lines) in [
            ("a\nb\n\n\"c\rd\"\ne", [1, 2, 4, 5]),
            ("a\r\nb\r\n\r\n\"c\rd\"\r\ne", [1, 2, 4, 5]),
            ("a\rb\r\r\"cd\"\re", [1, 2, 4, 5]),
            ("sep=,\na\nb\n\n\"cd\"\ne", [2, 3, 5, 6]),
        ] {
            let source = read(file.as_bytes()).unwrap();
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .from_reader(&*source.bytes);
            let mut found = source.lines();
            let rows: Vec<u64> = reader
                .byte_records()
                .map(|row| found.locate(row.unwrap().position().unwrap().byte()).0)
                .collect();
            assert_eq!(rows, lines, "{file:?}");
            assert_eq!(source.lines().locate(u64::MAX).1, b"");
        }
    }
}
