//! What erasing rows for good takes, beside the deletion: which tables, what refers to the rows, and what else SQLite
//! keeps of them.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use crate::store::{Db, Error, Problem};

/// The tables of leads and clicks, in this order: what refers to others first. From those of them that the database
/// has, rows are erased; never from `experts`, `admin_users`, `settings` or anything else.
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

/// Clears what SQLite itself keeps of rows that are gone. A full-text index that triggers keep up to date only marks
/// its words as deleted until its parts are merged
/// ([FTS5 on 'optimize'](https://sqlite.org/fts5.html#the_optimize_command)), and ANALYZE keeps samples of indexed
/// values.
pub(crate) fn clear_derived(conn: &Connection, tables: &[&str]) -> rusqlite::Result<()> {
    let ours = quoted(tables);
    let indexes: Vec<(String, String)> = conn
        .prepare(
            "SELECT name, lower(sql) FROM sqlite_schema
             WHERE lower(sql) LIKE 'create virtual table%using%fts%'",
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
        if !is_full_text_index(&sql) {
            continue;
        }
        let is_fed = triggers
            .iter()
            .any(|trigger| is_named_in(&index.to_lowercase(), trigger));
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

/// Whether a virtual table is one, by its lower-cased SQL. `fts5vocab` only shows what is in one.
fn is_full_text_index(sql: &str) -> bool {
    let mut words = words(sql).skip_while(|word| *word != "using");
    matches!(words.nth(1), Some("fts3" | "fts4" | "fts5"))
}

/// Whether SQL has this name. One of several words is also found as a part of another.
fn is_named_in(name: &str, sql: &str) -> bool {
    if words(name).eq([name]) {
        words(sql).any(|word| word == name)
    } else {
        sql.contains(name)
    }
}

/// The words and names in SQL.
fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
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
    dangling_before: HashMap<Reference, u64>,
}

/// A foreign key of a row of `table` to one of `parent`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Reference {
    table: String,
    /// None where the table has no such number; its rows can only be counted.
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
    pub(crate) fn of(db: &Db, parents: &'a [&'a str], wiped: &'a [&'a str]) -> Result<Self, Error> {
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
    pub(crate) fn check(&self, db: &Db) -> Result<(), Error> {
        let mut new: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (reference, rows) in db.run(|conn| dangling(conn, self.parents, self.wiped))? {
            let before = self.dangling_before.get(&reference);
            let more = rows.saturating_sub(before.copied().unwrap_or_default());
            if more > 0 {
                *new.entry((reference.table, reference.parent)).or_default() += more;
            }
        }
        match new.pop_first() {
            None => Ok(()),
            Some(((table, parent), rows)) => Err(db.error(Problem::StillReferred {
                table,
                parent,
                rows,
            })),
        }
    }
}

/// The references to nothing, and how often each is there.
fn dangling(
    conn: &Connection,
    parents: &[&str],
    wiped: &[&str],
) -> rusqlite::Result<HashMap<Reference, u64>> {
    let (parents, wiped) = (quoted(parents), quoted(wiped));
    let sql = format!(
        r#"SELECT check_."table", check_.rowid, check_.parent, check_.fkid
           FROM (SELECT DISTINCT child.name
                 FROM sqlite_schema AS child, pragma_foreign_key_list(child.name) AS reference
                 WHERE child.type = 'table' AND lower(child.name) NOT IN ({wiped})
                   AND lower(reference."table") IN ({parents})) AS children,
                pragma_foreign_key_check(children.name) AS check_"#
    );
    let mut found = HashMap::new();
    let mut check = conn.prepare(&sql)?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let reference = Reference {
            table: row.get(0)?,
            rowid: row.get(1)?,
            parent: row.get(2)?,
            key: row.get(3)?,
        };
        *found.entry(reference).or_default() += 1;
    }
    Ok(found)
}
