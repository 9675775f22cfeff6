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

use super::{
    BUSY_TIMEOUT, JOURNAL_BYTES_MAX, SqliteDb, left_wal,
    open::{check_file_system, is_in_wal_mode},
    owned_text, path_with,
};
use crate::{
    storage::{Depth, Error, Finding, State},
    timestamp::Timestamp,
};

/// Less free disk space than this is a warning, in bytes: room for some two million clicks with their WAL.
pub(crate) const DISK_BYTES_LOW: u64 = 256 * 1024 * 1024;

/// Less than this is a problem, in bytes: what the WAL grows by until SQLite checkpoints it (1,000 pages of 4 KiB).
pub(crate) const DISK_BYTES_NEEDED: u64 = 1000 * 4096;

/// A WAL file larger than this is a warning, in bytes: the daemon cuts it back to this after each checkpoint, so a
/// reader or a host app keeps checkpoints from finishing.
pub(crate) const WAL_BYTES_HIGH: u64 = JOURNAL_BYTES_MAX as u64;

/// How far ahead of the clock the newest click may be: it may have come in since the check began, and clocks that are
/// kept in time differ by less.
pub(crate) const AHEAD_MAX: Duration = Duration::from_mins(1);

/// How many faults of a damaged file are told.
const FAULTS_MAX: u32 = 5;

/// As [`crate::storage::check`].
pub(crate) fn check(path: &Path, depth: Depth, now: Timestamp) -> Vec<Finding> {
    // Before it is opened, which may take long and makes missing files next to it. If they can't be checked, opening the
    // database says why.
    let mut findings = fs::canonicalize(path)
        .and_then(|path| files(&path))
        .unwrap_or_default();
    let checked = SqliteDb::open_for_check(path).and_then(|db| {
        let mut findings = Vec::from([journal(&db)?]);
        findings.extend(lock(db.path()));
        findings.extend(contents(&db, depth, now));
        Ok(findings)
    });
    findings
        .extend(checked.unwrap_or_else(|error| Vec::from([Finding::of_error("database", &error)])));
    findings
}

/// Without what can't be looked at: opening the database then tells why.
fn files(path: &Path) -> io::Result<Vec<Finding>> {
    let main = fs::metadata(path)?;
    if !main.is_file() {
        return Ok(Vec::new());
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut lines = Vec::from([file(path, &main), writable(path, &main)?]);
    // Without them in any other mode, which has its own line.
    let files_beside: &[_] = if is_in_wal_mode(path) {
        &[("wal", "-wal"), ("shm", "-shm")]
    } else {
        &[]
    };
    for (check, suffix) in files_beside.iter().copied() {
        let path = path_with(path, suffix);
        lines.push(match fs::symlink_metadata(&path) {
            Ok(found) => file_beside(check, &path, &found, &main),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::warning(
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
        None => Finding::ok("wal.left", "none"),
        Some(left) => Finding::warning(
            "wal.left",
            format!("{} may hold clicks that only it has", left.display()),
            "delete it when you have seen to them",
        ),
    });
    lines.push(disk(directory)?);
    Ok(lines)
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

fn file(path: &Path, metadata: &Metadata) -> Finding {
    const OTHERS: u32 = 0o007;
    const OTHERS_ENTER: u32 = 0o001;
    let found = format!("mode {:04o}", mode(metadata));
    // Nobody gets to a file in a directory that they may not enter.
    let is_reached = path.ancestors().skip(1).all(|directory| {
        fs::metadata(directory).map_or(true, |directory| mode(&directory) & OTHERS_ENTER != 0)
    });
    if mode(metadata) & OTHERS == 0 || !is_reached {
        return Finding::ok("file", found);
    }
    Finding::warning(
        "file",
        format!("{found}, so every user of this machine may open it"),
        "take that right away, by chmod o=",
    )
}

/// What it takes to write and to read a file, of the bits of its owner.
const READ_AND_WRITE: u32 = 0o600;

/// What it takes to open files in a directory, of the bits of one class of users.
const ENTER: u32 = 0o1;

/// What it takes to make files in a directory, likewise.
const WRITE_AND_ENTER: u32 = 0o3;

/// By the mode bits alone, whoever asks: for the file's owner, who is the daemon.
fn writable(path: &Path, main: &Metadata) -> io::Result<Finding> {
    const CHECK: &str = "writable";
    if let Err(error) = check_file_system(path) {
        return Ok(Finding::of_error(CHECK, &error));
    }
    let name = path.display();
    if main.uid() != 0 && mode(main) & READ_AND_WRITE != READ_AND_WRITE {
        let found = format!("the owner of {name} may not write it");
        return Ok(Finding::problem(
            CHECK,
            found,
            "give the right back, by chmod u+rw",
        ));
    }
    for directory in path.ancestors().skip(1) {
        if !may(main, &fs::metadata(directory)?, ENTER) {
            let directory = directory.display();
            let found = format!("the owner of {name} may not enter {directory}");
            let next = "give that user the right to, by chown or chmod";
            return Ok(Finding::problem(CHECK, found, next));
        }
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    if !may(main, &fs::metadata(directory)?, WRITE_AND_ENTER) {
        let found = format!(
            "the owner of {name} may not make files in {}, such as -wal and -shm",
            directory.display()
        );
        let next = "give the directory to that user, by chown";
        let stands = |suffix| path_with(path, suffix).exists();
        // The daemon goes on with those that are there.
        return Ok(
            if is_in_wal_mode(path) && stands("-wal") && stands("-shm") {
                Finding::warning(CHECK, found, next)
            } else {
                Finding::problem(CHECK, found, next)
            },
        );
    }
    Ok(Finding::ok(
        CHECK,
        "by the file's owner, and its directory too",
    ))
}

/// Whether the owner of `main` has the rights `bits` in a directory. Which groups that user is in besides the file's
/// can't be seen in the files, so what another group may, the user may.
fn may(main: &Metadata, directory: &Metadata, bits: u32) -> bool {
    let [owner, group, others] = [6, 3, 0].map(|class| mode(directory) >> class);
    let class = if main.uid() == directory.uid() {
        owner
    } else if main.gid() == directory.gid() {
        group
    } else {
        group | others
    };
    main.uid() == 0 || class & bits == bits
}

fn file_beside(check: &'static str, path: &Path, found: &Metadata, main: &Metadata) -> Finding {
    let name = path.display();
    if !found.is_file() {
        return Finding::problem(
            check,
            format!("{name} is not a regular file, so no program can open the database"),
            "move it away, and start leadclicksd, which makes it",
        );
    }
    if found.uid() != main.uid() {
        return Finding::problem(
            check,
            format!(
                "{name} belongs to another user than the database, who may be unable to write it"
            ),
            "give it to the database's owner, by chown",
        );
    }
    if found.uid() != 0 && mode(found) & READ_AND_WRITE != READ_AND_WRITE {
        return Finding::problem(
            check,
            format!("the owner of {name} may not write it, so clicks are answered 503"),
            "give the right back, by chmod u+rw",
        );
    }
    if mode(found) != mode(main) || found.gid() != main.gid() {
        return Finding::warning(
            check,
            format!(
                "{name} has another group or mode ({:04o}) than the database",
                mode(found)
            ),
            "give it the database's, by chgrp and chmod",
        );
    }
    if check == "wal" && found.len() > WAL_BYTES_HIGH {
        return Finding::warning(
            check,
            format!(
                "{name} has {}: a program that reads for long keeps it from being emptied",
                mib(found.len())
            ),
            "end that program, or restart leadclicksd when it has ended",
        );
    }
    Finding::ok(check, mib(found.len()))
}

fn disk(directory: &Path) -> io::Result<Finding> {
    const NEXT: &str = "make room: without it clicks are answered 503";
    let disk = statvfs(directory)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} free", mib(free));
    Ok(match free {
        0..DISK_BYTES_NEEDED => Finding::problem("disk", found, NEXT),
        DISK_BYTES_NEEDED..DISK_BYTES_LOW => Finding::warning("disk", found, NEXT),
        _ => Finding::ok("disk", found),
    })
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

fn journal(db: &SqliteDb) -> Result<Finding, Error> {
    let mode: String =
        db.run(|conn| conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)))?;
    Ok(if mode == "wal" {
        Finding::ok("journal", "WAL")
    } else {
        Finding::warning(
            "journal",
            format!("{mode}, not WAL"),
            "start leadclicksd, which sets it",
        )
    })
}

/// Whether the daemon would get the write lock. Only who may write the file, and where nothing has to be made for it,
/// can tell.
fn lock(path: &Path) -> Option<Finding> {
    const CHECK: &str = "lock";
    let stands = |suffix| path_with(path, suffix).exists();
    if access(path, Access::WRITE_OK).is_err() || !stands("-wal") || !stands("-shm") {
        return None;
    }
    Some(match SqliteDb::try_write_lock(path) {
        Ok(true) => Finding::ok(CHECK, "free"),
        Ok(false) => Finding::problem(
            CHECK,
            format!(
                "another program has held the write lock for {} seconds, so clicks are answered 503",
                BUSY_TIMEOUT.as_secs()
            ),
            "wait until it is done, or find it by fuser and end it",
        ),
        Err(error) => Finding::of_error(CHECK, &error),
    })
}

fn contents(db: &SqliteDb, depth: Depth, now: Timestamp) -> Vec<Finding> {
    let mut lines = Vec::from([Finding::ok("sqlite", rusqlite::version())]);
    if depth == Depth::Full {
        lines.push(integrity(db).unwrap_or_else(|error| Finding::of_error("integrity", &error)));
        // A key that refers to nothing unique is the app's own affair, too; what is damaged is told above.
        lines.push(references(db).unwrap_or_else(|error| Finding {
            state: State::Warning,
            ..Finding::of_error("references", &error)
        }));
    }
    if let Err(error) = db.check_clicks() {
        lines.push(Finding::of_error("schema", &error));
        return lines;
    }
    lines.push(match db.check_takes_clicks() {
        Ok(()) => Finding::ok("schema", "takes clicks"),
        Err(error) => Finding::of_error("schema", &error),
    });
    lines.push(index(db).unwrap_or_else(|error| Finding::of_error("index", &error)));
    lines.push(
        match depth {
            Depth::Full => clicks(db),
            Depth::Quick => count_clicks(db),
        }
        .unwrap_or_else(|error| Finding::of_error("clicks", &error)),
    );
    lines.push(newest(db, now).unwrap_or_else(|error| Finding::of_error("newest", &error)));
    lines.push(match db.experts() {
        Ok(experts) => Finding::ok("experts", experts.len().to_string()),
        // Reports go on without names.
        Err(error) => Finding {
            state: State::Warning,
            ..Finding::of_error("experts", &error)
        },
    });
    lines
}

fn integrity(db: &SqliteDb) -> Result<Finding, Error> {
    let faults: Vec<String> = db.run(|conn| {
        conn.prepare(&format!("PRAGMA integrity_check({FAULTS_MAX})"))?
            .query_map([], |row| row.get(0))?
            .collect()
    })?;
    Ok(if faults == ["ok"] {
        Finding::ok("integrity", "the whole file")
    } else {
        Finding::problem("integrity", faults.join("; "), "restore a backup")
    })
}

/// Foreign keys, which nobody enforces while leadclicks deletes. But for those of the clicks: one on an expert who is
/// not known is stored and reported all the same.
fn references(db: &SqliteDb) -> Result<Finding, Error> {
    let broken: Vec<(String, String, u64)> = db.run(|conn| {
        conn.prepare(
            r#"SELECT broken."table", broken.parent, count(*)
               FROM (SELECT DISTINCT child.name
                     FROM sqlite_schema AS child, pragma_foreign_key_list(child.name)
                     WHERE child.type = 'table' AND lower(child.name) <> 'lead_clicks') AS children,
                    pragma_foreign_key_check(children.name) AS broken
               GROUP BY 1, 2"#,
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
    })?;
    if broken.is_empty() {
        return Ok(Finding::ok("references", "all lead somewhere"));
    }
    let found: Vec<String> = broken
        .into_iter()
        .map(|(child, parent, rows)| {
            format!("rows of {child} ({rows}) refer to rows of {parent} that are not there")
        })
        .collect();
    Ok(Finding::warning(
        "references",
        found.join("; "),
        "mend or delete them in the program that owns the database",
    ))
}

/// The index that finds clicks by their time. Whether a host app's table has one is the app's own affair.
fn index(db: &SqliteDb) -> Result<Finding, Error> {
    Ok(match db.index_on_time()? {
        Some(name) => Finding::ok("index", name),
        None if db.has_own_clicks_table()? => Finding::warning(
            "index",
            "there is none on created_at, so every report reads all clicks",
            "make it by `sqlite3 FILE < schema.sql`, as the file's owner",
        ),
        None => Finding::ok("index", "none on created_at, as the table's owner has it"),
    })
}

/// One look at all clicks.
fn clicks(db: &SqliteDb) -> Result<Finding, Error> {
    let mut clicks = 0_u64;
    let mut leads = HashSet::new();
    let mut unreadable: Option<(u64, String)> = None;
    db.run(|conn: &Connection| {
        let mut all = conn.prepare("SELECT email, created_at, id FROM lead_clicks")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            clicks += 1;
            leads.insert(owned_text(row.get_ref(0)?));
            if Timestamp::parse_stored(&owned_text(row.get_ref(1)?)).is_none() {
                let id = owned_text(row.get_ref(2)?);
                let (rows, _) = unreadable.get_or_insert((0, id));
                *rows += 1;
            }
        }
        Ok(())
    })?;
    Ok(match unreadable {
        None => Finding::ok("clicks", format!("{clicks} of {} leads", leads.len())),
        Some((rows, first)) => Finding::problem(
            "clicks",
            format!(
                "{rows} of {clicks} have a created_at that is no time, the first of them that with id {first}"
            ),
            "mend it to YYYY-MM-DD HH:MM:SS (UTC) or delete the rows",
        ),
    })
}

fn count_clicks(db: &SqliteDb) -> Result<Finding, Error> {
    let count = "SELECT count(*) FROM lead_clicks";
    let clicks: u64 = db.run(|conn| conn.query_row(count, [], |row| row.get(0)))?;
    Ok(Finding::ok("clicks", clicks.to_string()))
}

fn newest(db: &SqliteDb, now: Timestamp) -> Result<Finding, Error> {
    let max = "SELECT max(created_at) FROM lead_clicks";
    let text = db.run(|conn| conn.query_row(max, [], |row| row.get_ref(0).map(owned_text)))?;
    if text.is_empty() {
        return Ok(Finding::ok("newest", "no clicks yet"));
    }
    Ok(match Timestamp::parse_stored(&text) {
        None => Finding::problem(
            "newest",
            "the newest click has a created_at that is no time",
            "mend it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row",
        ),
        Some(newest) if newest.since(now) > AHEAD_MAX => Finding::warning(
            "newest",
            format!("{}, which is in the future", newest.rfc3339()),
            "set the clock if it is behind; else correct the created_at of that click, or delete it",
        ),
        Some(newest) => Finding::ok("newest", &*newest.rfc3339()),
    })
}
