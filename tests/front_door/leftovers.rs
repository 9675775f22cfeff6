//! What a program that is killed leaves next to the database, and how it is found; and what is synced before deleted rows are
//! reported as gone for good.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::{
    interrupt::{CLICKS, signal, site},
    support::{HOST_APP, PATIENCE, Ran, Site},
};

const KILL: i32 = 9;

/// `leadclicks` under strace with these options, with the process id that the shell has as `$$`.
pub fn traced(site: &Site, options: &str, args: &[&str]) -> Command {
    let script = format!("exec strace -D -f -qq {options} leadclicks \"$@\"");
    let mut command = site.shell(&script);
    command.arg("sh").args(args);
    command
}

/// Runs `leadclicks` so often, each time killed one system call later, until it gets through. Calls `check` each time.
fn kill_at_each_step(args: &[&str], check: impl Fn(&Site, &Ran)) {
    for call in ["write", "fsync", "linkat", "rename"] {
        for number in 1.. {
            assert!(number < 1000, "{args:?} never gets through");
            let site = site();
            let options =
                format!("-o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={number}");
            let ran = Ran::finish(traced(&site, &options, args), b"");
            check(&site, &ran);
            if ran.status.success() {
                break;
            }
            assert_eq!(ran.status.signal(), Some(KILL), "{ran}");
        }
    }
}

fn clicks_in(site: &Site, name: &str) -> u64 {
    let conn = Connection::open(site.path(name)).unwrap();
    let intact: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(intact, "ok");
    conn.query_row("SELECT count(*) FROM lead_clicks", [], |row| row.get(0))
        .unwrap()
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_backup_that_is_killed_at_any_step_is_complete_or_not_there() {
    for args in [
        &["backup", "copy.db"][..],
        &["reset", "--yes", "--backup", "copy.db"],
    ] {
        let files = site().files();
        kill_at_each_step(args, |site, ran| {
            let mut left = site.files();
            if left.iter().any(|name| name == "copy.db") {
                assert_eq!(clicks_in(site, "copy.db"), 3, "{ran}");
            } else {
                assert_eq!(site.clicks().len(), 3, "{ran}");
            }
            left.retain(|name| !name.starts_with("copy.db"));
            assert_eq!(left, files, "{ran}");
        });
    }
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_report_that_is_killed_at_any_step_leaves_no_file_that_check_does_not_name() {
    let args = [
        "report",
        "--by-email",
        "--format",
        "csv",
        "--output",
        "week.csv",
    ];
    let files = site().files();
    kill_at_each_step(&args, |site, ran| {
        let mut left = site.files();
        left.retain(|name| !files.contains(name));
        match &left[..] {
            [] => {}
            [report] if report == "week.csv" => {
                let report = String::from_utf8(site.read(report)).unwrap();
                assert_eq!(report.lines().count(), 4, "{ran}");
            }
            // A file can only replace another under a name. This moment is the only one in which it has a temporary one.
            [temporary] => assert_eq!(left_over(site), [site.path(temporary)], "{ran}"),
            more => panic!("{more:?}\n{ran}"),
        }
    });
}

/// The files that `check` names as left over.
#[track_caller]
fn left_over(site: &Site) -> Vec<std::path::PathBuf> {
    let ran = site.run(&["check", "--quick", "--format", "json"]);
    let checks: serde_json::Value = serde_json::from_str(&ran.stdout).expect(&ran.stdout);
    let finding = checks["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["check"] == "leftovers")
        .expect("a finding");
    let found = finding["found"].as_str().unwrap();
    let Some((names, rest)) = found.split_once(": ") else {
        assert_eq!((found, &finding["state"]), ("none", &"ok".into()), "{ran}");
        return Vec::new();
    };
    assert_eq!(
        (rest, &finding["state"], &finding["next"]),
        (
            "unfinished files of a program that was killed, which may contain clicks",
            &"warning".into(),
            &"delete them".into()
        ),
        "{ran}"
    );
    names.split(", ").map(Into::into).collect()
}

/// What `forget`, `purge` and `reset` print of files that are left over.
fn named(names: &[std::path::PathBuf]) -> String {
    let line = |name: &std::path::PathBuf| {
        format!(
            "{} is an unfinished file of a program that was killed, and may also contain clicks; delete it\n",
            name.display()
        )
    };
    names.iter().map(line).collect()
}

#[track_caller]
fn assert_named_by_erasures(site: &Site, expected: &str) {
    for args in [
        &["purge", "--older-than", "2026-11-01", "--yes"][..],
        &["purge", "--older-than", "2026-11-01T09:00:01Z", "--yes"],
        &["forget", "nobody@example.com", "--dry-run"],
        &["forget", "amy@example.com", "--yes"],
        &["reset", "--yes"],
    ] {
        let stdout = site.stdout_of(args);
        // `forget` also says where it can't look.
        let end = "not searched: backups, exported reports, logs (sudo's has command lines) and other files\n";
        let named = stdout.strip_suffix(end).unwrap_or(&stdout);
        assert!(
            named.ends_with(&format!("\n{expected}")),
            "{args:?}\n{stdout}"
        );
    }
}

/// A backup on a file system that has no files without a name, which waits for its fsync until a signal ends it.
fn named_backup_at_fsync(site: &Site, args: &[&str]) -> (Command, Child) {
    let options = "-o /dev/null -P \"$PWD\" -P \"$PWD/.leadclicks-$$-0\" -e trace=openat,fsync \
        -e inject=openat:error=EOPNOTSUPP:when=1 -e inject=fsync:error=EINTR";
    let mut command = traced(site, options, args);
    let child = command.spawn().expect("strace");
    let path = site.path(&format!(".leadclicks-{}-0", child.id()));
    let bytes = fs::metadata(site.db_path()).unwrap().len();
    let deadline = Instant::now() + PATIENCE;
    while fs::metadata(&path).map_or(0, |file| file.len()) < bytes {
        assert!(Instant::now() < deadline, "not written");
        thread::sleep(Duration::from_millis(5));
    }
    (command, child)
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_copy_with_a_temporary_name_is_named_when_its_program_was_killed_and_not_before() {
    for args in [
        &["backup", "copy.db"][..],
        &["reset", "--yes", "--backup", "copy.db"],
    ] {
        let site = site();
        let files = site.files();
        let (command, child) = named_backup_at_fsync(&site, args);
        let copy = site.path(&format!(".leadclicks-{}-0", child.id()));
        assert_eq!(left_over(&site), [""; 0].map(std::path::PathBuf::from));
        signal(&child, "KILL");
        Ran::wait(&command, child);
        let names = [copy.clone()];
        assert_eq!(left_over(&site), names);
        assert_named_by_erasures(&site, &named(&names));
        fs::remove_file(copy).unwrap();
        assert_eq!(site.files(), files);
        assert_eq!(left_over(&site), [""; 0].map(std::path::PathBuf::from));
    }
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn a_copy_with_a_temporary_name_gets_its_own_and_a_signal_removes_it() {
    let options =
        "-o /dev/null -P \"$PWD\" -e trace=openat -e inject=openat:error=EOPNOTSUPP:when=1";
    let site = site();
    let mut files = site.files();
    let ran = Ran::finish(traced(&site, options, &["backup", "copy.db"]), b"");
    ran.assert(0, "backup written to copy.db: 16.38 kB, 3 clicks\n", "");
    files.insert(0, "copy.db".to_owned());
    assert_eq!(site.files(), files);
    assert_eq!(clicks_in(&site, "copy.db"), 3);
    let ran = site.run(&["backup", "copy.db"]);
    assert_eq!(ran.status.code(), Some(1), "{ran}");
    let (command, child) = named_backup_at_fsync(&site, &["backup", "other.db"]);
    signal(&child, "TERM");
    Ran::wait(&command, child);
    assert_eq!(site.files(), files);
}

#[test]
fn files_that_earlier_versions_left_are_named_too() {
    let site = site();
    let mut names: Vec<_> = [".leadclicks-Xa81bQ", ".leadclicks-Xa81bQ-journal"]
        .map(|name| site.write(name, "amy@example.com"))
        .into();
    assert_eq!(left_over(&site), names);
    let wal = site.write("leadclicks.db-wal.left", "amy@example.com");
    let expected = format!(
        "{} may also contain clicks; recover those that you need, then delete it\n{}",
        wal.display(),
        named(&names)
    );
    assert_named_by_erasures(&site, &expected);
    fs::remove_file(names.remove(0)).unwrap();
    assert_eq!(left_over(&site), names);
}

/// The system calls of `leadclicks` that sync, truncate, delete and print.
fn calls(site: &Site, args: &[&str]) -> Vec<String> {
    let options = "-y -o trace -e trace=fsync,fdatasync,ftruncate,unlink,write";
    let ran = Ran::finish(traced(site, options, args), b"");
    assert!(ran.status.success(), "{ran}");
    let calls = String::from_utf8(site.read("trace")).unwrap();
    calls.lines().map(str::to_owned).collect()
}

#[track_caller]
fn position_of_last(calls: &[String], is_it: impl Fn(&str) -> bool) -> usize {
    let position = calls.iter().rposition(|call| is_it(call));
    position.unwrap_or_else(|| panic!("{}", calls.join("\n")))
}

#[test]
#[ignore = "needs strace; tests/run runs it"]
fn what_an_erasure_emptied_or_deleted_is_synced_before_it_says_for_good() {
    const ERASURES: [&[&str]; 3] = [
        &["forget", "amy@example.com", "--yes"],
        &["purge", "--older-than", "2026-11-02", "--yes"],
        &["reset", "--yes"],
    ];
    for args in ERASURES {
        let host_app = Site::new().with_database(HOST_APP).with_database(CLICKS);
        for (site, removal, synced) in [
            (site(), "ftruncate(", "leadclicks.db-wal"),
            // Not in WAL mode: a journal that is back after a power cut undoes the deletion.
            (host_app, "unlink(", ""),
        ] {
            let calls = calls(&site, args);
            let of = |call: &str, name: &str, path: &std::path::Path| {
                call.contains(name) && call.contains(&format!("{}>", path.display()))
            };
            let removed = position_of_last(&calls, |call| {
                call.contains(removal) && (call.contains("-wal>") || call.contains("-journal\""))
            });
            let path = site.path(synced);
            let path = fs::canonicalize(path).unwrap();
            let synced = position_of_last(&calls, |call| {
                of(call, "fsync(", &path) && call.ends_with("= 0")
            });
            let said = position_of_last(&calls, |call| call.contains(" for good"));
            assert!(
                removed < synced && synced < said,
                "{args:?}\n{}",
                calls.join("\n")
            );
        }
    }
}
