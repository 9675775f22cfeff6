//! `leadclicks experts`: the import of the marketplace's export, and the list.

use rusqlite::Connection;

use crate::support::{Daemon, HOST_APP, Site};

/// As the marketplace exports it: a BOM, CRLF, bios over several lines, rows with nothing but a username; then
/// the rows that a hand has spoilt.
const EXPORT: &str = "\u{feff}Username,First Name,Last Name,Job Title,Company,Bio,Hourly Rate,Currency,Profile URL,Profile URL with UTM,Profile Image Url,Created At\r\n\
    jdoe,Jane,Doe,CTO,\"Acme, Inc.\",\"Builds \"\"things\"\" 🦀.\r\n\r\nAlso, on weekends:\n- more things\n\",150,USD,https://www.example.com/jdoe,https://www.example.com/jdoe?utm_source=x,https://www.example.com/jdoe.jpg,2025-01-02 03:04:05\r\n\
    only,,,,,,,,,,,\r\n\
    zoë, Zoë ,\"O'Neil, Jr.\",,,,,,,,,\r\n\
    ,No,Username,,,,,,,,,\r\n\
    jdoe,Another,Doe,,,,,,,,,\r\n\
    short,Row\r\n\
    tab\tbed,A,B,,,,,,,,,\r\n";

const SKIPPED: &str = "leadclicks: line 9 skipped: the username should have at least 1 character\n\
    leadclicks: line 10 skipped: the username is already on line 2\n\
    leadclicks: line 11 skipped: the header has 12 fields, but this row has 2; is a quote missing?\n\
    leadclicks: line 12 skipped: the username should have no control characters\n";

const IMPORT: [&str; 3] = ["experts", "import", "export.csv"];

fn site() -> Site {
    let site = Site::new().with_schema("");
    site.write("export.csv", EXPORT);
    site
}

fn experts(site: &Site) -> String {
    site.stdout_of(&["experts", "list", "--format", "csv"])
}

#[test]
fn an_export_is_imported_and_invalid_rows_are_reported_by_line() {
    let site = site();
    site.run(&IMPORT)
        .assert(0, "3 new, 0 changed, 0 unchanged, 4 skipped\n", SKIPPED);
    assert_eq!(
        experts(&site),
        "username,first_name,last_name\njdoe,Jane,Doe\nonly,,\nzoë,Zoë,\"O'Neil, Jr.\"\n"
    );
    site.run(&IMPORT)
        .assert(0, "0 new, 0 changed, 3 unchanged, 4 skipped\n", SKIPPED);

    let later = EXPORT
        .replace("jdoe,Jane,Doe", "jdoe,Jane,Roe")
        .replace("only,,", "newcomer,New,");
    let stdin = ["experts", "import", "-"];
    site.run_with_input(&stdin, later.as_bytes()).assert(
        0,
        "1 new, 1 changed, 1 unchanged, 4 skipped\n",
        SKIPPED,
    );
    assert_eq!(
        experts(&site),
        "username,first_name,last_name\njdoe,Jane,Roe\nnewcomer,New,\nonly,,\nzoë,Zoë,\"O'Neil, Jr.\"\n"
    );
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    for line_break in ["\n", "\r\n"] {
        let rows = [
            "username,first_name,last_name",
            "",
            "a,\"x\ny\",",
            "",
            "",
            "a,,",
            ",,",
        ];
        Site::new()
            .with_schema("")
            .run_with_input(
                &["experts", "import", "-"],
                rows.join(line_break).as_bytes(),
            )
            .assert(
                0,
                "1 new, 0 changed, 0 unchanged, 2 skipped\n",
                "leadclicks: line 7 skipped: the username is already on line 3\n\
                 leadclicks: line 8 skipped: the username should have at least 1 character\n",
            );
    }
}

#[test]
fn imported_names_appear_in_reports() {
    let site = site();
    site.connect()
        .execute_batch(
            "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
                (1, 'amy@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000'),
                (2, 'amy@example.com', 'only', '', '2026-11-01 09:00:01.000000');",
        )
        .unwrap();
    let names = |jdoe: &str| {
        format!(
            "email,expert_username,expert_name,search_query,created_at\n\
             amy@example.com,only,only,,2026-11-01T09:00:01.000000Z\n\
             amy@example.com,jdoe,{jdoe},,2026-11-01T09:00:00.000000Z\n"
        )
    };
    let report = ["report", "--by-email", "--format", "csv"];
    assert_eq!(site.stdout_of(&report), names("jdoe"));
    assert_eq!(site.run(&IMPORT).status.code(), Some(0));
    assert_eq!(site.stdout_of(&report), names("Jane Doe"));
}

#[test]
fn a_file_without_experts_is_rejected_and_changes_nothing() {
    let site = site();
    assert_eq!(site.run(&IMPORT).status.code(), Some(0));
    let before = experts(&site);
    let header = "the first line should name username, first_name and last_name, or Username, First Name and Last Name";
    for (file, problem) in [
        ("", format!("no column username; {header}")),
        (
            "jdoe,Changed,Name\n",
            format!("no column username; {header}"),
        ),
        (
            "Username,First Name,Bio\njdoe,Changed,x\n",
            format!("no column last_name; {header}"),
        ),
        (
            "Username;First Name;Bio\njdoe;Changed;x\n",
            format!("no column last_name; {header}"),
        ),
        (
            "Username,First Name,first_name,Last Name\njdoe,Changed,Name,x\n",
            format!("duplicate column first_name; {header}"),
        ),
    ] {
        site.run_with_input(&["experts", "import", "-"], file.as_bytes())
            .assert(
                1,
                "",
                &format!("leadclicks: cannot import from standard input: {problem}\n"),
            );
        site.write("bad.csv", file);
        site.run(&["experts", "import", "bad.csv"]).assert(
            1,
            "",
            &format!("leadclicks: cannot import bad.csv: {problem}\n"),
        );
    }
    for (path, problem) in [
        ("missing.csv", "the file does not exist; check its name"),
        (".", "it is a directory; name a file"),
    ] {
        site.run(&["experts", "import", path]).assert(
            1,
            "",
            &format!("leadclicks: cannot import {path}: {problem}\n"),
        );
    }
    assert_eq!(experts(&site), before);
}

#[test]
fn an_import_that_fails_halfway_changes_nothing() {
    let site = site();
    site.connect()
        .execute_batch(
            "INSERT INTO experts VALUES ('jdoe', 'Old', 'Name');
             CREATE TRIGGER no_zoe BEFORE INSERT ON experts WHEN new.username = 'zoë'
             BEGIN SELECT raise(ABORT, 'zoë is not welcome'); END;",
        )
        .unwrap();
    let error = format!(
        "leadclicks: {}: zoë is not welcome; fix it in the program that owns the database\n",
        site.db_path().display()
    );
    site.run(&IMPORT).assert(1, "", &error);
    assert_eq!(
        experts(&site),
        "username,first_name,last_name\njdoe,Old,Name\n"
    );
}

#[test]
fn a_host_apps_experts_are_read_and_never_written() {
    let site = Site::new().with_database(HOST_APP).with_database(
        "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
            (1, 'amy@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000'),
            (2, 'amy@example.com', 'plain', '', '2026-11-01 09:00:01.000000');",
    );
    site.write("export.csv", EXPORT);
    let dump = |conn: &Connection| -> Vec<String> {
        conn.prepare(
            "SELECT quote(id) || quote(username) || quote(email) || quote(first_name) || quote(last_name)
                 || quote(job_title) || quote(bio) FROM experts
             UNION ALL SELECT sql FROM sqlite_schema",
        )
        .unwrap()
        .query_map([], |row| row.get::<_, Option<String>>(0))
        .unwrap()
        .map(|text| text.unwrap().unwrap_or_default())
        .collect()
    };
    let before = dump(&site.connect());
    let error = format!(
        "leadclicks: {}: the experts table belongs to another program, so leadclicks never changes it; \
         change experts in the program that owns the database\n",
        site.db_path().display()
    );
    site.run(&IMPORT).assert(1, "", &error);
    assert_eq!(dump(&site.connect()), before);
    assert_eq!(
        site.stdout_of(&["report", "--by-email", "--format", "csv"]),
        "email,expert_username,expert_name,search_query,created_at\n\
         amy@example.com,plain,plain,,2026-11-01T09:00:01.000000Z\n\
         amy@example.com,jdoe,Jane Doe,,2026-11-01T09:00:00.000000Z\n"
    );
    assert_eq!(
        experts(&site),
        "username,first_name,last_name\njdoe,Jane,Doe\nplain,,\n"
    );
}

#[test]
fn a_database_without_experts_reports_usernames_and_takes_no_import() {
    let site = Site::new().with_schema(
        "DROP TABLE experts;
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (1, 'amy@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000');",
    );
    site.write("export.csv", EXPORT);
    assert_eq!(
        site.stdout_of(&["report", "--expert", "jdoe", "--format", "csv"]),
        "email,expert_username,expert_name,search_query,created_at\n\
         amy@example.com,jdoe,jdoe,,2026-11-01T09:00:00.000000Z\n"
    );
    let error = format!(
        "leadclicks: {}: no table experts; check --db, or create the table with `sqlite3 FILE < schema.sql`\n",
        site.db_path().display()
    );
    site.run(&IMPORT).assert(1, "", &error);
}

#[test]
fn experts_are_listed_in_every_format() {
    let site = Site::new().with_schema(
        "INSERT INTO experts VALUES ('jdoe', 'Jane', 'Doe'), ('=1', '\u{1b}[31m', '@x, y'), ('zoë', '東京', '');",
    );
    for (format, expected) in [
        (
            "table",
            " Username   First name   Last name
───────────────────────────────────
 =1         \\u{1b}[31m   @x, y
 jdoe       Jane         Doe
 zoë        東京

3 experts
",
        ),
        (
            "csv",
            "username,first_name,last_name\n'=1,\u{1b}[31m,\"'@x, y\"\njdoe,Jane,Doe\nzoë,東京,\n",
        ),
        (
            "json",
            concat!(
                r#"{"experts":[{"username":"=1","first_name":"\u001b[31m","last_name":"@x, y"},"#,
                r#"{"username":"jdoe","first_name":"Jane","last_name":"Doe"},"#,
                r#"{"username":"zoë","first_name":"東京","last_name":""}]}"#,
                "\n"
            ),
        ),
        (
            "ndjson",
            concat!(
                r#"{"username":"=1","first_name":"\u001b[31m","last_name":"@x, y"}"#,
                "\n",
                r#"{"username":"jdoe","first_name":"Jane","last_name":"Doe"}"#,
                "\n",
                r#"{"username":"zoë","first_name":"東京","last_name":""}"#,
                "\n"
            ),
        ),
    ] {
        let list = ["experts", "list", "--format", format];
        assert_eq!(site.stdout_of(&list), expected);
        site.stdout_of(&[&list[..], &["--output", "list"]].concat());
        assert_eq!(site.read("list"), expected.as_bytes());
    }
    // A raw list can be imported again.
    let raw = site.stdout_of(&["experts", "list", "--format", "csv", "--raw-csv"]);
    assert_eq!(
        raw,
        "username,first_name,last_name\n=1,\u{1b}[31m,\"@x, y\"\njdoe,Jane,Doe\nzoë,東京,\n"
    );
    site.run_with_input(&["experts", "import", "-"], raw.as_bytes())
        .assert(0, "0 new, 0 changed, 3 unchanged, 0 skipped\n", "");
}

#[test]
fn no_experts_are_a_valid_list_and_said_in_a_sentence() {
    let site = Site::new().with_schema("");
    let sentence = format!(
        "leadclicks: no experts yet in {}; see `leadclicks experts import --help`\n",
        site.db_path().display()
    );
    for (format, stdout) in [
        ("table", ""),
        ("csv", "username,first_name,last_name\n"),
        ("json", "{\"experts\":[]}\n"),
        ("ndjson", ""),
    ] {
        site.run(&["experts", "list", "--format", format])
            .assert(0, stdout, &sentence);
    }
}

#[test]
fn experts_are_imported_while_the_daemon_captures() {
    let site = Site::new();
    site.write("export.csv", EXPORT);
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("amy@example.com", "jdoe", "").status, 202);
    site.run(&IMPORT)
        .assert(0, "3 new, 0 changed, 0 unchanged, 4 skipped\n", SKIPPED);
    assert_eq!(daemon.post("bob@example.com", "jdoe", "").status, 202);
    let names = || -> Vec<String> {
        site.stdout_of(&["report", "--by-email", "--format", "csv"])
            .lines()
            .skip(1)
            .map(|line| line.split(',').take(3).collect::<Vec<_>>().join(" "))
            .collect()
    };
    let expected = [
        "bob@example.com jdoe Jane Doe",
        "amy@example.com jdoe Jane Doe",
    ];
    assert_eq!(names(), expected);
    assert!(daemon.stop().0.success());
    assert_eq!(names(), expected);
}

#[test]
fn an_import_waits_for_a_write_lock_but_not_for_ever() {
    let site = site();
    let conn = site.connect();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = format!(
        "leadclicks: {}: database is locked; another program holds its lock; try again when that program has finished\n",
        site.db_path().display()
    );
    site.run(&IMPORT).assert(1, "", &error);
    let child = site.command(&IMPORT).spawn().unwrap();
    conn.execute_batch("COMMIT").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (
            output.status.code(),
            &*String::from_utf8_lossy(&output.stdout)
        ),
        (Some(0), "3 new, 0 changed, 0 unchanged, 4 skipped\n")
    );
}

#[test]
fn a_list_as_csv_can_be_imported_again() {
    let site = Site::new().with_schema(
        "INSERT INTO experts VALUES ('=jdoe', '-Jane', '''@Doe'), ('plain', 'it''s', '\"quoted\"');",
    );
    let list = site.stdout_of(&["experts", "list", "--format", "csv"]);
    assert_eq!(
        list,
        "username,first_name,last_name\n'=jdoe,'-Jane,''@Doe\nplain,it's,\"\"\"quoted\"\"\"\n"
    );
    site.run_with_input(&["experts", "import", "-"], list.as_bytes())
        .assert(0, "0 new, 0 changed, 2 unchanged, 0 skipped\n", "");
}

#[test]
fn a_quote_that_is_never_closed_is_an_error_for_the_whole_file() {
    let site = site();
    site.write(
        "open.csv",
        "Username,First Name,Last Name,Bio\na,A,A,\nb,B,B,\"never closed\nc,C,C,\n",
    );
    site.run(&["experts", "import", "open.csv"]).assert(
        1,
        "",
        "leadclicks: cannot import open.csv: a quote that is opened on or after line 3 is never closed; close it\n",
    );
    assert_eq!(site.value::<u32>("SELECT count(*) FROM experts"), 0);
}

#[test]
fn experts_like_ours_but_without_the_key_are_a_host_apps() {
    let site = Site::new()
        .with_database("CREATE TABLE experts (username TEXT, first_name TEXT, last_name TEXT);")
        .with_schema("");
    site.write("export.csv", EXPORT);
    let ran = site.run(&IMPORT);
    assert_eq!(ran.status.code(), Some(1), "{ran}");
    assert!(
        ran.stderr.contains(
            "the experts table belongs to another program, so leadclicks never changes it"
        ),
        "{ran}"
    );
}

#[test]
fn a_list_as_any_spreadsheet_saves_it_is_read() {
    let utf16: Vec<u8> = "\u{feff}Username\tFirst Name\tLast Name\r\nzoë\tZoë\tTan\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for file in [
        "Username;First Name;Last Name\r\nzoë;Zoë;Tan\r\n".as_bytes(),
        "sep=;\r\nUsername;First Name;Last Name\r\nzoë;\"Zoë\";Tan\r\n".as_bytes(),
        "Username\tFirst Name\tLast Name\rzoë\tZoë\tTan\r".as_bytes(),
        &utf16,
    ] {
        let site = Site::new().with_schema("");
        site.run_with_input(&["experts", "import", "-"], file)
            .assert(0, "1 new, 0 changed, 0 unchanged, 0 skipped\n", "");
        assert_eq!(
            experts(&site),
            "username,first_name,last_name\nzoë,Zoë,Tan\n"
        );
    }
    let site = Site::new().with_schema("");
    for (file, error) in [
        (
            &b"PK\x03\x04\x14\0"[..],
            "it is an Excel workbook or a zip archive; save it as CSV UTF-8, or unpack it",
        ),
        (b"\x1f\x8b\x08\0", "it is compressed; unpack it by gunzip"),
        (
            &site.read("leadclicks.db"),
            "it is a database; give `leadclicks import` its path to import its clicks, or export a CSV from it",
        ),
    ] {
        let error = format!("leadclicks: cannot import from standard input: {error}\n");
        site.run_with_input(&["experts", "import", "-"], file)
            .assert(1, "", &error);
        site.run_with_input(&["import", "-"], file)
            .assert(1, "", &error);
    }
}

#[test]
fn lines_that_only_carriage_returns_end_are_counted() {
    let site = Site::new().with_schema("");
    site.run_with_input(
        &["experts", "import", "-"],
        b"username,first_name,last_name\ra,A,\r\r,B,\ra,C,\r",
    )
    .assert(
        0,
        "1 new, 0 changed, 0 unchanged, 2 skipped\n",
        "leadclicks: line 4 skipped: the username should have at least 1 character\n\
         leadclicks: line 5 skipped: the username is already on line 2\n",
    );
}

#[test]
fn if_no_row_is_valid_the_import_fails_and_only_the_first_are_named() {
    let site = Site::new().with_schema("");
    let header = "username,first_name,last_name\n";
    let skipped = (2..22).fold(String::new(), |lines, line| {
        lines
            + "leadclicks: line "
            + &line.to_string()
            + " skipped: the username should have at least 1 character\n"
    });
    let bad = ",A,B\n".repeat(2000);
    let error = format!(
        "{skipped}leadclicks: 1980 more lines skipped\nleadclicks: cannot import from standard input: \
         2000 invalid lines, of which 20 are listed, and no valid one; check that it is the right file\n"
    );
    site.run_with_input(
        &["experts", "import", "-"],
        format!("{header}{bad}").as_bytes(),
    )
    .assert(1, "", &error);
    // One of them is enough.
    let done = "1 new, 0 changed, 0 unchanged, 2000 skipped\n";
    let named = format!("{skipped}leadclicks: 1980 more lines skipped\n");
    site.run_with_input(
        &["experts", "import", "-"],
        format!("{header}{bad}zoe,Zoë,\n").as_bytes(),
    )
    .assert(0, done, &named);
    // So is a list without any.
    site.run_with_input(&["experts", "import", "-"], header.as_bytes())
        .assert(0, "0 new, 0 changed, 0 unchanged, 0 skipped\n", "");
}

#[test]
fn an_expert_is_removed_in_any_spelling_and_clicks_stay() {
    let site = Site::new().with_schema(
        "INSERT INTO experts VALUES ('jdoe', 'Jane', 'Doe'), ('jdo' || char(0x200b) || 'e', '', ''), ('zoë', 'Zoë', '');
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('amy@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000');",
    );
    site.run(&["experts", "remove", "jdoe\u{200b}"]).assert(
        0,
        "removed jdoe (Jane Doe); clicks on this expert stay\nremoved jdo\\u{200b}e; clicks on this expert stay\n",
        "",
    );
    assert_eq!(experts(&site), "username,first_name,last_name\nzoë,Zoë,\n");
    assert_eq!(site.clicks().len(), 1);
    let error = format!(
        "leadclicks: no expert 'jdoe\\u{{200b}}' in {}; `leadclicks experts list` lists them\n",
        site.db_path().display()
    );
    // An expert of a click is known by the username.
    site.run(&["experts", "remove", "jdoe\u{200b}"])
        .assert(1, "", &error);
    let error = format!(
        "leadclicks: no expert 'ZO' in {}; similar: zoë (Zoë); give the whole username\n",
        site.db_path().display()
    );
    site.run(&["experts", "remove", "ZO"]).assert(1, "", &error);

    let host = Site::new().with_database(HOST_APP);
    let error = format!(
        "leadclicks: {}: the experts table belongs to another program, so leadclicks never changes it; \
         change experts in the program that owns the database\n",
        host.db_path().display()
    );
    host.run(&["experts", "remove", "jdoe"])
        .assert(1, "", &error);
}

#[test]
fn clicked_usernames_that_are_no_experts_are_named_after_an_import() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 7)
         SELECT 'amy@example.com', 'ghost' || i, '', '2025-11-01 09:00:00.000000' FROM n;",
    );
    let experts = "username,first_name,last_name\nzoe,Zoë,\nghost\u{200b}7,Gus,\n";
    site.run_with_input(&["experts", "import", "-"], experts.as_bytes())
        .assert(
            0,
            "2 new, 0 changed, 0 unchanged, 0 skipped\n",
            "leadclicks: 6 clicked usernames are not among the experts: ghost1, ghost2, ghost3, ghost4, ghost5 and 1 more\n",
        );
    let all = [1, 2, 3, 4, 5, 6].map(|i| format!("ghost{i},,\n")).concat();
    let experts = format!("username,first_name,last_name\n{all}");
    site.run_with_input(&["experts", "import", "-"], experts.as_bytes())
        .assert(0, "6 new, 0 changed, 0 unchanged, 0 skipped\n", "");
    let clicks = "email,expert_username,search_query,created_at\n\
                  amy@example.com,zo\u{200b}e,,2025-11-01T09:00:00Z\namy@example.com,new,,2025-11-01T09:00:00Z\n";
    site.run_with_input(&["import", "-"], clicks.as_bytes())
        .assert(
            0,
            "2 new, 0 already stored\n",
            "leadclicks: 1 clicked username is not among the experts: new\n",
        );
}
