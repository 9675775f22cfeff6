//! Transactions that are short, and so small that they work on a disk that is nearly full.

use std::{
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use super::{SqliteDb, erase::ForeignKeys};
use crate::storage::{Cause, Error, disk::DiskSpace};

/// How long one of many transactions deletes or inserts rows, unless a single one takes longer. Clicks wait for it, and with its
/// commit and fsync for some 0.1 seconds.
pub(super) const BATCH_TIME_MAX: Duration = Duration::from_millis(50);

/// The most rows that one transaction deletes.
const BATCH_ROWS_MAX: u64 = 5_000;

/// The most pages that one transaction changes, usually 4 MiB: as many as the WAL has when SQLite begins a checkpoint. They take
/// some 10 ms.
const BATCH_PAGES_MAX: u64 = 1_000;

/// The part of the free disk space that one transaction may add to the WAL.
const FREE_PART: u64 = 4;

/// How many pages change if a row is deleted, at most, apart from rare long values and a host app's triggers: two long
/// ones, the row's own and that of its index entry, and what balancing both trees changes. Usually far fewer; see
/// [`delete_rows`].
const PAGES_A_ROW: u64 = 8;

/// The free disk space that deleting rows in steps needs, in bytes, however many they are.
const STEPS_BYTES: u64 = 1024 * 1024;

/// The shortest pause between two of many transactions, in which other programs can get the lock. SQLite tries again after
/// 1, 2, 5 and 10 ms, and less often later.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// Whether rows are deleted in many transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    Always,
    /// In one: rows may refer to each other, so that only all together can be deleted.
    Never,
}

/// Runs `work`, a transaction, and then leaves the lock to other programs for as long as it took.
pub(crate) fn yielding<T>(work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let done = work();
    thread::sleep(begin.elapsed().max(PAUSE_MIN));
    done
}

/// The frames of the WAL since it last began anew, and whether all are in the database file, so that the next transaction
/// overwrites them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Frames {
    pub(super) number: u64,
    are_copied: bool,
}

impl SqliteDb {
    /// The free disk space that deleting rows in steps needs, in bytes: also what the database grows by when the WAL is
    /// copied into it.
    ///
    /// # Errors
    /// If the database can't be read.
    pub(crate) fn steps_need(&self) -> Result<u64, Error> {
        Ok(STEPS_BYTES + self.run(|_| self.checkpoint_growth())?)
    }

    /// The most pages that the next transaction may change.
    pub(super) fn batch_pages(&self) -> Result<u64, Error> {
        let page_bytes: u64 =
            self.run(|conn| conn.query_row("PRAGMA page_size", [], |row| row.get(0)))?;
        // Without a known size SQLite reports a full disk.
        let pages = DiskSpace::known_at(&self.path).map_or(BATCH_PAGES_MAX, |space| {
            space.free / FREE_PART / page_bytes.max(1)
        });
        Ok(pages.clamp(PAGES_A_ROW, BATCH_PAGES_MAX))
    }

    /// Runs `work`, one of many transactions, copies the WAL into the database file, so that the next one overwrites it
    /// instead of making it longer, and leaves the lock to other programs for as long.
    pub(super) fn in_batch<T>(
        &self,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<(T, Frames), Error> {
        yielding(|| {
            let done = work()?;
            // Waits for nobody. A failure shows again when the WAL is emptied.
            let frames = self.run(|conn| {
                conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                    let (number, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
                    Ok(Frames {
                        // -1 without a WAL.
                        number: u64::try_from(number).unwrap_or_default(),
                        are_copied: copied >= number,
                    })
                })
            });
            Ok((done, frames.unwrap_or_default()))
        })
    }
}

/// A row that [`delete_rows`] deletes, or several at once.
pub(super) trait FoundRow {
    /// The table that it is in.
    fn table(&self) -> &'static str;

    /// Deletes it, unless it was deleted or changed since it was found. Returns the number of deleted rows.
    fn delete(&self, db: &SqliteDb) -> Result<u64, Error>;

    /// Whether it exists as it was found.
    fn exists(&self, db: &SqliteDb) -> Result<bool, Error>;
}

/// Deletes `rows` in as many short transactions as they need. Adds to `deleted`, calls `after_batch` with it after each, and
/// ends if that returns `Break`. `tables` are those that the rows are in.
///
/// # Errors
/// If a trigger keeps a row, if rows of another table refer to deleted ones, or if the database can't be written to. Then that
/// transaction is rolled back, but not the earlier ones.
pub(super) fn delete_rows(
    db: &SqliteDb,
    tables: &[&str],
    split: Split,
    rows: &[impl FoundRow],
    deleted: &mut u64,
    after_batch: &mut impl FnMut(u64) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    let mut rest = rows;
    let mut before = Frames::default();
    // How many rows had the allowed number of pages in the last transaction.
    let mut rows_fit = 0;
    while !rest.is_empty() {
        let pages = db.batch_pages()?;
        let (rows_max, time_max) = match split {
            Split::Always => (
                rows_fit.clamp(pages / PAGES_A_ROW, BATCH_ROWS_MAX),
                BATCH_TIME_MAX,
            ),
            Split::Never => (u64::MAX, Duration::MAX),
        };
        let ((taken, more), frames) = db.in_batch(|| {
            db.delete(|db| {
                let foreign_keys = ForeignKeys::of(db, tables, &[])?;
                let begin = Instant::now();
                let (mut taken, mut more) = (0, 0);
                for row in rest {
                    let rows = row.delete(db)?;
                    if rows == 0 && row.exists(db)? {
                        let (table, rows) = (row.table(), 1);
                        return Err(db.error(Cause::KeptRows { table, rows }));
                    }
                    more += rows;
                    taken += 1;
                    if taken == rows_max || begin.elapsed() > time_max {
                        break;
                    }
                }
                foreign_keys.check(db)?;
                Ok((taken, more))
            })
        })?;
        // Too many if a reader kept the WAL from beginning anew.
        let written = if before.are_copied || frames.number < before.number {
            frames.number
        } else {
            frames.number - before.number
        };
        rows_fit = (taken * pages).checked_div(written).unwrap_or_default();
        before = frames;
        rest = usize::try_from(taken)
            .ok()
            .and_then(|taken| rest.get(taken..))
            .unwrap_or_default();
        *deleted += more;
        if after_batch(*deleted).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
