//! A copy of the database, taken while others write into it.

use std::{
    fmt::Display,
    fs::{self, File},
    io::ErrorKind,
    os::unix::ffi::OsStrExt,
    path::Path,
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{SqliteDb, open::immutable_uri};
use crate::{
    interrupt::{CriticalSection, TemporaryFile},
    progress::Progress,
    storage::{Cause, Error, FILE_MODE, error::next_step},
};

/// How many pages are copied at a time: 4 MiB if a page has 4 KiB. Progress is reported after each step.
const STEP_PAGES: std::ffi::c_int = 1024;

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BackupContent {
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// Its clicks.
    pub(crate) clicks: u64,
}

/// Copies the database, as it is now, to a new file at `path`, opens the copy to count its clicks, and syncs it to the
/// disk. The file gets its name only when it is complete. Its mode is [`FILE_MODE`] less the umask. Reports `progress` in
/// bytes.
///
/// Writers need not wait. Until the copy is complete the WAL can't restart, and grows by what they write.
///
/// # Errors
/// If the file exists already or can't be written, or the database can't be read.
pub(crate) fn write(
    db: &SqliteDb,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<BackupContent, Error> {
    let failed = |reason: &dyn Display| {
        let reason = reason.to_string();
        let consequence = "";
        Error::new(
            path,
            Cause::Backup {
                reason,
                consequence,
            },
        )
    };
    if db.owns(path) {
        return Err(failed(&"it belongs to the database; choose another name"));
    }
    if fs::symlink_metadata(path).is_ok() {
        return Err(failed(&"the file exists already; choose another name"));
    }
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(failed(&"the path is a directory's; give a file name"));
    }
    // A connection of its own: if a transaction is open on `db`, this one sees what was committed before that began.
    let source = SqliteDb::open_for_report(db.path())?;
    let absolute = std::path::absolute(path).map_err(|error| failed(&error))?;
    let directory = absolute.parent().unwrap_or(Path::new("/"));
    let file = TemporaryFile::new(directory, FILE_MODE).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            failed(&"its directory does not exist; create it first, or choose another")
        }
        ErrorKind::NotADirectory => failed(&"its parent is not a directory; choose another path"),
        _ => failed(&error),
    })?;
    let sqlite_failed = |error: rusqlite::Error| failed(&format!("{error}; {}", next_step(&error)));
    copy(&source, file.path(), progress).map_err(sqlite_failed)?;
    let clicks = count_clicks(file.path()).map_err(sqlite_failed)?;
    let bytes = file
        .as_file()
        .sync_all()
        .and_then(|()| file.as_file().metadata())
        .map_err(|error| failed(&error))?
        .len();
    let _critical = CriticalSection::begin();
    file.persist_noclobber(&absolute)
        .and_then(|()| File::open(directory)?.sync_all())
        .map_err(|error| failed(&error))?;
    Ok(BackupContent { bytes, clicks })
}

fn copy(
    source: &SqliteDb,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> rusqlite::Result<()> {
    let mut target = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Without a journal file, which a signal would leave behind. The copy is synced as a whole.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    // All steps read one snapshot, which begins with the first read. Without it SQLite would restart the copy
    // whenever another program has written (https://sqlite.org/c3ref/backup_finish.html).
    let snapshot = source.conn().unchecked_transaction()?;
    let page_bytes: u64 = snapshot.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let backup = Backup::new(&snapshot, &mut target)?;
    loop {
        match backup.step(STEP_PAGES)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => {
                return Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                    None,
                ));
            }
        }
        let pages = backup.progress();
        let bytes = |pages: i32| u64::from(pages.unsigned_abs()) * page_bytes;
        progress(Progress {
            done: bytes(pages.pagecount - pages.remaining),
            total: bytes(pages.pagecount),
        });
    }
}

/// Opens a copy as immutable and counts its clicks. Otherwise SQLite would create `-wal` and `-shm` next to it.
fn count_clicks(path: &Path) -> rusqlite::Result<u64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(immutable_uri(path), flags)?.query_row(
        "SELECT count(*) FROM lead_clicks",
        [],
        |row| row.get(0),
    )
}
