//! Whether the database's files were moved, replaced or deleted while open, and how to lose nothing then.
//!
//! SQLite finds a WAL by its name next to the database. If files are moved, replaced or deleted while a program has them
//! open, they no longer belong together: a click would be stored where nobody looks for it, or a WAL would be read into
//! another database
//! ([How to corrupt](https://sqlite.org/howtocorrupt.html#unlinking_or_renaming_a_database_file_while_in_use)).

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rusqlite::{FileControl, config::DbConfig};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::{SqliteDb, daemon_lock, location::has_second_name, path_with};
use crate::storage::{Cause, Checkpoint, Error, error::reason};

const STILL_READ: &str = "the database file was moved, replaced or deleted while another program reads it; end that program";

/// An open database whose files are watched.
pub(super) struct TrackedDatabase {
    pub(super) db: SqliteDb,
    /// After `db`, so that it is closed later: closing any descriptor of the database releases all locks of the process on
    /// it, including SQLite's.
    files: Files,
}

struct Files {
    main: File,
    wal_file: File,
    wal: SideFile,
    shm: SideFile,
    /// When a program that knows the WAL open here last changed the database file.
    changed: SystemTime,
}

/// A file that SQLite keeps next to the database.
struct SideFile {
    path: PathBuf,
    identity: Identity,
}

/// A file's device, as two numbers, and its inode.
type Identity = (u32, u32, u64);

/// Which of the open files are no longer at their paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileState {
    InPlace,
    /// The database was moved or deleted; its WAL may be in place, moved or deleted.
    DatabaseMoved,
    /// The database is in place, and its WAL is not.
    WalMoved,
    /// The database and its WAL are in place, and the index of the WAL is not.
    ShmMoved,
}

/// Whether the content of a WAL is saved, after files of its database were moved, replaced or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WalContent {
    /// It is in the database file, or still in the WAL for the next program that opens the database.
    Saved,
    /// It must no longer be copied into the database file.
    Abandoned,
}

impl TrackedDatabase {
    /// `db` must have been read from, which creates the missing files next to it. Syncs the WAL: another program may have been
    /// killed between a commit and its fsync. Holds the [`daemon_lock`].
    ///
    /// # Errors
    /// If the files can't be opened or synced, or another program keeps daemons away.
    pub(super) fn new(db: SqliteDb) -> Result<Self, Error> {
        let opened = Files::open(&db).and_then(|files| {
            files.wal_file.sync_all()?;
            Ok(files)
        });
        match opened {
            Ok(files) if daemon_lock::hold(&files.wal_file) => Ok(Self { db, files }),
            Ok(_) => Err(db.error(Cause::HeldAlone)),
            Err(error) => Err(Error::unusable(db.path(), error)),
        }
    }

    pub(super) fn file_state(&self) -> rusqlite::Result<FileState> {
        let mut has_moved = 0;
        let conn = self.db.conn();
        conn.file_control(None::<&str>, FileControl::HasMoved(&mut has_moved))?;
        Ok(if has_moved != 0 {
            FileState::DatabaseMoved
        } else if !self.files.wal.is_in_place() {
            FileState::WalMoved
        } else if !self.files.shm.is_in_place() {
            FileState::ShmMoved
        } else {
            FileState::InPlace
        })
    }

    /// Checks that the database has no second name. All else that would hide its clicks needs other files, and so a
    /// [`FileState`] that is not `InPlace`.
    ///
    /// # Errors
    /// The reason, if it has.
    pub(super) fn check_name(&self) -> Result<(), String> {
        match has_second_name(&self.files.main) {
            Ok(false) => Ok(()),
            Ok(true) => Err(self.db.error(Cause::SecondName).to_string()),
            Err(error) => Err(Error::unusable(self.db.path(), error).to_string()),
        }
    }

    /// Must be called after each commit, and whenever all files are in place: what changed the database until then knew its
    /// WAL.
    pub(super) fn note_change(&mut self) {
        if let Ok(changed) = self.files.last_change() {
            self.files.changed = changed;
        }
    }

    /// Copies the content of the WAL into the database file, wherever that is now, unless that would destroy other data.
    ///
    /// # Errors
    /// The reason, if that can't be done at the moment.
    pub(super) fn save_wal_content(&mut self, file_state: FileState) -> Result<WalContent, String> {
        if file_state == FileState::ShmMoved {
            // Another program may have created its own index of the same WAL and appended to it, which is unknown here.
            self.close_without_checkpoint()?;
            return Ok(WalContent::Saved);
        }
        if self.is_bypassed(file_state) {
            self.close_without_checkpoint()?;
            return Ok(WalContent::Abandoned);
        }
        let checkpoint = self.db.checkpoint(Duration::ZERO);
        // An unfinished checkpoint has changed the file too.
        self.note_change();
        match checkpoint {
            Ok(Checkpoint::Finished) => Ok(WalContent::Saved),
            Ok(Checkpoint::Busy) => Err(STILL_READ.to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether another program may have written to the database without the WAL that is open here. Copying this WAL over
    /// what that program wrote would corrupt the database.
    fn is_bypassed(&self, file_state: FileState) -> bool {
        let Ok(changed) = self.files.last_change() else {
            return true;
        };
        // As long as the WAL has a name, a program that opens the database finds it, unless only the database was moved.
        let wal_has_name = self
            .files
            .wal_file
            .metadata()
            .is_ok_and(|wal| wal.nlink() > 0);
        let is_known =
            file_state == FileState::DatabaseMoved && wal_has_name && !self.files.wal.is_in_place();
        let has_new_wal = file_state == FileState::WalMoved
            && fs::metadata(&self.files.wal.path).is_ok_and(|wal| wal.len() > 0);
        has_new_wal || (!is_known && changed != self.files.changed)
    }

    fn close_without_checkpoint(&self) -> Result<(), String> {
        self.db
            .conn()
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map(|_| ())
            .map_err(|error| reason(&error))
    }

    /// Prepares for opening the database that is at the path now: saves the content of the WAL, and leaves no WAL of this
    /// database next to the other one. After that, this database can only be dropped.
    ///
    /// # Errors
    /// The reason, if that can't be done at the moment.
    pub(super) fn release(&mut self) -> Result<(), String> {
        let file_state = self.file_state().map_err(|error| reason(&error))?;
        let wal_content = self.save_wal_content(file_state)?;
        if file_state == FileState::DatabaseMoved {
            // Other programs that have the old files open keep using them by their descriptors.
            self.files.move_away();
        }
        if wal_content == WalContent::Abandoned {
            tracing::error!(
                "another program changed the database without its WAL, which was deleted or left behind; clicks that were \
                 only in the old WAL are lost, except those saved in a file whose name ends in -wal.left"
            );
        }
        Ok(())
    }

    /// Empties the WAL without waiting for other programs, and closes the database.
    ///
    /// # Errors
    /// If the database can't be written to.
    pub(super) fn close(mut self) -> Result<Checkpoint, Error> {
        if matches!(self.file_state(), Ok(FileState::InPlace) | Err(_)) {
            return self.db.checkpoint(Duration::ZERO);
        }
        // A WAL of this database next to another one would be read into that.
        if let Err(reason) = self.release() {
            tracing::error!(
                reason,
                "cannot save the content of the WAL after the database was moved, replaced or deleted"
            );
        }
        Ok(Checkpoint::Busy)
    }
}

impl Files {
    fn open(db: &SqliteDb) -> io::Result<Self> {
        let main = File::open(db.path())?;
        let wal = SideFile::find(db, "-wal")?;
        Ok(Self {
            changed: main.metadata()?.modified()?,
            wal_file: File::open(&wal.path)?,
            shm: SideFile::find(db, "-shm")?,
            main,
            wal,
        })
    }

    fn last_change(&self) -> io::Result<SystemTime> {
        self.main.metadata()?.modified()
    }

    /// Removes the files of this database that are next to the one at the path now. A WAL that is not empty is renamed; its
    /// index can be rebuilt from it.
    fn move_away(&self) {
        if self.shm.is_in_place() {
            log_failure(fs::remove_file(&self.shm.path));
        }
        if self.wal.is_in_place() {
            let is_empty = self.wal_file.metadata().is_ok_and(|wal| wal.len() == 0);
            log_failure(if is_empty {
                fs::remove_file(&self.wal.path)
            } else {
                fs::rename(&self.wal.path, path_with(&self.wal.path, ".left"))
            });
        }
    }
}

fn log_failure(moved: io::Result<()>) {
    if let Err(error) = moved {
        tracing::error!(%error, "cannot move a file of the replaced database away");
    }
}

/// The identities of a database file and of the files next to it. A reader compares them to notice replaced files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileIdentities([Option<Identity>; 3]);

impl FileIdentities {
    /// Those of the database at the path `db`, and of its `-wal` and `-shm`; none for missing files.
    pub(crate) fn at(db: &Path) -> Self {
        Self(["", "-wal", "-shm"].map(|suffix| identity_of(&path_with(db, suffix)).ok()))
    }

    /// Fills in the identities of files that were missing from `later`.
    pub(crate) fn add_missing(&mut self, later: &Self) {
        for (file, later) in self.0.iter_mut().zip(later.0) {
            *file = file.or(later);
        }
    }
}

impl SideFile {
    fn find(db: &SqliteDb, suffix: &str) -> io::Result<Self> {
        let path = path_with(db.path(), suffix);
        let identity = identity_of(&path)?;
        Ok(Self { path, identity })
    }

    /// Whether it is still the file at its path.
    fn is_in_place(&self) -> bool {
        identity_of(&self.path).is_ok_and(|found| found == self.identity)
    }
}

/// Requests nothing but the inode. Since Linux 6.13 a request for a file's times makes the next write update them, and the
/// WAL's fsync then has to write them too: a click on a single connection took 0.25 ms instead of 0.21
/// ([multigrain timestamps](https://docs.kernel.org/filesystems/multigrain-ts.html)).
fn identity_of(path: &Path) -> io::Result<Identity> {
    let file = statx(CWD, path, AtFlags::empty(), StatxFlags::INO)?;
    Ok((file.stx_dev_major, file.stx_dev_minor, file.stx_ino))
}
