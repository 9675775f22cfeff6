//! Independent programs read the stored values from CSV and JSON.

use std::ffi::OsStr;

use leadclicks::click::{canonical_email, canonical_username};

use crate::{python, support::Site};

/// Text that a visitor may have sent and a host app may have stored, with every character that is special in CSV, JSON,
/// spreadsheets and terminals.
const NASTY: [&str; 30] = [
    "",
    " ",
    "plain",
    "a,b;c\td",
    "say \"hi\"",
    "\"",
    "\"\"",
    "two\nlines",
    "two\r\nlines",
    "two\rlines",
    "\n",
    "\r",
    "ends in a break\r\n",
    "=1+1",
    "=HYPERLINK(\"https://example.com\",\"a,b\")",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\r=x",
    "'",
    "'tis",
    "'=1",
    "''@x",
    "'\n=x",
    "🦀 Ünïcödé \u{202e}rtl",
    "\u{feff}bom",
    "a\0b",
    "\u{1b}[31mred\u{7f}\u{85}\u{2028}",
    "\\N \\\" null \\u0041",
];

/// A row of a report: email, expert_username, expert_name, search_query, created_at.
type Row = [String; 5];

/// A database with every nasty value in every column that is text; returns its rows newest first.
fn nasty_site() -> (Site, Vec<Row>) {
    let site = Site::new().with_schema("");
    let conn = site.connect();
    conn.execute_batch("BEGIN").unwrap();
    let mut rows = Vec::new();
    for (number, value) in NASTY.iter().enumerate() {
        // The number keeps emails and usernames apart and from being empty.
        let email = format!("{value}{number}@example.com");
        let username = format!("{value}{number}");
        let first_name = format!("{value}{number}");
        conn.execute(
            "INSERT INTO experts (username, first_name, last_name) VALUES (?1, ?2, 'O''Neil, \"Ed\"')",
            (&username, &first_name),
        )
        .unwrap();
        conn.execute(
            "INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
             VALUES (?1, ?2, ?3, ?4)",
            (
                &email,
                &username,
                value,
                format!("2026-11-01 09:30:{number:02}.000001"),
            ),
        )
        .unwrap();
        rows.push([
            canonical_email(&email).into_owned(),
            canonical_username(&username).into_owned(),
            format!("{} O'Neil, \"Ed\"", first_name.trim()),
            (*value).to_owned(),
            format!("2026-11-01T09:30:{number:02}.000001Z"),
        ]);
    }
    conn.execute_batch("COMMIT").unwrap();
    rows.reverse();
    (site, rows)
}

#[track_caller]
fn read_back(form: &str, report: &str) -> Vec<Row> {
    let rows = python::run("read_back.py", &[OsStr::new(form)], report);
    serde_json::from_value(rows).expect("rows of five cells")
}

const FORMATS: [(&str, &[&str]); 3] = [
    ("guarded-csv", &["--format", "csv"]),
    ("csv", &["--format", "csv", "--raw-csv"]),
    ("ndjson", &["--format", "ndjson"]),
];

#[test]
#[ignore = "needs the Python packages of tests/python; tests/run runs it"]
fn every_format_of_a_report_by_email_gives_back_every_click() {
    let (site, rows) = nasty_site();
    for (form, args) in FORMATS
        .into_iter()
        .chain([("json-by-email", &["--format", "json"][..])])
    {
        let report = site.stdout_of(&[&["report", "--by-email"], args].concat());
        assert_eq!(read_back(form, &report), rows, "{form}");
    }
}

#[test]
#[ignore = "needs the Python packages of tests/python; tests/run runs it"]
fn every_format_of_a_report_on_one_expert_gives_back_every_click() {
    let (site, rows) = nasty_site();
    // One expert has all the clicks, and a formula with quotes and commas for a username and name.
    let [_, username, name, ..] = rows
        .iter()
        .find(|row| row[3].starts_with("=HYPERLINK"))
        .unwrap();
    site.connect()
        .execute("UPDATE lead_clicks SET expert_username = ?1", [username])
        .unwrap();
    let rows: Vec<Row> = rows
        .iter()
        .map(|[email, _, _, query, created_at]| {
            [email, username, name, query, created_at].map(String::clone)
        })
        .collect();
    let expert = format!("--expert={username}");
    for (form, args) in FORMATS
        .into_iter()
        .chain([("json-by-expert", &["--format", "json"][..])])
    {
        let report = site.stdout_of(&[&["report", &expert], args].concat());
        assert_eq!(read_back(form, &report), rows, "{form}");
    }
}

#[test]
#[ignore = "needs the Python packages of tests/python; tests/run runs it"]
fn no_cell_of_a_guarded_report_begins_like_a_formula() {
    let (site, rows) = nasty_site();
    let report = site.stdout_of(&["report", "--by-email", "--format", "csv"]);
    let guarded = read_back("csv", &report);
    assert_ne!(guarded, rows);
    for cell in guarded.iter().flatten() {
        assert!(!cell.starts_with(['\t', '\r']), "{cell:?}");
        for part in cell.split([',', ';', '|', '\t', '\r', '\n']) {
            let part = part.trim_start_matches(|character: char| {
                character == '"' || character.is_whitespace() || character.is_control()
            });
            // An address that calls nothing stays as it is.
            let is_address = part.starts_with("+1") && part.ends_with("@example.com");
            assert!(
                !part.starts_with(['=', '+', '-', '@']) || is_address,
                "{cell:?}"
            );
        }
    }
}
