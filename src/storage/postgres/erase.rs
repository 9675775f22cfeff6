//! What erasing rows needs besides DELETE: which tables there are, which rows refer to the deleted ones, and which are kept.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;

use super::{Parameters, PostgresDb, select::text};
use crate::storage::{Cause, TABLES, TableRows};

/// The rows of a table that a transaction deletes.
pub(super) struct DeletedRows {
    pub(super) table: &'static str,
    /// SQL about a row, which it calls `it`, with the parameters of the whole transaction.
    pub(super) condition: String,
}

impl DeletedRows {
    /// The condition for a row of another name.
    fn named(&self, row: &str) -> String {
        self.condition.replace("it.", &format!("{row}."))
    }
}

/// A foreign key that refers to a table. Names are quoted as SQL needs it.
pub(super) struct ForeignKey {
    /// The number of the table that it refers to, or of whose part, in a list of tables.
    parent: usize,
    /// The number of its own table, or the table that that is a part of, if it is in that list.
    child: Option<usize>,
    parent_table: String,
    child_table: String,
    /// Pairs of a column of the child and one of the parent.
    columns: Vec<(String, String)>,
}

/// A count of rows.
pub(super) fn count(row: &tokio_postgres::Row, index: usize) -> Result<u64, Cause> {
    let count: i64 = row.try_get(index)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

impl PostgresDb {
    /// Those of [`TABLES`] that the database has, in their order.
    pub(super) fn existing_tables(&self) -> Result<Vec<&'static str>, Cause> {
        let mut tables = Vec::new();
        for table in TABLES {
            let found = self.query(
                "SELECT 1 FROM pg_class WHERE oid = to_regclass($1) AND relkind IN ('r', 'p')",
                &[(&table, Type::TEXT)],
            )?;
            if !found.is_empty() {
                tables.push(table);
            }
        }
        Ok(tables)
    }

    /// The foreign keys that refer to `tables`, or to parts of them.
    pub(super) fn foreign_keys(&self, tables: &[&str]) -> Result<Vec<ForeignKey>, Cause> {
        let families = tables
            .iter()
            .map(|table| self.family(table))
            .collect::<Result<Vec<_>, _>>()?;
        let number = |table: i64| families.iter().position(|family| family.contains(&table));
        let rows = self.query(
            "SELECT conrelid::int8, confrelid::int8, conrelid::regclass::text, confrelid::regclass::text,
                    (SELECT array_agg(quote_ident(attname) ORDER BY number)
                     FROM unnest(conkey) WITH ORDINALITY AS key (attnum, number)
                     JOIN pg_attribute USING (attnum) WHERE attrelid = conrelid),
                    (SELECT array_agg(quote_ident(attname) ORDER BY number)
                     FROM unnest(confkey) WITH ORDINALITY AS key (attnum, number)
                     JOIN pg_attribute USING (attnum) WHERE attrelid = confrelid)
             FROM pg_constraint WHERE contype = 'f' AND conparentid = 0",
            &[],
        )?;
        let mut keys = Vec::new();
        for row in &rows {
            let Some(parent) = number(row.try_get(1)?) else {
                continue;
            };
            let (of_child, of_parent): (Vec<String>, Vec<String>) =
                (row.try_get(4)?, row.try_get(5)?);
            keys.push(ForeignKey {
                parent,
                child: number(row.try_get(0)?),
                child_table: text(row, 2)?.to_owned(),
                parent_table: text(row, 3)?.to_owned(),
                columns: of_child.into_iter().zip(of_parent).collect(),
            });
        }
        Ok(keys)
    }

    /// The table and its partitions and children, from which its rows are deleted too.
    fn family(&self, table: &str) -> Result<Vec<i64>, Cause> {
        let rows = self.query(
            "WITH RECURSIVE family AS (
                 SELECT to_regclass($1)::oid AS member
                 UNION SELECT inhrelid FROM pg_inherits JOIN family ON inhparent = member)
             SELECT member::int8 FROM family WHERE member IS NOT NULL",
            &[(&table, Type::TEXT)],
        )?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Checks that no row that stays refers to a row that will be deleted: the server would delete or change it, or refuse.
    /// `keys` are those of the tables of `deleted`.
    ///
    /// # Errors
    /// If there is such a row, or if this user may not see whether there is.
    pub(super) fn check_references(
        &self,
        keys: &[ForeignKey],
        deleted: &[DeletedRows],
        parameters: &Parameters<'_>,
    ) -> Result<(), Cause> {
        let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
        for key in keys {
            let stays = match key.child {
                Some(child) => format!("({}) IS NOT TRUE", deleted[child].named("child")),
                None => "TRUE".to_owned(),
            };
            let pairs: Vec<String> = key
                .columns
                .iter()
                .map(|(of_child, of_parent)| format!("parent.{of_parent} = child.{of_child}"))
                .collect();
            let sql = format!(
                "SELECT count(*) FROM {} AS child WHERE {stays} AND EXISTS (
                     SELECT 1 FROM {} AS parent WHERE {} AND {})",
                key.child_table,
                key.parent_table,
                pairs.join(" AND "),
                deleted[key.parent].named("parent"),
            );
            let rows = count(&self.query_one(&sql, parameters)?, 0)?;
            if rows > 0 {
                let tables = (key.child_table.clone(), key.parent_table.clone());
                *found.entry(tables).or_default() += rows;
            }
        }
        match found.pop_first() {
            Some(((table, parent), rows)) => Err(Cause::StillReferred {
                table,
                parent,
                rows,
            }),
            None => Ok(()),
        }
    }

    /// Deletes rows of several tables in one statement, so that rows that refer to each other are deleted together. Returns
    /// their numbers. Only inside [`PostgresDb::delete`].
    ///
    /// # Errors
    /// If a row that stays refers to one of them, or if a trigger keeps one.
    pub(super) fn delete_rows(
        &self,
        deleted: &[DeletedRows],
        parameters: &Parameters<'_>,
    ) -> Result<Vec<TableRows>, Cause> {
        let tables: Vec<&str> = deleted.iter().map(|rows| rows.table).collect();
        let keys = self.foreign_keys(&tables)?;
        self.check_references(&keys, deleted, parameters)?;
        let found = self.count_deleted(deleted, parameters)?;
        let steps: Vec<String> = deleted
            .iter()
            .map(|DeletedRows { table, condition }| {
                format!("deleted_{table} AS (DELETE FROM {table} AS it WHERE {condition})")
            })
            .collect();
        if !steps.is_empty() {
            self.execute(&format!("WITH {} SELECT", steps.join(", ")), parameters)?;
        }
        let kept = self.count_deleted(deleted, parameters)?;
        match kept.into_iter().find(|kept| kept.rows > 0) {
            Some(TableRows { table, rows }) => Err(Cause::Kept { table, rows }),
            None => Ok(found),
        }
    }

    fn count_deleted(
        &self,
        deleted: &[DeletedRows],
        parameters: &Parameters<'_>,
    ) -> Result<Vec<TableRows>, Cause> {
        let count_in = |DeletedRows { table, condition }: &DeletedRows| {
            let sql = format!("SELECT count(*) FROM {table} AS it WHERE {condition}");
            let rows = count(&self.query_one(&sql, parameters)?, 0)?;
            Ok(TableRows { table, rows })
        };
        deleted.iter().map(count_in).collect()
    }
}

/// The statement that rewrites `tables`, and with them the planner's statistics, without what was deleted.
pub(crate) fn rewrite(tables: &[&str]) -> String {
    format!("VACUUM (FULL, ANALYZE) {}", tables.join(", "))
}
