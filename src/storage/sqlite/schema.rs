//! What leadclicks reads from and requires of a database's schema, which may be a host app's.

use rusqlite::{Connection, OptionalExtension};

use super::{SqliteDb, insert::INSERT};
use crate::storage::{Cause, Columns, Error};

/// The table of clicks as earlier versions of schema.sql created it, as SQLite stores its text. leadclicks adds the column
/// `click_id` to these. Any other table belongs to a host app and is never altered.
const EARLIER_CLICKS: [&str; 1] = ["CREATE TABLE lead_clicks (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL CHECK (length(email) BETWEEN 1 AND 320),
    expert_username TEXT NOT NULL CHECK (length(expert_username) BETWEEN 1 AND 100),
    search_query TEXT NOT NULL DEFAULT '' CHECK (length(search_query) <= 2000),
    -- UTC, always 'YYYY-MM-DD HH:MM:SS.ffffff': what SQLAlchemy writes and reads, and it sorts as text.
    created_at TEXT NOT NULL CHECK (length(created_at) = 26)
) STRICT"];

/// As in schema.sql.
const ADD_ID_COLUMN: &str =
    "ALTER TABLE lead_clicks ADD COLUMN click_id TEXT CHECK (length(click_id) = 36)";

/// Where the ids of clicks are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdColumn {
    /// Nowhere: `lead_clicks` has no column `click_id` that takes text.
    Missing,
    /// In `click_id`.
    Plain,
    /// In `click_id`, and a host app's constraint or index makes them unique.
    Unique,
}

/// A number that SQLite changes whenever the schema changes.
pub(super) fn schema_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA schema_version")?
        .query_row([], |row| row.get(0))
}

/// A table whose `AUTOINCREMENT` ids are used up, and that gets a row when a click is stored: `lead_clicks`, or one into
/// which its triggers may insert. SQLite then reports that the disk is full.
pub(super) fn table_without_ids(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let has_sequences: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence')",
        [],
        |row| row.get(0),
    )?;
    if !has_sequences {
        return Ok(None);
    }
    conn.query_row(
        "SELECT name FROM sqlite_sequence
         WHERE typeof(seq) = 'integer' AND seq = 9223372036854775807
           AND (lower(name) = 'lead_clicks'
                OR EXISTS (SELECT 1 FROM sqlite_schema
                           WHERE type = 'trigger' AND lower(tbl_name) = 'lead_clicks'
                             AND instr(lower(sql), lower(sqlite_sequence.name)) > 0))
         LIMIT 1",
        [],
        |row| row.get(0),
    )
    .optional()
}

impl SqliteDb {
    /// Where the ids of clicks are stored now.
    pub(super) fn id_column(&self) -> Result<IdColumn, Error> {
        let is_unique: Option<bool> = self.run(|conn| {
            // In a strict table only some column types take text, and a generated column takes nothing.
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

    /// Whether an earlier version of leadclicks created the table of clicks, without the column `click_id`.
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

    /// Adds the column `click_id` to the table of an earlier version. SQLite then checks every row of a strict table, which
    /// takes some 0.2 s for a million clicks. Nothing else can be stored meanwhile.
    pub(super) fn add_id_column(&self) -> Result<(), Error> {
        self.write(|db| {
            // Another program may have added it meanwhile.
            if db.has_earlier_clicks_table()? {
                db.run(|conn| conn.execute_batch(ADD_ID_COLUMN))?;
            }
            Ok(())
        })
    }

    /// The names of `table`'s columns in their order; none if there is no such table.
    pub(crate) fn columns(&self, table: &str) -> Result<Vec<String>, Error> {
        self.run(|conn| {
            conn.prepare("SELECT name FROM pragma_table_xinfo(?1)")?
                .query_map([table], |row| row.get(0))?
                .collect()
        })
    }

    /// Checks that `lead_clicks` has the columns that reports read.
    pub(crate) fn check_clicks(&self) -> Result<(), Error> {
        let columns = self.columns("lead_clicks")?;
        if columns.is_empty() {
            return Err(self.error(Cause::NoTable("lead_clicks")));
        }
        let needed = Columns::NAMES.map(|(_, name)| name);
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
                return Err(self.error(Cause::NoColumn { table, column }));
            }
        }
        Ok(())
    }

    /// Checks that `lead_clicks` can store clicks: a host app's table may require more columns. An error at the start is
    /// better than 503 for every click.
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
            return Err(self.error(Cause::View));
        }
        self.check_ids()?;
        let required: Option<String> = self.run(|conn| {
            // Preparing fails if a trigger needs something that is missing here, for instance a function of the app.
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
        match required {
            Some(column) => Err(self.error(Cause::ColumnRequired(column))),
            None => Ok(()),
        }
    }

    /// Checks that SQLite assigns `lead_clicks.id`.
    pub(crate) fn check_ids(&self) -> Result<(), Error> {
        // SQLite only does so for such a column (https://sqlite.org/lang_createtable.html#rowid).
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
            Err(self.error(Cause::IdNotNumbered))
        }
    }

    /// The name of an index that finds clicks by their time.
    pub(crate) fn index_on_time(&self) -> Result<Option<String>, Error> {
        self.index_on("created_at")
    }

    /// The name of an index that finds clicks by `column`.
    pub(super) fn index_on(&self, column: &str) -> Result<Option<String>, Error> {
        self.run(|conn| {
            conn.query_row(
                "SELECT list.name
                 FROM pragma_index_list('lead_clicks') AS list, pragma_index_info(list.name) AS info
                 WHERE info.seqno = 0 AND lower(info.name) = ?1 AND NOT list.partial
                 LIMIT 1",
                [column],
                |row| row.get(0),
            )
            .optional()
        })
    }

    /// Whether schema.sql created the table `lead_clicks`: only then it is strict.
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
