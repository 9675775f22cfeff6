//! The import of clicks from a report in CSV or NDJSON, and from another database.

use std::{
    borrow::Cow,
    cmp::Reverse,
    io::{Cursor, Read},
    ops::ControlFlow,
};

use jiff::{civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{BadLines, ImportError, NOT_UTF8, check_row, field_text, source::Source};
use crate::{
    click::{Click, ClickId},
    progress::Progress,
    storage::{Columns, Db, Error, Order, Query, Selection},
    text::{memory::OutOfMemory, spreadsheet::Cells},
    timestamp::Timestamp,
};

/// The largest file that is imported, in bytes: about 40 million clicks. The whole file is read into memory, plus 16 bytes
/// for each click.
pub const CLICKS_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

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

/// How a file is read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// By default NDJSON if the file begins with `{` or is empty, and CSV otherwise.
    pub format: Option<Format>,
    /// How the cells of a CSV were written.
    pub cells: Cells,
    /// The time zone of times without an offset; by default they are invalid, except those with microseconds, as the database
    /// has them.
    pub zone: Option<TimeZone>,
    /// What to do about invalid lines.
    pub on_bad_line: OnBadLine,
}

/// What to do about invalid lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnBadLine {
    /// Nothing is imported.
    #[default]
    Fail,
    /// They are skipped, as long as there is a valid one.
    Skip,
}

/// The clicks of a file, in the order in which they will be stored.
#[derive(Debug)]
pub struct ParsedClicks {
    source: Source,
    rows: Rows,
    zone: Option<TimeZone>,
    /// The invalid lines, if they were skipped.
    pub skipped: BadLines,
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
        separator: u8,
    },
    Ndjson,
    /// The lines of [`StoredLine`].
    Database,
}

/// The position of a click in the file. The texts are read again when they are needed, because they take the most memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClickPosition {
    pub(super) created_at: Timestamp,
    /// The byte at which its row begins, or at which the row before ends.
    start: u64,
}

/// A click of the file.
#[derive(Debug)]
pub(super) struct ReadClick {
    pub(super) click: Click,
    pub(super) id: Option<ClickId>,
    pub(super) created_at: Timestamp,
    pub(super) precision: Precision,
}

/// How exactly a time was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Precision {
    /// To the microsecond.
    Full,
    /// A local time without a fraction of a second, as in a CSV for spreadsheets, which cuts it off.
    Second,
}

/// Parses the clicks of a report: CSV with the columns `email`, `expert_username`, `search_query` and `created_at` in any
/// order, or NDJSON with these fields. Other columns and fields are ignored. Times are RFC 3339 or in the form of the database
/// with microseconds, or without an offset if a time zone is given, and not after `now`, which is called
/// after the file is read: a time in the future is from a wrong clock or time zone, and would be the newest click of every
/// report until then. Reports `progress` in bytes.
///
/// # Errors
/// When the file is invalid, or any of its lines, or all of them if invalid lines are skipped.
pub fn parse(
    input: impl Read,
    options: &Options,
    now: impl FnOnce() -> Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<ParsedClicks, ImportError> {
    let source = Source::read(input, CLICKS_BYTES_MAX)?;
    let lines = match options.format.unwrap_or_else(|| format_of(&source.bytes)) {
        Format::Csv => Lines::Csv,
        Format::Ndjson => Lines::Ndjson,
    };
    parse_source(source, lines, options, now(), progress)
}

/// The clicks of another database, with their ids, as of one moment. All of them are kept in memory, as those of a file are.
/// Reports progress as [`parse`] does.
///
/// # Errors
/// When the database can't be read, or has a click whose time can't be read; or when its clicks are invalid, as those of a file.
pub(crate) fn read_database(
    db: &Db,
    on_bad_line: OnBadLine,
    now: impl FnOnce() -> Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<Result<ParsedClicks, ImportError>, Error> {
    let all = Selection::default();
    // As in a report, so that clicks with the same time are stored in the same order.
    let query = Query::of(&all, Columns::ALL | Columns::CLICK_ID).in_order(Order::NewestFirst);
    let mut bytes = Vec::new();
    db.read_clicks(&query, |click| {
        let line = StoredLine {
            email: click.email,
            expert_username: click.expert_username,
            search_query: click.search_query,
            created_at: Cow::Borrowed(&click.created_at.rfc3339()),
            click_id: click.click_id.as_ref().map(|id| Cow::Borrowed(id.as_str())),
        };
        // Nothing else than memory can fail.
        serde_json::to_writer(&mut bytes, &line).map_err(|_| OutOfMemory)?;
        bytes.push(b'\n');
        Ok(if bytes.len() as u64 > CLICKS_BYTES_MAX {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    if bytes.len() as u64 > CLICKS_BYTES_MAX {
        return Ok(Err(ImportError::TooLarge(CLICKS_BYTES_MAX)));
    }
    let options = Options {
        on_bad_line,
        ..Options::default()
    };
    let source = Source::of_text(bytes);
    Ok(parse_source(
        source,
        Lines::Database,
        &options,
        now(),
        progress,
    ))
}

/// What the lines of a source are.
#[derive(Debug, Clone, Copy)]
enum Lines {
    Csv,
    Ndjson,
    Database,
}

fn parse_source(
    source: Source,
    lines: Lines,
    options: &Options,
    now: Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<ParsedClicks, ImportError> {
    let mut parser = Parser {
        source: &source,
        zone: options.zone.as_ref(),
        now,
        positions: Vec::new(),
        bad: BadLines::default(),
        progress,
    };
    let rows = match lines {
        Lines::Csv => parser.read_csv(options.cells)?,
        Lines::Ndjson => parser.read_lines(Rows::Ndjson),
        Lines::Database => parser.read_lines(Rows::Database),
    };
    let Parser {
        mut positions, bad, ..
    } = parser;
    match options.on_bad_line {
        _ if bad.count == 0 => {}
        OnBadLine::Fail => return Err(ImportError::Lines(bad)),
        OnBadLine::Skip if positions.is_empty() => return Err(ImportError::NoneValid(bad)),
        OnBadLine::Skip => {}
    }
    positions.sort_unstable_by_key(|position| (position.created_at, Reverse(position.start)));
    Ok(ParsedClicks {
        source,
        rows,
        zone: options.zone.clone(),
        skipped: bad,
        positions,
    })
}

fn format_of(file: &[u8]) -> Format {
    match file.trim_ascii_start().first() {
        // A report without clicks is an empty file in NDJSON, and a header in CSV.
        Some(b'{') | None => Format::Ndjson,
        Some(_) => Format::Csv,
    }
}

struct Parser<'a> {
    source: &'a Source,
    zone: Option<&'a TimeZone>,
    now: Timestamp,
    positions: Vec<ClickPosition>,
    bad: BadLines,
    progress: &'a mut dyn FnMut(Progress),
}

impl Parser<'_> {
    fn read_csv(&mut self, cells: Cells) -> Result<Rows, ImportError> {
        let mut csv = self.source.csv(
            ["email", "expert_username", "search_query", "created_at"],
            WANTED,
        )?;
        let rows = Rows::Csv {
            columns: csv.columns,
            cells,
            separator: csv.separator,
        };
        let mut lines = self.source.lines();
        let mut record = csv::ByteRecord::new();
        while csv.reader.read_byte_record(&mut record)? {
            let start = record.position().map_or(0, csv::Position::byte);
            csv.check_quotes(start, &mut lines)?;
            let click = check_row(&record, csv.fields)
                .and_then(|()| click_of_record(&record, csv.columns, cells, self.zone));
            self.add(start, click, || lines.locate(start).0);
        }
        Ok(rows)
    }

    fn read_lines(&mut self, rows: Rows) -> Rows {
        let mut start = 0;
        let source = self.source;
        let lines = source.bytes.split_inclusive(|byte| *byte == b'\n');
        for (line, bytes) in (1..).zip(lines) {
            if !bytes.trim_ascii().is_empty() {
                self.add(start as u64, click_of_line(bytes, rows, self.zone), || line);
            }
            start += bytes.len();
        }
        rows
    }

    fn add(&mut self, start: u64, click: Result<ReadClick, String>, line: impl FnOnce() -> u64) {
        match click {
            Ok(ReadClick { created_at, .. }) if created_at > self.now => {
                self.bad.add(line, "created_at is in the future".to_owned());
            }
            Ok(ReadClick { created_at, .. }) => {
                self.positions.push(ClickPosition { created_at, start });
            }
            Err(reason) => self.bad.add(line, reason),
        }
        if self.positions.len().is_multiple_of(CLICKS_A_STEP) {
            (self.progress)(Progress {
                done: start,
                total: self.source.bytes.len() as u64,
            });
        }
    }
}

fn click_of_record(
    record: &csv::ByteRecord,
    [email, expert_username, search_query, created_at]: [usize; 4],
    cells: Cells,
    zone: Option<&TimeZone>,
) -> Result<ReadClick, String> {
    let text = |index| Ok::<_, String>(cells.read(field_text(record, index)?));
    checked(
        &text(email)?,
        &text(expert_username)?,
        &text(search_query)?,
        &text(created_at)?,
        zone,
    )
}

/// A click of another database. Written and read only here.
#[derive(Debug, Serialize, Deserialize)]
struct StoredLine<'a> {
    #[serde(borrow)]
    email: Cow<'a, str>,
    #[serde(borrow)]
    expert_username: Cow<'a, str>,
    #[serde(borrow)]
    search_query: Cow<'a, str>,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
    #[serde(borrow)]
    click_id: Option<Cow<'a, str>>,
}

fn click_of_line(bytes: &[u8], rows: Rows, zone: Option<&TimeZone>) -> Result<ReadClick, String> {
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
    if let Rows::Database = rows {
        let line: StoredLine<'_> =
            serde_json::from_slice(bytes).map_err(|_| "not JSON".to_owned())?;
        let read = checked(
            &line.email,
            &line.expert_username,
            &line.search_query,
            &line.created_at,
            None,
        )?;
        let id = line.click_id.and_then(|id| ClickId::parse(&id).ok());
        return Ok(ReadClick { id, ..read });
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
        zone,
    )
}

fn checked(
    email: &str,
    expert_username: &str,
    search_query: &str,
    created_at: &str,
    zone: Option<&TimeZone>,
) -> Result<ReadClick, String> {
    let click = Click::new(email, expert_username, search_query.to_owned());
    let time = read_time(created_at.trim(), zone);
    let mut reasons = Vec::new();
    if let Err(violations) = &click {
        reasons.extend(
            violations
                .iter()
                .map(|violation| format!("{} {}", violation.field.name(), violation.rule)),
        );
    }
    if let Err(reason) = &time {
        reasons.push((*reason).to_owned());
    }
    match (click, time) {
        (Ok(click), Ok((created_at, precision))) => Ok(ReadClick {
            click,
            id: None,
            created_at,
            precision,
        }),
        _ => Err(reasons.join("; ")),
    }
}

/// A time with its offset, or in `zone`, or in the form of the database, which is UTC unless there is a `zone`. Only with its
/// microseconds: without, it may as well be a local time of [`Timestamp::local_seconds`].
fn read_time(text: &str, zone: Option<&TimeZone>) -> Result<(Timestamp, Precision), &'static str> {
    const INVALID: &str =
        "created_at should be a time with its offset, for example 2026-11-01T09:30:00Z";
    const NO_OFFSET: &str = "created_at should be a time with its offset, for example 2026-11-01T09:30:00Z; \
        --tz gives times without one a time zone";
    const CLOCK_CHANGE: &str = "created_at is in the hour that a clock change of --tz repeats or skips; add its offset, \
        for example 2026-11-01T09:30:00+01:00";
    if let Some(time) = Timestamp::parse_rfc3339(text) {
        return Ok((time, Precision::Full));
    }
    if zone.is_none()
        && let Some(time) = Timestamp::parse_stored(text).filter(|time| *time.stored() == *text)
    {
        return Ok((time, Precision::Full));
    }
    // jiff also accepts other forms, such as `20261101` and a time zone in brackets.
    let looks_local = text.as_bytes().get(4) == Some(&b'-') && !text.contains('[');
    let local: Option<civil::DateTime> = text.parse().ok().filter(|_| looks_local);
    match (local, zone) {
        (Some(local), Some(zone)) => {
            let instant = zone.to_ambiguous_timestamp(local);
            if instant.is_ambiguous() {
                return Err(CLOCK_CHANGE);
            }
            let precision = if text.contains(['.', ',']) {
                Precision::Full
            } else {
                Precision::Second
            };
            let instant = instant.unambiguous().map_err(|_| INVALID)?;
            Ok((Timestamp::new(instant), precision))
        }
        (Some(_), None) => Err(NO_OFFSET),
        (None, _) => Err(INVALID),
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

    /// The bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.source.bytes.len() as u64
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
            .filter_map(move |position| Some((rows.read(position)?.click, position.created_at)))
    }

    /// The line on which a click begins; in a database the number of the click, from the newest.
    pub(super) fn line(&self, click: &ClickPosition) -> u64 {
        self.source.lines().locate(click.start).0
    }

    /// Whether the clicks may have ids.
    pub(super) fn may_have_ids(&self) -> bool {
        matches!(self.rows, Rows::Database)
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
        let separator = match clicks.rows {
            Rows::Csv { separator, .. } => separator,
            Rows::Ndjson | Rows::Database => b',',
        };
        Self {
            clicks,
            csv: csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .delimiter(separator)
                .buffer_capacity(ROW_BYTES)
                .from_reader(Cursor::new(&clicks.source.bytes)),
            record: csv::ByteRecord::new(),
        }
    }

    /// The click at a position. There always is one, because the file in memory was parsed and has not changed.
    pub(super) fn read(&mut self, click: &ClickPosition) -> Option<ReadClick> {
        let zone = self.clicks.zone.as_ref();
        let read = match self.clicks.rows {
            Rows::Csv { columns, cells, .. } => {
                if self.csv.position().byte() != click.start {
                    // From one byte earlier: the reader skips a byte order mark at the beginning, which is data in the
                    // middle of a file.
                    let mut position = csv::Position::new();
                    position.set_byte(click.start.checked_sub(1)?);
                    self.csv.seek(position).ok()?;
                }
                self.csv.read_byte_record(&mut self.record).ok()?;
                click_of_record(&self.record, columns, cells, zone)
            }
            rows @ (Rows::Ndjson | Rows::Database) => {
                let start = usize::try_from(click.start).ok()?;
                let line = self.clicks.source.bytes.get(start..)?;
                let end = line.iter().position(|byte| *byte == b'\n');
                click_of_line(line.get(..end.unwrap_or(line.len()))?, rows, zone)
            }
        };
        read.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::BAD_LINES_NAMED_MAX;
    use proptest::prelude::*;

    fn parse_at_noon(file: &[u8], format: Option<Format>) -> Result<ParsedClicks, ImportError> {
        let now = Timestamp::parse_stored("2026-11-01 12:00:00").unwrap();
        let options = Options {
            format,
            ..Options::default()
        };
        parse(file, &options, || now, &mut |_| ())
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
                "'=\u{fffd}\n",
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
            "22 invalid lines, of which 20 are listed; correct or remove what is invalid, or import the rest with --skip-bad; nothing was imported"
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
