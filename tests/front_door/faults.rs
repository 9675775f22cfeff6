//! Faults of the daemon's environment: clients and the log report them, the daemon continues by itself when the fault is
//! gone, and every click that was answered 202 is stored. The table in docs/faults.md names these tests.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::support::{
    Daemon, FAILING, Fault, PATIENCE, Ran, Site, WriteLock, assert_logged_once, assert_unavailable,
    body, counted, post_request, raise_open_files, request,
};

const ABANDONED: &str = "ERROR another program changed the database without its WAL, which was deleted or left behind; \
                        clicks that were only in the old WAL are lost";
const REOPENED: &str = "WARN the database's files were replaced; the new ones are open";

#[track_caller]
fn assert_intact(site: &Site) {
    let integrity: String = site.value("PRAGMA integrity_check");
    assert_eq!(integrity, "ok");
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn failing_writes_are_503_and_clicks_are_stored_again_when_the_disk_recovers() {
    for (injection, reason) in [
        (
            "pwrite64:error=ENOSPC",
            "database or disk is full (SQLite code 13)",
        ),
        ("pwrite64:error=EROFS", "(SQLite code 778)"),
        ("pwrite64:error=EIO", "(SQLite code 778)"),
        ("fsync:error=EIO", "(SQLite code 1034)"),
    ] {
        let site = Site::new();
        let daemon = Daemon::start(&site, &[]);
        let mut client = daemon.connect();
        let mut post = |email: &str| client.send(&post_request(&body(email, "jdoe", "")));
        assert_eq!(post("before@example.com").status, 202);
        let fault = Fault::inject(&daemon, injection);
        for _ in 0..3 {
            assert_unavailable(&post("refused@example.com"));
        }
        drop(fault);
        assert_eq!(
            post("after@example.com").status,
            202,
            "{injection}\n{}",
            daemon.log()
        );
        assert_eq!(
            site.emails(),
            ["before@example.com", "after@example.com"],
            "{injection}"
        );
        assert_logged_once(&daemon.log(), reason);
        daemon.kill();
        assert_eq!(
            site.emails(),
            ["before@example.com", "after@example.com"],
            "{injection}"
        );
        assert_intact(&site);
    }
}

/// A daemon whose database is on its own small disk, in a mount namespace.
struct SmallDisk {
    daemon: Daemon,
    directory: PathBuf,
    /// Keeps the namespace while the daemon is stopped.
    namespace: Child,
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.namespace.kill();
        let _ = self.namespace.wait();
    }
}

impl SmallDisk {
    fn start(site: &Site, bytes: &str, args: &[&str]) -> Self {
        let directory = site.path("disk");
        fs::create_dir(&directory).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg(r#"mount -t tmpfs -o size="$1" disk "$0" && shift && exec "$@""#)
            .arg(&directory)
            .args([bytes, env!("CARGO_BIN_EXE_leadclicksd"), "--db"])
            .arg(directory.join("leadclicks.db"));
        let daemon = Daemon::start_on_own_database(command, site, args);
        let namespace = in_namespace(daemon.pid(), "sleep")
            .arg("1000")
            .spawn()
            .expect("nsenter");
        // Until it is in the namespace, its files are those of this process.
        let path = in_process(namespace.id(), &directory).join("leadclicks.db");
        let deadline = Instant::now() + PATIENCE;
        while !path.exists() {
            assert!(Instant::now() < deadline, "not in the namespace");
            thread::sleep(Duration::from_millis(5));
        }
        Self {
            daemon,
            directory,
            namespace,
        }
    }

    /// The path of a file on the disk, seen from outside the namespace.
    fn path(&self, name: &str) -> PathBuf {
        in_process(self.namespace.id(), &self.directory).join(name)
    }

    /// A command in the namespace of the daemon.
    fn command(&self, program: &str) -> Command {
        in_namespace(self.namespace.id(), program)
    }

    /// Starts the daemon again, after it was stopped.
    fn restart(&mut self, site: &Site) {
        let mut command = self.command(env!("CARGO_BIN_EXE_leadclicksd"));
        command
            .arg("--db")
            .arg(self.directory.join("leadclicks.db"));
        self.daemon = Daemon::start_on_own_database(command, site, &[]);
    }

    fn enlarge(&self, bytes: &str) {
        let enlarged = self
            .command("mount")
            .arg("-o")
            .arg(format!("remount,size={bytes}"))
            .arg(&self.directory)
            .status()
            .unwrap();
        assert!(enlarged.success());
    }

    /// The free bytes of the disk.
    fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.path("")).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Runs `leadclicks` on the database.
    fn run(&self, site: &Site, args: &[&str]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_leadclicks"));
        command
            .args(args)
            .arg("--db")
            .arg(self.directory.join("leadclicks.db"))
            .current_dir(site.path(""));
        Ran::of(command)
    }

    /// Posts clicks until one is answered 503, and returns how many were stored.
    fn fill(&self) -> usize {
        let mut client = self.daemon.connect();
        for number in 0..100_000 {
            let click = body(
                &format!("lead{number}@example.com"),
                "jdoe",
                &"x".repeat(2000),
            );
            let answer = client.send(&post_request(&click));
            if answer.status != 202 {
                assert_unavailable(&answer);
                return number;
            }
        }
        panic!("the disk does not fill");
    }

    /// The line of `check` on the disk.
    fn checked(&self, site: &Site, args: &[&str]) -> String {
        let ran = self.run(
            site,
            &[&["check", "--quick", "--format", "json"], args].concat(),
        );
        let checks: serde_json::Value = serde_json::from_str(&ran.stdout).expect(&ran.stdout);
        let disk = checks["checks"].as_array().unwrap().iter();
        let disk = disk.filter(|check| check["check"] == "disk");
        let disk: Vec<String> = disk
            .map(|check| format!("{} {} {}", check["state"], check["found"], check["next"]))
            .collect();
        disk.concat().replace('"', "")
    }

    /// The emails in a report, from the oldest click to the newest.
    fn reported(&self, site: &Site) -> Vec<String> {
        let ran = self.run(site, &["report", "--expert", "jdoe", "--format", "ndjson"]);
        assert!(ran.status.success(), "{ran}");
        let clicks = ran.stdout.lines().rev();
        clicks
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["email"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }
}

/// The path of a file or directory as the process sees it.
fn in_process(pid: u32, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap())
}

/// A command in the namespace of the process.
fn in_namespace(pid: u32, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command
        .args(["--user", "--mount", "--preserve-credentials", "--target"])
        .arg(pid.to_string())
        .arg(program)
        .stdin(Stdio::null());
    command
}

#[test]
#[ignore = "needs user namespaces; tests/run runs it"]
fn a_full_disk_is_503_until_there_is_room_and_reports_work_meanwhile() {
    let site = Site::new();
    let disk = SmallDisk::start(&site, "1m", &["--disk-reserve", "off"]);
    let mut client = disk.daemon.connect();
    let mut stored = Vec::new();
    // The searches are long enough to fill the disk.
    let click = |number: usize| {
        body(
            &format!("lead{number}@example.com"),
            "jdoe",
            &"x".repeat(2000),
        )
    };
    for number in 0.. {
        assert!(number < 1000, "the disk does not fill");
        let answer = client.send(&post_request(&click(number)));
        if answer.status != 202 {
            assert_unavailable(&answer);
            break;
        }
        stored.push(format!("lead{number}@example.com"));
    }
    assert!(stored.len() > 10, "{}", stored.len());
    // Takes the room that a checkpoint needs.
    let mut filler = File::create(disk.path("filler")).unwrap();
    let _ = filler.write_all(&vec![0; 1024 * 1024]);
    for number in 2000..2003 {
        assert_unavailable(&client.send(&post_request(&click(number))));
    }
    assert_eq!(disk.reported(&site), stored);
    fs::remove_file(disk.path("filler")).unwrap();
    drop(filler);
    // The clicks alone had filled the disk, so it must grow, too.
    disk.enlarge("4m");
    let answer = client.send(&post_request(&body("after@example.com", "jdoe", "")));
    assert_eq!(answer.status, 202, "{}", disk.daemon.log());
    stored.push("after@example.com".to_owned());
    assert_eq!(disk.reported(&site), stored);
    assert_logged_once(
        &disk.daemon.log(),
        "database or disk is full (SQLite code 13)",
    );
}

const MIB: u64 = 1024 * 1024;

#[test]
#[ignore = "needs user namespaces; tests/run runs it"]
fn clicks_leave_the_disk_reserve_free_until_there_is_room() {
    let site = Site::new();
    let disk = SmallDisk::start(&site, "24m", &[]);
    let next = "free disk space: with less than 2 MiB clicks are answered 503";
    assert_eq!(disk.checked(&site, &[]), "ok 23 MiB free null");
    let stored = disk.fill();
    for number in 0..100 {
        // A shorter click would fit, and a longer one not: none is stored.
        let click = body("refused@example.com", "jdoe", &"x".repeat(20 * number));
        assert_unavailable(&disk.daemon.connect().send(&post_request(&click)));
    }
    assert!(disk.free() >= 24 * MIB / 10, "{}", disk.free());
    assert_eq!(
        disk.checked(&site, &[]),
        format!("warning 2 MiB free {next}")
    );
    // An admin may use the reserve.
    let mut filler = File::create(disk.path("filler")).unwrap();
    filler.write_all(&vec![0; 1024 * 1024]).unwrap();
    assert_eq!(
        disk.checked(&site, &[]),
        format!("problem 1 MiB free {next}")
    );
    assert_unavailable(&disk.daemon.post("refused@example.com", "jdoe", ""));
    disk.enlarge("48m");
    assert_eq!(
        disk.daemon.post("after@example.com", "jdoe", "").status,
        202
    );
    assert_eq!(disk.checked(&site, &[]), "ok 25 MiB free null");
    assert_eq!(disk.reported(&site).len(), stored + 1);
    assert_logged_once(
        &disk.daemon.log(),
        "only the reserve of 2 MiB is left on the disk (--disk-reserve); free disk space, or purge old clicks",
    );
}

/// The clicks of one lead, which come first, and fill a quarter of the disk.
const OF_ONE: usize = 2500;

/// Fills the disk by clicks, first of one lead and then of others, and returns how many were stored.
fn fill_by_leads(disk: &SmallDisk) -> usize {
    let mut client = disk.daemon.connect();
    for number in 0..100_000 {
        let email = if number < OF_ONE {
            "many@example.com".to_owned()
        } else {
            format!("kept{number}@example.org")
        };
        let answer = client.send(&post_request(&body(&email, "jdoe", &"x".repeat(1800))));
        if answer.status != 202 {
            assert_unavailable(&answer);
            return number;
        }
    }
    panic!("the disk does not fill");
}

impl SmallDisk {
    fn has(&self, text: &str) -> bool {
        ["leadclicks.db", "leadclicks.db-wal"].iter().any(|name| {
            let bytes = fs::read(self.path(name)).unwrap_or_default();
            let mut windows = bytes.windows(text.len());
            windows.any(|window| window == text.as_bytes())
        })
    }
}

#[test]
#[ignore = "needs user namespaces; tests/run runs it"]
fn each_deletion_works_with_the_disk_reserve_alone_and_makes_room_for_clicks() {
    for (args, deletes_all) in [
        (&["forget", "many@example.com", "--yes"][..], false),
        (&["purge", "--email", "many@example.com", "--yes"], false),
        (&["reset", "--yes"], true),
    ] {
        for is_stopped in [false, true] {
            let case = format!("{args:?} {is_stopped}");
            let site = Site::new();
            let mut disk = SmallDisk::start(&site, "24m", &[]);
            let stored = fill_by_leads(&disk);
            assert!(stored > 2 * OF_ONE, "{stored}");
            assert!(disk.has("many@example.com"));
            if is_stopped {
                disk.daemon.signal("TERM");
                assert!(disk.daemon.wait().success());
            }
            let ran = disk.run(&site, args);
            assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
            assert!(ran.stdout.contains(" for good\n"), "{ran}");
            if is_stopped {
                disk.restart(&site);
            }
            assert!(!disk.has("many@example.com"), "{case}");
            let kept = if deletes_all { 0 } else { stored - OF_ONE };
            assert_eq!(disk.reported(&site).len(), kept, "{case}");
            assert_eq!(disk.has("@example.org"), kept > 0, "{case}");
            // The file has not become smaller: these are stored in its free pages. The WAL grows and is cut meanwhile.
            let mut client = disk.daemon.connect();
            for number in 0..OF_ONE / 2 {
                let email = format!("new{number}@example.com");
                let answer = client.send(&post_request(&body(&email, "jdoe", &"y".repeat(1800))));
                assert_eq!(answer.status, 202, "{case} {number}\n{}", disk.daemon.log());
                assert!(disk.free() >= MIB, "{case}");
            }
            assert_eq!(disk.reported(&site).len(), kept + OF_ONE / 2, "{case}");
            // As long as clicks are stored, `check` finds no problem: half of the reserve is enough.
            let mut filler = File::create(disk.path("filler")).unwrap();
            let over_half = disk.free().saturating_sub(15 * 24 * MIB / 200);
            let _ = filler.write_all(&vec![0; usize::try_from(over_half).unwrap()]);
            assert_eq!(
                disk.checked(&site, &[]),
                "warning 1 MiB free free disk space: with less than 1 MiB clicks are answered 503",
                "{case}"
            );
            assert_eq!(disk.daemon.post("new@example.com", "jdoe", "").status, 202);
        }
    }
}

#[test]
#[ignore = "needs user namespaces; tests/run runs it"]
fn an_import_or_a_backup_that_would_use_the_disk_reserve_is_refused_before_it_begins() {
    let site = Site::new();
    let disk = SmallDisk::start(&site, "24m", &[]);
    assert_eq!(disk.daemon.post("kept@example.com", "jdoe", "").status, 202);
    let mut filler = File::create(disk.path("filler")).unwrap();
    let mut leave = |bytes: u64| {
        let more = usize::try_from(disk.free() - bytes).unwrap();
        filler.write_all(&vec![0; more]).unwrap();
    };
    leave(9 * MIB / 2);
    let mut rows = vec!["email,expert_username,search_query,created_at".to_owned()];
    let search = "x".repeat(2000);
    rows.extend(
        (0..500)
            .map(|number| format!("lead{number}@example.com,jdoe,{search},2025-11-01T09:00:00Z")),
    );
    site.write("clicks.csv", rows.join("\n"));
    let clicks = site.path("clicks.csv").display().to_string();
    let refused = |args: &[&str], [needed, free]: [&str; 2], consequence: &str| {
        let ran = disk.run(&site, args);
        let error = format!(
            "leadclicks: {}: this needs about {needed} of free disk space in addition to the 2 MiB that leadclicksd leaves free, \
             and {free} are free{consequence}\n",
            disk.directory.join("leadclicks.db").display()
        );
        assert_eq!(
            (ran.status.code(), &*ran.stderr),
            (Some(1), &*error),
            "{ran}"
        );
    };
    let next = "; free some, or make the disk larger";
    let nothing = "; nothing was imported";
    refused(
        &["import", &clicks],
        ["3 MiB", "4 MiB"],
        &format!("{next}{nothing}"),
    );
    assert_eq!(disk.reported(&site), ["kept@example.com"]);
    disk.enlarge("28m");
    let ran = disk.run(&site, &["import", &clicks]);
    ran.assert(0, "500 new, 0 already stored\n", "");
    // Empties the WAL.
    disk.run(&site, &["purge", "--older-than", "2000-01-01"]);
    let backup = disk.directory.join("backup.db").display().to_string();
    leave(33 * MIB / 10);
    refused(&["backup", &backup], ["1 MiB", "3 MiB"], next);
    let not_deleted = format!(", so nothing was deleted{next}");
    refused(
        &["reset", "--yes", "--backup", &backup],
        ["1 MiB", "3 MiB"],
        &not_deleted,
    );
    let elsewhere = site.path("backup.db").display().to_string();
    // On another disk it is not counted.
    let ran = disk.run(&site, &["reset", "--yes", "--backup", &elsewhere]);
    assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    assert!(site.path("backup.db").exists());
}

#[test]
#[ignore = "needs user namespaces; tests/run runs it"]
fn a_deletion_without_room_on_the_disk_is_refused_and_says_what_it_needs() {
    let site = Site::new();
    let disk = SmallDisk::start(&site, "24m", &[]);
    let stored = disk.fill();
    let mut filler = File::create(disk.path("filler")).unwrap();
    let _ = filler.write_all(&vec![0; 4 * 1024 * 1024]);
    filler
        .set_len(filler.metadata().unwrap().len() - 512 * 1024)
        .unwrap();
    for args in [
        &["forget", "lead1@example.com", "--yes"][..],
        &["purge", "--query", "x", "--yes"],
        &["reset", "--yes"],
    ] {
        let ran = disk.run(&site, args);
        assert_eq!(ran.status.code(), Some(1), "{ran}");
        let error = format!(
            "leadclicks: {}: this needs about 1 MiB of free disk space, and 512 KiB are free, so nothing was deleted; \
             free some, or make the disk larger\n",
            disk.directory
                .join("leadclicks.db")
                .canonicalize()
                .unwrap_or(disk.directory.join("leadclicks.db"))
                .display()
        );
        assert_eq!(ran.stderr, error);
    }
    assert_eq!(disk.reported(&site).len(), stored);
}

/// A long read keeps the WAL from being copied into the database, which grows later.
#[test]
#[ignore = "needs strace and user namespaces; tests/run runs it"]
fn the_disk_reserve_is_free_even_after_a_large_wal_is_copied_into_the_database() {
    let reserve = ["--disk-reserve", "8MiB"];
    let site = Site::new();
    let disk = SmallDisk::start(&site, "48m", &reserve);
    // A backup that can't write ends never, and reads as of its begin.
    let reading = site.path("reading");
    let mut reader = disk
        .command("strace")
        .args([
            "-D",
            "-f",
            "-qq",
            "-e",
            "trace=write",
            "-e",
            "inject=write:error=EINTR",
            "-o",
        ])
        .arg(&reading)
        .args([env!("CARGO_BIN_EXE_leadclicks"), "backup"])
        .arg(site.path("copy.db"))
        .arg("--db")
        .arg(disk.directory.join("leadclicks.db"))
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while fs::metadata(&reading).map_or(0, |trace| trace.len()) == 0 {
        assert!(Instant::now() < deadline, "not reading");
        thread::sleep(Duration::from_millis(5));
    }
    disk.fill();
    let bytes = || fs::metadata(disk.path("leadclicks.db")).unwrap().len();
    let (free, before) = (disk.free(), bytes());
    let next = "free disk space: with less than 8 MiB clicks are answered 503";
    assert_eq!(
        disk.checked(&site, &reserve),
        format!("warning 8 MiB free {next}")
    );
    reader.kill().unwrap();
    reader.wait().unwrap();
    // Copies the WAL, and empties it then.
    let ran = disk.run(&site, &["purge", "--older-than", "2026-01-01", "--yes"]);
    assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    let growth = bytes() - before;
    assert!(growth > 4 * MIB, "{growth}");
    assert!(free - growth >= 8 * MIB, "{free} - {growth}");
    assert_eq!(
        disk.daemon.post("after@example.com", "jdoe", "").status,
        202
    );
}

/// SQLite reports used up ids as a full disk.
#[test]
fn ids_that_are_used_up_are_reported_as_that_and_not_as_a_full_disk() {
    let schema = include_str!("../../schema.sql");
    let clicks = schema.replace(
        "id INTEGER PRIMARY KEY",
        "id INTEGER PRIMARY KEY AUTOINCREMENT",
    );
    let audit = "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT);
                 CREATE TRIGGER audited AFTER INSERT ON lead_clicks
                     BEGIN INSERT INTO audit VALUES (NULL); END;";
    let audit = format!("{schema}{audit}");
    for (table, sql) in [("lead_clicks", clicks), ("audit", audit)] {
        let site = Site::new().with_database(&sql);
        site.write(
            "clicks.csv",
            "email,expert_username,search_query,created_at\nbob@example.com,jdoe,,2026-11-01T09:00:00Z\n",
        );
        let daemon = Daemon::start(&site, &[]);
        assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
        let set = |seq: i64| {
            site.connect()
                .execute(
                    "UPDATE sqlite_sequence SET seq = ?1 WHERE name = ?2",
                    (seq, table),
                )
                .unwrap();
        };
        set(i64::MAX);
        let reason = format!(
            "the ids of {table} are used up, so SQLite adds no row to it; give its rows smaller ids and lower its number \
             in sqlite_sequence"
        );
        for _ in 0..2 {
            assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
        }
        let path = site.db_path();
        let error = format!(
            "leadclicks: {}: {reason}; nothing was imported\n",
            path.display()
        );
        site.run(&["import", "clicks.csv"]).assert(1, "", &error);
        let check = site.run(&["check", "--quick", "--format", "json"]);
        assert_eq!(check.stderr, "leadclicks: 1 problem\n", "{check}");
        let found = format!(
            r#"{{"check":"ids","state":"problem","found":"{}: {reason}","next":null}}"#,
            path.display()
        );
        assert!(check.stdout.contains(&found), "{check}");
        set(1);
        assert_stored(&daemon);
        assert_eq!(site.emails(), ["before@example.com", "after@example.com"]);
        assert_logged_once(&daemon.log(), &reason);
        assert!(!daemon.log().contains("full"), "{}", daemon.log());
    }
}

#[test]
#[ignore = "needs user namespaces; tests/run runs it"]
fn a_read_only_file_system_is_an_error_at_the_start() {
    let site = Site::new().with_schema("");
    let script = r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$0" --listen 127.0.0.1:0 --db "$1/leadclicks.db""#;
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_leadclicksd"))
        .arg(site.path("").canonicalize().unwrap())
        .stdin(Stdio::null());
    let ran = Ran::of(command);
    let path = site.db_path().canonicalize().unwrap();
    let error = format!(
        "leadclicksd: {}: the file system is read-only; make it writable, or choose another --db\n",
        path.display()
    );
    ran.assert(1, "", &error);
}

/// A complete database with one click, in one file.
struct Backup(Site);

fn backup() -> Backup {
    let site = Site::new().with_schema("");
    insert(&site.connect(), "backup@example.com");
    Backup(site)
}

impl Backup {
    /// Atomically replaces the database of `site` with it.
    fn put_at(&self, site: &Site) {
        fs::copy(self.0.db_path(), site.path("restored.db")).unwrap();
        fs::rename(site.path("restored.db"), site.db_path()).unwrap();
    }
}

/// Inserts a click as a host app does.
fn insert(conn: &Connection, email: &str) {
    let sql = "INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
               VALUES (?1, 'jdoe', hex(randomblob(500)), '2026-11-01 09:30:00.000000')";
    conn.execute(sql, [email]).unwrap();
}

fn emails_in(path: &Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let mut emails = conn
        .prepare("SELECT email FROM lead_clicks ORDER BY id")
        .unwrap();
    let emails = emails.query_map([], |row| row.get(0)).unwrap();
    emails.map(Result::unwrap).collect()
}

/// A site with a daemon and some clicks whose pages are only in the WAL.
fn captured(count: usize) -> (Site, Daemon) {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut client = daemon.connect();
    for _ in 0..count {
        let click = body("before@example.com", "jdoe", &"x".repeat(500));
        assert_eq!(client.send(&post_request(&click)).status, 202);
    }
    (site, daemon)
}

#[track_caller]
fn assert_stored(daemon: &Daemon) {
    let answer = daemon.post("after@example.com", "jdoe", "");
    assert_eq!(answer.status, 202, "{}", daemon.log());
}

#[test]
fn a_host_app_that_keeps_a_replaced_database_open_does_not_write_into_the_new_one() {
    let (site, daemon) = captured(20);
    let host_app = site.connect();
    insert(&host_app, "host@example.com");
    fs::rename(site.db_path(), site.path("moved.db")).unwrap();
    backup().put_at(&site);
    for _ in 0..30 {
        assert_stored(&daemon);
    }
    insert(&host_app, "host@example.com");
    host_app
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(host_app);
    assert_stored(&daemon);
    daemon.kill();
    assert_intact(&site);
    assert_eq!(
        site.emails(),
        [vec!["backup@example.com"], vec!["after@example.com"; 31]].concat()
    );
    let moved = emails_in(&site.path("moved.db"));
    assert_eq!(
        moved,
        [vec!["before@example.com"; 20], vec!["host@example.com"; 2]].concat()
    );
}

#[test]
fn an_abandoned_wal_is_never_read_into_a_replacement_database() {
    for ends_without_a_click in [false, true] {
        let (site, daemon) = captured(20);
        let host_app = site.connect();
        insert(&host_app, "host@example.com");
        host_app
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            .unwrap();
        fs::rename(site.db_path(), site.path("moved.db")).unwrap();
        backup().put_at(&site);
        if !ends_without_a_click {
            assert_stored(&daemon);
        }
        let (status, log) = daemon.stop();
        assert!(status.success());
        drop(host_app);
        assert_eq!(log.matches(ABANDONED).count(), 1, "{log}");
        assert!(
            site.path("leadclicks.db-wal.left").exists(),
            "{:?}",
            site.files()
        );
        assert_intact(&site);
        let after: &[_] = if ends_without_a_click {
            &[]
        } else {
            &["after@example.com"]
        };
        assert_eq!(site.emails(), [&["backup@example.com"], after].concat());
        assert_eq!(emails_in(&site.path("moved.db")).len(), 21);
    }
}

#[test]
fn a_partly_checkpointed_database_that_was_moved_is_completed() {
    let (site, daemon) = captured(150);
    let reader = site.connect();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM lead_clicks;")
        .unwrap();
    for _ in 0..3 {
        assert_stored(&daemon);
    }
    fs::rename(site.db_path(), site.path("moved.db")).unwrap();
    assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
    backup().put_at(&site);
    assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
    drop(reader);
    assert_stored(&daemon);
    let log = daemon.log();
    assert!(!log.contains(ABANDONED), "{log}");
    daemon.kill();
    assert_eq!(site.emails(), ["backup@example.com", "after@example.com"]);
    let moved = emails_in(&site.path("moved.db"));
    assert_eq!(
        moved,
        [
            vec!["before@example.com"; 150],
            vec!["after@example.com"; 3]
        ]
        .concat()
    );
}

#[test]
fn writes_of_a_program_with_its_own_wal_index_are_kept_with_the_daemons_clicks() {
    let (site, daemon) = captured(5);
    fs::remove_file(site.path("leadclicks.db-shm")).unwrap();
    let host_app = site.connect();
    insert(&host_app, "host@example.com");
    assert_stored(&daemon);
    insert(&host_app, "host@example.com");
    drop(host_app);
    daemon.kill();
    assert_intact(&site);
    let expected = [
        vec!["before@example.com"; 5],
        vec!["host@example.com", "after@example.com", "host@example.com"],
    ];
    assert_eq!(site.emails(), expected.concat());
}

#[test]
fn writes_of_a_program_with_its_own_wal_are_kept() {
    let (site, daemon) = captured(60);
    for name in ["leadclicks.db-wal", "leadclicks.db-shm"] {
        fs::remove_file(site.path(name)).unwrap();
    }
    let host_app = site.connect();
    insert(&host_app, "host@example.com");
    assert_stored(&daemon);
    drop(host_app);
    let (_, log) = daemon.stop();
    assert_eq!(log.matches(ABANDONED).count(), 1, "{log}");
    assert_intact(&site);
    assert_eq!(site.emails(), ["host@example.com", "after@example.com"]);
}

#[test]
fn a_replaced_database_is_reopened_and_the_old_one_is_completed_where_it_is() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    for _ in 0..3 {
        assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
    }
    // The WAL is not moved, and contains all clicks.
    assert!(!site.read("leadclicks.db-wal").is_empty());
    fs::rename(site.db_path(), site.path("moved.db")).unwrap();
    backup().put_at(&site);
    assert_stored(&daemon);
    assert_eq!(site.emails(), ["backup@example.com", "after@example.com"]);
    assert_intact(&site);
    let moved = Connection::open(site.path("moved.db")).unwrap();
    let count = "SELECT count(*) FROM lead_clicks WHERE email = 'before@example.com'";
    assert_eq!(
        moved
            .query_row(count, [], |row| row.get::<_, u64>(0))
            .unwrap(),
        3
    );
    let (_, log) = daemon.stop();
    assert_eq!(log.matches(REOPENED).count(), 1, "{log}");
    assert!(!log.contains(FAILING), "{log}");
}

#[test]
fn a_deleted_database_is_503_until_there_is_one_again() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
    for name in ["leadclicks.db", "leadclicks.db-wal", "leadclicks.db-shm"] {
        fs::remove_file(site.path(name)).unwrap();
    }
    for _ in 0..2 {
        assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
    }
    assert_eq!(site.files(), ["leadclicksd.log"]);
    // An unusable file does not end the daemon.
    site.write(
        "leadclicks.db",
        "no database at all, but long enough to be looked at",
    );
    assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
    fs::remove_file(site.db_path()).unwrap();
    assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
    // An empty file may be a copy that has just begun.
    site.write("leadclicks.db", "");
    assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
    backup().put_at(&site);
    assert_stored(&daemon);
    assert_eq!(site.emails(), ["backup@example.com", "after@example.com"]);
    let reason = "the database file was moved or deleted; put it back, or restart leadclicksd to create a new one";
    assert_logged_once(&daemon.log(), reason);
}

#[test]
fn a_deleted_wal_loses_no_click() {
    for deleted in [
        &["leadclicks.db-wal"][..],
        &["leadclicks.db-shm"],
        &["leadclicks.db-wal", "leadclicks.db-shm"],
    ] {
        let site = Site::new();
        let daemon = Daemon::start(&site, &[]);
        assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
        for name in deleted {
            fs::remove_file(site.path(name)).unwrap();
        }
        assert_stored(&daemon);
        assert_eq!(
            daemon.log().matches(REOPENED).count(),
            1,
            "{}",
            daemon.log()
        );
        daemon.kill();
        assert_eq!(
            site.emails(),
            ["before@example.com", "after@example.com"],
            "{deleted:?}"
        );
        assert_intact(&site);
    }
}

#[test]
fn writes_of_another_program_after_the_wal_was_deleted_are_kept() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
    for name in ["leadclicks.db-wal", "leadclicks.db-shm"] {
        fs::remove_file(site.path(name)).unwrap();
    }
    let other = site.connect();
    for number in 0..1000 {
        insert(&other, &format!("other{number}@example.com"));
    }
    drop(other);
    assert_stored(&daemon);
    let (status, log) = daemon.stop();
    assert!(status.success());
    assert_intact(&site);
    // The click that was only in the WAL is lost, as the log says.
    assert_eq!(site.clicks().len(), 1001);
    assert_eq!(site.emails().last().unwrap(), "after@example.com");
    assert_eq!(log.matches(ABANDONED).count(), 1, "{log}");
}

#[test]
fn a_database_that_is_moved_while_it_is_read_stays_503_until_the_reader_is_done() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
    let reader = site.connect();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM lead_clicks;")
        .unwrap();
    assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
    fs::rename(site.db_path(), site.path("moved.db")).unwrap();
    // An empty file may be a copy that has just begun.
    site.write("leadclicks.db", "");
    assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
    backup().put_at(&site);
    assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    assert_stored(&daemon);
    assert_eq!(site.emails(), ["backup@example.com", "after@example.com"]);
    let moved = Connection::open(site.path("moved.db")).unwrap();
    let clicks: u64 = moved
        .query_row("SELECT count(*) FROM lead_clicks", [], |row| row.get(0))
        .unwrap();
    assert_eq!(clicks, 2);
    assert_logged_once(
        &daemon.log(),
        "the database file was moved, replaced or deleted while another program reads it; end that program",
    );
}

#[test]
fn a_corrupt_file_is_an_error_at_the_start_and_is_not_changed() {
    let intact = Site::new().with_schema("");
    intact
        .connect()
        .execute_batch("PRAGMA journal_mode = delete")
        .unwrap();
    let intact = intact.read("leadclicks.db");
    let mut damaged = intact.clone();
    damaged[100..4096].fill(0xff);
    for (bytes, error) in [
        (
            &b"a text that is no database, and long enough to be looked at"[..],
            "not an SQLite database; check --db",
        ),
        (
            &damaged,
            ": database disk image is malformed; the file is damaged; restore a backup",
        ),
        (
            &intact[..4096],
            ": database disk image is malformed; the file is damaged; restore a backup",
        ),
    ] {
        let site = Site::new();
        site.write("leadclicks.db", bytes);
        let ran = Ran::daemon(&site, "127.0.0.1:0");
        assert_eq!((ran.status.code(), &*ran.stdout), (Some(1), ""), "{ran}");
        assert!(
            ran.stderr.ends_with(&format!("{error}\n")) && ran.stderr.lines().count() == 1,
            "{ran}"
        );
        assert_eq!(site.read("leadclicks.db"), bytes);
        // Restoring a backup is enough.
        site.write("leadclicks.db", &intact);
        let daemon = Daemon::start(&site, &[]);
        assert_eq!(daemon.post("after@example.com", "jdoe", "").status, 202);
    }
}

/// A file with the clock's offset, and the daemon with that clock.
pub fn with_clock(site: &Site, offset: &str) -> (PathBuf, Command) {
    let library = fs::read_dir("/usr/lib")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("faketime/libfaketime.so.1"))
        .find(|path| path.exists())
        .expect("libfaketime, of Debian's package faketime");
    let clock = site.write("clock", offset);
    let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    (clock, command)
}

/// From any year of this century to before 1970.
const BEFORE_1970: &str = "-150y";

#[test]
#[ignore = "needs faketime; tests/run runs it"]
fn a_clock_before_1970_is_an_error_at_the_start() {
    let site = Site::new();
    let (clock, mut command) = with_clock(&site, BEFORE_1970);
    command
        .args(["--listen", "127.0.0.1:0", "--db"])
        .arg(site.db_path());
    let error = "leadclicksd: the clock is before 1970, so clicks cannot be dated; set it, and start again\n";
    Ran::of(command).assert(1, "", error);
    assert_eq!(site.files(), ["clock"]);
    fs::write(clock, "+0").unwrap();
    let daemon = Daemon::start_as(with_clock(&site, "+0").1, &site, &[]);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
}

#[test]
#[ignore = "needs faketime; tests/run runs it"]
fn a_clock_that_jumps_before_1970_dates_clicks_wrongly_and_stops_nothing() {
    let site = Site::new();
    let (clock, command) = with_clock(&site, "+0");
    let daemon = Daemon::start_as(command, &site, &[]);
    for offset in [BEFORE_1970, "+0", BEFORE_1970] {
        fs::write(&clock, offset).unwrap();
        assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    }
    let (status, _) = daemon.stop();
    assert!(status.success());
    let early = "SELECT count(*) FROM lead_clicks WHERE created_at < '1970-01-01'";
    assert_eq!(site.value::<u32>(early), 2);
    assert_eq!(site.clicks().len(), 3);
}

#[test]
#[ignore = "needs faketime; tests/run runs it"]
fn clicks_are_dated_by_the_clock_even_if_it_jumps() {
    let site = Site::new();
    let (clock, command) = with_clock(&site, "+0");
    let daemon = Daemon::start_as(command, &site, &[]);
    for offset in ["+0", "-3600", "-3600", "+3600", "+0"] {
        fs::write(&clock, offset).unwrap();
        assert_eq!(daemon.post("jane@example.com", "jdoe", "").status, 202);
    }
    let conn = site.connect();
    let mut times = conn
        .prepare("SELECT strftime('%s', created_at) FROM lead_clicks ORDER BY id")
        .unwrap();
    let times: Vec<i64> = times
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        .map(|time| time.unwrap().parse().unwrap())
        .collect();
    for (time, offset) in times.iter().zip([0, -3600, -3600, 3600, 0]) {
        assert!(
            (offset..offset + 60).contains(&(time - times[0])),
            "{times:?}"
        );
    }
}

#[test]
fn a_shutdown_with_a_full_queue_stores_and_answers_every_queued_click() {
    // One batch and a full queue.
    const POSTS: usize = 2 * 1024;
    raise_open_files();
    let site = Site::new();
    let mut daemon = Daemon::start(&site, &[]);
    let mut clients: Vec<_> = (0..POSTS).map(|_| daemon.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.send(&request("GET", "/", "", "")).status, 404);
    }
    let lock = WriteLock::take(&site);
    for (number, client) in clients.iter_mut().enumerate() {
        let click = body(&format!("lead{number}@example.com"), "jdoe", "");
        client.write(post_request(&click).as_bytes());
    }
    // The shutdown closes connections on which no request has begun.
    daemon.wait_until_all_is_read();
    daemon.signal("TERM");
    daemon.wait_for_log("INFO stopping");
    lock.release();
    let answers: Vec<u16> = clients
        .iter_mut()
        .map(|client| client.read().status)
        .collect();
    assert!(daemon.wait().success(), "{}", daemon.log());
    let accepted = answers.iter().filter(|status| **status == 202).count();
    let refused = answers.iter().filter(|status| **status == 503).count();
    assert_eq!(accepted + refused, POSTS);
    assert!(accepted >= 1024, "{accepted}");
    // Only clicks that did not fit in the queue were refused, before the shutdown.
    let log = daemon.log();
    assert_eq!(counted(&log, "overloaded"), refused as u64, "{log}");
    assert_eq!(counted(&log, "unavailable"), 0, "{log}");
    // Check this before opening another connection, which could checkpoint when it is closed.
    assert_eq!(site.read("leadclicks.db-wal"), b"");
    assert_eq!(site.clicks().len(), accepted);
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn without_a_free_file_descriptor_connections_wait_until_there_is_one() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut before = daemon.connect();
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    assert_eq!(before.send(&click).status, 202);
    let fault = Fault::inject(&daemon, "accept4:error=EMFILE");
    let mut waiting = daemon.connect();
    waiting.write(click.as_bytes());
    daemon.wait_for_log("ERROR can't accept a connection, trying again");
    // Open connections are still served.
    assert_eq!(before.send(&click).status, 202);
    drop(fault);
    assert_eq!(waiting.read().status, 202);
    assert_eq!(site.clicks().len(), 3);
    let (_, log) = daemon.stop();
    assert_eq!(log.matches("can't accept a connection").count(), 1, "{log}");
}

#[test]
fn a_limit_of_few_open_files_serves_many_connections_one_after_the_other() {
    let site = Site::new();
    let mut command = Command::new("prlimit");
    command.args(["--nofile=80", env!("CARGO_BIN_EXE_leadclicksd")]);
    let daemon = Daemon::start_as(command, &site, &[]);
    let click = post_request(&body("jane@example.com", "jdoe", ""));
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = daemon.connect();
        assert_eq!(client.send(&click).status, 202);
        clients.push(client);
    }
    assert_eq!(site.clicks().len(), 200);
    let (_, log) = daemon.stop();
    assert!(!log.contains("can't accept"), "{log}");
    assert!(counted(&log, "crowded_out") > 0, "{log}");
}
