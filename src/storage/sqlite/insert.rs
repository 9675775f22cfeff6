use std::{fs::File, path::Path, time::Instant};

use rusqlite::{Connection, ErrorCode};
use rustix::{
    fs::{FlockOperation, flock},
    io::{Errno, retry_on_intr},
};

use super::{
    SqliteDb,
    batch::{BATCH_TIME_MAX, yielding},
    schema::{IdColumn, table_without_ids},
};
use crate::storage::{Cause, Error, NumberedClick, error::reason};

/// Stores one click without an id; works without a column for it too.
pub(super) const INSERT: &str = "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES (?1, ?2, ?3, ?4)";

/// Stores one click with its id.
pub(super) const INSERT_WITH_ID: &str = "INSERT INTO lead_clicks (email, expert_username, search_query, created_at, click_id) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Why a click was not stored although SQLite reported success: a host app's trigger or ON CONFLICT IGNORE skipped it.
pub(super) const IGNORED: &str = "ignored by a trigger or constraint";

/// While one exists, other imports wait. It is an advisory lock on the directory of the database: one on a file of SQLite's
/// would release the locks of SQLite when it is closed.
#[derive(Debug)]
pub(crate) struct ImportLock(#[expect(dead_code, reason = "closing it releases the lock")] File);

impl SqliteDb {
    /// As [`crate::storage::Db::lock_imports`].
    pub(crate) fn lock_imports(&self, on_wait: impl FnOnce()) -> Result<ImportLock, Error> {
        let directory = self.path().parent().unwrap_or(Path::new("/"));
        let lock = || {
            let directory = File::open(directory)?;
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => {
                    on_wait();
                    retry_on_intr(|| flock(&directory, FlockOperation::LockExclusive))?;
                }
                locked => locked?,
            }
            Ok(ImportLock(directory))
        };
        lock().map_err(|error| Error::unusable(directory, error))
    }

    /// As [`crate::storage::Db::insert_some`].
    pub(crate) fn insert_some(
        &self,
        clicks: &mut impl Iterator<Item = NumberedClick>,
        line: impl Fn(usize) -> u64,
    ) -> Result<u64, Error> {
        let id_column = self.id_column()?;
        yielding(|| {
            self.write(|db| db.read(|conn| insert_for_a_while(conn, id_column, clicks, line)))
        })
    }
}

fn insert_for_a_while(
    conn: &Connection,
    id_column: IdColumn,
    clicks: &mut impl Iterator<Item = NumberedClick>,
    line: impl Fn(usize) -> u64,
) -> Result<u64, Cause> {
    let begin = Instant::now();
    let mut inserted = 0;
    for (click, id, created_at, number) in clicks {
        let (email, expert) = (click.email(), click.expert_username());
        let (query, time) = (click.search_query(), &*created_at.stored());
        let done = match id.filter(|_| id_column != IdColumn::Missing) {
            Some(id) => conn.prepare_cached(INSERT_WITH_ID)?.execute((
                email,
                expert,
                query,
                time,
                id.as_str(),
            )),
            None => conn
                .prepare_cached(INSERT)?
                .execute((email, expert, query, time)),
        };
        let reason = match done {
            Ok(0) => IGNORED.to_owned(),
            Ok(_) => {
                inserted += 1;
                if begin.elapsed() > BATCH_TIME_MAX {
                    break;
                }
                continue;
            }
            Err(error) if is_about_the_row(&error) => reason(&error),
            Err(error) => return Err(why_not_inserted(conn, error)),
        };
        let line = line(number);
        return Err(Cause::ClickRejected { line, reason });
    }
    Ok(inserted)
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
