//! The open database, and whether its files still stand where they were opened.
//!
//! SQLite finds a WAL by its name beside the database, so files that are moved, replaced or deleted under a running
//! program come apart: a click would go where nobody looks for it, or a WAL would be read into another database
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

use super::{SqliteDb, path_with};
use crate::storage::{Checkpoint, Error, error::reason};

const STILL_READ: &str = "the database file was moved, replaced or deleted while another program reads it; end that program";

/// The open database, and what its files are.
pub(super) struct OpenDatabase {
    pub(super) db: SqliteDb,
    /// After `db`, so that it is closed later: closing any descriptor of the database takes all of the process's locks
    /// on it, SQLite's too.
    files: Files,
}

struct Files {
    main: File,
    wal_file: File,
    wal: SideFile,
    shm: SideFile,
    /// When the database file was changed last, as far as that was by way of the WAL that is open here.
    changed: SystemTime,
}

/// A file that SQLite keeps beside the database.
struct SideFile {
    path: PathBuf,
    identity: Identity,
}

/// A file's device, as two numbers, and its inode.
type Identity = (u32, u32, u64);

/// Which of the files are no longer those at their paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileState {
    InPlace,
    /// The database is elsewhere or deleted; its WAL may be where it was, elsewhere or deleted.
    DatabaseMoved,
    /// The database is in place, and its WAL is not.
    WalMoved,
    /// Only the index of the WAL is gone.
    ShmMoved,
}

/// What became of a WAL whose database's files have come apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wal {
    /// It is in the database file, or in place and whole for whoever opens the database next.
    Kept,
    /// What only it had must not be copied into the database file any more.
    GivenUp,
}

impl OpenDatabase {
    /// `db` must have been read from, which makes the files next to it if there are none. What can be read of it is synced:
    /// a program that was killed may have committed it, and not yet done that.
    ///
    /// # Errors
    /// When its files can't be opened or synced.
    pub(super) fn new(db: SqliteDb) -> Result<Self, Error> {
        let opened = Files::open(&db).and_then(|files| {
            files.wal_file.sync_all()?;
            Ok(files)
        });
        match opened {
            Ok(files) => Ok(Self { db, files }),
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

    /// To be called after each commit, and whenever all files stand: what changed the database until then knew its WAL.
    pub(super) fn note_change(&mut self) {
        if let Ok(changed) = self.files.last_change() {
            self.files.changed = changed;
        }
    }

    /// Copies what the WAL holds into the database file, wherever that is now, where that destroys nothing.
    ///
    /// # Errors
    /// When that can't be done at the moment, with the reason.
    fn complete(&mut self, file_state: FileState) -> Result<Wal, String> {
        if file_state == FileState::ShmMoved {
            // Another program may have made its own index of the same WAL and written more: only both together are all.
            self.close_without_checkpoint()?;
            return Ok(Wal::Kept);
        }
        if self.is_bypassed(file_state) {
            self.close_without_checkpoint()?;
            return Ok(Wal::GivenUp);
        }
        let checkpoint = self.db.checkpoint(Duration::ZERO);
        // Also one that did not get to the end has changed the file.
        self.note_change();
        match checkpoint {
            Ok(Checkpoint::Finished) => Ok(Wal::Kept),
            Ok(Checkpoint::Busy) => Err(STILL_READ.to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether another program may have written to the database without knowing of the WAL that is open here; to copy
    /// that over what it wrote would destroy both.
    fn is_bypassed(&self, file_state: FileState) -> bool {
        let Ok(changed) = self.files.last_change() else {
            return true;
        };
        // As long as the WAL has a name, who opens the database finds it, unless only the database was moved.
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

    /// Completes the database as far as that is possible, while nothing has taken its place.
    ///
    /// # Errors
    /// As [`OpenDatabase::leave`].
    pub(super) fn wait_for_return(&mut self) -> Result<(), String> {
        self.complete(FileState::DatabaseMoved).map(|_| ())
    }

    /// Prepares for closing the database, so that what is at its path now can be opened: what the WAL holds is in its
    /// own file then, and no WAL of this one lies beside another. Nothing else can be done with it then than to drop
    /// it.
    ///
    /// # Errors
    /// When that can't be done at the moment, with the reason.
    pub(super) fn leave(&mut self) -> Result<(), String> {
        let file_state = self.file_state().map_err(|error| reason(&error))?;
        let wal = self.complete(file_state)?;
        if file_state == FileState::DatabaseMoved {
            // Programs that have the old files open go on with them by their descriptors.
            self.files.put_away();
        }
        if wal == Wal::GivenUp {
            tracing::error!(
                "another program has changed the database without the -wal file that was deleted or left behind; clicks \
                 that only this one had are lost, but for what is in a file whose name ends in -wal.left"
            );
        }
        Ok(())
    }

    /// Empties the WAL without waiting for anybody, and closes the database.
    ///
    /// # Errors
    /// When the database can't be written to.
    pub(super) fn close(mut self) -> Result<Checkpoint, Error> {
        if matches!(self.file_state(), Ok(FileState::InPlace) | Err(_)) {
            return self.db.checkpoint(Duration::ZERO);
        }
        // What is beside another database now must not be taken for that one's.
        if let Err(reason) = self.leave() {
            tracing::error!(
                reason,
                "the database that was moved, replaced or deleted could not be completed"
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

    /// Takes those that are still in place from beside what is at the database's path now. The WAL gets another name,
    /// unless it is empty; its index is made anew from it.
    fn put_away(&self) {
        if self.shm.is_in_place() {
            tell_not_put_away(fs::remove_file(&self.shm.path));
        }
        if self.wal.is_in_place() {
            let is_empty = self.wal_file.metadata().is_ok_and(|wal| wal.len() == 0);
            tell_not_put_away(if is_empty {
                fs::remove_file(&self.wal.path)
            } else {
                fs::rename(&self.wal.path, path_with(&self.wal.path, ".left"))
            });
        }
    }
}

fn tell_not_put_away(done: io::Result<()>) {
    if let Err(error) = done {
        tracing::error!(%error, "can't move a file of the replaced database away");
    }
}

/// What a database and the files beside it are, for a reader who only wants to know whether they still are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileIdentities([Option<Identity>; 3]);

impl FileIdentities {
    /// Those of the database at the path `db`, and of its `-wal` and `-shm`; none for what is not there.
    pub(crate) fn at(db: &Path) -> Self {
        Self(["", "-wal", "-shm"].map(|suffix| identity_of(&path_with(db, suffix)).ok()))
    }

    /// Takes those of `later` for what was not there.
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

/// Asks for nothing else: since Linux 6.13 who asks for a file's times makes the next write give it a new one, and the
/// WAL's fsync then has to write that too, which took a click on a single connection 0.25 ms instead of 0.21
/// ([multigrain timestamps](https://docs.kernel.org/filesystems/multigrain-ts.html)).
fn identity_of(path: &Path) -> io::Result<Identity> {
    let file = statx(CWD, path, AtFlags::empty(), StatxFlags::INO)?;
    Ok((file.stx_dev_major, file.stx_dev_minor, file.stx_ino))
}
