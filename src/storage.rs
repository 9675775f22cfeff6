//! The database: clicks in, rows out, erasure, backup and health check, whichever engine stores them.
//!
//! This folder is the only place that contains SQL or names a database driver. Everything outside it calls [`Db`] and
//! works with plain values. A further engine is a sibling of `sqlite` and a variant of [`Db`].

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
    click::Click,
    expert::{Expert, ExpertNames},
    progress::Progress,
    timestamp::Timestamp,
};

pub(crate) use erase::{Elsewhere, OldClicks, TABLES, TableRows};
pub(crate) use error::{Error, Problem};
pub(crate) use health::{Depth, Finding, State};
pub(crate) use queue::{ClickQueue, NotStored};
pub(crate) use rows::{BadTime, Column, Order, Query, StoredClick};
pub(crate) use selection::{Selection, Window, fold_case};
pub(crate) use sqlite::{
    backup::Copied,
    feed::{Batch, Feed},
    pace::Pace,
    writer::{Writer, WriterCounts},
};

use sqlite::SqliteDb;

/// The mode of a file that holds clicks: its owner writes, its group reads reports, and nobody else sees who clicked whom.
/// SQLite gives the `-wal` and `-shm` files the same mode.
pub(crate) const FILE_MODE: u32 = 0o640;

/// What an import of experts did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ImportedExperts {
    /// Experts that were not in the table before.
    pub(crate) new: usize,
    /// Experts that had another name.
    pub(crate) changed: usize,
    /// Experts that had the same name.
    pub(crate) unchanged: usize,
}

/// How a checkpoint of the WAL ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checkpoint {
    /// Everything is in the database file, and the WAL is empty.
    Finished,
    /// Another connection was reading or writing, so part of the WAL is still there.
    Busy,
}

/// An open database with a `lead_clicks` table that has every column leadclicks needs.
#[derive(Debug)]
pub(crate) enum Db {
    /// A file, which leadclicks makes, or which a host app shares.
    Sqlite(SqliteDb),
}

/// Checks the database at `path` and the files next to it. `now` decides which clicks are in the future. If the database
/// can't be opened, the last finding says why.
pub(crate) fn check(path: &Path, depth: Depth, now: Timestamp) -> Vec<Finding> {
    sqlite::health::check(path, depth, now)
}

impl Db {
    /// Opens the database at `path` for capture. A missing or empty one gets the tables of schema.sql; a host app's is used
    /// as it is.
    ///
    /// # Errors
    /// When the database can be neither made nor opened, when it is another program's without a `lead_clicks` table, or
    /// when that table lacks a column or requires one that a click does not have.
    pub(crate) fn open_for_capture(path: &Path) -> Result<Self, Error> {
        SqliteDb::open_for_capture(path).map(Self::Sqlite)
    }

    /// Opens an existing database to read it. Creates no database.
    ///
    /// # Errors
    /// When there is none at `path`, when it can't be read, or when it has no `lead_clicks` table with every column.
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
        match self {
            Self::Sqlite(db) => db.path(),
        }
    }

    /// Whether `path` is the database, under whatever name, or one of the files that belong to it.
    pub(crate) fn owns(&self, path: &Path) -> bool {
        match self {
            Self::Sqlite(db) => db.owns(path),
        }
    }

    /// Runs `work` on one state of the database: all that it reads is as of the same commit. `work` should only read and
    /// not print, because meanwhile the WAL can't be reused.
    ///
    /// # Errors
    /// Those of `work`, and when the database can't be read.
    pub(crate) fn snapshot<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self {
            Self::Sqlite(db) => db.snapshot(|_| work(self)),
        }
    }

    /// Runs `work` in one write transaction, which an error rolls back.
    ///
    /// # Errors
    /// Those of `work`, and when the database can't be written to.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self {
            Self::Sqlite(db) => db.write(|_| work(self)),
        }
    }

    /// Passes each selected click to `row`, until that breaks.
    ///
    /// # Errors
    /// When the database can't be read, or a click's time can't be read and [`BadTime`] says that this is an error.
    pub(crate) fn read_clicks(
        &self,
        query: &Query<'_>,
        row: impl FnMut(StoredClick<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        match self {
            Self::Sqlite(db) => db.read_clicks(query, row),
        }
    }

    /// Whether the clicks of a [`Window`] are found without reading all others.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn has_index_on_time(&self) -> Result<bool, Error> {
        match self {
            Self::Sqlite(db) => Ok(db.index_on_time()?.is_some()),
        }
    }

    /// All experts by username; none if the database has no `experts` table.
    ///
    /// # Errors
    /// When the table lacks a column, or can't be read.
    pub(crate) fn experts(&self) -> Result<Vec<Expert>, Error> {
        match self {
            Self::Sqlite(db) => db.experts(),
        }
    }

    /// The names of all experts.
    ///
    /// # Errors
    /// As [`Db::experts`].
    pub(crate) fn expert_names(&self) -> Result<ExpertNames, Error> {
        Ok(self.experts()?.into())
    }

    /// Inserts or updates `experts` by username, in one transaction. Experts that are not among them stay.
    ///
    /// # Errors
    /// When the table is a host app's, which is never written to, or the database refuses; nothing is changed then.
    pub(crate) fn import_experts(&self, experts: &[Expert]) -> Result<ImportedExperts, Error> {
        match self {
            Self::Sqlite(db) => db.import_experts(experts),
        }
    }

    /// Inserts clicks with their times. `line` is the line of a file that a click is on, for the error.
    ///
    /// # Errors
    /// When the database refuses a click, or can't be written to.
    pub(crate) fn insert_clicks(
        &self,
        clicks: impl Iterator<Item = (Click, Timestamp, usize)>,
        line: impl Fn(usize) -> u64,
    ) -> Result<(), Error> {
        match self {
            Self::Sqlite(db) => db.insert_clicks(clicks, line),
        }
    }

    /// Starts the writer, which stores what the [`ClickQueue`] takes. `now` is the clock by which clicks arrive.
    ///
    /// # Panics
    /// Outside a Tokio runtime: a task of it passes on the answers.
    ///
    /// # Errors
    /// When the database can't be read, or the writer can't be started.
    pub(crate) fn start_writer(
        self,
        pace: Arc<Pace>,
        now: impl Fn() -> Timestamp + Clone + Send + Sync + 'static,
    ) -> Result<(Writer, ClickQueue), Error> {
        match self {
            Self::Sqlite(db) => Writer::start(db, pace, now),
        }
    }

    /// Copies the database, as it is now, to a new file at `path`, which has its name only when it is complete and synced.
    /// Reports progress in bytes.
    ///
    /// # Errors
    /// When there is such a file already, when it can't be written, or the database can't be read.
    pub(crate) fn backup(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Copied, Error> {
        match self {
            Self::Sqlite(db) => sqlite::backup::write(db, path, progress),
        }
    }

    /// How many rows each of [`TABLES`] has, as far as the database has them.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn count_rows(&self) -> Result<Vec<TableRows>, Error> {
        match self {
            Self::Sqlite(db) => sqlite::reset::count(db),
        }
    }

    /// Deletes all rows of [`TABLES`] in one transaction, after a copy to `backup` if one is asked for, and returns how many
    /// there were. The copy holds exactly what is deleted: nothing can be captured between the two.
    ///
    /// [`Db::erase_remains`] must follow.
    ///
    /// # Errors
    /// When the backup can't be written, when rows of another table refer to what would be deleted, or when the database
    /// refuses. Nothing is deleted then.
    pub(crate) fn reset(
        &self,
        backup: Option<&Path>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<TableRows>, Error> {
        match self {
            Self::Sqlite(db) => sqlite::reset::reset(db, backup, progress),
        }
    }

    /// How many rows each of [`TABLES`] has with this email, as far as they have a column `email`. ASCII letters are
    /// compared case-insensitively.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn count_rows_of(&self, email: &str) -> Result<Vec<TableRows>, Error> {
        match self {
            Self::Sqlite(db) => sqlite::forget::count(db, email),
        }
    }

    /// The tables outside [`TABLES`] that have rows with this email in a column `email`, and those that can't be read.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn find_elsewhere(&self, email: &str) -> Result<Vec<Elsewhere>, Error> {
        match self {
            Self::Sqlite(db) => sqlite::forget::find_elsewhere(db, email),
        }
    }

    /// Deletes the rows of one person in one transaction, and returns how many there were. [`Db::erase_remains`] must
    /// follow.
    ///
    /// # Errors
    /// When rows of any table refer to what would be deleted, when a trigger keeps it, or when the database refuses.
    /// Nothing is deleted then.
    pub(crate) fn forget(&self, email: &str) -> Result<Vec<TableRows>, Error> {
        match self {
            Self::Sqlite(db) => sqlite::forget::forget(db, email),
        }
    }

    /// The clicks from before `before`; none if there are no such clicks.
    ///
    /// # Errors
    /// When the database can't be read, when its clicks have no id that tells one from another, or when the time of a click
    /// that may be old can't be read.
    pub(crate) fn count_old(&self, before: Timestamp) -> Result<Option<OldClicks>, Error> {
        match self {
            Self::Sqlite(db) => sqlite::purge::count(db, before),
        }
    }

    /// Deletes the clicks from before `before`, the oldest first, in many short transactions, between which other programs
    /// store theirs. Passes `after_batch` how many are deleted so far; that may end it there. [`Db::erase_remains`] must
    /// follow.
    ///
    /// # Errors
    /// When rows of another table refer to a click that would be deleted, when a trigger keeps one, or when the database
    /// refuses. Nothing of that transaction is deleted then; what the earlier ones deleted is.
    pub(crate) fn purge(
        &self,
        before: Timestamp,
        after_batch: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        match self {
            Self::Sqlite(db) => sqlite::purge::purge(db, before, after_batch),
        }
    }

    /// Overwrites what deleted rows of `tables` left in indexes and in unused parts of the file. What it overwrites is in
    /// the WAL until [`Db::empty_wal`].
    ///
    /// # Errors
    /// When the database refuses, or is damaged.
    pub(crate) fn erase_remains(&self, tables: &[&str]) -> Result<(), Error> {
        match self {
            Self::Sqlite(db) => {
                sqlite::erase::clear_indexes(db, tables).and_then(|()| db.clear_unused())
            }
        }
    }

    /// Copies the WAL into the database file and empties it, so that nothing of deleted rows is left there.
    ///
    /// # Errors
    /// When the database can't be written to.
    pub(crate) fn empty_wal(&self) -> Result<Checkpoint, Error> {
        match self {
            Self::Sqlite(db) => db.empty_wal(),
        }
    }

    /// A WAL that was kept when the database's files were replaced; it may hold clicks that are nowhere else.
    pub(crate) fn left_wal(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(db) => sqlite::left_wal(db.path()),
        }
    }
}
