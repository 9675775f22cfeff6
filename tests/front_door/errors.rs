//! Errors of `leadclicks`: one line with the path and the next step.

use std::{fs, os::unix::fs::symlink};

use crate::support::{Daemon, Ran, Site};

const REPORT: [&str; 2] = ["report", "--by-email"];

/// Runs a report, which must fail with exactly this line, print nothing and change no file.
#[track_caller]
fn assert_refused(site: &Site, args: &[&str], error: &str) {
    let files = site.files();
    let ran = site.run(&[&REPORT, args].concat());
    ran.assert(1, "", &format!("leadclicks: {error}\n"));
    assert_eq!(site.files(), files, "{ran}");
}

#[test]
fn a_path_without_a_database_is_an_error_and_nothing_is_created() {
    let site = Site::new();
    fs::create_dir(site.path("directory")).unwrap();
    site.write(
        "notes.txt",
        "These are notes, and longer than the header of a database file.\n".repeat(4),
    );
    site.write("short.txt", "short");
    site.write("empty.db", "");
    let next_step = "check --db, or start leadclicksd once to create it";
    for (db, error) in [
        ("missing.db", format!("{{}}: no such database; {next_step}")),
        ("nowhere/missing.db", format!("{{}}: no such database; {next_step}")),
        ("notes.txt/missing.db", format!("{{}}: no such database; {next_step}")),
        ("directory", "{}: not a regular file; give --db the path of a database file".to_owned()),
        ("notes.txt", "{}: not an SQLite database; check --db".to_owned()),
        ("short.txt", "{}: not an SQLite database; check --db".to_owned()),
        (
            "empty.db",
            "{}: no table lead_clicks; check --db, or create the table with `sqlite3 FILE < schema.sql`".to_owned(),
        ),
    ] {
        let path = site.path(db);
        let error = error.replace("{}", path.to_str().unwrap());
        assert_refused(&site, &["--db", db], &error);
        assert_refused(&site, &["--db", path.to_str().unwrap()], &error);
        for command in [&["experts", "list"][..], &["reset", "--yes"], &["reset", "--dry-run"]] {
            let ran = site.run(&[&["--db", db], command].concat());
            ran.assert(1, "", &format!("leadclicks: {error}\n"));
        }
    }
    assert_eq!(
        site.files(),
        ["directory", "empty.db", "notes.txt", "short.txt"]
    );
    assert_eq!(site.read("empty.db"), b"");
    assert_refused(
        &site,
        &["--db", "/dev/null"],
        "/dev/null: not a regular file; give --db the path of a database file",
    );
}

#[test]
fn a_database_without_a_suitable_table_is_an_error() {
    let site = Site::new().with_database("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);");
    let path = site.db_path();
    let path = path.display();
    assert_refused(
        &site,
        &[],
        &format!(
            "{path}: no table lead_clicks; check --db, or create the table with `sqlite3 FILE < schema.sql`"
        ),
    );
    let site = Site::new().with_database(
        "CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email TEXT, search_query TEXT);",
    );
    let path = site.db_path();
    let path = path.display();
    assert_refused(
        &site,
        &[],
        &format!(
            "{path}: the table lead_clicks has no column expert_username; add it in the program that owns the database"
        ),
    );
    let site = Site::new()
        .with_schema("DROP TABLE experts; CREATE TABLE experts (username TEXT, first_name TEXT);");
    let path = site.db_path();
    let ran = site.run(&REPORT);
    let error = format!(
        "leadclicks: {}: the table experts has no column last_name; add it in the program that owns the database\n",
        path.display()
    );
    ran.assert(1, "", &error);
}

#[test]
fn an_invalid_created_at_is_reported_with_the_id_of_its_click() {
    for time in [
        "'last week'",
        "''",
        "NULL",
        "1793523600",
        "x'ff'",
        "'2026-02-30 00:00:00'",
    ] {
        let site = Site::new().with_database(&format!(
            "CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email, expert_username, search_query, created_at);
             INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (7, 'amy@example.com', 'jdoe', '', {time});"
        ));
        let error = format!(
            "leadclicks: {}: the click with id 7 has an invalid created_at; \
             change it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row\n",
            site.db_path().display()
        );
        for question in [&["--by-email"][..], &["--expert", "jdoe"]] {
            for format in ["table", "csv", "json", "ndjson"] {
                let ran = site.run(&[&["report", "--format", format], question].concat());
                ran.assert(1, "", &error);
            }
        }
        assert_eq!(site.files(), ["leadclicks.db"]);
    }
}

#[test]
fn a_click_without_a_time_is_reported_among_any_number_of_others() {
    for index in [
        "",
        "CREATE INDEX at ON lead_clicks (created_at);",
        "CREATE INDEX expert ON lead_clicks (expert_username, created_at);",
    ] {
        for clicks in [1, 255, 256, 1_000, 2_000] {
            let site = Site::new().with_database(&format!(
                "CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email, expert_username, search_query, created_at);
                 {index}
                 INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (7, 'amy@example.com', 'jdoe', '', NULL);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {clicks})
                 INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
                 SELECT 100 + i, 'bob@example.com', 'jdoe', '', format('2026-11-01 09:00:00.%06d', i) FROM n;"
            ));
            let ran = site.run(&["report", "--expert", "jdoe", "--format", "csv"]);
            assert_eq!(ran.status.code(), Some(1), "{index} {clicks}");
            assert!(
                ran.stderr
                    .contains("the click with id 7 has an invalid created_at")
            );
        }
    }
}

#[test]
fn invalid_flags_are_a_usage_error() {
    let site = Site::new();
    let usage = "\n\nFor more information, try '--help'.\n";
    let question = "\n\nUsage: leadclicks report <--by-email|--leads|--by-expert|--by-query|--by-day|--expert <USERNAME>|--email <EMAIL>>\n\nFor more information, try '--help'.\n";
    let instant = "a period is today, yesterday, monday, 'this week', 'last week', 'this month', 'last month', 7d, 2w, 3mo, 24h or 90min (until now), 2026-11-01, 2026-11, '2026-11-01 09:30' (local) or 2026-11-01T09:30:00Z";
    let window = |day: &str| {
        format!(
            "leadclicks: --since must be before --until, but it begins at {day} 00:00 and --until ends at {day} 00:00\n"
        )
    };
    let raw_csv = "leadclicks: --raw-csv is only for --format csv\n".to_owned();
    for (args, error) in [
        (
            &["report"][..],
            format!(
                "error: the following required arguments were not provided:\n  <--by-email|--leads|--by-expert|--by-query|--by-day|--expert <USERNAME>|--email <EMAIL>>{question}"
            ),
        ),
        (
            &["report", "--by-email", "--by-day"],
            format!("error: the argument '--by-email' cannot be used with '--by-day'{question}"),
        ),
        (
            &["report", "--by-email", "--limit", "0"],
            format!(
                "error: invalid value '0' for '--limit <NUMBER>': a limit is a whole number of at least 1{usage}"
            ),
        ),
        (
            &["report", "--by-email", "--since", "nonsense"],
            format!("error: invalid value 'nonsense' for '--since <PERIOD>': {instant}{usage}"),
        ),
        (
            &["report", "--by-email", "--until", "-7d"],
            format!("error: invalid value '-7d' for '--until <PERIOD>': {instant}{usage}"),
        ),
        (
            &["report", "--by-email", "--since", "3m"],
            format!(
                "error: invalid value '3m' for '--since <PERIOD>': m may mean minutes or months; write 3min or 3mo{usage}"
            ),
        ),
        (
            &["report", "--by-email", "--period", "2026-11-01T09:30:00Z"],
            "leadclicks: --period is an instant; give a period, such as a day\n".to_owned(),
        ),
        (
            &["report", "--by-day", "--tz", "Mars/Olympus"],
            format!(
                "error: invalid value 'Mars/Olympus' for '--tz <ZONE>': a time zone is a name such as Europe/Berlin or UTC; `ls /usr/share/zoneinfo` lists all names{usage}"
            ),
        ),
        (
            &["report", "--by-email", "--since", "999999w"],
            format!("leadclicks: --since: {instant}\n"),
        ),
        (
            &[
                "report",
                "--by-email",
                "--since",
                "2026-11-02",
                "--until",
                "2026-11-01",
            ],
            window("2026-11-02"),
        ),
        (
            &[
                "report",
                "--expert",
                "jdoe",
                "--since",
                "2026-11-01",
                "--until",
                "2026-11-01T00:00:00Z",
            ],
            window("2026-11-01"),
        ),
        (
            &["report", "--by-email", "--raw-csv", "--format", "json"],
            raw_csv.clone(),
        ),
        (&["report", "--by-email", "--raw-csv"], raw_csv.clone()),
        (
            &["experts", "list", "--raw-csv", "--format", "ndjson"],
            raw_csv,
        ),
    ] {
        site.run(args).assert(2, "", &error);
    }
    assert_eq!(site.files(), [""; 0]);
}

#[test]
fn a_wrong_separator_or_format_is_a_usage_error() {
    let site = Site::new();
    let usage = "\n\nFor more information, try '--help'.\n";
    let only_csv = "leadclicks: --separator is only for --format csv\n".to_owned();
    for (args, error) in [
        (
            &["report", "--by-email", "--separator", ";"][..],
            only_csv.clone(),
        ),
        (
            &["experts", "list", "--separator", "tab", "--format", "json"],
            only_csv,
        ),
        (
            &[
                "report",
                "--by-email",
                "--separator",
                "|",
                "--format",
                "csv",
            ],
            format!(
                "error: invalid value '|' for '--separator <SEPARATOR>': a separator is ',', ';' or tab{usage}"
            ),
        ),
        (
            &["watch", "--format", "json"],
            format!(
                "error: invalid value 'json' for '--format <FORMAT>'\n  [possible values: text, ndjson]\n\n  tip: a similar value exists: 'ndjson'{usage}"
            ),
        ),
    ] {
        site.run(args).assert(2, "", &error);
    }
}

#[test]
fn a_path_cannot_control_the_terminal() {
    let odd = "odd\n\u{1b}[31m\u{202e}\u{7f}";
    let shown = r"odd\n\u{1b}[31m\u{202e}\u{7f}";
    let site = Site::new();
    let directory = site.path("");
    let directory = directory.display();
    let error = format!(
        "{directory}{shown}: no such database; check --db, or start leadclicksd once to create it"
    );
    assert_refused(&site, &["--db", odd], &error);
    site.write(
        odd,
        "no database, but longer than the header of a database file".repeat(4),
    );
    let error = format!("{directory}{shown}: not an SQLite database; check --db");
    assert_refused(&site, &["--db", odd], &error);

    let site = Site::new().with_schema("");
    let directory = site.path("");
    let directory = directory.display();
    fs::rename(site.db_path(), site.path(odd)).unwrap();
    let sentence = format!("leadclicks: no clicks yet in {directory}{shown}\n");
    site.run(&["report", "--by-email", "--db", odd])
        .assert(0, "", &sentence);
    let found = format!(
        "{directory}{shown}\n\n Table         Rows\n────────────────────\n lead_clicks      0\n\nneeds about 1 MiB of free disk space\nclicks wait for about a second meanwhile\n\ndry run: nothing was deleted\n"
    );
    site.run(&["reset", "--dry-run", "--db", odd])
        .assert(0, &found, "");
    let output = format!("{odd}/x");
    let error = format!(
        "leadclicks: cannot write {shown}/x: Not a directory (os error 20); choose another --output\n"
    );
    let ran = site.run(&[
        "report",
        "--by-email",
        "--db",
        odd,
        "--format",
        "csv",
        "--output",
        &output,
    ]);
    ran.assert(1, "", &format!("{sentence}{error}"));
    let missing =
        format!("leadclicks: cannot import {shown}.csv: the file does not exist; check its name\n");
    let import = site.run(&["experts", "import", "--db", odd, &format!("{odd}.csv")]);
    import.assert(1, "", &missing);
}

#[test]
fn the_database_is_found_by_the_flag_then_the_variable_then_its_default_name() {
    let of = |email: &str| {
        Site::new().with_schema(&format!(
            "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (1, '{email}@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000');"
        ))
    };
    let (default, variable, flag) = (of("default"), of("variable"), of("flag"));
    let csv = |email: &str| {
        format!(
            "email,expert_username,expert_name,search_query,created_at\n\
             {email}@example.com,jdoe,jdoe,,2026-11-01T09:00:00.000000Z\n"
        )
    };
    let report = ["report", "--by-email", "--format", "csv"];
    assert_eq!(default.stdout_of(&report), csv("default"));
    let flag = flag.db_path();
    let db = ["--db", flag.to_str().unwrap()];
    for (args, email) in [
        (report.to_vec(), "variable"),
        ([&report[..], &db].concat(), "flag"),
        ([&db, &report[..]].concat(), "flag"),
    ] {
        let mut command = default.command(&args);
        command.env("LEADCLICKS_DB", variable.db_path());
        Ran::finish(command, b"").assert(0, &csv(email), "");
    }
}

#[test]
fn a_link_to_the_database_is_the_database() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (1, 'amy@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000')",
    );
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("bob@example.com", "jdoe", "").status, 202);
    fs::create_dir(site.path("links")).unwrap();
    symlink(site.db_path(), site.path("links/link.db")).unwrap();
    let linked = [
        "--db",
        "links/link.db",
        "report",
        "--by-email",
        "--format",
        "csv",
    ];
    assert_eq!(
        site.stdout_of(&linked),
        site.stdout_of(&["report", "--by-email", "--format", "csv"])
    );
    for output in ["leadclicks.db-wal", "leadclicks.db", "links/link.db"] {
        site.run(&[&linked[..], &["--output", output]].concat())
            .assert(
                1,
                "",
                &format!("leadclicks: {output} belongs to the database; choose another --output\n"),
            );
    }
    daemon.kill();
    assert_eq!(site.clicks().len(), 2);
}
