//! `leadclicks backup` makes a consistent copy of the database while the daemon captures.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use rusqlite::Connection;

use crate::support::{Daemon, HOST_APP, Ran, Site, body, mode, post_request};

const CLICKS: &str = "
    INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
        ('amy@example.com', 'jdoe', 'pricing', '2026-11-01 09:00:00.000000'),
        ('bob@example.com', 'jdoe', '', '2026-11-01 09:00:01.000000');";

/// Clicks enough for a copy of many steps: 40 MB, with an id and a time each.
const MANY: &str = "
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
    INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
    SELECT 'amy@example.com', 'jdoe', hex(zeroblob(1000)), '2026-11-01 09:00:00.000000' FROM n;";

#[test]
fn a_backup_holds_all_clicks_that_were_answered_before_it_and_none_without_those_before_it() {
    const CONNECTIONS: usize = 4;
    const BACKUPS: usize = 8;
    let site = Site::new().with_schema(MANY);
    let daemon = Daemon::start(&site, &["--rate-limit", "off"]);
    let answered = AtomicU64::new(10_000);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let (answered, is_done, daemon) = (&answered, &is_done, &daemon);
            scope.spawn(move || {
                let mut client = daemon.connect();
                let click = body(&format!("lead{number}@example.com"), "jdoe", "");
                let request = post_request(&click);
                while !is_done.load(Ordering::SeqCst) {
                    assert_eq!(client.send(&request).status, 202);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let taken = |number: usize| {
            let name = format!("copy{number}.db");
            let before = answered.load(Ordering::SeqCst);
            let stdout = site.stdout_of(&["backup", &name]);
            let after = answered.load(Ordering::SeqCst);
            let (clicks, first_id, last_id) = whole(&site.path(&name));
            assert_eq!((first_id, last_id), (1, clicks));
            // One batch may be stored and not yet answered for each connection.
            let possible = before..=after + CONNECTIONS as u64;
            assert!(possible.contains(&clicks), "{clicks} not in {possible:?}");
            assert!(
                stdout.ends_with(&format!(" MB, {clicks} clicks\n")),
                "{stdout}"
            );
        };
        let backups = scope.spawn(move || (0..BACKUPS).for_each(taken));
        let taken = backups.join();
        is_done.store(true, Ordering::SeqCst);
        if let Err(panic) = taken {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(daemon.stop().0.success());
}

/// The number of clicks in a database that must be complete in one file, and their first and last id.
fn whole(path: &Path) -> (u64, u64, u64) {
    let alone = tempfile::tempdir().unwrap();
    let copy = alone.path().join("alone.db");
    fs::copy(path, &copy).unwrap();
    let conn = Connection::open(copy).unwrap();
    let check: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    conn.query_row(
        "SELECT count(*), min(id), max(id) FROM lead_clicks",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
    .unwrap()
}

#[test]
fn a_backup_is_a_database_that_the_daemon_and_reports_take() {
    for (umask, expected) in [("022", 0o640), ("077", 0o600), ("000", 0o640)] {
        let site = Site::new().with_schema(CLICKS);
        Ran::finish(
            site.command_with_umask(umask, &["backup", "a %3f?#.db"]),
            b"",
        )
        .assert(0, "backup written to a %3f?#.db: 16.38 kB, 2 clicks\n", "");
        assert_eq!(
            site.files(),
            [
                "a %3f?#.db",
                "leadclicks.db",
                "leadclicks.db-shm",
                "leadclicks.db-wal"
            ]
        );
        assert_eq!(mode(&site.path("a %3f?#.db")), expected, "umask {umask}");
        let restored = Site::new();
        fs::copy(site.path("a %3f?#.db"), restored.db_path()).unwrap();
        let daemon = Daemon::start(&restored, &[]);
        assert_eq!(daemon.post("zoe@example.com", "jdoe", "").status, 202);
        assert_eq!(
            restored.emails(),
            ["amy@example.com", "bob@example.com", "zoe@example.com"]
        );
        let report = |site: &Site| {
            let args = [
                "report",
                "--expert",
                "jdoe",
                "--until",
                "2026-11-01",
                "--format",
                "csv",
            ];
            site.rows_of_period(&args, "until Sun 2026-11-01")
        };
        assert_eq!(report(&restored), report(&site));
    }
}

#[test]
fn a_host_apps_database_is_copied_as_a_whole_and_left_as_it_is() {
    let site = Site::new().with_database(HOST_APP).with_database(CLICKS);
    let dump = |name: &str| {
        let conn = Connection::open(site.path(name)).unwrap();
        let mut rows: Vec<String> = conn
            .prepare(
                "SELECT coalesce(sql, name) FROM sqlite_schema
                 UNION ALL SELECT username || bio FROM experts
                 UNION ALL SELECT email || created_at FROM lead_clicks
                 UNION ALL SELECT name || value FROM settings
                 UNION ALL SELECT rowid FROM lead_clicks_fts WHERE lead_clicks_fts MATCH 'pricing'
                 UNION ALL SELECT journal_mode FROM pragma_journal_mode",
            )
            .unwrap()
            .query_map([], |row| Ok(format!("{:?}", row.get_ref(0)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        rows.sort();
        rows
    };
    let before = dump("leadclicks.db");
    let ran = site.run(&["backup", "copy.db"]);
    assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    assert_eq!(site.files(), ["copy.db", "leadclicks.db"]);
    assert_eq!(dump("leadclicks.db"), before);
    assert_eq!(dump("copy.db"), before);
}

#[test]
fn a_backup_that_cannot_be_written_is_an_error_and_changes_nothing() {
    let site = Site::new().with_schema(CLICKS);
    site.write("there.db", "precious");
    fs::create_dir(site.path("directory")).unwrap();
    site.stdout_of(&["reset", "--dry-run"]);
    let files = site.files();
    for (backup, reason) in [
        ("there.db", "the file exists already; choose another name"),
        ("directory", "the file exists already; choose another name"),
        (
            "leadclicks.db-shm",
            "it belongs to the database; choose another name",
        ),
        (
            "nowhere/copy.db",
            "its directory does not exist; create it first, or choose another",
        ),
        ("new/", "the path is a directory's; give a file name"),
        (
            "there.db/copy.db",
            "its parent is not a directory; choose another path",
        ),
    ] {
        let error = format!("leadclicks: {backup}: cannot write the backup: {reason}\n");
        site.run(&["backup", backup]).assert(1, "", &error);
    }
    let error = "leadclicks: a backup cannot go to standard output; give the path of a new file\n";
    site.run(&["backup", "-"]).assert(2, "", error);
    assert_eq!(site.files(), files);
    assert_eq!(site.read("there.db"), b"precious");
}
