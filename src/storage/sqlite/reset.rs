//! Deleting the data of a trial before the launch.

use std::path::Path;

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
