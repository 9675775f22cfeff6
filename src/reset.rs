//! Wiping the data of a trial before the launch, and nothing else.

use std::path::Path;

use rusqlite::{Connection, config::DbConfig};

pub use crate::erase::{TABLES, TableRows};
use crate::{
    backup,
    erase::{References, clear_copies, present},
    progress::Progress,
    store::{Db, Error, Problem},
};

/// What a reset would wipe now.
///
/// # Errors
/// When the database can't be read.
pub fn count(db: &Db) -> Result<Vec<TableRows>, Error> {
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
/// The rows' bytes are overwritten in the database, but still in its WAL until [`Db::empty_wal`]. What a host app
/// without `secure_delete` left in free pages by its own earlier deletions stays, until a `VACUUM`: it would reorder
/// the app's schema.
///
/// # Errors
/// When the backup can't be written, when another table's rows refer to what would be wiped, or when the
/// database refuses. Nothing is wiped then.
pub fn wipe(
    db: &Db,
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
        db.run(clear_pages)?;
        db.run(|conn| clear_copies(conn, &TABLES))?;
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

/// Clears the pages of tables that are empty already. A host app's triggers make SQLite delete row by row, which
/// zeroes each row, but not the stale copies of rows that the app's own connections, without `secure_delete`, left
/// beside them. Without triggers it clears whole pages
/// ([SQLite on the truncate optimization](https://sqlite.org/lang_delete.html#truncateopt)).
fn clear_pages(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    let cleared = delete(conn);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true)?;
    cleared.map(|_| ())
}
