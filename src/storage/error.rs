use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

/// Why the database could not be opened, read or changed. The text names the file and the next step.
#[derive(Debug)]
pub(crate) struct Error {
    /// The database; for a backup that failed, the backup.
    path: PathBuf,
    problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug)]
pub(crate) enum Problem {
    /// There is no file at the path.
    Missing,
    /// What is at the path is a directory, a device or a socket.
    NotAFile,
    /// The operating system refuses the file.
    Unusable(io::Error),
    /// The file can be read but not written to.
    ReadOnly,
    NoWal,
    NotADatabase,
    NoTable(&'static str),
    NoColumn {
        table: &'static str,
        column: &'static str,
    },
    /// `lead_clicks` demands a value, for this column, that a click does not have.
    ColumnDemanded(String),
    /// `lead_clicks.id` is no `INTEGER PRIMARY KEY` by itself, so SQLite gives new rows no id.
    IdNotNumbered,
    /// `lead_clicks` is a view.
    View,
    /// The database is in WAL mode, without the WAL's files, which who may not write it must not make.
    WalMissing,
    /// The click with this id has a time that can't be read.
    BadTime(String),
    /// The `experts` table belongs to a host app.
    ForeignExperts,
    /// A host app's constraint or trigger refuses the click on this line of a file.
    ClickRefused {
        line: u64,
        /// SQLite's code and its word for it.
        reason: String,
    },
    /// A host app's trigger keeps rows that a reset deletes.
    Kept {
        table: &'static str,
        rows: u64,
    },
    /// A host app's trigger keeps clicks that a purge deletes.
    KeptOld {
        rows: u64,
    },
    /// Rows of `table` refer to rows of `parent` that would be deleted.
    StillReferred {
        table: String,
        parent: String,
        rows: u64,
    },
    /// The backup could not be written.
    Backup {
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What does not happen because of that, behind a semicolon.
        stops: &'static str,
    },
    /// SQLite refuses for any other reason.
    Sqlite(rusqlite::Error),
}

impl Error {
    pub(crate) fn new(path: &Path, problem: Problem) -> Self {
        Self {
            path: path.to_owned(),
            problem,
        }
    }

    /// Whether there are no `-wal` and `-shm` files, and whoever asked may not make them.
    pub(crate) fn is_wal_missing(&self) -> bool {
        matches!(self.problem, Problem::WalMissing)
    }

    /// Of a backup that something should have been deleted after.
    pub(crate) fn nothing_deleted(mut self) -> Self {
        if let Problem::Backup { stops, .. } = &mut self.problem {
            *stops = "; nothing was deleted";
        }
        self
    }

    pub(super) fn unusable(path: &Path, source: io::Error) -> Self {
        Self::new(path, Problem::Unusable(source))
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase,
            _ => Self::Sqlite(source),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const OWNER: &str = "in the program that owns the database";
        let path = self.path.display();
        match &self.problem {
            Problem::Missing => write!(
                f,
                "no database at {path}; check --db, or start leadclicksd once to make it"
            ),
            Problem::NotAFile => write!(
                f,
                "{path} is not a regular file; give --db the path of a database file"
            ),
            Problem::Unusable(source) => write_unusable(f, &self.path, source),
            Problem::ReadOnly => write!(f, "no permission to write to {path}; run as its owner"),
            Problem::NoWal => write!(
                f,
                "{path} can't be put into WAL mode; move it to a local disk"
            ),
            Problem::NotADatabase => write!(f, "{path} is not an SQLite database; check --db"),
            Problem::NoTable(table) => write!(
                f,
                "{path} has no table {table}; check --db, or make the table with `sqlite3 FILE < schema.sql`"
            ),
            Problem::NoColumn { table, column } => write!(
                f,
                "{path}: the table {table} has no column {column}; add it {OWNER}"
            ),
            Problem::ColumnDemanded(column) => write!(
                f,
                "{path}: lead_clicks.{column} is NOT NULL without a default, so no click could be stored; give it a default {OWNER}"
            ),
            Problem::IdNotNumbered => write!(
                f,
                "{path}: lead_clicks.id is not the table's INTEGER PRIMARY KEY, so a click would get no id; make it that {OWNER}"
            ),
            Problem::View => write!(
                f,
                "{path}: lead_clicks is a view, which can't tell whether a click was stored; make it a table {OWNER}"
            ),
            Problem::WalMissing => write!(
                f,
                "{path}: the -wal and -shm files beside it are missing, and only who may write the database may make them; start leadclicksd, or run as the file's owner"
            ),
            Problem::BadTime(id) => write!(
                f,
                "{path}: the click with id {id} has a created_at that is no time; mend it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row"
            ),
            Problem::ForeignExperts => write!(
                f,
                "{path}: the experts table is not leadclicks' own, so it is only read; change experts {OWNER}"
            ),
            Problem::ClickRefused { line, reason } => write!(
                f,
                "{path}: it refuses the click on line {line}: {reason}; nothing was imported, mend or remove that line"
            ),
            Problem::Kept { table, rows } => write!(
                f,
                "{path}: a trigger keeps rows of {table} ({rows}), so nothing was deleted; change it {OWNER}"
            ),
            Problem::KeptOld { rows } => write!(
                f,
                "{path}: a trigger keeps the oldest clicks ({rows}), so they were not deleted; change it {OWNER}"
            ),
            Problem::StillReferred {
                table,
                parent,
                rows,
            } => write!(
                f,
                "{path}: rows of {table} ({rows}) refer to rows of {parent} and would point to nothing; delete those first"
            ),
            Problem::Backup { source, stops } => {
                write!(f, "cannot write the backup {path}: {source}{stops}")
            }
            Problem::Sqlite(source) => {
                write!(f, "{path}: {}; {}", message(source), next_step(source))
            }
        }
    }
}

fn write_unusable(f: &mut fmt::Formatter<'_>, path: &Path, source: &io::Error) -> fmt::Result {
    let path = path.display();
    match source.kind() {
        io::ErrorKind::NotFound => write!(
            f,
            "the directory of {path} does not exist; make it first, or check --db"
        ),
        io::ErrorKind::PermissionDenied => write!(
            f,
            "no permission to open {path}; run as its owner or as a member of its group"
        ),
        io::ErrorKind::ReadOnlyFilesystem => write!(
            f,
            "{path} is on a read-only file system; make that writable, or choose another --db"
        ),
        _ => write!(f, "cannot use {path}: {source}; check --db"),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Unusable(source) => Some(source),
            Problem::Sqlite(source) => Some(source),
            Problem::Backup { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

/// What to do about an error that SQLite gives.
pub(crate) fn next_step(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds its lock; try again when that is done"
        }
        Some(ErrorCode::ReadOnly) => "run as the file's owner to change it",
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "run as the file's owner, or as a member of its group while -wal and -shm stand beside it"
        }
        Some(ErrorCode::DiskFull) => "make room on the disk and try again",
        Some(ErrorCode::DatabaseCorrupt) => "the file is damaged; restore a backup",
        Some(ErrorCode::SystemIoFailure) => "check the disk, and whether it has room",
        // By itself our SQL is right.
        Some(ErrorCode::Unknown | ErrorCode::ConstraintViolation) => {
            "see to it in the program that owns the database"
        }
        _ => "check the file and its disk",
    }
}

/// SQLite's own sentence about an error.
fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

/// SQLite's word for the error's code alone, for logs: its longer sentence can hold what a host app's trigger
/// makes of a row.
pub(crate) fn reason(error: &rusqlite::Error) -> String {
    let code = match error {
        rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. } => {
            error.extended_code
        }
        _ => return "a value of another type than expected".to_owned(),
    };
    format!("{} (SQLite code {code})", rusqlite::ffi::code_to_str(code))
}
