//! Permissions of the database: its owner, the daemon, may write; its group may read; others may do neither.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    support::{Daemon, Ran, Site, mode},
    watch::Watcher,
};

const DATABASE_FILES: [&str; 3] = ["leadclicks.db", "leadclicks.db-shm", "leadclicks.db-wal"];

/// Users and a group that need not exist to own files and processes.
const DAEMON_USER: u32 = 64_001;
const READING_USER: u32 = 64_002;
const GROUP: u32 = 64_003;
const OTHER_GROUP: u32 = 64_004;

/// The modes of the three database files, which must all be there.
fn modes(site: &Site) -> [u32; 3] {
    DATABASE_FILES.map(|name| mode(&site.path(name)))
}

/// A server on which the daemon and an admin who reads its database are different users.
///
/// Only root can run programs as other users. Another user plays both parts: without the right to write, or to read, the
/// files and the directory, that user gets the same refusals.
struct Server {
    site: Site,
    programs: TempDir,
    is_root: bool,
}

impl Server {
    fn new() -> Self {
        let site = Site::new();
        // Copied, because the programs may have been built where other users can't go; by another process,
        // because a program can't be started while a child that some test forks has it open for writing.
        let programs = TempDir::new().expect("a temporary directory");
        set_mode(programs.path(), 0o755);
        let copied = Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_leadclicks"))
            .arg(env!("CARGO_BIN_EXE_leadclicksd"))
            .arg(programs.path())
            .status()
            .expect("cp");
        assert!(copied.success());
        let is_root = fs::metadata(programs.path()).unwrap().uid() == 0;
        if is_root {
            chown(
                site.db_path().parent().unwrap(),
                Some(DAEMON_USER),
                Some(GROUP),
            )
            .unwrap();
        } else {
            eprintln!(
                "not root: the files' owner, without the right to write them, acts as a member of their group"
            );
        }
        Self {
            site,
            programs,
            is_root,
        }
    }

    fn with_directory_mode(mode: u32) -> Self {
        let server = Self::new();
        set_mode(&server.directory(), mode);
        server
    }

    fn directory(&self) -> PathBuf {
        self.site.db_path().parent().unwrap().to_owned()
    }

    fn command_as(&self, user: u32, group: u32, program: &str) -> Command {
        let program = self.programs.path().join(program);
        if !self.is_root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={group}"))
            .arg("--clear-groups")
            .arg(program);
        command
    }

    fn daemon(&self) -> Daemon {
        let command = self.command_as(DAEMON_USER, GROUP, "leadclicksd");
        Daemon::start_as(command, &self.site, &[])
    }

    fn run_as(&self, group: u32, args: &[&str]) -> Ran {
        Ran::finish(self.reader(group, args), b"")
    }

    /// `leadclicks` as a user who reads the database, if at all, by its group.
    fn reader(&self, group: u32, args: &[&str]) -> Command {
        let mut command = self.command_as(READING_USER, group, "leadclicks");
        command
            .args(args)
            .arg("--db")
            .arg(self.site.db_path())
            .current_dir("/")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `leadclicks` as a user who is only in the group of the database.
    fn run_as_member(&self, args: &[&str]) -> Ran {
        if self.is_root {
            self.run_as(GROUP, args)
        } else {
            self.without(0o222, 0o222, || self.run_as(GROUP, args))
        }
    }

    /// Runs `leadclicks` as a user without any permission on the database.
    fn run_as_stranger(&self, args: &[&str]) -> Ran {
        if self.is_root {
            self.run_as(OTHER_GROUP, args)
        } else {
            let may_enter = mode(&self.directory()) & 0o001 != 0;
            let of_directory = if may_enter { 0o222 } else { 0o777 };
            self.without(0o777, of_directory, || self.run_as(OTHER_GROUP, args))
        }
    }

    /// Does `work` while these rights to the database files and their directory are withdrawn from everyone.
    fn without<T>(&self, of_files: u32, of_directory: u32, work: impl FnOnce() -> T) -> T {
        let directory = self.directory();
        let files = DATABASE_FILES.map(|name| self.site.path(name));
        let paths: Vec<_> = files.iter().filter(|path| path.exists()).collect();
        let modes_before: Vec<u32> = paths.iter().map(|path| mode(path)).collect();
        let directory_before = mode(&directory);
        for (path, mode) in paths.iter().zip(&modes_before) {
            set_mode(path, mode & !of_files);
        }
        set_mode(&directory, directory_before & !of_directory);
        let done = work();
        set_mode(&directory, directory_before);
        for (path, mode) in paths.iter().zip(&modes_before) {
            set_mode(path, *mode);
        }
        done
    }

    /// Everything in the directory is the daemon's, and it can write it.
    #[track_caller]
    fn assert_the_daemon_owns_all(&self) {
        assert_eq!(
            self.site.files(),
            [&DATABASE_FILES[..], &["leadclicksd.log"]].concat()
        );
        let owner = if self.is_root {
            DAEMON_USER
        } else {
            fs::metadata(self.programs.path()).unwrap().uid()
        };
        for name in DATABASE_FILES {
            let metadata = fs::metadata(self.site.path(name)).unwrap();
            assert_eq!(metadata.uid(), owner, "{name}");
        }
        assert_eq!(modes(&self.site), [0o640; 3]);
        assert_eq!(self.daemon().post("last@example.com", "x", "").status, 202);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_group_may_read_and_nobody_else_whatever_the_umask() {
    for umask in ["000", "022", "077"] {
        let site = Site::new();
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_leadclicksd"));
        let daemon = Daemon::start_as(command, &site, &[]);
        assert_eq!(daemon.post("a@example.com", "jdoe", "").status, 202);
        assert_eq!(modes(&site), [0o640; 3], "umask {umask}, daemon up");
        assert!(daemon.stop().0.success());
        assert_eq!(modes(&site), [0o640; 3], "umask {umask}, daemon down");
    }
}

#[test]
fn a_member_of_the_group_watches_on_while_a_backup_is_restored_by_hand() {
    let server = Server::with_directory_mode(0o750);
    let (site, db) = (&server.site, server.site.db_path());
    let daemon = server.daemon();
    let watcher = Watcher::start(server.reader(GROUP, &["watch", "--since", "2000-01-01"]));
    assert_eq!(daemon.post("a@example.com", "jdoe", "").status, 202);
    assert_eq!(watcher.click(), "a@example.com  jdoe");
    assert!(daemon.stop().0.success());
    // As docs/deployment.md says ("Restore"), and as slowly as somebody types: longer than a watch waits if there is no
    // database. A user who is not root watches as the owner, who must not be able to write either.
    set_mode(&db, 0o440);
    for name in ["leadclicks.db-wal", "leadclicks.db-shm"] {
        fs::remove_file(site.path(name)).unwrap();
    }
    thread::sleep(Duration::from_secs(7));
    set_mode(&db, 0o640);
    let daemon = server.daemon();
    assert_eq!(daemon.post("b@example.com", "jdoe", "").status, 202);
    assert_eq!(watcher.click(), "b@example.com  jdoe");
    drop(daemon);
    server.assert_the_daemon_owns_all();
}

#[test]
fn a_member_of_the_group_may_take_a_backup() {
    let server = Server::with_directory_mode(0o750);
    let daemon = server.daemon();
    assert_eq!(daemon.post("a@example.com", "jdoe", "").status, 202);
    let backups = TempDir::new().expect("a temporary directory");
    set_mode(backups.path(), 0o777);
    for (name, daemon) in [("up.db", Some(daemon)), ("stopped.db", None)] {
        let backup = backups.path().join(name);
        let backup = backup.to_str().unwrap();
        let said = format!("backup written to {backup}: 16.38 kB, 1 click\n");
        server
            .run_as_member(&["backup", backup])
            .assert(0, &said, "");
        if let Some(daemon) = daemon {
            assert!(daemon.stop().0.success());
        }
    }
    server.assert_the_daemon_owns_all();
}

#[test]
fn a_member_of_the_group_reads_a_backup_that_is_next_to_the_database() {
    let server = Server::with_directory_mode(0o750);
    let daemon = server.daemon();
    assert_eq!(daemon.post("a@example.com", "jdoe", "").status, 202);
    let backup = server.site.path("backup.db");
    let mut command = server.command_as(DAEMON_USER, GROUP, "leadclicks");
    command
        .arg("backup")
        .arg(&backup)
        .arg("--db")
        .arg(server.site.db_path());
    let ran = Ran::of(command);
    assert!(ran.status.success(), "{ran}");
    assert!(daemon.stop().0.success());
    for args in [&["report", "--by-email"][..], &["check", "--offline"]] {
        let mut command = server.command_as(READING_USER, GROUP, "leadclicks");
        command.args(args).arg("--db").arg(&backup);
        let read = || Ran::of(command);
        let ran = if server.is_root {
            read()
        } else {
            server.without(0o222, 0o222, read)
        };
        assert!(ran.status.success(), "{ran}");
    }
    // Nothing was created next to it.
    fs::remove_file(backup).unwrap();
    server.assert_the_daemon_owns_all();
}

#[test]
fn a_restored_database_belongs_to_the_owner_of_the_old_one() {
    let server = Server::with_directory_mode(0o750);
    let (site, db) = (&server.site, server.site.db_path());
    let backups = TempDir::new().expect("a temporary directory");
    let backup = backups.path().join("backup.db");
    let restore = ["restore", backup.to_str().unwrap(), "--yes"];
    let daemon = server.daemon();
    assert_eq!(daemon.post("a@example.com", "jdoe", "").status, 202);
    site.stdout_of(&["backup", backup.to_str().unwrap()]);
    assert_eq!(daemon.post("b@example.com", "jdoe", "").status, 202);
    assert!(daemon.stop().0.success());
    let error = format!(
        "leadclicks: {}: no permission to write; run as its owner\n",
        db.display()
    );
    set_mode(backups.path(), 0o755);
    set_mode(&backup, 0o644);
    if server.is_root {
        server.run_as_member(&restore).assert(1, "", &error);
        set_mode(&server.directory(), 0o770);
        server.run_as_member(&restore).assert(1, "", &error);
        set_mode(&server.directory(), 0o750);
    }
    // The second time, there is no old one: then to that of the directory.
    for _ in 0..2 {
        let ran = site.run(&restore);
        assert!(ran.status.success(), "{ran}");
        let ran = server.run_as_member(&["report", "--by-email", "--format", "csv"]);
        assert!(
            ran.status.success() && ran.stdout.lines().count() == 2,
            "{ran}"
        );
        for name in site.files() {
            if name.contains(".before-restore-") {
                fs::remove_file(site.path(&name)).unwrap();
            }
        }
        assert!(server.daemon().stop().0.success());
        server.assert_the_daemon_owns_all();
        for name in DATABASE_FILES {
            fs::remove_file(site.path(name)).unwrap();
        }
    }
}

#[test]
fn a_host_apps_file_keeps_its_mode_and_gives_it_to_the_files_beside_it() {
    let site = Site::new().with_schema("");
    fs::set_permissions(site.db_path(), fs::Permissions::from_mode(0o660)).unwrap();
    for name in &DATABASE_FILES[1..] {
        // The connection that created the database has removed these files.
        assert!(!site.path(name).exists());
    }
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("a@example.com", "jdoe", "").status, 202);
    assert_eq!(modes(&site), [0o660; 3]);
}

#[test]
fn a_member_of_the_group_reads_with_the_daemon_up_stopped_and_killed() {
    for directory_mode in [0o750, 0o770] {
        let server = Server::with_directory_mode(directory_mode);
        let assert_read = |state: &str, emails: &[&str]| {
            let ran = server.run_as_member(&["report", "--expert", "jdoe", "--format", "csv"]);
            assert!(ran.status.success(), "{state}\n{ran}");
            let read: Vec<&str> = ran
                .stdout
                .lines()
                .skip(1)
                .map(|line| line.split(',').next().unwrap())
                .collect();
            assert_eq!(read, emails, "{state}, directory {directory_mode:o}");
        };
        let daemon = server.daemon();
        assert_read("up and empty", &[]);
        assert_eq!(daemon.post("a@example.com", "jdoe", "").status, 202);
        assert_read("up", &["a@example.com"]);
        assert!(daemon.stop().0.success());
        assert_read("stopped", &["a@example.com"]);
        let daemon = server.daemon();
        assert_eq!(daemon.post("b@example.com", "jdoe", "").status, 202);
        daemon.kill();
        assert_read("killed", &["b@example.com", "a@example.com"]);
        server.assert_the_daemon_owns_all();
    }
}

#[test]
fn a_member_of_the_group_never_makes_the_files_that_the_daemon_must_write() {
    for directory_mode in [0o750, 0o770] {
        let server = Server::with_directory_mode(directory_mode);
        let daemon = server.daemon();
        assert_eq!(daemon.post("a@example.com", "jdoe", "").status, 202);
        assert!(daemon.stop().0.success());
        // As after a host app was the last to close the database.
        for name in &DATABASE_FILES[1..] {
            fs::remove_file(server.site.path(name)).unwrap();
        }
        let error = format!(
            "leadclicks: {}: its -wal and -shm files are missing, and only a user who can write the database \
             can create them; start leadclicksd, or run this as its owner; if it is a backup or a copy, make a new one \
             with leadclicks backup\n",
            server.site.db_path().display()
        );
        server
            .run_as_member(&["report", "--by-email"])
            .assert(1, "", &error);
        assert_eq!(server.site.files(), ["leadclicks.db", "leadclicksd.log"]);
        assert!(server.daemon().stop().0.success());
        server.assert_the_daemon_owns_all();
    }
}

#[test]
fn a_member_of_the_group_checks_what_who_reads_can_see() {
    let server = Server::with_directory_mode(0o750);
    let daemon = server.daemon();
    let ran = server.run_as_member(&["check"]);
    assert!(
        ran.status.success() && !ran.stdout.contains(" lock "),
        "{ran}"
    );
    assert!(daemon.stop().0.success());
    server.assert_the_daemon_owns_all();
}

#[test]
fn a_member_of_the_group_can_change_nothing() {
    let server = Server::with_directory_mode(0o770);
    let daemon = server.daemon();
    assert_eq!(daemon.post("a@example.com", "jdoe", "").status, 202);
    let experts = server.programs.path().join("experts.csv");
    fs::write(&experts, "username,first_name,last_name\njdoe,Jane,Doe\n").unwrap();
    for args in [
        &["reset", "--yes"][..],
        &["experts", "import", experts.to_str().unwrap()],
    ] {
        let ran = server.run_as_member(args);
        let error = format!(
            "leadclicks: {}: no permission to write; run as its owner\n",
            server.site.db_path().display()
        );
        assert_eq!((ran.status.code(), &ran.stderr), (Some(1), &error), "{ran}");
    }
    // A dry run is allowed.
    for args in [
        &["reset", "--dry-run"][..],
        &["forget", "a@example.com", "--dry-run"],
        &["purge", "--older-than", "1d", "--dry-run"],
    ] {
        let ran = server.run_as_member(args);
        assert!(ran.status.success(), "{ran}");
    }
    assert_eq!(server.site.clicks().len(), 1);
    assert!(daemon.stop().0.success());
    server.assert_the_daemon_owns_all();
}

#[test]
fn a_stranger_gets_a_one_line_error_and_leaves_nothing_behind() {
    for directory_mode in [0o750, 0o755] {
        let server = Server::with_directory_mode(directory_mode);
        let error = format!(
            "leadclicks: {}: no permission to open it; run as its owner or as a member of its group\n",
            server.site.db_path().display()
        );
        let daemon = server.daemon();
        assert_eq!(daemon.post("a@example.com", "jdoe", "").status, 202);
        let report = ["report", "--by-email"];
        server.run_as_stranger(&report).assert(1, "", &error);
        assert!(daemon.stop().0.success());
        server.run_as_stranger(&report).assert(1, "", &error);
        server.assert_the_daemon_owns_all();
    }
}
