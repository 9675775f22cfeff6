//! `leadclicks reset`: confirmation, what it wipes, and what it keeps.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::support::{Daemon, HOST_APP, PATIENCE, Ran, Site, body, mode, post_request};

/// Three clicks, one of them with a query that fills more than a page of the file.
const CLICKS: &str = "
    INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
        (1, 'wipe-amy@example.com', 'jdoe', 'wipe-rust', '2026-11-01 09:00:00.000000'),
        (2, 'wipe-bob@example.com', 'jdoe', 'wipe-' || hex(zeroblob(900)) || '-wipe', '2026-11-01 09:00:01.000000'),
        (3, 'wipe-amy@example.com', 'zoë', '', '2026-11-01 09:00:02.000000');";

/// What a reset of a small database needs.
const NEEDS: &str =
    "\nneeds about 1 MiB of free disk space\nclicks wait for about a second meanwhile\n";

fn site() -> Site {
    Site::new().with_schema(CLICKS)
}

fn found(site: &Site, rows: u64) -> String {
    format!(
        "{}\n\n Table         Rows\n────────────────────\n lead_clicks {rows:>6}\n{NEEDS}",
        site.db_path().display()
    )
}

/// Whether `text` occurs anywhere in the bytes of the database's files.
pub fn is_in_files(site: &Site, text: &str) -> bool {
    ["leadclicks.db", "leadclicks.db-wal"].iter().any(|name| {
        let bytes = fs::read(site.path(name)).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

#[test]
fn without_a_terminal_nothing_is_deleted_without_yes() {
    let site = site();
    site.run(&["reset"]).assert(
        3,
        &found(&site, 3),
        "leadclicks: there is no terminal to ask for confirmation, so nothing was deleted; add --yes to reset without asking\n",
    );
    let ran = site.run_with_input(&["reset", "--backup", "copy.db"], b"reset\n");
    assert_eq!(ran.status.code(), Some(3), "{ran}");
    assert_eq!(site.clicks().len(), 3);
    assert!(!site.path("copy.db").exists());
}

#[test]
fn a_dry_run_shows_what_would_be_deleted_and_deletes_nothing() {
    let site = site();
    let expected = found(&site, 3) + "\ndry run: nothing was deleted\n";
    assert_eq!(site.stdout_of(&["reset", "--dry-run"]), expected);
    assert_eq!(
        site.stdout_of(&["reset", "--dry-run", "--yes", "--backup", "copy.db"]),
        found(&site, 3) + "\ndry run: nothing was deleted, and no backup written\n"
    );
    assert_eq!(site.clicks().len(), 3);
    assert!(!site.path("copy.db").exists());
}

#[test]
fn the_word_reset_on_a_terminal_confirms() {
    let site = site();
    let prompt = "\nType reset to delete these rows for good: ";
    let mut terminal = site.on_terminal("leadclicks reset");
    terminal.wait_for(prompt);
    terminal.type_and_end("reset\n");
    assert_eq!(
        terminal.finish(),
        (
            Some(0),
            found(&site, 3) + prompt + "reset\n\ndeleted 3 rows for good\n"
        )
    );
    assert_eq!(site.clicks(), []);
}

#[test]
fn anything_else_on_a_terminal_declines() {
    let site = site();
    let prompt = "\nType reset to delete these rows for good: ";
    for answer in ["\n", "yes\n", "RESET\n", "reset all\n", ""] {
        let mut terminal = site.on_terminal("leadclicks reset --backup copy.db");
        terminal.wait_for(prompt);
        terminal.type_and_end(answer);
        let (code, screen) = terminal.finish();
        // The end of the input prints no line break.
        let echoed = if answer.is_empty() { "\n" } else { answer };
        let declined = "leadclicks: not confirmed, so nothing was deleted\n";
        assert_eq!(
            screen,
            [&found(&site, 3), prompt, echoed, declined].concat()
        );
        assert_eq!(code, Some(3));
    }
    assert_eq!(site.clicks().len(), 3);
    assert!(!site.path("copy.db").exists());
}

#[test]
fn the_rows_are_physically_gone() {
    let site = site();
    assert!(is_in_files(&site, "wipe-amy@example.com") && is_in_files(&site, "wipe-rust"));
    assert_eq!(
        site.stdout_of(&["reset", "--yes"]),
        found(&site, 3) + "\ndeleted 3 rows for good\n"
    );
    assert_eq!(site.clicks(), []);
    for text in ["wipe-", "-wipe", "jdoe"] {
        assert!(!is_in_files(&site, text), "{text}");
    }
    assert_eq!(
        site.stdout_of(&["reset", "--yes"]),
        found(&site, 0) + "\ndeleted 0 rows for good\n"
    );
}

#[test]
fn the_daemon_captures_during_a_reset_and_loses_no_later_click() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    for n in 0..50 {
        let answer = daemon.post(
            &format!("wipe-{n}@example.com"),
            "jdoe",
            &format!("wipe-query-{n}"),
        );
        assert_eq!(answer.status, 202);
    }
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let posting = scope.spawn(|| {
            let mut posted = 0;
            while !is_done.load(Ordering::Relaxed) {
                let email = format!("during-{posted}@example.com");
                assert_eq!(daemon.post(&email, "jdoe", "").status, 202);
                posted += 1;
            }
            posted
        });
        let ran = site.run(&["reset", "--yes"]);
        let wiped_by_then = !is_in_files(&site, "wipe-");
        for n in 0..50 {
            let answer = daemon.post(&format!("after-{n}@example.com"), "jdoe", "");
            assert_eq!(answer.status, 202);
        }
        is_done.store(true, Ordering::Relaxed);
        let posted: usize = posting.join().unwrap();
        assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
        assert!(wiped_by_then);

        let stored: Vec<String> = site.emails().into_iter().collect();
        let with = |prefix: &str| {
            stored
                .iter()
                .filter(|email| email.starts_with(prefix))
                .count()
        };
        assert_eq!((with("wipe-"), with("after-")), (0, 50));
        // Of the clicks captured meanwhile, the first ones are wiped and all later ones are stored.
        let during: Vec<&String> = stored
            .iter()
            .filter(|email| email.starts_with("during-"))
            .collect();
        let first_kept = posted - during.len();
        let expected: Vec<String> = (first_kept..posted)
            .map(|n| format!("during-{n}@example.com"))
            .collect();
        assert!(during.iter().copied().eq(&expected), "{during:?}");
        for n in 0..first_kept {
            assert!(
                !is_in_files(&site, &format!("during-{n}@")),
                "{n} of {first_kept}"
            );
        }
    });
    assert!(daemon.stop().0.success());
    assert!(!is_in_files(&site, "wipe-"));
    assert_eq!(site.value::<String>("PRAGMA integrity_check"), "ok");
}

#[test]
fn a_backup_is_a_complete_independent_database() {
    for (umask, expected) in [("022", 0o640), ("077", 0o600), ("000", 0o640)] {
        let site = site();
        let args = ["reset", "--yes", "--backup", "copy.db"];
        Ran::finish(site.command_with_umask(umask, &args), b"").assert(
            0,
            &(found(&site, 3) + "\nbackup written to copy.db\n\ndeleted 3 rows for good\n"),
            "",
        );
        assert_eq!(
            site.files(),
            [
                "copy.db",
                "leadclicks.db",
                "leadclicks.db-shm",
                "leadclicks.db-wal"
            ]
        );
        assert_eq!(mode(&site.path("copy.db")), expected, "umask {umask}");
        assert_eq!(site.clicks(), []);
        assert_eq!(
            clicks_in(&site.path("copy.db")),
            [
                "1 wipe-amy@example.com",
                "2 wipe-bob@example.com",
                "3 wipe-amy@example.com"
            ]
        );
        let csv = site.stdout_of(&[
            "report",
            "--by-email",
            "--db",
            "copy.db",
            "--format",
            "ndjson",
        ]);
        assert_eq!(csv.lines().count(), 3);
    }
}

/// The clicks of a database, which must be intact.
fn clicks_in(path: &Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let check: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    conn.prepare("SELECT id || ' ' || email FROM lead_clicks ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn a_backup_holds_every_click_that_the_reset_wipes_while_the_daemon_captures() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let is_done = AtomicBool::new(false);
    let posted = thread::scope(|scope| {
        let posting = scope.spawn(|| {
            let mut client = daemon.connect();
            let mut posted = 0;
            while !is_done.load(Ordering::Relaxed) {
                let click = body(&format!("lead{posted}@example.com"), "jdoe", "");
                assert_eq!(client.send(&post_request(&click)).status, 202);
                posted += 1;
            }
            posted
        });
        let deadline = Instant::now() + PATIENCE;
        while site.clicks().len() < 20 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let ran = site.run(&["reset", "--yes", "--backup", "copy.db"]);
        is_done.store(true, Ordering::Relaxed);
        assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
        posting.join().unwrap()
    });
    let mut all = clicks_in(&site.path("copy.db"));
    assert!(all.len() >= 20);
    all.extend(clicks_in(&site.db_path()));
    let emails: Vec<&str> = all
        .iter()
        .map(|click| click.split(' ').nth(1).unwrap())
        .collect();
    let expected: Vec<String> = (0..posted)
        .map(|n| format!("lead{n}@example.com"))
        .collect();
    assert_eq!(emails, expected);
}

#[test]
fn a_backup_that_cannot_be_written_stops_the_reset() {
    let site = site();
    site.write("there.db", "precious");
    fs::create_dir(site.path("directory")).unwrap();
    site.stdout_of(&["reset", "--dry-run"]);
    let files = site.files();
    for (backup, reason) in [
        ("there.db", "the file exists already; choose another name"),
        ("directory", "the file exists already; choose another name"),
        (
            "leadclicks.db",
            "it belongs to the database; choose another name",
        ),
        (
            "nowhere/copy.db",
            "its directory does not exist; create it first, or choose another",
        ),
        (
            "there.db/copy.db",
            "its parent is not a directory; choose another path",
        ),
    ] {
        let error = format!(
            "leadclicks: {backup}: cannot write the backup: {reason}; nothing was deleted\n"
        );
        site.run(&["reset", "--yes", "--backup", backup])
            .assert(1, &found(&site, 3), &error);
    }
    assert_eq!(site.files(), files);
    assert_eq!(site.read("there.db"), b"precious");
    assert_eq!(site.clicks().len(), 3);
}

#[test]
fn a_reset_that_cannot_print_what_it_will_delete_deletes_nothing() {
    let site = site();
    for (begin, stdout, reason) in [
        ("", ">/dev/full", "No space left on device (os error 28)"),
        // The reset begins when the pipe's other end is closed.
        (
            "for try in $(seq 3000); do [ -e closed ] && break; sleep 0.01; done;",
            "| (exec <&-; touch closed)",
            "Broken pipe (os error 32)",
        ),
    ] {
        let script = format!("({begin} leadclicks reset --yes; echo $? >code) {stdout}");
        Ran::finish(site.shell(&script), b"").assert(
            0,
            "",
            &format!("leadclicks: cannot write the output: {reason}; nothing was deleted\n"),
        );
        assert_eq!(site.read("code"), b"1\n");
        assert_eq!(site.clicks().len(), 3);
    }
}

/// The other tables that a reset wipes, as a host app may have them, with rows; in addition to those of [`HOST_APP`].
pub const TRIAL: &str = "
    CREATE TABLE conversations (id INTEGER PRIMARY KEY, email VARCHAR(320), text TEXT);
    CREATE TABLE feedback (
        id INTEGER PRIMARY KEY, conversation_id INTEGER NOT NULL REFERENCES conversations (id), text TEXT
    );
    CREATE TABLE email_leads (email VARCHAR(320) PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE Newsletter_Subscribers (id INTEGER PRIMARY KEY AUTOINCREMENT, email VARCHAR(320));
    CREATE TABLE user_events (id INTEGER PRIMARY KEY, email VARCHAR(320));
    CREATE TABLE email_leads_archive (email VARCHAR(320));
    CREATE TABLE notes (id INTEGER PRIMARY KEY, click_id INTEGER REFERENCES lead_clicks (id));
    INSERT INTO conversations VALUES (1, 'wipe-conversation@example.com', 'wipe-text');
    INSERT INTO feedback VALUES (1, 1, 'wipe-feedback'), (2, 1, 'wipe-more');
    INSERT INTO email_leads VALUES ('wipe-lead@example.com');
    INSERT INTO Newsletter_Subscribers VALUES (1, 'wipe-subscriber@example.com');
    INSERT INTO user_events VALUES (1, 'wipe-event@example.com');
    INSERT INTO email_leads_archive VALUES ('archived@example.com');
    INSERT INTO notes VALUES (1, NULL);";

fn host_app() -> Site {
    Site::new()
        .with_database(HOST_APP)
        .with_database(TRIAL)
        .with_database(CLICKS)
}

/// What a reset keeps of a host app: its schema and the rows of its other tables.
fn kept(site: &Site) -> Vec<String> {
    site.connect()
        .prepare(
            "SELECT coalesce(sql, name) FROM sqlite_schema
             UNION ALL SELECT username || bio FROM experts
             UNION ALL SELECT email FROM admin_users
             UNION ALL SELECT name || value FROM settings
             UNION ALL SELECT email FROM email_leads_archive
             UNION ALL SELECT id FROM notes
             UNION ALL SELECT user_version FROM pragma_user_version
             UNION ALL SELECT journal_mode FROM pragma_journal_mode",
        )
        .unwrap()
        .query_map([], |row| Ok(format!("{:?}", row.get_ref(0)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn host_app_found(site: &Site) -> String {
    format!(
        "{}\n
 Table                    Rows
───────────────────────────────
 feedback                    2
 conversations               1
 email_leads                 1
 newsletter_subscribers      1
 user_events                 1
 lead_clicks                 3
{NEEDS}",
        site.db_path().display()
    )
}

#[test]
fn in_a_host_apps_database_six_tables_are_wiped_and_nothing_else() {
    let site = host_app();
    let before = kept(&site);
    let searched = |text: &str| -> u32 {
        site.value(&format!(
            "SELECT count(*) FROM lead_clicks_fts WHERE lead_clicks_fts MATCH '\"{text}\"'"
        ))
    };
    assert_eq!(searched("wipe rust"), 1);
    assert_eq!(
        site.stdout_of(&["reset", "--yes"]),
        host_app_found(&site) + "\ndeleted 9 rows for good\n"
    );
    assert_eq!(kept(&site), before);
    for table in [
        "feedback",
        "conversations",
        "email_leads",
        "newsletter_subscribers",
        "user_events",
        "lead_clicks",
    ] {
        assert_eq!(
            site.value::<u32>(&format!("SELECT count(*) FROM {table}")),
            0,
            "{table}"
        );
    }
    for text in [
        "wipe-amy",
        "wipe-bob",
        "wipe-rust",
        "wipe-text",
        "wipe-feedback",
        "wipe-lead",
        "wipe-event",
        "wipe-subscriber",
    ] {
        assert!(!is_in_files(&site, text), "{text}");
    }
    // The app's triggers have updated its full-text index.
    assert_eq!(searched("wipe rust"), 0);
    site.connect()
        .execute_batch(
            "INSERT INTO lead_clicks_fts (lead_clicks_fts, rank) VALUES ('integrity-check', 1);",
        )
        .unwrap();
    assert_eq!(site.value::<String>("PRAGMA integrity_check"), "ok");
}

#[test]
fn copies_in_indexes_and_planner_statistics_are_gone_too() {
    let site = host_app();
    site.connect()
        .execute_batch(
            "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
             VALUES (100, 'sampled@example.com', 'jdoe', 'fulltextword', '2026-11-02 09:00:00.000000');
             ANALYZE;",
        )
        .unwrap();
    let stat4 = "SELECT count(*) FROM sqlite_stat4 WHERE tbl = 'lead_clicks'";
    assert!(site.value::<u32>(stat4) > 0);
    let fts = "SELECT count(*) FROM lead_clicks_fts_idx";
    assert!(site.value::<u32>(fts) > 0);

    let ran = site.run(&["reset", "--yes"]);
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    assert_eq!(site.value::<u32>(stat4), 0);
    for text in ["sampled@example.com", "ulltextword"] {
        assert!(!is_in_files(&site, text), "{text}");
    }
}

#[test]
fn a_reset_that_would_break_references_changes_nothing() {
    let site = host_app();
    site.connect()
        .execute_batch("INSERT INTO notes VALUES (2, 1), (3, 2), (4, NULL);")
        .unwrap();
    let before = kept(&site);
    let error = format!(
        "leadclicks: {}: rows of notes (2) refer to rows of lead_clicks that would be deleted; delete the rows of notes first\n",
        site.db_path().display()
    );
    site.run(&["reset", "--yes"])
        .assert(1, &host_app_found(&site), &error);
    assert_eq!(kept(&site), before);
    assert_eq!(
        site.stdout_of(&["reset", "--dry-run"]),
        host_app_found(&site) + "\ndry run: nothing was deleted\n"
    );

    // A reset ignores references that were broken before.
    site.connect()
        .execute_batch(
            "PRAGMA foreign_keys = OFF; DELETE FROM notes WHERE click_id IS NOT NULL; INSERT INTO notes VALUES (5, 99);",
        )
        .unwrap();
    assert_eq!(
        site.stdout_of(&["reset", "--yes"]),
        host_app_found(&site) + "\ndeleted 9 rows for good\n"
    );
}

#[test]
fn bytes_that_a_reader_keeps_are_reported_and_gone_after_the_advised_step() {
    let site = site();
    let daemon = Daemon::start(&site, &[]);
    let reader = site.connect();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM lead_clicks;")
        .unwrap();
    let error = format!(
        "leadclicks: bytes of deleted rows may still be in {}-wal because another program is reading; \
         when it is done, run leadclicks purge --older-than 2000-01-01, which clears them and deletes no newer clicks\n",
        site.db_path().display()
    );
    let expected = found(&site, 3) + "\ndeleted 3 rows\n";
    site.run(&["reset", "--yes"]).assert(1, &expected, &error);
    assert_eq!(daemon.post("kept@example.com", "jdoe", "").status, 202);
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    site.stdout_of(&["purge", "--older-than", "2000-01-01"]);
    assert!(!is_in_files(&site, "wipe-"));
    assert_eq!(site.emails(), ["kept@example.com"]);
    assert!(daemon.stop().0.success());
}

#[test]
fn copies_that_a_host_app_left_in_its_pages_are_gone() {
    // Rows in the order of their keys, then a random order: pages are split and balanced, and without
    // secure_delete copies of moved rows stay on the old pages.
    let site = Site::new().with_database(HOST_APP).with_database(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT i * 7919 % 10007, format('wipe-%d@example.com', i * 31 % 2003), 'jdoe', 'wipe-query', '2026-11-01 09:00:00'
         FROM n;
         CREATE TABLE trials (email TEXT);
         INSERT INTO trials SELECT email FROM lead_clicks;
         PRAGMA secure_delete = OFF;
         DELETE FROM trials;",
    );
    assert!(is_in_files(&site, "wipe-"));
    let ran = site.run(&["reset", "--yes"]);
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    assert!(!is_in_files(&site, "wipe-"));
}

#[test]
fn a_reset_gives_up_on_a_lock_that_is_held_for_long() {
    let site = site();
    let writer = site.connect();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = format!(
        "leadclicks: {}: database is locked; another program holds its lock; try again when that program has finished\n",
        site.db_path().display()
    );
    site.run(&["reset", "--yes", "--backup", "copy.db"])
        .assert(1, &found(&site, 3), &error);
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(site.clicks().len(), 3);
    assert!(!site.path("copy.db").exists());
}

#[test]
fn a_backup_never_takes_the_name_of_a_file_of_the_databases() {
    let site = Site::new().with_database(HOST_APP).with_database(CLICKS);
    for backup in ["leadclicks.db-journal", "leadclicks.db-wal"] {
        let ran = site.run(&["reset", "--yes", "--backup", backup]);
        assert_eq!(ran.status.code(), Some(1), "{ran}");
        assert_eq!(
            ran.stderr,
            format!(
                "leadclicks: {backup}: cannot write the backup: it belongs to the database; choose another name; \
                 nothing was deleted\n"
            )
        );
    }
    assert_eq!(site.clicks().len(), 3);
}

#[test]
fn a_row_that_a_host_apps_trigger_keeps_stops_the_reset() {
    let site = Site::new()
        .with_database(HOST_APP)
        .with_database(CLICKS)
        .with_database(
            "CREATE TRIGGER keep BEFORE DELETE ON lead_clicks WHEN old.id = 1 BEGIN SELECT RAISE(IGNORE); END;",
        );
    let ran = site.run(&["reset", "--yes"]);
    assert_eq!(ran.status.code(), Some(1), "{ran}");
    assert_eq!(
        ran.stderr,
        format!(
            "leadclicks: {}: a trigger keeps rows of lead_clicks (1), so nothing was deleted; \
             change it in the program that owns the database\n",
            site.db_path().display()
        )
    );
    assert_eq!(site.clicks().len(), 3);
}

#[test]
fn a_full_text_index_that_no_trigger_empties_is_emptied_too() {
    let site = Site::new()
        .with_database(HOST_APP)
        .with_database("DROP TRIGGER lead_clicks_ad;")
        .with_database(CLICKS);
    assert!(is_in_files(&site, "wipe"));
    let ran = site.run(&["reset", "--yes"]);
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    let found = "SELECT count(*) FROM lead_clicks_fts_idx WHERE term LIKE '%wipe%'";
    assert_eq!(site.value::<u32>(found), 0);
    assert!(!is_in_files(&site, "wipe"));
}

#[test]
fn a_confirmation_that_cannot_be_asked_for_is_an_error() {
    let site = site();
    // Standard input and output are the terminal; the question's pipe is closed when the reset begins.
    let terminal = site.on_terminal(
        "{ for try in $(seq 3000); do [ -e closed ] && break; sleep 0.01; done; \
         leadclicks reset 2>&1 >/dev/tty; echo $? >code; } | (exec <&-; touch closed)",
    );
    terminal.finish();
    assert_eq!(site.read("code"), b"1\n");
    assert_eq!(site.clicks().len(), 3);
}

/// With a trigger SQLite deletes row by row, which takes as long in a small file as without one in a large file.
#[test]
fn a_reset_says_how_long_clicks_wait_or_get_503() {
    for (rows, wait) in [
        (20, "clicks wait for about a second meanwhile"),
        (60_000, "clicks wait for about 2 seconds meanwhile"),
        (
            280_000,
            "clicks get 503 for about 6 seconds meanwhile, and pages send them again",
        ),
    ] {
        let site = Site::new().with_database(&format!(
            "CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email, expert_username, search_query, created_at);
             CREATE TABLE gone (id);
             CREATE TRIGGER count AFTER DELETE ON lead_clicks BEGIN INSERT INTO gone VALUES (old.id); END;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO lead_clicks (id) SELECT i FROM n;"
        ));
        let shown = site.stdout_of(&["reset", "--dry-run"]);
        let end = format!("\n{wait}\n\ndry run: nothing was deleted\n");
        assert!(shown.ends_with(&end), "{shown}");
    }
}
