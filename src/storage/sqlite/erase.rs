//! What erasing rows needs besides DELETE: which tables there are, which rows refer to the deleted ones, and what else SQLite
//! keeps of them.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use super::SqliteDb;
use crate::storage::{Cause, Error, TABLES};

/// Those of [`TABLES`] that the database has, in their order.
pub(crate) fn existing_tables(conn: &Connection) -> rusqlite::Result<Vec<&'static str>> {
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

/// Clears what full-text indexes and query statistics keep of deleted rows of `tables`, as far as the database has them. A
/// full-text index that triggers update only marks words as deleted until its parts are merged
/// ([FTS5 on 'optimize'](https://sqlite.org/fts5.html#the_optimize_command)), and ANALYZE keeps samples of indexed
/// values.
///
/// # Errors
/// If the database can't be written to.
pub(crate) fn clear_indexes(db: &SqliteDb, tables: &[&str]) -> Result<(), Error> {
    db.write(|db| {
        db.run(|conn| {
            let mut existing = existing_tables(conn)?;
            existing.retain(|table| tables.contains(table));
            clear_full_text(conn, &existing)?;
            clear_samples(conn, &existing)
        })
    })
}

fn clear_full_text(conn: &Connection, tables: &[&str]) -> rusqlite::Result<()> {
    let ours = quoted(tables);
    // Found by their shadow tables (FTS5: _idx; FTS3 and FTS4: _segdir), because SQL can be written in many ways.
    let indexes: Vec<(String, String)> = conn
        .prepare(
            "WITH shadow(name) AS (
                 SELECT lower(name) FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'
             )
             SELECT name, lower(sql) FROM sqlite_schema
             WHERE type = 'table'
               AND (lower(name) || '_idx' IN shadow OR lower(name) || '_segdir' IN shadow)",
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
            .any(|trigger| contains_word(trigger, &index.to_lowercase()));
        let command = if has_content(tables, &sql) {
            // It then matches its content table, whatever its triggers missed.
            "rebuild"
        } else if is_fed {
            "optimize"
        } else {
            continue;
        };
        let name = quoted_name(&index);
        conn.execute_batch(&format!("INSERT INTO {name} ({name}) VALUES ('{command}')"))?;
    }
    Ok(())
}

fn clear_samples(conn: &Connection, tables: &[&str]) -> rusqlite::Result<()> {
    let has_samples: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat4')",
        [],
        |row| row.get(0),
    )?;
    if has_samples {
        let sql = format!(
            "DELETE FROM sqlite_stat4 WHERE lower(tbl) IN ({})",
            quoted(tables)
        );
        conn.execute_batch(&sql)?;
    }
    Ok(())
}

/// Whether the lower-cased `sql` of a full-text index names one of `tables` as its external content.
fn has_content(tables: &[&str], sql: &str) -> bool {
    let bare: String = sql
        .chars()
        .filter(|c| !c.is_whitespace() && !"'\"`[]".contains(*c))
        .collect();
    tables.iter().any(|table| {
        [",", ")"]
            .iter()
            .any(|end| bare.contains(&format!("content={table}{end}")))
    })
}

/// Whether `sql` contains `name` as a whole word; both are in lower case.
fn contains_word(sql: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    sql.match_indices(name).any(|(at, _)| {
        let (before, after) = (sql.get(..at), sql.get(at + name.len()..));
        !before.is_some_and(|text| text.ends_with(is_part))
            && !after.is_some_and(|text| text.starts_with(is_part))
    })
}

/// The name of a table or a column, as SQL writes it whatever characters it has.
pub(super) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names as a list for SQL's `IN`.
fn quoted(tables: &[&str]) -> String {
    let quoted: Vec<String> = tables.iter().map(|table| format!("'{table}'")).collect();
    quoted.join(", ")
}

/// The foreign keys that refer to rows that will be erased. SQLite does not enforce foreign keys on this connection, because
/// that may cascade into other tables, so an erasure checks them itself.
pub(crate) struct ForeignKeys<'a> {
    parents: &'a [&'a str],
    emptied: &'a [&'a str],
    dangling_before: HashMap<Dangling, u64>,
}

/// A reference to a missing row.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Dangling {
    table: String,
    /// None in a table without rowids: then this is all its dangling rows of this key.
    rowid: Option<i64>,
    parent: String,
    key: i64,
}

impl<'a> ForeignKeys<'a> {
    /// Reads the references to rows of the tables `parents`, before any of these rows is erased. Leaves out the tables that
    /// will be `emptied`.
    ///
    /// # Errors
    /// If the database can't be read.
    pub(crate) fn of(
        db: &SqliteDb,
        parents: &'a [&'a str],
        emptied: &'a [&'a str],
    ) -> Result<Self, Error> {
        Ok(Self {
            parents,
            emptied,
            dangling_before: db.run(|conn| dangling(conn, parents, emptied))?,
        })
    }

    /// Whether any table refers to one of `parents`.
    ///
    /// # Errors
    /// If the database can't be read.
    pub(crate) fn exist(db: &SqliteDb, parents: &[&str]) -> Result<bool, Error> {
        let sql = format!(
            r#"SELECT EXISTS (
                   SELECT 1 FROM sqlite_schema AS child, pragma_foreign_key_list(child.name) AS key
                   WHERE child.type = 'table' AND lower(key."table") IN ({}))"#,
            quoted(parents)
        );
        db.run(|conn| conn.query_row(&sql, [], |row| row.get(0)))
    }

    /// Must be called in the transaction that erases, before the commit.
    ///
    /// # Errors
    /// If the erasure left a reference dangling.
    pub(crate) fn check(&self, db: &SqliteDb) -> Result<(), Error> {
        let mut new: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (reference, rows) in db.run(|conn| dangling(conn, self.parents, self.emptied))? {
            let more = rows.saturating_sub(self.rows_before(&reference));
            if more > 0 {
                *new.entry((reference.table, reference.parent)).or_default() += more;
            }
        }
        match new.pop_first() {
            Some(((table, parent), rows)) => Err(db.error(Cause::StillReferred {
                table,
                parent,
                rows,
            })),
            None => Ok(()),
        }
    }

    /// The number of rows of `reference` that were dangling before and still exist.
    fn rows_before(&self, reference: &Dangling) -> u64 {
        let table = &reference.table;
        let is_erased_from = self
            .parents
            .iter()
            .any(|name| table.eq_ignore_ascii_case(name));
        if reference.rowid.is_none() && is_erased_from {
            // Which of them still exist is unknown. Failing is safer than missing a new one.
            return 0;
        }
        self.dangling_before.get(reference).copied().unwrap_or(0)
    }
}

/// The FROM clause of a query for the dangling references of the tables `child` whose foreign keys `key` meet `condition`.
pub(super) fn dangling_from(condition: &str) -> String {
    format!(
        "FROM (SELECT DISTINCT child.name
               FROM sqlite_schema AS child, pragma_foreign_key_list(child.name) AS key
               WHERE child.type = 'table' AND {condition}) AS children,
              pragma_foreign_key_check(children.name) AS dangling"
    )
}

fn dangling(
    conn: &Connection,
    parents: &[&str],
    emptied: &[&str],
) -> rusqlite::Result<HashMap<Dangling, u64>> {
    let (parents, emptied) = (quoted(parents), quoted(emptied));
    let dangling = dangling_from(&format!(
        r#"lower(child.name) NOT IN ({emptied}) AND lower(key."table") IN ({parents})"#
    ));
    let sql = format!(
        r#"SELECT dangling."table", dangling.rowid, dangling.parent, dangling.fkid, count(*) {dangling}
           GROUP BY 1, 2, 3, 4"#
    );
    conn.prepare(&sql)?
        .query_map([], |row| {
            let reference = Dangling {
                table: row.get(0)?,
                rowid: row.get(1)?,
                parent: row.get(2)?,
                key: row.get(3)?,
            };
            Ok((reference, row.get(4)?))
        })?
        .collect()
}
