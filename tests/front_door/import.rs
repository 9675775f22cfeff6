//! `leadclicks import` stores all clicks of a report or none, each once.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    interrupt::signal,
    support::{Daemon, HOST_APP, PATIENCE, Ran, Site, WriteLock, body, post_request},
};

const HEADER: &str = "email,expert_username,search_query,created_at\n";

/// A CSV with these rows.
fn csv(rows: &[&str]) -> String {
    format!("{HEADER}{}\n", rows.join("\n"))
}

const AMY: &str = "amy@example.com,jdoe,pricing,2025-11-01T09:00:00.000000Z";
const BOB: &str = "bob@example.com,zoë,,2025-11-01T09:00:01.500000Z";

/// Every click with its id and time, ordered by id.
fn rows(site: &Site) -> Vec<String> {
    site.connect()
        .prepare(
            "SELECT format('%d %s %s %s %s', id, email, expert_username, search_query, created_at)
             FROM lead_clicks ORDER BY id",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// The report by email as CSV, JSON and NDJSON.
fn reports(site: &Site) -> [String; 3] {
    ["csv", "json", "ndjson"]
        .map(|format| site.stdout_of(&["report", "--by-email", "--format", format]))
}

#[test]
fn a_report_that_is_imported_into_an_empty_database_is_the_same_there() {
    let site = Site::new().with_schema(
        "INSERT INTO experts VALUES ('jdoe', 'John', 'Doe');
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('amy@example.com', 'jdoe', '=1+1', '2025-11-01 09:00:00.000000'),
             ('bob@example.com', 'jdoe', '''=x', '2025-11-01 09:00:00.000000'),
             ('amy@example.com', 'jdoe', '=1+1', '2025-11-01 09:00:00.000000'),
             ('amy@example.com', 'zoë', 'a, \"b\"', '2025-11-01 09:00:00.000000'),
             ('=cy@example.com', 'jdoe', 'x' || char(13, 10, 1, 9) || 'y', '2025-11-01 08:00:00.000001'),
             ('bob@example.com', '-jd', '', '2025-11-01 09:00:00.000002');",
    );
    let before = reports(&site);
    for (name, args) in [
        ("guarded.csv", &["--format", "csv"][..]),
        ("raw.csv", &["--format", "csv", "--raw-csv"]),
        ("lines", &["--format", "ndjson"]),
    ] {
        let empty = Site::new().with_schema("");
        let report = site.stdout_of(&[&["report", "--by-email"], args].concat());
        empty.write(name, &report);
        empty.write(
            "experts.csv",
            site.stdout_of(&["experts", "list", "--format", "csv"]),
        );
        empty.stdout_of(&["experts", "import", "experts.csv"]);
        // The format is detected; a guarded CSV is not.
        let raw = &args[2..];
        let import = [&["import", name], raw].concat();
        empty.run(&import).assert(
            0,
            "6 new, 0 already stored\n",
            "leadclicks: 2 clicked usernames are not among the experts: zoë, -jd\n",
        );
        assert_eq!(reports(&empty), before);
        empty
            .run(&import)
            .assert(0, "0 new, 6 already stored\n", "");
        assert_eq!(reports(&empty), before);
    }
}

#[test]
fn duplicates_are_counted_and_other_clicks_are_stored_oldest_first() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('amy@example.com', 'jdoe', 'pricing', '2025-11-01 09:00:00.000000'),
             ('amy@example.com', 'jdoe', 'pricing', '2025-11-01 09:00:00.000001'),
             ('amy@example.com', 'jdoe', 'Pricing', '2025-11-01 09:00:00.000000');",
    );
    let file = csv(&[
        BOB,
        AMY,
        // The same click three times, of which one is stored.
        AMY,
        AMY,
        "Amy@Example.com,jdoe,growth,2025-11-01T10:00:00+01:00",
    ]);
    let before = rows(&site);
    let ran = site.run_with_input(&["import", "--dry-run", "-"], file.as_bytes());
    ran.assert(
        0,
        "4 new, 1 already stored\n\ndry run: nothing was imported\n",
        "",
    );
    assert_eq!(rows(&site), before);

    let ran = site.run_with_input(&["import", "-"], file.as_bytes());
    ran.assert(0, "4 new, 1 already stored\n", "");
    let new = [
        "4 amy@example.com jdoe growth 2025-11-01 09:00:00.000000",
        "5 amy@example.com jdoe pricing 2025-11-01 09:00:00.000000",
        "6 amy@example.com jdoe pricing 2025-11-01 09:00:00.000000",
        "7 bob@example.com zoë  2025-11-01 09:00:01.500000",
    ]
    .map(str::to_owned);
    assert_eq!(rows(&site), [before, new.to_vec()].concat());
    let ran = site.run_with_input(&["import", "-"], file.as_bytes());
    ran.assert(0, "0 new, 5 already stored\n", "");
}

/// PostgreSQL can't store U+0000, so it is stored as U+FFFD; earlier versions stored it.
#[test]
fn clicks_whose_search_has_a_null_character_are_stored_with_a_replacement_and_known_in_both_forms()
{
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('amy@example.com', 'jdoe', 'a' || char(0) || 'b', '2025-11-01 09:00:00.000000');",
    );
    let report = site.stdout_of(&["report", "--by-email", "--format", "ndjson"]);
    assert!(report.contains(r"a\u0000b"), "{report}");
    for file in [&report, &report.replace(r"\u0000", "\u{fffd}")] {
        site.run_with_input(&["import", "-"], file.as_bytes())
            .assert(0, "0 new, 1 already stored\n", "");
    }
    let file = report.replace("amy@", "bob@");
    site.run_with_input(&["import", "-"], file.as_bytes())
        .assert(0, "1 new, 0 already stored\n", "");
    assert_eq!(
        rows(&site)[1],
        "2 bob@example.com jdoe a\u{fffd}b 2025-11-01 09:00:00.000000"
    );
}

#[test]
fn bad_lines_are_named_and_nothing_is_imported() {
    let site = Site::new().with_schema("");
    let file = csv(&[
        AMY,
        "amy,jdoe,secret words,2025-11-01T09:00:00Z",
        BOB,
        "amy@example.com,jdoe,x,2999-01-01T00:00:00Z",
    ]);
    site.write("clicks.csv", file);
    site.run(&["import", "clicks.csv"]).assert(
        1,
        "",
        "leadclicks: line 3: email should have one @ with text on both sides and no white space\n\
         leadclicks: line 5: created_at is in the future\n\
         leadclicks: cannot import clicks.csv: 2 invalid lines; correct or remove what is invalid, or import the rest with --skip-bad; nothing was imported\n",
    );
    site.run_with_input(&["import", "-"], b"a,b\n").assert(
        1,
        "",
        "leadclicks: cannot import from standard input: no column email; the first line should name email, \
         expert_username, search_query and created_at, as `leadclicks report --format csv` does\n",
    );
    site.run(&["import", "nowhere.csv"]).assert(
        1,
        "",
        "leadclicks: cannot import nowhere.csv: the file does not exist; check its name\n",
    );
    let error = "leadclicks: --raw-csv is only for --format csv\n";
    site.run(&["import", "--format", "ndjson", "--raw-csv", "clicks.csv"])
        .assert(2, "", error);
    let ran = site.run(&["import", "--format", "ndjson", "clicks.csv"]);
    assert!(
        ran.stderr
            .starts_with("leadclicks: line 1: not a JSON object\n"),
        "{ran}"
    );
    assert_eq!(rows(&site), [""; 0]);
}

#[test]
fn a_host_apps_database_takes_clicks_under_its_own_constraints() {
    let site = Site::new().with_database(HOST_APP).with_database(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('Amy@Example.com', 'jdoe', 'pricing', '2025-11-01 09:00:00'),
             ('bob@example.com', 'zoë', '', '2025-11-01 09:00:01.5'),
             ('amy@example.com', 'jdoe', 'pricing', '2025-11-01T09:00:00Z'),
             ('amy@example.com', 'jdoe', 'pricing', 1793523600);
         CREATE TRIGGER refuse BEFORE INSERT ON lead_clicks WHEN new.expert_username = 'refused'
         BEGIN SELECT RAISE(ABORT, 'no jane@example.com, please'); END;
         CREATE TRIGGER ignore BEFORE INSERT ON lead_clicks WHEN new.expert_username = 'ignored'
         BEGIN SELECT RAISE(IGNORE); END;
         CREATE TRIGGER rollback BEFORE INSERT ON lead_clicks WHEN new.expert_username = 'rolled'
         BEGIN SELECT RAISE(ROLLBACK, 'no jane@example.com, please'); END;",
    );
    let before = rows(&site);
    for (username, reason) in [
        ("refused", "constraint failed (SQLite code 1811)"),
        ("ignored", "ignored by a trigger or constraint"),
        ("rolled", "constraint failed (SQLite code 1811)"),
    ] {
        let refused = format!("zed@example.com,{username},,2025-11-01T11:00:00Z");
        let file = csv(&[BOB, "new@example.com,jdoe,,2025-11-01T10:00:00Z", &refused]);
        let error = format!(
            "leadclicks: {}: the database rejected the click on line 4: {reason}; correct or remove that line; nothing was imported\n",
            site.db_path().display()
        );
        site.run_with_input(&["import", "-"], file.as_bytes())
            .assert(1, "", &error);
        assert_eq!(rows(&site), before);
    }
    let file = csv(&[AMY, BOB, "new@example.com,jdoe,growth,2025-11-01T10:00:00Z"]);
    site.run_with_input(&["import", "-"], file.as_bytes())
        .assert(
            0,
            "1 new, 2 already stored\n",
            "leadclicks: 1 clicked username is not among the experts: zoë\n",
        );
    assert_eq!(rows(&site).len(), before.len() + 1);
    let found: u32 =
        site.value("SELECT count(*) FROM lead_clicks_fts WHERE lead_clicks_fts MATCH 'growth'");
    assert_eq!(found, 1);

    let view = Site::new().with_database(
        "CREATE VIEW lead_clicks AS SELECT 1 AS id, '' AS email,
        '' AS expert_username, '' AS search_query, '' AS created_at;",
    );
    let error = format!(
        "leadclicks: {}: lead_clicks is a view, so nothing confirms that a click is stored; \
         make it a table in the program that owns the database\n",
        view.db_path().display()
    );
    view.run_with_input(&["import", "-"], file.as_bytes())
        .assert(1, "", &error);
}

#[test]
fn duplicates_are_found_with_and_without_an_index_on_time() {
    // The file has each 200th of 10,000 stored clicks, and as many new ones.
    let stored = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
        INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
        SELECT 'amy@example.com', 'jdoe', i, format('2025-11-01 %02d:%02d:%02d.000000', i / 3600, i / 60 % 60, i % 60)
        FROM n ORDER BY i * 7919 % 10000;";
    let time = |second: usize| {
        let (hours, minutes) = (second / 3600, second / 60 % 60);
        format!("2025-11-01T{hours:02}:{minutes:02}:{:02}Z", second % 60)
    };
    let file: Vec<String> = (0..10_000)
        .step_by(200)
        .flat_map(|second| {
            [
                format!("amy@example.com,jdoe,{second},{}", time(second)),
                format!("amy@example.com,jdoe,other,{}", time(second)),
            ]
        })
        .collect();
    let file = csv(&file.iter().map(String::as_str).collect::<Vec<_>>());
    for site in [
        Site::new().with_schema(stored),
        Site::new().with_database(HOST_APP).with_database(stored),
    ] {
        site.run_with_input(&["import", "-"], file.as_bytes())
            .assert(0, "50 new, 50 already stored\n", "");
        site.run_with_input(&["import", "-"], file.as_bytes())
            .assert(0, "0 new, 100 already stored\n", "");
    }
}

#[test]
fn stored_times_of_another_type_are_ignored() {
    let site = Site::new().with_database(
        "CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email, expert_username, search_query, created_at);
         CREATE INDEX at ON lead_clicks (created_at);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
         SELECT 'old@example.com', 'jdoe', '', cast('2020-01-01 00:00:00' AS BLOB) FROM n;",
    );
    site.write("clicks.csv", csv(&[AMY, BOB]));
    let ran = site.run(&["import", "clicks.csv"]);
    ran.assert(0, "2 new, 0 already stored\n", "");
    let ran = site.run(&["import", "clicks.csv"]);
    ran.assert(0, "0 new, 2 already stored\n", "");
}

#[test]
fn a_click_that_was_captured_after_the_import_began_is_not_in_the_future() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let other = Site::new().with_schema("");
    let mut command = other.command(&["import", "-"]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    // It has the database open, and waits for its input.
    let deadline = Instant::now() + PATIENCE;
    while !other.files().iter().any(|name| name.ends_with("-shm")) {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(daemon.post("amy@example.com", "jdoe", "").status, 202);
    let report = site.stdout_of(&["report", "--by-email", "--format", "csv"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(report.as_bytes()).unwrap();
    drop(stdin);
    Ran::wait(&command, child).assert(0, "1 new, 0 already stored\n", "");
}

#[test]
fn a_file_is_read_before_the_lock_is_taken() {
    let site = Site::new().with_schema("");
    let lock = WriteLock::take(&site);
    let ran = site.run_with_input(&["import", "-"], csv(&["bad"]).as_bytes());
    assert!(ran.stderr.contains("1 invalid line;"), "{ran}");
    let ran = site.run_with_input(&["import", "--dry-run", "-"], csv(&[AMY]).as_bytes());
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    let error = format!(
        "leadclicks: {}: database is locked; another program holds its lock; try again when that program has finished; nothing was imported\n",
        site.db_path().display()
    );
    site.run_with_input(&["import", "-"], csv(&[AMY]).as_bytes())
        .assert(1, "", &error);
    lock.release();
}

#[test]
fn the_daemon_continues_with_ids_and_times_after_those_of_an_import() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("first@example.com", "jdoe", "").status, 202);
    site.run_with_input(&["import", "-"], csv(&[BOB, AMY]).as_bytes())
        .assert(0, "2 new, 0 already stored\n", "");
    assert_eq!(daemon.post("last@example.com", "jdoe", "").status, 202);
    assert_eq!(
        site.emails(),
        [
            "first@example.com",
            "amy@example.com",
            "bob@example.com",
            "last@example.com"
        ]
    );
    let csv = site.stdout_of(&["report", "--by-email", "--format", "csv"]);
    let emails: Vec<&str> = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(
        emails,
        [
            "last@example.com",
            "first@example.com",
            "bob@example.com",
            "amy@example.com"
        ]
    );
    let (_, log) = daemon.stop();
    assert!(!log.contains("replaced") && !log.contains("clock"), "{log}");
}

#[test]
fn an_import_of_truncated_input_imports_nothing() {
    let site = Site::new().with_schema("");
    let file = csv(&[AMY, "bob@example.com,zoë,\"cut"]);
    site.run_with_input(&["import", "-"], file.trim_end().as_bytes())
    .assert(
        1,
        "",
        "leadclicks: cannot import from standard input: a quote that is opened on or after line 3 is never closed; close it\n",
    );
    assert_eq!(rows(&site), [""; 0]);
}

/// A file of so many clicks, three of each second, of which the first and the last are equal.
fn clicks_in_threes(count: usize) -> String {
    let rows: Vec<String> = (0..count)
        .map(|number| {
            let (minute, second) = (number / 3 / 60, number / 3 % 60);
            let search = if number % 3 == 1 { "other" } else { "same" };
            format!("slow@example.com,jdoe,{search},2025-11-01T09:{minute:02}:{second:02}.000000Z")
        })
        .collect();
    csv(&rows.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Makes each imported click take about a millisecond.
const SLOW: &str = "CREATE TRIGGER slow AFTER INSERT ON lead_clicks WHEN new.email = 'slow@example.com' BEGIN
         SELECT count(*) FROM (
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) SELECT i FROM n
         );
     END;";

#[test]
fn clicks_are_stored_between_those_of_an_import() {
    let site = Site::new().with_schema(SLOW);
    let daemon = Daemon::start(&site, &[]);
    site.write("clicks.csv", clicks_in_threes(900));
    let mut command = site.command(&["import", "clicks.csv"]);
    let mut child = command.spawn().unwrap();
    let mut client = daemon.connect();
    while child.try_wait().unwrap().is_none() {
        let answer = client.send(&post_request(&body("page@example.com", "jdoe", "")));
        assert_eq!(answer.status, 202);
    }
    Ran::wait(&command, child).assert(0, "900 new, 0 already stored\n", "");
    let emails = site.emails();
    assert_eq!(
        emails
            .iter()
            .filter(|email| *email == "slow@example.com")
            .count(),
        900
    );
    let between = emails
        .iter()
        .skip_while(|email| *email == "page@example.com")
        .position(|email| email == "page@example.com");
    assert!(between < Some(900), "{between:?}");
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn an_import_that_is_killed_at_any_commit_continues_where_it_was() {
    let whole = Site::new().with_schema(SLOW);
    whole.write("clicks.csv", clicks_in_threes(90));
    whole.stdout_of(&["import", "clicks.csv"]);
    let expected = rows(&whole);
    let mut partial = 0;
    for number in (1..).step_by(2) {
        let site = Site::new().with_schema(SLOW);
        site.write("clicks.csv", clicks_in_threes(90));
        let mut command = site.shell(&format!(
            "exec strace -D -f -qq -o /dev/null -e trace=fsync -e inject=fsync:signal=KILL:when={number} \
             leadclicks import clicks.csv"
        ));
        command.stdin(std::process::Stdio::null());
        let ran = Ran::finish(command, b"");
        let stored = rows(&site).len();
        partial += u32::from(stored > 0 && stored < 90);
        let args = ["import", "clicks.csv"];
        let continued = format!("{} new, {stored} already stored\n", 90 - stored);
        site.run(&args).assert(0, &continued, "");
        assert_eq!(rows(&site), expected, "{ran}");
        site.run(&args).assert(0, "0 new, 90 already stored\n", "");
        if ran.status.success() {
            break;
        }
    }
    assert!(partial > 0);
}

const WAITING: &str = "leadclicks: another import is running; waiting until it has finished\n";

#[test]
fn an_import_that_waits_for_another_says_so_and_a_signal_ends_it() {
    let site = Site::new().with_schema("");
    site.write("clicks.csv", csv(&[AMY]));
    // As another import does.
    let directory = File::open(site.path("")).unwrap();
    flock(&directory, FlockOperation::LockExclusive).unwrap();
    let import = || {
        let mut command = site.command(&["import", "clicks.csv"]);
        let mut child = command.spawn().unwrap();
        let mut line = vec![0; WAITING.len()];
        child
            .stderr
            .as_mut()
            .unwrap()
            .read_exact(&mut line)
            .unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), WAITING);
        (command, child)
    };
    let (command, child) = import();
    signal(&child, "INT");
    let ran = Ran::wait(&command, child);
    assert_eq!(ran.status.signal(), Some(2), "{ran}");
    assert_eq!(rows(&site), [""; 0]);
    let (command, child) = import();
    drop(directory);
    Ran::wait(&command, child).assert(0, "1 new, 0 already stored\n", "");
}

#[test]
fn imports_of_the_same_file_at_the_same_time_store_each_click_once() {
    let site = Site::new().with_schema(SLOW);
    site.write("clicks.csv", clicks_in_threes(300));
    let imports: Vec<_> = (0..3)
        .map(|_| {
            let mut command = site.command(&["import", "clicks.csv"]);
            let child = command.spawn().unwrap();
            (command, child)
        })
        .collect();
    let mut printed: Vec<String> = imports
        .into_iter()
        .map(|(command, child)| {
            let ran = Ran::wait(&command, child);
            assert_eq!(ran.status.code(), Some(0), "{ran}");
            // The first one did not wait.
            assert!(ran.stderr.is_empty() || ran.stderr == WAITING, "{ran}");
            ran.stdout
        })
        .collect();
    printed.sort();
    assert_eq!(
        printed,
        [
            "0 new, 300 already stored\n",
            "0 new, 300 already stored\n",
            "300 new, 0 already stored\n"
        ]
    );
    assert_eq!(site.emails().len(), 300);
}

#[test]
fn an_import_that_stops_says_how_far_it_got() {
    let site = Site::new().with_schema(SLOW).with_database(
        "CREATE TRIGGER refuse BEFORE INSERT ON lead_clicks WHEN new.expert_username = 'refused'
         BEGIN SELECT RAISE(ABORT, 'no'); END;",
    );
    let file = clicks_in_threes(600) + "slow@example.com,refused,,2025-11-02T00:00:00Z\n";
    site.write("clicks.csv", &file);
    let ran = site.run(&["import", "clicks.csv"]);
    let stored = rows(&site).len();
    assert!(stored > 0 && stored <= 600, "{stored}");
    let error = format!(
        "leadclicks: {}: the database rejected the click on line 602: constraint failed (SQLite code 1811); \
         correct or remove that line; {stored} clicks imported; import the file again to continue, which skips them\n",
        site.db_path().display()
    );
    ran.assert(1, "", &error);
    site.write("clicks.csv", file.replace("refused", "jdoe"));
    let continued = format!("{} new, {stored} already stored\n", 601 - stored);
    site.run(&["import", "clicks.csv"])
        .assert(0, &continued, "");
}

#[test]
fn a_file_of_clicks_is_read_with_any_separator_and_encoding() {
    let rows = [
        "email;expert_username;search_query;created_at",
        "amy@example.com;zoë;\"a;\u{2009}b\";2025-11-01T09:00:00Z",
    ]
    .join("\r\n");
    let utf16: Vec<u8> = rows.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for file in [
        rows.as_bytes(),
        format!("\u{feff}sep=;\r\n{rows}").as_bytes(),
        rows.replace(';', "\t").replace("\r\n", "\r").as_bytes(),
        &utf16,
        &[b"\xfe\xff", &utf16[..]].concat(),
    ] {
        let site = Site::new().with_schema("");
        for done in ["1 new, 0 already stored\n", "0 new, 1 already stored\n"] {
            site.run_with_input(&["import", "-"], file)
                .assert(0, done, "");
        }
        assert_eq!(site.clicks()[0].1, "zoë");
    }
    let site = Site::new().with_schema("");
    site.run_with_input(
        &["import", "-"],
        format!("sep=;\r{}\rbad", rows.replace("\r\n", "\r")).as_bytes(),
    )
    .assert(
        1,
        "",
        "leadclicks: line 4: the header has 4 fields, but this row has 1; is a quote missing?\n\
         leadclicks: cannot import from standard input: 1 invalid line; correct or remove what is invalid, \
         or import the rest with --skip-bad; nothing was imported\n",
    );
}

#[test]
fn bad_lines_can_be_skipped_and_times_without_an_offset_have_the_given_zone() {
    let site = Site::new().with_schema("");
    let file = csv(&[
        "amy@example.com,jdoe,,2025-11-01 09:30",
        "amy,jdoe,,2025-11-01 09:30",
        "amy@example.com,jdoe,,2025-07-01T09:30:00.5",
        "amy@example.com,jdoe,,2025-11-01 09:30:00+05:00",
        "amy@example.com,jdoe,,20251101",
        "amy@example.com,jdoe,,2025-11-01 09:30:00.000000",
        "amy@example.com,jdoe,,2025-11-01 09:30:00",
        "amy@example.com,jdoe,,2025-10-26 02:30:00",
    ]);
    let offset = "created_at should be a time with its offset, for example 2026-11-01T09:30:00Z";
    site.run_with_input(&["import", "--skip-bad", "-"], file.as_bytes())
        .assert(
            0,
            "2 new, 0 already stored, 6 skipped\n",
            &format!(
                "leadclicks: line 2 skipped: {offset}; --tz gives times without one a time zone\n\
                 leadclicks: line 3 skipped: email should have one @ with text on both sides and no white space; {offset}; \
                 --tz gives times without one a time zone\n\
                 leadclicks: line 4 skipped: {offset}; --tz gives times without one a time zone\n\
                 leadclicks: line 6 skipped: {offset}\n\
                 leadclicks: line 8 skipped: {offset}; --tz gives times without one a time zone\n\
                 leadclicks: line 9 skipped: {offset}; --tz gives times without one a time zone\n"
            ),
        );
    let berlin = ["import", "--skip-bad", "--tz", "Europe/Berlin", "-"];
    site.run_with_input(&berlin, file.as_bytes()).assert(
        0,
        "4 new, 1 already stored, 3 skipped\n",
        &format!(
            "leadclicks: line 3 skipped: email should have one @ with text on both sides and no white space\n\
             leadclicks: line 6 skipped: {offset}\n\
             leadclicks: line 9 skipped: created_at is in the hour that a clock change of --tz repeats or skips; \
             add its offset, for example 2026-11-01T09:30:00+01:00\n"
        ),
    );
    assert_eq!(
        rows(&site),
        [
            "1 amy@example.com jdoe  2025-11-01 04:30:00.000000",
            "2 amy@example.com jdoe  2025-11-01 09:30:00.000000",
            "3 amy@example.com jdoe  2025-07-01 07:30:00.500000",
            "4 amy@example.com jdoe  2025-11-01 08:30:00.000000",
            "5 amy@example.com jdoe  2025-11-01 08:30:00.000000",
            "6 amy@example.com jdoe  2025-11-01 08:30:00.000000",
        ]
    );
    let only_bad = csv(&["amy,jdoe,,2025-11-01T09:30:00Z"]);
    site.run_with_input(&["import", "--skip-bad", "-"], only_bad.as_bytes())
        .assert(
            1,
            "",
            "leadclicks: line 2: email should have one @ with text on both sides and no white space\n\
             leadclicks: cannot import from standard input: 1 invalid line, and no valid one; check that it is the right file\n",
        );
}

#[test]
fn a_csv_for_spreadsheets_is_imported_again_without_storing_a_click_twice() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('amy@example.com', 'jdoe', 'pricing', '2025-11-01 09:00:00.999999'),
             ('amy@example.com', 'jdoe', 'pricing', '2025-11-01 09:00:01.000000'),
             ('amy@example.com', 'jdoe', 'pricing', '2025-11-01 09:00:01.250000'),
             ('Amy@Example.com', 'jdoe', '=1+1', '2025-11-01 09:00:01.500000'),
             ('bob@example.com', 'jdoe', '', '2025-11-01 09:00:01.500001');",
    );
    let berlin = ["--tz", "Europe/Berlin"];
    let export = ["report", "--by-email", "--for", "excel"];
    let file = site.stdout_of(&[&export[..], &berlin].concat());
    let import = |options: &[&str], file: &str| {
        site.run_with_input(&[&["import", "-"], options].concat(), file.as_bytes())
    };
    import(&berlin, &file).assert(0, "0 new, 5 already stored\n", "");
    // Without --tz nothing is stored an hour late.
    let ran = import(&["--dry-run"], &file);
    assert_eq!(ran.status.code(), Some(1), "{ran}");
    assert!(
        ran.stderr
            .contains("--tz gives times without one a time zone"),
        "{ran}"
    );
    // Twice in a second are two clicks, and a later second is another.
    let more = csv(&[
        "amy@example.com,jdoe,pricing,2025-11-01 10:00:01",
        "amy@example.com,jdoe,pricing,2025-11-01 10:00:01",
        "amy@example.com,jdoe,pricing,2025-11-01 10:00:01",
        "amy@example.com,jdoe,pricing,2025-11-01 10:00:02",
        "amy@example.com,jdoe,pricing,2025-11-01 10:00:01.250000",
    ]);
    import(&berlin, &more).assert(0, "3 new, 2 already stored\n", "");
    import(&berlin, &more).assert(0, "0 new, 5 already stored\n", "");
    // A time with its offset is exact, also without a fraction.
    let exact = csv(&["bob@example.com,jdoe,,2025-11-01T09:00:01Z"]);
    import(&[], &exact).assert(0, "1 new, 0 already stored\n", "");
}

/// Ids of clicks.
const IDS: [&str; 3] = [
    "0d9a4a3e-8f3c-4c51-9d58-30d4dbd5f7a1",
    "1d9a4a3e-8f3c-4c51-9d58-30d4dbd5f7a1",
    "2d9a4a3e-8f3c-4c51-9d58-30d4dbd5f7a1",
];

/// Every click with its time and id, ordered by id.
fn with_click_ids(site: &Site) -> Vec<String> {
    site.connect()
        .prepare(
            "SELECT format('%s %s %s %s', email, search_query, substr(created_at, 12, 8), substr(ifnull(click_id, '-'), 1, 1))
             FROM lead_clicks ORDER BY id",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn the_clicks_of_another_database_are_merged_by_their_ids() {
    let [zero, one, two] = IDS;
    let other = format!(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at, click_id) VALUES
             ('amy@example.com', 'jdoe', 'new', '2025-11-01 09:00:00.000000', '{zero}'),
             ('amy@example.com', 'jdoe', 'twice', '2025-11-01 09:00:00.000000', '{one}'),
             ('amy@example.com', 'jdoe', 'again', '2025-11-01 09:00:05.000000', '{one}'),
             ('amy@example.com', 'jdoe', 'equal', '2025-11-01 09:00:02.000000', '{two}'),
             ('amy@example.com', 'jdoe', 'equal', '2025-11-01 09:00:02.000000', NULL),
             ('bob@example.com', 'jdoe', 'no id', '2025-11-01 09:00:03.000000', NULL),
             ('bob@example.com', 'jdoe', 'no id', '2025-11-01 09:00:03.000000', NULL);"
    );
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at, click_id) VALUES
             ('amy@example.com', 'jdoe', 'twice', '2025-11-01 09:00:00.000001', '1D9A4A3E-8f3c-4c51-9d58-30d4dbd5f7a1'),
             ('amy@example.com', 'jdoe', 'equal', '2025-11-01 09:00:02.000000', '3d9a4a3e-8f3c-4c51-9d58-30d4dbd5f7a1'),
             ('bob@example.com', 'jdoe', 'no id', '2025-11-01 09:00:03.000000', NULL);",
    );
    let before = with_click_ids(&site);
    let elsewhere = Site::new().with_schema(&other);
    let path = elsewhere.db_path();
    let import = ["import", path.to_str().unwrap()];
    let dry = [&import[..], &["--dry-run"]].concat();
    site.run(&dry).assert(
        0,
        "3 new, 4 already stored\n\ndry run: nothing was imported\n",
        "",
    );
    site.run(&import).assert(0, "3 new, 4 already stored\n", "");
    let new = [
        "amy@example.com new 09:00:00 0",
        "amy@example.com equal 09:00:02 2",
        "bob@example.com no id 09:00:03 -",
    ]
    .map(str::to_owned);
    assert_eq!(with_click_ids(&site), [before, new.to_vec()].concat());
    site.run(&import).assert(0, "0 new, 7 already stored\n", "");
    // The other database is unchanged, and has all of these clicks. An id that only one of two equal clicks has decides nothing.
    assert_eq!(elsewhere.clicks().len(), 7);
    let back = site.db_path();
    elsewhere
        .run(&["import", back.to_str().unwrap()])
        .assert(0, "0 new, 6 already stored\n", "");

    // A file of these clicks has no ids, so it is compared by what it has.
    let report = elsewhere.stdout_of(&["report", "--by-email", "--format", "csv"]);
    let copy = Site::new().with_schema("");
    copy.run_with_input(&["import", "-"], report.as_bytes())
        .assert(0, "7 new, 0 already stored\n", "");
    copy.run(&import).assert(0, "0 new, 7 already stored\n", "");
}

#[test]
fn a_database_without_ids_and_a_host_apps_database_are_merged_too() {
    let host = Site::new().with_database(HOST_APP).with_database(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('Amy@Example.com', 'jdoe', 'pricing', '2025-11-01 09:00:00'),
             ('nobody', 'jdoe', '', '2025-11-01 09:00:00');",
    );
    let site = Site::new().with_schema(&format!(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at, click_id) VALUES
             ('bob@example.com', 'jdoe', '', '2025-11-01 09:00:00.000000', '{}');",
        IDS[0]
    ));
    let path = host.db_path();
    let path = path.to_str().unwrap();
    let error = format!(
        "leadclicks: line 1: email should have one @ with text on both sides and no white space\n\
         leadclicks: cannot import {path}: 1 invalid line; correct or remove what is invalid, \
         or import the rest with --skip-bad; nothing was imported\n"
    );
    site.run(&["import", path]).assert(1, "", &error);
    let ran = site.run(&["import", "--skip-bad", path]);
    assert_eq!(ran.stdout, "1 new, 0 already stored, 1 skipped\n", "{ran}");
    // A table without the column takes clicks without their ids, and knows them the next time.
    let from = site.db_path();
    for done in ["1 new, 1 already stored\n", "0 new, 2 already stored\n"] {
        host.run(&["import", from.to_str().unwrap()])
            .assert(0, done, "");
    }
    assert_eq!(host.clicks().len(), 3);
}

#[test]
fn a_database_to_import_is_another_one_and_takes_no_options_of_files() {
    let site = Site::new().with_schema("");
    let other = Site::new().with_schema("");
    let path = other.db_path();
    let path = path.to_str().unwrap();
    for (args, error) in [
        (
            &["import", "leadclicks.db"][..],
            "leadclicks.db is the database of --db itself; give another one".to_owned(),
        ),
        (
            &["import", path, "--tz", "UTC"],
            format!("--tz is for files of text, and {path} is a database"),
        ),
        (
            &["import", path, "--raw-csv"],
            format!("--raw-csv is for files of text, and {path} is a database"),
        ),
        (
            &["import", path, "--format", "csv"],
            format!("--format is for files of text, and {path} is a database"),
        ),
    ] {
        site.run(args)
            .assert(2, "", &format!("leadclicks: {error}\n"));
    }
    other
        .connect()
        .execute_batch("DROP TABLE lead_clicks")
        .unwrap();
    let error = format!(
        "leadclicks: {path}: no table lead_clicks; check --db, or create the table with `sqlite3 FILE < schema.sql`\n"
    );
    site.run(&["import", path]).assert(1, "", &error);
}

#[test]
fn a_pipe_with_a_name_is_read_like_a_file() {
    let site = Site::new().with_schema("");
    site.write("clicks.csv", csv(&[AMY]));
    let script = "mkfifo pipe; cat clicks.csv >pipe & exec leadclicks import pipe";
    Ran::finish(site.shell(script), b"").assert(0, "1 new, 0 already stored\n", "");
}
