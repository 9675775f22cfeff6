//! Opening a database file safely.
//!
//! A blank database gets the tables of schema.sql. Opening any other changes neither its schema nor marks in the file's
//! header, because both may belong to a host app.

use std::{
    fmt::Write,
    fs,
    io::{self, ErrorKind, Read},
    ops::Range,
    os::unix::{
        ffi::OsStrExt,
        fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, FileControl, OpenFlags, config::DbConfig, vtab::array};
use rustix::fs::{Access, access};

use super::{
    BUSY_TIMEOUT, JOURNAL_BYTES_MAX, SqliteDb, daemon_lock, has_wal_files,
    location::check_location, owner::check_owner, path_with,
};
use crate::storage::{Cause, Error, FILE_MODE};

const SCHEMA: &str = include_str!("../../../schema.sql");

impl SqliteDb {
    /// Opens the database at `path` for capture. Creates a missing one with [`FILE_MODE`]; fills an empty file and keeps its
    /// mode; uses a host app's database as it is, in WAL mode.
    ///
    /// # Errors
    /// If the file can't be created or opened, if it is not a database, if it is another program's without a `lead_clicks`
    /// table, or if that table lacks a column or requires one that a click does not have.
    pub(crate) fn open_for_capture(path: &Path) -> Result<Self, Error> {
        check_owner(path)?;
        create_file(path)?;
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

    /// As [`SqliteDb::open_for_capture`], for a file that replaced another while the daemon runs. Rejects an empty one,
    /// which may be about to be filled from a backup.
    pub(super) fn reopen_for_capture(path: &Path) -> Result<Self, Error> {
        let db = Self::connect_for_capture(path)?;
        db.prepare_for_capture()?;
        Ok(db)
    }

    fn connect_for_capture(path: &Path) -> Result<Self, Error> {
        let path = fs::canonicalize(path).map_err(|error| Error::unusable(path, error))?;
        check_file_system(&path)?;
        daemon_lock::check_free(&path)?;
        let db = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.check_writable()?;
        Ok(db)
    }

    fn prepare_for_capture(&self) -> Result<(), Error> {
        self.check_clicks()?;
        self.check_takes_clicks()?;
        // Last, because it changes the file: a rejected one stays unchanged.
        self.use_wal()?;
        // Again: a stranger may have made a file next to a new database before SQLite did.
        check_location(&self.path)
    }

    /// Opens the existing database at `path` to read it. Neither creates nor changes anything.
    ///
    /// # Errors
    /// If there is no such file, if it can't be read or is not a database, or if it has no `lead_clicks` table with every
    /// needed column.
    pub(crate) fn open_for_report(path: &Path) -> Result<Self, Error> {
        Self::open_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// Opens the existing database at `path` for a health check, whatever tables it has. Changes nothing if its `-wal` and
    /// `-shm` files exist with the database's owner and mode; otherwise SQLite creates or changes them, as it does for
    /// [`SqliteDb::open_for_report`].
    ///
    /// # Errors
    /// If there is no such file, if it can't be read, or if it is not a database.
    pub(crate) fn open_for_check(path: &Path) -> Result<Self, Error> {
        Self::connect_to_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// Opens the backup at `path` to read it. One in WAL mode without a `-wal` file is opened as immutable: otherwise SQLite
    /// would create files next to it, which not everybody may who may read it.
    ///
    /// # Errors
    /// As [`SqliteDb::open_for_check`].
    pub(super) fn open_backup(path: &Path) -> Result<Self, Error> {
        let path = find_existing(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        if is_in_wal_mode(&path) && !path_with(&path, "-wal").exists() {
            let uri = immutable_uri(&path);
            return Self::connect_by(uri.as_ref(), path, flags | OpenFlags::SQLITE_OPEN_URI);
        }
        check_wal_files(&path)?;
        Self::connect(path, flags)
    }

    /// Opens the database at `path`, which has no links in it, whatever tables it has, to keep others from writing.
    ///
    /// # Errors
    /// If it can't be opened.
    pub(super) fn open_to_replace(path: &Path) -> Result<Self, Error> {
        Self::connect(path.to_owned(), OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Whether the write lock of the database at `path` is free within [`BUSY_TIMEOUT`]. Writes nothing, and leaves
    /// the WAL as it is.
    ///
    /// # Errors
    /// If the database can't be opened, or SQLite fails for another reason than the lock.
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
    /// As [`SqliteDb::open_for_report`], and if the file can't be written to.
    pub(crate) fn open_for_change(path: &Path) -> Result<Self, Error> {
        let db = Self::open_existing(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        check_file_system(&db.path)?;
        db.check_writable()?;
        Ok(db)
    }

    /// As [`SqliteDb::open_for_change`], to store clicks.
    ///
    /// # Errors
    /// As [`SqliteDb::open_for_change`], and if the `lead_clicks` table requires a column that a click does not have.
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
        let path = find_existing(path)?;
        check_wal_files(&path)?;
        Self::connect(path, flags)
    }

    /// Opens the database at `path`, which has no links in it; to write, only if what is written will be found there.
    fn connect(path: PathBuf, access: OpenFlags) -> Result<Self, Error> {
        if access.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
            check_location(&path)?;
        }
        // The path is absolute, so SQLite does not read it as a URI or as a name such as `:memory:`.
        Self::connect_by(&path.clone(), path, access)
    }

    /// `name` is that by which SQLite opens the database at `path`.
    fn connect_by(name: &Path, path: PathBuf, access: OpenFlags) -> Result<Self, Error> {
        let conn = Connection::open_with_flags(name, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|error| Error::new(&path, error.into()))?;
        let db = Self { conn, path };
        db.run(|conn| {
            // If the file is damaged, neither it nor its WAL is changed by closing it.
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            conn.busy_timeout(BUSY_TIMEOUT)?;
            array::load_module(conn)?;
            conn.pragma_update(None, "synchronous", "FULL")?;
            conn.pragma_update(None, "trusted_schema", false)?;
            // SQLite's own default and SQLAlchemy's; the bundled build turns it on. A host app's foreign key to
            // its experts must not prevent a click, and a reset must not change tables that it does not name.
            conn.pragma_update(None, "foreign_keys", false)?;
            let returned = |_: &rusqlite::Row<'_>| Ok(());
            conn.pragma_update_and_check(None, "journal_size_limit", JOURNAL_BYTES_MAX, returned)?;
            conn.pragma_update_and_check(None, "secure_delete", true, returned)?;
            // The -wal and -shm files stay when the last connection closes, so that members of the file's group can
            // read while the daemon is down, and no other user ever has to create them.
            let mut persist_wal = 1;
            conn.file_control(None::<&str>, FileControl::PersistWal(&mut persist_wal))?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
            Ok(())
        })?;
        Ok(db)
    }

    /// SQLite opens a file without write permission too, and fails at the first change.
    fn check_writable(&self) -> Result<(), Error> {
        if self.run(|conn| conn.is_readonly("main"))? {
            return Err(self.error(Cause::ReadOnly));
        }
        Ok(())
    }

    fn use_wal(&self) -> Result<(), Error> {
        let mode: String = self.run(|conn| {
            conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        })?;
        if mode != "wal" {
            return Err(self.error(Cause::NoWal));
        }
        Ok(())
    }
}

/// The path, without links, of a file that exists and that this user may read.
fn find_existing(path: &Path) -> Result<PathBuf, Error> {
    // The -wal and -shm files are next to the file itself, not next to a link to it.
    let found = fs::canonicalize(path).and_then(|path| Ok((fs::metadata(&path)?, path)));
    let (metadata, path) = found.map_err(|source| match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            let absolute = std::path::absolute(path);
            Error::new(absolute.as_deref().unwrap_or(path), Cause::Missing)
        }
        _ => Error::unusable(path, source),
    })?;
    if !metadata.is_file() {
        return Err(Error::new(&path, Cause::NotAFile));
    }
    // SQLite only says that it can't open the file.
    access(&path, Access::READ_OK).map_err(|error| Error::unusable(&path, error.into()))?;
    Ok(path)
}

/// Creates an empty file with [`FILE_MODE`], whatever the umask, unless `path` exists already.
fn create_file(path: &Path) -> Result<(), Error> {
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
        Ok(_) => Err(Error::new(path, Cause::NotAFile)),
        Err(error) => Err(Error::unusable(path, error)),
    }
}

/// Whether the file system is writable; SQLite's own error would not name it.
pub(crate) fn check_file_system(path: &Path) -> Result<(), Error> {
    match access(path, Access::WRITE_OK).map_err(io::Error::from) {
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {
            Err(Error::unusable(path, error))
        }
        _ => Ok(()),
    }
}

/// The name by which SQLite opens the file at `path` as [immutable](https://www.sqlite.org/uri.html#uriimmutable). It needs
/// `SQLITE_OPEN_URI`.
pub(crate) fn immutable_uri(path: &Path) -> String {
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

/// A user without write permission must not create the `-wal` and `-shm` files, as SQLite would for a reader too: the
/// files would belong to the reader, and the daemon could no longer write. leadclicks never deletes them, but a host
/// app that closes the database last does.
fn check_wal_files(path: &Path) -> Result<(), Error> {
    let may_write = access(path, Access::WRITE_OK).is_ok();
    if may_write || has_wal_files(path) || !is_in_wal_mode(path) {
        return Ok(());
    }
    Err(Error::new(path, Cause::WalMissing))
}

/// Whether the file's header says so. False for a file that can't be read: opening it returns the reason.
pub(crate) fn is_in_wal_mode(path: &Path) -> bool {
    let mut header = FileHeader::default();
    fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut header))
        .is_ok_and(|()| is_wal_mode(&header))
}

/// The beginning of a database file.
pub(super) type FileHeader = [u8; 20];

/// Where the header has the [versions of its format](https://www.sqlite.org/fileformat.html#file_format_version_numbers).
pub(super) const WRITE_AND_READ_VERSION: Range<usize> = 18..20;

/// The version without a WAL.
pub(super) const ROLLBACK_VERSION: u8 = 1;

pub(super) fn is_wal_mode(header: &FileHeader) -> bool {
    const WAL_VERSION: u8 = 2;
    header[WRITE_AND_READ_VERSION] == [WAL_VERSION; 2]
}

/// Whether the database has no tables or views.
fn is_blank(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\')",
        [],
        |row| row.get(0),
    )
}
