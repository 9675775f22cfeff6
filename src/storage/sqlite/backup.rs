//! A copy of the database, taken while others write into it.

use std::{
    error,
    fs::{self, File},
    io::ErrorKind,
    os::unix::ffi::OsStrExt,
    path::Path,
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{SqliteDb, open::unchanging_uri};
use crate::{
    interrupt::{CriticalSection, TemporaryFile},
    progress::Progress,
    storage::{Error, FILE_MODE, Problem, error::next_step},
};

/// How many pages are copied at a time; 4 MiB of 4 KiB each. In between it is told how far the copy is.
const STEP_PAGES: std::ffi::c_int = 1024;

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// Its clicks.
    pub(crate) clicks: u64,
}

/// Copies the database, as it stands now, to a new file at `path`, opens the copy to count its clicks, and syncs it to
/// the disk. The file has its name only when it is complete, and the mode [`FILE_MODE`] or less by the umask. Tells
/// `progress` in bytes.
///
/// Who writes need not wait, but as long as it takes the WAL can't be begun anew, and grows by what is written.
///
/// # Errors
/// When there is such a file already, when it can't be written, or the database can't be read.
pub(crate) fn write(
    db: &SqliteDb,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Copied, Error> {
    let failed = |source: Box<dyn error::Error + Send + Sync>| {
        Error::new(path, Problem::Backup { source, stops: "" })
    };
    if db.owns(path) {
        return Err(failed("it belongs to the database, choose another".into()));
    }
    if fs::symlink_metadata(path).is_ok() {
        return Err(failed(
            "there is such a file already, choose another".into(),
        ));
    }
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(failed("that names a directory, name a file".into()));
    }
    // A connection of its own: where a transaction is open on the other, it sees what was committed before that began.
    let source = SqliteDb::open_for_report(db.path())?;
    let absolute = std::path::absolute(path).map_err(|error| failed(error.into()))?;
    let directory = absolute.parent().unwrap_or(Path::new("/"));
    let file = TemporaryFile::new(directory, FILE_MODE).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            failed("its directory does not exist, make it first or choose another".into())
        }
        ErrorKind::NotADirectory => {
            failed("what should be its directory is a file, choose another".into())
        }
        _ => failed(error.into()),
    })?;
    let told = |error: rusqlite::Error| failed(format!("{error}; {}", next_step(&error)).into());
    copy(&source, file.path(), progress).map_err(told)?;
    let clicks = count_clicks(file.path()).map_err(told)?;
    let bytes = file
        .as_file()
        .sync_all()
        .and_then(|()| file.as_file().metadata())
        .map_err(|error| failed(error.into()))?
        .len();
    let _critical = CriticalSection::begin();
    file.persist_noclobber(&absolute)
        .and_then(|()| File::open(directory)?.sync_all())
        .map_err(|error| failed(error.into()))?;
    Ok(Copied { bytes, clicks })
}

fn copy(
    source: &SqliteDb,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> rusqlite::Result<()> {
    let mut target = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // No file beside it, which a signal would leave there; it is synced as a whole.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    // All steps read one snapshot, which begins with the first reading. Without it SQLite would begin the copy anew
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

/// Opens a copy and counts its clicks. As a file that nobody changes: SQLite would make `-wal` and `-shm` beside it.
fn count_clicks(path: &Path) -> rusqlite::Result<u64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(unchanging_uri(path), flags)?.query_row(
        "SELECT count(*) FROM lead_clicks",
        [],
        |row| row.get(0),
    )
}
