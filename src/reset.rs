//! Wiping the data of a trial before the launch, and nothing else.

use std::path::Path;

use rusqlite::{Connection, config::DbConfig};

use crate::{
    backup,
    store::{Db, Error, Problem},
};

/// The tables that a reset wipes, those of them that the database has, in this order: what refers to others
/// first. `experts`, `admin_users`, `settings` and anything else are never touched.
pub const TABLES: [&str; 6] = [
    "feedback",
    "conversations",
    "email_leads",
    "newsletter_subscribers",
    "user_events",
    "lead_clicks",
];

/// A table and how many rows it has, or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRows {
    /// The table's name.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
}

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
pub fn wipe(db: &Db, backup: Option<&Path>) -> Result<Vec<TableRows>, Error> {
    db.delete(|db| {
        if let Some(path) = backup {
            backup::write(db, path, &mut |_| ()).map_err(Error::nothing_deleted)?;
        }
        let dangling_before = db.run(dangling)?;
        let wiped = db.run(delete)?;
        for TableRows { table, rows } in count(db)? {
            if rows > 0 {
                return Err(db.error(Problem::Kept { table, rows }));
            }
        }
        db.run(clear_pages)?;
        db.run(clear_copies)?;
        for reference in db.run(dangling)? {
            if !dangling_before.contains(&reference) {
                return Err(db.error(Problem::StillReferred {
                    table: reference.table,
                    parent: reference.parent,
                    rows: reference.rows,
                }));
            }
        }
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

fn present(conn: &Connection) -> rusqlite::Result<Vec<&'static str>> {
    let mut exists = conn.prepare(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND lower(name) = ?1)",
    )?;
    let mut tables = Vec::new();
    for table in TABLES {
        if exists.query_row([table], |row| row.get(0))? {
            tables.push(table);
        }
    }
    Ok(tables)
}

/// Clears what SQLite itself keeps of rows that are gone. A full-text index that triggers keep up to date only marks
/// its words as deleted until its parts are merged
/// ([FTS5 on 'optimize'](https://sqlite.org/fts5.html#the_optimize_command)), and ANALYZE keeps samples of indexed
/// values.
fn clear_copies(conn: &Connection) -> rusqlite::Result<()> {
    let ours = quoted_tables();
    let indexes: Vec<(String, String)> = conn
        .prepare(
            "SELECT name, lower(sql) FROM sqlite_schema
             WHERE lower(sql) LIKE 'create virtual table%using fts%'",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let triggers: Vec<String> = conn
        .prepare(&format!(
            "SELECT lower(sql) FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) IN ({ours})"
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for (index, sql) in indexes {
        let is_fed = triggers
            .iter()
            .any(|trigger| trigger.contains(&index.to_lowercase()));
        let command = if is_over_a_wiped_table(&sql) {
            // Its content is empty now, so it becomes empty, whatever its triggers have forgotten.
            "rebuild"
        } else if is_fed {
            "optimize"
        } else {
            continue;
        };
        let name = index.replace('"', "\"\"");
        conn.execute_batch(&format!(
            r#"INSERT INTO "{name}" ("{name}") VALUES ('{command}')"#
        ))?;
    }
    let has_samples: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat4')",
        [],
        |row| row.get(0),
    )?;
    if has_samples {
        let sql = format!("DELETE FROM sqlite_stat4 WHERE lower(tbl) IN ({ours})");
        conn.execute_batch(&sql)?;
    }
    Ok(())
}

/// Whether a full-text index, by its lower-cased SQL, has one of [`TABLES`] as its external content.
fn is_over_a_wiped_table(sql: &str) -> bool {
    let bare: String = sql
        .chars()
        .filter(|c| !c.is_whitespace() && !"'\"`[]".contains(*c))
        .collect();
    TABLES.iter().any(|table| {
        [",", ")"]
            .iter()
            .any(|end| bare.contains(&format!("content={table}{end}")))
    })
}

/// [`TABLES`] as a list for SQL's `IN`.
fn quoted_tables() -> String {
    TABLES.map(|table| format!("'{table}'")).join(", ")
}

/// Rows of a table outside [`TABLES`] that refer to rows that are not there.
#[derive(Debug, PartialEq, Eq)]
struct Dangling {
    table: String,
    parent: String,
    rows: u64,
}

/// What points to nothing among the tables that refer to those of a reset. Foreign keys are not enforced on this
/// connection, since enforcing them may cascade into other tables, so a reset checks them itself.
fn dangling(conn: &Connection) -> rusqlite::Result<Vec<Dangling>> {
    let ours = quoted_tables();
    let sql = format!(
        r#"SELECT check_."table", check_.parent, count(*)
           FROM (SELECT DISTINCT child.name
                 FROM sqlite_schema AS child, pragma_foreign_key_list(child.name) AS reference
                 WHERE child.type = 'table' AND lower(child.name) NOT IN ({ours})
                   AND lower(reference."table") IN ({ours})) AS children,
                pragma_foreign_key_check(children.name) AS check_
           GROUP BY 1, 2"#
    );
    conn.prepare(&sql)?
        .query_map([], |row| {
            Ok(Dangling {
                table: row.get(0)?,
                parent: row.get(1)?,
                rows: row.get(2)?,
            })
        })?
        .collect()
}
