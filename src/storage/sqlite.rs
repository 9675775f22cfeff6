//! The SQLite engine: one file in WAL mode.

pub(super) mod backup;
pub(super) mod erase;
mod experts;
pub(super) mod feed;
mod file_state;
pub(super) mod forget;
pub(super) mod health;
mod insert;
mod open;
pub(super) mod pace;
pub(super) mod purge;
mod recent_ids;
pub(super) mod reset;
mod schema;
mod scrub;
mod select;
pub(super) mod writer;

use std::{
    borrow::Cow,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, types::ValueRef};

use super::{Checkpoint, Error, Problem};
use crate::interrupt::CriticalSection;

/// How long a statement waits for another program's lock. A browser that waits for its answer is still there
/// after five seconds, and a reset or an import takes far less. Beyond it a click is answered 503 and a command
/// fails.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a patient checkpoint waits for others' locks at a time, and then lets them work.
const CHECKPOINT_TRY: Duration = Duration::from_millis(50);

/// What the WAL file is cut back to after a checkpoint, in bytes. It grows past this only while a long reader
/// keeps a checkpoint from finishing; four times what SQLite checkpoints at (1,000 pages of 4 KiB).
pub(crate) const JOURNAL_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// An open SQLite database.
#[derive(Debug)]
pub(crate) struct SqliteDb {
    conn: Connection,
    path: PathBuf,
}

impl SqliteDb {
    /// The database's absolute path, without links.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `path` is the database, under whatever name, or one of the files that SQLite keeps beside it.
    #[must_use]
    pub(crate) fn owns(&self, path: &Path) -> bool {
        let files = ["", "-wal", "-shm", "-journal"].map(|suffix| path_with(&self.path, suffix));
        // What does not exist yet is known by its directory and name.
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

    pub(crate) fn error(&self, problem: Problem) -> Error {
        Error::new(&self.path, problem)
    }

    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Runs `work` on the connection and gives its errors the database's path.
    pub(crate) fn run<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.read(|conn| Ok(work(conn)?))
    }

    /// As [`SqliteDb::run`], for work that can find a problem in the rows by itself.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Problem>,
    ) -> Result<T, Error> {
        work(&self.conn).map_err(|problem| self.error(problem))
    }

    /// Runs `work` on one state of the database: all that it reads is as of the same commit. Within another such work it
    /// is that one's. While it lasts the WAL can't be cut back, so `work` should only read and not print.
    ///
    /// # Errors
    /// Those of `work`, and when the database can't be read.
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

    /// Runs `work` in a transaction that holds the write lock from its start: a read that turns into a write
    /// would fail at once with `SQLITE_BUSY_SNAPSHOT`, whatever the busy timeout. An error rolls back.
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
            // The first error is the one to tell; closing the connection rolls back in any case.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        done
    }

    /// As [`SqliteDb::write`], for work that deletes: once it is committed a signal ends the program only when that is told,
    /// since the rows' bytes are in the WAL until [`SqliteDb::empty_wal`].
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

    /// Copies the WAL into the database file and empties it; tells whether that could be finished, which another
    /// connection's reading or writing prevents. Waits for those for as long as `patience`.
    fn checkpoint(&self, patience: Duration) -> Result<Checkpoint, Error> {
        self.run(|conn| conn.busy_timeout(patience))?;
        let busy: Result<bool, Error> = self
            .run(|conn| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)));
        self.run(|conn| conn.busy_timeout(BUSY_TIMEOUT))?;
        Ok(if busy? {
            Checkpoint::Busy
        } else {
            Checkpoint::Finished
        })
    }

    /// Copies the WAL into the database file and empties it, so that nothing of deleted rows is left there. Tries for
    /// up to [`BUSY_TIMEOUT`].
    ///
    /// # Errors
    /// When the database can't be written to.
    pub(crate) fn empty_wal(&self) -> Result<Checkpoint, Error> {
        // A single try would either give up at once, while another connection checkpoints, whatever the busy timeout;
        // or wait for a reader with the write lock in its hand, and hold up every click for as long.
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            let checkpoint = self.checkpoint(CHECKPOINT_TRY)?;
            if checkpoint == Checkpoint::Finished || Instant::now() > deadline {
                return Ok(checkpoint);
            }
            thread::sleep(CHECKPOINT_TRY);
        }
    }
}

/// A column's text, whatever a host app may have put there: a report shows what it can.
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

/// A WAL that was kept when the files of the database at `path` were replaced; it may hold clicks that only it has.
#[must_use]
pub(crate) fn left_wal(path: &Path) -> Option<PathBuf> {
    Some(path_with(path, "-wal.left")).filter(|path| path.exists())
}

/// The file that SQLite keeps beside the database at `path` under its name and `suffix`.
pub(crate) fn path_with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    /// Earlier ones can corrupt a WAL database that two programs write:
    /// [SQLite on the WAL-reset bug](https://sqlite.org/wal.html#walresetbug).
    #[test]
    fn sqlite_is_one_without_the_wal_reset_bug() {
        assert!(rusqlite::version_number() >= 3_051_003);
    }
}
