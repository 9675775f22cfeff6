//! Whether a database is in order, for monitoring. Everything is only looked at.

use std::{
    collections::HashSet,
    fs::{self, Metadata},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use rusqlite::Connection;
use rustix::fs::{Access, access, statvfs};
use serde::Serialize;

use crate::{
    experts,
    store::{
        BUSY_TIMEOUT, Db, Error, JOURNAL_BYTES_MAX, beside, check_file_system, is_in_wal_mode,
        left_wal, text_of,
    },
    timestamp::Timestamp,
};

/// Less free disk space than this is a warning, in bytes: room for some two million clicks with their WAL.
pub const DISK_BYTES_LOW: u64 = 256 * 1024 * 1024;

/// A WAL file larger than this is a warning, in bytes: the daemon cuts it back to this after each checkpoint, so a
/// reader or a host app keeps checkpoints from finishing.
pub const WAL_BYTES_HIGH: u64 = JOURNAL_BYTES_MAX as u64;

/// How far ahead of the clock the newest click may be: it may have come in since the check began, and clocks that are
/// kept in time differ by less.
pub const AHEAD_MAX: Duration = Duration::from_mins(1);

/// How many faults of a damaged file are told.
const FAULTS_MAX: u32 = 5;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All; reads the whole file.
    Full,
    /// Not what reads the whole file: its integrity, the times of all clicks, and how many leads they are of.
    Quick,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In order.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// Something does not work.
    Problem,
}

impl State {
    /// Its word, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }

    /// The worst of `lines`.
    #[must_use]
    pub fn worst(lines: &[Line]) -> Self {
        lines
            .iter()
            .map(|line| line.state)
            .max()
            .unwrap_or(Self::Ok)
    }
}

/// What was looked at and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The name of the check.
    pub check: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do where it is not in order, unless `found` says so.
    pub next: Option<String>,
}

impl Line {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            found: found.into(),
            next: None,
        }
    }

    fn warning(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            state: State::Warning,
            next: Some(next.into()),
            ..Self::ok(check, found)
        }
    }

    fn problem(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            state: State::Problem,
            ..Self::warning(check, found, next)
        }
    }

    /// An error names the next step itself.
    fn of_error(check: &'static str, error: &Error) -> Self {
        Self {
            state: State::Problem,
            ..Self::ok(check, error.to_string())
        }
    }
}

/// Looks at the database at `path` and the files beside it. `now` is the time by which a click is in the future. Where
/// the database can't be opened, that is the last line.
#[must_use]
pub fn check(path: &Path, depth: Depth, now: Timestamp) -> Vec<Line> {
    // Before it is opened, which makes -wal and -shm where there are none.
    let mut lines = fs::canonicalize(path)
        .and_then(|path| files(&path))
        .unwrap_or_default();
    match Db::open_for_check(path).and_then(|db| Ok((journal(&db)?, db))) {
        Ok((journal, db)) => {
            lines.push(journal);
            lines.extend(lock(db.path()));
            lines.extend(contents(&db, depth, now));
        }
        Err(error) => lines.push(Line::of_error("database", &error)),
    }
    lines
}

/// Without what can't be looked at: opening the database then tells why.
fn files(path: &Path) -> io::Result<Vec<Line>> {
    let main = fs::metadata(path)?;
    if !main.is_file() {
        return Ok(Vec::new());
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut lines = Vec::from([
        file(&main),
        writable(path, &main, directory, &fs::metadata(directory)?),
    ]);
    // Without them in any other mode, which has its own line.
    let files_beside: &[_] = if is_in_wal_mode(path) {
        &[("wal", "-wal"), ("shm", "-shm")]
    } else {
        &[]
    };
    for (check, suffix) in files_beside.iter().copied() {
        let path = beside(path, suffix);
        lines.push(match fs::metadata(&path) {
            Ok(found) => file_beside(check, &path, &found, &main),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Line::warning(
                check,
                format!(
                    "{} is not there, so only who may write the database can read it",
                    path.display()
                ),
                "start leadclicksd, which makes it",
            ),
            Err(error) => return Err(error),
        });
    }
    lines.push(match left_wal(path) {
        None => Line::ok("wal.left", "none"),
        Some(left) => Line::warning(
            "wal.left",
            format!("{} may hold clicks that only it has", left.display()),
            "delete it when you have seen to them",
        ),
    });
    lines.push(disk(directory)?);
    Ok(lines)
}

fn file(metadata: &Metadata) -> Line {
    const OTHERS: u32 = 0o007;
    let mode = metadata.permissions().mode() & 0o7777;
    let found = format!("mode {mode:04o}");
    if mode & OTHERS == 0 {
        return Line::ok("file", found);
    }
    Line::warning(
        "file",
        format!("{found}, so every user of this machine may open it"),
        "take that right away, by chmod o=",
    )
}

/// What it takes to make files in a directory, of the bits of one class of users.
const WRITE_AND_ENTER: u32 = 0o3;

/// By the mode bits alone, whoever asks: for the file's owner, who is the daemon.
fn writable(path: &Path, main: &Metadata, directory: &Path, of_directory: &Metadata) -> Line {
    const CHECK: &str = "writable";
    if let Err(error) = check_file_system(path) {
        return Line::of_error(CHECK, &error);
    }
    let owner = main.uid();
    if owner != 0 && main.permissions().mode() & 0o200 == 0 {
        let found = format!("the owner of {} may not write it", path.display());
        return Line::problem(CHECK, found, "give the right back, by chmod u+w");
    }
    let bits = of_directory.permissions().mode();
    let class = if owner == of_directory.uid() {
        bits >> 6
    } else if main.gid() == of_directory.gid() {
        bits >> 3
    } else {
        bits
    };
    if owner != 0 && class & WRITE_AND_ENTER != WRITE_AND_ENTER {
        let found = format!(
            "the owner of {} may not make files in {}, such as -wal and -shm",
            path.display(),
            directory.display()
        );
        return Line::warning(CHECK, found, "give the directory to that user, by chown");
    }
    Line::ok(CHECK, "by the file's owner, and its directory too")
}

fn file_beside(check: &'static str, path: &Path, found: &Metadata, main: &Metadata) -> Line {
    let mode = |metadata: &Metadata| metadata.permissions().mode() & 0o7777;
    let name = path.display();
    if found.uid() != main.uid() {
        return Line::problem(
            check,
            format!(
                "{name} belongs to another user than the database, who may be unable to write it"
            ),
            "give it to the database's owner, by chown",
        );
    }
    if mode(found) != mode(main) || found.gid() != main.gid() {
        return Line::warning(
            check,
            format!(
                "{name} has another group or mode ({:04o}) than the database",
                mode(found)
            ),
            "give it the database's, by chgrp and chmod",
        );
    }
    if check == "wal" && found.len() > WAL_BYTES_HIGH {
        return Line::warning(
            check,
            format!(
                "{name} has {}: a program that reads for long keeps it from being emptied",
                mib(found.len())
            ),
            "end that program, or restart leadclicksd when it has ended",
        );
    }
    Line::ok(check, mib(found.len()))
}

fn disk(directory: &Path) -> io::Result<Line> {
    let disk = statvfs(directory)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} free", mib(free));
    Ok(if free < DISK_BYTES_LOW {
        Line::warning(
            "disk",
            found,
            "make room: without it clicks are answered 503",
        )
    } else {
        Line::ok("disk", found)
    })
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

fn journal(db: &Db) -> Result<Line, Error> {
    let mode: String =
        db.run(|conn| conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)))?;
    Ok(if mode == "wal" {
        Line::ok("journal", "WAL")
    } else {
        Line::warning(
            "journal",
            format!("{mode}, not WAL"),
            "start leadclicksd, which sets it",
        )
    })
}

/// Whether the daemon would get the write lock. Only who may write the file, and where nothing has to be made for it, can
/// tell.
fn lock(path: &Path) -> Option<Line> {
    const CHECK: &str = "lock";
    let stands = |suffix| beside(path, suffix).exists();
    if access(path, Access::WRITE_OK).is_err() || !stands("-wal") || !stands("-shm") {
        return None;
    }
    Some(match Db::try_write_lock(path) {
        Ok(true) => Line::ok(CHECK, "free"),
        Ok(false) => Line::problem(
            CHECK,
            format!(
                "another program has held the write lock for {} seconds, so clicks are answered 503",
                BUSY_TIMEOUT.as_secs()
            ),
            "wait until it is done, or find it by fuser and end it",
        ),
        Err(error) => Line::of_error(CHECK, &error),
    })
}

fn contents(db: &Db, depth: Depth, now: Timestamp) -> Vec<Line> {
    let mut lines = Vec::from([Line::ok("sqlite", rusqlite::version())]);
    if depth == Depth::Full {
        lines.push(integrity(db).unwrap_or_else(|error| Line::of_error("integrity", &error)));
    }
    if let Err(error) = db.check_clicks() {
        lines.push(Line::of_error("schema", &error));
        return lines;
    }
    lines.push(match db.check_takes_clicks() {
        Ok(()) => Line::ok("schema", "takes clicks"),
        Err(error) => Line::of_error("schema", &error),
    });
    lines.push(
        match depth {
            Depth::Full => clicks(db),
            Depth::Quick => count_clicks(db),
        }
        .unwrap_or_else(|error| Line::of_error("clicks", &error)),
    );
    lines.push(newest(db, now).unwrap_or_else(|error| Line::of_error("newest", &error)));
    lines.push(match experts::list(db) {
        Ok(experts) => Line::ok("experts", experts.len().to_string()),
        // Reports go on without names.
        Err(error) => Line {
            state: State::Warning,
            ..Line::of_error("experts", &error)
        },
    });
    lines
}

fn integrity(db: &Db) -> Result<Line, Error> {
    let faults: Vec<String> = db.run(|conn| {
        conn.prepare(&format!("PRAGMA integrity_check({FAULTS_MAX})"))?
            .query_map([], |row| row.get(0))?
            .collect()
    })?;
    Ok(if faults == ["ok"] {
        Line::ok("integrity", "the whole file")
    } else {
        Line::problem("integrity", faults.join("; "), "restore a backup")
    })
}

/// One look at all clicks.
fn clicks(db: &Db) -> Result<Line, Error> {
    let mut clicks = 0_u64;
    let mut leads = HashSet::new();
    let mut unreadable: Option<(u64, String)> = None;
    db.run(|conn: &Connection| {
        let mut all = conn.prepare("SELECT email, created_at, id FROM lead_clicks")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            clicks += 1;
            leads.insert(text_of(row.get_ref(0)?));
            if Timestamp::parse_stored(&text_of(row.get_ref(1)?)).is_none() {
                let id = text_of(row.get_ref(2)?);
                let (rows, _) = unreadable.get_or_insert((0, id));
                *rows += 1;
            }
        }
        Ok(())
    })?;
    Ok(match unreadable {
        None => Line::ok("clicks", format!("{clicks} of {} leads", leads.len())),
        Some((rows, first)) => Line::problem(
            "clicks",
            format!(
                "{rows} of {clicks} have a created_at that is no time, the first of them that with id {first}"
            ),
            "mend it to YYYY-MM-DD HH:MM:SS (UTC) or delete the rows",
        ),
    })
}

fn count_clicks(db: &Db) -> Result<Line, Error> {
    let count = "SELECT count(*) FROM lead_clicks";
    let clicks: u64 = db.run(|conn| conn.query_row(count, [], |row| row.get(0)))?;
    Ok(Line::ok("clicks", clicks.to_string()))
}

fn newest(db: &Db, now: Timestamp) -> Result<Line, Error> {
    let max = "SELECT max(created_at) FROM lead_clicks";
    let text = db.run(|conn| conn.query_row(max, [], |row| row.get_ref(0).map(text_of)))?;
    if text.is_empty() {
        return Ok(Line::ok("newest", "no clicks yet"));
    }
    Ok(match Timestamp::parse_stored(&text) {
        None => Line::problem(
            "newest",
            "the newest click has a created_at that is no time",
            "mend it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row",
        ),
        Some(newest) if newest.since(now) > AHEAD_MAX => Line::warning(
            "newest",
            format!("{}, which is in the future", newest.rfc3339()),
            "set the clock; new clicks get the same time until it is past that",
        ),
        Some(newest) => Line::ok("newest", &*newest.rfc3339()),
    })
}
