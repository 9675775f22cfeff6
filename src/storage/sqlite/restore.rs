//! Replacing the database with a backup.
//!
//! A WAL is read into whatever database has its name, so the old one must never be next to the new database. And SIGKILL may
//! come at any moment. So:
//!
//! 1. The backup is copied to a file without a name, and synced.
//! 2. A lock on the `-wal` file keeps daemons away from then on.
//! 3. The content of the old WAL is copied into the old database, which is complete without it then. The write lock keeps it
//!    so. Only a damaged database may need the WAL still.
//! 4. The `-shm` and `-journal` files are taken away, and the `-wal` file is exchanged for an empty one.
//! 5. The old and the new database are exchanged.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    time::SystemTime,
};

use rusqlite::config::DbConfig;
use rustix::{
    fs::{Access, CWD, RenameFlags, access, renameat_with},
    io::Errno,
    process::geteuid,
};

use super::{
    SqliteDb,
    backup::{CopyError, copy, leave_wal_mode},
    daemon_lock,
    leftovers::BEFORE_RESTORE,
    location::check_location,
    open::check_file_system,
    owned_text, owns, path_with,
};
use crate::{
    interrupt::{CriticalSection, TemporaryFile},
    progress::Progress,
    storage::{Cause, Checkpoint, Error, FILE_MODE},
    timestamp::Timestamp,
};

/// How often the old WAL is emptied again because another program has written meanwhile.
const COMPLETE_TRIES: u32 = 100;

/// How many restores in one second are told apart.
const KEPT_NAMES_MAX: u32 = 100;

/// A backup that was checked, and the database that it replaces.
#[derive(Debug)]
pub(crate) struct Restore {
    source: SqliteDb,
    target: PathBuf,
    /// Whether there is a database at `target`.
    replaces: bool,
}

/// What a person has to know of a database to replace it or to replace another with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DatabaseContent {
    pub(crate) clicks: u64,
    /// When the newest click happened; none without clicks, or if its time can't be read.
    pub(crate) newest: Option<Timestamp>,
}

/// A database that was restored.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// The old database, and its WAL if that is still needed.
    pub(crate) kept: Vec<PathBuf>,
}

impl Restore {
    /// Checks that `backup` is an undamaged database with a table of clicks, and that it may replace the one at `db`, which
    /// need not exist. Changes nothing.
    ///
    /// # Errors
    /// If not; with the path of the file that is the reason.
    pub(crate) fn prepare(backup: &Path, db: &Path) -> Result<Self, Error> {
        let (target, replaces) = find_target(db)?;
        if owns(&target, backup) {
            let reason =
                "it belongs to the database that it would replace; give the path of a backup";
            return Err(Error::new(backup, Cause::NotABackup(reason.to_owned())));
        }
        let source = SqliteDb::open_backup(backup).map_err(Error::of_backup)?;
        check_content(&source).map_err(Error::of_backup)?;
        let restore = Self {
            source,
            target,
            replaces,
        };
        restore.check_target()?;
        Ok(restore)
    }

    /// The path of the database that is replaced, absolute and without links.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// What the backup contains.
    ///
    /// # Errors
    /// If it can't be read.
    pub(crate) fn backup_content(&self) -> Result<DatabaseContent, Error> {
        content(&self.source).map_err(Error::of_backup)
    }

    /// When the file of the backup was last written.
    pub(crate) fn backup_time(&self) -> Option<SystemTime> {
        fs::metadata(self.source.path())
            .and_then(|file| file.modified())
            .ok()
    }

    /// What the database contains that is replaced; none if there is none.
    ///
    /// # Errors
    /// If it can't be read, as is likely if it is damaged.
    pub(crate) fn current_content(&self) -> Option<Result<DatabaseContent, Error>> {
        self.replaces
            .then(|| content(&SqliteDb::open_for_report(&self.target)?))
    }

    /// Checks that no daemon runs on the database.
    ///
    /// # Errors
    /// If one does.
    pub(crate) fn check_no_daemon(&self) -> Result<(), Error> {
        let wal = path_with(&self.target, "-wal");
        if is_regular(&wal)? && daemon_lock::is_held(&wal).unwrap_or(false) {
            return Err(self.in_use());
        }
        Ok(())
    }

    /// Replaces the database. Whatever happens, the old or the new one is at its path. `now` is in the name of the old one.
    /// Reports the progress of the copy in bytes.
    ///
    /// # Errors
    /// If a daemon runs, if another program uses the database for too long, or if a file can't be written or renamed. Then
    /// the old database is in place. Also if the new one is, but can't be synced; the error says so.
    pub(crate) fn run(
        self,
        now: Timestamp,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Restored, Error> {
        self.check_no_daemon()?;
        let failed = |error: io::Error| self.failed(&error);
        let new = self.new_file().map_err(failed)?;
        copy(&self.source, new.as_file(), progress).map_err(|error| match error {
            CopyError::Read(error) => Error::new(self.source.path(), error.into()).of_backup(),
            CopyError::Write(error) => failed(error),
        })?;
        new.as_file().sync_all().map_err(failed)?;
        let bytes = new.as_file().metadata().map_err(failed)?.len();

        let critical = CriticalSection::begin();
        // Held until the end.
        let wal = self.lock_out_daemons()?;
        let old = self.complete_old()?;
        let exchanged = self.exchange(new, &wal, now).map_err(failed)?;
        critical.hold_until_reported();
        let cleaned = self.clean_up(&exchanged);
        drop(old);
        let kept = exchanged.kept();
        match cleaned {
            Ok(()) => Ok(Restored { bytes, kept }),
            Err(reason) => Err(Error::new(&self.target, Cause::NotSynced { reason, kept })),
        }
    }

    fn check_target(&self) -> Result<(), Error> {
        check_location(&self.target)?;
        let directory = self.directory();
        check_file_system(directory)?;
        let owner = self
            .owner()
            .map_err(|error| Error::unusable(&self.target, error))?;
        let may_write = access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok();
        if !may_write || !(geteuid().is_root() || owner.uid == geteuid().as_raw()) {
            return Err(Error::new(&self.target, Cause::ReadOnly));
        }
        Ok(())
    }

    fn directory(&self) -> &Path {
        self.target.parent().unwrap_or(Path::new("/"))
    }

    /// That of the old database. The first database of a directory belongs to the directory's owner, if root restores it.
    fn owner(&self) -> io::Result<Owner> {
        if self.replaces {
            let old = fs::metadata(&self.target)?;
            return Ok(Owner {
                uid: old.uid(),
                gid: old.gid(),
                mode: old.mode() & 0o777,
            });
        }
        let directory = fs::metadata(self.directory())?;
        let user = geteuid();
        Ok(Owner {
            uid: if user.is_root() {
                directory.uid()
            } else {
                user.as_raw()
            },
            gid: directory.gid(),
            mode: FILE_MODE,
        })
    }

    /// A file next to the database with its owner and mode.
    fn new_file(&self) -> io::Result<TemporaryFile> {
        let owner = self.owner()?;
        let new = TemporaryFile::new(self.directory(), FILE_MODE)?;
        let file = new.as_file();
        let made = file.metadata()?;
        // Another user's new file gets the group that the system gives it.
        let is_given = self.replaces || geteuid().is_root();
        if is_given && (made.uid(), made.gid()) != (owner.uid, owner.gid) {
            fchown(file, Some(owner.uid), Some(owner.gid))?;
        }
        file.set_permissions(fs::Permissions::from_mode(owner.mode))?;
        Ok(new)
    }

    /// An empty `-wal` file with this name, which daemons are kept away from until it is closed.
    fn new_wal(&self, name: &Path) -> io::Result<File> {
        let new = self.new_file()?;
        let wal = new.as_file().try_clone()?;
        // A file system may have no locks.
        let _ = daemon_lock::hold_alone(&wal);
        new.persist_noclobber(name)?;
        Ok(wal)
    }

    fn lock_out_daemons(&self) -> Result<Wal, Error> {
        let wal = path_with(&self.target, "-wal");
        if !is_regular(&wal)? {
            let made = self.new_wal(&wal).map_err(|error| self.failed(&error))?;
            return Ok(Wal::New(made));
        }
        let file = File::open(&wal).map_err(|error| Error::unusable(&wal, error))?;
        if daemon_lock::hold_alone(&file) {
            Ok(Wal::Old(file))
        } else {
            Err(self.in_use())
        }
    }

    /// Copies the WAL of the old database into it, and keeps other programs from writing until the result is dropped. None if
    /// there is no database, or if it is too damaged.
    fn complete_old(&self) -> Result<Option<SqliteDb>, Error> {
        if !self.replaces {
            return Ok(None);
        }
        match self.try_complete_old() {
            Ok(old) => Ok(Some(old)),
            Err(error) if error.is_about_content() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn try_complete_old(&self) -> Result<SqliteDb, Error> {
        let old = SqliteDb::open_to_replace(&self.target)?;
        old.run(|conn| conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true))?;
        let wal = path_with(&self.target, "-wal");
        for _ in 0..COMPLETE_TRIES {
            if old.empty_wal()? == Checkpoint::Busy {
                break;
            }
            old.run(|conn| conn.execute_batch("BEGIN IMMEDIATE"))?;
            if fs::metadata(&wal).map_or(0, |wal| wal.len()) == 0 {
                return Ok(old);
            }
            old.run(|conn| conn.execute_batch("ROLLBACK"))?;
        }
        let busy = "another program reads or writes it; end that program, and try again";
        Err(self.not_replaced(busy.to_owned()))
    }

    /// Exchanges the old files for the new ones. If that fails, the old ones are in place.
    fn exchange(&self, new: TemporaryFile, wal: &Wal, now: Timestamp) -> io::Result<Exchanged> {
        let directory = File::open(self.directory())?;
        let kept = self.kept_name(now)?;
        let [path, journal, kept_wal, kept_journal] = [
            path_with(&self.target, "-wal"),
            path_with(&self.target, "-journal"),
            path_with(&kept, "-wal"),
            path_with(&kept, "-journal"),
        ];
        // Until the exchange, this name is that of the new database.
        new.persist_noclobber(&kept)?;
        let exchanged = || {
            // The programs that have the index of the old WAL open keep using it by their descriptors.
            remove(&path_with(&self.target, "-shm"))?;
            // The journal of an unfinished transaction would be rolled back in the new database.
            match fs::rename(&journal, &kept_journal) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let new_wal = match wal {
                Wal::New(_) => None,
                Wal::Old(_) => {
                    let new_wal = self.new_wal(&kept_wal)?;
                    swap(&kept_wal, &path)?;
                    Some(new_wal)
                }
            };
            let done = directory.sync_all().and_then(|()| {
                if self.replaces {
                    swap(&kept, &self.target)
                } else {
                    fs::rename(&kept, &self.target)
                }
            });
            if done.is_err() && matches!(wal, Wal::Old(_)) {
                swap(&kept_wal, &path)?;
            }
            done.map(|()| new_wal)
        };
        let new_wal = exchanged().inspect_err(|_| {
            // The old files are in place, and these are new.
            let _ = fs::remove_file(&kept);
            let _ = remove_empty(&kept_wal);
            let _ = fs::rename(&kept_journal, &journal);
        })?;
        Ok(Exchanged {
            directory,
            names: [kept, kept_wal, kept_journal],
            new_wal,
        })
    }

    /// Removes what is left of the exchange, and syncs it.
    fn clean_up(&self, exchanged: &Exchanged) -> io::Result<()> {
        let [kept, kept_wal, _] = &exchanged.names;
        // A program that opened the old database a moment ago has made another.
        remove(&path_with(&self.target, "-shm"))?;
        remove_empty(kept_wal)?;
        if self.replaces && !kept_wal.exists() {
            // It is complete, so whoever may read it need not write next to it. If this fails, only its owner can open it.
            let _ = leave_wal_mode(kept);
        }
        exchanged.directory.sync_all()
    }

    fn kept_name(&self, now: Timestamp) -> io::Result<PathBuf> {
        let time = now.rfc3339().to_string();
        let (seconds, _) = time.split_once('.').unwrap_or((&time, ""));
        let seconds: String = seconds.chars().filter(|c| !"-:Z".contains(*c)).collect();
        let name = |number| match number {
            1 => format!("{BEFORE_RESTORE}{seconds}Z"),
            number => format!("{BEFORE_RESTORE}{seconds}Z-{number}"),
        };
        let is_free = |path: &PathBuf| {
            ["", "-wal", "-journal"]
                .iter()
                .all(|suffix| fs::symlink_metadata(path_with(path, suffix)).is_err())
        };
        (1..=KEPT_NAMES_MAX)
            .map(|number| path_with(&self.target, &name(number)))
            .find(is_free)
            .ok_or_else(|| ErrorKind::AlreadyExists.into())
    }

    fn in_use(&self) -> Error {
        let running = "leadclicksd runs on it; stop the daemon first, and its socket if it has one";
        self.not_replaced(running.to_owned())
    }

    fn failed(&self, error: &io::Error) -> Error {
        self.not_replaced(format!("{error}; check the disk and its free space"))
    }

    fn not_replaced(&self, reason: String) -> Error {
        Error::new(&self.target, Cause::NotReplaced(reason))
    }
}

struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// The new files are in place.
struct Exchanged {
    /// That of the database.
    directory: File,
    /// Those that the old database, its `-wal` and its `-journal` file have now.
    names: [PathBuf; 3],
    /// The new `-wal` file.
    #[expect(dead_code, reason = "dropping it lets daemons start")]
    new_wal: Option<File>,
}

impl Exchanged {
    /// The old files that exist.
    fn kept(&self) -> Vec<PathBuf> {
        let is_there = |name: &&PathBuf| name.exists();
        self.names.iter().filter(is_there).cloned().collect()
    }
}

/// The `-wal` file by which daemons are kept away, which closing it would end.
enum Wal {
    Old(#[expect(dead_code, reason = "dropping it releases the lock")] File),
    New(#[expect(dead_code, reason = "dropping it releases the lock")] File),
}

/// The path without links, and whether there is a file.
fn find_target(db: &Path) -> Result<(PathBuf, bool), Error> {
    let unusable = |error| Error::unusable(db, error);
    match fs::canonicalize(db) {
        Ok(path) if path.is_file() => return Ok((path, true)),
        Ok(path) => return Err(Error::new(&path, Cause::NotAFile)),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(unusable(error)),
        Err(_) if db.is_symlink() => {
            return Err(unusable(io::Error::other("it is a broken symbolic link")));
        }
        Err(_) => {}
    }
    let path = std::path::absolute(db).map_err(unusable)?;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::new(db, Cause::NotAFile));
    };
    let directory = fs::canonicalize(directory).map_err(unusable)?;
    Ok((directory.join(name), false))
}

fn check_content(source: &SqliteDb) -> Result<(), Error> {
    source.check_clicks()?;
    let fault: String =
        source.run(|conn| conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)))?;
    if fault == "ok" {
        return Ok(());
    }
    Err(source.error(Cause::NotABackup(format!(
        "it is damaged ({fault}); choose another backup"
    ))))
}

fn content(db: &SqliteDb) -> Result<DatabaseContent, Error> {
    db.run(|conn| {
        conn.query_row(
            "SELECT count(*), max(created_at) FROM lead_clicks",
            [],
            |row| {
                Ok(DatabaseContent {
                    clicks: row.get(0)?,
                    newest: Timestamp::parse_stored(&owned_text(row.get_ref(1)?)),
                })
            },
        )
    })
}

/// Whether there is a file at `path`.
fn is_regular(path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => Err(Error::new(path, Cause::NotAFile)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::unusable(path, error)),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_empty(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.len() == 0 => fs::remove_file(path),
        _ => Ok(()),
    }
}

/// Exchanges the names of two files, in one step where the file system can do that. Otherwise `second` has, for a moment, both
/// names, so that there is always a file at its path.
fn swap(first: &Path, second: &Path) -> io::Result<()> {
    match renameat_with(CWD, first, CWD, second, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        renamed => return Ok(renamed?),
    }
    let other = path_with(first, "-old");
    fs::hard_link(second, &other)?;
    if let Err(error) = fs::rename(first, second) {
        fs::remove_file(&other)?;
        return Err(error);
    }
    // Now they are exchanged, even if the old one keeps the other name.
    let _ = fs::rename(&other, first);
    Ok(())
}
