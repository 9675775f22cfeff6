//! New clicks as they arrive.

use std::{
    collections::VecDeque,
    fs,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension, Row};

use super::{
    SqliteDb,
    file_state::FileIdentities,
    select::{read_click, read_without_time, select_all},
    text,
};
use crate::{
    expert::ExpertNames,
    storage::{Error, Problem, Selection, StoredClick},
};

/// How many clicks are read at a time, in one short transaction.
const BATCH_CLICKS_MAX: usize = 1_000;
/// What is read at a time at most, in bytes of text, give or take one click.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How many of the clicks that were seen last are remembered. Only if all of these are deleted between two looks, and others
/// are not, the clicks' times have to tell which of those were seen; then a click that happened before the newest of the
/// deleted ones, and arrives before the second look, is taken for one that was seen.
const SEEN_CLICKS_MAX: usize = 1_024;
/// How long the database may be missing or impossible to open: whoever puts another one in its place needs a moment for
/// it, and whoever deleted it for good should get an error.
const MISSING_MAX: Duration = Duration::from_secs(5);

/// The clicks of a database as they arrive, each once, in the order in which they were stored. A click that is deleted
/// before it was read is never among them.
#[derive(Debug)]
pub(crate) struct Feed {
    path: PathBuf,
    /// None while something else is about to be where the database was.
    opened: Option<Opened>,
    /// Since when it is none.
    missing_since: Option<Instant>,
    selection: Selection,
    seen: Seen,
    names: ExpertNames,
}

#[derive(Debug)]
struct Opened {
    db: SqliteDb,
    files: FileIdentities,
    /// SQLite's number for what the database held when all of it had been read.
    read_version: Option<i64>,
    /// Clicks up to this id were there when it was opened. All others have arrived since, however long ago they happened.
    arrivals_after_id: i64,
}

/// Clicks that have arrived.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Oldest first.
    pub(crate) clicks: Vec<StoredClick<'static>>,
    /// Whether there may be more already, so that it is worth asking again at once.
    pub(crate) has_more: bool,
}

impl Feed {
    /// Watches the database at `path` from now on for the clicks of `selection`. If its window begins at a time, the first
    /// batches have the clicks since then. What arrives later need not lie in the window: a page may send a click a day after
    /// it happened.
    ///
    /// # Errors
    /// As [`crate::storage::Db::open_for_report`].
    pub(crate) fn start(path: &Path, selection: Selection) -> Result<Self, Error> {
        let opened = Opened::open(path)?;
        let mut seen = Seen::default();
        opened.db.read(|conn| {
            let transaction = conn.unchecked_transaction()?;
            let last_id = match selection.window.since {
                None => None,
                Some(since) => last_id_before(&transaction, &since.stored_bound())?,
            };
            seen.restart_at(&transaction, last_id.unwrap_or(i64::MAX))
        })?;
        Ok(Self {
            path: opened.db.path().to_owned(),
            opened: Some(opened),
            missing_since: None,
            selection,
            seen,
            names: ExpertNames::default(),
        })
    }

    /// The database's absolute path, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the experts, as of the last batch that was not empty.
    pub(crate) fn names(&self) -> &ExpertNames {
        &self.names
    }

    /// The clicks that have arrived since the last batch, or the first of them. No transaction is open on return. If
    /// nothing has changed this costs microseconds.
    ///
    /// A database that takes the place of this one is watched from then on, and those of its clicks are new that were not
    /// in the other.
    ///
    /// # Errors
    /// When the database can't be read, or has a click whose time can't be read; when it was moved or deleted, and there is
    /// no other in its place within [`MISSING_MAX`]. One whose `-wal` and `-shm` only the daemon may make is waited for
    /// until it does.
    pub(crate) fn next_batch(&mut self) -> Result<Batch, Error> {
        if !self.is_open()? {
            return Ok(Batch::default());
        }
        match self.read_batch() {
            // What was read may have been replaced meanwhile.
            Err(_) if !self.is_in_place() => Ok(Batch::default()),
            batch => batch,
        }
    }

    fn is_in_place(&self) -> bool {
        self.opened
            .as_ref()
            .is_some_and(|opened| FileIdentities::at(&self.path) == opened.files)
    }

    /// Opens what is in the place of the database, if that is no longer the one that is open. While that can't be opened it
    /// may be about to be made.
    fn is_open(&mut self) -> Result<bool, Error> {
        if self.is_in_place() {
            return Ok(true);
        }
        // Closed first: SQLite would share the old files' locks with a database that has the same inode.
        self.opened = None;
        match Opened::open(&self.path) {
            Ok(opened) => {
                self.opened = Some(opened);
                self.missing_since = None;
                Ok(true)
            }
            // Whoever restores a backup takes them away and then starts the daemon. Nothing is stored until then.
            Err(error) if error.is_wal_missing() => {
                self.missing_since = None;
                Ok(false)
            }
            Err(error) => {
                let since = *self.missing_since.get_or_insert_with(Instant::now);
                if since.elapsed() < MISSING_MAX {
                    Ok(false)
                } else {
                    Err(error)
                }
            }
        }
    }

    fn read_batch(&mut self) -> Result<Batch, Error> {
        let Some(opened) = &mut self.opened else {
            return Ok(Batch::default());
        };
        // Asked first: what is stored from here on changes it again.
        let version = opened.version()?;
        if opened.read_version == Some(version) {
            return Ok(Batch::default());
        }
        let batch = opened.db.read(|conn| {
            let transaction = conn.unchecked_transaction()?;
            self.seen.forget_deleted(&transaction)?;
            read_batch(
                &transaction,
                &self.selection,
                opened.arrivals_after_id,
                &mut self.seen,
            )
        })?;
        if !batch.clicks.is_empty() {
            self.names = opened.db.experts()?.into();
        }
        if !batch.has_more {
            opened.read_version = Some(version);
            // From here on also those that get an id of a deleted click are new.
            opened.arrivals_after_id = i64::MIN;
        }
        Ok(batch)
    }
}

impl Opened {
    fn open(path: &Path) -> Result<Self, Error> {
        // Next to the file itself, not next to a link to it.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let before = FileIdentities::at(&path);
        let mut opened = Self {
            db: SqliteDb::open_for_report(&path)?,
            files: before,
            read_version: None,
            arrivals_after_id: i64::MIN,
        };
        opened.arrivals_after_id = opened.db.run(last_id)?;
        // Reading makes the files next to it, if there were none. What was there before and is another file now was
        // perhaps not yet that when it was opened: it is opened anew then.
        opened.version()?;
        opened.files.add_missing(&FileIdentities::at(&path));
        Ok(opened)
    }

    /// A number that changes whenever another program has changed the database.
    fn version(&self) -> Result<i64, Error> {
        self.db.run(|conn| {
            conn.prepare_cached("PRAGMA data_version")?
                .query_row([], |row| row.get(0))
        })
    }
}

/// The id before the first click that is not before `since`; none if all are.
fn last_id_before(conn: &Connection, since: &str) -> rusqlite::Result<Option<i64>> {
    // The plus makes SQLite use the index on time, and not read all clicks from the oldest on.
    conn.query_row(
        "SELECT min(+id) - 1 FROM lead_clicks WHERE created_at >= ?",
        [since],
        |row| row.get(0),
    )
}

fn last_id(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT max(id) FROM lead_clicks", [], |row| {
        Ok(row.get::<_, Option<i64>>(0)?.unwrap_or(i64::MIN))
    })
}

/// The clicks after the last that was seen, as far as they are selected. The window is not for
/// those after the id `arrivals_after_id`.
fn read_batch(
    conn: &Connection,
    selection: &Selection,
    arrivals_after_id: i64,
    seen: &mut Seen,
) -> Result<Batch, Problem> {
    let is_selected = selection.matcher();
    let mut statement = conn.prepare_cached(&format!(
        "{} WHERE id > ? ORDER BY id LIMIT {BATCH_CLICKS_MAX}",
        select_all()
    ))?;
    let mut rows = statement.query([seen.last_id])?;
    let mut batch = Batch::default();
    let (mut batch_rows, mut batch_bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        if is_selected(&read_without_time(row)?) {
            let click = match read_click(row) {
                // First the clicks before it are returned.
                Err(_) if !batch.clicks.is_empty() => {
                    batch.has_more = true;
                    break;
                }
                click => click?,
            };
            let id: i64 = row.get(0)?;
            if id > arrivals_after_id || selection.window.contains(click.created_at) {
                batch_bytes += click.email.len() + click.search_query.len();
                batch.clicks.push(click.into_owned());
            }
        }
        seen.add(row)?;
        batch_rows += 1;
        batch.has_more = batch_rows == BATCH_CLICKS_MAX || batch_bytes > BATCH_BYTES_MAX;
        if batch.has_more {
            break;
        }
    }
    Ok(batch)
}

/// Which clicks were seen: those up to an id. SQLite gives a new row the id after the highest one, so when the newest
/// clicks are deleted others get their ids.
#[derive(Debug)]
struct Seen {
    last_id: i64,
    /// The clicks that were seen last, by their ids.
    newest: VecDeque<SeenClick>,
    /// Whether these are all that were seen and not deleted since.
    are_all: bool,
    hasher: RandomState,
}

#[derive(Debug)]
struct SeenClick {
    id: i64,
    created_at: String,
    /// Of all columns.
    hash: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            last_id: i64::MIN,
            newest: VecDeque::new(),
            are_all: true,
            hasher: RandomState::new(),
        }
    }
}

impl Seen {
    /// From now on all clicks up to `last_id` count as seen, and no others.
    fn restart_at(&mut self, conn: &Connection, last_id: i64) -> Result<(), Problem> {
        self.newest.clear();
        self.are_all = true;
        let mut statement = conn.prepare_cached(&format!(
            "{} WHERE id <= ? ORDER BY id DESC LIMIT ?",
            select_all()
        ))?;
        let mut rows = statement.query((last_id, SEEN_CLICKS_MAX + 1))?;
        while let Some(row) = rows.next()? {
            if self.newest.len() == SEEN_CLICKS_MAX {
                self.are_all = false;
                break;
            }
            self.newest.push_front(self.seen_click(row)?);
        }
        self.last_id = self.newest.back().map_or(i64::MIN, |click| click.id);
        Ok(())
    }

    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let click = self.seen_click(row)?;
        self.last_id = click.id;
        if self.newest.len() == SEEN_CLICKS_MAX {
            self.newest.pop_front();
            self.are_all = false;
        }
        self.newest.push_back(click);
        Ok(())
    }

    fn seen_click(&self, row: &Row<'_>) -> rusqlite::Result<SeenClick> {
        let created_at = text(row.get_ref(4)?).into_owned();
        let texts = read_without_time(row)?;
        Ok(SeenClick {
            id: row.get(0)?,
            hash: self.hasher.hash_one((&created_at, texts)),
            created_at,
        })
    }

    /// Goes back to the newest click that was seen and still exists, if the newest of all was deleted.
    fn forget_deleted(&mut self, conn: &Connection) -> Result<(), Problem> {
        let (Some(oldest), Some(newest)) = (self.newest.front(), self.newest.back()) else {
            return Ok(());
        };
        let (oldest_id, newest_created_at) = (oldest.id, newest.created_at.clone());
        while let Some(newest) = self.newest.back() {
            if self.exists(conn, newest)? {
                self.last_id = newest.id;
                return Ok(());
            }
            self.newest.pop_back();
        }
        if self.are_all {
            self.last_id = i64::MIN;
            return Ok(());
        }
        // Those up to the newest whose time is not after that of the newest that was seen. None that was seen has as high an
        // id as those that are remembered. The plus is against a search by time: nearly always the first is the one.
        let last_id: Option<i64> = conn
            .query_row(
                "SELECT id FROM lead_clicks WHERE id < ?1 AND +created_at <= ?2 ORDER BY id DESC LIMIT 1",
                (oldest_id, &newest_created_at),
                |row| row.get(0),
            )
            .optional()?;
        self.restart_at(conn, last_id.unwrap_or(i64::MIN))
    }

    fn exists(&self, conn: &Connection, click: &SeenClick) -> rusqlite::Result<bool> {
        let found = conn
            .prepare_cached(&format!("{} WHERE id = ?", select_all()))?
            .query_row([click.id], |row| self.seen_click(row))
            .optional()?;
        Ok(found.is_some_and(|found| found.hash == click.hash))
    }
}
