//! Erasing one person's rows.

use std::ops::ControlFlow;

use rusqlite::{params, types::Type, vtab::array::Array};

use super::{
    SqliteDb,
    batch::{FoundRow, Split, delete_rows},
    erase::{ForeignKeys, existing_tables, quoted_name},
    spellings::{Spellings, array},
    text,
};
use crate::{
    click::{is_email, mentions},
    storage::{Error, Remains, SpellingRows},
};

/// The most rows whose ids are in memory.
const IDS_MAX: usize = 100_000;

/// As [`crate::storage::Db::find_rows_of`].
pub(crate) fn find(db: &SqliteDb, email: &str) -> Result<Vec<SpellingRows>, Error> {
    let mut found = Vec::new();
    for table in with_email(db)? {
        let spellings = Spellings::find(db, table, "email", |stored| is_email(stored, email))?;
        db.run(|conn| {
            let mut count = conn.prepare(&format!(
                "SELECT email COLLATE BINARY, count(*) FROM {table}
                 WHERE email COLLATE BINARY IN rarray(?1) GROUP BY 1 ORDER BY 1"
            ))?;
            let mut rows = count.query([spellings.values()])?;
            while let Some(row) = rows.next()? {
                found.push(SpellingRows {
                    table,
                    spelling: row.get(0)?,
                    rows: row.get(1)?,
                });
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// As [`crate::storage::Db::search`].
pub(crate) fn search(
    db: &SqliteDb,
    email: &str,
    left_out: &[SpellingRows],
) -> Result<(Vec<String>, Vec<Remains>), Error> {
    let tables: Vec<String> = db.run(|conn| {
        conn.prepare(
            "SELECT name FROM pragma_table_list
             WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
             ORDER BY name",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
    })?;
    let (mut searched, mut remains) = (Vec::new(), Vec::new());
    for table in tables {
        // In a snapshot, because another program may change or drop the table meanwhile.
        match db.snapshot(|db| search_table(db, &table, email, left_out)) {
            Ok(Some(found)) => {
                remains.extend(found);
                searched.push(table);
            }
            Ok(None) => {}
            Err(error) if error.is_damage() => remains.push(Remains::Damaged { table }),
            // It needs a module or a function that only the host app has.
            Err(error) if error.is_about_sql() => remains.push(Remains::Unreadable { table }),
            Err(error) => return Err(error),
        }
    }
    Ok((searched, remains))
}

/// None if there is no such table any more.
fn search_table(
    db: &SqliteDb,
    table: &str,
    email: &str,
    left_out: &[SpellingRows],
) -> Result<Option<Vec<Remains>>, Error> {
    // Hidden columns are the arguments of a virtual table.
    let columns: Vec<String> = db.run(|conn| {
        conn.prepare("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden <> 1")?
            .query_map([table], |row| row.get(0))?
            .collect()
    })?;
    if columns.is_empty() {
        return Ok(None);
    }
    let is_left_out = |column: &str, stored: &str| {
        column.eq_ignore_ascii_case("email")
            && left_out
                .iter()
                .any(|rows| table.eq_ignore_ascii_case(rows.table) && rows.spelling == stored)
    };
    let names: Vec<String> = columns.iter().map(|column| quoted_name(column)).collect();
    let conditions: Vec<String> = names
        .iter()
        .map(|name| format!("instr({name}, '@') > 0"))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE {}",
        names.join(", "),
        quoted_name(table),
        conditions.join(" OR ")
    );
    let mut rows_found = vec![0_u64; columns.len()];
    db.run(|conn| {
        let mut statement = conn.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for (index, column) in columns.iter().enumerate() {
                let value = row.get_ref(index)?;
                if matches!(value.data_type(), Type::Text | Type::Blob) {
                    let stored = text(value);
                    if mentions(&stored, email) && !is_left_out(column, &stored) {
                        rows_found[index] += 1;
                    }
                }
            }
        }
        Ok(())
    })?;
    let found = columns
        .into_iter()
        .zip(rows_found)
        .filter(|(_, rows)| *rows > 0)
        .map(|(column, rows)| Remains::Column {
            table: table.to_owned(),
            column,
            rows,
        });
    Ok(Some(found.collect()))
}

/// As [`crate::storage::Db::forget`].
pub(crate) fn forget(
    db: &SqliteDb,
    found: &[SpellingRows],
    mut after_batch: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Error> {
    let tables = tables_of(db, found)?;
    let names: Vec<&str> = tables.iter().map(|table| table.name).collect();
    let split = if ForeignKeys::exist(db, &names)? {
        Split::Never
    } else {
        Split::Always
    };
    let mut deleted = 0;
    loop {
        let rows = find_ids(db, &tables)?;
        let done = delete_rows(db, &names, split, &rows, &mut deleted, &mut after_batch)?;
        if done.is_break() || rows.len() < IDS_MAX {
            return Ok(());
        }
    }
}

/// A table, and the spellings that are deleted from it.
struct PersonTable {
    name: &'static str,
    spellings: Array,
    has_rowid: bool,
}

/// A row of a table, or without an id all rows of a table without rowids.
struct PersonRow<'a> {
    table: &'a PersonTable,
    id: Option<i64>,
}

fn tables_of(db: &SqliteDb, found: &[SpellingRows]) -> Result<Vec<PersonTable>, Error> {
    found
        .chunk_by(|one, other| one.table == other.table)
        .map(|rows| {
            let name = rows[0].table;
            let has_rowid = db.run(|conn| {
                conn.query_row(
                    "SELECT NOT wr FROM pragma_table_list WHERE schema = 'main' AND lower(name) = ?1",
                    [name],
                    |row| row.get(0),
                )
            })?;
            Ok(PersonTable {
                name,
                spellings: array(rows.iter().map(|rows| &*rows.spelling)),
                has_rowid,
            })
        })
        .collect()
}

/// Reads the ids outside of any write lock: without an index this reads the whole table.
fn find_ids<'a>(db: &SqliteDb, tables: &'a [PersonTable]) -> Result<Vec<PersonRow<'a>>, Error> {
    let mut found = Vec::new();
    for table in tables {
        let PersonTable {
            name,
            spellings,
            has_rowid,
        } = table;
        if !has_rowid {
            found.push(PersonRow { table, id: None });
            continue;
        }
        let left = IDS_MAX.saturating_sub(found.len());
        db.run(|conn| {
            let sql = format!(
                "SELECT rowid FROM {name} WHERE email COLLATE BINARY IN rarray(?1) LIMIT ?2"
            );
            let mut ids = conn.prepare(&sql)?;
            let mut rows = ids.query(params![spellings, left])?;
            while let Some(row) = rows.next()? {
                let id = Some(row.get(0)?);
                found.push(PersonRow { table, id });
            }
            Ok(())
        })?;
    }
    Ok(found)
}

impl PersonRow<'_> {
    /// The clauses that select it. Their parameters are its id and the table's spellings.
    fn clauses(&self) -> String {
        let is_the_row = match self.id {
            Some(_) => "rowid = ?1",
            None => "?1 IS NULL",
        };
        let name = self.table.name;
        format!("FROM {name} WHERE {is_the_row} AND email COLLATE BINARY IN rarray(?2)")
    }
}

impl FoundRow for PersonRow<'_> {
    fn table(&self) -> &'static str {
        self.table.name
    }

    fn delete(&self, db: &SqliteDb) -> Result<u64, Error> {
        let sql = format!("DELETE {}", self.clauses());
        let deleted = db.run(|conn| {
            conn.prepare_cached(&sql)?
                .execute(params![self.id, self.table.spellings])
        })?;
        Ok(deleted as u64)
    }

    fn exists(&self, db: &SqliteDb) -> Result<bool, Error> {
        let sql = format!("SELECT EXISTS (SELECT 1 {})", self.clauses());
        let parameters = params![self.id, self.table.spellings];
        db.run(|conn| conn.query_row(&sql, parameters, |row| row.get(0)))
    }
}

fn with_email(db: &SqliteDb) -> Result<Vec<&'static str>, Error> {
    let mut tables = Vec::new();
    for table in db.run(existing_tables)? {
        let columns = db.columns(table)?;
        if columns
            .iter()
            .any(|column| column.eq_ignore_ascii_case("email"))
        {
            tables.push(table);
        }
    }
    Ok(tables)
}
