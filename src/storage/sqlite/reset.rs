//! Wiping the data of a trial before the launch, and nothing else.

use std::path::Path;

use rusqlite::Connection;

use super::{
    SqliteDb, backup,
    erase::{References, present},
};
use crate::{
    progress::Progress,
    storage::{Error, Problem, TABLES, TableRows},
};

/// What a reset would wipe now.
///
/// # Errors
/// When the database can't be read.
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

/// Wipes [`TABLES`] in one transaction, after a copy to `backup` where one is asked for, and tells what was there.
/// The copy holds exactly what is wiped: nothing can be captured between the two.
///
/// Copies that SQLite left elsewhere in the file are still there until `erase::clear_indexes`, [`SqliteDb::clear_unused`] and
/// [`SqliteDb::empty_wal`].
///
/// # Errors
/// When the backup can't be written, when another table's rows refer to what would be wiped, or when the
/// database refuses. Nothing is wiped then.
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
        let wiped = db.run(delete)?;
        for TableRows { table, rows } in count(db)? {
            if rows > 0 {
                return Err(db.error(Problem::Kept { table, rows }));
            }
        }
        references.check(db)?;
        Ok(wiped)
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
