use std::{collections::VecDeque, num::NonZeroU64};

use rusqlite::{OptionalExtension, Row, types::Value};

use super::{
    ClickRow, Selection, Window, created_at,
    selection::{self, Conditions, Indexes},
};
use crate::{
    experts::Names,
    store::{Db, Error, Problem, text_of},
    timestamp::Timestamp,
};

/// The clicks on one expert or of one lead, newest first, read page by page as they are iterated. Clicks that are stored
/// in the meantime are not among them.
#[derive(Debug)]
pub struct Timeline<'db> {
    db: &'db Db,
    subject: Subject,
    /// Among them the subject.
    selection: Selection,
    names: Names,
    /// How many clicks may still be read from the database.
    left: u64,
    page: VecDeque<Click>,
    page_rows: u64,
    page_rows_max: u64,
    search: Search,
    /// The oldest click that was looked at.
    after: Option<Place>,
    ended: bool,
}

/// Whom a timeline is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The expert with this username.
    Expert(String),
    /// The lead with this email address.
    Lead(String),
}

/// A click of a timeline, without the expert's name: [`Timeline::row`] knows that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    email: String,
    expert_username: String,
    search_query: String,
    created_at: Timestamp,
}

impl Click {
    /// Of a row that begins with id, `email`, `expert_username`, `search_query` and `created_at`.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Problem> {
        Ok(Self {
            email: text_of(row.get_ref(1)?),
            expert_username: text_of(row.get_ref(2)?),
            search_query: text_of(row.get_ref(3)?),
            created_at: created_at(row.get_ref(4)?, row.get_ref(0)?)?,
        })
    }

    /// How many bytes its texts have, but for the expert's, which is short.
    pub(super) fn text_bytes(&self) -> usize {
        self.email.len() + self.search_query.len()
    }

    /// The click as all reports tell one.
    #[must_use]
    pub fn row<'a>(&'a self, names: &'a Names) -> ClickRow<'a> {
        ClickRow {
            email: &self.email,
            expert_username: &self.expert_username,
            expert_name: names.of(&self.expert_username),
            search_query: &self.search_query,
            created_at: self.created_at,
        }
    }
}

/// How many clicks a timeline has, and how many different leads and experts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimelineTotals {
    /// Leads.
    pub leads: u64,
    /// Experts.
    pub experts: u64,
    /// Clicks.
    pub clicks: u64,
}

/// Where a click stands among the others, as the database has it.
#[derive(Debug)]
struct Place {
    created_at: Value,
    /// Only where older clicks may have the same time: comparing the time alone takes a third less time in all.
    id: Option<Value>,
}

impl Place {
    /// Adds the conditions of all older clicks.
    fn add_older(&self, conditions: &mut Conditions) {
        // The first comparison lets an index on created_at find the place.
        self.add(
            conditions,
            "created_at < ?",
            "created_at <= ? AND (created_at < ? OR id < ?)",
        );
    }

    /// Adds the conditions of the click itself and all newer ones.
    fn add_newer(&self, conditions: &mut Conditions) {
        self.add(
            conditions,
            "created_at >= ?",
            "created_at >= ? AND (created_at > ? OR id >= ?)",
        );
    }

    fn add(&self, conditions: &mut Conditions, by_time: &str, by_time_and_id: &str) {
        let created_at = self.created_at.clone();
        match &self.id {
            None => conditions.add(by_time, [created_at]),
            Some(id) => {
                conditions.add(by_time_and_id, [created_at.clone(), created_at, id.clone()]);
            }
        }
    }
}

/// The first page is small, so that the first row is there at once; each next one is four times as large. In rows that
/// are told, or in [`Search::ByTime`] in rows that are looked at.
const PAGE_ROWS_MIN: u64 = 256;
/// A page this large makes the cost of finding its beginning small.
const PAGE_ROWS_MAX: u64 = 65_536;
/// What a page holds at the most, in bytes of text, give or take one row.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How the subject's clicks are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    /// As SQLite plans it: by an index on the subject where a host app has one, sorting what it finds for each page.
    Planned,
    /// Through all clicks by an index on time, a stretch of time at a time. The stretch is read forwards, which SQLite
    /// does about twice as fast as backwards: it takes the next row of the table from where it stands, and searches
    /// for any other ([sqlite3BtreeTableMoveto](https://sqlite.org/src/file/src/btree.c)).
    ByTime,
}

impl Search {
    fn indexes(self) -> Indexes {
        match self {
            Self::Planned => Indexes::Any,
            Self::ByTime => Indexes::OnTimeOnly,
        }
    }
}

/// The clicks of `selection` that are `subject`'s, at most `clicks_max`.
///
/// # Errors
/// When the experts can't be read. The iterator's items are errors as [`super::by_email`]'s.
pub fn timeline<'db>(
    db: &'db Db,
    subject: Subject,
    selection: &Selection,
    clicks_max: Option<NonZeroU64>,
) -> Result<Timeline<'db>, Error> {
    db.run(selection::prepare)?;
    let mut selection = selection.clone();
    match &subject {
        Subject::Expert(username) => selection.expert = Some(username.clone()),
        Subject::Lead(email) => selection.email = Some(email.clone()),
    }
    Ok(Timeline {
        db,
        subject,
        selection,
        names: Names::load(db)?,
        left: clicks_max.map_or(u64::MAX, NonZeroU64::get),
        page: VecDeque::new(),
        page_rows: PAGE_ROWS_MIN,
        page_rows_max: PAGE_ROWS_MAX,
        search: Search::Planned,
        after: None,
        ended: false,
    })
}

impl Timeline<'_> {
    /// Whom it is about.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The experts' names.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// A click of this timeline as all reports tell one.
    #[must_use]
    pub fn row<'a>(&'a self, click: &'a Click) -> ClickRow<'a> {
        click.row(&self.names)
    }

    /// How many clicks, leads and experts there are, whatever the limit.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn totals(&self) -> Result<TimelineTotals, Error> {
        let conditions = self.selection.conditions();
        let sql = format!(
            "SELECT count(DISTINCT email), count(DISTINCT expert_username), count(*) FROM lead_clicks WHERE {}",
            conditions.sql()
        );
        self.db.run(|conn| {
            conn.query_row(&sql, conditions.parameters(), |row| {
                Ok(TimelineTotals {
                    leads: row.get(0)?,
                    experts: row.get(1)?,
                    clicks: row.get(2)?,
                })
            })
        })
    }

    /// Whether there is no click to tell. Call it before iterating.
    ///
    /// # Errors
    /// As the iterator's items.
    pub fn is_empty(&mut self) -> Result<bool, Error> {
        if self.has_to_read() {
            self.read_page()?;
        }
        Ok(self.page.is_empty())
    }

    /// Whether the next click is still to be read from the database.
    #[must_use]
    pub fn has_to_read(&self) -> bool {
        self.page.is_empty() && !self.ended
    }

    fn read_page(&mut self) -> Result<(), Error> {
        if self.search == Search::Planned {
            self.search = self.better_search()?;
        }
        match self.search {
            Search::Planned => self.read_planned_page()?,
            Search::ByTime => {
                while self.page.is_empty() && !self.ended {
                    self.read_stretch()?;
                }
            }
        }
        if self.ended && self.left > 0 {
            self.check_all_have_times()?;
        }
        Ok(())
    }

    /// No comparison with the time of another click finds one without a time, and a window holds none.
    fn check_all_have_times(&self) -> Result<(), Error> {
        if self.selection.window != Window::default() {
            return Ok(());
        }
        let mut conditions = self.selection.subject(Indexes::OnTimeOnly);
        conditions.add("created_at IS NULL", []);
        let sql = format!(
            "SELECT id FROM lead_clicks WHERE {} LIMIT 1",
            conditions.sql()
        );
        self.db.read(|conn| {
            let without_time = conn
                .prepare(&sql)?
                .query_row(conditions.parameters(), |row| row.get_ref(0).map(text_of))
                .optional()?;
            without_time.map_or(Ok(()), |id| Err(Problem::BadTime(id)))
        })
    }

    fn read_planned_page(&mut self) -> Result<(), Error> {
        let rows_max = self.page_rows.min(self.left);
        let conditions = self.subject_conditions(Search::Planned, None);
        let sql = format!(
            "{SELECT} WHERE {} {NEWEST_FIRST} LIMIT {rows_max}",
            conditions.sql()
        );
        let page_end = read(self.db, &sql, &conditions, |click, row| {
            self.page.push_back(click);
            self.after = Some(Place {
                created_at: row.get("created_at")?,
                id: Some(row.get("id")?),
            });
            Ok(())
        })?;
        let rows = self.page.len() as u64;
        self.left -= rows;
        self.ended = (rows < rows_max && page_end == PageEnd::NoMore) || self.left == 0;
        self.page_rows = (self.page_rows * 4).min(self.page_rows_max);
        Ok(())
    }

    fn read_stretch(&mut self) -> Result<(), Error> {
        let begin = self.stretch_begin()?;
        let conditions = self.subject_conditions(Search::ByTime, begin.as_ref());
        let sql = format!(
            "{SELECT} WHERE {} ORDER BY created_at, id",
            conditions.sql()
        );
        let page_end = read(self.db, &sql, &conditions, |click, _| {
            self.page.push_front(click);
            Ok(())
        })?;
        if page_end == PageEnd::Full && self.page_rows > 1 {
            // The newest are missing. The stretches grow slowly from here on, so that few are read twice.
            self.page.clear();
            self.page_rows_max = (self.page_rows / 4).max(1);
            self.page_rows = self.page_rows_max;
            return Ok(());
        }
        self.page
            .truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= self.page.len() as u64;
        self.ended = begin.is_none() || self.left == 0;
        self.after = begin;
        self.page_rows = (self.page_rows * 4).min(self.page_rows_max);
        self.page_rows_max = (self.page_rows_max * 2).min(PAGE_ROWS_MAX);
        Ok(())
    }

    /// The oldest of the next [`Timeline::page_rows`] clicks on whomever; none where fewer are left.
    fn stretch_begin(&self) -> Result<Option<Place>, Error> {
        let conditions = self.conditions(None);
        let sql = format!(
            "SELECT created_at, id FROM lead_clicks WHERE {} {NEWEST_FIRST} LIMIT 2 OFFSET {}",
            conditions.sql(),
            self.page_rows - 1
        );
        self.db.run(|conn| {
            let mut statement = conn.prepare(&sql)?;
            let mut rows = statement.query(conditions.parameters())?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            let (created_at, id): (Value, Value) = (row.get(0)?, row.get(1)?);
            if created_at == Value::Null {
                // Only clicks without a time are left from here on.
                return Ok(None);
            }
            let shares_time = match rows.next()? {
                Some(older) => older.get::<_, Value>(0)? == created_at,
                None => false,
            };
            let id = shares_time.then_some(id);
            Ok(Some(Place { created_at, id }))
        })
    }

    /// The conditions of clicks that were not looked at, from `begin` on if there is one. SQLite takes one bound of each
    /// side for the range of an index and merely filters by the other, so only the tighter is there: what was looked at
    /// lies in the window, and so does `begin`.
    fn conditions(&self, begin: Option<&Place>) -> Conditions {
        let window = self.selection.window;
        let bounds = Window {
            since: window.since.filter(|_| begin.is_none()),
            until: window.until.filter(|_| self.after.is_none()),
        };
        let mut conditions = bounds.conditions();
        if let Some(begin) = begin {
            begin.add_newer(&mut conditions);
        }
        if let Some(after) = &self.after {
            after.add_older(&mut conditions);
        }
        conditions
    }

    /// Those of them that are the subject's.
    fn subject_conditions(&self, search: Search, begin: Option<&Place>) -> Conditions {
        let mut conditions = self.conditions(begin);
        conditions.extend(self.selection.subject(search.indexes()));
        conditions
    }

    /// By time where an index on time serves, and either none on the subject or only one that gives no order: then a
    /// few clicks are sorted for each page, but not many.
    fn better_search(&self) -> Result<Search, Error> {
        let planned = self.plan(Search::Planned)?;
        let by_time = self.plan(Search::ByTime)?;
        let sorts = |plan: &str| plan.contains("TEMP B-TREE");
        let is_better = planned == by_time || (sorts(&planned) && self.page_rows == PAGE_ROWS_MAX);
        Ok(if is_better && !sorts(&by_time) {
            Search::ByTime
        } else {
            Search::Planned
        })
    }

    /// SQLite's plan for a search in its own words.
    fn plan(&self, search: Search) -> Result<String, Error> {
        let conditions = self.subject_conditions(search, None);
        let sql = format!(
            "EXPLAIN QUERY PLAN {SELECT} WHERE {} {NEWEST_FIRST}",
            conditions.sql()
        );
        self.db.run(|conn| {
            conn.prepare(&sql)?
                .query_map(conditions.parameters(), |step| {
                    step.get::<_, String>("detail")
                })?
                .collect()
        })
    }
}

const SELECT: &str = "SELECT id, email, expert_username, search_query, created_at FROM lead_clicks";
const NEWEST_FIRST: &str = "ORDER BY created_at DESC, id DESC";

/// Why a page holds no more rows.
#[derive(PartialEq, Eq)]
enum PageEnd {
    NoMore,
    Full,
}

/// Gives each click that `sql` finds to `add`, and its row, until a page is full.
fn read(
    db: &Db,
    sql: &str,
    conditions: &Conditions,
    mut add: impl FnMut(Click, &Row<'_>) -> rusqlite::Result<()>,
) -> Result<PageEnd, Error> {
    let mut page_bytes = 0;
    db.read(|conn| {
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query(conditions.parameters())?;
        while let Some(row) = rows.next()? {
            let click = Click::read(row)?;
            page_bytes += click.text_bytes();
            add(click, row)?;
            if page_bytes > PAGE_BYTES_MAX {
                return Ok(PageEnd::Full);
            }
        }
        Ok(PageEnd::NoMore)
    })
}

impl Iterator for Timeline<'_> {
    type Item = Result<Click, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.is_empty() {
            self.ended = true;
            self.page.clear();
            return Some(Err(error));
        }
        self.page.pop_front().map(Ok)
    }
}
