//! The questions that the admin asks: which leads clicked whom, and who clicked one expert.
//!
//! Rows come newest first, ties by id descending. No read transaction is open while a report is printed: a
//! reader that waits for a pager or a slow pipe would keep the daemon's WAL growing.

use std::{borrow::Cow, collections::HashMap, collections::VecDeque, num::NonZeroU64};

use rusqlite::types::{Value, ValueRef};
use serde::Serialize;

use crate::{
    experts::Names,
    store::{Db, Error, Problem, text_of},
    timestamp::Timestamp,
};

/// A click as a report tells it. The fields are the columns of the CSV, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClickRow<'a> {
    /// The lead's email address.
    pub email: &'a str,
    /// The expert's username.
    pub expert_username: &'a str,
    /// The expert's first and last name; the username where the expert is unknown or nameless.
    pub expert_name: &'a str,
    /// What the lead had searched for; may be empty.
    pub search_query: &'a str,
    /// When the click was stored.
    pub created_at: Timestamp,
}

/// Which clicks a report is about: those from `since` on and before `until`. Half-open, so that adjoining
/// windows share no click.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// The first instant that counts; from the beginning where there is none.
    pub since: Option<Timestamp>,
    /// The first instant that no longer counts; up to now where there is none.
    pub until: Option<Timestamp>,
}

impl Window {
    /// The conditions and their parameters. They compare text, which sorts as the instants do.
    fn conditions(&self) -> (String, Vec<Value>) {
        let bounds = [
            ("created_at >= ?", self.since),
            ("created_at < ?", self.until),
        ];
        let (conditions, parameters): (Vec<&str>, Vec<Value>) = bounds
            .into_iter()
            .filter_map(|(condition, at)| Some((condition, text_value(&at?.stored_bound()))))
            .unzip();
        let conditions = if conditions.is_empty() {
            "TRUE".to_owned()
        } else {
            conditions.join(" AND ")
        };
        (conditions, parameters)
    }
}

fn text_value(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// How many leads and clicks there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Leads.
    pub leads: u64,
    /// Clicks.
    pub clicks: u64,
}

/// The clicks of a window grouped by lead; the lead with the latest click first.
#[derive(Debug)]
pub struct ByEmail {
    leads: Vec<LeadEntry>,
    clicks: Vec<ClickEntry>,
    /// All queries, one after the other; a click knows where its own begins, and the next one's begins where it
    /// ends.
    queries: String,
    experts: Vec<String>,
    names: Names,
    totals: Totals,
}

#[derive(Debug)]
struct LeadEntry {
    email: String,
    first: u32,
    last: u32,
    clicks: u64,
}

/// A click in 24 bytes: there may be millions.
#[derive(Debug)]
struct ClickEntry {
    created_at: Timestamp,
    query_start: usize,
    expert: u32,
    /// The lead's next older click, or [`NONE`].
    next: u32,
}

const NONE: u32 = u32::MAX;

/// Groups the clicks of `window` by lead, all of them or those of the first `leads_max` leads. Totals count every
/// lead in the window either way.
///
/// Everything that will be shown is in memory on return: some 24 bytes a click besides its query's text.
///
/// # Errors
/// When the database can't be read, or holds a click whose time is none.
pub fn by_email(db: &Db, window: Window, leads_max: Option<NonZeroU64>) -> Result<ByEmail, Error> {
    let leads_max = leads_max.map_or(u64::MAX, NonZeroU64::get);
    let mut grouped = ByEmail {
        leads: Vec::new(),
        clicks: Vec::new(),
        queries: String::new(),
        experts: Vec::new(),
        names: Names::load(db)?,
        totals: Totals::default(),
    };
    let mut leads: HashMap<String, u32> = HashMap::new();
    let mut experts: HashMap<String, u32> = HashMap::new();
    let (conditions, parameters) = window.conditions();
    let sql = format!(
        "SELECT id, email, expert_username, search_query, created_at FROM lead_clicks
         WHERE {conditions} ORDER BY created_at DESC, id DESC"
    );
    db.read(|conn| {
        let mut statement = conn.prepare(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(&parameters))?;
        while let Some(row) = rows.next()? {
            let email = text(row.get_ref(1)?);
            let (lead, is_new) = intern(&mut leads, &email);
            grouped.totals.clicks += 1;
            if u64::from(lead) >= leads_max {
                continue;
            }
            let expert_username = text(row.get_ref(2)?);
            let (expert, expert_is_new) = intern(&mut experts, &expert_username);
            if expert_is_new {
                grouped.experts.push(expert_username.into_owned());
            }
            let created_at = created_at(row.get_ref(4)?, row.get_ref(0)?)?;
            if is_new {
                grouped.leads.push(LeadEntry {
                    email: String::new(),
                    first: NONE,
                    last: NONE,
                    clicks: 0,
                });
            }
            grouped.append(lead, expert, created_at, &text(row.get_ref(3)?));
        }
        Ok(())
    })?;
    grouped.totals.leads = leads.len() as u64;
    for (email, lead) in leads {
        if let Some(entry) = grouped.leads.get_mut(lead as usize) {
            entry.email = email;
        }
    }
    Ok(grouped)
}

/// The number of `text`, a new one if it was not there yet.
fn intern(numbers: &mut HashMap<String, u32>, text: &str) -> (u32, bool) {
    if let Some(&number) = numbers.get(text) {
        return (number, false);
    }
    // 4 billion different emails would need hundreds of gigabytes before this number ran out.
    let number = u32::try_from(numbers.len()).unwrap_or(NONE);
    numbers.insert(text.to_owned(), number);
    (number, true)
}

impl ByEmail {
    /// The leads that are shown, each with all its clicks in the window.
    #[must_use]
    pub fn leads(&self) -> impl ExactSizeIterator<Item = Lead<'_>> {
        self.leads.iter().map(|entry| Lead {
            report: self,
            entry,
        })
    }

    /// All leads and clicks in the window, shown or not.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The leads and clicks that are shown.
    #[must_use]
    pub fn shown(&self) -> Totals {
        Totals {
            leads: self.leads.len() as u64,
            clicks: self.clicks.len() as u64,
        }
    }

    fn append(&mut self, lead: u32, expert: u32, created_at: Timestamp, query: &str) {
        let index = u32::try_from(self.clicks.len()).unwrap_or(NONE);
        self.clicks.push(ClickEntry {
            created_at,
            query_start: self.queries.len(),
            expert,
            next: NONE,
        });
        self.queries.push_str(query);
        let lead = &mut self.leads[lead as usize];
        if lead.first == NONE {
            lead.first = index;
        } else {
            self.clicks[lead.last as usize].next = index;
        }
        lead.last = index;
        lead.clicks += 1;
    }

    fn query(&self, index: u32) -> &str {
        let index = index as usize;
        let end = self
            .clicks
            .get(index + 1)
            .map_or(self.queries.len(), |next| next.query_start);
        &self.queries[self.clicks[index].query_start..end]
    }
}

/// A lead in [`ByEmail`].
#[derive(Debug, Clone, Copy)]
pub struct Lead<'a> {
    report: &'a ByEmail,
    entry: &'a LeadEntry,
}

impl<'a> Lead<'a> {
    /// The lead's email address.
    #[must_use]
    pub fn email(&self) -> &'a str {
        &self.entry.email
    }

    /// How many clicks the lead has in the window.
    #[must_use]
    pub fn click_count(&self) -> u64 {
        self.entry.clicks
    }

    /// The lead's clicks, newest first.
    pub fn clicks(&self) -> impl Iterator<Item = ClickRow<'a>> + use<'a> {
        let Self { report, entry } = *self;
        let mut next = entry.first;
        std::iter::from_fn(move || {
            let index = next;
            let click = report.clicks.get(index as usize)?;
            next = click.next;
            let expert_username = &*report.experts[click.expert as usize];
            Some(ClickRow {
                email: &entry.email,
                expert_username,
                expert_name: report.names.of(expert_username),
                search_query: report.query(index),
                created_at: click.created_at,
            })
        })
    }
}

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
    search: Search,
    /// The last click that was read, as the database has its `created_at` and `id`.
    after: Option<(Value, Value)>,
    ended: bool,
}

/// The first page is small, so that the first row is there at once; each next one is four times as large.
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
    /// By time alone, without an index on the expert: sorting a million clicks for each page would take longer.
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
/// When the experts can't be read. The iterator's items are errors as [`by_email`]'s.
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
        let rows_max = self.page_rows.min(self.left);
        if self.page_rows == PAGE_ROWS_MAX && self.search == Search::Planned {
            self.search = self.better_search()?;
        }
        let (sql, parameters) = self.page_query(self.search);
        let mut page_bytes = 0;
        let page_ended = self.db.read(|conn| {
            let mut statement = conn.prepare(&format!("{sql} LIMIT {rows_max}"))?;
            let mut rows = statement.query(rusqlite::params_from_iter(&parameters))?;
            while let Some(row) = rows.next()? {
                let click = ExpertClick {
                    email: text_of(row.get_ref(1)?),
                    search_query: text_of(row.get_ref(2)?),
                    created_at: created_at(row.get_ref(3)?, row.get_ref(0)?)?,
                };
                page_bytes += click.email.len() + click.search_query.len();
                self.page.push_back(click);
                self.after = Some((row.get(3)?, row.get(0)?));
                if page_bytes > PAGE_BYTES_MAX {
                    return Ok(PageEnd::Full);
                }
            }
            Ok(PageEnd::NoMore)
        })?;
        let rows = self.page.len() as u64;
        self.left -= rows;
        let is_short = rows < rows_max && page_ended == PageEnd::NoMore;
        self.ended = is_short || self.left == 0;
        self.page_rows = (self.page_rows * 4).min(PAGE_ROWS_MAX);
        Ok(())
    }

    /// The query of the next page, without its limit, and its parameters.
    fn page_query(&self, search: Search) -> (String, Vec<Value>) {
        let (mut conditions, mut parameters) = self.window.conditions();
        conditions.push_str(search.condition());
        parameters.push(text_value(&self.username));
        if let Some((created_at, id)) = &self.after {
            // The first comparison lets an index on created_at find the place.
            conditions.push_str(" AND created_at <= ? AND (created_at < ? OR id < ?)");
            parameters.extend([created_at.clone(), created_at.clone(), id.clone()]);
        }
        let sql = format!(
            "SELECT id, email, search_query, created_at FROM lead_clicks
             WHERE {conditions} ORDER BY created_at DESC, id DESC"
        );
        (sql, parameters)
    }

    /// Searches by time where the plan would sort, and an index on time spares that.
    fn better_search(&self) -> Result<Search, Error> {
        let sorts = |search| {
            let (sql, parameters) = self.page_query(search);
            self.db.run(|conn| {
                let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let mut steps = plan.query(rusqlite::params_from_iter(&parameters))?;
                while let Some(step) = steps.next()? {
                    if step.get::<_, String>("detail")?.contains("TEMP B-TREE") {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
        };
        if sorts(Search::Planned)? && !sorts(Search::ByTime)? {
            Ok(Search::ByTime)
        } else {
            Ok(Search::Planned)
        }
    }
}

/// Why a page holds no more rows.
#[derive(PartialEq, Eq)]
enum PageEnd {
    NoMore,
    Full,
}

impl Iterator for ByExpert<'_> {
    type Item = Result<ExpertClick, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.is_empty() {
            self.ended = true;
            return Some(Err(error));
        }
        self.page.pop_front().map(Ok)
    }
}

fn text(value: ValueRef<'_>) -> Cow<'_, str> {
    match value {
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes),
        other => Cow::Owned(text_of(other)),
    }
}

fn created_at(value: ValueRef<'_>, id: ValueRef<'_>) -> Result<Timestamp, Problem> {
    Timestamp::parse_stored(&text(value)).ok_or_else(|| Problem::BadTime(text_of(id)))
}
