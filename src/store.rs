//! The database file: opening it safely, and the one thread that writes clicks into it.
//!
//! A blank database gets the tables of schema.sql. Any other is used as it stands: its schema is never altered, and
//! no mark is left in the file's header, since both may be a host app's.

mod error;
mod pages;
mod standing;
mod writer;

use std::{
    fmt::Write,
    fs,
    io::{self, ErrorKind, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{
    Connection, ErrorCode, FileControl, OpenFlags, OptionalExtension, config::DbConfig,
    types::ValueRef,
};
use rustix::fs::{Access, access};

pub use error::Error;
pub(crate) use error::{Problem, next_step, reason};
pub(crate) use pages::pausing;
pub(crate) use standing::FileIdentities;
pub use writer::{ClickQueue, NotStored, Pace, Writer, WriterCounts};
pub(crate) use writer::{IGNORED, INSERT as INSERT_CLICK, is_about_the_row};

use crate::interrupt::Unfinished;

/// How long a statement waits for another program's lock. A browser that waits for its answer is still there
/// after five seconds, and a reset or an import takes far less. Beyond it a click is answered 503 and a command
/// fails.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a patient checkpoint waits for others' locks at a time, and then lets them work.
const CHECKPOINT_TRY: Duration = Duration::from_millis(50);

/// What the WAL file is cut back to after a checkpoint, in bytes. It grows past this only while a long reader
/// keeps a checkpoint from finishing; four times what SQLite checkpoints at (1,000 pages of 4 KiB).
pub const JOURNAL_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// The mode of a database file that leadclicks makes: its owner, the daemon, writes; its group reads reports;
/// nobody else sees who clicked whom. SQLite gives the `-wal` and `-shm` files the same mode.
pub const FILE_MODE: u32 = 0o640;

const SCHEMA: &str = include_str!("../schema.sql");

/// What every report reads, and every database must therefore have.
const CLICK_COLUMNS: [&str; 5] = [
    "id",
    "email",
    "expert_username",
    "search_query",
    "created_at",
];

/// An open database with a `lead_clicks` table that has every column leadclicks needs.
#[derive(Debug)]
pub struct Db {
    conn: Connection,
    path: PathBuf,
}

impl Db {
    /// Opens the database at `path` for capture. Where there is none it is made, with [`FILE_MODE`]; an empty file
    /// becomes one and keeps its mode; a host app's is used as it is, in WAL mode.
    ///
    /// # Errors
    /// When the file can be neither made nor opened, when it is no database, when it is another program's
    /// without a `lead_clicks` table, or when that table lacks a column or demands one that a click has not.
    pub fn open_for_capture(path: &Path) -> Result<Self, Error> {
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

    /// As [`Db::open_for_capture`], for a file that has taken the place of another while the daemon runs. An empty one
    /// is refused: it may be about to be filled from a backup.
    fn reopen_for_capture(path: &Path) -> Result<Self, Error> {
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
    pub fn open_for_report(path: &Path) -> Result<Self, Error> {
        Self::open_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// Opens the existing database at `path` to look whether it is in order, whatever tables it has. As
    /// [`Db::open_for_report`] it changes nothing, as long as its `-wal` and `-shm` files are there, with its own owner
    /// and mode: SQLite makes them, or gives them that.
    ///
    /// # Errors
    /// When there is no such file, when it can't be read, or when it is no database.
    pub(crate) fn open_for_check(path: &Path) -> Result<Self, Error> {
        Self::connect_to_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// As [`Db::open_for_check`], but as a file that nobody changes: touches neither `-wal` nor `-shm`, sees nothing of
    /// what is only in the WAL, and takes no lock. What is read while somebody does change it can be wrong.
    ///
    /// # Errors
    /// As [`Db::open_for_check`].
    pub(crate) fn open_unchanging(path: &Path) -> Result<Self, Error> {
        access(path, Access::READ_OK).map_err(|error| Error::unusable(path, error.into()))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let opened = Connection::open_with_flags(
            unchanging_uri(path),
            flags | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        );
        Self::set_up(opened, path.to_owned())
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
    /// As [`Db::open_for_report`], and when the file can't be written to.
    pub fn open_for_change(path: &Path) -> Result<Self, Error> {
        let db = Self::open_existing(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        check_file_system(&db.path)?;
        db.check_writable()?;
        Ok(db)
    }

    /// As [`Db::open_for_change`], to store clicks.
    ///
    /// # Errors
    /// As [`Db::open_for_change`], and when the `lead_clicks` table demands a column that a click has not.
    pub fn open_for_clicks(path: &Path) -> Result<Self, Error> {
        let db = Self::open_for_change(path)?;
        db.check_takes_clicks()?;
        Ok(db)
    }

    /// The database's absolute path, without links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `path` is the database, under whatever name, or one of the files that SQLite keeps beside it.
    #[must_use]
    pub fn owns(&self, path: &Path) -> bool {
        let files = ["", "-wal", "-shm", "-journal"].map(|suffix| beside(&self.path, suffix));
        // What does not exist yet is known by its directory and name.
        let resolved = fs::canonicalize(path).ok().or_else(|| {
            let path = std::path::absolute(path).ok()?;
            Some(
                fs::canonicalize(path.parent()?)
                    .ok()?
                    .join(path.file_name()?),
            )
        });
        let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        files.iter().any(|file| {
            resolved.as_ref() == Some(file)
                || identity(path).is_some_and(|path| identity(file) == Some(path))
        })
    }

    pub(crate) fn error(&self, problem: Problem) -> Error {
        Error::new(&self.path, problem)
    }

    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Runs `work` on the connection and gives its errors the database's path.
    pub(crate) fn run<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.read(|conn| Ok(work(conn)?))
    }

    /// As [`Db::run`], for work that can find a problem in the rows by itself.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Problem>,
    ) -> Result<T, Error> {
        work(&self.conn).map_err(|problem| self.error(problem))
    }

    /// Runs `work` on one state of the database: all that it reads is as of the same commit. Within another such work it
    /// is that one's. While it lasts the WAL can't be cut back, so `work` should only read and not print.
    ///
    /// # Errors
    /// Those of `work`, and when the database can't be read.
    pub fn snapshot<T>(&self, work: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, Error> {
        if !self.conn.is_autocommit() {
            return work(self);
        }
        self.run(|conn| conn.execute_batch("BEGIN"))?;
        let done = work(self);
        let ended = self.run(|conn| conn.execute_batch("ROLLBACK"));
        done.and_then(|value| ended.map(|()| value))
    }

    /// Runs `work` in a transaction that holds the write lock from its start: a read that turns into a write
    /// would fail at once with `SQLITE_BUSY_SNAPSHOT`, whatever the busy timeout. An error rolls back.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run(|conn| conn.execute_batch("BEGIN IMMEDIATE"))?;
        let done = work(self).and_then(|value| {
            self.run(|conn| conn.execute_batch("COMMIT"))
                .map(|()| value)
        });
        if done.is_err() && !self.conn.is_autocommit() {
            // The first error is the one to tell; closing the connection rolls back in any case.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        done
    }

    /// As [`Db::write`], for work that deletes: once it is committed a signal ends the program only when that is told,
    /// since the rows' bytes are in the WAL until [`Db::empty_wal`].
    pub(crate) fn delete<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.write(|db| {
            let done = work(db)?;
            Unfinished::begin().until_told();
            Ok(done)
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

    /// Copies the WAL into the database file and empties it; tells whether that could be finished, which another
    /// connection's reading or writing prevents. Waits for those for as long as `patience`.
    fn checkpoint(&self, patience: Duration) -> Result<Checkpoint, Error> {
        self.run(|conn| conn.busy_timeout(patience))?;
        let busy: Result<bool, Error> = self
            .run(|conn| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)));
        self.run(|conn| conn.busy_timeout(BUSY_TIMEOUT))?;
        Ok(if busy? {
            Checkpoint::Busy
        } else {
            Checkpoint::Finished
        })
    }

    /// Copies the WAL into the database file and empties it, so that nothing of deleted rows is left there. Tries for
    /// up to [`BUSY_TIMEOUT`].
    ///
    /// # Errors
    /// When the database can't be written to.
    pub fn empty_wal(&self) -> Result<Checkpoint, Error> {
        // A single try would either give up at once, while another connection checkpoints, whatever the busy timeout;
        // or wait for a reader with the write lock in its hand, and hold up every click for as long.
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            let checkpoint = self.checkpoint(CHECKPOINT_TRY)?;
            if checkpoint == Checkpoint::Finished || Instant::now() > deadline {
                return Ok(checkpoint);
            }
            thread::sleep(CHECKPOINT_TRY);
        }
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

    /// Whether there are clicks that a report can read.
    pub(crate) fn check_clicks(&self) -> Result<(), Error> {
        let columns = self.columns("lead_clicks")?;
        if columns.is_empty() {
            return Err(self.error(Problem::NoTable("lead_clicks")));
        }
        self.check_columns("lead_clicks", &columns, &CLICK_COLUMNS)
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
            conn.prepare(writer::INSERT)?;
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
}

/// How a checkpoint ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// Everything is in the database file, and the WAL is empty.
    Finished,
    /// Another connection was reading or writing, so part of the WAL is still there.
    Busy,
}

/// A column's text, whatever a host app may have put there: a report shows what it can.
pub(crate) fn text_of(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
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

/// A WAL that was kept when the files of the database at `path` were replaced; it may hold clicks that only it has.
#[must_use]
pub fn left_wal(path: &Path) -> Option<PathBuf> {
    Some(beside(path, "-wal.left")).filter(|path| path.exists())
}

/// The file that SQLite keeps beside the database at `path` under its name and `suffix`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
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
    let stands = |suffix| beside(path, suffix).exists();
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

#[cfg(test)]
mod tests {
    /// Earlier ones can corrupt a WAL database that two programs write:
    /// [SQLite on the WAL-reset bug](https://sqlite.org/wal.html#walresetbug).
    #[test]
    fn sqlite_is_one_without_the_wal_reset_bug() {
        assert!(rusqlite::version_number() >= 3_051_003);
    }
}
