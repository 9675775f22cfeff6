//! New clicks as they arrive, for `leadclicks watch`.

use std::{
    collections::VecDeque,
    fs,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension, Row, types::Value};

use super::{
    SqliteDb,
    file_state::FileIdentities,
    id_set::{IdSet, TooScattered},
    recent_ids::REMEMBERED,
    select::{read_click, read_without_time, select},
    text,
};
use crate::{
    expert::ExpertNames,
    storage::{Cause, Columns, Error, NewClicks, Selection},
    timestamp::Timestamp,
};

/// The most clicks that are read in one short transaction.
const BATCH_CLICKS_MAX: usize = 1_000;
/// The most that is read in one transaction, in bytes of text, plus at most one click.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How many of the clicks that were seen last are remembered. If all of these, but not all others, are deleted between two
/// polls, only their times show which of the others were seen. Then a click that arrives before the second poll, but
/// happened before the newest of the deleted ones, is missed.
const SEEN_CLICKS_MAX: usize = 1_024;
/// How long the database may be missing or unreadable before that is an error: replacing a database takes a moment.
const MISSING_MAX: Duration = Duration::from_secs(5);
/// The longest share of the time in which clicks with low ids are looked for: a 50th.
const PAUSE_PER_SEARCH: u32 = 50;

/// Reads the clicks of a database as they arrive, each once, in the order in which they were stored. Misses clicks that are
/// deleted before they are read, and those that [`LowIds`] does.
#[derive(Debug)]
pub(crate) struct Feed {
    path: PathBuf,
    /// None while the database is missing or unreadable.
    database: Option<FollowedDatabase>,
    /// When `database` became none.
    missing_since: Option<Instant>,
    selection: Selection,
    seen: Seen,
    low_ids: LowIds,
    names: ExpertNames,
}

#[derive(Debug)]
struct FollowedDatabase {
    db: SqliteDb,
    files: FileIdentities,
    /// SQLite's version of the data of which everything has been read.
    read_version: Option<i64>,
    /// Clicks up to this id existed when the database was opened. All others have arrived since, however long ago they
    /// happened.
    arrivals_after_id: i64,
}

impl Feed {
    /// Watches the database at `path` from now on for the clicks of `selection`. If its window has a beginning, the first
    /// batches contain the clicks since then. Clicks that arrive later need not be inside the window: a page may send a click
    /// a day after it happened. `now` is the current time.
    ///
    /// # Errors
    /// As [`crate::storage::Db::open_for_report`], and if the ids of clicks can't be followed.
    pub(crate) fn start(path: &Path, selection: Selection, now: Timestamp) -> Result<Self, Error> {
        let database = FollowedDatabase::open(path)?;
        let mut seen = Seen::default();
        let mut low_ids = LowIds::new(now);
        database.db.read(|conn| {
            let transaction = conn.unchecked_transaction()?;
            let last_id = match selection.window.since {
                None => None,
                Some(since) => last_id_before(&transaction, &since.stored_bound())?,
            };
            seen.restart_at(&transaction, last_id.unwrap_or(i64::MAX))?;
            low_ids.search(&transaction)
        })?;
        Ok(Self {
            path: database.db.path().to_owned(),
            database: Some(database),
            missing_since: None,
            selection,
            seen,
            low_ids,
            names: ExpertNames::default(),
        })
    }

    /// The database's absolute path, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the experts, as of the last batch with clicks.
    pub(crate) fn names(&self) -> &ExpertNames {
        &self.names
    }

    /// The clicks that have arrived since the last batch, or the first of them. No transaction is open on return. If nothing
    /// has changed, this takes microseconds.
    ///
    /// If another database replaces this one, it is watched from then on, and those of its clicks are new that were not in
    /// the old one.
    ///
    /// # Errors
    /// If the database or the time of a click can't be read, or if the database was moved or deleted and is not replaced
    /// within [`MISSING_MAX`]. If only the daemon may create the `-wal` and `-shm` of the new one, waits without a limit.
    pub(crate) fn next_batch(&mut self) -> Result<NewClicks, Error> {
        if !self.is_open()? {
            return Ok(NewClicks::default());
        }
        match self.read_batch() {
            // The database may have been replaced meanwhile.
            Err(_) if !self.is_in_place() => Ok(NewClicks::default()),
            batch => batch,
        }
    }

    fn is_in_place(&self) -> bool {
        self.database
            .as_ref()
            .is_some_and(|database| FileIdentities::at(&self.path) == database.files)
    }

    /// Opens the database at the path, unless it is open already. False while it can't be opened, which may pass.
    fn is_open(&mut self) -> Result<bool, Error> {
        if self.is_in_place() {
            return Ok(true);
        }
        // Closed first: SQLite would share the old files' locks with a new database that has the same inode.
        self.database = None;
        match FollowedDatabase::open(&self.path) {
            Ok(database) => {
                self.database = Some(database);
                self.missing_since = None;
                Ok(true)
            }
            // During a restore of a backup the files are deleted before the daemon starts. Nothing is stored until then.
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

    fn read_batch(&mut self) -> Result<NewClicks, Error> {
        let Some(database) = &mut self.database else {
            return Ok(NewClicks::default());
        };
        // Read first: what is stored from here on changes it again.
        let version = database.version()?;
        if database.read_version == Some(version) && self.low_ids.found.is_empty() {
            return Ok(NewClicks::default());
        }
        let (mut is_followed, mut is_searched) = (false, false);
        let batch = database.db.read(|conn| {
            let transaction = conn.unchecked_transaction()?;
            self.seen.forget_deleted(&transaction)?;
            self.low_ids.follow_up_to(self.seen.last_id);
            let mut batch = read_batch(
                &transaction,
                &self.selection,
                database.arrivals_after_id,
                &mut self.seen,
            )?;
            is_followed = !batch.has_more;
            if is_followed {
                is_searched = self.low_ids.search_if_due(&transaction)?;
                self.low_ids.read_found(
                    &transaction,
                    &self.selection,
                    &mut self.seen,
                    &mut batch,
                )?;
            }
            Ok(batch)
        })?;
        if !batch.clicks.is_empty() {
            self.names = database.db.experts()?.into();
        }
        if is_followed {
            // From here on clicks that reuse the id of a deleted click are new too.
            database.arrivals_after_id = i64::MIN;
        }
        if is_searched {
            database.read_version = Some(version);
        }
        Ok(batch)
    }
}

impl FollowedDatabase {
    fn open(path: &Path) -> Result<Self, Error> {
        // Next to the file itself, not next to a link to it.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let before = FileIdentities::at(&path);
        let mut database = Self {
            db: SqliteDb::open_for_report(&path)?,
            files: before,
            read_version: None,
            arrivals_after_id: i64::MIN,
        };
        database.arrivals_after_id = database.db.read(last_id)?;
        // Reading creates missing files next to the database. If a file that existed before differs now, it was replaced
        // meanwhile: then `files` differ at the next poll, which opens the database again.
        database.version()?;
        database.files.add_missing(&FileIdentities::at(&path));
        Ok(database)
    }

    /// A number that changes whenever another program changes the database.
    fn version(&self) -> Result<i64, Error> {
        self.db.run(|conn| {
            conn.prepare_cached("PRAGMA data_version")?
                .query_row([], |row| row.get(0))
        })
    }
}

/// The id before that of the first click since `since`; none if there is no such click.
fn last_id_before(conn: &Connection, since: &str) -> rusqlite::Result<Option<i64>> {
    // The plus makes SQLite use the index on time, and not read all clicks from the oldest on.
    conn.query_row(
        "SELECT min(+id) - 1 FROM lead_clicks WHERE created_at >= ?",
        [since],
        |row| row.get(0),
    )
}

fn last_id(conn: &Connection) -> Result<i64, Cause> {
    let last_id = conn.query_row("SELECT max(id) FROM lead_clicks", [], |row| {
        row.get::<_, Value>(0)
    })?;
    match last_id {
        Value::Integer(last_id) => Ok(last_id),
        Value::Null => Ok(i64::MIN),
        _ => Err(Cause::IdNotNumbered),
    }
}

/// The selected clicks after the last that was seen. The window does not apply to those after the id
/// `arrivals_after_id`.
fn read_batch(
    conn: &Connection,
    selection: &Selection,
    arrivals_after_id: i64,
    seen: &mut Seen,
) -> Result<NewClicks, Cause> {
    let matcher = selection.matcher();
    let mut statement = conn.prepare_cached(&format!(
        "{} WHERE id > ? ORDER BY id LIMIT {BATCH_CLICKS_MAX}",
        select(Columns::ALL)
    ))?;
    let mut rows = statement.query([seen.last_id])?;
    let mut batch = NewClicks::default();
    let (mut batch_rows, mut batch_bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        if matcher.matches(&read_without_time(row)?) {
            let click = match read_click(row) {
                // The clicks before it are returned first.
                Err(_) if !batch.clicks.is_empty() => {
                    batch.has_more = true;
                    break;
                }
                click => click?,
            };
            let id: i64 = row.get(0)?;
            if id > arrivals_after_id || selection.window.contains(click.created_at) {
                batch_bytes += click.email.len() + click.search_query.len();
                batch.clicks.push(click.into_canonical());
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

/// Finds new clicks whose ids are not above those of all others: SQLite gives random ids once the largest one is used, and a
/// host app may choose its own. Compares the ids of the clicks of the last 25 hours with those of the last search: the daemon
/// stores no older ones. Misses such a click if it is dated earlier, or if it has the id of one that was deleted since the
/// last search. A click of before whose time is changed to one of the last 25 hours is taken for a new one.
#[derive(Debug)]
struct LowIds {
    /// The ids of all clicks of the last 25 hours at the last search.
    known: IdSet,
    /// All clicks after this id have been read by their ids since the last search.
    followed_after: i64,
    /// The ids of new clicks that are not read yet.
    found: VecDeque<i64>,
    /// When the feed was started. Not the current time, because a clock that is set back must not make old clicks new.
    started: (Timestamp, Instant),
    /// Not earlier, because a search reads all of a day.
    next_search: Instant,
}

impl LowIds {
    fn new(now: Timestamp) -> Self {
        let started = (now, Instant::now());
        Self {
            known: IdSet::default(),
            // The first search finds nothing new.
            followed_after: i64::MIN,
            found: VecDeque::new(),
            started,
            next_search: started.1,
        }
    }

    /// All clicks after `last_id` will be read by their ids.
    fn follow_up_to(&mut self, last_id: i64) {
        self.followed_after = self.followed_after.min(last_id);
    }

    /// Whether it has searched.
    fn search_if_due(&mut self, conn: &Connection) -> Result<bool, Cause> {
        let begun = Instant::now();
        if begun < self.next_search {
            return Ok(false);
        }
        self.search(conn)?;
        let now = Instant::now();
        self.next_search = now + (now - begun) * PAUSE_PER_SEARCH;
        Ok(true)
    }

    fn search(&mut self, conn: &Connection) -> Result<(), Cause> {
        let (started, at) = self.started;
        let since = started.after(at.elapsed()).before(REMEMBERED);
        let Self {
            known,
            followed_after,
            found,
            ..
        } = self;
        let mut statement =
            conn.prepare_cached("SELECT id FROM lead_clicks WHERE created_at >= ?")?;
        let ids = statement.query_map([&*since.stored_bound()], |row| row.get(0))?;
        let collected = IdSet::collect(ids.inspect(|id| {
            if let Ok(id) = id
                && *id <= *followed_after
                && !known.contains(*id)
            {
                found.push_back(*id);
            }
        }))?;
        *known = collected.map_err(|TooScattered| Cause::IdsScattered)?;
        *followed_after = i64::MAX;
        Ok(())
    }

    /// Adds the selected clicks that were found to `batch`, or the first of them.
    fn read_found(
        &mut self,
        conn: &Connection,
        selection: &Selection,
        seen: &mut Seen,
        batch: &mut NewClicks,
    ) -> Result<(), Cause> {
        if self.found.is_empty() {
            return Ok(());
        }
        let matcher = selection.matcher();
        let mut statement =
            conn.prepare_cached(&format!("{} WHERE id = ?", select(Columns::ALL)))?;
        for _ in 0..BATCH_CLICKS_MAX {
            let Some(id) = self.found.pop_front() else {
                break;
            };
            let mut rows = statement.query([id])?;
            // It may be deleted meanwhile.
            let Some(row) = rows.next()? else { continue };
            if matcher.matches(&read_without_time(row)?) {
                match read_click(row) {
                    // The clicks before it are returned first.
                    Err(_) if !batch.clicks.is_empty() => {
                        self.found.push_front(id);
                        break;
                    }
                    click => batch.clicks.push(click?.into_canonical()),
                }
            }
            seen.insert(row)?;
        }
        batch.has_more = !self.found.is_empty();
        Ok(())
    }
}

/// Which clicks were seen: those up to an id. SQLite gives a new row the id after the highest one, so new clicks reuse the
/// ids of deleted ones if those were the newest.
#[derive(Debug)]
struct Seen {
    last_id: i64,
    /// The clicks that were seen last, by their ids.
    newest: VecDeque<SeenClick>,
    /// Whether `newest` are all clicks that were seen and not deleted since.
    are_all: bool,
    hasher: RandomState,
}

#[derive(Debug)]
struct SeenClick {
    id: i64,
    created_at: String,
    /// The hash of all columns.
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
    /// From now on exactly the clicks up to `last_id` count as seen.
    fn restart_at(&mut self, conn: &Connection, last_id: i64) -> Result<(), Cause> {
        self.newest.clear();
        self.are_all = true;
        let mut statement = conn.prepare_cached(&format!(
            "{} WHERE id <= ? ORDER BY id DESC LIMIT ?",
            select(Columns::ALL)
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

    /// As [`Seen::add`], for a click with an id below the last.
    fn insert(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let click = self.seen_click(row)?;
        let position = self.newest.partition_point(|seen| seen.id < click.id);
        if position > 0 || self.are_all {
            self.newest.insert(position, click);
        }
        if self.newest.len() > SEEN_CLICKS_MAX {
            self.newest.pop_front();
            self.are_all = false;
        }
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
    fn forget_deleted(&mut self, conn: &Connection) -> Result<(), Cause> {
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
        // Counts as seen those up to the newest whose time is not after that of the newest that was seen. Their ids are below
        // the remembered ones. The plus keeps SQLite from searching by time: nearly always the first row matches.
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
            .prepare_cached(&format!("{} WHERE id = ?", select(Columns::ALL)))?
            .query_row([click.id], |row| self.seen_click(row))
            .optional()?;
        Ok(found.is_some_and(|found| found.hash == click.hash))
    }
}
