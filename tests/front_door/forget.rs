//! `leadclicks forget` and `leadclicks purge`: confirmation, deletion, and that no copy is left.

use std::{
    collections::HashSet,
    fs,
    os::unix::{fs::FileExt, process::ExitStatusExt},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, FileControl};

use crate::{
    interrupt::signal,
    reset::{TRIAL, is_in_files},
    support::{Daemon, HOST_APP, PATIENCE, Ran, Site, body, is_long, post_request},
};

const CLICKS: &str = "
    INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
        (1, 'gone@example.com', 'jdoe', 'gone-rust', '2024-11-01 09:00:00.000000'),
        (2, 'kept@example.com', 'jdoe', 'kept-rust', '2025-11-01 09:00:01.000000'),
        (3, 'gone@example.com', 'zoë', 'gone-' || hex(zeroblob(900)) || '-gone', '2025-11-01 09:00:02.000000'),
        (4, 'gone@example.company', 'zoë', '', '2026-11-01 09:00:00.000000');";

/// The disk space that a deletion from a small database needs.
pub const NEEDS: &str = "\nneeds about 1 MiB of free disk space\n";

/// What is searched for what remains in a database without other tables than those of schema.sql.
const SEARCHED: &str = "
searched in every spelling: all columns of 2 tables (experts, lead_clicks)
not searched: backups, exported reports, logs (sudo's has command lines) and other files
";

/// The same in another database, where it finds something.
pub fn searched(tables: &str, remains: &str) -> String {
    let count = tables.split(", ").count();
    format!(
        "\nsearched in every spelling: all columns of {count} tables ({tables})\n{remains}\
         not searched: backups, exported reports, logs (sudo's has command lines) and other files\n"
    )
}

fn site() -> Site {
    Site::new().with_schema(CLICKS)
}

fn found(site: &Site, rows: u64) -> String {
    format!(
        "{}\n\n Table         Email              Rows\n───────────────────────────────────────\n \
         lead_clicks   gone@example.com {rows:>6}\n{NEEDS}",
        site.db_path().display()
    )
}

fn forgotten(site: &Site, rows: u64) -> String {
    found(site, rows) + &format!("\ndeleted {rows} rows for good\n") + SEARCHED
}

fn no_rows(site: &Site, email: &str) -> String {
    format!(
        "no rows with the email {email} in {}\n{SEARCHED}",
        site.db_path().display()
    )
}

fn host_app() -> Site {
    Site::new()
        .with_database(HOST_APP)
        .with_database(TRIAL)
        .with_database(CLICKS)
}

fn assert_whole(site: &Site) {
    assert_eq!(site.value::<String>("PRAGMA integrity_check"), "ok");
}

#[test]
fn one_person_is_physically_gone_and_all_others_stay() {
    let site = site();
    let email = " Gone@Example.COM ";
    assert_eq!(
        site.stdout_of(&["forget", email, "--yes"]),
        forgotten(&site, 2)
    );
    assert_eq!(site.emails(), ["kept@example.com", "gone@example.company"]);
    for text in ["gone@example.com'", "gone-", "-gone"] {
        assert!(!is_in_files(&site, text), "{text}");
    }
    assert_eq!(
        site.stdout_of(&["forget", email, "--yes"]),
        no_rows(&site, "gone@example.com")
    );
    assert_whole(&site);
}

#[test]
fn forgetting_is_asked_for_and_a_dry_run_only_shows() {
    let site = site();
    assert_eq!(
        site.stdout_of(&["forget", "gone@example.com", "--dry-run"]),
        found(&site, 2) + "\ndry run: nothing was deleted\n" + SEARCHED
    );
    site.run(&["forget", "gone@example.com"]).assert(
        3,
        &found(&site, 2),
        "leadclicks: there is no terminal to ask for confirmation, so nothing was deleted; add --yes to forget without asking\n",
    );
    let prompt = "\nType forget to delete these rows for good: ";
    for (answer, code, rest, left) in [
        (
            "reset\n",
            3,
            "leadclicks: not confirmed, so nothing was deleted\n".to_owned(),
            4,
        ),
        (
            "forget\n",
            0,
            format!("\ndeleted 2 rows for good\n{SEARCHED}"),
            2,
        ),
    ] {
        let mut terminal = site.on_terminal("leadclicks forget gone@example.com");
        terminal.wait_for(prompt);
        terminal.type_and_end(answer);
        let screen = found(&site, 2) + prompt + answer + &rest;
        assert_eq!(terminal.finish(), (Some(code), screen));
        assert_eq!(site.clicks().len(), left);
    }
    // With nothing to delete there is no confirmation.
    assert_eq!(
        site.stdout_of(&["forget", "gone@example.com"]),
        no_rows(&site, "gone@example.com")
    );
}

#[test]
fn an_invalid_email_is_wrong_usage() {
    let site = site();
    for (email, rule) in [
        (
            "jane",
            "should have one @ with text on both sides and no white space",
        ),
        (
            "a@b@c",
            "should have one @ with text on both sides and no white space",
        ),
        (
            "%",
            "should have one @ with text on both sides and no white space",
        ),
        (" ", "should have at least 1 character"),
    ] {
        let error = format!(
            "leadclicks: '{}' is not an email: it {rule}\n",
            email.trim()
        );
        site.run(&["forget", email, "--yes"]).assert(2, "", &error);
    }
    assert_eq!(site.clicks().len(), 4);
}

#[test]
fn an_email_from_standard_input_is_in_no_command_line() {
    let site = site();
    let ran = site.run_with_input(
        &["forget", "-", "--yes"],
        b" Gone@Example.com\nkept@example.com\n",
    );
    ran.assert(0, &forgotten(&site, 2), "");
    assert_eq!(site.emails(), ["kept@example.com", "gone@example.company"]);
    let not_an_email =
        |given: &str, rule: &str| format!("leadclicks: '{given}' is not an email: it {rule}\n");
    let too_long = "x".repeat(20_000);
    for (input, error) in [
        (&b""[..], not_an_email("", "should have at least 1 character")),
        (
            b"\xff\n",
            "leadclicks: cannot read the email from standard input: stream did not contain valid UTF-8\n".to_owned(),
        ),
        (
            too_long.as_bytes(),
            not_an_email(&too_long[..16 * 1024], "should have at most 320 characters"),
        ),
    ] {
        site.run_with_input(&["forget", "-", "--yes"], input).assert(2, "", &error);
    }
    let mut terminal = site.on_terminal("leadclicks forget -");
    let asked = "Email of the person to forget: ";
    terminal.wait_for(asked);
    terminal.type_and_end("kept@example.com\nforget\n");
    let found = found(&site, 1).replace("gone@example.com", "kept@example.com");
    let prompt = "\nType forget to delete these rows for good: ";
    let screen = format!(
        "{asked}kept@example.com\nforget\n{found}{prompt}\ndeleted 1 row for good\n{SEARCHED}"
    );
    assert_eq!(terminal.finish(), (Some(0), screen));
    assert_eq!(site.emails(), ["gone@example.company"]);
}

#[test]
fn in_a_host_apps_database_one_person_is_gone_from_five_tables() {
    let site = host_app();
    site.connect()
        .execute_batch(
            "INSERT INTO conversations VALUES (2, 'GONE@example.com', 'gone-text');
             INSERT INTO email_leads VALUES ('Gone@example.com'), ('other@example.com');
             INSERT INTO Newsletter_Subscribers (email) VALUES (' gone@example.com ');
             INSERT INTO user_events (email) VALUES ('gone@example.com'), ('gone@example.com'), (NULL);
             INSERT INTO admin_users VALUES (2, 'gone@example.com');
             INSERT INTO experts VALUES (3, 'gone', 'Gone@Example.com', 'G', 'One', '', '');
             ANALYZE;",
        )
        .unwrap();
    fs::write(site.path("leadclicks.db-wal.left"), "").unwrap();
    let left = searched(
        "Newsletter_Subscribers, admin_users, conversations, email_leads, email_leads_archive, experts, feedback, \
         lead_clicks, lead_clicks_fts, notes, settings, user_events",
        &format!(
            "still in the table admin_users, column email: 1 row\nstill in the table experts, column email: 1 row\n\
             {}-wal.left may also contain clicks; recover those that you need, then delete it\n",
            site.db_path().display()
        ),
    );
    let table = "
 Table                    Email                Rows
────────────────────────────────────────────────────
 conversations            GONE@example.com        1
 email_leads              Gone@example.com        1
 newsletter_subscribers    gone@example.com       1
 user_events              gone@example.com        2
 lead_clicks              gone@example.com        2
";
    assert_eq!(
        site.stdout_of(&["forget", "gone@example.com", "--yes"]),
        format!(
            "{}\n{table}{NEEDS}\ndeleted 7 rows for good\n{left}",
            site.db_path().display()
        )
    );
    let counts = "SELECT (SELECT count(*) FROM feedback) || (SELECT count(*) FROM conversations)
        || (SELECT count(*) FROM email_leads) || (SELECT count(*) FROM newsletter_subscribers)
        || (SELECT count(*) FROM user_events) || (SELECT count(*) FROM lead_clicks)";
    assert_eq!(site.value::<String>(counts), "212122");
    // The full-text index and the planner's statistics contain parts of the searches.
    for text in ["gone-", "0-gone", "GONE@example.com"] {
        assert!(!is_in_files(&site, text), "{text}");
    }
    let words = "SELECT count(*) FROM lead_clicks_fts WHERE lead_clicks_fts MATCH";
    assert_eq!(site.value::<u32>(&format!("{words} 'gone'")), 0);
    assert_eq!(site.value::<u32>(&format!("{words} 'kept'")), 1);
    assert_whole(&site);
}

#[test]
fn a_lead_with_references_from_other_tables_is_not_forgotten() {
    let site = host_app();
    site.connect()
        .execute_batch("UPDATE conversations SET email = 'gone@example.com';")
        .unwrap();
    let ran = site.run(&["forget", "gone@example.com", "--yes"]);
    let error = format!(
        "leadclicks: {}: rows of feedback (2) refer to rows of conversations that would be deleted; \
         delete the rows of feedback first\n",
        site.db_path().display()
    );
    assert_eq!(
        (ran.status.code(), &*ran.stderr),
        (Some(1), &*error),
        "{ran}"
    );
    assert_eq!(site.clicks().len(), 4);
    site.connect()
        .execute_batch("DELETE FROM feedback;")
        .unwrap();
    let ran = site.run(&["forget", "gone@example.com", "--yes"]);
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    assert_eq!(site.value::<u32>("SELECT count(*) FROM conversations"), 0);
}

#[test]
fn a_row_that_a_trigger_keeps_stops_forgetting() {
    let site = host_app().with_database(
        "CREATE TRIGGER keep BEFORE DELETE ON lead_clicks WHEN old.id = 1 BEGIN SELECT RAISE(IGNORE); END;",
    );
    let ran = site.run(&["forget", "gone@example.com", "--yes"]);
    let error = format!(
        "leadclicks: {}: a trigger keeps rows of lead_clicks (1), so they were not deleted; \
         change it in the program that owns the database\n",
        site.db_path().display()
    );
    assert_eq!(
        (ran.status.code(), &*ran.stderr),
        (Some(1), &*error),
        "{ran}"
    );
    assert_eq!(site.clicks().len(), 4);
}

/// The pause between two clicks on a busy marketplace.
const BETWEEN_CLICKS: Duration = Duration::from_millis(1);

/// Leads with searches of all lengths, some of them longer than a page, as a host app without `secure_delete` or as the
/// daemon stores them. Emails and searches begin with what [`leads_in`] looks for.
fn with_leads(conn: &Connection, random: &mut fastrand::Rng, leads: usize) {
    let store = |number: usize, random: &mut fastrand::Rng| {
        let lead = format!("lead-{number:05}-");
        let email = email_of(number);
        let search = match random.usize(..10) {
            0 => String::new(),
            1 => lead.repeat(random.usize(..160)) + &"🦀".repeat(random.usize(..200)),
            _ => lead.repeat(random.usize(1..20)),
        };
        let day = random.usize(1..29);
        conn.prepare_cached(
            "INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
             VALUES (?1, 'jdoe', ?2, format('2026-10-%02d 09:00:00.000000', ?3))",
        )
        .unwrap()
        .execute((email, search, day))
        .unwrap();
    };
    conn.execute_batch("BEGIN").unwrap();
    for number in 0..leads {
        for _ in 0..random.usize(1..4) {
            store(number, random);
        }
        store(random.usize(..=number), random);
    }
    conn.execute_batch("COMMIT").unwrap();
}

fn email_of(number: usize) -> String {
    let long = "x".repeat(number % 40);
    format!("lead-{number:05}-{long}@example.com")
}

/// The numbers of the leads of [`with_leads`] that occur anywhere in the bytes of the database's files.
fn leads_in(site: &Site) -> HashSet<usize> {
    let mut found = HashSet::new();
    for name in ["leadclicks.db", "leadclicks.db-wal"] {
        // Without WAL mode there is no -wal file.
        let bytes = fs::read(site.path(name)).unwrap_or_default();
        for window in bytes.windows("lead-00000-".len()) {
            if let Some(number) = window.strip_prefix(b"lead-")
                && let [digits @ .., b'-'] = number
                && let Ok(number) = str::from_utf8(digits).unwrap_or_default().parse()
            {
                found.insert(number);
            }
        }
    }
    found
}

/// Sets a flag on drop, so that a failing test does not wait for the posting thread.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Posts clicks of `new-` leads one after the other until `done` is set; each must be accepted. Returns how many.
fn post_until(is_done: &AtomicBool, daemon: &Daemon) -> usize {
    let mut client = daemon.connect();
    let mut posted = 0;
    while !is_done.load(Ordering::Relaxed) {
        let click = body(&format!("new-{posted}@example.com"), "jdoe", "");
        assert_eq!(client.send(&post_request(&click)).status, 202);
        posted += 1;
        thread::sleep(BETWEEN_CLICKS);
    }
    posted
}

/// When rows are deleted, SQLite moves others to new pages and leaves copies on the old ones.
#[test]
fn nothing_is_left_of_leads_that_are_forgotten_one_after_the_other() {
    let (leads, forgotten) = if is_long() { (3000, 2500) } else { (400, 60) };
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    for site in [
        Site::new().with_schema(""),
        Site::new().with_database(HOST_APP),
    ] {
        let mut random = fastrand::Rng::with_seed(seed);
        let daemon = Daemon::start(&site, &[]);
        with_leads(&site.connect(), &mut random, leads);
        let mut order: Vec<usize> = (0..leads).collect();
        random.shuffle(&mut order);
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            let posting = scope.spawn(|| post_until(&is_done, &daemon));
            let done = Done(&is_done);
            for at in 0..forgotten {
                let ran = site.run(&["forget", &email_of(order[at]), "--yes"]);
                assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
                let found = leads_in(&site);
                let left = order[..=at].iter().find(|number| found.contains(number));
                assert_eq!(left, None, "of {at}");
            }
            drop(done);
            let posted: usize = posting.join().unwrap();
            let stored = "SELECT count(*) FROM lead_clicks WHERE email LIKE 'new-%'";
            assert_eq!(site.value::<usize>(stored), posted);
        });
        assert!(daemon.stop().0.success());
        let expected: HashSet<usize> = order[forgotten..].iter().copied().collect();
        assert_eq!(leads_in(&site), expected);
        assert_whole(&site);
    }
}

fn old(site: &Site, what: &str) -> String {
    format!("{}\n\n{what}\n{NEEDS}", site.db_path().display())
}

#[test]
fn clicks_from_before_a_time_are_purged_and_no_others() {
    let site = site();
    let expected = old(
        &site,
        "3 clicks of 2 leads,\nfrom 2024-11-01 09:00:00 to 2025-11-01 09:00:02 UTC",
    );
    let until = ["purge", "--older-than", "2025-11-01T09:00:03Z"];
    assert_eq!(
        site.stdout_of(&[&until[..], &["--dry-run"]].concat()),
        expected.clone() + "\ndry run: nothing was deleted\n"
    );
    site.run(&until).assert(
        3,
        &expected,
        "leadclicks: there is no terminal to ask for confirmation, so nothing was deleted; add --yes to purge without asking\n",
    );
    assert_eq!(site.clicks().len(), 4);
    assert_eq!(
        site.stdout_of(&[&until[..], &["--yes"]].concat()),
        expected + "\ndeleted 3 clicks for good\n"
    );
    assert_eq!(site.emails(), ["gone@example.company"]);
    for text in ["gone-", "-gone", "kept"] {
        assert!(!is_in_files(&site, text), "{text}");
    }
    // With nothing to delete there is no confirmation.
    assert_eq!(
        site.stdout_of(&until),
        format!(
            "no clicks from before 2025-11-01 09:00:03 UTC in {}\n",
            site.db_path().display()
        )
    );
    assert_whole(&site);
}

#[test]
fn an_invalid_or_future_time_is_wrong_usage() {
    let site = site();
    site.run(&["purge", "--older-than", "2999-01-01", "--yes"])
        .assert(
            2,
            "",
            "leadclicks: --older-than is in the future; give a time in the past\n",
        );
    let ran = site.run(&["purge", "--older-than", "tomorrow", "--yes"]);
    assert_eq!(ran.status.code(), Some(2), "{ran}");
    let ran = site.run(&["purge", "--yes"]);
    assert_eq!(ran.status.code(), Some(2), "{ran}");
    assert_eq!(site.clicks().len(), 4);
}

#[test]
fn the_word_purge_on_a_terminal_confirms() {
    let site = site();
    let mut terminal = site.on_terminal("leadclicks purge --older-than 2025-01-01");
    let prompt = "\nType purge to delete these rows for good: ";
    terminal.wait_for(prompt);
    terminal.type_and_end("purge\n");
    let found = old(
        &site,
        "1 click of 1 lead,\nfrom 2024-11-01 09:00:00 to 2024-11-01 09:00:00 UTC",
    );
    let screen = found + prompt + "purge\n\ndeleted 1 click for good\n";
    assert_eq!(terminal.finish(), (Some(0), screen));
    assert_eq!(site.clicks().len(), 3);
}

#[test]
fn a_click_whose_time_cannot_be_read_is_an_error_and_nothing_is_purged() {
    for time in [
        "1761989400",
        "'2024-11-01T09:00:00'",
        "CAST('2024-11-01 09:00:00' AS BLOB)",
        "x''",
        "NULL",
    ] {
        let host_app = HOST_APP.replace("DEFAULT CURRENT_TIMESTAMP NOT NULL", "");
        let site = Site::new()
            .with_database(&host_app)
            .with_database(CLICKS)
            .with_database(&format!(
                "UPDATE lead_clicks SET created_at = {time} WHERE id = 4;"
            ));
        let error = format!(
            "leadclicks: {}: the click with id 4 has an invalid created_at; \
             change it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row\n",
            site.db_path().display()
        );
        site.run(&["purge", "--older-than", "2025-01-01", "--yes"])
            .assert(1, "", &error);
        assert_eq!(site.clicks().len(), 4);
    }
}

#[test]
fn clicks_that_are_referred_to_or_that_a_trigger_keeps_are_not_purged() {
    let purge = ["purge", "--older-than", "2026-01-01", "--yes"];
    for (sql, error) in [
        (
            "INSERT INTO notes VALUES (2, 3);",
            "rows of notes (1) refer to rows of lead_clicks that would be deleted; delete the rows of notes first",
        ),
        (
            "CREATE TRIGGER keep BEFORE DELETE ON lead_clicks WHEN old.id = 2 BEGIN SELECT RAISE(IGNORE); END;",
            "a trigger keeps rows of lead_clicks (1), so they were not deleted; change it in the program that owns the \
             database",
        ),
    ] {
        let site = host_app().with_database(sql);
        let error = format!("leadclicks: {}: {error}\n", site.db_path().display());
        let found = old(
            &site,
            "3 clicks of 2 leads,\nfrom 2024-11-01 09:00:00 to 2025-11-01 09:00:02 UTC",
        );
        site.run(&purge).assert(1, &found, &error);
        assert_eq!(site.clicks().len(), 4);
    }
}

/// More clicks than one transaction deletes.
const MANY: usize = 12_000;

/// Clicks one second apart, in the order of their ids.
fn with_many(site: Site) -> Site {
    site.with_database(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY} - 1)
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
         SELECT format('lead-%05d-@example.com', i), 'jdoe', '', datetime('2025-01-01', i || ' seconds') || '.000000'
         FROM n;"
    ))
}

#[test]
fn many_clicks_are_purged_in_several_transactions_while_the_daemon_captures() {
    for site in [
        Site::new().with_schema(""),
        Site::new().with_database(HOST_APP),
    ] {
        let site = with_many(site);
        let daemon = Daemon::start(&site, &[]);
        let is_done = AtomicBool::new(false);
        let posted = thread::scope(|scope| {
            let posting = scope.spawn(|| post_until(&is_done, &daemon));
            let done = Done(&is_done);
            let ran = site.run(&["purge", "--older-than", "2025-01-01T03:00:00Z", "--yes"]);
            drop(done);
            assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
            assert!(
                ran.stdout.ends_with("\n\ndeleted 10800 clicks for good\n"),
                "{ran}"
            );
            posting.join().unwrap()
        });
        assert!(daemon.stop().0.success());
        assert_eq!(site.clicks().len(), MANY - 10_800 + posted);
        assert_eq!(leads_in(&site), (10_800..MANY).collect());
        assert_whole(&site);
    }
}

#[test]
fn a_killed_purge_has_deleted_the_oldest_clicks_and_the_next_purge_continues() {
    let site = with_many(Site::new().with_schema(""));
    let left = || site.value::<usize>("SELECT count(*) FROM lead_clicks");
    let mut purge = site
        .command(&["purge", "--older-than", "2025-01-01T03:00:00Z", "--yes"])
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while left() == MANY {
        assert!(Instant::now() < deadline);
    }
    purge.kill().unwrap();
    purge.wait().unwrap();
    let newest: Vec<String> = (MANY - left()..MANY)
        .map(|number| format!("lead-{number:05}-@example.com"))
        .collect();
    assert_eq!(site.emails(), newest);
    let ran = site.run(&["purge", "--older-than", "2025-01-01T03:00:00Z", "--yes"]);
    assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    assert_eq!(leads_in(&site), (10_800..MANY).collect());
    assert_whole(&site);
}

#[test]
fn ctrl_c_ends_a_purge_between_two_transactions_and_nothing_is_left_of_what_it_deleted() {
    let site = with_many(Site::new().with_schema(""));
    let left = || site.value::<usize>("SELECT count(*) FROM lead_clicks");
    let command = &mut site.command(&["purge", "--older-than", "2025-01-01T03:00:00Z", "--yes"]);
    let purge = command.spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while left() == MANY {
        assert!(Instant::now() < deadline);
    }
    signal(&purge, "INT");
    let ran = Ran::wait(command, purge);
    assert_eq!(ran.status.signal(), Some(2), "{ran}");
    let deleted = MANY - left();
    let and_left = match 10_800 - deleted {
        0 => String::new(),
        left => format!(", and {left} were left"),
    };
    let expected = format!("\n\ndeleted {deleted} clicks for good{and_left}\n");
    assert!(ran.stdout.ends_with(&expected), "{expected}{ran}");
    assert_eq!(ran.stderr, "");
    assert_eq!(leads_in(&site), (deleted..MANY).collect());
    assert_whole(&site);
}

fn wal_busy(site: &Site) -> String {
    format!(
        "bytes of deleted rows may still be in {}-wal because another program is reading; \
         when it is done, run this again\n",
        site.db_path().display()
    )
}

#[test]
fn bytes_that_a_reader_keeps_in_the_wal_are_reported() {
    for (args, expected) in [
        (
            &["forget", "gone@example.com", "--yes"][..],
            format!(
                "\n\n Table         Email              Rows\n───────────────────────────────────────\n \
                 lead_clicks   gone@example.com      2\n{NEEDS}\ndeleted 2 rows\n{SEARCHED}"
            ),
        ),
        (
            &["purge", "--older-than", "2025-01-01", "--yes"],
            "\n\n1 click of 1 lead,\nfrom 2024-11-01 09:00:00 to 2024-11-01 09:00:00 UTC\n"
                .to_owned()
                + NEEDS
                + "\ndeleted 1 click\n",
        ),
    ] {
        let site = site();
        let reader = site.connect();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM lead_clicks;")
            .unwrap();
        let expected = site.db_path().display().to_string() + &expected;
        let error = format!("leadclicks: {}", wal_busy(&site));
        site.run(args).assert(1, &expected, &error);
        // A purge that finds nothing does not claim a deletion either.
        let ran = site.run(args);
        assert_eq!(
            (ran.status.code(), &*ran.stderr),
            (Some(1), &*error),
            "{ran}"
        );
        reader.execute_batch("COMMIT").unwrap();
        site.stdout_of(args);
        assert!(!is_in_files(&site, "gone-rust"));
    }
}

/// More rows than one transaction deletes are before this one.
const KEEPS_ONE: &str = "
    CREATE TRIGGER keep BEFORE DELETE ON lead_clicks WHEN old.email LIKE 'lead-06000-%'
    BEGIN SELECT RAISE(IGNORE); END;";

#[test]
fn clicks_that_were_deleted_before_a_trigger_stops_a_purge_are_gone_for_good() {
    let site = Site::new().with_database(HOST_APP).with_database(
        "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (1, 'old@example.com', 'jdoe', 'fulltextword', '2024-11-01 09:00:00');",
    );
    let site = with_many(site).with_database(KEEPS_ONE);
    let expected = old(
        &site,
        "10801 clicks of 10801 leads,\nfrom 2024-11-01 09:00:00 to 2025-01-01 02:59:59 UTC",
    );
    let error = format!(
        "leadclicks: {}: a trigger keeps rows of lead_clicks (1), so they were not deleted; \
         change it in the program that owns the database\n",
        site.db_path().display()
    );
    let ran = site.run(&["purge", "--older-than", "2025-01-01T03:00:00Z", "--yes"]);
    let deleted = MANY + 1 - site.clicks().len();
    assert!((1..=6001).contains(&deleted), "{ran}");
    let left = 10_801 - deleted;
    let expected = format!("{expected}\ndeleted {deleted} clicks for good, and {left} were left\n");
    ran.assert(1, &expected, &error);
    assert!(!is_in_files(&site, "ulltextword"));
    assert_eq!(leads_in(&site), (deleted - 1..MANY).collect());
}

#[test]
fn a_purge_that_a_trigger_and_a_reader_stop_reports_both() {
    let site = with_many(Site::new().with_database(HOST_APP))
        .with_database(KEEPS_ONE)
        .with_database("PRAGMA journal_mode = wal;");
    let reader = site.connect();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM lead_clicks;")
        .unwrap();
    let expected = old(
        &site,
        "10800 clicks of 10800 leads,\nfrom 2025-01-01 00:00:00 to 2025-01-01 02:59:59 UTC",
    );
    let error = format!(
        "leadclicks: {}: a trigger keeps rows of lead_clicks (1), so they were not deleted; \
         change it in the program that owns the database; and {}",
        site.db_path().display(),
        wal_busy(&site)
    );
    let ran = site.run(&["purge", "--older-than", "2025-01-01T03:00:00Z", "--yes"]);
    reader.execute_batch("COMMIT").unwrap();
    let deleted = MANY - site.clicks().len();
    assert!((1..=6000).contains(&deleted), "{ran}");
    let left = 10_800 - deleted;
    let expected = format!("{expected}\ndeleted {deleted} clicks, and {left} were left\n");
    ran.assert(1, &expected, &error);
    site.run(&["forget", "nobody@example.com"]);
    assert_eq!(leads_in(&site), (deleted..MANY).collect());
}

/// A host app's database with pages of `page_size` bytes, of which `reserved` are kept for an extension of SQLite.
fn host_app_of_pages(page_size: u32, reserved: i32, auto_vacuum: &str) -> Site {
    let site = Site::new();
    let conn = site.connect();
    let mut wanted = reserved;
    conn.execute_batch(&format!(
        "PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = {auto_vacuum};"
    ))
    .unwrap();
    conn.file_control(None::<&str>, FileControl::ReserveBytes(&mut wanted))
        .unwrap();
    conn.execute_batch(HOST_APP).unwrap();
    // From now on pages have reserved bytes.
    conn.execute_batch(
        "CREATE TABLE contacts (email TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID; VACUUM;",
    )
    .unwrap();
    drop(conn);
    assert_eq!(site.value::<u32>("PRAGMA page_size"), page_size);
    assert_eq!(i32::from(site.read("leadclicks.db")[20]), reserved);
    site
}

/// A host app without `secure_delete` leaves rows in free pages and in unused parts of others.
#[test]
fn rows_that_a_host_app_deleted_are_overwritten_too() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let rounds = if is_long() { 10 } else { 1 };
    for page_size in [512, 1024, 4096, 65_536].repeat(rounds) {
        let reserved = random.choice([0, 0, 1, 32]).unwrap();
        let auto_vacuum = random.choice(["none", "full", "incremental"]).unwrap();
        let kind = format!("{page_size} bytes, {reserved} reserved, auto_vacuum {auto_vacuum}");
        let site = host_app_of_pages(page_size, reserved, auto_vacuum);
        let conn = site.connect();
        conn.execute_batch("PRAGMA secure_delete = OFF").unwrap();
        with_leads(&conn, &mut random, 1500);
        let part = random.u32(2..7);
        conn.execute_batch(&format!(
            "INSERT INTO contacts SELECT email, max(search_query) FROM lead_clicks GROUP BY email;
             UPDATE lead_clicks SET search_query = substr(search_query, 1, 400);
             UPDATE contacts SET text = substr(text, 1, 400);
             DELETE FROM lead_clicks WHERE id % {part} = 0 OR id % 8000 < 1500;
             DELETE FROM contacts WHERE email NOT IN (SELECT email FROM lead_clicks);",
        ))
        .unwrap();
        let stored: HashSet<usize> = conn
            .prepare("SELECT CAST(substr(email, 6, 5) AS INTEGER) FROM lead_clicks")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let rows = "SELECT (SELECT group_concat(quote(id) || quote(email) || quote(search_query)) FROM lead_clicks)
            || (SELECT group_concat(quote(email) || quote(text)) FROM contacts)";
        let before: String = site.value(rows);
        assert!(leads_in(&site).len() > stored.len(), "{kind}");
        assert_eq!(
            site.stdout_of(&["forget", "nobody@example.com"]),
            format!(
                "no rows with the email nobody@example.com in {}\n{}",
                site.db_path().display(),
                searched(
                    "admin_users, contacts, experts, lead_clicks, lead_clicks_fts, settings",
                    ""
                )
            )
        );
        assert_eq!(leads_in(&site), stored, "{kind}");
        assert_eq!(site.value::<String>(rows), before, "{kind}");
        assert_whole(&site);
    }
}

/// The byte of the -shm file by which SQLite locks a database for a write.
const WRITE_LOCK: &str = "l_start=120, ";

/// A host app without `secure_delete` has left so many copies after long values that they take several transactions.
#[test]
#[ignore = "needs strace; tests/run runs it"]
fn the_search_for_copies_holds_no_lock() {
    let site = Site::new().with_database(
        "PRAGMA journal_mode = wal;
         CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email, expert_username, search_query, created_at);",
    );
    site.connect()
        .execute_batch(
            "PRAGMA secure_delete = OFF;
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
             INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
                 SELECT i || '@example.com', 'jdoe', 'copy-' || hex(zeroblob(5000)) || '-copy', '2026-11-01 09:00:00.000000'
                 FROM n;
             UPDATE lead_clicks SET search_query = substr(search_query, 6, 8320);
             PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .unwrap();
    let pages: usize = site.value("PRAGMA page_count");
    assert!(is_in_files(&site, "-copy"));
    let script =
        "exec strace -qq -o trace -e trace=fcntl,pread64 leadclicks forget nobody@example.com";
    let ran = Ran::finish(site.shell(script), b"");
    assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    assert!(!is_in_files(&site, "-copy"));
    let (mut reads, mut reads_max, mut locks) = (None, 0, 0);
    for line in String::from_utf8(site.read("trace")).unwrap().lines() {
        if line.contains(WRITE_LOCK) {
            reads = line.contains("F_WRLCK").then_some(0);
            locks += usize::from(reads.is_some());
        } else if let Some(reads) = &mut reads
            && line.starts_with("pread64")
        {
            *reads += 1;
            reads_max = reads_max.max(*reads);
        }
    }
    assert!(locks > 3, "{locks}");
    assert!(reads_max < pages / 2, "{reads_max} of {pages}");
    assert_whole(&site);
}

#[test]
fn pages_that_other_programs_truncate_meanwhile_are_not_an_error() {
    for (auto_vacuum, page_size) in [("full", 512), ("incremental", 65536)] {
        let site = Site::new().with_database(&format!(
            "PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = {auto_vacuum}; PRAGMA journal_mode = wal;{HOST_APP}"
        ));
        let seed = fastrand::u64(..);
        eprintln!("seed {seed}");
        with_leads(&site.connect(), &mut fastrand::Rng::with_seed(seed), 200);
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let conn = site.connect();
                while !is_done.load(Ordering::Relaxed) {
                    // Separately: pages with remains of rows, then free pages, then neither.
                    conn.execute_batch(
                        "CREATE TABLE passing AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
                             SELECT i, hex(randomblob(100)) FROM n;
                         DELETE FROM passing WHERE i % 2;
                         DROP TABLE passing;
                         PRAGMA incremental_vacuum;",
                    )
                    .unwrap();
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let _done = Done(&is_done);
            for number in 0..20 {
                let ran = site.run(&["forget", &email_of(number), "--yes"]);
                // The other program may be using the WAL at that moment.
                let is_told = ran.stderr.ends_with("when it is done, run this again\n");
                assert!(ran.status.success() || is_told, "{ran}");
            }
        });
        site.stdout_of(&["forget", "nobody@example.com"]);
        assert!(
            leads_in(&site).is_disjoint(&(0..20).collect()),
            "{auto_vacuum}"
        );
        assert_whole(&site);
    }
}

#[test]
fn clicks_without_a_key_or_a_time_are_not_purged() {
    for (table, rows, error) in [
        (
            "id INTEGER",
            "(1, '2020-01-01 00:00:00'), (1, '2026-01-01 00:00:00')",
            "lead_clicks.id is not the table's INTEGER PRIMARY KEY",
        ),
        (
            "id INTEGER PRIMARY KEY",
            "(1, '2020-01-01 00:00:00'), (7, x'00')",
            "the click with id 7 has an invalid created_at",
        ),
    ] {
        let site = Site::new().with_database(&format!(
            "CREATE TABLE lead_clicks ({table}, created_at, email, expert_username, search_query);
             INSERT INTO lead_clicks (id, created_at) VALUES {rows};"
        ));
        let ran = site.run(&["purge", "--older-than", "2025-01-01", "--yes"]);
        assert_eq!((ran.status.code(), &*ran.stdout), (Some(1), ""), "{ran}");
        assert!(ran.stderr.contains(error), "{ran}");
        assert_eq!(site.value::<u32>("SELECT count(*) FROM lead_clicks"), 2);
    }
}

#[test]
fn words_of_rows_that_the_host_app_deleted_are_overwritten_too() {
    let site = Site::new().with_database(
        "CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email, expert_username, search_query, created_at);
         CREATE VIRTUAL TABLE search_index USING fts5 (email, content='lead_clicks', content_rowid='id');
         CREATE VIRTUAL TABLE search USING fts5vocab (search_index, row);
         CREATE TRIGGER added AFTER INSERT ON lead_clicks BEGIN
             INSERT INTO search_index (rowid, email) VALUES (new.id, new.email);
         END;
         CREATE TRIGGER removed AFTER DELETE ON lead_clicks BEGIN
             INSERT INTO search_index (search_index, rowid, email) VALUES ('delete', old.id, old.email);
         END;
         INSERT INTO lead_clicks (email, created_at) VALUES
             ('gonegonegone@example.com', '2026-01-01 00:00:00'), ('kept@example.com', '2026-01-01 00:00:00');
         DELETE FROM lead_clicks WHERE id = 1;",
    );
    assert!(is_in_files(&site, "gonegonegone"));
    let ran = site.run(&["forget", "gonegonegone@example.com", "--yes"]);
    assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    assert!(!is_in_files(&site, "gonegonegone"));
    let found = "SELECT email FROM search_index WHERE search_index MATCH 'kept'";
    assert_eq!(site.value::<String>(found), "kept@example.com");
}

#[test]
fn other_tables_that_have_the_address_are_named() {
    let site = site();
    site.connect()
        .execute_batch(
            "CREATE TABLE customers (name, Email);
             INSERT INTO customers VALUES ('Gone', 'GONE@example.com' || char(9));
             CREATE VIRTUAL TABLE people USING fts5 (email, note);
             INSERT INTO people VALUES ('gone@example.com', ''), ('kept@example.com', '');",
        )
        .unwrap();
    assert_eq!(
        site.stdout_of(&["forget", "gone@example.com", "--yes"]),
        found(&site, 2)
            + "\ndeleted 2 rows for good\n"
            + &searched(
                "customers, experts, lead_clicks, people",
                "still in the table customers, column Email: 1 row\nstill in the table people, column email: 1 row\n"
            )
    );
}

#[test]
fn an_already_broken_reference_does_not_hide_a_new_one() {
    for rowids in ["", "WITHOUT ROWID"] {
        let site = site().with_database(&format!(
            "PRAGMA foreign_keys = OFF;
             CREATE TABLE conversations (id INTEGER PRIMARY KEY, email TEXT);
             CREATE TABLE feedback (
                 id TEXT PRIMARY KEY, email TEXT, conversation_id INTEGER REFERENCES conversations (id)
             ) {rowids};
             INSERT INTO conversations VALUES (1, 'gone@example.com');
             INSERT INTO feedback VALUES ('a', 'gone@example.com', 99), ('b', 'kept@example.com', 1);"
        ));
        let ran = site.run(&["forget", "gone@example.com", "--yes"]);
        let error = format!(
            "leadclicks: {}: rows of feedback (1) refer to rows of conversations that would be deleted; \
             delete the rows of feedback first\n",
            site.db_path().display()
        );
        assert_eq!(
            (ran.status.code(), &*ran.stderr),
            (Some(1), &*error),
            "{ran}"
        );
        assert_eq!(site.value::<u32>("SELECT count(*) FROM feedback"), 2);
    }
}

#[test]
fn an_email_in_a_virtual_table_is_reported_and_a_table_that_cannot_be_read_is_named() {
    let site = site().with_database(
        "CREATE VIRTUAL TABLE people USING fts5(email, note);
         INSERT INTO people VALUES ('Gone@example.com', 'expected');
         PRAGMA writable_schema = ON;
         INSERT INTO sqlite_schema VALUES
             ('table', 'vectors', 'vectors', 0, 'CREATE VIRTUAL TABLE vectors USING vectors_of_the_app(email)');",
    );
    let remains = "still in the table people, column email: 1 row\n\
                   not searched: the table vectors, which only the program that owns the database can read\n";
    assert_eq!(
        site.stdout_of(&["forget", "gone@example.com", "--yes"]),
        found(&site, 2)
            + "\ndeleted 2 rows for good\n"
            + &searched("experts, lead_clicks, people", remains)
    );
}

#[test]
fn a_damaged_table_is_named_as_that_and_the_others_are_searched() {
    let site = site().with_database(
        "CREATE TABLE customers (email);
         INSERT INTO customers VALUES ('gone@example.com');
         CREATE TABLE messages (text);
         INSERT INTO messages VALUES ('to gone@example.com');
         PRAGMA wal_checkpoint(TRUNCATE);",
    );
    let root: u64 = site.value("SELECT rootpage FROM sqlite_schema WHERE name = 'messages'");
    let page_bytes: u64 = site.value("PRAGMA page_size");
    let file = fs::OpenOptions::new()
        .write(true)
        .open(site.db_path())
        .unwrap();
    let zeros = vec![0; usize::try_from(page_bytes).unwrap()];
    file.write_all_at(&zeros, (root - 1) * page_bytes).unwrap();
    let remains = "still in the table customers, column email: 1 row\n\
                   not searched: the table messages, which is damaged\n";
    let expected = found(&site, 2)
        + "\ndeleted 2 rows for good\n"
        + &searched("customers, experts, lead_clicks", remains);
    let error = format!(
        "leadclicks: {}: the file is damaged, so not all of it was searched; restore a backup, then run this again\n",
        site.db_path().display()
    );
    site.run(&["forget", "gone@example.com", "--yes"])
        .assert(1, &expected, &error);
}

/// As in a thread of messages: each row refers to the one before.
#[test]
fn rows_that_refer_to_each_other_are_forgotten_together() {
    let site = site().with_database(
        "CREATE TABLE conversations (
             id INTEGER PRIMARY KEY, email TEXT, parent_id INTEGER REFERENCES conversations (id)
         );
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO conversations SELECT i, 'gone@example.com', nullif(i - 1, 0) FROM n;",
    );
    let ran = site.run(&["forget", "gone@example.com", "--yes"]);
    assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    assert_eq!(site.value::<u32>("SELECT count(*) FROM conversations"), 0);
}

#[test]
fn white_space_around_an_email_does_not_hide_it() {
    let site = site().with_database(
        "UPDATE lead_clicks SET email = char(9) || 'gone@example.com' || char(13, 10) WHERE id = 1;
         UPDATE lead_clicks SET email = char(160, 11) || 'gone@example.com' || char(12) WHERE id = 3;",
    );
    assert_eq!(
        site.stdout_of(&["forget", "gone@example.com", "--yes"]),
        format!(
            "{}\n
 Table         Email                         Rows
──────────────────────────────────────────────────
 lead_clicks   \\tgone@example.com\\r\\n           1
 lead_clicks   \u{a0}\\u{{b}}gone@example.com\\u{{c}}      1
{NEEDS}\ndeleted 2 rows for good\n{SEARCHED}",
            site.db_path().display()
        )
    );
}

#[test]
fn tables_over_a_full_text_index_and_indexes_of_similar_names_are_harmless() {
    let site = host_app().with_database(
        "CREATE VIRTUAL TABLE search USING fts5vocab(lead_clicks_fts, row);
         CREATE VIRTUAL TABLE lead_clicks_ft USING rtree(id, low, high);
         CREATE VIRTUAL TABLE \"Searches\" USING /* of ours */ fts4(text);
         CREATE TRIGGER searched AFTER INSERT ON lead_clicks BEGIN
             INSERT INTO [searches] (docid, text) VALUES (new.id, new.search_query);
         END;
         CREATE TRIGGER searched_no_more AFTER DELETE ON lead_clicks BEGIN
             DELETE FROM searches WHERE docid = old.id;
         END;
         INSERT INTO searches (docid, text) VALUES (100, 'other');
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (9, 'gone@example.com', 'jdoe', 'fulltextword', '2024-11-01 09:00:00.000000');",
    );
    for args in [
        &["forget", "gone@example.com", "--yes"][..],
        &["purge", "--older-than", "2026-01-01", "--yes"],
        &["reset", "--yes"],
    ] {
        let ran = site.run(args);
        assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
        assert!(!is_in_files(&site, "ulltextword"));
    }
    assert_whole(&site);
}

/// Clicks of two experts and three leads, in several spellings; each has a search that begins with its id.
const MADE_UP: &str = "
    INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
        (1, 'bot1@spam.example', 'jdoe', 'c1-Buy NOW', '2026-11-01 09:00:00.000000'),
        (2, 'BOT1@Spam.Example', ' jdoe', 'c2-rust', '2026-11-01 10:00:00.000000'),
        (3, 'bot2@spam.example', 'zoë', 'c3-buy now!', '2026-11-01 11:00:00.000000'),
        (4, 'jane@example.com', 'zoe\u{308}', 'c4-rust', '2026-11-01 12:00:00.000000'),
        (5, 'jane@sub.spam.example', 'jdoe2', 'c5-ＢＵＹ now', '2026-11-01 13:00:00.000000');";

fn ids(site: &Site) -> String {
    site.value("SELECT coalesce(group_concat(id, ' '), '') FROM lead_clicks")
}

#[test]
fn a_purge_by_each_filter_deletes_what_a_report_shows_and_nothing_else() {
    for (filters, left) in [
        (&["--email", "@SPAM.example"][..], "4 5"),
        (&["--email", " Bot1@spam.EXAMPLE "], "3 4 5"),
        (&["--expert", "jdoe "], "3 4 5"),
        (&["--expert", "zoe\u{308}"], "1 2 5"),
        (&["--query", "BUY now"], "2 4 5"),
        (&["--since", "2026-11-01T11:00:00Z"], "1 2"),
        (&["--until", "2026-11-01T11:00:00Z"], "3 4 5"),
        (
            &[
                "--since",
                "2026-11-01T10:00:00Z",
                "--until",
                "2026-11-01T12:00:00Z",
            ],
            "1 4 5",
        ),
        (
            &[
                "--email",
                "@spam.example",
                "--expert",
                "zoë",
                "--query",
                "Buy",
            ],
            "1 2 4 5",
        ),
        (
            &[
                "--older-than",
                "2026-11-01T10:30:00Z",
                "--expert",
                "jdoe",
                "--query",
                "BUY",
            ],
            "2 3 4 5",
        ),
        // Not a part of a username.
        (&["--expert", "doe"], "1 2 3 4 5"),
        (&["--expert", "JDOE"], "1 2 3 4 5"),
        (
            &["--expert", "zoë", "--email", "@nobody.example"],
            "1 2 3 4 5",
        ),
    ] {
        let site = Site::new().with_schema(MADE_UP);
        let ran = site.run(&[&["purge", "--yes"], filters].concat());
        assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
        assert_eq!(ids(&site), left, "{filters:?}");
        for id in 1..=5 {
            let is_left = left.contains(&id.to_string());
            assert_eq!(
                is_in_files(&site, &format!("c{id}-")),
                is_left,
                "{filters:?}"
            );
        }
        assert_whole(&site);
    }
}

#[test]
fn a_purge_by_filters_shows_whose_clicks_it_would_delete() {
    let site = Site::new()
        .with_schema(MADE_UP)
        .with_database("INSERT INTO experts VALUES ('jdoe', 'Jane', 'Doe');");
    let path = site.db_path();
    let path = path.display();
    let expected = format!(
        "{path}

3 clicks of 2 leads,
from 2026-11-01 09:00:00 to 2026-11-01 11:00:00 UTC

 Expert            Clicks
──────────────────────────
 Jane Doe (jdoe)        2
 zoë                    1

 Lead                Clicks
────────────────────────────
 bot1@spam.example        2
 bot2@spam.example        1
{NEEDS}
dry run: nothing was deleted
"
    );
    let purge = ["purge", "--dry-run"];
    assert_eq!(
        site.stdout_of(&[&purge[..], &["--email", "@spam.example"]].concat()),
        expected
    );
    let one = site.stdout_of(&[&purge[..], &["--email", "bot2@spam.example"]].concat());
    let hint = format!(
        "\n\nonly clicks; leadclicks forget erases this person from all tables\n{NEEDS}\ndry run: nothing was deleted\n"
    );
    assert!(one.ends_with(&hint), "{one}");
    assert_eq!(
        site.stdout_of(&[&purge[..], &["--expert", "doe"]].concat()),
        format!(
            "no clicks meet these conditions in {path}; usernames like --expert: jdoe (Jane Doe), jdoe2\n"
        )
    );
    assert_eq!(ids(&site), "1 2 3 4 5");
}

#[test]
fn a_purge_says_how_many_experts_and_leads_it_does_not_list() {
    let site = Site::new().with_schema(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 7)
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
         SELECT 'bot' || i || '@spam.example', 'e' || min(i, 6), '', '2026-11-01 09:00:00.000000' FROM n;",
    );
    let purge = ["purge", "--email", "@spam.example", "--dry-run"];
    let shown = site.stdout_of(&purge);
    let begin = "7 clicks of 7 leads,\nfrom 2026-11-01 09:00:00 to 2026-11-01 09:00:00 UTC

 Expert   Clicks
─────────────────
 e6            2
 e1            1
 e2            1
 e3            1
 e4            1
 1 more expert

 Lead                Clicks
────────────────────────────
 bot1@spam.example        1
 bot2@spam.example        1
 bot3@spam.example        1
 bot4@spam.example        1
 bot5@spam.example        1
 2 more leads
";
    assert!(shown.contains(begin), "{shown}");
}

#[test]
fn a_purge_without_a_filter_or_with_two_ends_is_wrong_usage() {
    let site = Site::new().with_schema(MADE_UP);
    for args in [
        &["--yes"][..],
        &["--older-than", "1d", "--until", "1d"],
        &["--email", "@"],
        &["--since", "2026-11-02", "--until", "2026-11-01"],
        &["--expert", ""],
        &["--expert", "\u{200b}", "--yes"],
        &["--query", "\u{200b}\u{ad}", "--yes"],
        &["--email", "\u{feff} ", "--yes"],
        &["--email", "@\u{200b}", "--yes"],
    ] {
        let ran = site.run(&[&["purge"], args].concat());
        assert_eq!((ran.status.code(), &*ran.stdout), (Some(2), ""), "{ran}");
    }
    assert_eq!(ids(&site), "1 2 3 4 5");
}

/// Also a new click with the id of a deleted one, and a click that was changed.
#[test]
fn a_purge_deletes_only_the_clicks_that_it_has_counted() {
    let site = Site::new().with_schema(MADE_UP);
    let daemon = Daemon::start(&site, &[]);
    let mut terminal = site.on_terminal("leadclicks purge --query c");
    terminal.wait_for("\nType purge to delete these rows for good: ");
    site.connect()
        .execute_batch(
            "DELETE FROM lead_clicks WHERE id = 5;
             UPDATE lead_clicks SET expert_username = 'other' WHERE id = 2;",
        )
        .unwrap();
    for email in ["new1@example.com", "new2@example.com"] {
        assert_eq!(daemon.post(email, "jdoe", "c-new").status, 202);
    }
    terminal.type_and_end("purge\n");
    let (code, screen) = terminal.finish();
    assert_eq!(code, Some(0), "{screen}");
    assert!(
        screen.ends_with(
            "purge\n\ndeleted 3 clicks for good, and 2 were changed or deleted meanwhile\n"
        ),
        "{screen}"
    );
    assert_eq!(ids(&site), "2 5 6");
    assert_eq!(
        site.emails(),
        ["BOT1@Spam.Example", "new1@example.com", "new2@example.com"]
    );
}

#[test]
fn a_killed_purge_by_filters_continues_when_it_is_run_again() {
    let site = with_many(Site::new().with_schema(""));
    let purge = [
        "purge",
        "--expert",
        "jdoe",
        "--email",
        "@example.com",
        "--yes",
    ];
    let left = || site.value::<usize>("SELECT count(*) FROM lead_clicks");
    let mut killed = site.command(&purge).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while left() == MANY {
        assert!(Instant::now() < deadline);
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(left() < MANY);
    for _ in 0..2 {
        let ran = site.run(&purge);
        assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
        assert_eq!(leads_in(&site), HashSet::new());
    }
    assert_whole(&site);
}

#[test]
fn a_killed_forget_continues_when_it_is_run_again() {
    let site = with_many(Site::new().with_schema("")).with_database(
        "UPDATE lead_clicks SET search_query = email, email = 'gone@example.com' WHERE id > 100;",
    );
    let left = || site.value::<usize>("SELECT count(*) FROM lead_clicks");
    let forget = ["forget", "gone@example.com", "--yes"];
    let mut killed = site.command(&forget).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while left() == MANY {
        assert!(Instant::now() < deadline);
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let ran = site.run(&forget);
    assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    assert_eq!(left(), 100);
    assert_eq!(leads_in(&site), (0..100).collect());
    assert!(!is_in_files(&site, "gone@example.com"));
}
