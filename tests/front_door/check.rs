//! `leadclicks check`: its report on a healthy database, and on each fault.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        process::ExitStatusExt,
    },
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::FileControl;

use crate::{
    interrupt::signal,
    support::{Daemon, PATIENCE, Ran, Site, WriteLock, assert_unavailable},
};

/// The ids of a user and a group; they need not exist to own files.
const OWNER: u32 = 64_001;

const CLICKS: &str = "
    INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
        ('amy@example.com', 'jdoe', 'pricing', '2026-11-01 09:00:00.000000'),
        ('bob@example.com', 'jdoe', 'growth', '2026-11-01 09:00:01.000000'),
        ('amy@example.com', 'zoë', '', '2026-11-01 09:00:02.000000');";

/// A healthy database, as a stopped daemon leaves it.
fn sound() -> Site {
    let site = Site::new().with_schema(CLICKS);
    set_mode(&site, "leadclicks.db", 0o640);
    assert!(Daemon::start(&site, &[]).stop().0.success());
    site
}

/// The same, owned by another user than root.
fn site() -> Site {
    let site = sound();
    if is_root() {
        // Root can write its own files, whatever their mode.
        for name in site.files() {
            chown(site.path(&name), Some(OWNER), Some(OWNER)).unwrap();
        }
        chown(site.path(""), Some(OWNER), Some(OWNER)).unwrap();
    }
    site
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn set_mode(site: &Site, name: &str, mode: u32) {
    fs::set_permissions(site.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// Keeps the -wal and -shm files on closing, as leadclicks does.
fn sql(site: &Site, sql: &str) {
    let conn = site.connect();
    conn.execute_batch(sql).expect(sql);
    conn.file_control(None::<&str>, FileControl::PersistWal(&mut 1))
        .unwrap();
}

/// Replaces the free space by `{free}` and SQLite's version by `{version}`.
fn without_numbers(report: &str) -> String {
    let version = rusqlite::version();
    let mut text = report.replace(version, &format!("{:<1$}", "{version}", version.len()));
    if let Some(end) = text.find(" MiB free") {
        let begin = text[..end].rfind([' ', '"']).unwrap() + 1;
        text.replace_range(begin..end, "{free}");
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

/// The findings, as "check state: found; next", with the exit code and the last line. The daemon need not run.
fn checked(site: &Site, args: &[&str]) -> (Option<i32>, Vec<String>, String) {
    let ran = site.run(&[&["check", "--offline", "--format", "json"], args].concat());
    (ran.status.code(), not_in_order(&ran), ran.stderr)
}

fn not_in_order(ran: &Ran) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect(&ran.stdout);
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let checks = json["checks"].as_array().unwrap().iter();
    let lines: Vec<String> = checks
        .filter(|check| check["state"] != "ok")
        .map(|check| {
            let next = text(&check["next"]).map_or(String::new(), |next| format!("; {next}"));
            let [check, state, found] =
                ["check", "state", "found"].map(|field| text(&check[field]).unwrap());
            format!("{check} {state}: {found}{next}")
        })
        .collect();
    let worst = ["problem", "warning"].into_iter().find(|state| {
        lines
            .iter()
            .any(|line| line.contains(&format!(" {state}: ")))
    });
    assert_eq!(json["state"], worst.unwrap_or("ok"));
    lines
}

/// All files with their content, mode and owner, except the content of the -shm file, in which every reader registers.
fn files(site: &Site) -> BTreeMap<String, (Vec<u8>, u32, u32, u32)> {
    let names = site.files().into_iter();
    names
        .map(|name| {
            let metadata = fs::symlink_metadata(site.path(&name)).unwrap();
            let held = if metadata.is_file() && !name.ends_with("-shm") {
                site.read(&name)
            } else {
                Vec::new()
            };
            let found = (held, metadata.mode(), metadata.uid(), metadata.gid());
            (name, found)
        })
        .collect()
}

#[test]
fn a_healthy_database_is_reported_as_such_and_not_changed() {
    let site = site();
    let before = files(&site);
    let ran = site.run(&["check", "--offline", "--format", "json"]);
    let checks = [
        ("file", "mode 0640"),
        ("writable", "by the file's owner, as is its directory"),
        ("location", "all files together"),
        ("wal", "0 MiB"),
        ("shm", "0 MiB"),
        ("wal.left", "none"),
        ("leftovers", "none"),
        ("disk", "{free} MiB free"),
        ("journal", "WAL"),
        ("lock", "free"),
        ("sqlite", "{version}"),
        ("integrity", "the whole file"),
        ("references", "all refer to existing rows"),
        ("schema", "takes clicks"),
        ("ids", "rising"),
        ("index", "lead_clicks_created_at"),
        ("clicks", "3 of 2 leads"),
        ("newest", "2026-11-01T09:00:02.000000Z"),
        ("experts", "0"),
    ];
    let checks = checks.map(|(check, found)| {
        format!(r#"{{"check":"{check}","state":"ok","found":"{found}","next":null}}"#)
    });
    let json = format!("{{\"state\":\"ok\",\"checks\":[{}]}}\n", checks.join(","));
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    assert_eq!(
        without_numbers(&ran.stdout).replace("{version} ", "{version}"),
        json
    );
    assert_eq!(ran.stderr, "");

    let ran = site.run(&["check", "--offline", "--quick"]);
    let table = without_numbers(&ran.stdout);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    assert_eq!(
        lines,
        [
            &*site.db_path().display().to_string(),
            "",
            " Check       State   Found",
            "──────────────────────────────────────────────────────────────",
            " file        ok      mode 0640",
            " writable    ok      by the file's owner, as is its directory",
            " location    ok      all files together",
            " wal         ok      0 MiB",
            " shm         ok      0 MiB",
            " wal.left    ok      none",
            " leftovers   ok      none",
            " disk        ok      {free} MiB free",
            " journal     ok      WAL",
            " lock        ok      free",
            " sqlite      ok      {version}",
            " schema      ok      takes clicks",
            " ids         ok      rising",
            " index       ok      lead_clicks_created_at",
            " clicks      ok      3",
            " newest      ok      2026-11-01T09:00:02.000000Z",
            " experts     ok      0",
        ]
    );
    assert!(files(&site) == before, "changed");
}

#[test]
fn a_check_while_the_daemon_captures_finds_no_problem() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    for emails in [&[][..], &["amy@example.com"]] {
        for email in emails {
            assert_eq!(daemon.post(email, "jdoe", "").status, 202);
        }
        let ran = site.run(&["check", "--format", "json"]);
        assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
        assert_eq!(not_in_order(&ran), [""; 0]);
        assert!(
            ran.stdout.contains(RUNS) && ran.stdout.contains(r#""lock","state":"ok""#),
            "{ran}"
        );
    }
    assert!(daemon.stop().0.success());
    assert_eq!(site.emails(), ["amy@example.com"]);
}

const RUNS: &str = r#"{"check":"daemon","state":"ok","found":"runs","next":null}"#;

const NONE_RUNS: &str = "daemon problem: no leadclicksd runs on this database, so no clicks are stored; start it, or pass --offline \
                         if none should run";

/// The findings of a check that are not in order, and whether one says that a daemon runs.
#[track_caller]
fn online(site: &Site, args: &[&str]) -> (Vec<String>, bool) {
    let ran = site.run(&[&["check", "--quick", "--format", "json"], args].concat());
    let lines = not_in_order(&ran);
    let code = match lines.iter().any(|line| line.contains(" problem: ")) {
        true => 1,
        false if lines.is_empty() => 0,
        false => 4,
    };
    assert_eq!(ran.status.code(), Some(code), "{ran}");
    (lines, ran.stdout.contains(RUNS))
}

#[test]
fn a_live_database_without_a_daemon_is_a_problem_however_the_daemon_ended() {
    let site = Site::new();
    let runs = (vec![], true);
    let none = (vec![NONE_RUNS.to_owned()], false);
    let first = Daemon::start(&site, &[]);
    assert_eq!(online(&site, &[]), runs);
    // Until the last has ended.
    let second = Daemon::start(&site, &[]);
    assert!(first.stop().0.success());
    assert_eq!(online(&site, &[]), runs);
    second.kill();
    assert_eq!(online(&site, &[]), none);
    assert_eq!(online(&site, &["--offline"]), (vec![], false));
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(online(&site, &[]), runs);

    // A replaced file is another database until the daemon has noticed it.
    let newer = Site::new().with_schema(CLICKS);
    set_mode(&newer, "leadclicks.db", 0o640);
    fs::rename(newer.db_path(), site.db_path()).unwrap();
    assert_eq!(daemon.post("bob@example.com", "jdoe", "").status, 202);
    assert_eq!(online(&site, &[]), runs);
    assert!(daemon.stop().0.success());
    assert_eq!(online(&site, &[]), none);
    assert_eq!(
        site.files(),
        [
            "leadclicks.db",
            "leadclicks.db-shm",
            "leadclicks.db-wal",
            "leadclicksd.log"
        ]
    );

    // Another program that is the last to close the database deletes them.
    let conn = site.connect();
    conn.query_row("SELECT count(*) FROM lead_clicks", [], |_| Ok(()))
        .unwrap();
    drop(conn);
    assert_eq!(site.files(), ["leadclicks.db", "leadclicksd.log"]);
    let metrics = site.run(&["check", "--quick", "--format", "prometheus"]);
    let down = format!(
        "\nleadclicks_daemon_up{{db=\"{}\"}} 0\n",
        site.db_path().display()
    );
    assert!(
        metrics.status.code() == Some(1) && metrics.stdout.contains(&down),
        "{metrics}"
    );
}

#[test]
fn a_backup_needs_no_daemon() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    assert!(site.run(&["backup", "backup.db"]).status.success());
    let args = ["check", "--quick", "--format", "json", "--db", "backup.db"];
    let ran = site.run(&args);
    assert!(!ran.stdout.contains("daemon\""), "{ran}");
    assert_eq!(
        not_in_order(&ran),
        [
            "journal warning: delete, not WAL; start leadclicksd, which sets it, or pass --offline for a backup"
        ]
    );
    let ran = site.run(&[&args[..], &["--offline"]].concat());
    assert_eq!((not_in_order(&ran), ran.status.code()), (vec![], Some(0)));
    drop(daemon);
    let files = [
        "backup.db",
        "leadclicks.db",
        "leadclicks.db-shm",
        "leadclicks.db-wal",
        "leadclicksd.log",
    ];
    assert_eq!(site.files(), files);
}

#[test]
fn checks_at_the_same_time_do_not_take_each_other_for_a_daemon() {
    let site = sound();
    let commands: Vec<_> = (0..8)
        .map(|_| {
            let mut command = site.command(&["check", "--quick", "--format", "json"]);
            let child = command.spawn().unwrap();
            (command, child)
        })
        .collect();
    for (command, child) in commands {
        let ran = Ran::wait(&command, child);
        assert_eq!(not_in_order(&ran), [NONE_RUNS]);
    }
}

#[test]
fn a_daemon_waits_for_a_check_but_not_for_a_program_that_keeps_it_away() {
    let site = sound();
    let wal = fs::File::open(site.path("leadclicks.db-wal")).unwrap();
    rustix::fs::flock(&wal, rustix::fs::FlockOperation::LockExclusive).unwrap();
    Ran::daemon(&site, "127.0.0.1:0").assert(
        1,
        "",
        &format!(
            "leadclicksd: {}: another program, such as a restore, keeps leadclicksd away from it; start again when it has \
             finished\n",
            site.db_path().display()
        ),
    );
    drop(wal);
    Daemon::start(&site, &[]);
}

#[test]
fn clicks_that_stopped_coming_are_a_warning() {
    const NEXT: &str = "check that the pages reach leadclicksd, with a click of your own";
    let site = sound();
    let warning = vec![format!(
        "newest warning: 2026-11-01T09:00:02.000000Z, longer ago than --max-age; {NEXT}"
    )];
    assert_eq!(checked(&site, &["--max-age", "1000w"]).1, [""; 0]);
    let (code, lines, summary) = checked(&site, &["--max-age", "1d"]);
    // The clock of the test is later than the clicks, or they would be in the future.
    assert_eq!((code, &*summary), (Some(4), "leadclicks: 1 warning\n"));
    assert_eq!(lines, warning);
    sql(&site, "DELETE FROM lead_clicks");
    assert_eq!(checked(&site, &[]).1, [""; 0]);
    assert_eq!(
        checked(&site, &["--max-age", "6h"]).1,
        [format!("newest warning: no clicks yet; {NEXT}")]
    );
    for age in [
        "6",
        "h",
        "-6h",
        "6.5h",
        "6y",
        "0s",
        "0d",
        "today",
        "2026-11-01",
        "99999999d",
    ] {
        let ran = site.run(&["check", &format!("--max-age={age}")]);
        assert_eq!((ran.status.code(), &*ran.stdout), (Some(2), ""), "{ran}");
    }
    assert_eq!(checked(&site, &["--max-age", "900mo"]).0, Some(4));
}

/// A metric of Prometheus's text format: its name, labels and value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Parses [the format](https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format) strictly: each metric has its
/// HELP and TYPE before its samples, all of which are together, and no two samples have the same name and labels.
fn samples(text: &str) -> Vec<Sample> {
    assert!(text.ends_with('\n') && !text.contains('\r'), "{text}");
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let mut samples: Vec<Sample> = Vec::new();
    let mut families: Vec<String> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, help) = help
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
            .expect("a HELP line");
        assert!(
            is_name(name) && !help.is_empty() && !help.contains('\\'),
            "{name}"
        );
        assert!(
            !families.iter().any(|family| family == name),
            "twice: {name}"
        );
        families.push(name.to_owned());
        assert_eq!(lines.next(), Some(&*format!("# TYPE {name} gauge")));
        let before = samples.len();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (labelled, value) = line.rsplit_once(' ').expect(line);
            let labels = labelled
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('{')?.strip_suffix('}'))
                .expect(line);
            let mut rest = labels.chars().peekable();
            let mut labels = BTreeMap::new();
            loop {
                let key: String = rest.by_ref().take_while(|c| *c != '=').collect();
                assert!(is_name(&key), "{line}");
                assert_eq!(rest.next(), Some('"'), "{line}");
                let mut text = String::new();
                loop {
                    match rest.next().expect(line) {
                        '"' => break,
                        '\\' => text.push(match rest.next() {
                            Some('n') => '\n',
                            Some(escaped @ ('"' | '\\')) => escaped,
                            other => panic!("{other:?} in {line}"),
                        }),
                        other => text.push(other),
                    }
                }
                assert_eq!(labels.insert(key, text), None, "{line}");
                match rest.next() {
                    None => break,
                    separator => assert_eq!(separator, Some(','), "{line}"),
                }
            }
            let sample = (name.to_owned(), labels, value.parse().expect(line));
            assert!(
                !samples
                    .iter()
                    .any(|other| (&other.0, &other.1) == (&sample.0, &sample.1)),
                "twice: {line}"
            );
            samples.push(sample);
        }
        assert!(samples.len() > before, "no samples of {name}");
    }
    samples
}

#[test]
fn the_metrics_for_prometheus_are_valid_and_complete() {
    // Characters that a label must escape.
    let site = Site::new();
    let odd = site.path("odd\\ \"name\"\n.db");
    let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
    command.arg("--db").arg(&odd);
    let daemon = Daemon::start_on_own_database(command, &site, &[]);
    assert_eq!(daemon.post("amy@example.com", "jdoe", "").status, 202);
    let odd = odd.to_str().unwrap();
    let args = ["check", "--format", "prometheus", "--db", odd];
    let ran = site.run(&args);
    assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    let found = samples(&ran.stdout);
    assert!(
        found.iter().all(|(_, labels, _)| labels["db"] == odd),
        "{ran}"
    );
    let value = |found: &[Sample], name: &str| {
        let sample = found.iter().find(|(found, ..)| found == name);
        sample.map(|(_, labels, value)| {
            assert_eq!(labels.len(), 1, "{name}");
            *value
        })
    };
    let states = |found: &[Sample]| -> BTreeMap<String, u8> {
        found
            .iter()
            .filter(|(name, ..)| name == "leadclicks_check_state")
            .map(|(_, labels, value)| {
                (labels["check"].clone(), format!("{value}").parse().unwrap())
            })
            .collect()
    };
    let json = site.run(&["check", "--format", "json", "--db", odd]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let checks = json["checks"].as_array().unwrap().iter();
    let all: BTreeMap<String, u8> = checks
        .map(|check| (check["check"].as_str().unwrap().to_owned(), 0))
        .collect();
    assert_eq!(states(&found), all);
    assert_eq!(value(&found, "leadclicks_clicks"), Some(1.0));
    assert_eq!(value(&found, "leadclicks_daemon_up"), Some(1.0));
    let newest = value(&found, "leadclicks_newest_click_timestamp_seconds").unwrap();
    assert!(
        newest > 1_700_000_000.0 && newest < 20_000_000_000.0,
        "{newest}"
    );
    assert!(value(&found, "leadclicks_disk_free_bytes").unwrap() > 1024.0 * 1024.0);
    assert!(value(&found, "leadclicks_wal_bytes").unwrap() > 4096.0);
    assert!(!ran.stdout.contains("amy"), "{ran}");
    drop(daemon);

    let ran = site.run(&[&args[..], &["--max-age", "1000w"]].concat());
    assert_eq!(
        (ran.status.code(), &*ran.stderr),
        (Some(1), "leadclicks: 1 problem\n")
    );
    let found = samples(&ran.stdout);
    assert_eq!(states(&found)["daemon"], 2);
    assert_eq!(value(&found, "leadclicks_daemon_up"), Some(0.0));
    let ran = site.run(&["check", "--format", "prometheus", "--db", "missing.db"]);
    assert_eq!(ran.status.code(), Some(1), "{ran}");
    assert_eq!(
        states(&samples(&ran.stdout)),
        BTreeMap::from([("database".to_owned(), 2)])
    );
}

/// A way to break the database, and the expected findings, with `{db}` for its path.
type Fault = (fn(&Site), &'static [&'static str]);

#[track_caller]
fn assert_reported(code: i32, summary: &str, faults: &[Fault]) {
    for (make, lines) in faults {
        let site = site();
        make(&site);
        let before = files(&site);
        let path = site.db_path();
        let lines: Vec<String> = lines
            .iter()
            .map(|line| line.replace("{db}", &path.display().to_string()))
            .map(|line| line.replace("{dir}", &path.parent().unwrap().display().to_string()))
            .collect();
        let worst = format!(" {summary}: ");
        let summary = match lines.iter().filter(|line| line.contains(&worst)).count() {
            1 => format!("leadclicks: 1 {summary}\n"),
            several => format!("leadclicks: {several} {summary}s\n"),
        };
        assert_eq!(checked(&site, &[]), (Some(code), lines.clone(), summary));
        let after = files(&site);
        // SQLite creates both with the owner and mode of the database, whoever opens it.
        let is_sqlites = |name: &String| name.ends_with("-wal") || name.ends_with("-shm");
        let changed = |name: &&String| before.get(*name) != after.get(*name) && !is_sqlites(name);
        let changed: Vec<&String> = before.keys().chain(after.keys()).filter(changed).collect();
        assert!(changed.is_empty(), "{changed:?} changed: {lines:?}");
    }
}

#[test]
fn suspicious_files_are_a_warning() {
    assert_reported(
        4,
        "warning",
        &[
            (
                |site| set_mode(site, "leadclicks.db", 0o644),
                &[
                    "file warning: mode 0644, so every user of this machine can open it; remove that permission with chmod o=",
                    "wal warning: {db}-wal has a different group or mode (0640) from the database's; change them with chgrp and chmod",
                    "shm warning: {db}-shm has a different group or mode (0640) from the database's; change them with chgrp and chmod",
                ],
            ),
            (
                |site| set_mode(site, "", 0o555),
                &[
                    "writable warning: the owner of {db} cannot create files in {dir}, such as -wal and -shm; make that user the directory's owner with chown",
                ],
            ),
            (
                |site| {
                    fs::remove_file(site.path("leadclicks.db-wal")).unwrap();
                    fs::remove_file(site.path("leadclicks.db-shm")).unwrap();
                },
                &[
                    "wal warning: {db}-wal is missing, so only users who can write the database can read it; start leadclicksd, which creates it",
                    "shm warning: {db}-shm is missing, so only users who can write the database can read it; start leadclicksd, which creates it",
                ],
            ),
            (
                |site| {
                    sql(site, CLICKS);
                    fs::remove_file(site.path("leadclicks.db-shm")).unwrap();
                },
                &[
                    "shm warning: {db}-shm is missing, so only users who can write the database can read it; start leadclicksd, which creates it",
                ],
            ),
            (
                |site| drop(site.write("leadclicks.db-wal.left", "")),
                &[
                    "wal.left warning: {db}-wal.left may hold clicks that are nowhere else; recover them, then delete it",
                ],
            ),
        ],
    );
}

#[test]
fn suspicious_contents_are_a_warning() {
    assert_reported(
        4,
        "warning",
        &[
            (
                |site| {
                    sql(
                        site,
                        "UPDATE lead_clicks SET id = 9223372036854775807 WHERE id = 3",
                    );
                },
                &[
                    "ids warning: the largest one is used, so new clicks get random ids; give the click with that id a smaller one, so that ids again rise in the order of arrival",
                ],
            ),
            (
                |site| sql(site, "DROP INDEX lead_clicks_created_at"),
                &[
                    "index warning: none on created_at, so every report reads all clicks; create it with `sqlite3 FILE < schema.sql` as the file's owner",
                ],
            ),
            (
                |site| {
                    sql(
                        site,
                        "PRAGMA foreign_keys = OFF;
                         CREATE TABLE users (id INTEGER PRIMARY KEY);
                         CREATE TABLE notes (user_id REFERENCES users (id));
                         INSERT INTO notes VALUES (7), (8);",
                    );
                },
                &[
                    "references warning: rows of notes (2) refer to rows of users that do not exist; correct or delete them in the program that owns the database",
                ],
            ),
            (
                |site| {
                    sql(
                        site,
                        "PRAGMA foreign_keys = OFF;
                         CREATE TABLE users (id);
                         CREATE TABLE notes (user_id REFERENCES users (id));
                         INSERT INTO notes VALUES (7);",
                    );
                },
                &[
                    "references warning: {db}: foreign key mismatch - \"notes\" referencing \"users\"; fix it in the program that owns the database",
                ],
            ),
            (
                |site| {
                    sql(
                        site,
                        "UPDATE lead_clicks SET created_at = (2999 - id % 2) || '-01-01 00:00:00.000000' WHERE id > 1",
                    );
                },
                &[
                    "newest warning: 2999-01-01T00:00:00.000000Z, in the future; clicks of the future: 2; set the clock if it is behind; else correct their created_at, or delete them",
                ],
            ),
            (
                |site| sql(site, "DROP TABLE experts; CREATE TABLE experts (nickname)"),
                &[
                    "experts warning: {db}: the table experts has no column username; add it in the program that owns the database",
                ],
            ),
        ],
    );
}

#[test]
fn unusable_files_are_a_problem() {
    assert_reported(
        1,
        "problem",
        &[
            (
                |site| {
                    for name in site.files() {
                        set_mode(site, &name, 0o440);
                    }
                },
                &[
                    "writable problem: the owner of {db} cannot read and write it; restore that permission with chmod u+rw",
                    "wal problem: the owner of {db}-wal cannot read and write it, so clicks are answered 503; restore that permission with chmod u+rw",
                    "shm problem: the owner of {db}-shm cannot read and write it, so clicks are answered 503; restore that permission with chmod u+rw",
                ],
            ),
            (
                |site| {
                    set_mode(site, "leadclicks.db-wal", 0o440);
                    set_mode(site, "leadclicks.db-shm", 0o440);
                },
                &[
                    "wal problem: the owner of {db}-wal cannot read and write it, so clicks are answered 503; restore that permission with chmod u+rw",
                    "shm problem: the owner of {db}-shm cannot read and write it, so clicks are answered 503; restore that permission with chmod u+rw",
                ],
            ),
            (
                |site| {
                    fs::remove_file(site.path("leadclicks.db-wal")).unwrap();
                    fs::remove_file(site.path("leadclicks.db-shm")).unwrap();
                    set_mode(site, "", 0o555);
                },
                &[
                    "writable problem: the owner of {db} cannot create files in {dir}, such as -wal and -shm; make that user the directory's owner with chown",
                    "wal warning: {db}-wal is missing, so only users who can write the database can read it; start leadclicksd, which creates it",
                    "shm warning: {db}-shm is missing, so only users who can write the database can read it; start leadclicksd, which creates it",
                ],
            ),
            (
                |site| {
                    fs::remove_file(site.path("leadclicks.db-wal")).unwrap();
                    fs::create_dir(site.path("leadclicks.db-wal")).unwrap();
                },
                &[
                    "wal problem: {db}-wal is not a regular file, so no program can open the database; move it away and start leadclicksd, which creates it",
                    "database problem: {db}: unable to open database file; run as the file's owner, or as a member of its group while its -wal and -shm files exist",
                ],
            ),
            (
                |site| {
                    let shm = site.path("leadclicks.db-shm");
                    fs::rename(&shm, site.path("index")).unwrap();
                    symlink("index", &shm).unwrap();
                },
                &[
                    "shm problem: {db}-shm is not a regular file, so no program can open the database; move it away and start leadclicksd, which creates it",
                    "database problem: {db}: unable to open database file; run as the file's owner, or as a member of its group while its -wal and -shm files exist",
                ],
            ),
            (
                |site| fs::remove_file(site.db_path()).unwrap(),
                &[
                    "database problem: {db}: no such database; check --db, or start leadclicksd once to create it",
                ],
            ),
            (
                |site| {
                    fs::remove_file(site.db_path()).unwrap();
                    symlink("nothing", site.db_path()).unwrap();
                },
                &[
                    "database problem: {db}: no such database; check --db, or start leadclicksd once to create it",
                ],
            ),
            (
                |site| {
                    fs::remove_file(site.db_path()).unwrap();
                    fs::create_dir(site.db_path()).unwrap();
                },
                &[
                    "database problem: {db}: not a regular file; give --db the path of a database file",
                ],
            ),
        ],
    );
}

/// Adds the collation of a host app, which no other program has, behind `text` in the schema.
fn with_collation(site: &Site, text: &str) {
    sql(
        site,
        &format!(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, '{text}', '{text} COLLATE german');
             PRAGMA writable_schema = RESET;"
        ),
    );
}

#[test]
fn invalid_contents_are_a_problem() {
    assert_reported(
        1,
        "problem",
        &[
            (
                |site| sql(site, "DROP TABLE lead_clicks"),
                &[
                    "schema problem: {db}: no table lead_clicks; check --db, or create the table with `sqlite3 FILE < schema.sql`",
                ],
            ),
            (
                |site| {
                    sql(
                        site,
                        "DROP TABLE lead_clicks;
                         CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email, expert_username, search_query,
                            created_at, campaign TEXT NOT NULL)",
                    );
                },
                &[
                    "schema problem: {db}: lead_clicks.campaign is NOT NULL without a default, so no click could be stored; give it a default in the program that owns the database",
                ],
            ),
            (
                |site| with_collation(site, "created_at TEXT"),
                &[
                    "integrity problem: {db}: no such collation sequence: german; fix it in the program that owns the database",
                    "schema problem: a column or an index of lead_clicks has the collation german, which only the program that owns the database has, so these fail: storing clicks, reports of a period, summary and purge, lists of clicks by time, forget, reset; give it the collation BINARY or NOCASE in that program",
                    "index warning: none on created_at, so every report reads all clicks; create it with `sqlite3 FILE < schema.sql` as the file's owner",
                    "newest problem: {db}: no such collation sequence: german; fix it in the program that owns the database",
                ],
            ),
            (
                |site| with_collation(site, "lead_clicks (created_at"),
                &[
                    "integrity problem: {db}: no such collation sequence: german; fix it in the program that owns the database",
                    "schema problem: a column or an index of lead_clicks has the collation german, which only the program that owns the database has, so these fail: storing clicks, forget, reset; give it the collation BINARY or NOCASE in that program",
                    "index warning: none on created_at, so every report reads all clicks; create it with `sqlite3 FILE < schema.sql` as the file's owner",
                ],
            ),
            (
                |site| {
                    sql(
                        site,
                        "UPDATE lead_clicks SET created_at = format('%-26s', 'Monday') WHERE id <= 2",
                    );
                },
                &[
                    "clicks problem: 2 of 3 have an invalid created_at, the first with id 1; change it to YYYY-MM-DD HH:MM:SS (UTC) or delete the rows",
                    "newest problem: the newest click has an invalid created_at; change it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row",
                ],
            ),
        ],
    );
}

#[test]
fn files_of_another_user_next_to_the_database_are_a_problem() {
    if !is_root() {
        eprintln!("not root: no file can be given to another user");
        return;
    }
    let site = site();
    for suffix in ["-wal", "-shm"] {
        let path = site.path(&format!("leadclicks.db{suffix}"));
        chown(path, Some(OWNER + 1), Some(OWNER)).unwrap();
    }
    let path = site.db_path();
    let lines = [("wal", "-wal"), ("shm", "-shm")].map(|(check, suffix)| {
        format!(
            "{check} problem: {}{suffix} has a different owner from the database's, who may be unable to write it; change it with chown",
            path.display()
        )
    });
    let (code, found, summary) = checked(&site, &[]);
    assert_eq!((code, &*summary), (Some(1), "leadclicks: 2 problems\n"));
    assert_eq!(found, lines);
}

#[test]
fn a_directory_that_the_owner_may_not_enter_is_a_problem() {
    if !is_root() {
        eprintln!("not root: nobody else looks into such a directory");
        return;
    }
    let site = site();
    set_mode(&site, "", 0o600);
    let path = site.db_path();
    let line = format!(
        "writable problem: the owner of {} cannot enter {}; grant that permission with chown or chmod",
        path.display(),
        path.parent().unwrap().display()
    );
    let summary = "leadclicks: 1 problem\n".to_owned();
    assert_eq!(checked(&site, &[]), (Some(1), vec![line], summary));
}

#[test]
fn a_link_is_checked_as_its_target() {
    let site = site();
    for name in ["leadclicks.db", "leadclicks.db-wal", "leadclicks.db-shm"] {
        fs::rename(
            site.path(name),
            site.path(&name.replace("leadclicks", "app")),
        )
        .unwrap();
    }
    symlink("app.db", site.db_path()).unwrap();
    let before = files(&site);
    assert_eq!(checked(&site, &[]), (Some(0), vec![], String::new()));
    let table = site.stdout_of(&["check", "--offline", "--quick"]);
    let path = site.path("app.db").display().to_string();
    assert_eq!(table.lines().next(), Some(&*path));
    assert!(files(&site) == before, "changed");
}

#[test]
fn a_file_in_a_private_directory_may_be_readable_for_all() {
    let site = site();
    for name in site.files() {
        set_mode(&site, &name, 0o644);
    }
    set_mode(&site, "", 0o750);
    assert_eq!(checked(&site, &[]), (Some(0), vec![], String::new()));
}

#[test]
fn a_host_apps_database_is_healthy_as_the_app_made_it() {
    let site = Site::new().with_database(
        "PRAGMA foreign_keys = OFF;
         PRAGMA user_version = 7;
         PRAGMA application_id = 77;
         CREATE TABLE experts (id INTEGER PRIMARY KEY, username VARCHAR(100) UNIQUE, first_name VARCHAR,
            last_name VARCHAR, bio TEXT NOT NULL);
         CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email VARCHAR(320) NOT NULL,
            expert_username VARCHAR(100) NOT NULL REFERENCES experts (username), search_query TEXT NOT NULL,
            created_at DATETIME NOT NULL);
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (1, 'amy@example.com', 'nobody', '', '2026-11-01 09:00:00');",
    );
    set_mode(&site, "leadclicks.db", 0o640);
    assert!(Daemon::start(&site, &[]).stop().0.success());
    let before = files(&site);
    let json = site.stdout_of(&["check", "--offline", "--format", "json"]);
    assert!(
        json.contains(
            r#""index","state":"ok","found":"none on created_at; another program owns the table""#
        ),
        "{json}"
    );
    assert!(files(&site) == before, "changed");
}

/// A check of so many clicks that has begun, and takes 20 ms longer for each page that it reads, by strace; there is a
/// page to read for every other click at least.
fn long_check(site: &Site, clicks: u32) -> (Command, Child) {
    site.connect()
        .execute_batch(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {clicks})
             INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
             SELECT 'amy@example.com', 'jdoe', hex(zeroblob(1000)), '2026-11-01 09:00:03.000000' FROM n;
             PRAGMA wal_checkpoint(TRUNCATE);",
        ))
        .unwrap();
    let mut command = site.shell(
        "exec strace -D -f -qq -o reads -e trace=pread64 -e inject=pread64:delay_enter=20000 \
         leadclicks check --format json",
    );
    let child = command.spawn().expect("strace");
    let deadline = Instant::now() + PATIENCE;
    let reads = || fs::read_to_string(site.path("reads")).map_or(0, |reads| reads.lines().count());
    while reads() < 50 {
        assert!(Instant::now() < deadline, "not reading");
        thread::sleep(Duration::from_millis(5));
    }
    (command, child)
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn clicks_do_not_wait_for_a_check_and_a_signal_ends_it() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let (command, mut child) = long_check(&site, 10_000);
    for _ in 0..20 {
        assert_eq!(daemon.post("bob@example.com", "jdoe", "").status, 202);
    }
    assert!(child.try_wait().unwrap().is_none(), "ended by itself");
    signal(&child, "INT");
    let ran = Ran::wait(&command, child);
    assert_eq!(ran.status.signal(), Some(2), "{ran}");
    // strace may print messages on standard error.
    assert_eq!(ran.stdout, "");
    assert!(daemon.stop().0.success());
    assert_eq!(site.read("leadclicks.db-wal"), b"");
    assert_eq!(site.clicks().len(), 10_020);
}

#[test]
fn a_damaged_file_is_a_problem() {
    let newest = b"2026-11-01 09:00:02.000000";
    let sound = site().read("leadclicks.db");
    let places: Vec<usize> = (0..sound.len())
        .filter(|at| sound[*at..].starts_with(newest))
        .collect();
    // Once in the table, once in the index.
    assert_eq!(places.len(), 2);
    for (damaged, found) in [
        (
            places[1]..places[1] + 4,
            "integrity problem: row 3 missing from index ",
        ),
        (
            4096..sound.len(),
            "integrity problem: {db}: database disk image is malformed; ",
        ),
    ] {
        let site = site();
        let mut bytes = sound.clone();
        bytes[damaged].fill(b'1');
        site.write("leadclicks.db", bytes);
        let (code, lines, _) = checked(&site, &[]);
        assert_eq!(code, Some(1));
        let found = found.replace("{db}", &site.db_path().display().to_string());
        let integrity: Vec<&String> = lines
            .iter()
            .filter(|line| line.starts_with(&found) && line.ends_with("; restore a backup"))
            .collect();
        assert_eq!(integrity.len(), 1, "{lines:?}");
    }
}

#[test]
fn a_wal_that_a_reader_keeps_is_a_warning() {
    let site = site();
    let reader = site.connect();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM lead_clicks")
        .unwrap();
    sql(
        &site,
        "CREATE TABLE large AS SELECT zeroblob(20 * 1024 * 1024)",
    );
    let (code, found, summary) = checked(&site, &[]);
    assert_eq!((code, &*summary), (Some(4), "leadclicks: 1 warning\n"));
    let path = site.db_path();
    assert_eq!(
        found,
        [format!(
            "wal warning: {}-wal has 20 MiB: a program that reads for a long time keeps it from being emptied; end that program, or restart leadclicksd when it has ended",
            path.display()
        )]
    );
}

#[test]
fn a_lock_that_is_held_for_long_is_a_problem() {
    let site = site();
    let daemon = Daemon::start(&site, &[]);
    let lock = WriteLock::take(&site);
    let (code, found, summary) = checked(&site, &[]);
    assert_eq!((code, &*summary), (Some(1), "leadclicks: 1 problem\n"));
    assert_eq!(
        found,
        [
            "lock problem: another program has held the write lock for 5 seconds, so clicks are answered 503; wait until it has finished, or find it with fuser and end it"
        ]
    );
    assert_unavailable(&daemon.post("amy@example.com", "jdoe", ""));
    lock.release();
    assert_eq!(checked(&site, &[]).0, Some(0));
}

#[test]
#[ignore = "needs user namespaces; tests/run runs it"]
fn a_disk_that_is_almost_full_is_a_warning_and_a_full_one_a_problem() {
    for (filled, code, line) in [
        (0, 0, None),
        (
            34_000_000,
            4,
            Some(
                "disk warning: 7 MiB free; free disk space: with less than 4 MiB clicks are answered 503",
            ),
        ),
        (
            38_300_000,
            1,
            Some(
                "disk problem: 3 MiB free; free disk space: with less than 4 MiB clicks are answered 503",
            ),
        ),
    ] {
        let ran = check_on_small_disk(filled);
        assert_eq!(ran.status.code(), Some(code), "{ran}");
        assert_eq!(not_in_order(&ran), Vec::from_iter(line));
    }
}

/// Of 40 MiB.
fn check_on_small_disk(bytes_filled: u32) -> Ran {
    let site = sound();
    let disk = site.path("disk");
    fs::create_dir(&disk).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg(
            r#"mount -t tmpfs -o size=40m disk "$1" && cp "$2"* "$1" && head -c "$3" /dev/zero >"$1/filled" &&
               exec "$0" check --offline --format json --db "$1/leadclicks.db""#,
        )
        .arg(env!("CARGO_BIN_EXE_leadclicks"))
        .arg(&disk)
        .arg(site.db_path())
        .arg(bytes_filled.to_string())
        .stdin(Stdio::null());
    Ran::of(command)
}

#[test]
fn a_file_that_is_not_a_database_is_a_problem() {
    let site = Site::new();
    let path = site.write(
        "leadclicks.db",
        "a text that is no database, and long enough to be looked at",
    );
    set_mode(&site, "leadclicks.db", 0o640);
    assert_eq!(
        checked(&site, &[]).1,
        [format!(
            "database problem: {}: not an SQLite database; check --db",
            path.display()
        )]
    );
    assert_eq!(site.files(), ["leadclicks.db"]);
}
