use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

/// Why the database could not be opened, read or changed. The text names the file and the next step.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no file at the path.
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// What is at the path is a directory, a device or a socket.
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refuses the file.
    Unusable {
        /// The path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file can be read but not written to.
    ReadOnly {
        /// The path.
        path: PathBuf,
    },
    /// The file can't be put into WAL mode.
    NoWal {
        /// The path.
        path: PathBuf,
    },
    /// The file is no SQLite database.
    NotADatabase {
        /// The path.
        path: PathBuf,
    },
    /// The database has no such table.
    NoTable {
        /// The path.
        path: PathBuf,
        /// The table.
        table: &'static str,
    },
    /// A table lacks a column that leadclicks needs.
    NoColumn {
        /// The path.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// `lead_clicks` demands a value that a click does not have.
    ColumnDemanded {
        /// The path.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// `lead_clicks.id` is no `INTEGER PRIMARY KEY` by itself, so SQLite gives new rows no id.
    IdNotNumbered {
        /// The path.
        path: PathBuf,
    },
    /// A host app's trigger keeps rows that a reset deletes.
    Kept {
        /// The path.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// How many rows are left.
        rows: u64,
    },
    /// `lead_clicks` is a view.
    View {
        /// The path.
        path: PathBuf,
    },
    /// The database is in WAL mode, without the WAL's files, which who may not write it must not make.
    WalMissing {
        /// The path.
        path: PathBuf,
    },
    /// A stored click has a time that can't be read.
    BadTime {
        /// The path.
        path: PathBuf,
        /// The click's id.
        id: String,
    },
    /// The `experts` table belongs to a host app.
    ForeignExperts {
        /// The path.
        path: PathBuf,
    },
    /// Another table's rows refer to rows that a reset would delete.
    StillReferred {
        /// The path.
        path: PathBuf,
        /// The table whose rows refer.
        table: String,
        /// The table that they refer to.
        parent: String,
        /// How many rows of `table` would point to nothing.
        rows: u64,
    },
    /// The backup could not be written.
    Backup {
        /// The backup's path.
        path: PathBuf,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite refused for any other reason.
    Sqlite {
        /// The path.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
}

impl Error {
    pub(crate) fn unusable(path: &Path, source: io::Error) -> Self {
        Self::Unusable {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            _ => Self::Sqlite { path, source },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(
                f,
                "no database at {}; check --db, or start leadclicksd once to make it",
                path.display()
            ),
            Self::NotAFile { path } => write!(
                f,
                "{} is not a regular file; give --db the path of a database file",
                path.display()
            ),
            Self::Unusable { path, source } => write_unusable(f, path, source),
            Self::ReadOnly { path } => write!(
                f,
                "no permission to write to {}; run as its owner",
                path.display()
            ),
            Self::NoWal { path } => write!(
                f,
                "{} can't be put into WAL mode; move it to a local disk",
                path.display()
            ),
            Self::NotADatabase { path } => write!(
                f,
                "{} is not an SQLite database; check --db",
                path.display()
            ),
            Self::NoTable { path, table } => write!(
                f,
                "{} has no table {table}; check --db, or make the table with `sqlite3 FILE < schema.sql`",
                path.display()
            ),
            Self::NoColumn {
                path,
                table,
                column,
            } => write!(
                f,
                "{}: the table {table} has no column {column}; add it in the program that owns the database",
                path.display()
            ),
            Self::ColumnDemanded { path, column } => write!(
                f,
                "{}: lead_clicks.{column} is NOT NULL without a default, so no click could be stored; give it a default in the program that owns the database",
                path.display()
            ),
            Self::IdNotNumbered { path } => write!(
                f,
                "{}: lead_clicks.id is not the table's INTEGER PRIMARY KEY, so a click would get no id; make it that in the program that owns the database",
                path.display()
            ),
            Self::Kept { path, table, rows } => write!(
                f,
                "{}: a trigger keeps rows of {table} ({rows}), so nothing was deleted; change it in the program that owns the database",
                path.display()
            ),
            Self::View { path } => write!(
                f,
                "{}: lead_clicks is a view, which can't tell whether a click was stored; make it a table in the program that owns the database",
                path.display()
            ),
            Self::WalMissing { path } => write!(
                f,
                "{}: the -wal and -shm files beside it are missing, and only who may write the database may make them; start leadclicksd, or run as the file's owner",
                path.display()
            ),
            Self::BadTime { path, id } => write!(
                f,
                "{}: the click with id {id} has a created_at that is no time; mend it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row",
                path.display()
            ),
            Self::ForeignExperts { path } => write!(
                f,
                "{}: the experts table is not leadclicks' own, so it is only read; change experts in the program that owns the database",
                path.display()
            ),
            Self::StillReferred {
                path,
                table,
                parent,
                rows,
            } => write!(
                f,
                "{}: rows of {table} ({rows}) refer to rows of {parent} and would point to nothing; delete those first",
                path.display()
            ),
            Self::Backup { path, source } => write!(
                f,
                "cannot write the backup {}: {source}; nothing was deleted",
                path.display()
            ),
            Self::Sqlite { path, source } => write!(
                f,
                "{}: {}; {}",
                path.display(),
                message(source),
                next_step(source)
            ),
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
        _ => write!(f, "cannot use {path}: {source}; check --db"),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unusable { source, .. } => Some(source),
            Self::Sqlite { source, .. } => Some(source),
            Self::Backup { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

/// What to do about an error that SQLite gives.
fn next_step(error: &rusqlite::Error) -> &'static str {
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
pub(super) fn reason(error: &rusqlite::Error) -> String {
    let code = match error {
        rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. } => {
            error.extended_code
        }
        _ => return "a value of another type than expected".to_owned(),
    };
    format!("{} (SQLite code {code})", rusqlite::ffi::code_to_str(code))
}
