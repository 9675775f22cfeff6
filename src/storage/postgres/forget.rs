//! Erasing one person's rows.

use std::ops::ControlFlow;

use tokio_postgres::types::{ToSql, Type};

use super::{
    Parameters, PostgresDb,
    erase::{self, DeletedRows},
    select::text,
};
use crate::{
    click::{is_email, mentions},
    storage::{Cause, Error, Remains, SpellingRows},
};

/// How many rows of any table are fetched at a time: each may have long texts.
const SEARCHED_ROWS: u32 = 200;

/// An email of a row as it is compared: by its bytes, whatever the type and the collation of the column.
const EMAIL: &str = "it.email::text COLLATE \"C\"";

/// As [`crate::storage::Db::find_rows_of`].
pub(crate) fn find(db: &PostgresDb, email: &str) -> Result<Vec<SpellingRows>, Error> {
    db.snapshot(|db| {
        db.run(|| {
            db.forbid_row_security()?;
            let mut found = Vec::new();
            for table in db.existing_tables()? {
                if !db.columns(table)?.iter().any(|column| column == "email") {
                    continue;
                }
                let spellings = db.spellings(table, "email", |stored| is_email(stored, email))?;
                let rows = db.query(
                    &format!(
                        "SELECT {EMAIL}, count(*) FROM {table} AS it WHERE {EMAIL} = ANY($1) GROUP BY 1 ORDER BY 1"
                    ),
                    &[(&spellings, Type::TEXT_ARRAY)],
                )?;
                for row in &rows {
                    found.push(SpellingRows {
                        table,
                        spelling: text(row, 0)?.to_owned(),
                        rows: erase::count(row, 1)?,
                    });
                }
            }
            Ok(found)
        })
    })
}

/// As [`crate::storage::Db::forget`], in one transaction: other programs need not wait for it, and rows of the person may refer
/// to each other.
pub(crate) fn forget(
    db: &PostgresDb,
    found: &[SpellingRows],
    mut after_batch: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Error> {
    let tables: Vec<&[SpellingRows]> = found
        .chunk_by(|one, other| one.table == other.table)
        .collect();
    let spellings: Vec<Vec<&str>> = tables
        .iter()
        .map(|rows| rows.iter().map(|rows| &*rows.spelling).collect())
        .collect();
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> = spellings
        .iter()
        .map(|spellings| (spellings as &(dyn ToSql + Sync), Type::TEXT_ARRAY))
        .collect();
    let rows_of = |(number, rows): (usize, &&[SpellingRows])| DeletedRows {
        table: rows[0].table,
        condition: format!("{EMAIL} = ANY(${})", number + 1),
    };
    let deleted: Vec<DeletedRows> = tables.iter().enumerate().map(rows_of).collect();
    let counted = db.delete(|db| db.run(|| db.delete_rows(&deleted, &parameters)))?;
    // There is nothing left to stop.
    let _ = after_batch(counted.iter().map(|table| table.rows).sum());
    Ok(())
}

/// A table, a partitioned one with all its parts, or a materialized view.
struct SearchedTable {
    id: i64,
    /// In SQL.
    quoted: String,
    /// For people.
    name: String,
    /// Whether SQL finds it by its name without its schema.
    is_visible: bool,
}

/// A column that may contain a text.
struct SearchedColumn {
    name: String,
    quoted: String,
    is_bytes: bool,
}

/// As [`crate::storage::Db::search`], in the schemas of the search path. Each table is a transaction of its own, because one
/// that can't be read ends it.
pub(crate) fn search(
    db: &PostgresDb,
    email: &str,
    left_out: &[SpellingRows],
) -> Result<(Vec<String>, Vec<Remains>), Error> {
    let (mut searched, mut remains) = (Vec::new(), Vec::new());
    for table in db.run(|| db.searched_tables())? {
        let found = db.snapshot(|db| match db.search_table(&table, email, left_out) {
            Ok(found) => Ok(Some(found)),
            Err(Cause::NoRight(_)) => Ok(None),
            Err(Cause::Postgres(error)) if error.as_db_error().is_some() => Ok(None),
            Err(cause) => db.run(|| Err(cause)),
        })?;
        match found {
            Some(found) => {
                remains.extend(found);
                searched.push(table.name);
            }
            None => remains.push(Remains::Unreadable { table: table.name }),
        }
    }
    Ok((searched, remains))
}

/// As [`crate::storage::Db::unsearched_schemas`].
pub(crate) fn unsearched_schemas(db: &PostgresDb) -> Result<Vec<String>, Error> {
    db.run(|| {
        let rows = db.query(
            "SELECT DISTINCT nspname::text COLLATE \"C\" FROM pg_namespace
             JOIN pg_class ON relnamespace = pg_namespace.oid AND relkind IN ('r', 'p', 'm', 'f')
             WHERE NOT nspname = ANY(current_schemas(true)) AND nspname <> 'information_schema'
               AND nspname !~ '^pg_(toast|temp)'
             ORDER BY 1",
            &[],
        )?;
        rows.iter()
            .map(|row| Ok(text(row, 0)?.to_owned()))
            .collect()
    })
}

impl PostgresDb {
    fn searched_tables(&self) -> Result<Vec<SearchedTable>, Cause> {
        let rows = self.query(
            "SELECT pg_class.oid::int8, pg_class.oid::regclass::text, pg_table_is_visible(pg_class.oid),
                    relname::text, nspname::text
             FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
             WHERE nspname = ANY(current_schemas(false)) AND relkind IN ('r', 'p', 'm', 'f') AND NOT relispartition
             ORDER BY relname::text COLLATE \"C\", NOT pg_table_is_visible(pg_class.oid), nspname::text COLLATE \"C\"",
            &[],
        )?;
        rows.iter()
            .map(|row| {
                let is_visible = row.try_get(2)?;
                let (name, schema) = (text(row, 3)?, text(row, 4)?);
                Ok(SearchedTable {
                    id: row.try_get(0)?,
                    quoted: text(row, 1)?.to_owned(),
                    name: if is_visible {
                        name.to_owned()
                    } else {
                        format!("{schema}.{name}")
                    },
                    is_visible,
                })
            })
            .collect()
    }

    /// The columns of all types but numbers, times and the like.
    fn searched_columns(&self, table: &SearchedTable) -> Result<Vec<SearchedColumn>, Cause> {
        let rows = self.query(
            "SELECT attname::text, quote_ident(attname),
                    coalesce(nullif(typbasetype, 0), pg_type.oid) = 'bytea'::regtype
             FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
             WHERE attrelid::int8 = $1 AND attnum > 0 AND NOT attisdropped
               AND typcategory NOT IN ('B', 'D', 'G', 'I', 'N', 'T') AND atttypid <> 'uuid'::regtype
             ORDER BY attnum",
            &[(&table.id, Type::INT8)],
        )?;
        rows.iter()
            .map(|row| {
                Ok(SearchedColumn {
                    name: text(row, 0)?.to_owned(),
                    quoted: text(row, 1)?.to_owned(),
                    is_bytes: row.try_get(2)?,
                })
            })
            .collect()
    }

    fn search_table(
        &self,
        table: &SearchedTable,
        email: &str,
        left_out: &[SpellingRows],
    ) -> Result<Vec<Remains>, Cause> {
        self.forbid_row_security()?;
        let columns = self.searched_columns(table)?;
        let is_left_out = |column: &str, stored: &str| {
            column == "email"
                && table.is_visible
                && left_out
                    .iter()
                    .any(|rows| table.name == rows.table && rows.spelling == stored)
        };
        let (mut values, mut conditions) = (Vec::new(), Vec::new());
        for SearchedColumn {
            quoted, is_bytes, ..
        } in &columns
        {
            if *is_bytes {
                values.push(format!("{quoted}::bytea"));
                conditions.push(format!("position('@'::bytea IN {quoted}::bytea) > 0"));
            } else {
                values.push(format!("{quoted}::text"));
                conditions.push(format!("strpos({quoted}::text COLLATE \"C\", '@') > 0"));
            }
        }
        // Without such a column it is only read whether the table may be read.
        conditions.push("FALSE".to_owned());
        let sql = format!(
            "SELECT {} FROM {} WHERE {}",
            values.join(", "),
            table.quoted,
            conditions.join(" OR ")
        );
        let mut rows_found = vec![0_u64; columns.len()];
        let no_parameters: &Parameters<'_> = &[];
        self.for_each_fetched(SEARCHED_ROWS, &sql, no_parameters, |row| {
            for (index, column) in columns.iter().enumerate() {
                let stored = if column.is_bytes {
                    let bytes: Option<&[u8]> = row.try_get(index)?;
                    String::from_utf8_lossy(bytes.unwrap_or_default())
                } else {
                    text(row, index)?.into()
                };
                if mentions(&stored, email) && !is_left_out(&column.name, &stored) {
                    rows_found[index] += 1;
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(columns
            .into_iter()
            .zip(rows_found)
            .filter(|(_, rows)| *rows > 0)
            .map(|(column, rows)| Remains::Column {
                table: table.name.clone(),
                column: column.name,
                rows,
            })
            .collect())
    }
}
