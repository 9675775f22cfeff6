//! What erasing rows for good takes, beside the deletion: which tables, what refers to the rows, and what else SQLite
//! keeps of them.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use super::SqliteDb;
use crate::storage::{Error, Problem, TABLES};

/// Those of [`TABLES`] that the database has, in their order.
pub(crate) fn present(conn: &Connection) -> rusqlite::Result<Vec<&'static str>> {
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

/// Clears what SQLite keeps to search and to plan of rows that are gone from `tables`, those of them that the database
/// has. A full-text index that triggers keep up to date only marks its words as deleted until its parts are merged
/// ([FTS5 on 'optimize'](https://sqlite.org/fts5.html#the_optimize_command)), and ANALYZE keeps samples of indexed
/// values.
///
/// # Errors
/// When the database refuses.
pub(crate) fn clear_indexes(db: &SqliteDb, tables: &[&str]) -> Result<(), Error> {
    db.write(|db| {
        db.run(|conn| {
            let mut there = present(conn)?;
            there.retain(|table| tables.contains(table));
            clear_full_text(conn, &there)?;
            clear_samples(conn, &there)
        })
    })
}

fn clear_full_text(conn: &Connection, tables: &[&str]) -> rusqlite::Result<()> {
    let ours = quoted(tables);
    // By the tables that only FTS5, or FTS3 and FTS4, keep for themselves, since SQL can be written in many ways.
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
            .any(|trigger| names(trigger, &index.to_lowercase()));
        let command = if is_over(tables, &sql) {
            // It then has what its content has now, whatever its triggers have forgotten.
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

/// Whether a full-text index, by its lower-cased SQL, has one of `tables` as its external content.
fn is_over(tables: &[&str], sql: &str) -> bool {
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

/// Whether `sql` has `name` as a whole word; both are in small letters.
fn names(sql: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    sql.match_indices(name).any(|(at, _)| {
        let (before, after) = (sql.get(..at), sql.get(at + name.len()..));
        !before.is_some_and(|text| text.ends_with(is_part))
            && !after.is_some_and(|text| text.starts_with(is_part))
    })
}

/// Names as a list for SQL's `IN`.
fn quoted(tables: &[&str]) -> String {
    let quoted: Vec<String> = tables.iter().map(|table| format!("'{table}'")).collect();
    quoted.join(", ")
}

/// What points to nothing among the rows that refer to those that are to be erased. Foreign keys are not enforced on
/// this connection, since enforcing them may cascade into other tables, so who erases checks them.
pub(crate) struct References<'a> {
    parents: &'a [&'a str],
    wiped: &'a [&'a str],
    dangling_before: HashMap<Dangling, u64>,
}

/// A reference to a row that is not there.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Dangling {
    table: String,
    /// None in a table without rowids, where this stands for all its rows that point to nothing by this key.
    rowid: Option<i64>,
    parent: String,
    key: i64,
}

impl<'a> References<'a> {
    /// The references to rows of the tables `parents`, before any of these rows is erased; but for those of tables that
    /// will be `wiped` altogether.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn of(
        db: &SqliteDb,
        parents: &'a [&'a str],
        wiped: &'a [&'a str],
    ) -> Result<Self, Error> {
        Ok(Self {
            parents,
            wiped,
            dangling_before: db.run(|conn| dangling(conn, parents, wiped))?,
        })
    }

    /// To be called within the transaction that erases, before its end.
    ///
    /// # Errors
    /// When a reference points to nothing that did not before.
    pub(crate) fn check(&self, db: &SqliteDb) -> Result<(), Error> {
        let mut new: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (reference, rows) in db.run(|conn| dangling(conn, self.parents, self.wiped))? {
            let more = rows.saturating_sub(self.rows_before(&reference));
            if more > 0 {
                *new.entry((reference.table, reference.parent)).or_default() += more;
            }
        }
        match new.pop_first() {
            Some(((table, parent), rows)) => Err(db.error(Problem::StillReferred {
                table,
                parent,
                rows,
            })),
            None => Ok(()),
        }
    }

    /// How many rows of `reference` pointed to nothing before, and are still there.
    fn rows_before(&self, reference: &Dangling) -> u64 {
        let table = &reference.table;
        let is_erased_from = self
            .parents
            .iter()
            .any(|name| table.eq_ignore_ascii_case(name));
        if reference.rowid.is_none() && is_erased_from {
            // Nobody can tell which of them are. Better to refuse than to hide one that was not among them.
            return 0;
        }
        self.dangling_before.get(reference).copied().unwrap_or(0)
    }
}

fn dangling(
    conn: &Connection,
    parents: &[&str],
    wiped: &[&str],
) -> rusqlite::Result<HashMap<Dangling, u64>> {
    let (parents, wiped) = (quoted(parents), quoted(wiped));
    let sql = format!(
        r#"SELECT check_."table", check_.rowid, check_.parent, check_.fkid, count(*)
           FROM (SELECT DISTINCT child.name
                 FROM sqlite_schema AS child, pragma_foreign_key_list(child.name) AS reference
                 WHERE child.type = 'table' AND lower(child.name) NOT IN ({wiped})
                   AND lower(reference."table") IN ({parents})) AS children,
                pragma_foreign_key_check(children.name) AS check_
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
