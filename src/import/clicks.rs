//! The import of clicks from a report in CSV or NDJSON.

use std::{
    borrow::Cow,
    cmp::Reverse,
    fmt,
    io::{Cursor, Read},
};

use serde::Deserialize;

use super::{
    BYTE_ORDER_MARK, BadLine, ImportError, NOT_UTF8, check_quotes, check_row, field_text,
    find_columns, locate, read,
};
use crate::{click::Click, progress::Progress, text::spreadsheet::Cells, timestamp::Timestamp};

/// The largest file that is imported, in bytes: about 40 million clicks. The whole file is read into memory, plus 16 bytes
/// for each click.
pub const CLICKS_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// The number of invalid lines that are listed. If there are more, the whole file is probably wrong.
pub const BAD_LINES_NAMED_MAX: usize = 20;

/// Progress is reported after so many clicks.
pub(super) const CLICKS_A_STEP: usize = 4096;

/// The buffer for reading a single row in the middle of a file, in bytes. Most rows are shorter.
const ROW_BYTES: usize = 512;

const WANTED: &str =
    "email, expert_username, search_query and created_at, as `leadclicks report --format csv` does";

/// The format of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One row per click, below a header
    Csv,
    /// One JSON object per line
    Ndjson,
}

/// The clicks of a file, in the order in which they will be stored.
#[derive(Debug)]
pub struct ParsedClicks {
    file: Vec<u8>,
    rows: Rows,
    /// Oldest first. Of clicks with the same time, the last in the file is first, because reports print the newest first.
    positions: Vec<ClickPosition>,
}

/// How to read a row.
#[derive(Debug, Clone, Copy)]
enum Rows {
    Csv {
        /// The indexes of email, expert_username, search_query and created_at.
        columns: [usize; 4],
        cells: Cells,
    },
    Ndjson,
}

/// The position of a click in the file. The texts are read again when they are needed, because they take the most memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClickPosition {
    pub(super) created_at: Timestamp,
    /// The byte at which its row begins, or at which the row before ends.
    start: u64,
}

/// The invalid lines of a file.
#[derive(Debug, Default)]
pub struct BadLines {
    /// The first ones, at most [`BAD_LINES_NAMED_MAX`].
    pub named: Vec<BadLine>,
    /// The number of all invalid lines.
    pub count: u64,
}

impl BadLines {
    fn add(&mut self, line: u64, reason: String) {
        self.count += 1;
        if self.named.len() < BAD_LINES_NAMED_MAX {
            self.named.push(BadLine { line, reason });
        }
    }
}

impl fmt::Display for BadLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lines, them) = match self.count {
            1 => ("line", "it"),
            _ => ("lines", "them"),
        };
        write!(f, "{} invalid {lines}", self.count)?;
        if self.count > self.named.len() as u64 {
            write!(f, ", of which {} are listed", self.named.len())?;
        }
        write!(
            f,
            "; correct or remove {them}, because a file is imported completely or not at all"
        )
    }
}

/// Parses the clicks of a report: CSV with the columns `email`, `expert_username`, `search_query` and `created_at` in any
/// order, or NDJSON with these fields. Other columns and fields are ignored. Without a `format`, the file is NDJSON if it
/// begins with `{` or is empty. Times are RFC 3339 or in the form of the database, and not after `now`, which is called
/// after the file is read: a time in the future is from a wrong clock or time zone, and would be the newest click of every
/// report until then. Reports `progress` in bytes.
///
/// # Errors
/// When the file, or any of its lines, is invalid.
pub fn parse(
    input: impl Read,
    format: Option<Format>,
    cells: Cells,
    now: impl FnOnce() -> Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<ParsedClicks, ImportError> {
    let file = read(input, CLICKS_BYTES_MAX)?;
    let mut parser = Parser {
        file: &file,
        now: now(),
        positions: Vec::new(),
        bad: BadLines::default(),
        progress,
    };
    let rows = match format.unwrap_or_else(|| format_of(&file)) {
        Format::Csv => parser.read_csv(cells)?,
        Format::Ndjson => parser.read_ndjson(),
    };
    let Parser {
        mut positions, bad, ..
    } = parser;
    if bad.count > 0 {
        return Err(ImportError::Lines(bad));
    }
    positions.sort_unstable_by_key(|position| (position.created_at, Reverse(position.start)));
    Ok(ParsedClicks {
        file,
        rows,
        positions,
    })
}

fn format_of(file: &[u8]) -> Format {
    let file = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    match file.trim_ascii_start().first() {
        // A report without clicks is an empty file in NDJSON, and a header in CSV.
        Some(b'{') | None => Format::Ndjson,
        Some(_) => Format::Csv,
    }
}

struct Parser<'a> {
    file: &'a [u8],
    now: Timestamp,
    positions: Vec<ClickPosition>,
    bad: BadLines,
    progress: &'a mut dyn FnMut(Progress),
}

impl Parser<'_> {
    fn read_csv(&mut self, cells: Cells) -> Result<Rows, ImportError> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(self.file);
        let header = reader.byte_headers()?.clone();
        let columns = find_columns(
            &header,
            ["email", "expert_username", "search_query", "created_at"],
            WANTED,
        )?;
        let rows = Rows::Csv { columns, cells };
        let mut record = csv::ByteRecord::new();
        while reader.read_byte_record(&mut record)? {
            let Some(position) = record.position() else {
                continue;
            };
            let start = position.byte();
            let (line, row) = locate(position, self.file);
            check_quotes(&reader, line, row, self.file)?;
            let click = check_row(&record, header.len())
                .and_then(|()| click_of_record(&record, columns, cells));
            self.add(start, click, || line);
        }
        Ok(rows)
    }

    fn read_ndjson(&mut self) -> Rows {
        let mut start = 0;
        if self.file.starts_with(BYTE_ORDER_MARK) {
            start = BYTE_ORDER_MARK.len();
        }
        let lines = self.file[start..].split_inclusive(|byte| *byte == b'\n');
        for (line, bytes) in (1..).zip(lines) {
            if !bytes.trim_ascii().is_empty() {
                self.add(start as u64, click_of_line(bytes), || line);
            }
            start += bytes.len();
        }
        Rows::Ndjson
    }

    fn add(
        &mut self,
        start: u64,
        click: Result<(Click, Timestamp), String>,
        line: impl Fn() -> u64,
    ) {
        match click {
            Ok((_, created_at)) if created_at > self.now => {
                self.bad
                    .add(line(), "created_at is in the future".to_owned());
            }
            Ok((_, created_at)) => self.positions.push(ClickPosition { created_at, start }),
            Err(reason) => self.bad.add(line(), reason),
        }
        if self.positions.len().is_multiple_of(CLICKS_A_STEP) {
            (self.progress)(Progress {
                done: start,
                total: self.file.len() as u64,
            });
        }
    }
}

fn click_of_record(
    record: &csv::ByteRecord,
    [email, expert_username, search_query, created_at]: [usize; 4],
    cells: Cells,
) -> Result<(Click, Timestamp), String> {
    let text = |index| Ok::<_, String>(cells.read(field_text(record, index)?));
    checked(
        &text(email)?,
        &text(expert_username)?,
        &text(search_query)?,
        &text(created_at)?,
    )
}

fn click_of_line(bytes: &[u8]) -> Result<(Click, Timestamp), String> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        email: Option<Cow<'a, str>>,
        #[serde(borrow)]
        expert_username: Option<Cow<'a, str>>,
        #[serde(borrow)]
        search_query: Option<Cow<'a, str>>,
        #[serde(borrow)]
        created_at: Option<Cow<'a, str>>,
    }
    // serde would also accept an array of strings.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err("not a JSON object".to_owned());
    }
    // serde's own messages may quote the line.
    let line: Line<'_> = serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            "a field occurs twice or is not a string".to_owned()
        } else if str::from_utf8(bytes).is_err() {
            NOT_UTF8.to_owned()
        } else {
            "not JSON".to_owned()
        }
    })?;
    let missing =
        |name| move || format!("no {name}; only --format ndjson writes one click per line");
    checked(
        &line.email.ok_or_else(missing("email"))?,
        &line
            .expert_username
            .ok_or_else(missing("expert_username"))?,
        &line.search_query.ok_or_else(missing("search_query"))?,
        &line.created_at.ok_or_else(missing("created_at"))?,
    )
}

fn checked(
    email: &str,
    expert_username: &str,
    search_query: &str,
    created_at: &str,
) -> Result<(Click, Timestamp), String> {
    let click = Click::new(email, expert_username, search_query.to_owned());
    let created_at = created_at.trim();
    let time = Timestamp::parse_rfc3339(created_at).or_else(|| Timestamp::parse_stored(created_at));
    let mut reasons = Vec::new();
    if let Err(violations) = &click {
        reasons.extend(
            violations
                .iter()
                .map(|violation| format!("{} {}", violation.field.name(), violation.rule)),
        );
    }
    if time.is_none() {
        reasons.push(
            "created_at should be a time with its offset, for example 2026-11-01T09:30:00Z"
                .to_owned(),
        );
    }
    match (click, time) {
        (Ok(click), Some(time)) => Ok((click, time)),
        _ => Err(reasons.join("; ")),
    }
}

impl ParsedClicks {
    /// The number of clicks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there are no clicks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The positions of the clicks in the file, oldest first.
    pub(super) fn positions(&self) -> &[ClickPosition] {
        &self.positions
    }

    /// The clicks and their times, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (Click, Timestamp)> {
        let mut rows = RowReader::new(self);
        self.positions
            .iter()
            .filter_map(move |position| Some((rows.read(position)?, position.created_at)))
    }

    /// The line on which a click begins.
    pub(super) fn line(&self, click: &ClickPosition) -> u64 {
        let start = usize::try_from(click.start).unwrap_or(usize::MAX);
        let before = self.file.get(..start).unwrap_or_default();
        let line_feeds = before.split(|byte| *byte == b'\n').count() as u64;
        let mut position = csv::Position::new();
        position.set_byte(click.start).set_line(line_feeds);
        locate(&position, &self.file).0
    }
}

/// Reads rows of a parsed file again, in any order.
pub(super) struct RowReader<'a> {
    clicks: &'a ParsedClicks,
    csv: csv::Reader<Cursor<&'a [u8]>>,
    record: csv::ByteRecord,
}

impl<'a> RowReader<'a> {
    pub(super) fn new(clicks: &'a ParsedClicks) -> Self {
        Self {
            clicks,
            csv: csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .buffer_capacity(ROW_BYTES)
                .from_reader(Cursor::new(&clicks.file)),
            record: csv::ByteRecord::new(),
        }
    }

    /// The click at a position. There always is one, because the file in memory was parsed and has not changed.
    pub(super) fn read(&mut self, click: &ClickPosition) -> Option<Click> {
        let read = match self.clicks.rows {
            Rows::Csv { columns, cells } => {
                if self.csv.position().byte() != click.start {
                    // From one byte earlier: the reader skips a byte order mark at the beginning, which is data in the
                    // middle of a file.
                    let mut position = csv::Position::new();
                    position.set_byte(click.start.checked_sub(1)?);
                    self.csv.seek(position).ok()?;
                }
                self.csv.read_byte_record(&mut self.record).ok()?;
                click_of_record(&self.record, columns, cells)
            }
            Rows::Ndjson => {
                let start = usize::try_from(click.start).ok()?;
                let line = self.clicks.file.get(start..)?;
                let end = line.iter().position(|byte| *byte == b'\n');
                click_of_line(line.get(..end.unwrap_or(line.len()))?)
            }
        };
        read.ok().map(|(click, _)| click)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse_at_noon(file: &[u8], format: Option<Format>) -> Result<ParsedClicks, ImportError> {
        let now = Timestamp::parse_stored("2026-11-01 12:00:00").unwrap();
        parse(file, format, Cells::Guarded, || now, &mut |_| ())
    }

    fn read(file: &str) -> Vec<[String; 4]> {
        parse_at_noon(file.as_bytes(), None)
            .unwrap()
            .iter()
            .map(|(click, created_at)| {
                [
                    click.email(),
                    click.expert_username(),
                    click.search_query(),
                    &created_at.rfc3339(),
                ]
                .map(str::to_owned)
            })
            .collect()
    }

    fn bad_lines(file: &[u8]) -> Vec<(u64, String)> {
        match parse_at_noon(file, None).unwrap_err() {
            ImportError::Lines(bad) => bad
                .named
                .into_iter()
                .map(|bad| (bad.line, bad.reason))
                .collect(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn csv_is_read_in_any_order_of_columns_oldest_first_and_ties_from_the_end() {
        let file = "\u{feff}Created At,note,search_query,expert_username,email\r\n\
            2026-11-01T09:00:01.000000Z,,\"a, \"\"b\"\"\r\nc\",jdoe,amy@example.com\r\n\
            \r\n\
            2026-11-01T10:00:00+01:00,,'=1+1,jdoe, Amy@Example.com \r\n\
            2026-11-01 09:00:00.000000,x,'tis,zo\u{eb},bob@example.com";
        assert_eq!(
            read(file),
            [
                [
                    "bob@example.com",
                    "zo\u{eb}",
                    "'tis",
                    "2026-11-01T09:00:00.000000Z"
                ],
                [
                    "amy@example.com",
                    "jdoe",
                    "=1+1",
                    "2026-11-01T09:00:00.000000Z"
                ],
                [
                    "amy@example.com",
                    "jdoe",
                    "a, \"b\"\r\nc",
                    "2026-11-01T09:00:01.000000Z"
                ],
            ]
        );
    }

    #[test]
    fn ndjson_is_read_exactly() {
        let file = "\u{feff} \r\n{\"email\":\"amy@example.com\",\"expert_username\":\"jdoe\",\"more\":[{}],\
            \"search_query\":\"'=\\u0000\\n\",\"created_at\":\"2026-11-01T09:00:00Z\"}\r\n\r\n";
        assert_eq!(
            read(file),
            [[
                "amy@example.com",
                "jdoe",
                "'=\0\n",
                "2026-11-01T09:00:00.000000Z"
            ]]
        );
        assert_eq!(read(" \n"), [[""; 4]; 0]);
    }

    #[test]
    fn invalid_lines_are_listed_and_never_quoted() {
        let header = "email,expert_username,expert_name,search_query,created_at\n";
        let long = "q".repeat(2001);
        let file = format!(
            "{header}\
             amy@example.com,jdoe,,,2026-11-01T09:00:00Z\n\
             amy,,,,2026-11-01T09:00:00Z\n\n\
             a@b,j,,\"\n\n\",yesterday\n\
             a@b,j,,{long},2026-11-01T12:00:00.000000Z\n\
             a@b,j,,,2026-11-01T12:00:00.000001Z\n\
             a@b,j,,2026-11-01T09:00:00Z\n"
        );
        let mut bytes = file.into_bytes();
        bytes.extend_from_slice(b"a@b,j,,\xff,2026-11-01T09:00:00Z\n");
        let time = "created_at should be a time with its offset, for example 2026-11-01T09:30:00Z";
        let email = "email should have one @ with text on both sides and no white space";
        let expected = [
            (
                3,
                format!("{email}; expert_username should have at least 1 character"),
            ),
            (5, time.to_owned()),
            (
                8,
                "search_query should have at most 2000 characters".to_owned(),
            ),
            (9, "created_at is in the future".to_owned()),
            (
                10,
                "the header has 5 fields, but this row has 4; is a quote missing?".to_owned(),
            ),
            (11, NOT_UTF8.to_owned()),
        ];
        assert_eq!(bad_lines(&bytes), expected);

        let good = r#"{"email":"a@b","expert_username":"j","search_query":"","created_at":"2026-11-01T09:00:00Z"}"#;
        let twice = good.replace('{', r#"{"email":"c@d","#);
        let number = good.replace(r#""j""#, "1");
        let lines =
            format!("{good}\n{good}{good}\n\n{twice}\n{number}\n[]\n{{}}\n{{\"leads\":[]}}\n{{\n");
        let mut bytes = lines.into_bytes();
        bytes.extend_from_slice(b"{\"\xff\":1}");
        let no_email = "no email; only --format ndjson writes one click per line";
        let no_text = "a field occurs twice or is not a string";
        let expected = [
            (2, "not JSON"),
            (4, no_text),
            (5, no_text),
            (6, "not a JSON object"),
            (7, no_email),
            (8, no_email),
            (9, "not JSON"),
            (10, NOT_UTF8),
        ]
        .map(|(line, reason)| (line, reason.to_owned()));
        assert_eq!(bad_lines(&bytes), expected);
    }

    #[test]
    fn no_more_than_twenty_invalid_lines_are_listed() {
        let file = format!(
            "email,expert_username,search_query,created_at\n{}",
            ",,,\n".repeat(22)
        );
        let error = parse_at_noon(file.as_bytes(), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "22 invalid lines, of which 20 are listed; correct or remove them, because a file is imported completely or not at all"
        );
        assert_eq!(bad_lines(file.as_bytes()).len(), BAD_LINES_NAMED_MAX);
    }

    #[test]
    fn a_quote_that_is_never_closed_or_a_header_without_a_column_is_an_error_for_the_whole_file() {
        for (file, error) in [
            (
                "email,expert_username,search_query,created_at\na@b,j,\"q,2026-11-01T09:00:00Z\n",
                "a quote that is opened on or after line 2 is never closed; close it",
            ),
            (
                "email,expert_username,created_at\n",
                "no column search_query; the first line should name email, expert_username, search_query and created_at, \
                 as `leadclicks report --format csv` does",
            ),
        ] {
            let message = parse_at_noon(file.as_bytes(), None)
                .unwrap_err()
                .to_string();
            assert_eq!(message, error);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let header = b"email,expert_username,search_query,created_at\n";
            for file in [&*bytes, &[header, &*bytes].concat()] {
                for format in [None, Some(Format::Csv), Some(Format::Ndjson)] {
                    if let Ok(clicks) = parse_at_noon(file, format) {
                        prop_assert_eq!(clicks.iter().count(), clicks.len());
                    }
                }
            }
        }
    }
}
