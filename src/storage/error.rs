use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;
use thiserror::Error as ThisError;

use super::disk::size;
use crate::text::memory::OutOfMemory;

/// Why the database could not be opened, read or changed. The text names the file and the next step.
#[derive(Debug, ThisError)]
#[error("{name}: {cause}")]
pub(crate) struct Error {
    /// That of the database; if a backup failed, the path of the backup.
    name: String,
    cause: Cause,
}

/// What is wrong with a file. The text does not name the file.
#[derive(Debug, ThisError)]
pub(crate) enum Cause {
    /// There is no file at the path.
    #[error("no such database; check --db, or start leadclicksd once to create it")]
    Missing,
    /// There is a directory, a device or a socket at the path.
    #[error("not a regular file; give --db the path of a database file")]
    NotAFile,
    /// The operating system can't open the file.
    #[error("{}", unusable(.0))]
    Unusable(io::Error),
    /// The operating system gives no thread, or no file descriptors for one.
    #[error("cannot start a thread: {0}; allow more threads and open files")]
    OutOfResources(io::Error),
    /// The file can be read but not written to.
    #[error("no permission to write; run as its owner")]
    ReadOnly,
    /// The database, or a file that SQLite keeps next to it under the same name with `suffix`, is mounted as a single file.
    #[error(
        "{} is mounted as a single file, so the database and its -wal file with the newest clicks are not kept \
         together; mount the directory",
        its_file(.suffix)
    )]
    FileMounted { suffix: &'static str },
    /// The database has more than one hard link.
    #[error(
        "the file has a second name (a hard link), and a program that opens the other name does not find the newest clicks; \
         delete the other name, which `find / -xdev -samefile FILE` shows"
    )]
    SecondName,
    /// Every user may write the directory, and a file in it, as in `FileMounted`, belongs to a stranger.
    #[error(
        "{} belongs to a stranger, and every user may write {}; move the database into a directory that only its owner \
         may write",
        its_file(.suffix), .directory.display()
    )]
    StrangersFile {
        suffix: &'static str,
        directory: PathBuf,
    },
    #[error("cannot use WAL mode; move the database to a local disk")]
    NoWal,
    /// Another program has the lock of the daemons for itself.
    #[error(
        "another program, such as a restore, keeps leadclicksd away from it; start again when it has finished"
    )]
    HeldAlone,
    /// The daemon may not use the file or its directory. The text says whose it is.
    #[error("{0}")]
    NotOwned(String),
    #[error("not an SQLite database; check --db")]
    NotADatabase,
    #[error("no table {0}; check --db, or create the table with `sqlite3 FILE < schema.sql`")]
    NoTable(&'static str),
    #[error(
        "the table {table} has no column {column}; add it in the program that owns the database"
    )]
    NoColumn {
        table: &'static str,
        column: &'static str,
    },
    /// `lead_clicks` requires a value for this column, which a click does not have.
    #[error(
        "lead_clicks.{0} is NOT NULL without a default, so no click could be stored; give it a default in the program \
         that owns the database"
    )]
    ColumnRequired(String),
    /// `lead_clicks.id` alone is not an `INTEGER PRIMARY KEY`, so SQLite gives new rows no id.
    #[error(
        "lead_clicks.id is not the table's INTEGER PRIMARY KEY, so a click would get no id; make it that in the program \
         that owns the database"
    )]
    IdNotNumbered,
    /// An `AUTOINCREMENT` table has had the largest id that there is.
    #[error(
        "the ids of {0} are used up, so SQLite adds no row to it; give its rows smaller ids and lower its number in \
         sqlite_sequence"
    )]
    IdsUsedUp(String),
    /// The clicks of the last day have so scattered ids that remembering them would take too much memory.
    #[error(
        "the ids of lead_clicks are too scattered to follow new clicks; list them by `leadclicks report --since` instead"
    )]
    IdsScattered,
    /// `lead_clicks` is a view.
    #[error(
        "lead_clicks is a view, so nothing confirms that a click is stored; make it a table in the program that owns \
         the database"
    )]
    View,
    /// The database is in WAL mode without the WAL's files, which a user without write permission must not create.
    #[error(
        "its -wal and -shm files are missing, and only a user who can write the database can create them; start \
         leadclicksd, or run this as its owner; if it is a backup or a copy, make a new one with leadclicks backup"
    )]
    WalMissing,
    /// The click with this id has a time that can't be read.
    #[error(
        "the click with id {0} has an invalid created_at; change it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row"
    )]
    InvalidTime(String),
    /// The `experts` table belongs to a host app.
    #[error(
        "the experts table belongs to another program, so leadclicks never changes it; change experts in the program \
         that owns the database"
    )]
    ForeignExperts,
    /// A host app's constraint or trigger rejects the click on this line of a file. `reason` is SQLite's name and number
    /// of the error, or PostgreSQL's SQLSTATE and the name of the constraint.
    #[error(
        "the database rejected the click on line {line}: {reason}; correct or remove that line"
    )]
    ClickRejected { line: u64, reason: String },
    /// A host app's trigger keeps rows that a reset or an erasure deletes.
    #[error(
        "a trigger keeps rows of {table} ({rows}), so nothing was deleted; change it in the program that owns the \
         database"
    )]
    Kept { table: &'static str, rows: u64 },
    /// A host app's trigger keeps rows in one of many transactions.
    #[error(
        "a trigger keeps rows of {table} ({rows}), so they were not deleted; change it in the program that owns the \
         database"
    )]
    KeptRows { table: &'static str, rows: u64 },
    /// The disk has less free space than something needs in addition to the `kept` bytes that it leaves to clicks.
    #[error(
        "this needs about {} of free disk space{}, and {} are free{consequence}; free some, or make the disk larger",
        size(*.needed), in_addition_to(*.kept), size(*.free)
    )]
    NoRoom {
        needed: u64,
        kept: u64,
        free: u64,
        /// Follows a comma, or is empty.
        consequence: &'static str,
    },
    /// Rows of `table` refer to rows of `parent` that would be deleted.
    #[error(
        "rows of {table} ({rows}) refer to rows of {parent} that would be deleted; delete the rows of {table} first"
    )]
    StillReferred {
        table: String,
        parent: String,
        rows: u64,
    },
    /// No server of the URL accepts the connection; why, and the same for a log.
    #[cfg(feature = "postgres")]
    #[error("cannot connect: {shown}")]
    NotConnected { shown: String, logged: String },
    #[cfg(feature = "postgres")]
    #[error(
        "no table {0}; check --db and the search_path of the user, or create it with `leadclicks schema | psql`"
    )]
    NoServerTable(&'static str),
    #[cfg(feature = "postgres")]
    #[error("lead_clicks.{column} has an unsupported type; make it {wanted}")]
    ColumnType {
        column: &'static str,
        wanted: &'static str,
    },
    /// The server's encoding.
    #[cfg(feature = "postgres")]
    #[error(
        "the database has the encoding {0}, which cannot store every click; create it with ENCODING 'UTF8'"
    )]
    Encoding(String),
    /// The server answers before a commit is on its disk.
    #[cfg(feature = "postgres")]
    #[error(
        "{setting} is off, so a click that was answered 202 could be lost; set it to on in postgresql.conf, or for the \
         user with ALTER ROLE"
    )]
    NotDurable { setting: &'static str },
    /// The server would not say that a commit has not waited for its standby.
    #[cfg(feature = "postgres")]
    #[error(
        "client_min_messages hides warnings, so a click could be answered 202 that no standby has; set it to warning, or for the \
         user with ALTER ROLE"
    )]
    WarningsHidden,
    /// A crash of the server would empty `lead_clicks`.
    #[cfg(feature = "postgres")]
    #[error(
        "lead_clicks or a partition of it is unlogged, temporary or foreign, so a click that was answered 202 could be lost; run \
         ALTER TABLE … SET LOGGED"
    )]
    NotLogged,
    /// `lead_clicks.click_id` has no unique index that is checked at once.
    #[cfg(feature = "postgres")]
    #[error(
        "lead_clicks.click_id has no unique index that is checked at once, so a click could be stored twice; create it with \
         `CREATE UNIQUE INDEX ON lead_clicks (click_id)`"
    )]
    NoUniqueId,
    /// `lead_clicks.click_id` is a `varchar` or `char` of this length.
    #[cfg(feature = "postgres")]
    #[error(
        "lead_clicks.click_id is too short: {0} characters, and an id has 36, so no click could be stored; make it uuid"
    )]
    IdTooShort(i32),
    /// The table has rows with the next ids of its sequence. Contains the next step.
    #[cfg(feature = "postgres")]
    #[error("{0}")]
    SequenceBehind(&'static str),
    /// `lead_clicks.id` may occur twice.
    #[cfg(feature = "postgres")]
    #[error(
        "lead_clicks.id has no unique index, so no click can be deleted alone; make it the primary key in the program \
         that owns the database"
    )]
    IdNotUnique,
    /// Another import could run at the same time, and store the same clicks.
    #[cfg(feature = "postgres")]
    #[error(
        "the connection that keeps other imports waiting was closed; check the timeouts of the server and the pooler"
    )]
    ImportUnlocked,
    /// The user has no right to do this. Contains the server's sentence.
    #[cfg(feature = "postgres")]
    #[error("{0}; grant it as docs/postgresql.md shows")]
    NoRight(String),
    /// Any other error of PostgreSQL.
    #[cfg(feature = "postgres")]
    #[error("{}", server_error(.0))]
    Postgres(tokio_postgres::Error),
    /// The backup could not be written. `consequence` follows a semicolon, or is empty.
    #[error("cannot write the backup: {reason}{consequence}")]
    Backup {
        reason: String,
        consequence: &'static str,
    },
    /// The file is too large for the scrubber: more than 128 GiB with pages of 4 KiB.
    #[error(
        "the file has more than 33 million pages; give it larger pages by `PRAGMA page_size` and VACUUM"
    )]
    TooManyPages,
    /// The file can't replace a database; why.
    #[error("cannot restore it: {0}")]
    NotABackup(String),
    /// The database can't be replaced; why.
    #[error("cannot replace it: {0}; nothing was changed")]
    NotReplaced(String),
    /// The database was replaced, but a step after that failed; why, and where the old one is, if there was one.
    #[error(
        "replaced with the backup, but not synced to the disk: {reason}{}; check the disk, and restore again before you \
         start leadclicksd",
        old_database(.kept)
    )]
    NotSynced {
        reason: io::Error,
        kept: Vec<PathBuf>,
    },
    /// The system refused memory.
    #[error(
        "not enough memory; allow the program more, or narrow a report with --since or --limit"
    )]
    OutOfMemory,
    /// Any other error of SQLite.
    #[error("{}; {}", message(.0), next_step(.0))]
    Sqlite(rusqlite::Error),
}

impl Error {
    pub(crate) fn new(path: &Path, cause: Cause) -> Self {
        Self::named(path.display().to_string(), cause)
    }

    /// As [`Error::new`], for a database that is not a file.
    pub(super) fn named(name: String, cause: Cause) -> Self {
        Self { name, cause }
    }

    /// Whether the `-wal` and `-shm` files are missing, and this user may not create them.
    pub(crate) fn is_wal_missing(&self) -> bool {
        matches!(self.cause, Cause::WalMissing)
    }

    /// Whether the content of the file is the reason: it is damaged, or no database.
    pub(super) fn is_about_content(&self) -> bool {
        matches!(self.cause, Cause::NotADatabase) || self.is_damage() || self.is_about_sql()
    }

    /// Whether the file is damaged.
    pub(super) fn is_damage(&self) -> bool {
        self.sqlite_code() == Some(ErrorCode::DatabaseCorrupt)
    }

    /// Whether SQLite does not understand a statement or a schema.
    pub(super) fn is_about_sql(&self) -> bool {
        self.sqlite_code() == Some(ErrorCode::Unknown)
    }

    fn sqlite_code(&self) -> Option<ErrorCode> {
        match &self.cause {
            Cause::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }

    /// Adds to a failed backup that the deletion after it did not happen.
    pub(crate) fn nothing_deleted(mut self) -> Self {
        if let Cause::Backup { consequence, .. } = &mut self.cause {
            *consequence = "; nothing was deleted";
        }
        self
    }

    /// Whether another program has changed the same rows at the same moment, so that trying again helps.
    #[cfg(feature = "postgres")]
    pub(super) fn is_conflict(&self) -> bool {
        use tokio_postgres::error::SqlState;
        let Cause::Postgres(error) = &self.cause else {
            return false;
        };
        let conflicts = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ];
        error.code().is_some_and(|code| conflicts.contains(code))
    }

    /// As the reason why a file is not restored.
    pub(super) fn of_backup(self) -> Self {
        let reason = match self.cause {
            Cause::NotABackup(reason) => reason,
            Cause::Missing => "there is no such file; give the path of a backup".to_owned(),
            Cause::NotAFile => "it is not a regular file; give the path of a backup".to_owned(),
            Cause::NotADatabase => "it is not an SQLite database; choose another backup".to_owned(),
            Cause::NoTable(table) => format!("it has no table {table}; choose another backup"),
            Cause::Unusable(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "no permission to read it; run as root".to_owned()
            }
            Cause::Sqlite(error) => format!("{}; choose another backup", message(&error)),
            other => other.to_string(),
        };
        Self::named(self.name, Cause::NotABackup(reason))
    }
    pub(super) fn unusable(path: &Path, source: io::Error) -> Self {
        Self::new(path, Cause::Unusable(source))
    }
}

#[cfg(feature = "postgres")]
impl Cause {
    /// A server does not answer, for a `reason` that is not a message of the server.
    pub(super) fn not_connected(reason: &str) -> Self {
        Self::NotConnected {
            shown: reason.to_owned(),
            logged: reason.to_owned(),
        }
    }
}

impl From<OutOfMemory> for Cause {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<rusqlite::Error> for Cause {
    fn from(source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase,
            Some(ErrorCode::OutOfMemory) => Self::OutOfMemory,
            _ => Self::Sqlite(source),
        }
    }
}

#[cfg(feature = "postgres")]
impl From<tokio_postgres::Error> for Cause {
    fn from(source: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::SqlState;
        match source.as_db_error() {
            Some(error) if *error.code() == SqlState::INSUFFICIENT_PRIVILEGE => {
                Self::NoRight(error.message().to_owned())
            }
            // Of ON CONFLICT (click_id).
            Some(error) if *error.code() == SqlState::INVALID_COLUMN_REFERENCE => Self::NoUniqueId,
            _ => Self::Postgres(source),
        }
    }
}

/// PostgreSQL's own sentence about an error, and the next step.
#[cfg(feature = "postgres")]
fn server_error(error: &tokio_postgres::Error) -> String {
    let Some(error) = error.as_db_error() else {
        return format!("{error}; check the server and the network, and try again");
    };
    let next = match error.code().code() {
        code if code.starts_with("23") || code.starts_with("P0") => {
            "fix it in the program that owns the database"
        }
        code if code.starts_with("53") => "check the server's disk, memory and connections",
        "57014" => "raise statement_timeout for this user",
        code if code.starts_with("40") || code.starts_with("55") || code.starts_with("57") => {
            "try again"
        }
        _ => "check the server's log",
    };
    format!(
        "{} (SQLSTATE {}); {next}",
        error.message(),
        error.code().code()
    )
}

/// The database, or a file that SQLite keeps next to it.
fn its_file(suffix: &str) -> String {
    match suffix {
        "" => "the file".to_owned(),
        suffix => format!("its {suffix} file"),
    }
}

/// Where a restore has kept it.
fn old_database(kept: &[PathBuf]) -> String {
    let names: Vec<String> = kept.iter().map(|path| path.display().to_string()).collect();
    match &names[..] {
        [] => String::new(),
        names => format!("; the old database is {}", names.join(" and ")),
    }
}

fn in_addition_to(kept: u64) -> String {
    match kept {
        0 => String::new(),
        kept => format!(
            " in addition to the {} that leadclicksd leaves free",
            size(kept)
        ),
    }
}

fn unusable(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => "its directory does not exist; create it first, or check --db",
        io::ErrorKind::PermissionDenied => {
            "no permission to open it; run as its owner or as a member of its group"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only; make it writable, or choose another --db"
        }
        _ => return format!("cannot use it: {source}; check --db"),
    }
    .to_owned()
}

/// What to do about an error of SQLite.
pub(crate) fn next_step(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds its lock; try again when that program has finished"
        }
        Some(ErrorCode::ReadOnly) => "run as the file's owner to change it",
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "run as the file's owner, or as a member of its group while its -wal and -shm files exist"
        }
        Some(ErrorCode::DiskFull) => "free disk space and try again",
        Some(ErrorCode::DatabaseCorrupt) => "the file is damaged; restore a backup",
        Some(ErrorCode::SystemIoFailure) => "check the disk and its free space",
        // Our SQL is valid, so the cause is in a host app's schema.
        Some(ErrorCode::Unknown | ErrorCode::ConstraintViolation) => {
            "fix it in the program that owns the database"
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

/// SQLite's name and number of an error, for logs. Its longer sentence can contain data of a row, for instance from the
/// trigger of a host app.
pub(crate) fn reason(error: &rusqlite::Error) -> String {
    let code = match error {
        rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. } => {
            error.extended_code
        }
        _ => return "a value has an unexpected type".to_owned(),
    };
    format!("{} (SQLite code {code})", rusqlite::ffi::code_to_str(code))
}
