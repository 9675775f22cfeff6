//! What leadclicks needs to know of a database's schema, which may be a host app's.

use rusqlite::{Connection, OptionalExtension};

use super::{SqliteDb, insert::INSERT};
use crate::storage::{Column, Error, Problem};

/// The table of clicks as earlier versions of schema.sql made it, in SQLite's words for it. A database that has one of these
/// gets the column `click_id`; any other table is its owner's, and is never altered.
const EARLIER_CLICKS: [&str; 1] = ["CREATE TABLE lead_clicks (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL CHECK (length(email) BETWEEN 1 AND 320),
    expert_username TEXT NOT NULL CHECK (length(expert_username) BETWEEN 1 AND 100),
    search_query TEXT NOT NULL DEFAULT '' CHECK (length(search_query) <= 2000),
    -- UTC, always 'YYYY-MM-DD HH:MM:SS.ffffff': what SQLAlchemy writes and reads, and it sorts as text.
    created_at TEXT NOT NULL CHECK (length(created_at) = 26)
) STRICT"];

/// As schema.sql has it.
const ADD_ID_COLUMN: &str =
    "ALTER TABLE lead_clicks ADD COLUMN click_id TEXT CHECK (length(click_id) = 36)";

/// Where the ids of clicks are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdColumn {
    /// Nowhere: `lead_clicks` has no column `click_id` that takes text.
    Missing,
    /// In `click_id`.
    Plain,
    /// In `click_id`, and a host app's constraint or index lets each be there once.
    Unique,
}

/// A number that SQLite changes whenever the schema changes.
pub(super) fn schema_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA schema_version")?
        .query_row([], |row| row.get(0))
}

impl SqliteDb {
    /// Where the ids of clicks are stored now.
    pub(super) fn id_column(&self) -> Result<IdColumn, Error> {
        let is_unique: Option<bool> = self.run(|conn| {
            // A strict table takes text only in some columns, and nothing can be stored in a generated one.
            conn.query_row(
                "SELECT EXISTS (SELECT 1 FROM pragma_index_list('lead_clicks') AS list
                                WHERE list.\"unique\"
                                  AND (SELECT group_concat(lower(name)) FROM pragma_index_info(list.name)) = 'click_id')
                 FROM pragma_table_xinfo('lead_clicks')
                 WHERE lower(name) = 'click_id' AND hidden = 0
                   AND (upper(type) IN ('TEXT', 'ANY')
                        OR NOT (SELECT strict FROM pragma_table_list
                                WHERE schema = 'main' AND lower(name) = 'lead_clicks'))",
                [],
                |row| row.get(0),
            )
            .optional()
        })?;
        Ok(match is_unique {
            None => IdColumn::Missing,
            Some(false) => IdColumn::Plain,
            Some(true) => IdColumn::Unique,
        })
    }

    /// Whether the table of clicks is one that an earlier version of leadclicks made, without the column `click_id`.
    pub(super) fn has_earlier_clicks_table(&self) -> Result<bool, Error> {
        let sql: Option<String> = self.run(|conn| {
            conn.query_row(
                "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'lead_clicks'",
                [],
                |row| row.get(0),
            )
            .optional()
        })?;
        Ok(sql.is_some_and(|sql| EARLIER_CLICKS.contains(&&*sql)))
    }

    /// Adds the column `click_id` to the table that an earlier version made. SQLite checks every row of a strict table
    /// then, which takes some 0.2 s a million clicks, and nothing else can be stored meanwhile.
    pub(super) fn add_id_column(&self) -> Result<(), Error> {
        self.write(|db| {
            // Another program may have done it in the meantime.
            if db.has_earlier_clicks_table()? {
                db.run(|conn| conn.execute_batch(ADD_ID_COLUMN))?;
            }
            Ok(())
        })
    }

    /// The names of `table`'s columns in their order; none when there is no such table.
    pub(crate) fn columns(&self, table: &str) -> Result<Vec<String>, Error> {
        self.run(|conn| {
            conn.prepare("SELECT name FROM pragma_table_xinfo(?1)")?
                .query_map([table], |row| row.get(0))?
                .collect()
        })
    }

    /// Whether there are clicks that a report can read.
    pub(crate) fn check_clicks(&self) -> Result<(), Error> {
        let columns = self.columns("lead_clicks")?;
        if columns.is_empty() {
            return Err(self.error(Problem::NoTable("lead_clicks")));
        }
        let needed = Column::ALL.map(Column::name);
        self.check_columns("lead_clicks", &columns, &["id"])?;
        self.check_columns("lead_clicks", &columns, &needed)
    }

    pub(crate) fn check_columns(
        &self,
        table: &'static str,
        present: &[String],
        needed: &[&'static str],
    ) -> Result<(), Error> {
        for column in needed {
            if !present.iter().any(|name| name.eq_ignore_ascii_case(column)) {
                return Err(self.error(Problem::NoColumn { table, column }));
            }
        }
        Ok(())
    }

    /// A host app's table may demand more than a click has. Better said at the start than 503 all day.
    pub(crate) fn check_takes_clicks(&self) -> Result<(), Error> {
        let is_view = self.run(|conn| {
            conn.query_row(
                "SELECT EXISTS (SELECT 1 FROM sqlite_schema
                                WHERE type = 'view' AND lower(name) = 'lead_clicks')",
                [],
                |row| row.get(0),
            )
        })?;
        if is_view {
            return Err(self.error(Problem::View));
        }
        self.check_ids()?;
        let demanded: Option<String> = self.run(|conn| {
            // Preparing shows what a trigger lacks, for instance a function of the app's own.
            conn.prepare(INSERT)?;
            conn.query_row(
                r#"SELECT name FROM pragma_table_xinfo('lead_clicks')
                   WHERE "notnull" AND dflt_value IS NULL AND hidden = 0 AND pk = 0
                     AND lower(name) NOT IN ('email', 'expert_username', 'search_query', 'created_at')"#,
                [],
                |row| row.get(0),
            )
            .optional()
        })?;
        match demanded {
            Some(column) => Err(self.error(Problem::ColumnDemanded(column))),
            None => Ok(()),
        }
    }

    /// Whether `lead_clicks.id` is a key that SQLite numbers.
    pub(crate) fn check_ids(&self) -> Result<(), Error> {
        // Only such a column is numbered by SQLite (https://sqlite.org/lang_createtable.html#rowid).
        let id_is_numbered: bool = self.run(|conn| {
            conn.query_row(
                "SELECT (SELECT group_concat(lower(name) || ' ' || upper(type))
                         FROM pragma_table_xinfo('lead_clicks') WHERE pk > 0) = 'id INTEGER'
                    AND NOT (SELECT wr FROM pragma_table_list
                             WHERE schema = 'main' AND lower(name) = 'lead_clicks')",
                [],
                |row| Ok(row.get::<_, Option<bool>>(0)?.unwrap_or(false)),
            )
        })?;
        if id_is_numbered {
            Ok(())
        } else {
            Err(self.error(Problem::IdNotNumbered))
        }
    }

    /// The name of an index that finds clicks by their time.
    pub(crate) fn index_on_time(&self) -> Result<Option<String>, Error> {
        self.run(|conn| {
            conn.query_row(
                "SELECT list.name
                 FROM pragma_index_list('lead_clicks') AS list, pragma_index_info(list.name) AS info
                 WHERE info.seqno = 0 AND lower(info.name) = 'created_at' AND NOT list.partial
                 LIMIT 1",
                [],
                |row| row.get(0),
            )
            .optional()
        })
    }

    /// Whether the table `lead_clicks` was made by schema.sql, which alone makes it strict.
    pub(super) fn has_own_clicks_table(&self) -> Result<bool, Error> {
        self.run(|conn| {
            conn.query_row(
                "SELECT EXISTS (SELECT 1 FROM pragma_table_list
                                WHERE schema = 'main' AND lower(name) = 'lead_clicks' AND strict)",
                [],
                |row| row.get(0),
            )
        })
    }
}
