//! Opening a database file safely.
//!
//! A blank database gets the tables of schema.sql. Any other is used as it is: its schema is never altered, and no mark is
//! left in the file's header, since both may be a host app's.

use std::{
    fmt::Write,
    fs,
    io::{self, ErrorKind, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, FileControl, OpenFlags, config::DbConfig};
use rustix::fs::{Access, access};

use super::{BUSY_TIMEOUT, JOURNAL_BYTES_MAX, SqliteDb, path_with};
use crate::storage::{Error, FILE_MODE, Problem};

const SCHEMA: &str = include_str!("../../../schema.sql");

impl SqliteDb {
    /// Opens the database at `path` for capture. Where there is none it is made, with [`FILE_MODE`]; an empty file
    /// becomes one and keeps its mode; a host app's is used as it is, in WAL mode.
    ///
    /// # Errors
    /// When the file can be neither made nor opened, when it is no database, when it is another program's
    /// without a `lead_clicks` table, or when that table lacks a column or demands one that a click has not.
    pub(crate) fn open_for_capture(path: &Path) -> Result<Self, Error> {
        make_file(path)?;
        let db = Self::connect_for_capture(path)?;
        db.run(|conn| {
            if is_blank(conn)? {
                conn.execute_batch(&format!("BEGIN IMMEDIATE;\n{SCHEMA}\nCOMMIT;"))?;
            }
            Ok(())
        })?;
        db.prepare_for_capture()?;
        Ok(db)
    }

    /// As [`SqliteDb::open_for_capture`], for a file that has taken the place of another while the daemon runs. An empty one
    /// is refused: it may be about to be filled from a backup.
    pub(super) fn reopen_for_capture(path: &Path) -> Result<Self, Error> {
        let db = Self::connect_for_capture(path)?;
        db.prepare_for_capture()?;
        Ok(db)
    }

    fn connect_for_capture(path: &Path) -> Result<Self, Error> {
        let path = fs::canonicalize(path).map_err(|error| Error::unusable(path, error))?;
        check_file_system(&path)?;
        let db = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.check_writable()?;
        Ok(db)
    }

    fn prepare_for_capture(&self) -> Result<(), Error> {
        self.check_clicks()?;
        self.check_takes_clicks()?;
        // Last, because it is written into the file: one that is refused stays as it was.
        self.use_wal()
    }

    /// Opens the existing database at `path` to read it. Neither creates nor changes anything.
    ///
    /// # Errors
    /// When there is no such file, when it can't be read or is no database, or when it has no `lead_clicks`
    /// table with every needed column.
    pub(crate) fn open_for_report(path: &Path) -> Result<Self, Error> {
        Self::open_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// Opens the existing database at `path` to look whether it is in order, whatever tables it has. As
    /// [`SqliteDb::open_for_report`] it changes nothing, as long as its `-wal` and `-shm` files are there, with its own owner
    /// and mode: SQLite makes them, or gives them that.
    ///
    /// # Errors
    /// When there is no such file, when it can't be read, or when it is no database.
    pub(crate) fn open_for_check(path: &Path) -> Result<Self, Error> {
        Self::connect_to_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// Whether the write lock of the database at `path` can be had within [`BUSY_TIMEOUT`]. Writes nothing, and leaves
    /// the WAL as it is.
    ///
    /// # Errors
    /// When the database can't be opened, or refuses for another reason than its lock.
    pub(crate) fn try_write_lock(path: &Path) -> Result<bool, Error> {
        let db = Self::connect(path.to_owned(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.read(|conn| {
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            match conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
                Ok(()) => Ok(true),
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                    Ok(false)
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Opens the existing database at `path` to change rows in it. Creates nothing.
    ///
    /// # Errors
    /// As [`SqliteDb::open_for_report`], and when the file can't be written to.
    pub(crate) fn open_for_change(path: &Path) -> Result<Self, Error> {
        let db = Self::open_existing(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        check_file_system(&db.path)?;
        db.check_writable()?;
        Ok(db)
    }

    /// As [`SqliteDb::open_for_change`], to store clicks.
    ///
    /// # Errors
    /// As [`SqliteDb::open_for_change`], and when the `lead_clicks` table demands a column that a click has not.
    pub(crate) fn open_for_import(path: &Path) -> Result<Self, Error> {
        let db = Self::open_for_change(path)?;
        db.check_takes_clicks()?;
        Ok(db)
    }

    fn open_existing(path: &Path, flags: OpenFlags) -> Result<Self, Error> {
        let db = Self::connect_to_existing(path, flags)?;
        db.check_clicks()?;
        Ok(db)
    }

    fn connect_to_existing(path: &Path, flags: OpenFlags) -> Result<Self, Error> {
        // The -wal and -shm files stand beside the file itself, not beside a link to it.
        let found = fs::canonicalize(path).and_then(|path| Ok((fs::metadata(&path)?, path)));
        let (metadata, path) = found.map_err(|source| match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                let absolute = std::path::absolute(path);
                Error::new(absolute.as_deref().unwrap_or(path), Problem::Missing)
            }
            _ => Error::unusable(path, source),
        })?;
        if !metadata.is_file() {
            return Err(Error::new(&path, Problem::NotAFile));
        }
        // SQLite only says that it can't open the file.
        access(&path, Access::READ_OK).map_err(|error| Error::unusable(&path, error.into()))?;
        check_wal_stands(&path)?;
        Self::connect(path, flags)
    }

    fn connect(path: PathBuf, access: OpenFlags) -> Result<Self, Error> {
        // The path is absolute, so SQLite takes none of it for a URI or for a name such as `:memory:`.
        let opened = Connection::open_with_flags(&path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX);
        Self::set_up(opened, path)
    }

    fn set_up(opened: rusqlite::Result<Connection>, path: PathBuf) -> Result<Self, Error> {
        let conn = match opened {
            Ok(conn) => conn,
            Err(source) => return Err(Error::new(&path, source.into())),
        };
        let db = Self { conn, path };
        db.run(|conn| {
            conn.busy_timeout(BUSY_TIMEOUT)?;
            conn.pragma_update(None, "synchronous", "FULL")?;
            conn.pragma_update(None, "trusted_schema", false)?;
            // SQLite's own default and SQLAlchemy's; the bundled build turns it on. A host app's foreign key to
            // its experts must not cost a click, nor a reset reach into tables that it does not name.
            conn.pragma_update(None, "foreign_keys", false)?;
            let returned = |_: &rusqlite::Row<'_>| Ok(());
            conn.pragma_update_and_check(None, "journal_size_limit", JOURNAL_BYTES_MAX, returned)?;
            conn.pragma_update_and_check(None, "secure_delete", true, returned)?;
            // The -wal and -shm files stay when the last connection closes, so that a member of the file's group
            // can read with the daemon down, and no other user ever has to make them.
            let mut persist_wal = 1;
            conn.file_control(None::<&str>, FileControl::PersistWal(&mut persist_wal))
        })?;
        Ok(db)
    }

    /// SQLite opens a file that it may not write to all the same, and fails at the first change.
    fn check_writable(&self) -> Result<(), Error> {
        if self.run(|conn| conn.is_readonly("main"))? {
            return Err(self.error(Problem::ReadOnly));
        }
        Ok(())
    }

    fn use_wal(&self) -> Result<(), Error> {
        let mode: String = self.run(|conn| {
            conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        })?;
        if mode != "wal" {
            return Err(self.error(Problem::NoWal));
        }
        Ok(())
    }
}

/// Makes an empty file of [`FILE_MODE`], whatever the umask, unless something is at `path` already.
fn make_file(path: &Path) -> Result<(), Error> {
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .and_then(|file| file.set_permissions(fs::Permissions::from_mode(FILE_MODE)));
    let is_there = match made {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::metadata(path),
        Err(error) => Err(error),
    };
    match is_there {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(Error::new(path, Problem::NotAFile)),
        Err(error) => Err(Error::unusable(path, error)),
    }
}

/// SQLite only says that it can't open a file, or that it may not write to it.
pub(crate) fn check_file_system(path: &Path) -> Result<(), Error> {
    match access(path, Access::WRITE_OK).map_err(io::Error::from) {
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {
            Err(Error::unusable(path, error))
        }
        _ => Ok(()),
    }
}

/// The name by which SQLite opens the file at `path` as [one that nobody
/// changes](https://www.sqlite.org/uri.html#uriimmutable). It needs `SQLITE_OPEN_URI`.
pub(crate) fn unchanging_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        // Writing to memory can't fail.
        let _ = match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.write_char(char::from(*byte))
            }
            _ => write!(uri, "%{byte:02x}"),
        };
    }
    uri + "?immutable=1"
}

/// Who may not write the database must not be the one who makes its `-wal` and `-shm` files, as SQLite would for
/// a mere reader too: the files would be the reader's, and the daemon could no longer write. leadclicks leaves
/// them in place, but a host app that is the last to close the database removes them.
fn check_wal_stands(path: &Path) -> Result<(), Error> {
    let stands = |suffix| path_with(path, suffix).exists();
    let may_write = access(path, Access::WRITE_OK).is_ok();
    if may_write || (stands("-wal") && stands("-shm")) || !is_in_wal_mode(path) {
        return Ok(());
    }
    Err(Error::new(path, Problem::WalMissing))
}

/// Whether the [file's header](https://www.sqlite.org/fileformat.html#file_format_version_numbers) says so. A file
/// that can't be read is not: opening it tells why.
pub(crate) fn is_in_wal_mode(path: &Path) -> bool {
    const WAL: u8 = 2;
    let mut header = [0; 20];
    fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut header))
        .is_ok_and(|()| header[18..] == [WAL, WAL])
}

/// Whether the database has no table or view of anybody's.
fn is_blank(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\')",
        [],
        |row| row.get(0),
    )
}
