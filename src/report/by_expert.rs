use std::{collections::VecDeque, num::NonZeroU64};

use rusqlite::{OptionalExtension, Row, types::Value};

use super::{Totals, Window, created_at, text_value};
use crate::{
    experts::Names,
    store::{Db, Error, Problem, text_of},
    timestamp::Timestamp,
};

/// The clicks on one expert, newest first, read page by page as they are iterated. Clicks that are stored in the
/// meantime are not among them.
#[derive(Debug)]
pub struct ByExpert<'db> {
    db: &'db Db,
    username: String,
    name: String,
    is_known: bool,
    window: Window,
    /// How many clicks may still be read from the database.
    left: u64,
    page: VecDeque<ExpertClick>,
    page_rows: u64,
    page_rows_max: u64,
    search: Search,
    /// The oldest click that was looked at.
    after: Option<Place>,
    ended: bool,
}

/// Where a click stands among the others, as the database has it.
#[derive(Debug)]
struct Place {
    created_at: Value,
    /// Only where older clicks may have the same time: comparing the time alone takes a third less time in all.
    id: Option<Value>,
}

impl Place {
    /// The conditions of all older clicks, and their parameters.
    fn and_older(&self) -> (&'static str, Vec<Value>) {
        // The first comparison lets an index on created_at find the place.
        self.and(
            " AND created_at < ?",
            " AND created_at <= ? AND (created_at < ? OR id < ?)",
        )
    }

    /// The conditions of the click itself and all newer ones, and their parameters.
    fn and_newer(&self) -> (&'static str, Vec<Value>) {
        self.and(
            " AND created_at >= ?",
            " AND created_at >= ? AND (created_at > ? OR id >= ?)",
        )
    }

    fn and(
        &self,
        by_time: &'static str,
        by_time_and_id: &'static str,
    ) -> (&'static str, Vec<Value>) {
        let created_at = self.created_at.clone();
        match &self.id {
            None => (by_time, vec![created_at]),
            Some(id) => (
                by_time_and_id,
                vec![created_at.clone(), created_at, id.clone()],
            ),
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

/// How the expert's clicks are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    /// As SQLite plans it: by an index on the expert where a host app has one, sorting what it finds for each page.
    Planned,
    /// Through all clicks by an index on time, a stretch of time at a time. The stretch is read forwards, which SQLite
    /// does about twice as fast as backwards: it takes the next row of the table from where it stands, and searches
    /// for any other ([sqlite3BtreeTableMoveto](https://sqlite.org/src/file/src/btree.c)).
    ByTime,
}

impl Search {
    fn condition(self) -> &'static str {
        match self {
            Self::Planned => " AND expert_username = ?",
            // The plus keeps an index on the column from being used (https://sqlite.org/optoverview.html).
            Self::ByTime => " AND +expert_username = ?",
        }
    }
}

/// A click on an expert who is known already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpertClick {
    /// The lead's email address.
    pub email: String,
    /// What the lead had searched for; may be empty.
    pub search_query: String,
    /// When the click was stored.
    pub created_at: Timestamp,
}

/// The clicks of `window` on the expert `username`, at most `clicks_max`.
///
/// # Errors
/// When the experts can't be read. The iterator's items are errors as [`super::by_email`]'s.
pub fn by_expert<'db>(
    db: &'db Db,
    username: &str,
    window: Window,
    clicks_max: Option<NonZeroU64>,
) -> Result<ByExpert<'db>, Error> {
    let names = Names::load(db)?;
    Ok(ByExpert {
        db,
        username: username.to_owned(),
        name: names.of(username).to_owned(),
        is_known: names.know(username),
        window,
        left: clicks_max.map_or(u64::MAX, NonZeroU64::get),
        page: VecDeque::new(),
        page_rows: PAGE_ROWS_MIN,
        page_rows_max: PAGE_ROWS_MAX,
        search: Search::Planned,
        after: None,
        ended: false,
    })
}

impl ByExpert<'_> {
    /// The expert's username.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The expert's name, or the username.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the expert is among those that were imported, or nobody is.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// How many clicks and different leads the expert has in the window, whatever the limit.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn totals(&self) -> Result<Totals, Error> {
        let (conditions, mut parameters) = self.window.conditions();
        parameters.push(text_value(&self.username));
        let sql = format!(
            "SELECT count(DISTINCT email), count(*) FROM lead_clicks
             WHERE {conditions} AND expert_username = ?"
        );
        self.db.run(|conn| {
            conn.query_row(&sql, rusqlite::params_from_iter(&parameters), |row| {
                Ok(Totals {
                    leads: row.get(0)?,
                    clicks: row.get(1)?,
                })
            })
        })
    }

    /// Whether there is no click to tell. Call it before iterating.
    ///
    /// # Errors
    /// As the iterator's items.
    pub fn is_empty(&mut self) -> Result<bool, Error> {
        if self.page.is_empty() && !self.ended {
            self.read_page()?;
        }
        Ok(self.page.is_empty())
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
        if self.window != Window::default() {
            return Ok(());
        }
        self.db.read(|conn| {
            let without_time = conn
                .prepare("SELECT id FROM lead_clicks WHERE created_at IS NULL AND +expert_username = ? LIMIT 1")?
                .query_row([&self.username], |row| row.get_ref(0).map(text_of))
                .optional()?;
            without_time.map_or(Ok(()), |id| Err(Problem::BadTime(id)))
        })
    }

    fn read_planned_page(&mut self) -> Result<(), Error> {
        let rows_max = self.page_rows.min(self.left);
        let (conditions, parameters) = self.expert_conditions(Search::Planned, None);
        let sql = format!("{SELECT} WHERE {conditions} {NEWEST_FIRST} LIMIT {rows_max}");
        let page_end = read(self.db, &sql, &parameters, |click, row| {
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
        let (conditions, parameters) = self.expert_conditions(Search::ByTime, begin.as_ref());
        let sql = format!("{SELECT} WHERE {conditions} ORDER BY created_at, id");
        let page_end = read(self.db, &sql, &parameters, |click, _| {
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

    /// The oldest of the next [`ByExpert::page_rows`] clicks on whomever; none where fewer are left.
    fn stretch_begin(&self) -> Result<Option<Place>, Error> {
        let (conditions, parameters) = self.conditions(None);
        let sql = format!(
            "SELECT created_at, id FROM lead_clicks WHERE {conditions} {NEWEST_FIRST} LIMIT 2 OFFSET {}",
            self.page_rows - 1
        );
        self.db.run(|conn| {
            let mut statement = conn.prepare(&sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(&parameters))?;
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

    /// The conditions of clicks that were not looked at, from `begin` on if there is one, and their parameters. SQLite
    /// takes one bound of each side for the range of an index and merely filters by the other, so only the tighter is
    /// there: what was looked at lies in the window, and so does `begin`.
    fn conditions(&self, begin: Option<&Place>) -> (String, Vec<Value>) {
        let bounds = Window {
            since: self.window.since.filter(|_| begin.is_none()),
            until: self.window.until.filter(|_| self.after.is_none()),
        };
        let (mut conditions, mut parameters) = bounds.conditions();
        let places = [
            begin.map(Place::and_newer),
            self.after.as_ref().map(Place::and_older),
        ];
        for (condition, place) in places.into_iter().flatten() {
            conditions.push_str(condition);
            parameters.extend(place);
        }
        (conditions, parameters)
    }

    /// Those of them that are the expert's.
    fn expert_conditions(&self, search: Search, begin: Option<&Place>) -> (String, Vec<Value>) {
        let (mut conditions, mut parameters) = self.conditions(begin);
        conditions.push_str(search.condition());
        parameters.push(text_value(&self.username));
        (conditions, parameters)
    }

    /// By time where an index on time serves, and either none on the expert or only one that gives no order: then a
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
        let (conditions, parameters) = self.expert_conditions(search, None);
        let sql = format!("EXPLAIN QUERY PLAN {SELECT} WHERE {conditions} {NEWEST_FIRST}");
        self.db.run(|conn| {
            conn.prepare(&sql)?
                .query_map(rusqlite::params_from_iter(&parameters), |step| {
                    step.get::<_, String>("detail")
                })?
                .collect()
        })
    }
}

const SELECT: &str = "SELECT id, email, search_query, created_at FROM lead_clicks";
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
    parameters: &[Value],
    mut add: impl FnMut(ExpertClick, &Row<'_>) -> rusqlite::Result<()>,
) -> Result<PageEnd, Error> {
    let mut page_bytes = 0;
    db.read(|conn| {
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
        while let Some(row) = rows.next()? {
            let click = ExpertClick {
                email: text_of(row.get_ref(1)?),
                search_query: text_of(row.get_ref(2)?),
                created_at: created_at(row.get_ref(3)?, row.get_ref(0)?)?,
            };
            page_bytes += click.email.len() + click.search_query.len();
            add(click, row)?;
            if page_bytes > PAGE_BYTES_MAX {
                return Ok(PageEnd::Full);
            }
        }
        Ok(PageEnd::NoMore)
    })
}

impl Iterator for ByExpert<'_> {
    type Item = Result<ExpertClick, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.is_empty() {
            self.ended = true;
            self.page.clear();
            return Some(Err(error));
        }
        self.page.pop_front().map(Ok)
    }
}
