//! Where a database may be: a click that is answered 202 must be found there again.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    process::Command,
};

use crate::support::{Daemon, FAILING, Ran, Site, WORKING, assert_unavailable};

/// A user that need not exist to own files.
const STRANGER: u32 = 64_001;

const CLICK: &str = "
    INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
    VALUES ('amy@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000');";

/// The commands that write.
const WRITES: [&[&str]; 5] = [
    &["import", "clicks.csv"],
    &["experts", "import", "experts.csv"],
    &["forget", "amy@example.com", "--yes"],
    &["purge", "--older-than", "1s", "--yes"],
    &["reset", "--yes"],
];

/// A database with one click, and files to import.
fn site() -> Site {
    let site = Site::new().with_schema(CLICK);
    site.write("clicks.csv", "email,expert_username,search_query,created_at\nbob@example.com,jdoe,,2026-11-01T09:00:00Z\n");
    site.write(
        "experts.csv",
        "Username,First Name,Last Name\njdoe,Jane,Doe\n",
    );
    site
}

/// Asserts that the daemon and every command that writes refuse the database `name` with this error and change nothing, and
/// that `check` reports it once. Reports still work.
#[track_caller]
fn assert_refused(site: &Site, name: &str, error: &str) {
    let path = site.path(name).canonicalize().unwrap();
    let error = format!("{}: {error}", path.display());
    let before = fs::read(&path).unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
    daemon
        .args(["--listen", "127.0.0.1:0", "--db"])
        .arg(site.path(name));
    Ran::of(daemon).assert(1, "", &format!("leadclicksd: {error}\n"));
    for command in WRITES {
        let ran = site.run(&[command, &["--db", name]].concat());
        ran.assert(1, "", &format!("leadclicks: {error}\n"));
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(
        problems(&site.run(&check(name))),
        [format!("location: {error}")]
    );
    let report = ["report", "--by-email", "--format", "csv", "--db", name];
    assert!(site.run(&report).status.success());
}

fn check(name: &str) -> [&str; 6] {
    ["check", "--offline", "--format", "json", "--db", name]
}

fn problems(ran: &Ran) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect(&ran.stdout);
    let checks = json["checks"].as_array().unwrap().iter();
    checks
        .filter(|check| check["state"] == "problem")
        .map(|check| {
            let [check, found] = ["check", "found"].map(|field| check[field].as_str().unwrap());
            format!("{check}: {found}")
        })
        .collect()
}

#[test]
#[ignore = "needs user namespaces; tests/run runs it"]
fn a_database_that_is_mounted_as_a_single_file_is_refused() {
    for (mounted, named) in [
        ("leadclicks.db", "the file"),
        ("leadclicks.db-wal", "its -wal file"),
    ] {
        let site = site();
        site.write("leadclicks.db-wal", "");
        let script = format!(
            "mkdir container && touch container/leadclicks.db container/leadclicks.db-wal
             cp leadclicks.db container/
             mount --bind {mounted} container/{mounted} || exit 9
             leadclicksd --listen 127.0.0.1:0 --db container/leadclicks.db; echo $?
             for command in 'import clicks.csv' 'forget amy@example.com --yes'; do
                 leadclicks $command --db container/leadclicks.db; echo $?
             done
             leadclicks check --db container/leadclicks.db --format json"
        );
        let ran = site.in_mount_namespace(&script);
        let path = site.path("container/leadclicks.db");
        let error = format!(
            "{}: {named} is mounted as a single file, so the database and its -wal file with the newest clicks are not \
             kept together; mount the directory",
            path.canonicalize().unwrap().display()
        );
        let lines: Vec<&str> = ran.stdout.lines().collect();
        assert_eq!(lines[..3], ["1", "1", "1"], "{ran}");
        let found = lines[3];
        assert!(
            found.contains(&format!(
                r#"{{"check":"location","state":"problem","found":"{error}","next":null}}"#
            )),
            "{ran}"
        );
        assert!(
            ran.stderr.starts_with(&format!(
                "leadclicksd: {error}\nleadclicks: {error}\nleadclicks: {error}\n"
            )),
            "{ran}"
        );
    }
}

#[test]
#[ignore = "needs user namespaces; tests/run runs it"]
fn a_database_in_a_mounted_directory_is_accepted() {
    let site = site();
    let script =
        "mkdir container host && mv leadclicks.db host/ && mount --bind host container || exit 9
         leadclicks import clicks.csv --db container/leadclicks.db
         leadclicks check --quick --db container/leadclicks.db 2>/dev/null | grep location";
    let ran = site.in_mount_namespace(script);
    ran.assert(
        0,
        "1 new, 0 already stored\n location    ok        all files together\n",
        "",
    );
}

const SECOND_NAME: &str = "the file has a second name (a hard link), and a program that opens the other name does not find \
                           the newest clicks; delete the other name, which `find / -xdev -samefile FILE` shows";

#[test]
fn a_database_with_a_hard_link_is_refused_under_both_names() {
    let site = site();
    fs::hard_link(site.db_path(), site.path("other.db")).unwrap();
    assert_refused(&site, "leadclicks.db", SECOND_NAME);
    assert_refused(&site, "other.db", SECOND_NAME);
    fs::remove_file(site.path("other.db")).unwrap();
    assert_eq!(
        site.run(&["import", "clicks.csv"]).stdout,
        "1 new, 0 already stored\n"
    );
    // A symbolic link is no second name: SQLite is given the path of its target.
    symlink("leadclicks.db", site.path("link.db")).unwrap();
    assert_eq!(
        site.run(&["import", "clicks.csv", "--db", "link.db"])
            .stdout,
        "0 new, 1 already stored\n"
    );
}

#[test]
fn while_a_database_that_is_captured_into_has_a_hard_link_clicks_are_503() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
    fs::hard_link(site.db_path(), site.path("other.db")).unwrap();
    for _ in 0..2 {
        assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
    }
    fs::remove_file(site.path("other.db")).unwrap();
    assert_eq!(daemon.post("after@example.com", "jdoe", "").status, 202);
    assert_eq!(site.emails(), ["before@example.com", "after@example.com"]);
    let log = daemon.log();
    let counts = [FAILING, WORKING, "has a second name"].map(|text| log.matches(text).count());
    assert_eq!(counts, [1, 1, 1], "{log}");
}

#[test]
fn a_replacement_with_a_hard_link_is_not_captured_into() {
    let site = Site::new();
    let backup = self::site();
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("before@example.com", "jdoe", "").status, 202);
    fs::copy(backup.db_path(), site.path("backup.db")).unwrap();
    // As `ln` restores it: the backup stays under its own name.
    fs::remove_file(site.db_path()).unwrap();
    fs::hard_link(site.path("backup.db"), site.db_path()).unwrap();
    assert_unavailable(&daemon.post("refused@example.com", "jdoe", ""));
    assert!(
        daemon.log().contains("has a second name"),
        "{}",
        daemon.log()
    );
    fs::remove_file(site.path("backup.db")).unwrap();
    assert_eq!(daemon.post("after@example.com", "jdoe", "").status, 202);
    assert_eq!(site.emails(), ["amy@example.com", "after@example.com"]);
}

/// Only root can give files away.
fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn strangers_file(site: &Site, named: &str) -> String {
    let directory = site.path("").canonicalize().unwrap();
    format!(
        "{named} belongs to a stranger, and every user may write {}; move the database into a directory that only its \
         owner may write",
        directory.display()
    )
}

#[test]
fn a_strangers_file_in_a_directory_that_every_user_may_write_is_refused() {
    if !is_root() {
        return;
    }
    for (name, named) in [
        ("leadclicks.db", "the file"),
        ("leadclicks.db-wal", "its -wal file"),
        ("leadclicks.db-shm", "its -shm file"),
        ("leadclicks.db-journal", "its -journal file"),
    ] {
        let site = site();
        if !site.path(name).exists() {
            site.write(name, "");
        }
        chown(site.path(name), Some(STRANGER), Some(STRANGER)).unwrap();
        let chmod = |mode| {
            fs::set_permissions(site.path(""), fs::Permissions::from_mode(mode)).unwrap();
        };
        chmod(0o1777);
        let mut daemon = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
        daemon
            .args(["--listen", "127.0.0.1:0", "--db"])
            .arg(site.db_path());
        let error = format!(
            "{}: {}",
            site.db_path().canonicalize().unwrap().display(),
            strangers_file(&site, named)
        );
        Ran::of(daemon).assert(1, "", &format!("leadclicksd: {error}\n"));
        for command in WRITES {
            let ran = site.run(command);
            ran.assert(1, "", &format!("leadclicks: {error}\n"));
        }
        let found = problems(&site.run(&check("leadclicks.db")));
        assert!(found.contains(&format!("location: {error}")), "{found:?}");
        // The directory's owner may own it, and whoever shares a directory that not everybody may write.
        chown(site.path(""), Some(STRANGER), None).unwrap();
        assert!(site.run(WRITES[0]).status.success(), "{name}");
        chown(site.path(""), Some(0), None).unwrap();
        chmod(0o770);
        assert!(site.run(WRITES[0]).status.success(), "{name}");
    }
}

#[test]
fn a_url_or_a_quoted_path_is_refused_and_no_file_of_that_name_is_made() {
    let site = Site::new();
    let file = "--db takes the path of a file, not a URL";
    for (db, error) in [
        ("sqlite:app.db", format!("{file}; write app.db")),
        ("file:app.db", format!("{file}; write app.db")),
        (
            "sqlite:////srv/app.db",
            format!("{file}; write /srv/app.db"),
        ),
        (
            "\"app.db\"",
            "--db has quotes around the path; write app.db".to_owned(),
        ),
        (
            "app.db\r",
            "--db has white space around the path; write app.db".to_owned(),
        ),
        (
            ":memory:",
            format!("{file}; give it the path of a database file"),
        ),
        (
            "postgresql+psycopg://jane:secret@db.example.com/app",
            "--db is not the URL of a PostgreSQL database; write postgres://USER@HOST/NAME"
                .to_owned(),
        ),
    ] {
        for is_variable in [false, true] {
            let given = |mut command: Command| {
                if is_variable {
                    command.env("LEADCLICKS_DB", db);
                } else {
                    command.args(["--db", db]);
                }
                Ran::of(command)
            };
            let mut daemon = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
            daemon
                .args(["--listen", "127.0.0.1:0"])
                .current_dir(site.path(""));
            given(daemon).assert(2, "", &format!("leadclicksd: {error}\n"));
            for command in [
                &["report", "--by-email"][..],
                &["check"],
                &["reset", "--yes"],
            ] {
                given(site.command(command)).assert(2, "", &format!("leadclicks: {error}\n"));
            }
        }
    }
    assert!(site.files().is_empty(), "{:?}", site.files());
    // A file of that very name.
    let ran = site.run(&["report", "--by-email", "--db", "./sqlite:app.db"]);
    let path = site.path("sqlite:app.db");
    let error = "no such database; check --db, or start leadclicksd once to create it";
    ran.assert(1, "", &format!("leadclicks: {}: {error}\n", path.display()));
}
