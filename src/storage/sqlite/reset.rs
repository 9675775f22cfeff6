//! Deleting the data of a trial before the launch.

use std::path::Path;

use rusqlite::Connection;

use super::{
    SqliteDb, backup,
    erase::{References, present},
};
use crate::{
    progress::Progress,
    storage::{Cause, Error, TABLES, TableRows},
};

/// As [`crate::storage::Db::count_rows`].
pub(crate) fn count(db: &SqliteDb) -> Result<Vec<TableRows>, Error> {
    db.run(|conn| {
        present(conn)?
            .into_iter()
            .map(|table| {
                let sql = format!("SELECT count(*) FROM {table}");
                let rows = conn.query_row(&sql, [], |row| row.get(0))?;
                Ok(TableRows { table, rows })
            })
            .collect()
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
        let references = References::of(db, &TABLES, &TABLES)?;
        let deleted = db.run(delete)?;
        for TableRows { table, rows } in count(db)? {
            if rows > 0 {
                return Err(db.error(Cause::Kept { table, rows }));
            }
        }
        references.check(db)?;
        Ok(deleted)
    })
}

fn delete(conn: &Connection) -> rusqlite::Result<Vec<TableRows>> {
    present(conn)?
        .into_iter()
        .map(|table| {
            let rows = conn.execute(&format!("DELETE FROM {table}"), [])? as u64;
            Ok(TableRows { table, rows })
        })
        .collect()
}
