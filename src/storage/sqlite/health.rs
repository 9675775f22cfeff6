//! The health check of a database, for monitoring. Only reads.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use rustix::fs::{Access, access};

use super::{
    BUSY_TIMEOUT, JOURNAL_BYTES_MAX, SqliteDb,
    collation::missing_collation,
    daemon_lock,
    erase::dangling_from,
    has_wal_files, leftovers,
    location::check_location,
    open::{check_file_system, is_in_wal_mode},
    owned_text, path_with,
    room::{ClickRoom, batch_growth},
    schema::table_without_ids,
    text,
};
use crate::{
    click::canonical_email,
    storage::{
        Cause, Checks, DaemonCheck, Depth, DiskReserve, Error, Finding, Leftovers, State,
        disk::{DiskSpace, Room, mib, size},
        health::Newest,
    },
    text::groups::TextGroups,
    timestamp::Timestamp,
};

/// A WAL file larger than this is a warning, in bytes. The daemon cuts it back to this after each checkpoint, so a larger
/// one means that a reader or a host app keeps checkpoints from finishing.
const WAL_BYTES_HIGH: u64 = JOURNAL_BYTES_MAX as u64;

/// How many faults of a damaged file are reported.
const FAULTS_MAX: u32 = 5;

/// As [`crate::storage::check`].
pub(crate) fn check(path: &Path, checks: &Checks) -> Vec<Finding> {
    // Before the database is opened, which may take long and creates missing files next to it. If the files can't be
    // checked, opening the database says why.
    let mut findings = fs::canonicalize(path)
        .and_then(|path| files(&path, checks.daemon))
        .unwrap_or_default();
    let opened = SqliteDb::open_for_check(path);
    if !findings.is_empty() {
        findings.extend(disk(path, opened.as_ref().ok(), checks.reserve));
    }
    let checked = opened.and_then(|db| {
        let mut findings = Vec::from([journal(&db, checks.daemon)?]);
        findings.extend(lock(db.path()));
        findings.extend(contents(&db, checks));
        Ok(findings)
    });
    findings
        .extend(checked.unwrap_or_else(|error| Vec::from([Finding::of_error("database", &error)])));
    findings
}

/// Checks the database's files without opening the database; checks nothing if it is not a regular file.
fn files(path: &Path, daemon_check: DaemonCheck) -> io::Result<Vec<Finding>> {
    let main = fs::metadata(path)?;
    if !main.is_file() {
        return Ok(Vec::new());
    }
    let mut findings = match daemon_check {
        DaemonCheck::IfLive => Vec::from_iter(daemon(path)),
        DaemonCheck::Skipped => Vec::new(),
    };
    findings.extend([
        file(path, &main),
        writable(path, &main)?,
        Finding::of_result(
            "location",
            check_location(path).map(|()| Finding::ok("location", "all files together")),
        ),
    ]);
    // Any other mode does without them, and has a finding of its own.
    let side_files: &[_] = if is_in_wal_mode(path) {
        &[("wal", "-wal"), ("shm", "-shm")]
    } else {
        &[]
    };
    for (check, suffix) in side_files.iter().copied() {
        let path = path_with(path, suffix);
        findings.push(match fs::symlink_metadata(&path) {
            Ok(found) => side_file(check, &path, &found, &main).with_count(found.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::warning(
                check,
                format!(
                    "{} is missing, so only users who can write the database can read it",
                    path.display()
                ),
                "start leadclicksd, which creates it",
            ),
            Err(error) => return Err(error),
        });
    }
    let Leftovers {
        wal,
        copies,
        replaced,
    } = leftovers::find(path);
    findings.push(match wal {
        None => Finding::ok("wal.left", "none"),
        Some(left) => Finding::warning(
            "wal.left",
            format!("{} may hold clicks that are nowhere else", left.display()),
            "recover them, then delete it",
        ),
    });
    findings.push(left_copies(&copies, &replaced));
    Ok(findings)
}

/// Whether a daemon runs. None without a `-wal` file if the database is not in WAL mode, as a backup is not, and if the file
/// can't be opened, which others report.
fn daemon(path: &Path) -> Option<Finding> {
    const CHECK: &str = "daemon";
    let wal = path_with(path, "-wal");
    let is_running = match fs::symlink_metadata(&wal) {
        Ok(found) if found.is_file() => daemon_lock::is_held(&wal).ok()?,
        // A daemon has this file open. A program that is the last to close the database deletes it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_in_wal_mode(path) => false,
        _ => return None,
    };
    let finding = if is_running {
        Finding::ok(CHECK, "runs")
    } else {
        Finding::problem(
            CHECK,
            "no leadclicksd runs on this database, so no clicks are stored",
            "start it, or pass --offline if none should run",
        )
    };
    Some(finding.with_count(is_running.into()))
}

fn left_copies(copies: &[PathBuf], replaced: &[PathBuf]) -> Finding {
    const CHECK: &str = "leftovers";
    let names = |paths: &[PathBuf]| {
        let names: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        names.join(", ")
    };
    if !copies.is_empty() {
        return Finding::warning(
            CHECK,
            format!(
                "{}: unfinished files of a program that was killed, which may contain clicks",
                names(copies)
            ),
            "delete them",
        );
    }
    if !replaced.is_empty() {
        return Finding::warning(
            CHECK,
            format!(
                "{}: kept by a restore, and may contain clicks that are nowhere else",
                names(replaced)
            ),
            "import those that you need, then delete them",
        );
    }
    Finding::ok(CHECK, "none")
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

fn file(path: &Path, metadata: &Metadata) -> Finding {
    const OTHERS: u32 = 0o007;
    const OTHERS_ENTER: u32 = 0o001;
    let found = format!("mode {:04o}", mode(metadata));
    // Users who can't enter a directory can't open the files in it.
    let is_reachable = path.ancestors().skip(1).all(|directory| {
        fs::metadata(directory).map_or(true, |directory| mode(&directory) & OTHERS_ENTER != 0)
    });
    if mode(metadata) & OTHERS == 0 || !is_reachable {
        return Finding::ok("file", found);
    }
    Finding::warning(
        "file",
        format!("{found}, so every user of this machine can open it"),
        "remove that permission with chmod o=",
    )
}

/// The owner's mode bits to read and write a file.
const READ_AND_WRITE: u32 = 0o600;

/// The mode bit of one class of users to open files in a directory.
const ENTER: u32 = 0o1;

/// The mode bits of one class of users to create files in a directory.
const WRITE_AND_ENTER: u32 = 0o3;

/// Whether the file's owner, as whom the daemon runs, can write the database. Reads only the mode bits, so the answer does
/// not depend on the user who asks.
fn writable(path: &Path, main: &Metadata) -> io::Result<Finding> {
    const CHECK: &str = "writable";
    if let Err(error) = check_file_system(path) {
        return Ok(Finding::of_error(CHECK, &error));
    }
    let name = path.display();
    if main.uid() != 0 && mode(main) & READ_AND_WRITE != READ_AND_WRITE {
        let found = format!("the owner of {name} cannot read and write it");
        return Ok(Finding::problem(
            CHECK,
            found,
            "restore that permission with chmod u+rw",
        ));
    }
    for directory in path.ancestors().skip(1) {
        if !may(main, &fs::metadata(directory)?, ENTER) {
            let directory = directory.display();
            let found = format!("the owner of {name} cannot enter {directory}");
            let next = "grant that permission with chown or chmod";
            return Ok(Finding::problem(CHECK, found, next));
        }
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    if !may(main, &fs::metadata(directory)?, WRITE_AND_ENTER) {
        let found = format!(
            "the owner of {name} cannot create files in {}, such as -wal and -shm",
            directory.display()
        );
        let next = "make that user the directory's owner with chown";
        // The daemon can use existing ones.
        return Ok(if is_in_wal_mode(path) && has_wal_files(path) {
            Finding::warning(CHECK, found, next)
        } else {
            Finding::problem(CHECK, found, next)
        });
    }
    Ok(Finding::ok(
        CHECK,
        "by the file's owner, as is its directory",
    ))
}

/// Whether the owner of `main` has the permissions `bits` in a directory. The files do not show that user's other groups,
/// so the user counts as a member of any other group.
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

fn side_file(check: &'static str, path: &Path, found: &Metadata, main: &Metadata) -> Finding {
    let name = path.display();
    if !found.is_file() {
        return Finding::problem(
            check,
            format!("{name} is not a regular file, so no program can open the database"),
            "move it away and start leadclicksd, which creates it",
        );
    }
    if found.uid() != main.uid() {
        return Finding::problem(
            check,
            format!(
                "{name} has a different owner from the database's, who may be unable to write it"
            ),
            "change it with chown",
        );
    }
    if found.uid() != 0 && mode(found) & READ_AND_WRITE != READ_AND_WRITE {
        return Finding::problem(
            check,
            format!("the owner of {name} cannot read and write it, so clicks are answered 503"),
            "restore that permission with chmod u+rw",
        );
    }
    if mode(found) != mode(main) || found.gid() != main.gid() {
        return Finding::warning(
            check,
            format!(
                "{name} has a different group or mode ({:04o}) from the database's",
                mode(found)
            ),
            "change them with chgrp and chmod",
        );
    }
    if check == "wal" && found.len() > WAL_BYTES_HIGH {
        return Finding::warning(
            check,
            format!(
                "{name} has {}: a program that reads for a long time keeps it from being emptied",
                mib(found.len())
            ),
            "end that program, or restart leadclicksd when it has ended",
        );
    }
    Finding::ok(check, mib(found.len()))
}

/// By the rule by which the daemon stores clicks, as far as the database can be read.
fn disk(path: &Path, db: Option<&SqliteDb>, reserve: DiskReserve) -> io::Result<Finding> {
    const CHECK: &str = "disk";
    let room = db.and_then(|db| {
        let growth = batch_growth(db, 1, 0).ok()?;
        ClickRoom::of(db, reserve, growth).ok()?
    });
    let (space, kept) = if let Some(room) = room {
        (room.space, room.kept)
    } else {
        let space = DiskSpace::at(path)?;
        (space, space.reserved(reserve))
    };
    let found = format!("{} free", mib(space.free));
    let next = format!(
        "free disk space: with less than {} clicks are answered 503",
        size(kept)
    );
    let finding = match space.room(kept) {
        Room::Enough => Finding::ok(CHECK, found),
        Room::Near => Finding::warning(CHECK, found, next),
        Room::None => Finding::problem(CHECK, found, next),
    };
    Ok(finding.with_count(space.free))
}

/// A database that no daemon has opened yet, such as a backup, need not be in WAL mode.
fn journal(db: &SqliteDb, daemon_check: DaemonCheck) -> Result<Finding, Error> {
    const CHECK: &str = "journal";
    let mode: String =
        db.run(|conn| conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)))?;
    if mode == "wal" {
        return Ok(Finding::ok(CHECK, "WAL"));
    }
    let found = format!("{mode}, not WAL");
    Ok(match daemon_check {
        DaemonCheck::IfLive => Finding::warning(
            CHECK,
            found,
            "start leadclicksd, which sets it, or pass --offline for a backup",
        ),
        DaemonCheck::Skipped => Finding::ok(CHECK, found),
    })
}

/// Whether the daemon would get the write lock. None if this user can't write the file, if nobody should, or if SQLite would
/// create files to try it.
fn lock(path: &Path) -> Option<Finding> {
    const CHECK: &str = "lock";
    if access(path, Access::WRITE_OK).is_err()
        || !has_wal_files(path)
        || check_location(path).is_err()
    {
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
            "wait until it has finished, or find it with fuser and end it",
        ),
        Err(error) => Finding::of_error(CHECK, &error),
    })
}

fn contents(db: &SqliteDb, checks: &Checks) -> Vec<Finding> {
    let depth = checks.depth;
    let mut findings = Vec::from([Finding::ok("sqlite", rusqlite::version())]);
    if depth == Depth::Full {
        findings.push(Finding::of_result("integrity", integrity(db)));
        // A foreign key without a unique parent is left to the host app, and a damaged file is reported above.
        findings.push(Finding::of_result("references", references(db)).at_worst(State::Warning));
    }
    if let Err(error) = db.check_clicks() {
        findings.push(Finding::of_error("schema", &error));
        return findings;
    }
    findings.push(missing_collation("schema", db).unwrap_or_else(|| {
        let schema = db
            .check_takes_clicks()
            .map(|()| Finding::ok("schema", "takes clicks"));
        Finding::of_result("schema", schema)
    }));
    findings.push(Finding::of_result("ids", ids(db)));
    findings.push(Finding::of_result("index", index(db)));
    let clicks = match depth {
        Depth::Full => clicks(db),
        Depth::Quick => count_clicks(db),
    };
    findings.push(Finding::of_result("clicks", clicks));
    findings.push(Finding::of_result("newest", newest(db, checks)));
    let experts = db
        .experts()
        .map(|experts| Finding::ok("experts", experts.len().to_string()));
    // Reports work without names.
    findings.push(Finding::of_result("experts", experts).at_worst(State::Warning));
    findings
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

/// Foreign keys, which are not enforced while leadclicks deletes. Those of the clicks are left out: a click on an unknown
/// expert is stored and reported too.
fn references(db: &SqliteDb) -> Result<Finding, Error> {
    let dangling: Vec<(String, String, u64)> = db.run(|conn| {
        conn.prepare(&format!(
            r#"SELECT dangling."table", dangling.parent, count(*) {} GROUP BY 1, 2"#,
            dangling_from("lower(child.name) <> 'lead_clicks'")
        ))?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
    })?;
    if dangling.is_empty() {
        return Ok(Finding::ok("references", "all refer to existing rows"));
    }
    let found: Vec<String> = dangling
        .into_iter()
        .map(|(child, parent, rows)| {
            format!("rows of {child} ({rows}) refer to rows of {parent} that do not exist")
        })
        .collect();
    Ok(Finding::warning(
        "references",
        found.join("; "),
        "correct or delete them in the program that owns the database",
    ))
}

/// Whether SQLite has an id for the next click, and after those of all others.
fn ids(db: &SqliteDb) -> Result<Finding, Error> {
    if let Some(table) = db.run(table_without_ids)? {
        return Err(db.error(Cause::IdsUsedUp(table)));
    }
    let max = "SELECT max(id) FROM lead_clicks";
    let last = db.run(|conn| conn.query_row(max, [], |row| row.get_ref(0).map(owned_text)))?;
    Ok(if last == i64::MAX.to_string() {
        Finding::warning(
            "ids",
            "the largest one is used, so new clicks get random ids",
            "give the click with that id a smaller one, so that ids again rise in the order of arrival",
        )
    } else {
        Finding::ok("ids", "rising")
    })
}

/// The index that finds clicks by their time. A host app's table need not have one.
fn index(db: &SqliteDb) -> Result<Finding, Error> {
    Ok(match db.index_on_time()? {
        Some(name) => Finding::ok("index", name),
        None if db.has_own_clicks_table()? => Finding::warning(
            "index",
            "none on created_at, so every report reads all clicks",
            "create it with `sqlite3 FILE < schema.sql` as the file's owner",
        ),
        None => Finding::ok(
            "index",
            "none on created_at; another program owns the table",
        ),
    })
}

/// Reads all clicks once.
fn clicks(db: &SqliteDb) -> Result<Finding, Error> {
    let mut clicks = 0_u64;
    let mut leads = TextGroups::new(canonical_email);
    let mut unreadable: Option<(u64, String)> = None;
    db.read(|conn: &Connection| {
        let mut all = conn.prepare("SELECT email, created_at, id FROM lead_clicks")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            clicks += 1;
            leads.group(&text(row.get_ref(0)?))?;
            if Timestamp::parse_stored(&owned_text(row.get_ref(1)?)).is_none() {
                let id = owned_text(row.get_ref(2)?);
                let (rows, _) = unreadable.get_or_insert((0, id));
                *rows += 1;
            }
        }
        Ok(())
    })?;
    let finding = match unreadable {
        None => Finding::ok("clicks", format!("{clicks} of {} leads", leads.len())),
        Some((rows, first)) => Finding::problem(
            "clicks",
            format!("{rows} of {clicks} have an invalid created_at, the first with id {first}"),
            "change it to YYYY-MM-DD HH:MM:SS (UTC) or delete the rows",
        ),
    };
    Ok(finding.with_count(clicks))
}

fn count_clicks(db: &SqliteDb) -> Result<Finding, Error> {
    let count = "SELECT count(*) FROM lead_clicks";
    let clicks: u64 = db.run(|conn| conn.query_row(count, [], |row| row.get(0)))?;
    Ok(Finding::ok("clicks", clicks.to_string()).with_count(clicks))
}

fn newest(db: &SqliteDb, checks: &Checks) -> Result<Finding, Error> {
    let max = "SELECT max(created_at) FROM lead_clicks";
    let text = db.run(|conn| conn.query_row(max, [], |row| row.get_ref(0).map(owned_text)))?;
    let newest = match Timestamp::parse_stored(&text) {
        Some(newest) => Newest::At(newest),
        None if text.is_empty() => Newest::NoClicks,
        None => Newest::Invalid,
    };
    checks.newest(newest, "change it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row", |bound| {
        db.run(|conn| {
            conn.query_row(
                "SELECT count(*) FROM lead_clicks WHERE created_at > ? AND typeof(created_at) = 'text'",
                [&*bound.stored_bound()],
                |row| row.get(0),
            )
        })
    })
}
