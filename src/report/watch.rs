use std::{
    collections::VecDeque,
    fs,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension, Row};

use super::{
    Click, ClickRow, Selection,
    selection::{self, Conditions},
    text,
};
use crate::{
    experts::Names,
    store::{Db, Error, FileIdentities, Problem, text_of},
};

/// How many clicks are read at a time, in one short transaction.
const PAGE_CLICKS_MAX: usize = 1_000;
/// What is read at a time at the most, in bytes of text, give or take one click.
const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// How many of the clicks that were seen last are known by heart. Only where all of these are deleted, and others
/// stay, the clicks' times have to tell which of those were seen.
const SEEN_CLICKS_MAX: usize = 1_024;
/// For how long there may be nothing in the place of the database, or nothing that can be opened: whoever puts another
/// one there needs a moment for it, and who deleted it for good should be told.
const GONE_MAX: Duration = Duration::from_secs(5);

/// The clicks of a database as they arrive, each once, in the order in which they were stored. What is deleted before
/// it was looked at is never told.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    /// None while something else is about to be where the database was.
    opened: Option<Opened>,
    /// Since when it is none.
    gone_since: Option<Instant>,
    conditions: Conditions,
    seen: Seen,
    names: Names,
}

#[derive(Debug)]
struct Opened {
    db: Db,
    files: FileIdentities,
    /// SQLite's number for what the database held when all of it was told.
    told_version: Option<i64>,
}

/// What a look into the database has found.
#[derive(Debug)]
pub struct News<'a> {
    clicks: Vec<Click>,
    names: &'a Names,
    /// Whether there may be more already, so that it is worth to look again at once.
    pub has_more: bool,
}

impl News<'_> {
    /// Whether there are no new clicks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clicks.is_empty()
    }

    /// The new clicks, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = ClickRow<'_>> {
        self.clicks.iter().map(|click| click.row(self.names))
    }
}

impl Watch {
    /// Watches the database at `path` from now on for the clicks of `selection`. Where its window begins at a time,
    /// those that are there already are the first that [`Watch::look`] finds. Without it there are none of those.
    ///
    /// # Errors
    /// As [`Db::open_for_report`].
    pub fn start(path: &Path, selection: &Selection) -> Result<Self, Error> {
        let opened = Opened::open(path)?;
        let mut seen = Seen::default();
        opened.db.read(|conn| {
            let transaction = conn.unchecked_transaction()?;
            let last_id = match selection.window.since {
                None => None,
                Some(since) => last_id_before(&transaction, &since.stored_bound())?,
            };
            seen.learn(&transaction, last_id.unwrap_or(i64::MAX))
        })?;
        Ok(Self {
            path: opened.db.path().to_owned(),
            opened: Some(opened),
            gone_since: None,
            conditions: selection.conditions(),
            seen,
            names: Names::default(),
        })
    }

    /// The database's absolute path, without links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The clicks that are new since the last look, or a good part of them. No transaction is open on return. Where
    /// nothing has changed this costs microseconds.
    ///
    /// A database that takes the place of the watched one is watched from then on, and of its clicks those are new that
    /// were not seen in the other.
    ///
    /// # Errors
    /// When the database can't be read, or holds a click whose time is none; when it was moved or deleted, and there
    /// is no other in its place within five seconds. One whose `-wal` and `-shm` only the daemon may make is waited for
    /// until that does.
    pub fn look(&mut self) -> Result<News<'_>, Error> {
        if !self.is_open()? {
            return Ok(self.news(Page::default()));
        }
        match self.read_page() {
            Ok(page) => Ok(self.news(page)),
            // What was read may have come apart under the reading.
            Err(_) if !self.stands() => Ok(self.news(Page::default())),
            Err(error) => Err(error),
        }
    }

    fn news(&self, page: Page) -> News<'_> {
        News {
            clicks: page.clicks,
            names: &self.names,
            has_more: page.is_full,
        }
    }

    fn stands(&self) -> bool {
        self.opened
            .as_ref()
            .is_some_and(|opened| FileIdentities::at(&self.path) == opened.files)
    }

    /// Opens what is in the place of the database, if that is no longer the one that is open. While that can't be
    /// opened it may be about to be made.
    fn is_open(&mut self) -> Result<bool, Error> {
        if self.stands() {
            return Ok(true);
        }
        // Closed first: SQLite would share the old files' locks with a database that has the same inode.
        self.opened = None;
        match Opened::open(&self.path) {
            Ok(opened) => {
                self.opened = Some(opened);
                self.gone_since = None;
                Ok(true)
            }
            // Who restores a backup takes them away and then starts the daemon, by hand. Nothing is stored until then.
            Err(error) if error.is_wal_missing() => {
                self.gone_since = None;
                Ok(false)
            }
            Err(error) => {
                let gone_since = *self.gone_since.get_or_insert_with(Instant::now);
                if gone_since.elapsed() < GONE_MAX {
                    Ok(false)
                } else {
                    Err(error)
                }
            }
        }
    }

    fn read_page(&mut self) -> Result<Page, Error> {
        let Some(opened) = &mut self.opened else {
            return Ok(Page::default());
        };
        // Asked first: what is stored from here on changes it again.
        let version = opened.version()?;
        if opened.told_version == Some(version) {
            return Ok(Page::default());
        }
        let page = opened.db.read(|conn| {
            let transaction = conn.unchecked_transaction()?;
            self.seen.forget_what_is_gone(&transaction)?;
            read_page(&transaction, &self.conditions, &mut self.seen)
        })?;
        if !page.clicks.is_empty() {
            self.names = Names::load(&opened.db)?;
        }
        if !page.is_full {
            opened.told_version = Some(version);
        }
        Ok(page)
    }
}

impl Opened {
    fn open(path: &Path) -> Result<Self, Error> {
        // Beside the file itself, not beside a link to it.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let before = FileIdentities::at(&path);
        let db = Db::open_for_report(&path)?;
        db.run(selection::prepare)?;
        let mut opened = Self {
            db,
            files: before,
            told_version: None,
        };
        // Reading makes the files beside it, where there were none. What was there before and is another now was
        // perhaps not yet that when it was opened: it is opened anew then.
        opened.version()?;
        opened.files.add_missing(&FileIdentities::at(&path));
        Ok(opened)
    }

    /// A number that is another one whenever another program has changed the database.
    fn version(&self) -> Result<i64, Error> {
        self.db.run(|conn| {
            conn.prepare_cached("PRAGMA data_version")?
                .query_row([], |row| row.get(0))
        })
    }
}

#[derive(Debug, Default)]
struct Page {
    clicks: Vec<Click>,
    is_full: bool,
}

/// The id before the first click that is not before `since`; none where all are.
fn last_id_before(conn: &Connection, since: &str) -> rusqlite::Result<Option<i64>> {
    // The plus makes SQLite go through the index on time, and not through all clicks from the oldest on.
    conn.query_row(
        "SELECT min(+id) - 1 FROM lead_clicks WHERE created_at >= ?",
        [since],
        |row| row.get(0),
    )
}

/// The clicks after the last that was seen, as far as they keep the conditions.
fn read_page(conn: &Connection, conditions: &Conditions, seen: &mut Seen) -> Result<Page, Problem> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT id, email, expert_username, search_query, created_at, {} FROM lead_clicks
         WHERE id > ? ORDER BY id LIMIT {PAGE_CLICKS_MAX}",
        conditions.sql()
    ))?;
    let mut rows = statement.query(conditions.parameters_and([seen.last_id.into()]))?;
    let mut page = Page::default();
    let (mut page_rows, mut page_bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        let counts: Option<bool> = row.get(5)?;
        if counts == Some(true) {
            let click = match Click::read(row) {
                // First those before it are told.
                Err(_) if !page.clicks.is_empty() => {
                    page.is_full = true;
                    break;
                }
                read => read?,
            };
            page_bytes += click.text_bytes();
            page.clicks.push(click);
        }
        seen.add(row)?;
        page_rows += 1;
        page.is_full = page_rows == PAGE_CLICKS_MAX || page_bytes > PAGE_BYTES_MAX;
        if page.is_full {
            break;
        }
    }
    Ok(page)
}

/// Which clicks were seen: those up to an id. SQLite gives a new row the id after the highest one that is there, so
/// when the newest clicks are deleted others get their ids.
#[derive(Debug)]
struct Seen {
    last_id: i64,
    /// The clicks that were seen last, by their ids.
    newest: VecDeque<SeenClick>,
    /// Whether these are all that were seen and are still there.
    are_all: bool,
    hasher: RandomState,
}

#[derive(Debug)]
struct SeenClick {
    id: i64,
    created_at: String,
    /// Of all that was read of it.
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
    /// Takes all clicks up to `last_id` for seen, and nothing else.
    fn learn(&mut self, conn: &Connection, last_id: i64) -> Result<(), Problem> {
        self.newest.clear();
        self.are_all = true;
        let mut statement = conn.prepare_cached(
            "SELECT id, email, expert_username, search_query, created_at FROM lead_clicks
             WHERE id <= ? ORDER BY id DESC LIMIT ?",
        )?;
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
        let created_at = text_of(row.get_ref(4)?);
        let rest = [
            text(row.get_ref(1)?),
            text(row.get_ref(2)?),
            text(row.get_ref(3)?),
        ];
        Ok(SeenClick {
            id: row.get(0)?,
            hash: self.hasher.hash_one((&created_at, rest)),
            created_at,
        })
    }

    /// Goes back to the newest click that was seen and is still there, if the newest of all is not.
    fn forget_what_is_gone(&mut self, conn: &Connection) -> Result<(), Problem> {
        let mut gone = None;
        while let Some(newest) = self.newest.back() {
            if self.is_there(conn, newest)? {
                self.last_id = newest.id;
                return Ok(());
            }
            let click = self.newest.pop_back();
            gone = gone.or(click);
        }
        let Some(gone) = gone else {
            return Ok(());
        };
        if self.are_all {
            self.last_id = i64::MIN;
            return Ok(());
        }
        // The daemon never dates a click before the one that it has stored last.
        let last_id: Option<i64> = conn
            .query_row(
                "SELECT id FROM lead_clicks WHERE created_at < ? ORDER BY created_at DESC, id DESC LIMIT 1",
                [&gone.created_at],
                |row| row.get(0),
            )
            .optional()?;
        self.learn(conn, last_id.unwrap_or(i64::MIN))
    }

    fn is_there(&self, conn: &Connection, click: &SeenClick) -> rusqlite::Result<bool> {
        let found = conn
            .prepare_cached(
                "SELECT id, email, expert_username, search_query, created_at FROM lead_clicks WHERE id = ?",
            )?
            .query_row([click.id], |row| self.seen_click(row))
            .optional()?;
        Ok(found.is_some_and(|found| found.hash == click.hash))
    }
}
