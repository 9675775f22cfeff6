//! The database: clicks in, rows out, erasure, backup and health check, for every engine.
//!
//! Only this module contains SQL or names a database driver. Everything outside it calls [`Db`] and works with plain values.
//! Another engine would be a sibling of `sqlite` and a variant of [`Db`].

mod disk;
mod erase;
mod error;
mod health;
mod queue;
mod rows;
mod selection;
mod sqlite;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    expert::{Expert, ExpertNames},
    progress::Progress,
    text::memory::OutOfMemory,
    timestamp::Timestamp,
};

pub(crate) use disk::{DiskReserve, size};
use erase::FoundClick;
pub(crate) use erase::{ClicksOf, Deletion, FoundClicks, Remains, SpellingRows, TABLES, TableRows};
pub(crate) use error::{Cause, Error};
pub(crate) use health::{Depth, Finding, State};
pub(crate) use queue::{ClickQueue, NotStored};
pub(crate) use rows::{Columns, OnInvalidTime, Order, Query, StoredClick};
pub(crate) use selection::{EmailFilter, Selection, Window};
pub(crate) use sqlite::{
    backup::BackupContent,
    feed::{Feed, NewClicks},
    insert::{ImportLock, NumberedClick},
    pace::Pace,
    writer::{Writer, WriterCounts},
};

use sqlite::SqliteDb;

/// The mode of a file that holds clicks: its owner can write, its group can read, and nobody else can see who clicked whom.
/// SQLite gives the `-wal` and `-shm` files the same mode.
pub(crate) const FILE_MODE: u32 = 0o640;

/// The result of an import of experts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ImportedExperts {
    /// Experts that were not in the table before.
    pub(crate) new: usize,
    /// Experts that had another name.
    pub(crate) changed: usize,
    /// Experts that had this name already.
    pub(crate) unchanged: usize,
}

/// Files next to the database that hold clicks and are not part of it. An erasure can't reach them, so they are named.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// A WAL that was kept when the database was replaced. It may hold clicks that are nowhere else.
    pub(crate) wal: Option<PathBuf>,
    /// Unfinished backups and reports of programs that were killed.
    pub(crate) copies: Vec<PathBuf>,
}

/// How a checkpoint of the WAL ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checkpoint {
    /// The content of the WAL is in the database file, and the WAL is empty.
    Finished,
    /// Another connection was reading or writing, so the WAL is not empty.
    Busy,
}

/// An open database with a `lead_clicks` table that has every column leadclicks needs.
#[derive(Debug)]
pub(crate) enum Db {
    /// A file of leadclicks, or one that is shared with a host app.
    Sqlite(SqliteDb),
}

/// Checks the database at `path` and the files next to it. `reserve` is that of the daemon; `now` decides which clicks are in
/// the future. If the database can't be opened, the last finding contains the reason.
pub(crate) fn check(
    path: &Path,
    depth: Depth,
    reserve: DiskReserve,
    now: Timestamp,
) -> Vec<Finding> {
    sqlite::health::check(path, depth, reserve, now)
}

impl Db {
    /// Opens the database at `path` for capture. A missing or empty database gets the tables of schema.sql. A host app's
    /// database is used as it is.
    ///
    /// # Errors
    /// If the database can't be created or opened, if it is another program's without a `lead_clicks` table, or if that
    /// table lacks a column or requires one that a click does not have.
    pub(crate) fn open_for_capture(path: &Path) -> Result<Self, Error> {
        SqliteDb::open_for_capture(path).map(Self::Sqlite)
    }

    /// Opens an existing database to read it. Creates no database.
    ///
    /// # Errors
    /// If there is no database at `path`, if it can't be read, or if it has no `lead_clicks` table with every column.
    pub(crate) fn open_for_report(path: &Path) -> Result<Self, Error> {
        SqliteDb::open_for_report(path).map(Self::Sqlite)
    }

    /// Opens an existing database to change rows in it. Creates no database.
    ///
    /// # Errors
    /// As [`Db::open_for_report`], and when the database can't be written to.
    pub(crate) fn open_for_change(path: &Path) -> Result<Self, Error> {
        SqliteDb::open_for_change(path).map(Self::Sqlite)
    }

    /// As [`Db::open_for_change`], to store clicks.
    ///
    /// # Errors
    /// As [`Db::open_for_change`], and when the `lead_clicks` table requires a column that a click does not have.
    pub(crate) fn open_for_import(path: &Path) -> Result<Self, Error> {
        SqliteDb::open_for_import(path).map(Self::Sqlite)
    }

    /// The database's absolute path, without links.
    pub(crate) fn path(&self) -> &Path {
        let Self::Sqlite(db) = self;
        db.path()
    }

    /// Whether `path` is the database, under any name, or one of the files that belong to it.
    pub(crate) fn owns(&self, path: &Path) -> bool {
        let Self::Sqlite(db) = self;
        db.owns(path)
    }

    /// Runs `work` in a read transaction, so that all it reads is as of the same commit. `work` should only read and not
    /// print, because meanwhile the WAL can't be reused.
    ///
    /// # Errors
    /// Those of `work`, and when the database can't be read.
    pub(crate) fn snapshot<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Self::Sqlite(db) = self;
        db.snapshot(|_| work(self))
    }

    /// Calls `row` with each selected click, until it returns `Break`.
    ///
    /// # Errors
    /// If the database can't be read, or with [`OnInvalidTime::Fail`] the time of a click, and if `row` is refused memory.
    pub(crate) fn read_clicks(
        &self,
        query: &Query<'_>,
        row: impl FnMut(StoredClick<'_>) -> Result<ControlFlow<()>, OutOfMemory>,
    ) -> Result<(), Error> {
        let Self::Sqlite(db) = self;
        db.read_clicks(query, row)
    }

    /// As [`Db::read_clicks`], for the clicks of exactly these instants, which are in ascending order and all different, instead
    /// of a window and an order. Clicks of the same instant are in the order of [`Order::Any`].
    ///
    /// # Errors
    /// As [`Db::read_clicks`].
    pub(crate) fn read_clicks_at(
        &self,
        query: &Query<'_>,
        instants: &[Timestamp],
        row: impl FnMut(StoredClick<'_>) -> Result<ControlFlow<()>, OutOfMemory>,
    ) -> Result<(), Error> {
        let Self::Sqlite(db) = self;
        db.read_clicks_at(query, instants, row)
    }

    /// An error with the database's path.
    pub(crate) fn error(&self, cause: impl Into<Cause>) -> Error {
        Error::new(self.path(), cause.into())
    }

    /// Whether the clicks of a [`Window`] can be found without reading all others.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn has_index_on_time(&self) -> Result<bool, Error> {
        let Self::Sqlite(db) = self;
        Ok(db.index_on_time()?.is_some())
    }

    /// All experts, sorted by username; none if the database has no `experts` table.
    ///
    /// # Errors
    /// When the table lacks a column, or can't be read.
    pub(crate) fn experts(&self) -> Result<Vec<Expert>, Error> {
        let Self::Sqlite(db) = self;
        db.experts()
    }

    /// The names of all experts.
    ///
    /// # Errors
    /// As [`Db::experts`].
    pub(crate) fn expert_names(&self) -> Result<ExpertNames, Error> {
        Ok(self.experts()?.into())
    }

    /// Inserts or updates `experts` by username, in one transaction. Other experts are unchanged.
    ///
    /// # Errors
    /// If the table belongs to a host app, which leadclicks never changes, or can't be written to. Then nothing is changed.
    pub(crate) fn import_experts(&self, experts: &[Expert]) -> Result<ImportedExperts, Error> {
        let Self::Sqlite(db) = self;
        db.import_experts(experts)
    }

    /// Removes the expert with the canonical `username`, in all spellings, and returns what was removed. Clicks stay.
    ///
    /// # Errors
    /// As [`Db::import_experts`].
    pub(crate) fn remove_expert(&self, username: &str) -> Result<Vec<Expert>, Error> {
        let Self::Sqlite(db) = self;
        db.remove_expert(username)
    }

    /// Waits until no other import stores clicks, and keeps others waiting.
    ///
    /// # Errors
    /// When the directory of the database can't be read or locked.
    pub(crate) fn lock_imports(&self) -> Result<ImportLock, Error> {
        let Self::Sqlite(db) = self;
        db.lock_imports()
    }

    /// Inserts the first of `clicks` in one transaction that is so short that the clicks of pages
    /// can wait for it. Returns their number, and leaves the others in the iterator. `line` returns the line in a file of the
    /// click with a number, for the error. Then it leaves the lock to other programs for as long.
    ///
    /// # Errors
    /// If the database rejects a click, or can't be written to. Then nothing is inserted.
    pub(crate) fn insert_some(
        &self,
        clicks: &mut impl Iterator<Item = NumberedClick>,
        line: impl Fn(usize) -> u64,
    ) -> Result<u64, Error> {
        let Self::Sqlite(db) = self;
        db.insert_some(clicks, line)
    }

    /// Starts the writer, which stores the clicks of the [`ClickQueue`], as long as there is more free disk space than
    /// `reserve`. `now` is the clock by which clicks arrive.
    ///
    /// # Panics
    /// Outside a Tokio runtime, because a task passes on the answers.
    ///
    /// # Errors
    /// When the database can't be read, or the writer can't be started.
    pub(crate) fn start_writer(
        self,
        pace: Arc<Pace>,
        reserve: DiskReserve,
        now: impl Fn() -> Timestamp + Clone + Send + Sync + 'static,
    ) -> Result<(Writer, ClickQueue), Error> {
        let Self::Sqlite(db) = self;
        Writer::start(db, pace, reserve, now)
    }

    /// Copies the database, as it is now, to a new file at `path`. The file gets its name only when it is complete and synced.
    /// Reports progress in bytes.
    ///
    /// # Errors
    /// If the file exists already or can't be written, or the database can't be read.
    pub(crate) fn backup(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<BackupContent, Error> {
        let Self::Sqlite(db) = self;
        sqlite::backup::write(db, path, progress)
    }

    /// The number of rows in each of [`TABLES`] that the database has.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn count_rows(&self) -> Result<Vec<TableRows>, Error> {
        let Self::Sqlite(db) = self;
        sqlite::reset::count(db)
    }

    /// Deletes all rows of [`TABLES`] in one transaction, after a copy to `backup` if it is given, and returns their numbers.
    /// The copy contains all deleted rows: no click can be stored between the two.
    ///
    /// [`Db::erase_remains`] must follow.
    ///
    /// # Errors
    /// If the backup can't be written, if rows of another table refer to rows that would be deleted, if a trigger keeps rows,
    /// or if the database can't be written to. Then nothing is deleted.
    pub(crate) fn reset(
        &self,
        backup: Option<&Path>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<TableRows>, Error> {
        let Self::Sqlite(db) = self;
        sqlite::reset::reset(db, backup, progress)
    }

    /// The rows of one person in [`TABLES`], as far as they have a column `email`: those whose email has the canonical form
    /// `email`, in the order of the tables and by spelling.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn find_rows_of(&self, email: &str) -> Result<Vec<SpellingRows>, Error> {
        let Self::Sqlite(db) = self;
        sqlite::forget::find(db, email)
    }

    /// Searches all columns of all tables for the canonical `email` in any spelling, by itself or within a longer text, but
    /// leaves out the rows `left_out`. Returns the tables that were searched, and what was found.
    ///
    /// # Errors
    /// When the database can't be read. A single table that can't be read is part of the result.
    pub(crate) fn search(
        &self,
        email: &str,
        left_out: &[SpellingRows],
    ) -> Result<(Vec<String>, Vec<Remains>), Error> {
        let Self::Sqlite(db) = self;
        sqlite::forget::search(db, email, left_out)
    }

    /// Deletes the rows `found` by [`Db::find_rows_of`], and those that got the same spellings since, in as many short
    /// transactions as they need, between which other programs can write. Calls `after_batch`
    /// with the number of rows deleted so far, and ends if it returns `Break`. [`Db::erase_remains`] must follow.
    ///
    /// # Errors
    /// If other rows refer to rows that would be deleted, if a trigger keeps them, or if the database can't be written to.
    /// Then that transaction is rolled back, but not the earlier ones.
    pub(crate) fn forget(
        &self,
        found: &[SpellingRows],
        after_batch: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let Self::Sqlite(db) = self;
        sqlite::forget::forget(db, found, after_batch)
    }

    /// Finds the clicks of `selection`, to delete them; none if there are no such clicks. Needs 16 bytes of memory for each of
    /// the first million.
    ///
    /// # Errors
    /// If the database can't be read, if its clicks have no unique id, or if the time of a click that may be selected can't
    /// be read.
    pub(crate) fn find_clicks(&self, selection: &Selection) -> Result<Option<FoundClicks>, Error> {
        let Self::Sqlite(db) = self;
        sqlite::purge::find(db, selection)
    }

    /// Deletes the clicks that were `found`, the oldest first, in many short transactions, between which other programs
    /// can write. Clicks that were changed since, and new ones, even with the same id, stay. Calls `after_batch` with the
    /// number of clicks deleted so far, and ends if it returns `Break`. [`Db::erase_remains`] must follow.
    ///
    /// # Errors
    /// If rows of another table refer to a click that would be deleted, if a trigger keeps one, or if the database can't be
    /// written to. Then that transaction is rolled back, but not the earlier ones.
    pub(crate) fn purge(
        &self,
        found: &FoundClicks,
        after_batch: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let Self::Sqlite(db) = self;
        sqlite::purge::purge(db, found, after_batch)
    }

    /// About how much free disk space a deletion needs, in bytes. Deleted rows need space before they free any, because
    /// changes are written to the WAL first.
    ///
    /// # Errors
    /// If the database can't be read, or if there is less free space.
    pub(crate) fn disk_need(&self, deletion: Deletion) -> Result<u64, Error> {
        let Self::Sqlite(db) = self;
        let needed = match deletion {
            Deletion::Steps => db.steps_need()?,
            Deletion::Everything => sqlite::reset::disk_need(db)?,
        };
        match disk::DiskSpace::known_at(db.path()) {
            Some(space) if space.free < needed => {
                let free = space.free;
                Err(db.error(Cause::NoRoom { needed, free }))
            }
            _ => Ok(needed),
        }
    }

    /// Overwrites what deleted rows of `tables` left in indexes and in unused parts of the file. The WAL contains the
    /// overwritten bytes until [`Db::empty_wal`].
    ///
    /// # Errors
    /// If the database can't be written to, or is damaged.
    pub(crate) fn erase_remains(&self, tables: &[&str]) -> Result<(), Error> {
        let Self::Sqlite(db) = self;
        sqlite::erase::clear_indexes(db, tables)?;
        db.clear_unused()
    }

    /// Copies the WAL into the database file and empties it, so that no deleted data is left there.
    ///
    /// # Errors
    /// When the database can't be written to.
    pub(crate) fn empty_wal(&self) -> Result<Checkpoint, Error> {
        let Self::Sqlite(db) = self;
        db.empty_wal()
    }

    /// The files next to the database that hold clicks and are not part of it.
    pub(crate) fn leftovers(&self) -> Leftovers {
        let Self::Sqlite(db) = self;
        sqlite::leftovers::find(db.path())
    }
}
