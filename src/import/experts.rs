//! The import of experts: parsing the CSV export of the marketplace.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::Read,
};

use super::{BadLines, ImportError, check_row, field_text, source::Source};
use crate::{
    click::{canonical_username, expert_username_rule, longest, without_nul},
    expert::Expert,
    text::spreadsheet::Cells,
};

/// The longest first or last name that is accepted, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// The largest file that is imported, in bytes: about fifty times the export of a marketplace with 1,600 experts. The whole
/// file is read into memory.
pub const IMPORT_BYTES_MAX: u64 = 64 * 1024 * 1024;

const WANTED: &str = "username, first_name and last_name, or Username, First Name and Last Name";

const COLUMNS: [&str; 3] = ["username", "first_name", "last_name"];

/// The experts of a CSV file, and the rows that were skipped.
#[derive(Debug, PartialEq, Eq)]
pub struct ParsedExperts {
    /// Each username occurs once.
    pub experts: Vec<Expert>,
    /// The invalid rows, in the order of the file.
    pub skipped: BadLines,
}

/// Parses the columns `username`, `first_name` and `last_name` of a CSV file, in any order and case, with spaces or
/// underscores. All other columns are ignored. Values are trimmed, and names may be empty.
///
/// # Errors
/// When the header or the file as a whole is invalid, and when no row is valid. An invalid row among others is skipped.
pub fn parse(input: impl Read) -> Result<ParsedExperts, ImportError> {
    let source = Source::read(input, IMPORT_BYTES_MAX)?;
    let mut csv = source.csv(COLUMNS, WANTED)?;
    let mut file_lines = source.lines();
    let mut parsed = ParsedExperts {
        experts: Vec::new(),
        skipped: BadLines::default(),
    };
    let mut lines: HashMap<String, u64> = HashMap::new();
    let mut record = csv::ByteRecord::new();
    while csv.reader.read_byte_record(&mut record)? {
        let start = record.position().map_or(0, csv::Position::byte);
        csv.check_quotes(start, &mut file_lines)?;
        let (line, _) = file_lines.locate(start);
        let expert = check_row(&record, csv.fields)
            .and_then(|()| read_expert(&record, csv.columns))
            .and_then(|expert| match lines.entry(expert.username.clone()) {
                Entry::Occupied(first) => {
                    Err(format!("the username is already on line {}", first.get()))
                }
                Entry::Vacant(entry) => {
                    entry.insert(line);
                    Ok(expert)
                }
            });
        match expert {
            Ok(expert) => parsed.experts.push(expert),
            Err(reason) => parsed.skipped.add(|| line, reason),
        }
    }
    if parsed.experts.is_empty() && parsed.skipped.count > 0 {
        return Err(ImportError::NoneValid(parsed.skipped));
    }
    Ok(parsed)
}

fn read_expert(record: &csv::ByteRecord, columns: [usize; 3]) -> Result<Expert, String> {
    let [username, first_name, last_name] = columns;
    let expert = Expert {
        username: canonical_username(&trimmed(record, username)?).into_owned(),
        first_name: without_nul(trimmed(record, first_name)?),
        last_name: without_nul(trimmed(record, last_name)?),
    };
    expert_username_rule(&expert.username).map_err(|rule| format!("the username {rule}"))?;
    for (column, name) in [
        ("first name", &expert.first_name),
        ("last name", &expert.last_name),
    ] {
        longest(name, NAME_CHARS_MAX).map_err(|rule| format!("the {column} {rule}"))?;
    }
    Ok(expert)
}

fn trimmed(record: &csv::ByteRecord, index: usize) -> Result<String, String> {
    // `leadclicks experts list --format csv` writes guarded cells.
    let text = Cells::Guarded.read(field_text(record, index)?);
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expert(username: &str, first_name: &str, last_name: &str) -> Expert {
        Expert {
            username: username.to_owned(),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
        }
    }

    #[test]
    fn a_marketplace_export_is_read_with_line_breaks_quotes_and_emoji_in_its_bios() {
        let export = "\u{feff}Username,First Name,Last Name,Job Title,Bio\r\n\
            jdoe,Jane,Doe,CTO,\"Builds \"\"things\"\".\r\nAnd 🦀, a lot.\"\r\n\
            \r\n\
            nameless,,,,\r\n\
            zoë,\" Zoë \",\"O'Neil, Jr.\",,\r\n";
        let parsed = parse(export.as_bytes()).unwrap();
        assert_eq!(
            parsed.experts,
            [
                expert("jdoe", "Jane", "Doe"),
                expert("nameless", "", ""),
                expert("zoë", "Zoë", "O'Neil, Jr."),
            ]
        );
        assert_eq!(parsed.skipped, BadLines::default());
    }

    #[test]
    fn invalid_rows_are_skipped_with_their_line_and_reason() {
        let long = "x".repeat(101);
        let file = format!(
            "last_name,username,first_name\nDoe,jdoe,Jane\nDoe,,Jane\nDoe,{long},J\nDoe\nRoe,jdoe,Joe\n\
             a,b\tc,d\n\"x\ny\",ok,z\n{},toolong,J\n",
            "n".repeat(201)
        );
        let mut bytes = file.into_bytes();
        bytes.extend_from_slice(b"D\xf6,latin,J\n");
        let parsed = parse(&*bytes).unwrap();
        assert_eq!(
            parsed.experts,
            [expert("jdoe", "Jane", "Doe"), expert("ok", "z", "x\ny")]
        );
        let skipped: Vec<(u64, &str)> = parsed
            .skipped
            .named
            .iter()
            .map(|skipped| (skipped.line, &*skipped.reason))
            .collect();
        assert_eq!(
            skipped,
            [
                (3, "the username should have at least 1 character"),
                (4, "the username should have at most 100 characters"),
                (
                    5,
                    "the header has 3 fields, but this row has 1; is a quote missing?"
                ),
                (6, "the username is already on line 2"),
                (7, "the username should have no control characters"),
                (10, "the last name should have at most 200 characters"),
                (11, "not UTF-8; save the file as UTF-8"),
            ]
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_is_an_error_for_the_whole_file() {
        let header = "username,first_name,last_name,bio\n";
        for (rows, line) in [
            ("a,A,A,\nb,B,B,\"open\nc,C,C,\nd,D,D,\n", 3),
            ("a,A,A,\nb,\"B,B,\nc,C,C,\n", 3),
            ("a,A,A,\"closed \"\"twice\"\"\"\nb,B,B,\"x\"\"", 3),
        ] {
            let error = parse(format!("{header}{rows}").as_bytes()).unwrap_err();
            assert!(
                matches!(error, ImportError::OpenQuote(at) if at == line),
                "{rows}"
            );
        }
        for rows in [
            "a,A,A,5\" pipe",
            "a,A,A,\"\"",
            "a,A,A,\"x\ny\"\n",
            "a,A,A,\"x\"y\"\n",
        ] {
            let parsed = parse(format!("{header}{rows}").as_bytes()).unwrap();
            assert_eq!(parsed.experts, [expert("a", "A", "A")], "{rows}");
        }
    }

    #[test]
    fn a_header_without_the_columns_is_rejected() {
        for (file, problem) in [
            ("", "no column username"),
            ("username,first_name\n", "no column last_name"),
            (
                "username,Username,first_name,last_name\n",
                "duplicate column username",
            ),
        ] {
            let error = parse(file.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&*bytes);
            let with_header = [b"username,first_name,last_name\n", &*bytes].concat();
            let parsed = parse(&*with_header);
            prop_assert!(matches!(
                parsed,
                Ok(_) | Err(ImportError::OpenQuote(_) | ImportError::NoneValid(_))
            ));
        }
    }
}
