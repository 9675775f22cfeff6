//! `leadclicks watch` prints each click once and in order, whatever happens to the database meanwhile.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use crate::support::{Client, Daemon, PATIENCE, Ran, Site, body, post_request};

/// A running `leadclicks watch`. It is killed on drop.
pub struct Watcher {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Watcher {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("leadclicks starts");
        let stdout = child.stdout.take().expect("a pipe");
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// Prints stored clicks, too, so that a test need not wait until the program has started.
    fn of_all(site: &Site) -> Self {
        Self::start(site.command(&["watch", "--since", "2000-01-01"]))
    }

    #[track_caller]
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line in time")
    }

    /// The next line; none if no line is printed in this time.
    #[cfg(feature = "postgres")]
    pub fn line_within(&self, time: Duration) -> Option<String> {
        self.lines.recv_timeout(time).ok()
    }

    /// The next line without its time and its alignment.
    #[track_caller]
    pub fn click(&self) -> String {
        line_without_time(&self.line())
    }

    /// Like [`Watcher::click`]; none if no line is printed in this time.
    pub fn click_within(&self, time: Duration) -> Option<String> {
        let line = self.lines.recv_timeout(time).ok()?;
        Some(line_without_time(&line))
    }

    /// Waits for the end; returns the exit code and standard error. There must be no more lines.
    #[track_caller]
    fn finish(mut self) -> (Option<i32>, String) {
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            rest.push(line);
        }
        assert!(rest.is_empty(), "{rest:?}");
        let stderr = self.child.stderr.take().expect("a pipe");
        let printed = std::io::read_to_string(stderr).expect("standard error");
        (self.child.wait().expect("wait").code(), printed)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line_without_time(line: &str) -> String {
    let cells: Vec<&str> = line.split("  ").filter(|cell| !cell.is_empty()).collect();
    let cells: Vec<&str> = cells[1..].iter().map(|cell| cell.trim()).collect();
    cells.join("  ")
}

/// Waits until a child ends.
#[track_caller]
fn exit_code(mut child: Child) -> Option<i32> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            return status.code();
        }
        if std::time::Instant::now() > deadline {
            let _ = child.kill();
            panic!("it did not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// An unknown expert, one without a name, an empty search and sequences that control a terminal.
const CLICKS: &str = "
    INSERT INTO experts VALUES ('jdoe', 'Jane', 'Doe'), ('blank', ' ', '');
    INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
        (1, 'amy@example.com', 'jdoe', 'pricing', '2026-11-01 09:00:00.000000'),
        (2, 'bob@example.com', 'ghost', '', '2026-11-01 09:00:00.000000'),
        (3, 'o''neil@example.com', 'blank', '\u{1b}[31mred\u{7} \u{202e}evil', '2026-11-02 12:30:59.999999');";

#[test]
fn a_click_is_one_line_for_people() {
    let site = Site::new().with_schema(CLICKS);
    let mut command = site.command(&["watch", "--since", "2026-11-01"]);
    command.env("TZ", "CET-1");
    let watcher = Watcher::start(command);
    for line in [
        "2026-11-01 10:00:00  amy@example.com         Jane Doe (jdoe)     pricing",
        "2026-11-01 10:00:00  bob@example.com         ghost",
        r"2026-11-02 13:30:59  o'neil@example.com      blank               \u{1b}[31mred\u{7} \u{202e}evil",
    ] {
        assert_eq!(watcher.line(), line);
    }
}

#[test]
fn a_click_as_ndjson_is_the_same_line_as_in_a_report() {
    let site = Site::new().with_schema(CLICKS);
    let report = site.stdout_of(&["report", "--by-email", "--format", "ndjson"]);
    let watch = ["watch", "--since", "2026-11-01", "--format", "ndjson"];
    let watcher = Watcher::start(site.command(&watch));
    let mut printed: Vec<String> = (0..3).map(|_| watcher.line()).collect();
    printed.sort_unstable();
    let mut reported: Vec<&str> = report.lines().collect();
    reported.sort_unstable();
    assert_eq!(printed, reported);
    let imported = site.run_with_input(&["import", "-"], printed.join("\n").as_bytes());
    imported.assert(0, "0 new, 3 already stored\n", "");
}

#[test]
fn since_prints_stored_clicks_but_none_from_before_it() {
    let site = Site::new().with_schema(CLICKS);
    let watcher = Watcher::start(site.command(&["watch", "--since", "2026-11-02 12:30:59"]));
    assert!(watcher.line().contains("o'neil@example.com"));
    // A new click is printed even if its time is long ago.
    site.connect()
        .execute_batch(
            "INSERT INTO lead_clicks (email, expert_username, created_at) VALUES
                 ('early@example.com', 'jdoe', '2026-11-01 00:00:00.000000'),
                 ('late@example.com', 'jdoe', '2026-11-03 00:00:00.000000');",
        )
        .unwrap();
    assert_eq!(watcher.click(), "early@example.com  Jane Doe (jdoe)");
    assert_eq!(watcher.click(), "late@example.com  Jane Doe (jdoe)");
}

#[test]
fn after_resumes_where_an_earlier_watch_ended() {
    // The third arrived late, and the fourth happened at the same time as the second.
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
            (1, 'a@example.com', 'jdoe', '', '2026-11-01 09:00:00.000001'),
            (2, 'b@example.com', 'jdoe', '', '2026-11-01 09:00:00.000002'),
            (3, 'late@example.com', 'jdoe', '', '2026-10-31 10:00:00.000000'),
            (4, 'tie@example.com', 'jdoe', '', '2026-11-01 09:00:00.000002'),
            (5, 'c@example.com', 'zoe', '', '2026-11-02 09:00:00.000000');",
    );
    for (after, filter, emails) in [
        (
            "2026-11-01T09:00:00.000001Z",
            None,
            &["b", "late", "tie", "c"][..],
        ),
        // A click may be printed again rather than not at all.
        (
            "2026-11-01T10:00:00.000002+01:00",
            None,
            &["late", "tie", "c"],
        ),
        ("2026-10-31T10:00:00Z", None, &["tie", "c"]),
        ("2026-11-01T09:00:00.000001Z", Some("zoe"), &["c"]),
        // No click has this time.
        ("2026-11-01T09:00:00.000003Z", None, &["c"]),
        ("2026-11-01 12:00", None, &["c"]),
        ("2026-11-02", None, &["c"]),
    ] {
        let mut args = vec!["watch", "--format", "ndjson", "--after", after];
        if let Some(expert) = filter {
            args.extend(["--expert", expert]);
        }
        let watcher = Watcher::start(site.command(&args));
        for email in emails {
            let line = watcher.line();
            let begin = format!("{{\"email\":\"{email}@example.com\"");
            assert!(line.starts_with(&begin), "{after}: {line}, not {email}");
        }
    }
    let daemon = Daemon::start(&site, &[]);
    let watcher = Watcher::start(site.command(&["watch", "--after", "2026-11-02T09:00:00Z"]));
    daemon.post("new@example.com", "jdoe", "");
    assert!(watcher.click().contains("new@example.com"));
    let ran = site.run(&["watch", "--after", "noon"]);
    assert_eq!(ran.status.code(), Some(2), "{ran}");
    let error = "error: invalid value 'noon' for '--after <TIME>': a period is today, ";
    assert!(ran.stderr.starts_with(error), "{ran}");
}

#[test]
fn only_selected_clicks_are_printed() {
    for (filter, email) in [
        (["--expert", "jdoe"], "amy@example.com"),
        (["--email", " Bob@Example.com"], "bob@example.com"),
        (["--query", "RIC"], "amy@example.com"),
    ] {
        let site = Site::new().with_schema(CLICKS);
        let args = [&["watch", "--since", "2026-11-01"][..], &filter].concat();
        let watcher = Watcher::start(site.command(&args));
        let line = watcher.line();
        assert!(line.contains(&format!("  {email} ")), "{line}");
        // This applies to new clicks, too.
        site.connect()
            .execute_batch(
                "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
                     ('other@example.com', 'other', 'other', '2027-01-01 00:00:00.000000'),
                     ('bob@example.com', 'jdoe', 'pricing', '2027-01-01 00:00:00.000000');",
            )
            .unwrap();
        assert_eq!(watcher.click(), "bob@example.com  Jane Doe (jdoe)  pricing");
    }
}

#[test]
fn times_are_in_the_given_zone() {
    let site = Site::new().with_schema(CLICKS);
    let args = ["watch", "--tz", "Asia/Tokyo", "--since", "2026-11-02 21:00"];
    let line = Watcher::start(site.command(&args)).line();
    assert!(line.starts_with("2026-11-02 21:30:59  o'neil@"), "{line}");
}

#[test]
fn colours_are_for_terminals() {
    let site = Site::new().with_schema(CLICKS);
    let mut terminal = site.on_terminal_with(
        &[],
        "stty cols 80; exec leadclicks watch --since 2026-11-01",
    );
    terminal.wait_for("red");
    terminal.type_and_end("\u{3}");
    let (code, screen) = terminal.finish();
    assert_eq!(code, Some(130));
    assert!(
        screen.contains("\u{1b}[2m2026-11-01 09:00:00\u{1b}[0m  amy@example.com         Jane Doe          pricing\n"),
        "{screen:?}"
    );
}

#[test]
fn while_it_waits_the_wal_is_emptied_by_a_checkpoint() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let watcher = Watcher::of_all(&site);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    assert_eq!(watcher.click(), "jane@example.com  jdoe");
    let busy: bool = site.value("PRAGMA wal_checkpoint(TRUNCATE)");
    assert!(!busy);
    assert_eq!(site.read("leadclicks.db-wal"), b"");
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    assert_eq!(watcher.click(), "jane@example.com  jdoe");
}

#[test]
fn on_a_terminal_it_says_that_it_waits_and_cuts_lines_at_the_edge() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
    let mut terminal = site.on_terminal("stty rows 24 cols 72 && exec leadclicks watch");
    terminal.wait_for("; stop with Ctrl-C\r\n");
    let search = "how to price a platform 東京".repeat(70);
    assert_eq!(daemon.post("jane@example.com", "jdoe", &search).status, 202);
    terminal.wait_for("…\r\n");
    terminal.type_and_end("\u{3}");
    let (_, screen) = terminal.finish();
    let lines: Vec<&str> = screen.lines().collect();
    let path = site.db_path();
    assert_eq!(
        lines[0],
        format!(
            "leadclicks: waiting for clicks in {}; stop with Ctrl-C",
            path.display()
        )
    );
    let (_, line) = lines[1].split_once("  ").expect("a time");
    assert_eq!(line, "jane@example.com    jdoe            how to price a…");
    assert!(lines.len() == 2 || lines[2..] == ["^C"], "{lines:?}");
}

#[test]
fn on_a_terminal_lines_are_aligned_and_the_search_has_room_at_any_width() {
    let site = Site::new().with_schema(
        "INSERT INTO experts VALUES
             ('priya-raghunathan-venkataraman', 'Priya', 'Raghunathan-Venkataraman'),
             ('jdoe', 'Johanna', 'Doe'), ('jdoe2', 'Johanna', 'Doe');
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
             (1, 'bartholomew.featherstonehaugh@example.com', 'jdoe', 'how to price a platform', '2026-11-01 09:00:00.000000'),
             (2, 'o@example.com', 'priya-raghunathan-venkataraman', 'pricing', '2026-11-01 09:00:00.000000');",
    );
    for (columns, lines) in [
        (
            200,
            [
                "bartholomew.featherstonehaugh@examp…  Johanna Doe (jdoe)              how to price a platform",
                "o@example.com                         Priya Raghunathan-Venkataraman  pricing",
            ],
        ),
        (
            80,
            [
                "bartholomew.featherst…  Johanna Doe (jd…  how to price a p…",
                "o@example.com           Priya Raghunath…  pricing",
            ],
        ),
        (
            50,
            [
                "bartholom…  Johann…  how to…",
                "o@example…  Priya…   pricing",
            ],
        ),
    ] {
        let mut terminal = site.on_terminal(&format!(
            "stty rows 24 cols {columns} && exec leadclicks watch --since 2026-11-01"
        ));
        terminal.wait_for("pricing");
        terminal.type_and_end("\u{3}");
        let (_, screen) = terminal.finish();
        let shown: Vec<&str> = screen.lines().skip(1).take(2).collect();
        let expected = lines.map(|line| format!("2026-11-01 09:00:00  {line}"));
        assert_eq!(shown, expected, "{columns}");
    }
}

#[test]
fn without_a_terminal_no_line_is_cut() {
    let site = Site::new().with_schema("");
    let mut command = site.command(&["watch", "--since", "1h"]);
    command.env("COLUMNS", "40");
    let watcher = Watcher::start(command);
    let daemon = Daemon::start(&site, &[]);
    let search = "x".repeat(2000);
    assert_eq!(daemon.post("jane@example.com", "jdoe", &search).status, 202);
    assert_eq!(watcher.click(), format!("jane@example.com  jdoe  {search}"));
}

#[test]
fn it_ends_when_its_reader_ends_even_if_no_click_arrives() {
    let site = Site::new().with_schema(CLICKS);
    // `head` ends after the first line, and there is no second one.
    let mut shell = site.shell("leadclicks watch --since 2026-11-01 | head -n 1; echo done");
    shell.stderr(Stdio::piped());
    Ran::finish(shell, b"").assert(
        0,
        "2026-11-01 09:00:00  amy@example.com         Jane Doe (jdoe)     pricing\ndone\n",
        "",
    );
    for format in ["text", "ndjson"] {
        let mut child = site
            .command(&["watch", "--since", "2026-11-01", "--format", format])
            .spawn()
            .unwrap();
        let mut stdout: ChildStdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 100]).unwrap();
        drop(stdout);
        assert_eq!(exit_code(child), Some(0));
    }
}

#[test]
fn names_of_experts_that_are_imported_meanwhile_are_used() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let watcher = Watcher::of_all(&site);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    assert_eq!(watcher.click(), "jane@example.com  jdoe");
    let experts = b"username,first_name,last_name\njdoe,John,Doe\n";
    let imported = site.run_with_input(&["experts", "import", "-"], experts);
    imported.assert(0, "1 new, 0 changed, 0 unchanged, 0 skipped\n", "");
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    assert_eq!(watcher.click(), "jane@example.com  John Doe (jdoe)");
}

#[test]
fn it_continues_when_the_daemon_is_restarted_and_when_clicks_are_deleted() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let watcher = Watcher::of_all(&site);
    let post = |daemon: &Daemon, email: &str| {
        assert_eq!(daemon.post(email, "jdoe", "").status, 202);
        assert_eq!(watcher.click(), format!("{email}  jdoe"));
    };
    post(&daemon, "a@example.com");
    // A watch does not prevent the daemon from emptying the WAL or from ending.
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert_eq!(site.read("leadclicks.db-wal"), b"");
    let daemon = Daemon::start(&site, &[]);
    post(&daemon, "b@example.com");
    for erase in [
        ["forget", "b@example.com", "--yes"].as_slice(),
        &["purge", "--older-than", "0min", "--yes"],
        &["reset", "--yes"],
    ] {
        let ran = site.run(erase);
        assert_eq!(ran.status.code(), Some(0), "{ran}");
        assert_eq!(site.read("leadclicks.db-wal"), b"", "{ran}");
        post(&daemon, "c@example.com");
    }
}

#[test]
fn a_signal_ends_it_silently() {
    for (signal, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        let site = Site::new().with_schema(CLICKS);
        let mut watcher = Watcher::of_all(&site);
        for _ in 0..3 {
            watcher.line();
        }
        let id = watcher.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.expect("kill").success());
        let rest = watcher.lines.recv_timeout(PATIENCE);
        assert_eq!(rest, Err(mpsc::RecvTimeoutError::Disconnected), "{signal}");
        let status = watcher.child.wait().expect("wait");
        assert_eq!(status.signal(), Some(number), "{status}");
        let stderr = watcher.child.stderr.take().expect("a pipe");
        assert_eq!(std::io::read_to_string(stderr).unwrap(), "");
    }
}

/// The beginning of a statement that stores a click for each row of the query after it.
const AGAIN: &str = "INSERT INTO lead_clicks (email, expert_username, created_at)
     SELECT 'new@example.com', 'jdoe', strftime('%Y-%m-%d %H:%M:%f', 'now') || '000' FROM ";

#[test]
fn clicks_that_reuse_the_ids_of_deleted_ones_are_printed() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let post = |email: &str| assert_eq!(daemon.post(email, "jdoe", "").status, 202);
    let watcher = Watcher::of_all(&site);
    let printed = |email: &str| assert_eq!(watcher.click(), format!("{email}  jdoe"));
    for email in ["a@example.com", "b@example.com", "b@example.com"] {
        post(email);
        printed(email);
    }
    // In one transaction, so that the ids are reused before the next look.
    let change = |sql: &str| site.connect().execute_batch(sql).expect(sql);
    change(&format!(
        "BEGIN IMMEDIATE; DELETE FROM lead_clicks WHERE email = 'b@example.com'; {AGAIN} (VALUES (1), (2), (3)); COMMIT;"
    ));
    for _ in 0..3 {
        printed("new@example.com");
    }
    change(&format!("BEGIN IMMEDIATE; DELETE FROM lead_clicks; {AGAIN} generate_series(1, 2000); COMMIT;")
        .replace("generate_series(1, 2000)", "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n)"));
    for _ in 0..2000 {
        printed("new@example.com");
    }
    // More clicks are deleted than it remembers; older ones stay, and are not printed again.
    change(&format!("BEGIN IMMEDIATE; DELETE FROM lead_clicks WHERE id > 5;
        UPDATE lead_clicks SET created_at = '2026-01-01 00:00:00.000000'; {AGAIN} (VALUES (1), (2)); COMMIT;"));
    for _ in 0..2 {
        printed("new@example.com");
    }
    change("DELETE FROM lead_clicks");
    post("last@example.com");
    printed("last@example.com");
}

#[test]
fn after_the_largest_id_each_click_is_printed_once() {
    // From there on SQLite chooses ids at random.
    let site = Site::new().with_schema(&CLICKS.replace("(3, ", "(9223372036854775807, "));
    let daemon = Daemon::start(&site, &[]);
    let watcher = Watcher::start(site.command(&["watch", "--since", "2026-11-02"]));
    watcher.line();
    let post = |number: u32| {
        let email = format!("lead{number}@example.com");
        assert_eq!(daemon.post(&email, "ghost", "").status, 202);
        assert_eq!(watcher.click(), format!("{email}  ghost"));
    };
    (0..20).for_each(post);
    // As `leadclicks check` advises.
    site.connect()
        .execute_batch("UPDATE lead_clicks SET id = 3 WHERE id = 9223372036854775807")
        .unwrap();
    (20..25).for_each(post);
}

#[test]
fn clicks_with_ids_of_a_host_app_that_do_not_rise_are_printed_once() {
    let site = Site::new().with_schema(CLICKS);
    let daemon = Daemon::start(&site, &[]);
    let watcher = Watcher::of_all(&site);
    for _ in 0..3 {
        watcher.line();
    }
    let host_app = site.connect();
    let insert = |ids: &[i64], hours_ago: u32| {
        for id in ids {
            host_app
                .execute(
                    "INSERT INTO lead_clicks (id, email, expert_username, created_at)
                     VALUES (?1, 'lead' || ?1 || '@example.com', 'ghost',
                             strftime('%Y-%m-%d %H:%M:%f', 'now', ?2) || '000')",
                    (id, format!("-{hours_ago} hours")),
                )
                .unwrap();
        }
        let mut printed: Vec<_> = ids.iter().map(|_| watcher.click()).collect();
        let mut expected: Vec<_> = ids
            .iter()
            .map(|id| format!("lead{id}@example.com  ghost"))
            .collect();
        printed.sort();
        expected.sort();
        assert_eq!(printed, expected);
    };
    insert(&[1_000, 500, 501, -7], 0);
    assert_eq!(daemon.post("jane@example.com", "ghost", "").status, 202);
    assert_eq!(watcher.click(), "jane@example.com  ghost");
    insert(&[400, i64::MIN, 2_000, 499], 23);
    // More than one batch.
    insert(&(10_000..11_500).rev().collect::<Vec<_>>(), 0);
    host_app
        .execute_batch("DELETE FROM lead_clicks WHERE id > 450")
        .unwrap();
    insert(&[450, 20, 3_000], 0);
    assert_eq!(daemon.post("end@example.com", "ghost", "").status, 202);
    assert_eq!(watcher.click(), "end@example.com  ghost");
}

#[test]
fn a_database_that_replaces_the_watched_one_is_watched() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let watcher = Watcher::of_all(&site);
    let post = |email: &str| assert_eq!(daemon.post(email, "jdoe", "").status, 202);
    let printed = |email: &str| assert_eq!(watcher.click(), format!("{email}  jdoe"));
    post("a@example.com");
    printed("a@example.com");
    // A backup replaces the database; its clicks were printed already.
    let backup = site.path("backup.db");
    site.connect()
        .execute("VACUUM INTO ?", [backup.to_str().unwrap()])
        .unwrap();
    post("b@example.com");
    printed("b@example.com");
    fs::rename(&backup, site.db_path()).unwrap();
    post("c@example.com");
    printed("c@example.com");
    // The daemon creates a new WAL after this one is deleted.
    fs::remove_file(site.path("leadclicks.db-wal")).unwrap();
    post("d@example.com");
    printed("d@example.com");
    assert_eq!(
        site.emails(),
        ["a@example.com", "c@example.com", "d@example.com"]
    );
}

#[test]
fn a_database_that_is_removed_and_not_replaced_is_an_error() {
    let site = Site::new().with_schema(CLICKS);
    let watcher = Watcher::of_all(&site);
    for _ in 0..3 {
        watcher.line();
    }
    fs::remove_file(site.db_path()).unwrap();
    let error = format!(
        "leadclicks: {}: no such database; check --db, or start leadclicksd once to create it\n",
        site.db_path().display()
    );
    assert_eq!(watcher.finish(), (Some(1), error));
}

#[test]
fn a_database_that_cannot_be_watched_is_an_error() {
    let site = Site::new();
    let path = site.db_path();
    let error = format!(
        "leadclicks: {}: no such database; check --db, or start leadclicksd once to create it\n",
        path.display()
    );
    site.run(&["watch"]).assert(1, "", &error);
    let ran = site.run(&["watch", "--since", "9999999w"]);
    assert_eq!(ran.status.code(), Some(2), "{ran}");
    // The clicks before the one without a time are printed.
    let site = Site::new().with_schema("").with_database(
        "DROP TABLE lead_clicks;
         CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email, expert_username, search_query, created_at);
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
             (1, 'amy@example.com', 'jdoe', '', '2026-11-01 09:00:00'),
             (2, 'bob@example.com', 'jdoe', '', 'yesterday');",
    );
    site.run(&["watch", "--since", "2026-11-01"]).assert(
        1,
        "2026-11-01 09:00:00  amy@example.com         jdoe\n",
        &format!(
            "leadclicks: {}: the click with id 2 has an invalid created_at; \
             change it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row\n",
            site.db_path().display()
        ),
    );
}

#[test]
fn a_database_whose_ids_are_no_numbers_cannot_be_watched() {
    let site = Site::new().with_database(
        "CREATE TABLE lead_clicks (id TEXT PRIMARY KEY, email, expert_username, search_query, created_at);
         INSERT INTO lead_clicks VALUES ('a', 'amy@example.com', 'jdoe', '', '2026-11-01 09:00:00');",
    );
    let error = format!(
        "leadclicks: {}: lead_clicks.id is not the table's INTEGER PRIMARY KEY, so a click would get no id; make it that in \
         the program that owns the database\n",
        site.db_path().display()
    );
    site.run(&["watch"]).assert(1, "", &error);
}

/// How many clients post at full speed while it watches.
const CLIENTS: usize = 4;
const RESETS: usize = 30;

#[test]
fn at_full_speed_and_through_resets_each_click_is_printed_once_and_in_order() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let watch = ["watch", "--since", "1h", "--format", "ndjson"];
    let watcher = Watcher::start(site.command(&watch));
    let ends = AtomicBool::new(false);
    let accepted: Vec<u64> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (connection, ends) = (daemon.connect(), &ends);
                scope.spawn(move || post_until(connection, client, ends))
            })
            .collect();
        for reset in 0..RESETS {
            let ran = site.run(&["reset", "--yes"]);
            assert!(ran.status.success(), "{ran}");
            // Some follow at once, others after the watch has looked in between.
            thread::sleep(Duration::from_millis(25 * (reset as u64 % 5)));
        }
        ends.store(true, Ordering::SeqCst);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    assert_eq!(daemon.post("end@example.com", "end", "").status, 202);
    let printed = read_until_end(&watcher);
    let mut last_of: HashMap<&str, u64> = HashMap::new();
    for (client, number) in &printed {
        if let Some(last) = last_of.insert(client, *number) {
            assert!(last < *number, "{number} of {client} came after {last}");
        }
    }
    let printed: HashSet<&(String, u64)> = printed.iter().collect();
    let stored: HashSet<(String, u64)> = site
        .clicks()
        .into_iter()
        .filter(|(_, expert, _)| expert != "end")
        .map(|(_, client, number)| (client, number.parse().unwrap()))
        .collect();
    let missing: Vec<_> = stored
        .iter()
        .filter(|click| !printed.contains(click))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let accepted: u64 = accepted.iter().sum();
    eprintln!(
        "{accepted} clicks, {} printed, {} at the end",
        printed.len(),
        stored.len()
    );
    assert!(printed.len() > stored.len());
}

/// Posts clicks with rising numbers; returns how many.
fn post_until(mut connection: Client<TcpStream>, client: usize, ends: &AtomicBool) -> u64 {
    let expert = format!("client{client}");
    let mut number = 0;
    while !ends.load(Ordering::SeqCst) {
        let click = body("jane@example.com", &expert, &number.to_string());
        let answer = connection.send(&post_request(&click));
        assert_eq!(answer.status, 202);
        number += 1;
    }
    number
}

/// The expert and the number of each printed click, up to the one that is marked as the last.
fn read_until_end(watcher: &Watcher) -> Vec<(String, u64)> {
    let mut printed = Vec::new();
    loop {
        let line = watcher.line();
        let click: serde_json::Value = serde_json::from_str(&line).expect(&line);
        let field = |name: &str| click[name].as_str().expect(name).to_owned();
        if field("expert_username") == "end" {
            return printed;
        }
        printed.push((
            field("expert_username"),
            field("search_query").parse().unwrap(),
        ));
    }
}
