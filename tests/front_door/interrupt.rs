//! Signals that end `leadclicks`: no work is left half-done, and shells see which signal it was.

use std::{
    io::Read,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::support::{Daemon, PATIENCE, Ran, Site};

const INT: i32 = 2;
const TERM: i32 = 15;
const ENDING: [(&str, i32); 3] = [("HUP", 1), ("INT", INT), ("TERM", TERM)];

/// Three clicks, two of them of one lead.
pub const CLICKS: &str = "
    INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
        ('amy@example.com', 'jdoe', 'pricing', '2026-11-01 09:00:00.000000'),
        ('bob@example.com', 'jdoe', 'growth', '2026-11-01 09:00:01.000000'),
        ('amy@example.com', 'zoë', '', '2026-11-01 09:00:02.000000');";

pub fn site() -> Site {
    let site = Site::new().with_schema(CLICKS);
    // The -wal and -shm files stay.
    site.stdout_of(&["reset", "--dry-run"]);
    site
}

pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status()
        .expect("kill");
    assert!(status.success());
}

/// Waits until `is_so` returns true.
#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until another program holds the write lock.
fn wait_until_locked(site: &Site) {
    let conn = site.connect();
    conn.busy_timeout(Duration::ZERO).unwrap();
    wait_until("locked", || {
        conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err()
    });
}

/// Runs `leadclicks` so that strace blocks the fsync of its file, until a signal ends it.
fn stuck_at_fsync(site: &Site, args: &[&str]) -> Ran {
    let elsewhere = Site::new();
    let trace = elsewhere.write("trace", "");
    let mut command = site.shell(
        "exec strace -D -f -qq -o \"$0\" -e trace=fsync -e inject=fsync:error=EINTR leadclicks \"$@\"",
    );
    command.arg(&trace).args(args);
    let child = command.spawn().expect("strace");
    wait_until("writing", || !elsewhere.read("trace").is_empty());
    let name = args.last().unwrap().strip_suffix(".out").unwrap();
    signal(&child, name);
    Ran::wait(&command, child)
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_signal_while_a_report_is_written_ends_the_program_and_leaves_no_file() {
    for (name, number) in ENDING {
        let site = site();
        let output = format!("{name}.out");
        site.write(&output, "the report before");
        let before = site.files();
        let args = [
            "report",
            "--by-email",
            "--format",
            "csv",
            "--output",
            &output,
        ];
        let ran = stuck_at_fsync(&site, &args);
        assert_eq!(ran.status.signal(), Some(number), "{ran}");
        assert_eq!((&*ran.stdout, &*ran.stderr), ("", ""));
        assert_eq!(site.files(), before);
        assert_eq!(site.read(&output), b"the report before");
    }
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_signal_while_a_backup_is_written_leaves_no_file_and_deletes_nothing() {
    for (name, number) in ENDING {
        let site = site();
        let before = site.files();
        let backup = format!("{name}.out");
        let ran = stuck_at_fsync(&site, &["reset", "--yes", "--backup", &backup]);
        assert_eq!(ran.status.signal(), Some(number), "{ran}");
        assert_eq!(site.files(), before);
        assert_eq!(site.clicks().len(), 3);
    }
}

#[test]
fn ctrl_c_at_a_confirmation_ends_the_program() {
    let site = site();
    let mut terminal = site.on_terminal("exec leadclicks reset");
    terminal.wait_for("\nType reset to delete these rows for good: ");
    terminal.type_and_end("\u{3}");
    let (code, screen) = terminal.finish();
    assert!(screen.ends_with("for good: ^C"), "{screen:?}");
    assert_eq!(code, Some(128 + INT));
    assert_eq!(site.clicks().len(), 3);
}

/// A report that `script` has started, and that prints more than its pipe can hold.
fn stuck_at_pipe(site: &Site, script: &str) -> (Command, Child) {
    site.connect()
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
             INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
             SELECT 'amy@example.com', 'jdoe', hex(zeroblob(500)), '2026-11-01 09:00:03.000000' FROM n;",
        )
        .unwrap();
    let mut command = site.shell(script);
    let mut child = command.spawn().expect("sh");
    let mut first = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    assert_eq!(&first, b"e");
    (command, child)
}

#[test]
fn a_signal_ends_the_program_while_its_output_is_not_read() {
    for (name, number) in ENDING {
        let site = site();
        let script = "exec leadclicks report --by-email --format csv";
        let (_, mut child) = stuck_at_pipe(&site, script);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().signal(), Some(number));
    }
}

#[test]
fn a_signal_that_was_ignored_before_stays_ignored() {
    let site = site();
    let script = "trap '' HUP INT; exec leadclicks report --by-email --format csv";
    let (command, child) = stuck_at_pipe(&site, script);
    signal(&child, "HUP");
    signal(&child, "INT");
    let ran = Ran::wait(&command, child);
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    assert_eq!(ran.stdout.lines().count(), 1 + 3 + 1000);

    let (_, mut child) = stuck_at_pipe(&site, script);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().signal(), Some(TERM));
}

#[test]
fn a_signal_in_a_long_statement_ends_the_program_and_deletes_nothing() {
    let site = Site::new().with_schema(CLICKS).with_database(
        "CREATE TRIGGER forever BEFORE DELETE ON lead_clicks BEGIN
             SELECT count(*) FROM (
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n
             );
         END;",
    );
    let mut command = site.command(&["reset", "--yes"]);
    let child = command.spawn().expect("leadclicks");
    wait_until_locked(&site);
    signal(&child, "INT");
    let ran = Ran::wait(&command, child);
    assert_eq!(ran.status.signal(), Some(INT), "{ran}");
    assert_eq!(site.clicks().len(), 3);
}

#[test]
fn a_signal_while_clicks_are_imported_imports_none_and_stops_no_daemon() {
    // The last click of the import starts a trigger that never ends.
    let site = Site::new().with_schema(
        "CREATE TRIGGER forever AFTER INSERT ON lead_clicks WHEN new.expert_username = 'last' BEGIN
             SELECT count(*) FROM (
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n
             );
         END;",
    );
    let daemon = Daemon::start(&site, &[]);
    site.write(
        "clicks.csv",
        "email,expert_username,search_query,created_at\n\
         amy@example.com,last,,2025-11-01T10:00:00Z\n\
         amy@example.com,jdoe,,2025-11-01T09:00:00Z\n",
    );
    let mut command = site.command(&["import", "clicks.csv"]);
    let child = command.spawn().expect("leadclicks");
    wait_until_locked(&site);
    signal(&child, "INT");
    let ran = Ran::wait(&command, child);
    assert_eq!(ran.status.signal(), Some(INT), "{ran}");
    assert_eq!(daemon.post("bob@example.com", "jdoe", "").status, 202);
    assert_eq!(site.emails(), ["bob@example.com"]);
}

/// A reset that has deleted all rows but cannot empty the WAL because of a reader.
fn unfinished_reset(site: &Site) -> (Command, Child, rusqlite::Connection) {
    let reader = site.connect();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM lead_clicks;")
        .unwrap();
    let mut command = site.command(&["reset", "--yes"]);
    command.stdin(Stdio::null());
    let child = command.spawn().expect("leadclicks");
    wait_until("deleted", || site.clicks().is_empty());
    (command, child, reader)
}

#[test]
fn a_deletion_is_finished_and_reported_before_a_signal_ends_the_program() {
    let site = site();
    let (command, child, reader) = unfinished_reset(&site);
    signal(&child, "INT");
    // As when a terminal is closed: SIGHUPs that shells send afterwards do not mean a second signal.
    signal(&child, "HUP");
    reader.execute_batch("COMMIT").unwrap();
    let ran = Ran::wait(&command, child);
    assert_eq!(ran.status.signal(), Some(INT), "{ran}");
    assert!(
        ran.stdout.ends_with("\n\ndeleted 3 rows for good\n"),
        "{ran}"
    );
    assert_eq!(ran.stderr, "");
    assert_eq!(site.read("leadclicks.db-wal"), b"");
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let site = site();
    let (command, mut child, reader) = unfinished_reset(&site);
    // Signals at the same time count as one.
    while child.try_wait().unwrap().is_none() {
        signal(&child, "TERM");
    }
    let ran = Ran::wait(&command, child);
    assert_eq!(ran.status.signal(), Some(TERM), "{ran}");
    assert!(!ran.stdout.contains("deleted"), "{ran}");
    assert_eq!(ran.stderr, "");
    reader.execute_batch("COMMIT").unwrap();
}
