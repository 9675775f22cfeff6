//! Erasing one person's rows.

use rusqlite::Connection;

use super::{
    SqliteDb,
    erase::{ForeignKeys, existing_tables},
};
use crate::storage::{Cause, Error, OtherTable, TABLES, TableRows};

/// The rows of one person. The parameter is trimmed; a host app may have stored `Jane@Example.com`, or white space around it.
const OF_THE_PERSON: &str = "trim(email, char(9, 10, 11, 12, 13, 32, 160)) = ?1 COLLATE NOCASE";

/// As [`crate::storage::Db::count_rows_of`].
pub(crate) fn count(db: &SqliteDb, email: &str) -> Result<Vec<TableRows>, Error> {
    with_email(db)?
        .into_iter()
        .map(|table| {
            let rows = db.run(|conn| count_in(conn, table, email))?;
            Ok(TableRows { table, rows })
        })
        .collect()
}

/// As [`crate::storage::Db::find_other_tables`]. Only virtual tables can be unreadable.
pub(crate) fn find_other_tables(db: &SqliteDb, email: &str) -> Result<Vec<OtherTable>, Error> {
    let others: Vec<(String, bool)> = db.run(|conn| {
        conn.prepare(
            "SELECT name, type = 'virtual' FROM pragma_table_list
             WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
             ORDER BY name",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
    })?;
    let mut found = Vec::new();
    for (table, is_virtual) in others {
        if TABLES.iter().any(|ours| table.eq_ignore_ascii_case(ours)) {
            continue;
        }
        let rows = match rows_in(db, &table, email) {
            Err(_) if is_virtual => None,
            rows => Some(rows?),
        };
        if rows != Some(0) {
            found.push(OtherTable { table, rows });
        }
    }
    Ok(found)
}

fn rows_in(db: &SqliteDb, table: &str, email: &str) -> Result<u64, Error> {
    if has_email(db, table)? {
        db.run(|conn| count_in(conn, table, email))
    } else {
        Ok(0)
    }
}

/// As [`crate::storage::Db::forget`].
pub(crate) fn forget(db: &SqliteDb, email: &str) -> Result<Vec<TableRows>, Error> {
    db.delete(|db| {
        let foreign_keys = ForeignKeys::of(db, &TABLES, &[])?;
        let mut forgotten = Vec::new();
        for table in with_email(db)? {
            let rows = db.run(|conn| delete_from(conn, table, email))?;
            if db.run(|conn| has_triggers(conn, table))? {
                let rows = db.run(|conn| count_in(conn, table, email))?;
                if rows > 0 {
                    return Err(db.error(Cause::Kept { table, rows }));
                }
            }
            forgotten.push(TableRows { table, rows });
        }
        foreign_keys.check(db)?;
        Ok(forgotten)
    })
}

fn with_email(db: &SqliteDb) -> Result<Vec<&'static str>, Error> {
    let mut tables = Vec::new();
    for table in db.run(existing_tables)? {
        if has_email(db, table)? {
            tables.push(table);
        }
    }
    Ok(tables)
}

fn has_email(db: &SqliteDb, table: &str) -> Result<bool, Error> {
    let columns = db.columns(table)?;
    Ok(columns
        .iter()
        .any(|column| column.eq_ignore_ascii_case("email")))
}

fn delete_from(conn: &Connection, table: &str, email: &str) -> rusqlite::Result<u64> {
    let sql = format!("DELETE FROM {table} WHERE {OF_THE_PERSON}");
    Ok(conn.execute(&sql, [email])? as u64)
}

/// Only a trigger can keep a row. Without one, a second scan for remaining rows is saved, for which clicks would wait.
fn has_triggers(conn: &Connection, table: &str) -> rusqlite::Result<bool> {
    conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = ?1)",
        [table],
        |row| row.get(0),
    )
}

fn count_in(conn: &Connection, table: &str, email: &str) -> rusqlite::Result<u64> {
    let name = table.replace('"', "\"\"");
    let sql = format!("SELECT count(*) FROM \"{name}\" WHERE {OF_THE_PERSON}");
    conn.query_row(&sql, [email], |row| row.get(0))
}
