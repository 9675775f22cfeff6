//! Room for clicks on the disk: what the daemon leaves free, and what other long writes leave to it.

use super::SqliteDb;
use crate::storage::{
    Cause, DiskReserve, Error,
    disk::{DiskSpace, Room},
};

/// How many pages a batch of clicks changes besides one for each click, at most: the ends of the table and of its indexes, the
/// pages above these, and the index of the WAL.
const PAGES_A_BATCH: u64 = 8;

/// The bytes of a row besides its email, expert and search, at most, in the table and in the index on time.
const ROW_BYTES: u64 = 150;

/// The most bytes of the WAL of an import, if no other program reads for long: SQLite copies it into the database when it has
/// 1,000 pages, usually 4 MiB.
const IMPORT_WAL_BYTES: u64 = 8 * 1024 * 1024;

/// The disk space for clicks, by the rule of the daemon.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClickRoom {
    /// What is free when the WAL is copied into the database.
    pub(super) space: DiskSpace,
    /// How many of these bytes clicks leave free.
    pub(super) kept: u64,
    /// Whether the clicks fit into free pages of the database.
    pub(super) has_free_pages: bool,
}

impl ClickRoom {
    /// The room for clicks that take `growth` bytes; none if the system can't say the free space.
    ///
    /// After a deletion clicks fit into free pages of the database, and only the WAL needs space until it is cut. So half of
    /// the reserve is enough then: otherwise a deletion, which does not make the file smaller, would not end an outage.
    pub(super) fn of(
        db: &SqliteDb,
        reserve: DiskReserve,
        growth: u64,
    ) -> rusqlite::Result<Option<Self>> {
        let Some(space) = DiskSpace::known_at(db.path()) else {
            return Ok(None);
        };
        let has_free_pages = free_page_bytes(db)? >= growth;
        let reserved = space.reserved(reserve);
        Ok(Some(Self {
            space: space.after(db.checkpoint_growth()?),
            kept: if has_free_pages {
                reserved / 2
            } else {
                reserved
            },
            has_free_pages,
        }))
    }

    /// Whether files can grow by so many bytes.
    pub(super) fn fits(&self, growth: u64) -> bool {
        self.space.after(growth).room(self.kept) != Room::None
    }
}

/// By how many bytes the database and its WAL grow, at most, when a batch of `clicks` with so many bytes of text is stored,
/// and then copied into the database.
pub(super) fn batch_growth(db: &SqliteDb, clicks: u64, text_bytes: u64) -> rusqlite::Result<u64> {
    let page_bytes = number(db, "PRAGMA page_size")?;
    // New pages are in the WAL and in the database.
    Ok((PAGES_A_BATCH + clicks) * page_bytes + 2 * (clicks * ROW_BYTES + text_bytes))
}

fn free_page_bytes(db: &SqliteDb) -> rusqlite::Result<u64> {
    Ok(number(db, "PRAGMA freelist_count")? * number(db, "PRAGMA page_size")?)
}

fn number(db: &SqliteDb, pragma: &str) -> rusqlite::Result<u64> {
    let mut pragma = db.conn().prepare_cached(pragma)?;
    pragma.query_row([], |row| row.get(0))
}

impl SqliteDb {
    /// As [`crate::storage::Db::check_import_room`].
    pub(crate) fn check_import_room(&self, clicks: u64, text_bytes: u64) -> Result<(), Error> {
        let rows = clicks * ROW_BYTES + text_bytes;
        let new = rows.saturating_sub(self.run(|_| free_page_bytes(self))?);
        let needed = new + (2 * rows).min(IMPORT_WAL_BYTES);
        self.check_reserve(needed, "")
    }

    /// Whether the files on the disk of the database can grow by `needed` bytes without using what clicks leave free by
    /// default. `consequence` is for the error.
    pub(super) fn check_reserve(
        &self,
        needed: u64,
        consequence: &'static str,
    ) -> Result<(), Error> {
        let growth = self.run(|_| batch_growth(self, 1, 0))?;
        match self.run(|_| ClickRoom::of(self, DiskReserve::default(), growth))? {
            Some(room) if !room.fits(needed) => Err(self.error(Cause::NoRoom {
                needed,
                kept: room.kept,
                free: room.space.free,
                consequence,
            })),
            _ => Ok(()),
        }
    }
}
