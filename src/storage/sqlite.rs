//! The SQLite engine: one file in WAL mode.

pub(super) mod backup;
mod batch;
mod collation;
mod daemon_lock;
pub(super) mod erase;
mod experts;
pub(super) mod feed;
mod file_state;
pub(super) mod forget;
pub(super) mod health;
mod id_set;
pub(super) mod insert;
pub(super) mod leftovers;
mod location;
mod open;
mod owner;
pub(super) mod pace;
pub(super) mod purge;
mod recent_ids;
pub(super) mod reset;
pub(super) mod restore;
mod room;
mod schema;
mod scrub;
mod select;
mod spellings;
pub(super) mod writer;

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, types::ValueRef};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::{Cause, Checkpoint, Error};
use crate::interrupt::CriticalSection;

/// How long a statement waits for another program's lock. A browser still waits for its answer after five seconds, and a
/// transaction of an import or a purge takes far less. After that a click is answered 503 and a command fails.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long each try to empty the WAL waits for other programs' locks, and how long it then leaves the lock to them.
const CHECKPOINT_TRY: Duration = Duration::from_millis(50);

/// The size to which the WAL file is cut back after a checkpoint, in bytes: four times the size at which SQLite begins a
/// checkpoint (1,000 pages of 4 KiB). The file only grows beyond this while a long read keeps a checkpoint from finishing.
pub(crate) const JOURNAL_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// An open SQLite database.
#[derive(Debug)]
pub(crate) struct SqliteDb {
    conn: Connection,
    path: PathBuf,
}

impl SqliteDb {
    /// The database's absolute path, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `path` is the database, under any name, or one of the files that SQLite keeps next to it.
    pub(crate) fn owns(&self, path: &Path) -> bool {
        owns(&self.path, path)
    }

    pub(crate) fn error(&self, cause: Cause) -> Error {
        Error::new(&self.path, cause)
    }

    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Runs `work` on the connection and adds the database's path to its errors.
    pub(crate) fn run<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.read(|conn| Ok(work(conn)?))
    }

    /// As [`SqliteDb::run`], for work that has errors besides those of SQLite.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Cause>,
    ) -> Result<T, Error> {
        work(&self.conn).map_err(|cause| self.error(cause))
    }

    /// Runs `work` in a read transaction, so that all it reads is as of the same commit. Inside another transaction it joins
    /// that one. The WAL can't be cut back meanwhile, so `work` should only read and not print.
    ///
    /// # Errors
    /// Those of `work`, and if the database can't be read.
    pub(crate) fn snapshot<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if !self.conn.is_autocommit() {
            return work(self);
        }
        self.run(|conn| conn.execute_batch("BEGIN"))?;
        let done = work(self);
        let ended = self.run(|conn| conn.execute_batch("ROLLBACK"));
        done.and_then(|value| ended.map(|()| value))
    }

    /// Runs `work` in a transaction that holds the write lock from its start: a read transaction that turns into a write
    /// could fail at once with `SQLITE_BUSY_SNAPSHOT`, whatever the busy timeout. An error rolls back.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run(|conn| conn.execute_batch("BEGIN IMMEDIATE"))?;
        let done = work(self).and_then(|value| {
            self.run(|conn| conn.execute_batch("COMMIT"))
                .map(|()| value)
        });
        if done.is_err() && !self.conn.is_autocommit() {
            // The first error is the useful one. Closing the connection rolls back in any case.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        done
    }

    /// As [`SqliteDb::write`], for work that deletes. A signal that arrives after the commit ends the program only when the
    /// deletion is reported, because the rows' bytes are in the WAL until [`SqliteDb::empty_wal`].
    pub(crate) fn delete<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.write(|db| {
            let done = work(db)?;
            CriticalSection::begin().hold_until_reported();
            Ok(done)
        })
    }

    /// Copies the WAL into the database file and empties it, unless other connections read or write for longer than
    /// `timeout`.
    fn checkpoint(&self, timeout: Duration) -> Result<Checkpoint, Error> {
        self.run(|conn| conn.busy_timeout(timeout))?;
        let busy: Result<bool, Error> = self
            .run(|conn| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)));
        self.run(|conn| conn.busy_timeout(BUSY_TIMEOUT))?;
        Ok(if busy? {
            Checkpoint::Busy
        } else {
            Checkpoint::Finished
        })
    }

    /// Copies the WAL into the database file and empties it, so that no deleted data is left there, not even after a power
    /// cut. Tries for up to [`BUSY_TIMEOUT`].
    ///
    /// # Errors
    /// If the database can't be written to or synced.
    pub(crate) fn empty_wal(&self) -> Result<Checkpoint, Error> {
        // A single long try would fail at once, whatever the busy timeout, if another connection runs a checkpoint. And while
        // it waits for a reader it holds the write lock, so that every click waits too.
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            let checkpoint = self.checkpoint(CHECKPOINT_TRY)?;
            if checkpoint == Checkpoint::Finished {
                self.sync_emptied()
                    .map_err(|error| Error::unusable(&self.path, error))?;
            }
            if checkpoint == Checkpoint::Finished || Instant::now() > deadline {
                return Ok(checkpoint);
            }
            thread::sleep(CHECKPOINT_TRY);
        }
    }

    /// The bytes of all pages of the database.
    ///
    /// # Errors
    /// If the database can't be read.
    fn pages_bytes(&self) -> Result<u64, Error> {
        self.run(pages_bytes)
    }

    /// By how many bytes the database file grows when its WAL is copied into it.
    pub(crate) fn checkpoint_growth(&self) -> rusqlite::Result<u64> {
        let bytes = pages_bytes(&self.conn)?;
        // Only the size, as in file_state.rs.
        let found = statx(CWD, &self.path, AtFlags::empty(), StatxFlags::SIZE);
        Ok(found.map_or(0, |file| bytes.saturating_sub(file.stx_size)))
    }

    /// SQLite does not sync a WAL that it has truncated, nor a directory from which it has deleted a journal: after a power cut
    /// either may be back, with what was deleted.
    fn sync_emptied(&self) -> io::Result<()> {
        match File::open(path_with(&self.path, "-wal")) {
            Ok(wal) => wal.sync_all(),
            // Not in WAL mode.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()
            }
            Err(error) => Err(error),
        }
    }
}

fn pages_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma| {
        conn.prepare_cached(pragma)?
            .query_row([], |row| row.get::<_, u64>(0))
    };
    Ok(number("PRAGMA page_count")? * number("PRAGMA page_size")?)
}

/// As [`SqliteDb::owns`], for the database at `db`, an absolute path without links.
fn owns(db: &Path, path: &Path) -> bool {
    let files = ["", "-wal", "-shm", "-journal"].map(|suffix| path_with(db, suffix));
    // A file that does not exist yet is compared by its directory and name.
    let resolved = fs::canonicalize(path).ok().or_else(|| {
        let path = std::path::absolute(path).ok()?;
        Some(
            fs::canonicalize(path.parent()?)
                .ok()?
                .join(path.file_name()?),
        )
    });
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    files.iter().any(|file| {
        resolved.as_ref() == Some(file)
            || identity(path).is_some_and(|path| identity(file) == Some(path))
    })
}

/// A column's value as text, whatever its type: a host app may have stored any, and reports show it.
fn text(value: ValueRef<'_>) -> Cow<'_, str> {
    match value {
        ValueRef::Null => Cow::Borrowed(""),
        ValueRef::Integer(number) => Cow::Owned(number.to_string()),
        ValueRef::Real(number) => Cow::Owned(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes),
    }
}

fn owned_text(value: ValueRef<'_>) -> String {
    text(value).into_owned()
}

/// Whether the database at `path` has both files that WAL mode needs.
fn has_wal_files(path: &Path) -> bool {
    ["-wal", "-shm"]
        .iter()
        .all(|suffix| path_with(path, suffix).exists())
}

/// The file that SQLite keeps next to the database at `path`: its name followed by `suffix`.
pub(crate) fn path_with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    /// Earlier versions can corrupt a WAL database that two programs write:
    /// [SQLite on the WAL-reset bug](https://sqlite.org/wal.html#walresetbug).
    #[test]
    fn this_version_of_sqlite_does_not_have_the_wal_reset_bug() {
        assert!(rusqlite::version_number() >= 3_051_003);
    }
}
