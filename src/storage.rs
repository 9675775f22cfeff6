//! The database: clicks in, rows out, erasure, backup and health check, for every engine.
//!
//! Only this module contains SQL or names a database driver. Everything outside it calls [`Db`] and works with plain values.
//! Each engine is a module, `sqlite` or `postgres`, and a variant of [`Db`].

mod disk;
mod erase;
mod error;
mod health;
mod location;
#[cfg(feature = "postgres")]
mod postgres;
mod queue;
mod rows;
mod selection;
mod sqlite;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    expert::{Expert, ExpertNames},
    progress::Progress,
    text::memory::OutOfMemory,
    timestamp::Timestamp,
};

pub(crate) use disk::{DiskReserve, size};
pub(crate) use erase::{Deletion, FoundClicks, Remains, SpellingRows, TABLES, TableRows};
pub(crate) use error::{Cause, Error};
pub(crate) use health::{Checks, DaemonCheck, Depth, Finding, State};
pub(crate) use location::DbLocation;
pub(crate) use queue::{ClickQueue, NotStored, Writer, WriterCounts};
pub(crate) use rows::{
    Columns, NewClicks, NumberedClick, OnInvalidTime, Order, Query, StoredClick,
};
pub(crate) use selection::{EmailFilter, LeadSet, Selection, Window};
pub(crate) use sqlite::{
    backup::BackupContent,
    pace::Pace,
    restore::{DatabaseContent, Restore, Restored},
};

#[cfg(feature = "postgres")]
use postgres::PostgresDb;
use sqlite::SqliteDb;

/// The tables of leadclicks for PostgreSQL.
pub(crate) const POSTGRES_SCHEMA: &str = include_str!("storage/postgres/schema.sql");

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
    /// Databases that a restore has replaced.
    pub(crate) replaced: Vec<PathBuf>,
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
    /// A database of a PostgreSQL server, which is usually shared with a host app.
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresDb>),
}

/// Does the same with a database of either engine; `$engine` is the engine's module.
macro_rules! with_engine {
    ($db:expr, |$open:ident| $work:expr) => {
        match $db {
            Db::Sqlite($open) => $work,
            #[cfg(feature = "postgres")]
            Db::Postgres($open) => $work,
        }
    };
    ($db:expr, |$open:ident, $engine:ident| $work:expr) => {
        match $db {
            Db::Sqlite($open) => {
                use sqlite as $engine;
                $work
            }
            #[cfg(feature = "postgres")]
            Db::Postgres($open) => {
                use postgres as $engine;
                $work
            }
        }
    };
}

/// Checks the database at `location`, and the files next to it. If it can't be opened, the last finding contains the reason.
pub(crate) fn check(location: &DbLocation, checks: &Checks) -> Vec<Finding> {
    match location {
        DbLocation::File(path) => sqlite::health::check(path, checks),
        #[cfg(feature = "postgres")]
        DbLocation::Server(server) => postgres::health::check(server, checks),
    }
}

/// A database that is open for capture.
#[derive(Debug)]
pub(crate) enum CaptureDb {
    Sqlite(SqliteDb),
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::capture::CaptureServer>),
}

impl CaptureDb {
    /// Opens the database at `location` for capture. A missing or empty file gets the tables of schema.sql. A host app's
    /// database is used as it is, and so is that of a server.
    ///
    /// # Errors
    /// If the database can't be created or opened, if it is another program's without a `lead_clicks` table, if that table
    /// lacks a column or requires one that a click does not have, or if a server does not store durably.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unused_async, reason = "a server is waited for")
    )]
    pub(crate) async fn open(location: &DbLocation) -> Result<Self, Error> {
        match location {
            DbLocation::File(path) => SqliteDb::open_for_capture(path).map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            DbLocation::Server(server) => postgres::capture::CaptureServer::connect(server)
                .await
                .map(|server| Self::Postgres(Box::new(server))),
        }
    }

    /// The database's absolute path without links, or its URL without a password.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Sqlite(db) => db.path().display().to_string(),
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => server.name(),
        }
    }

    /// Starts the writer, which stores the clicks of the [`ClickQueue`], in a file as long as there is more free disk space than
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
        match self {
            Self::Sqlite(db) => sqlite::writer::start(db, pace, reserve, now),
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => Ok(server.start_writer(now)),
        }
    }
}

/// While one exists, other imports wait.
#[derive(Debug)]
pub(crate) enum ImportLock {
    Sqlite(
        #[expect(dead_code, reason = "dropping it releases the lock")] sqlite::insert::ImportLock,
    ),
    #[cfg(feature = "postgres")]
    Postgres(#[expect(dead_code, reason = "dropping it releases the lock")] Box<PostgresDb>),
}

/// Reads the clicks of a database as they arrive, each once, in the order in which they were stored. The engines say what may
/// be missed.
#[derive(Debug)]
#[cfg_attr(
    feature = "postgres",
    expect(
        clippy::large_enum_variant,
        reason = "a process has one, which it never moves"
    )
)]
pub(crate) enum Feed {
    Sqlite(sqlite::feed::Feed),
    #[cfg(feature = "postgres")]
    Postgres(postgres::feed::Feed),
}

impl Feed {
    /// Watches the database at `location` from now on for the clicks of `selection`. If its window has a beginning, the first
    /// batches contain the clicks since then. Clicks that arrive later need not be inside the window: a page may send a click
    /// a day after it happened. `now` is the current time.
    ///
    /// # Errors
    /// As [`Db::open_for_report`], and if the ids of clicks can't be followed.
    pub(crate) fn start(
        location: &DbLocation,
        selection: Selection,
        now: Timestamp,
    ) -> Result<Self, Error> {
        match location {
            DbLocation::File(path) => {
                sqlite::feed::Feed::start(path, selection, now).map(Self::Sqlite)
            }
            #[cfg(feature = "postgres")]
            DbLocation::Server(server) => {
                postgres::feed::Feed::start(server, selection).map(Self::Postgres)
            }
        }
    }

    /// The database's absolute path without links, or its URL without a password.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Sqlite(feed) => feed.path().display().to_string(),
            #[cfg(feature = "postgres")]
            Self::Postgres(feed) => feed.name(),
        }
    }

    /// The names of the experts, as of the last batch with clicks.
    pub(crate) fn names(&self) -> &ExpertNames {
        match self {
            Self::Sqlite(feed) => feed.names(),
            #[cfg(feature = "postgres")]
            Self::Postgres(feed) => feed.names(),
        }
    }

    /// The clicks that have arrived since the last batch, or the first of them. No transaction is open on return.
    ///
    /// # Errors
    /// If the database or the time of a click can't be read.
    pub(crate) fn next_batch(&mut self) -> Result<NewClicks, Error> {
        match self {
            Self::Sqlite(feed) => feed.next_batch(),
            #[cfg(feature = "postgres")]
            Self::Postgres(feed) => feed.next_batch(),
        }
    }
}

impl Db {
    #[cfg(feature = "postgres")]
    fn postgres(db: PostgresDb) -> Self {
        Self::Postgres(Box::new(db))
    }

    /// Opens an existing database to read it. Creates no database.
    ///
    /// # Errors
    /// If there is no database at `location`, if it can't be read, or if it has no `lead_clicks` table with every column.
    pub(crate) fn open_for_report(location: &DbLocation) -> Result<Self, Error> {
        match location {
            DbLocation::File(path) => SqliteDb::open_for_report(path).map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            DbLocation::Server(server) => PostgresDb::open_for_report(server).map(Self::postgres),
        }
    }

    /// Opens an existing database to change rows in it. Creates no database.
    ///
    /// # Errors
    /// As [`Db::open_for_report`], and when the database can't be written to.
    pub(crate) fn open_for_change(location: &DbLocation) -> Result<Self, Error> {
        match location {
            DbLocation::File(path) => SqliteDb::open_for_change(path).map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            DbLocation::Server(server) => PostgresDb::open_for_change(server).map(Self::postgres),
        }
    }

    /// As [`Db::open_for_change`], to store clicks.
    ///
    /// # Errors
    /// As [`Db::open_for_change`], and when the `lead_clicks` table requires a column that a click does not have.
    pub(crate) fn open_for_import(location: &DbLocation) -> Result<Self, Error> {
        match location {
            DbLocation::File(path) => SqliteDb::open_for_import(path).map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            DbLocation::Server(server) => PostgresDb::open_for_import(server).map(Self::postgres),
        }
    }

    /// The database's absolute path without links, or its URL without a password.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Sqlite(db) => db.path().display().to_string(),
            #[cfg(feature = "postgres")]
            Self::Postgres(db) => db.name(),
        }
    }

    /// Whether `path` is the database, under any name, or one of the files that belong to it.
    pub(crate) fn owns(&self, path: &Path) -> bool {
        match self {
            Self::Sqlite(db) => db.owns(path),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => false,
        }
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
        with_engine!(self, |db| db.snapshot(|_| work(self)))
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
        with_engine!(self, |db| db.read_clicks(query, row))
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
        with_engine!(self, |db| db.read_clicks_at(query, instants, row))
    }

    /// An error with the database's name.
    pub(crate) fn error(&self, cause: impl Into<Cause>) -> Error {
        Error::named(self.name(), cause.into())
    }

    /// Whether the clicks of a [`Window`] can be found without reading all others.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn has_index_on_time(&self) -> Result<bool, Error> {
        with_engine!(self, |db| Ok(db.index_on_time()?.is_some()))
    }

    /// All experts, sorted by username; none if the database has no `experts` table.
    ///
    /// # Errors
    /// When the table lacks a column, or can't be read.
    pub(crate) fn experts(&self) -> Result<Vec<Expert>, Error> {
        with_engine!(self, |db| db.experts())
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
        with_engine!(self, |db| db.import_experts(experts))
    }

    /// Removes the expert with the canonical `username`, in all spellings, and returns what was removed. Clicks stay.
    ///
    /// # Errors
    /// As [`Db::import_experts`].
    pub(crate) fn remove_expert(&self, username: &str) -> Result<Vec<Expert>, Error> {
        with_engine!(self, |db| db.remove_expert(username))
    }

    /// Waits until no other import stores clicks, and keeps others waiting. Calls `on_wait` before it waits.
    ///
    /// # Errors
    /// When the directory of the database can't be read or locked.
    pub(crate) fn lock_imports(&self, on_wait: impl FnOnce()) -> Result<ImportLock, Error> {
        match self {
            Self::Sqlite(db) => db.lock_imports(on_wait).map(ImportLock::Sqlite),
            #[cfg(feature = "postgres")]
            Self::Postgres(db) => db
                .lock_imports(on_wait)
                .map(|lock| ImportLock::Postgres(Box::new(lock))),
        }
    }

    /// Whether an import of about so many clicks, with so many bytes of text, leaves free what the daemon leaves free by
    /// default. The disk of a server is not known.
    ///
    /// # Errors
    /// If it does not, or if the database can't be read.
    pub(crate) fn check_import_room(&self, clicks: u64, text_bytes: u64) -> Result<(), Error> {
        match self {
            Self::Sqlite(db) => db.check_import_room(clicks, text_bytes),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(()),
        }
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
        with_engine!(self, |db| db.insert_some(clicks, line))
    }

    /// Copies the database, as it is now, to a new file at `path`. The file gets its name only when it is complete and synced.
    /// Reports progress in bytes.
    ///
    /// # Errors
    /// If the file exists already or can't be written, if it would use the disk space that clicks leave free by default, or if
    /// the database can't be read.
    pub(crate) fn backup(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<BackupContent, Error> {
        match self {
            Self::Sqlite(db) => {
                sqlite::backup::check_room(db, path, "")?;
                sqlite::backup::write(db, path, progress)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(db) => Err(db.error_of_backup(path)),
        }
    }

    /// The number of rows in each of [`TABLES`] that the database has.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn count_rows(&self) -> Result<Vec<TableRows>, Error> {
        with_engine!(self, |db, engine| engine::reset::count(db))
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
        match self {
            Self::Sqlite(db) => sqlite::reset::reset(db, backup, progress),
            #[cfg(feature = "postgres")]
            Self::Postgres(db) => postgres::reset::reset(db, backup),
        }
    }

    /// The rows of one person in [`TABLES`], as far as they have a column `email`: those whose email has the canonical form
    /// `email`, in the order of the tables and by spelling.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn find_rows_of(&self, email: &str) -> Result<Vec<SpellingRows>, Error> {
        with_engine!(self, |db, engine| engine::forget::find(db, email))
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
        with_engine!(self, |db, engine| engine::forget::search(
            db, email, left_out
        ))
    }

    /// The schemas that [`Db::search`] does not search, because they are not in the search path of a server's user.
    ///
    /// # Errors
    /// When the database can't be read.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unnecessary_wraps, reason = "a server is asked")
    )]
    pub(crate) fn unsearched_schemas(&self) -> Result<Vec<String>, Error> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            #[cfg(feature = "postgres")]
            Self::Postgres(db) => postgres::forget::unsearched_schemas(db),
        }
    }

    /// Deletes the rows `found` by [`Db::find_rows_of`], and those that got the same spellings since, in as many short
    /// transactions as they need, between which other programs can write, or in one for which they need not wait. Calls `after_batch`
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
        with_engine!(self, |db, engine| engine::forget::forget(
            db,
            found,
            after_batch
        ))
    }

    /// Finds the clicks of `selection`, to delete them; none if there are no such clicks. Needs 8 bytes of memory for each.
    ///
    /// # Errors
    /// If the database can't be read, if its clicks have no unique id, or if the time of a click that may be selected can't
    /// be read.
    pub(crate) fn find_clicks(&self, selection: &Selection) -> Result<Option<FoundClicks>, Error> {
        with_engine!(self, |db, engine| engine::purge::find(db, selection))
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
        with_engine!(self, |db, engine| engine::purge::purge(
            db,
            found,
            after_batch
        ))
    }

    /// About how much free disk space a deletion needs, in bytes; none if a server has to have it. Deleted rows need space
    /// before they free any, because changes are written to the WAL first.
    ///
    /// # Errors
    /// If the database can't be read, or if there is less free space. With a backup on the same disk, what clicks leave free by
    /// default must be left in addition.
    pub(crate) fn disk_need(&self, deletion: Deletion<'_>) -> Result<Option<u64>, Error> {
        const NOTHING: &str = ", so nothing was deleted";
        match self {
            Self::Sqlite(db) => {
                let needed = match deletion {
                    Deletion::Steps => db.steps_need()?,
                    Deletion::Everything { backup } => {
                        if let Some(path) = backup {
                            sqlite::backup::check_room(db, path, NOTHING)?;
                        }
                        sqlite::reset::disk_need(db)?
                    }
                };
                match disk::DiskSpace::known_at(db.path()) {
                    Some(space) if space.free < needed => Err(db.error(Cause::NoRoom {
                        needed,
                        kept: 0,
                        free: space.free,
                        consequence: NOTHING,
                    })),
                    _ => Ok(Some(needed)),
                }
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(None),
        }
    }

    /// How long a reset keeps clicks waiting, with or without a backup: an estimate for a disk that is not fast. None on a server,
    /// where clicks do not wait.
    ///
    /// # Errors
    /// If the database can't be read.
    pub(crate) fn reset_time(&self, backup: Option<&Path>) -> Result<Option<Duration>, Error> {
        match self {
            Self::Sqlite(db) => sqlite::reset::time(db, backup).map(Some),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(None),
        }
    }

    /// Overwrites what deleted rows of `tables` left in indexes and in unused parts of the file. The WAL contains the
    /// overwritten bytes until [`Db::empty_wal`].
    ///
    /// # Errors
    /// If the database can't be written to, or is damaged.
    pub(crate) fn erase_remains(&self, tables: &[&str]) -> Result<(), Error> {
        match self {
            Self::Sqlite(db) => {
                sqlite::erase::clear_indexes(db, tables)?;
                db.clear_unused()
            }
            // Only its own VACUUM can.
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Copies the WAL into the database file and empties it, so that no deleted data is left there.
    ///
    /// # Errors
    /// When the database can't be written to.
    pub(crate) fn empty_wal(&self) -> Result<Checkpoint, Error> {
        match self {
            Self::Sqlite(db) => db.empty_wal(),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(Checkpoint::Finished),
        }
    }

    /// Whether a deletion leaves no copy, so that the rows are gone for good.
    pub(crate) fn deletes_for_good(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// The statement by which a server rewrites `tables` without the rows that were deleted from them; none if no such rows are
    /// left there.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "only a server keeps such rows")
    )]
    pub(crate) fn rewrite_statement(&self, tables: &[&str]) -> Option<String> {
        match self {
            Self::Sqlite(_) => None,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => (!tables.is_empty()).then(|| postgres::erase::rewrite(tables)),
        }
    }

    /// The files next to the database that hold clicks and are not part of it.
    pub(crate) fn leftovers(&self) -> Leftovers {
        match self {
            Self::Sqlite(db) => sqlite::leftovers::find(db.path()),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Leftovers::default(),
        }
    }
}
