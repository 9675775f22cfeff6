use rusqlite::{Connection, ErrorCode};

use super::{SqliteDb, schema::table_without_ids};
use crate::{
    click::Click,
    storage::{Cause, Error, error::reason},
    timestamp::Timestamp,
};

/// Stores one click without an id; works without a column for it too.
pub(super) const INSERT: &str = "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES (?1, ?2, ?3, ?4)";

/// Stores one click with its id.
pub(super) const INSERT_WITH_ID: &str = "INSERT INTO lead_clicks (email, expert_username, search_query, created_at, click_id) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Why a click was not stored although SQLite reported success: a host app's trigger or ON CONFLICT IGNORE skipped it.
pub(super) const IGNORED: &str = "ignored by a trigger or constraint";

impl SqliteDb {
    pub(crate) fn insert_clicks(
        &self,
        clicks: impl Iterator<Item = (Click, Timestamp, usize)>,
        line: impl Fn(usize) -> u64,
    ) -> Result<(), Error> {
        self.read(|conn| {
            let mut insert = conn.prepare(INSERT)?;
            for (click, created_at, number) in clicks {
                let reason = match insert.execute((
                    click.email(),
                    click.expert_username(),
                    click.search_query(),
                    &*created_at.stored(),
                )) {
                    Ok(0) => IGNORED.to_owned(),
                    Ok(_) => continue,
                    Err(error) if is_about_the_row(&error) => reason(&error),
                    Err(error) => return Err(why_not_inserted(conn, error)),
                };
                let line = line(number);
                return Err(Cause::ClickRejected { line, reason });
            }
            Ok(())
        })
    }
}

/// The cause of an error about the database as a whole.
pub(super) fn why_not_inserted(conn: &Connection, error: rusqlite::Error) -> Cause {
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        && let Ok(Some(table)) = table_without_ids(conn)
    {
        return Cause::IdsUsedUp(table);
    }
    error.into()
}

/// Whether the row caused the error, and not the database as a whole.
pub(super) fn is_about_the_row(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
    )
}
