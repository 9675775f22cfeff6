//! Deleting the data of a trial before the launch.

use std::{path::Path, time::Duration};

use rusqlite::Connection;

use super::{
    SqliteDb, backup,
    erase::{ForeignKeys, existing_tables},
};
use crate::{
    progress::Progress,
    storage::{Cause, Error, TABLES, TableRows},
};

/// As [`crate::storage::Db::count_rows`].
pub(crate) fn count(db: &SqliteDb) -> Result<Vec<TableRows>, Error> {
    in_each_table(db, |conn, table| {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
    })
}

/// As [`crate::storage::Db::reset`].
pub(crate) fn reset(
    db: &SqliteDb,
    backup: Option<&Path>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<TableRows>, Error> {
    // SQLite then gives up the pages of a table without triggers, and writes none of them. They are overwritten afterwards,
    // in transactions that a disk that is nearly full has room for.
    set_secure_delete(db, false)?;
    let done = delete_all(db, backup, progress);
    set_secure_delete(db, true)?;
    done
}

fn set_secure_delete(db: &SqliteDb, is_on: bool) -> Result<(), Error> {
    db.run(|conn| conn.pragma_update_and_check(None, "secure_delete", is_on, |_| Ok(())))
}

fn delete_all(
    db: &SqliteDb,
    backup: Option<&Path>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<TableRows>, Error> {
    db.delete(|db| {
        if let Some(path) = backup {
            backup::write(db, path, progress).map_err(Error::nothing_deleted)?;
        }
        let foreign_keys = ForeignKeys::of(db, &TABLES, &TABLES)?;
        let deleted = delete(db)?;
        for TableRows { table, rows } in count(db)? {
            if rows > 0 {
                return Err(db.error(Cause::Kept { table, rows }));
            }
        }
        foreign_keys.check(db)?;
        Ok(deleted)
    })
}

/// The free disk space that a reset needs, in bytes: besides that of overwriting in steps, for the list of free pages, which has
/// 4 bytes for each; or, if triggers make SQLite delete row by row, for all pages.
pub(crate) fn disk_need(db: &SqliteDb) -> Result<u64, Error> {
    let (pages, page_bytes): (u64, u64) = db.run(|conn| {
        conn.query_row(
            "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    })?;
    let bytes_a_page = if has_trigger(db)? { page_bytes } else { 4 };
    Ok(db.steps_need()? + pages * bytes_a_page)
}

/// As [`crate::storage::Db::reset_time`].
pub(crate) fn time(db: &SqliteDb, backup: Option<&Path>) -> Result<Duration, Error> {
    /// A million clicks have some 110 MB.
    const DELETED_BYTES_A_SECOND: u64 = 100_000_000;
    const COPIED_BYTES_A_SECOND: u64 = 50_000_000;
    const TRIGGERED_ROWS_A_SECOND: u64 = 50_000;
    let bytes = db.pages_bytes()?;
    let mut millis = bytes * 1000 / DELETED_BYTES_A_SECOND;
    if backup.is_some() {
        millis += bytes * 1000 / COPIED_BYTES_A_SECOND;
    }
    if has_trigger(db)? {
        let rows: u64 = count(db)?.iter().map(|table| table.rows).sum();
        millis += rows * 1000 / TRIGGERED_ROWS_A_SECOND;
    }
    Ok(Duration::from_millis(millis))
}

/// Whether a trigger of a host app makes SQLite delete row by row.
fn has_trigger(db: &SqliteDb) -> Result<bool, Error> {
    db.run(|conn| {
        let tables: Vec<String> = existing_tables(conn)?.iter().map(|table| format!("'{table}'")).collect();
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) IN ({}))",
            tables.join(", ")
        );
        conn.query_row(&sql, [], |row| row.get(0))
    })
}

fn delete(db: &SqliteDb) -> Result<Vec<TableRows>, Error> {
    in_each_table(db, |conn, table| {
        Ok(conn.execute(&format!("DELETE FROM {table}"), [])? as u64)
    })
}

/// Runs `work`, which returns a number of rows, for each of [`TABLES`] that the database has.
fn in_each_table(
    db: &SqliteDb,
    work: impl Fn(&Connection, &str) -> rusqlite::Result<u64>,
) -> Result<Vec<TableRows>, Error> {
    db.run(|conn| {
        let with_rows = |table| work(conn, table).map(|rows| TableRows { table, rows });
        existing_tables(conn)?.into_iter().map(with_rows).collect()
    })
}
