//! A file of experts is rejected as a whole, or each row is a valid expert or is skipped with its line. Experts that are
//! exported can be imported.
#![no_main]

use std::collections::HashSet;

use leadclicks::{
    expert::Expert,
    import::{
        ImportError,
        experts::{self as import, NAME_CHARS_MAX, ParsedExperts},
    },
    text::spreadsheet::Cells,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let parsed = import::parse(file);
    match &parsed {
        Ok(parsed) => {
            assert_each_row_is_an_expert_or_skipped(parsed, file);
            assert_lines_are_right(parsed, file);
            assert_eq!(&exported_and_imported(&parsed.experts), &parsed.experts);
        }
        Err(
            ImportError::Header { .. }
            | ImportError::NotText(_)
            | ImportError::Database
            | ImportError::NoneValid(_),
        ) => {}
        Err(ImportError::OpenQuote(line)) => assert!((1..=lines(file)).contains(line), "{line}"),
        Err(error) => panic!("{error}"),
    }
    assert_a_line_before_it_changes_nothing_else(parsed, file);
});

fn assert_each_row_is_an_expert_or_skipped(parsed: &ParsedExperts, file: &[u8]) {
    // A file in UTF-16 has zero bytes between its letters.
    if !file.contains(&0) {
        let rows = |separator| {
            let mut csv = csv::ReaderBuilder::new();
            csv.flexible(true).delimiter(separator);
            csv.from_reader(file).into_byte_records().count() as u64
        };
        let all = parsed.experts.len() as u64 + parsed.skipped.count;
        // The first line may name the separator.
        let named = file.get(4..8).unwrap_or_default().iter().copied();
        assert!(
            b",;\t|"
                .iter()
                .copied()
                .chain(named)
                .any(|separator| [all, all + 1].contains(&rows(separator)))
        );
    }
    let mut usernames = HashSet::new();
    for expert in &parsed.experts {
        assert_is_within_bounds(expert);
        assert!(
            usernames.insert(&expert.username),
            "{expert:?} occurs twice"
        );
    }
    assert!(
        parsed
            .skipped
            .named
            .is_sorted_by_key(|skipped| skipped.line)
    );
    for skipped in &parsed.skipped.named {
        assert!((1..=lines(file)).contains(&skipped.line), "{skipped:?}");
        assert!(!skipped.reason.is_empty());
    }
}

/// In a file without quotes and without single carriage returns, each line that is not blank is a row. The first is the header.
fn assert_lines_are_right(parsed: &ParsedExperts, file: &[u8]) {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let lone_return = |pair: &[u8]| pair[0] == b'\r' && pair[1] != b'\n';
    if file.contains(&0)
        || parsed.skipped.not_named() > 0
        || file.to_ascii_lowercase().starts_with(b"sep=")
    {
        return;
    }
    if file.contains(&b'"') || file.ends_with(b"\r") || file.windows(2).any(lone_return) {
        return;
    }
    let mut skipped = parsed
        .skipped
        .named
        .iter()
        .map(|skipped| skipped.line)
        .peekable();
    let mut experts = parsed.experts.iter();
    let rows = (1..).zip(file.split(|byte| *byte == b'\n'));
    for (line, row) in rows.filter(|(_, row)| !matches!(row, [] | [b'\r'])).skip(1) {
        if skipped.next_if_eq(&line).is_none() {
            let Expert { username, .. } = experts.next().expect("a row is an expert or skipped");
            let is_there = row
                .windows(username.len())
                .any(|part| part == username.as_bytes());
            assert!(is_there, "{username:?} is not on line {line}");
        }
    }
    assert_eq!((skipped.next(), experts.next()), (None, None));
}

fn assert_is_within_bounds(expert: &Expert) {
    let Expert {
        username,
        first_name,
        last_name,
    } = expert;
    assert!((1..=100).contains(&username.chars().count()), "{expert:?}");
    assert!(!username.contains(char::is_control), "{expert:?}");
    for text in [username, first_name, last_name] {
        assert!(text.chars().count() <= NAME_CHARS_MAX, "{expert:?}");
        assert_eq!(text, text.trim());
    }
}

fn exported_and_imported(before: &[Expert]) -> Vec<Expert> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = ["username", "first_name", "last_name"];
    writer
        .write_record(header)
        .expect("memory accepts all bytes");
    for expert in before {
        let cells = [&expert.username, &expert.first_name, &expert.last_name];
        let cells = cells.map(|cell| Cells::Guarded.write(cell).into_owned());
        writer
            .write_record(cells)
            .expect("memory accepts all bytes");
    }
    let file = writer.into_inner().expect("memory accepts all bytes");
    let parsed = import::parse(&*file).expect("an export can be imported");
    assert_eq!(parsed.skipped.count, 0);
    parsed.experts
}

fn assert_a_line_before_it_changes_nothing_else(
    mut parsed: Result<ParsedExperts, ImportError>,
    file: &[u8],
) {
    // What tells the encoding, the separator or a file that is no text counts only at the very beginning, and without line feeds
    // carriage returns end lines.
    let is_known_by_its_beginning = file.starts_with(b"\xef\xbb\xbf")
        || file.contains(&0)
        || file.to_ascii_lowercase().starts_with(b"sep=")
        || matches!(parsed, Err(ImportError::NotText(_) | ImportError::Database));
    if is_known_by_its_beginning || !file.contains(&b'\n') {
        return;
    }
    match &mut parsed {
        Ok(parsed) => parsed
            .skipped
            .named
            .iter_mut()
            .for_each(|skipped| skipped.line += 1),
        Err(ImportError::OpenQuote(line)) => *line += 1,
        Err(_) => {}
    }
    let moved = import::parse(&*[b"\n", file].concat());
    match (moved, parsed) {
        (Ok(moved), Ok(parsed)) => {
            assert_eq!(moved.experts, parsed.experts);
            let lines = |parsed: &ParsedExperts| -> Vec<u64> {
                let skipped = parsed.skipped.named.iter();
                skipped.map(|skipped| skipped.line).collect()
            };
            assert_eq!(lines(&moved), lines(&parsed));
        }
        (Err(moved), Err(parsed)) => assert_eq!(moved.to_string(), parsed.to_string()),
        (moved, parsed) => panic!("{moved:?} {parsed:?}"),
    }
}

fn lines(file: &[u8]) -> u64 {
    // Without line feeds, carriage returns end lines.
    let count = |end| file.split(|byte| *byte == end).count() as u64;
    count(b'\n').max(count(b'\r'))
}
