//! Reading clicks.

use std::{borrow::Cow, ops::ControlFlow};

use rusqlite::{
    Row,
    types::{ToSql, ValueRef},
};

use super::{SqliteDb, schema::IdColumn, spellings::Spellings, text};
use crate::{
    click::ClickId,
    storage::{
        Cause, Columns, EmailFilter, Error, OnInvalidTime, Order, Query, Selection, StoredClick,
        Window,
    },
    text::memory::OutOfMemory,
    timestamp::Timestamp,
};

const CLICKS: &str = "lead_clicks";

/// How SQL finds clicks without reading all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FoundBy {
    /// By an index on time, which usually finds fewer clicks than the others.
    Time,
    /// By indexes on emails and usernames, if there are any.
    Spelling,
}

/// SQL conditions that are joined by AND, and their parameters in order.
#[derive(Default)]
struct WhereClause {
    conditions: Vec<&'static str>,
    parameters: Vec<Box<dyn ToSql>>,
}

impl WhereClause {
    fn add(&mut self, condition: &'static str, parameter: Option<impl ToSql + 'static>) {
        if let Some(parameter) = parameter {
            self.conditions.push(condition);
            self.parameters.push(Box::new(parameter));
        }
    }

    fn sql(&self) -> String {
        if self.conditions.is_empty() {
            "TRUE".to_owned()
        } else {
            self.conditions.join(" AND ")
        }
    }
}

/// Selects the columns that [`read_click`] reads, with NULL for those that are not requested, and then `click_id` if it is.
pub(super) fn select(columns: Columns) -> String {
    let click_id = if columns.contains(Columns::CLICK_ID) {
        ", click_id"
    } else {
        ""
    };
    let columns = Columns::NAMES.map(|(column, name)| {
        if columns.contains(column) {
            name
        } else {
            "NULL"
        }
    });
    format!(
        "SELECT id, {}{click_id} FROM lead_clicks",
        columns.join(", ")
    )
}

/// Reads a click from a row that begins with id, `email`, `expert_username`, `search_query` and `created_at`.
///
/// # Errors
/// If its time can't be read.
pub(super) fn read_click<'row>(row: &'row Row<'_>) -> Result<StoredClick<'row>, Cause> {
    Ok(StoredClick {
        created_at: read_time(row)?,
        ..read_without_time(row)?
    })
}

/// As [`read_click`], with the Unix epoch as its time.
pub(super) fn read_without_time<'row>(row: &'row Row<'_>) -> rusqlite::Result<StoredClick<'row>> {
    let email = text(row.get_ref(1)?);
    read_texts(row, Columns::ALL, email)
}

fn read_texts<'row>(
    row: &'row Row<'_>,
    columns: Columns,
    email: Cow<'row, str>,
) -> rusqlite::Result<StoredClick<'row>> {
    let read = |column, index| {
        if columns.contains(column) {
            row.get_ref(index).map(text)
        } else {
            Ok(Cow::Borrowed(""))
        }
    };
    Ok(StoredClick {
        email,
        expert_username: read(Columns::EXPERT_USERNAME, 2)?,
        search_query: read(Columns::SEARCH_QUERY, 3)?,
        created_at: Timestamp::EPOCH,
        // A host app may store something else there.
        click_id: if columns.contains(Columns::CLICK_ID) {
            ClickId::parse(&text(row.get_ref(5)?)).ok()
        } else {
            None
        },
    })
}

fn read_time(row: &Row<'_>) -> Result<Timestamp, Cause> {
    Timestamp::parse_stored(&text(row.get_ref(4)?))
        .ok_or_else(|| invalid_time(row.get_ref_unwrap(0)))
}

pub(super) fn invalid_time(id: ValueRef<'_>) -> Cause {
    Cause::InvalidTime(text(id).into_owned())
}

impl SqliteDb {
    /// The window of `selection`, and where an index can find them the spellings of its email and username that are stored. All
    /// other conditions are for [`Selection::matcher`], because SQLite knows neither the case of letters outside ASCII nor
    /// Unicode's other equivalences.
    fn where_clause(&self, selection: &Selection, found_by: FoundBy) -> Result<WhereClause, Error> {
        let Window { since, until } = selection.window;
        // Times are compared as text, which sorts like the instants.
        let bound = |at: Timestamp| at.stored_bound().to_string();
        let mut clause = WhereClause::default();
        clause.add("created_at >= ?", since.map(bound));
        clause.add("created_at < ?", until.map(bound));
        if found_by == FoundBy::Spelling {
            let matcher = selection.matcher();
            // A domain may have millions of spellings.
            if matches!(selection.email, Some(EmailFilter::Address(_)))
                && self.index_on(CLICKS, "email")?.is_some()
            {
                let spellings =
                    Spellings::find(self, CLICKS, "email", |text| matcher.matches_email(text))?;
                clause.add(
                    "email COLLATE BINARY IN rarray(?)",
                    Some(spellings.values()),
                );
            }
            if !selection.experts.is_empty() && self.index_on(CLICKS, "expert_username")?.is_some()
            {
                let spellings = Spellings::find(self, CLICKS, "expert_username", |text| {
                    matcher.matches_expert(text)
                })?;
                clause.add(
                    "expert_username COLLATE BINARY IN rarray(?)",
                    Some(spellings.values()),
                );
            }
        }
        Ok(clause)
    }

    pub(crate) fn read_clicks(
        &self,
        query: &Query<'_>,
        mut row_read: impl FnMut(StoredClick<'_>) -> Result<ControlFlow<()>, OutOfMemory>,
    ) -> Result<(), Error> {
        let found_by = self.found_by(query.selection)?;
        self.read_rows(query, found_by, |_, click| Ok(row_read(click)?))
    }

    /// As [`SqliteDb::read_clicks`], for a table whose ids are numbers.
    pub(super) fn read_clicks_with_ids(
        &self,
        query: &Query<'_>,
        mut row_read: impl FnMut(i64, StoredClick<'_>) -> Result<ControlFlow<()>, OutOfMemory>,
    ) -> Result<(), Error> {
        let found_by = self.found_by(query.selection)?;
        self.read_rows(query, found_by, |row, click| {
            Ok(row_read(row.get(0)?, click)?)
        })
    }

    fn found_by(&self, selection: &Selection) -> Result<FoundBy, Error> {
        let has_window = selection.window != Window::default();
        Ok(if has_window && self.index_on_time()?.is_some() {
            FoundBy::Time
        } else {
            FoundBy::Spelling
        })
    }

    fn read_rows(
        &self,
        query: &Query<'_>,
        found_by: FoundBy,
        mut row_read: impl FnMut(&Row<'_>, StoredClick<'_>) -> Result<ControlFlow<()>, Cause>,
    ) -> Result<(), Error> {
        let selection = query.selection;
        let mut columns = query.columns_to_read();
        if columns.contains(Columns::CLICK_ID) && self.id_column()? == IdColumn::Missing {
            columns = columns.without(Columns::CLICK_ID);
        }
        let mut clause = self.where_clause(selection, found_by)?;
        if query.on_invalid_time == OnInvalidTime::Skip {
            // Numbers sort before all texts and blobs after them, whatever they mean.
            clause.conditions.push("typeof(created_at) = 'text'");
        }
        let order = match query.order {
            Order::Any => "",
            // Without a window the order of the INTEGER PRIMARY KEY is fastest, and nearly always the order of time. A window
            // needs the index on time. SQLite reads about twice as fast forwards as backwards: the next row of the table is
            // at hand, and for any other it searches
            // (sqlite3BtreeTableMoveto in https://sqlite.org/src/file/src/btree.c).
            Order::Arrival if selection.window == Window::default() => " ORDER BY id",
            Order::Arrival => " ORDER BY created_at, id",
            Order::NewestFirst => " ORDER BY created_at DESC, id DESC",
        };
        let sql = format!("{} WHERE {}{order}", select(columns), clause.sql());
        let matcher = selection.matcher();
        let (has_email, has_expert, has_query) = (
            selection.has_email_condition(),
            !selection.experts.is_empty(),
            selection.query.is_some(),
        );
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(clause.parameters.iter()))?;
            while let Some(row) = rows.next()? {
                // A text that has no condition is not read.
                if (has_expert && !matcher.matches_expert(&text(row.get_ref(2)?)))
                    || (has_email && !matcher.matches_email(&text(row.get_ref(1)?)))
                    || (has_query && !matcher.matches_query(&text(row.get_ref(3)?)))
                {
                    continue;
                }
                let email = text(row.get_ref(1)?);
                if let Some(is_wanted) = query.is_wanted
                    && !is_wanted(&email)?
                {
                    continue;
                }
                let mut click = read_texts(row, columns, email)?;
                if columns.contains(Columns::CREATED_AT) {
                    match read_time(row) {
                        Err(Cause::InvalidTime(_))
                            if query.on_invalid_time == OnInvalidTime::Skip =>
                        {
                            continue;
                        }
                        created_at => click.created_at = created_at?,
                    }
                }
                if row_read(row, click)?.is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    pub(crate) fn read_clicks_at(
        &self,
        query: &Query<'_>,
        instants: &[Timestamp],
        mut row_read: impl FnMut(StoredClick<'_>) -> Result<ControlFlow<()>, OutOfMemory>,
    ) -> Result<(), Error> {
        // With an index one search for each instant, and without one a single scan.
        let (found_by, order, at_once) = match self.index_on_time()? {
            Some(_) => (FoundBy::Time, Order::Arrival, 1),
            None => (FoundBy::Spelling, Order::Any, instants.len().max(1)),
        };
        let mut is_over = false;
        for instants in instants.chunks(at_once) {
            let mut selection = query.selection.clone();
            selection.window = Window {
                since: instants.first().copied(),
                until: instants.last().and_then(|last| last.next()),
            };
            let query = Query {
                selection: &selection,
                columns: query.columns | Columns::CREATED_AT,
                order,
                ..*query
            };
            self.read_rows(&query, found_by, |_, click| {
                if instants.binary_search(&click.created_at).is_err() {
                    return Ok(ControlFlow::Continue(()));
                }
                let next = row_read(click)?;
                is_over = next.is_break();
                Ok(next)
            })?;
            if is_over {
                break;
            }
        }
        Ok(())
    }
}
