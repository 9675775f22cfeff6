//! `leadclicks restore` replaces the database with a backup, and whatever happens the old or the new one is complete.

use std::{
    fs::{self, File},
    os::unix::{
        fs::{MetadataExt, symlink},
        process::ExitStatusExt,
    },
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use rusqlite::Connection;

use crate::{
    leftovers::traced,
    support::{Daemon, HOST_APP, Ran, Site, mode},
};

const EARLIER_SCHEMA: &str = include_str!("earlier_schema.sql");

const BACKUP_CLICK: &str = "
    INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
    VALUES ('backup@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000');";

/// When the file of each backup was written.
const WRITTEN: &str = "2026-11-02T03:00:00.000000Z";

const RUNS: &str = "cannot replace it: leadclicksd runs on it; stop the daemon first, and its socket if it has one; \
                    nothing was changed";

/// Puts a backup with one click at `name`, in the directory of `site`.
fn add_backup(site: &Site, name: &str) {
    let source = Site::new().with_schema(BACKUP_CLICK);
    source.stdout_of(&["backup", site.path(name).to_str().unwrap()]);
    let written: jiff::Timestamp = WRITTEN.parse().unwrap();
    let file = File::options().append(true).open(site.path(name)).unwrap();
    file.set_modified(SystemTime::from(written)).unwrap();
}

/// A database of a daemon that was killed, so that its two clicks are only in the WAL, and a backup.
fn site() -> Site {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    for email in ["amy@example.com", "bob@example.com"] {
        assert_eq!(daemon.post(email, "jdoe", "").status, 202);
    }
    daemon.kill();
    fs::remove_file(site.path("leadclicksd.log")).unwrap();
    assert!(fs::metadata(site.path("leadclicks.db-wal")).unwrap().len() > 0);
    add_backup(&site, "backup.db");
    site
}

/// The names of the files of `site` that a restore has kept, sorted.
fn kept(site: &Site) -> Vec<String> {
    let is_kept = |name: &String| name.starts_with("leadclicks.db.before-restore-");
    site.files().into_iter().filter(is_kept).collect()
}

fn emails_in(path: &Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let intact: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(intact, "ok");
    let mut emails = conn
        .prepare("SELECT email FROM lead_clicks ORDER BY id")
        .unwrap();
    let emails = emails.query_map([], |row| row.get(0)).unwrap();
    emails.map(Result::unwrap).collect()
}

fn report(site: &Site) -> String {
    let csv = site.stdout_of(&["report", "--by-email", "--format", "csv"]);
    let emails = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap());
    emails.collect::<Vec<_>>().join(" ")
}

/// What is shown before the confirmation.
fn shown(site: &Site, now: &str) -> String {
    let backup = "1 click, the newest of 2026-11-01T09:00:00.000000Z";
    let db = site.path("").canonicalize().unwrap().join("leadclicks.db");
    format!(
        "{}\n\nnow: {now}\nbackup.db, written {WRITTEN}: {backup}\n",
        db.display()
    )
}

/// What is printed after the restore.
fn done(site: &Site) -> String {
    let db = site.path("").canonicalize().unwrap().join("leadclicks.db");
    let kept: Vec<String> = kept(site)
        .iter()
        .map(|name| db.with_file_name(name).display().to_string())
        .collect();
    let line = |old: &String| format!("kept: {old}\n");
    let names: String = kept.iter().map(line).collect();
    let import = match &kept[..] {
        [old] => format!(
            "- import the clicks that are not in the backup: leadclicks import {old} --db {}\n",
            db.display()
        ),
        _ => String::new(),
    };
    let delete = match &kept[..] {
        [] => "",
        _ => "- delete what was kept when you no longer need it\n",
    };
    format!(
        "\nrestored from backup.db: 16.38 kB\n{names}\nnext:\n\
         - start leadclicksd, for instance by systemctl start leadclicksd.service\n{import}\
         - forget everyone again who was forgotten after the backup was made (the file was written {WRITTEN}; \
         its newest click is of 2026-11-01T09:00:00.000000Z)\n{delete}"
    )
}

/// The content of the database now, as it is shown.
fn two_clicks(site: &Site) -> String {
    let csv = site.stdout_of(&["report", "--expert", "jdoe", "--format", "csv"]);
    let newest = csv.lines().nth(1).unwrap().rsplit(',').next().unwrap();
    format!("2 clicks, the newest of {newest}")
}

#[test]
fn a_restore_replaces_the_database_and_keeps_the_old_one_with_all_its_clicks() {
    let site = site();
    let shown = shown(&site, &two_clicks(&site));
    let files = site.files();
    let ran = site.run(&["restore", "backup.db", "--dry-run"]);
    ran.assert(0, &format!("{shown}\ndry run: nothing was changed\n"), "");
    let unasked = "leadclicks: there is no terminal to ask for confirmation, so nothing was changed; add --yes to restore \
                   without asking\n";
    site.run(&["restore", "backup.db"])
        .assert(3, &shown, unasked);
    assert_eq!(
        (site.files(), report(&site)),
        (files, "bob@example.com amy@example.com".to_owned())
    );
    // A program that has the old database open, and goes on writing into it.
    let host_app = site.connect();
    host_app
        .execute_batch("SELECT count(*) FROM lead_clicks")
        .unwrap();

    let ran = site.run(&["restore", "backup.db", "--yes"]);
    ran.assert(0, &format!("{shown}{}", done(&site)), "");
    assert_eq!(report(&site), "backup@example.com");
    let old = kept(&site).remove(0);
    assert_eq!(
        site.files(),
        ["backup.db", "leadclicks.db", "leadclicks.db-wal", &old]
    );
    assert_eq!(mode(&site.db_path()), 0o640);
    assert_eq!(mode(&site.path("leadclicks.db-wal")), 0o640);

    // It is complete, and opening it creates no files.
    let csv = [
        "report", "--expert", "jdoe", "--format", "csv", "--db", &old,
    ];
    assert_eq!(site.stdout_of(&csv).lines().count(), 3);
    assert_eq!(kept(&site), [&*old]);
    // Monitoring says what is to be done.
    let ran = site.run(&["check", "--quick"]);
    let none_runs = "no leadclicksd runs on this database";
    assert!(
        ran.stdout.contains(none_runs) && ran.stderr == "leadclicks: 1 problem\n",
        "{ran}"
    );

    let daemon = Daemon::start(&site, &[]);
    host_app
        .execute_batch(&BACKUP_CLICK.replace("backup@", "host@"))
        .unwrap();
    host_app
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(host_app);
    assert_eq!(daemon.post("zoe@example.com", "jdoe", "").status, 202);
    assert_eq!(report(&site), "zoe@example.com backup@example.com");
    assert!(daemon.stop().0.success());
    assert_eq!(
        emails_in(&site.db_path()),
        ["backup@example.com", "zoe@example.com"]
    );
    assert_eq!(
        emails_in(&site.path(&old)),
        ["amy@example.com", "bob@example.com", "host@example.com"]
    );
    assert_eq!(emails_in(&site.path("backup.db")), ["backup@example.com"]);

    // What is kept contains clicks, so monitoring and erasures name it.
    let old = site.path("").canonicalize().unwrap().join(old);
    let json = site.run(&["check", "--offline", "--format", "json"]).stdout;
    let found = format!(
        r#""leftovers","state":"warning","found":"{}: kept by a restore, and may contain clicks that are nowhere else","next":"import those that you need, then delete them""#,
        old.display()
    );
    assert!(json.contains(&found), "{json}");
    let reset = site.stdout_of(&["reset", "--yes"]);
    let named = format!(
        "{} was kept by a restore, and may also contain clicks; import those that you need, then delete it\n",
        old.display()
    );
    assert!(reset.ends_with(&named), "{reset}");
}

#[test]
fn a_restore_is_refused_while_a_daemon_runs_and_while_a_transaction_is_open() {
    let site = site();
    let daemon = Daemon::start(&site, &[]);
    let now = two_clicks(&site);
    let db = site.path("").canonicalize().unwrap().join("leadclicks.db");
    let files = site.files();
    let error = format!("leadclicks: {}: {RUNS}\n", db.display());
    site.run(&["restore", "backup.db", "--yes"])
        .assert(1, "", &error);
    let said = format!(
        "{}\nleadclicksd runs on the database; stop it before you restore\n\ndry run: nothing was changed\n",
        shown(&site, &now)
    );
    site.run(&["restore", "backup.db", "--dry-run"])
        .assert(0, &said, "");
    assert_eq!(site.files(), files);
    assert_eq!(daemon.post("cat@example.com", "jdoe", "").status, 202);
    daemon.kill();

    // Its snapshot needs the old WAL.
    let reader = site.connect();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM lead_clicks;")
        .unwrap();
    site.connect()
        .execute_batch(&BACKUP_CLICK.replace("backup@", "dan@"))
        .unwrap();
    let ran = site.run(&["restore", "backup.db", "--yes"]);
    let busy = "cannot replace it: another program reads or writes it; end that program, and try again; nothing was changed";
    assert_eq!(
        ran.stderr,
        format!("leadclicks: {}: {busy}\n", db.display()),
        "{ran}"
    );
    assert_eq!((ran.status.code(), site.files()), (Some(1), files));
    assert_eq!(site.emails().len(), 4);
    drop(reader);
    assert!(
        site.run(&["restore", "backup.db", "--yes"])
            .status
            .success()
    );
    assert_eq!(report(&site), "backup@example.com");
}

#[test]
fn the_word_restore_on_a_terminal_confirms_and_anything_else_declines() {
    let site = Site::new().with_schema("");
    add_backup(&site, "backup.db");
    let prompt = "\nType restore to replace the database: ";
    for (answer, code) in [("yes\n", 3), ("restore\n", 0)] {
        let mut terminal = site.on_terminal("leadclicks restore backup.db");
        terminal.wait_for(prompt);
        terminal.type_and_end(answer);
        let (ended, screen) = terminal.finish();
        let said = match code {
            0 => {
                // The old database has no clicks to import.
                let done = done(&site);
                let lines = done.split_inclusive('\n');
                lines.filter(|line| !line.starts_with("- import")).collect()
            }
            _ => "leadclicks: not confirmed, so nothing was changed\n".to_owned(),
        };
        let before = [&shown(&site, "0 clicks"), prompt, answer].concat();
        assert_eq!((ended, screen), (Some(code), before + &said));
    }
    assert_eq!(report(&site), "backup@example.com");
}

#[test]
fn what_is_no_backup_is_refused_and_nothing_is_changed() {
    let site = Site::new().with_schema(BACKUP_CLICK);
    site.stdout_of(&["reset", "--dry-run"]);
    site.write("text.db", "not a database".repeat(100));
    site.write("empty.db", "");
    fs::create_dir(site.path("directory")).unwrap();
    symlink("leadclicks.db", site.path("link.db")).unwrap();
    Connection::open(site.path("other.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    site.stdout_of(&["backup", "damaged.db"]);
    let mut damaged = site.read("damaged.db");
    let (pages, page) = (damaged.len() / 4096, 4096);
    damaged[(pages - 1) * page..].fill(0xff);
    site.write("damaged.db", damaged);
    let files = site.files();
    let at = |name: &str| {
        site.path("")
            .canonicalize()
            .unwrap()
            .join(name)
            .display()
            .to_string()
    };
    let itself = "cannot restore it: it belongs to the database that it would replace; give the path of a backup";
    for (file, error) in [
        ("leadclicks.db", format!("leadclicks.db: {itself}")),
        ("link.db", format!("link.db: {itself}")),
        ("leadclicks.db-wal", format!("leadclicks.db-wal: {itself}")),
        (
            "missing.db",
            format!(
                "{}: cannot restore it: there is no such file; give the path of a backup",
                site.path("missing.db").display()
            ),
        ),
        (
            "directory",
            format!(
                "{}: cannot restore it: it is not a regular file; give the path of a backup",
                at("directory")
            ),
        ),
        (
            "text.db",
            format!(
                "{}: cannot restore it: it is not an SQLite database; choose another backup",
                at("text.db")
            ),
        ),
        (
            "empty.db",
            format!(
                "{}: cannot restore it: it has no table lead_clicks; choose another backup",
                at("empty.db")
            ),
        ),
        (
            "other.db",
            format!(
                "{}: cannot restore it: it has no table lead_clicks; choose another backup",
                at("other.db")
            ),
        ),
    ] {
        let ran = site.run(&["restore", file, "--yes"]);
        ran.assert(1, "", &format!("leadclicks: {error}\n"));
    }
    let ran = site.run(&["restore", "damaged.db", "--yes"]);
    let error = format!("leadclicks: {}: cannot restore it: ", at("damaged.db"));
    assert!(
        ran.status.code() == Some(1)
            && ran.stderr.starts_with(&error)
            && ran.stderr.ends_with("; choose another backup\n"),
        "{ran}"
    );
    let error = "leadclicks: a backup cannot come from standard input; give the path of its file\n";
    site.run(&["restore", "-", "--yes"]).assert(2, "", error);
    assert_eq!(
        (site.files(), report(&site)),
        (files, "backup@example.com".to_owned())
    );
}

#[test]
fn a_database_is_not_restored_where_the_daemon_would_refuse_it() {
    let site = Site::new().with_schema(BACKUP_CLICK);
    fs::create_dir(site.path("directory")).unwrap();
    symlink("nowhere.db", site.path("broken.db")).unwrap();
    site.stdout_of(&["backup", "sound.db"]);
    let files = site.files();
    let directory = site.path("directory").canonicalize().unwrap();
    for (db, error) in [
        (
            "directory",
            format!(
                "{}: not a regular file; give --db the path of a database file",
                directory.display()
            ),
        ),
        (
            "broken.db",
            "broken.db: cannot use it: it is a broken symbolic link; check --db".to_owned(),
        ),
        (
            "nowhere/a.db",
            "nowhere/a.db: its directory does not exist; create it first, or check --db".to_owned(),
        ),
    ] {
        let ran = site.run(&["restore", "sound.db", "--yes", "--db", db]);
        ran.assert(1, "", &format!("leadclicks: {error}\n"));
    }
    assert_eq!(
        (site.files(), report(&site)),
        (files, "backup@example.com".to_owned())
    );
    fs::hard_link(site.db_path(), site.path("second.db")).unwrap();
    let ran = site.run(&["restore", "sound.db", "--yes"]);
    assert!(
        ran.stderr
            .contains("the file has a second name (a hard link)"),
        "{ran}"
    );
}

#[test]
fn a_backup_is_restored_where_there_is_no_database_and_a_wal_that_is_left_is_kept() {
    let site = Site::new();
    add_backup(&site, "backup.db");
    let ran = site.run(&["restore", "backup.db", "--yes"]);
    ran.assert(0, &(shown(&site, "there is none") + &done(&site)), "");
    assert_eq!(
        site.files(),
        ["backup.db", "leadclicks.db", "leadclicks.db-wal"]
    );
    assert_eq!(mode(&site.db_path()), 0o640);
    assert_eq!(report(&site), "backup@example.com");

    let site = self::site();
    let wal = site.read("leadclicks.db-wal");
    fs::remove_file(site.db_path()).unwrap();
    let ran = site.run(&["restore", "backup.db", "--yes"]);
    assert!(ran.status.success(), "{ran}");
    let left = kept(&site);
    assert!(left.len() == 1 && left[0].ends_with("-wal"), "{left:?}");
    assert_eq!(site.read(&left[0]), wal);
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("zoe@example.com", "jdoe", "").status, 202);
    assert_eq!(report(&site), "zoe@example.com backup@example.com");
}

#[test]
fn a_damaged_database_is_replaced_and_kept_with_its_wal_as_it_was() {
    let site = site();
    let (wal, damaged) = (site.read("leadclicks.db-wal"), b"no database".repeat(1000));
    site.write("leadclicks.db", &damaged);
    let ran = site.run(&["restore", "backup.db", "--yes"]);
    ran.assert(0, &(shown(&site, "cannot be read") + &done(&site)), "");
    let kept = kept(&site);
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!([site.read(&kept[0]), site.read(&kept[1])], [damaged, wal]);
    assert_eq!(report(&site), "backup@example.com");
    assert_eq!(emails_in(&site.db_path()), ["backup@example.com"]);
}

#[test]
fn backups_of_a_host_app_and_of_earlier_versions_are_restored() {
    // A transaction that a kill interrupted is not rolled back in the new database.
    let app = Site::new().with_database(HOST_APP);
    let unfinished = app.connect();
    unfinished
        .execute_batch(
            "PRAGMA cache_size = 1; BEGIN; UPDATE settings SET value = 'light';
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO settings SELECT i, hex(zeroblob(500)) FROM n;",
        )
        .unwrap();
    let site = Site::new();
    for name in ["leadclicks.db", "leadclicks.db-journal"] {
        fs::copy(app.path(name), site.path(name)).unwrap();
    }
    drop(unfinished);
    // As 0.1.0 wrote it: in WAL mode, where this user may not create files next to it.
    let earlier = Site::new().with_database(&format!(
        "PRAGMA journal_mode = wal; {EARLIER_SCHEMA} {BACKUP_CLICK}"
    ));
    fs::create_dir(site.path("backups")).unwrap();
    fs::copy(earlier.db_path(), site.path("backups/earlier.db")).unwrap();
    let ran = site.run(&["restore", "backups/earlier.db", "--yes"]);
    assert!(ran.status.success(), "{ran}");
    assert_eq!(fs::read_dir(site.path("backups")).unwrap().count(), 1);
    assert_eq!(report(&site), "backup@example.com");
    let old = kept(&site);
    assert_eq!(old.len(), 1, "{old:?}");
    let conn = Connection::open(site.path(&old[0])).unwrap();
    let settings: String = conn
        .query_row(
            "SELECT group_concat(name || value) FROM settings",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(settings, "themedark");
    let daemon = Daemon::start(&site, &[]);
    daemon.wait_for_log("the column click_id is added");
    assert_eq!(daemon.post("zoe@example.com", "jdoe", "").status, 202);
    assert!(daemon.stop().0.success());

    // And the app's database again, as the kept one is a database like any other.
    assert!(site.run(&["restore", &old[0], "--yes"]).status.success());
    assert_eq!(site.value::<String>("SELECT value FROM settings"), "dark");
    assert_eq!(kept(&site).len(), 2);
}

/// Copies the files of a database, as a kill leaves them.
fn copy_of(site: &Site) -> Site {
    let copy = Site::new();
    for name in site.files() {
        fs::copy(site.path(&name), copy.path(&name)).unwrap();
    }
    copy
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_restore_that_is_killed_at_any_step_leaves_the_old_or_the_new_database() {
    const KILL: i32 = 9;
    let template = site();
    fs::remove_file(template.path("leadclicks.db-shm")).unwrap();
    let old = ["amy@example.com", "bob@example.com"];
    let mut outcomes = [0, 0];
    for call in [
        "pwrite64",
        "ftruncate",
        "fsync",
        "linkat",
        "rename,renameat2",
        "unlink",
    ] {
        for number in 1.. {
            assert!(number < 200, "{call} never gets through");
            let site = copy_of(&template);
            let options =
                format!("-o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={number}");
            let args = ["restore", "backup.db", "--yes"];
            let ran = Ran::finish(traced(&site, &options, &args), b"");
            let emails = emails_in(&copy_of(&site).db_path());
            let is_new = emails == ["backup@example.com"];
            assert!(is_new || emails == old, "{emails:?}\n{ran}");
            outcomes[usize::from(is_new)] += 1;
            if ran.status.success() {
                break;
            }
            assert_eq!(ran.status.signal(), Some(KILL), "{ran}");
            // Neither needs a hand: another restore, or a report.
            if number % 3 == 1 {
                assert!(site.run(&args).status.success());
                assert_eq!(report(&site), "backup@example.com");
            }
        }
    }
    assert!(outcomes[0] > 5 && outcomes[1] > 6, "{outcomes:?}");
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_restore_whose_sync_fails_says_which_database_is_in_place() {
    let template = site();
    // So its WAL is not copied into it.
    template.write("leadclicks.db", b"no database".repeat(1000));
    let files = |site: &Site| ["leadclicks.db", "leadclicks.db-wal"].map(|name| site.read(name));
    let (mut old, mut new) = (0, 0);
    for number in 1.. {
        assert!(number < 50, "it never gets through");
        let site = copy_of(&template);
        let options =
            format!("-o /dev/null -e trace=fsync -e inject=fsync:error=EIO:when={number}");
        let args = ["restore", "backup.db", "--yes"];
        let ran = Ran::finish(traced(&site, &options, &args), b"");
        if ran.status.success() {
            break;
        }
        assert_eq!(ran.status.code(), Some(1), "{ran}");
        let db = site.path("").canonicalize().unwrap().join("leadclicks.db");
        let said = |said: &str| {
            let error = format!("leadclicks: {}: {said}\n", db.display());
            assert!(ran.stderr.ends_with(&error), "{error}{ran}");
        };
        let reason = "Input/output error (os error 5)";
        if files(&site) == files(&template) {
            assert_eq!(kept(&site), [""; 0], "{ran}");
            said(&format!(
                "cannot replace it: {reason}; check the disk and its free space; nothing was changed"
            ));
            old += 1;
        } else {
            // Only the last sync comes after the exchange.
            assert_eq!(emails_in(&site.db_path()), ["backup@example.com"], "{ran}");
            let [kept, kept_wal] = &kept(&site)[..] else {
                panic!("{ran}");
            };
            let kept = format!(
                "{} and {}",
                db.with_file_name(kept).display(),
                db.with_file_name(kept_wal).display()
            );
            said(&format!(
                "replaced with the backup, but not synced to the disk: {reason}; the old database is {kept}; check the disk, \
                 and restore again before you start leadclicksd"
            ));
            new += 1;
        }
    }
    assert!(old > 1 && new == 1, "{old} {new}");
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_restore_works_where_two_files_cannot_be_exchanged_in_one_step() {
    let site = site();
    let options = "-o /dev/null -e trace=renameat2 -e inject=renameat2:error=EINVAL";
    let ran = Ran::finish(
        traced(&site, options, &["restore", "backup.db", "--yes"]),
        b"",
    );
    assert!(ran.status.success(), "{ran}");
    assert_eq!(emails_in(&site.db_path()), ["backup@example.com"]);
    let old = kept(&site).remove(0);
    assert_eq!(
        emails_in(&site.path(&old)),
        ["amy@example.com", "bob@example.com"]
    );
    for name in [&*old, "leadclicks.db", "leadclicks.db-wal"] {
        assert_eq!(fs::metadata(site.path(name)).unwrap().nlink(), 1);
    }
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_daemon_that_starts_during_a_restore_waits_for_its_end() {
    let site = site();
    // It stops with the lock, until it is continued.
    let options = "-o /dev/null -e trace=renameat2 -e inject=renameat2:signal=STOP:when=1";
    let mut command = traced(&site, options, &["restore", "backup.db", "--yes"]);
    let child = command.spawn().unwrap();
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while kept(&site).is_empty() {
        assert!(std::time::Instant::now() < deadline, "not exchanged");
        std::thread::sleep(Duration::from_millis(5));
    }
    let ran = Ran::daemon(&site, "127.0.0.1:0");
    assert!(
        ran.status.code() == Some(1) && ran.stderr.contains("keeps leadclicksd away from it"),
        "{ran}"
    );
    let id = child.id().to_string();
    let continued = Command::new("kill").args(["-CONT", &id]).status();
    assert!(continued.unwrap().success());
    let ran = Ran::wait(&command, child);
    assert!(ran.status.success(), "{ran}");
    drop(Daemon::start(&site, &[]));
    assert_eq!(report(&site), "backup@example.com");
}

#[cfg(feature = "postgres")]
#[test]
fn a_database_of_a_server_is_restored_by_its_own_program() {
    let site = Site::new();
    let db = "postgres://app@db.example.com:5433/app";
    let error = format!(
        "leadclicks: restore is for SQLite files; restore a dump of pg_dump with `pg_restore --clean --if-exists \
         --single-transaction --dbname='{db}?sslmode=verify-full&sslrootcert=system' app.dump`\n"
    );
    site.run(&["restore", "app.dump", "--db", db])
        .assert(2, "", &error);
}
