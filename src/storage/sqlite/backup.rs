//! A copy of the database, taken while others write into it.

use std::{
    fmt::Display,
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt},
    },
    path::Path,
};

use rusqlite::{Connection, OpenFlags};

use super::{
    SqliteDb,
    open::{FileHeader, ROLLBACK_VERSION, WRITE_AND_READ_VERSION, immutable_uri, is_wal_mode},
};
use crate::{
    interrupt::{CriticalSection, TemporaryFile},
    progress::Progress,
    storage::{Cause, Error, FILE_MODE, error::next_step},
};

/// How many bytes are written at a time. Progress is reported after each step.
const STEP_BYTES: usize = 1024 * 1024;

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BackupContent {
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// Its clicks.
    pub(crate) clicks: u64,
}

/// Copies the database, as it is now, to a new file at `path`, syncs it to the disk, and opens it to count its clicks. The
/// file gets its name only when it is complete and synced. Its mode is [`FILE_MODE`] less the umask. Reports `progress` in
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
    copy(&source, file.as_file(), progress).map_err(|error| match error {
        CopyError::Read(error) => sqlite_failed(error),
        CopyError::Write(error) => failed(&format!("{error}; check the disk and its free space")),
    })?;
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
    let clicks = count_clicks(&absolute).map_err(|error| {
        // It was just created, and is not a backup.
        let _ = fs::remove_file(&absolute);
        sqlite_failed(error)
    })?;
    Ok(BackupContent { bytes, clicks })
}

/// Whether a copy at `path`, if that is on the disk of the database, leaves free what clicks leave free by default.
/// `consequence` is for the error.
///
/// # Errors
/// If it does not, or if the database can't be read.
pub(crate) fn check_room(
    db: &SqliteDb,
    path: &Path,
    consequence: &'static str,
) -> Result<(), Error> {
    let device = |path: &Path| fs::metadata(path).map(|file| file.dev()).ok();
    let directory = match path.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    };
    // If there is no directory, writing the copy says so.
    if device(directory).is_none() || device(directory) != device(db.path()) {
        return Ok(());
    }
    db.check_reserve(db.pages_bytes()?, consequence)
}

pub(super) enum CopyError {
    Read(rusqlite::Error),
    Write(io::Error),
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(error)
    }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// Writes all pages as of one snapshot, as a checkpoint would. SQLite's own backup needs the name of a file, and a file with
/// a name is left behind by SIGKILL.
///
/// The copy is not in WAL mode, so that everybody who may read it can open it, without files next to it. leadclicksd sets
/// that mode again when it opens it.
pub(super) fn copy(
    source: &SqliteDb,
    target: &File,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), CopyError> {
    let snapshot = source.conn().unchecked_transaction()?;
    let number = |pragma| snapshot.query_row(pragma, [], |row| row.get::<_, u64>(0));
    let page_bytes = number("PRAGMA page_size")?;
    let total = number("PRAGMA page_count")? * page_bytes;
    let mut target = BufWriter::with_capacity(STEP_BYTES, target);
    let mut done = 0;
    let mut pages = snapshot.prepare("SELECT data FROM sqlite_dbpage ORDER BY pgno")?;
    let mut rows = pages.query([])?;
    while let Some(row) = rows.next()? {
        let mut page = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        if done == 0
            && let Some((header, rest)) = page.split_first_chunk()
        {
            target.write_all(&without_wal_mode(*header))?;
            page = rest;
        }
        target.write_all(page)?;
        done += page_bytes;
        if done.is_multiple_of(STEP_BYTES as u64) {
            progress(Progress { done, total });
        }
    }
    Ok(target.flush()?)
}

/// Changes the header of the complete database at `path` as [`copy`] does.
pub(super) fn leave_wal_mode(path: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut header = FileHeader::default();
    file.read_exact_at(&mut header, 0)?;
    if is_wal_mode(&header) {
        file.write_all_at(&without_wal_mode(header), 0)?;
    }
    file.sync_all()
}

/// What SQLite itself changes in a file's header when it leaves the WAL mode.
fn without_wal_mode(mut header: FileHeader) -> FileHeader {
    if is_wal_mode(&header) {
        header[WRITE_AND_READ_VERSION].fill(ROLLBACK_VERSION);
    }
    header
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
