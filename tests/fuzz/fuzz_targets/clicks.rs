//! A file of clicks is rejected as a whole or with a list of its invalid lines, or each row is a valid click with a time that
//! is not in the future. If the clicks are written to a file again, that file is read as the same clicks.
#![no_main]

use leadclicks::{
    click::Click,
    import::{
        BAD_LINES_NAMED_MAX, BadLines, ImportError,
        clicks::{Format, Options, ParsedClicks, parse},
    },
    text::spreadsheet::Cells,
    timestamp::Timestamp,
};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;

fuzz_target!(|file: &[u8]| {
    for (format, cells) in [
        (None, Cells::Guarded),
        (Some(Format::Csv), Cells::Raw),
        (Some(Format::Ndjson), Cells::Raw),
    ] {
        match read(file, format, cells) {
            Ok(clicks) => assert_clicks(&clicks),
            Err(ImportError::Lines(bad)) => assert_lines(&bad, file),
            Err(ImportError::Header { .. }) => assert_ne!(format, Some(Format::Ndjson)),
            Err(ImportError::OpenQuote(line)) => {
                assert!((1..=lines(file)).contains(&line), "{line}");
            }
            Err(ImportError::NotText(_) | ImportError::Database) => {}
            Err(error) => panic!("{error}"),
        }
    }
});

fn read(file: &[u8], format: Option<Format>, cells: Cells) -> Result<ParsedClicks, ImportError> {
    let options = Options {
        format,
        cells,
        ..Options::default()
    };
    parse(file, &options, now, &mut |_| ())
}

fn now() -> Timestamp {
    Timestamp::parse_stored("2026-11-01 12:00:00").expect("a time")
}

fn assert_clicks(clicks: &ParsedClicks) {
    let read_once: Vec<(Click, Timestamp)> = clicks.iter().collect();
    assert_eq!(read_once.len(), clicks.len(), "a click can't be read again");
    assert!(read_once.is_sorted_by_key(|(_, created_at)| *created_at));
    for (click, created_at) in &read_once {
        assert!(*created_at <= now());
        let again = Click::new(
            click.email(),
            click.expert_username(),
            click.search_query().to_owned(),
        );
        assert_eq!(again.as_ref(), Ok(click));
    }
    for (format, written) in [
        (Format::Csv, as_csv(&read_once)),
        (Format::Ndjson, as_ndjson(&read_once)),
    ] {
        let again = read(&written, Some(format), Cells::Raw).expect("clicks");
        assert!(again.iter().eq(read_once.iter().cloned()));
    }
}

/// A click in a file.
#[derive(Serialize)]
struct Row<'a> {
    email: &'a str,
    expert_username: &'a str,
    search_query: &'a str,
    created_at: Timestamp,
}

/// Newest first, as in a report.
fn rows(clicks: &[(Click, Timestamp)]) -> impl Iterator<Item = Row<'_>> {
    clicks.iter().rev().map(|(click, created_at)| Row {
        email: click.email(),
        expert_username: click.expert_username(),
        search_query: click.search_query(),
        created_at: *created_at,
    })
}

fn as_csv(clicks: &[(Click, Timestamp)]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(["email", "expert_username", "search_query", "created_at"])
        .expect("memory accepts all bytes");
    for row in rows(clicks) {
        let created_at = row.created_at.rfc3339();
        writer
            .write_record([
                row.email,
                row.expert_username,
                row.search_query,
                &created_at,
            ])
            .expect("memory accepts all bytes");
    }
    writer.into_inner().expect("memory accepts all bytes")
}

fn as_ndjson(clicks: &[(Click, Timestamp)]) -> Vec<u8> {
    let mut file = Vec::new();
    for row in rows(clicks) {
        serde_json::to_writer(&mut file, &row).expect("memory accepts all bytes");
        file.push(b'\n');
    }
    file
}

fn assert_lines(bad: &BadLines, file: &[u8]) {
    let named = bad.named.len() as u64;
    assert_eq!(named, bad.count.min(BAD_LINES_NAMED_MAX as u64));
    assert!(bad.named.is_sorted_by_key(|bad| bad.line));
    for bad in &bad.named {
        assert!((1..=lines(file)).contains(&bad.line), "{bad:?}");
        assert!(!bad.reason.is_empty());
    }
}

fn lines(file: &[u8]) -> u64 {
    // Without line feeds, carriage returns end lines.
    let count = |end| file.split(|byte| *byte == end).count() as u64;
    count(b'\n').max(count(b'\r'))
}
