//! Reading clicks.

use std::ops::ControlFlow;

use rusqlite::{
    Row,
    types::{Value, ValueRef},
};

use super::{SqliteDb, text};
use crate::{
    storage::{
        BadTime, Column, Error, Order, Problem, Query, Selection, StoredClick, Window,
        selection::contains,
    },
    timestamp::Timestamp,
};

/// Conditions of SQL that are joined by AND, and their parameters in their order.
#[derive(Debug, Default)]
struct WhereClause {
    conditions: Vec<&'static str>,
    parameters: Vec<Value>,
}

impl WhereClause {
    /// All conditions of `selection` but the search: SQLite knows upper and lower case of ASCII letters only.
    fn of(selection: &Selection) -> Self {
        let Window { since, until } = selection.window;
        // Times are compared as text, which sorts as the instants do.
        let bound = |at: Timestamp| at.stored_bound().to_string();
        let mut clause = Self::default();
        clause.add("created_at >= ?", since.map(bound));
        clause.add("created_at < ?", until.map(bound));
        clause.add("expert_username = ?", selection.expert.clone());
        clause.add("email = ? COLLATE NOCASE", selection.email.clone());
        clause
    }

    fn add(&mut self, condition: &'static str, parameter: Option<String>) {
        if let Some(parameter) = parameter {
            self.conditions.push(condition);
            self.parameters.push(parameter.into());
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

/// The columns of every row that [`read_click`] reads; NULL for those that are not asked for.
fn select(columns: &[Column]) -> String {
    let columns = Column::ALL.map(|column| {
        if columns.contains(&column) {
            column.name()
        } else {
            "NULL"
        }
    });
    format!("SELECT id, {} FROM lead_clicks", columns.join(", "))
}

/// All columns.
pub(super) fn select_all() -> String {
    select(&Column::ALL)
}

/// A click of a row that begins with id, `email`, `expert_username`, `search_query` and `created_at`.
///
/// # Errors
/// When it has a time that can't be read.
pub(super) fn read_click<'row>(row: &'row Row<'_>) -> Result<StoredClick<'row>, Problem> {
    let created_at = row.get_ref(4)?;
    Ok(StoredClick {
        created_at: Timestamp::parse_stored(&text(created_at))
            .ok_or_else(|| bad_time(row.get_ref_unwrap(0)))?,
        ..read_without_time(row)?
    })
}

/// As [`read_click`], with the Unix epoch as its time.
pub(super) fn read_without_time<'row>(row: &'row Row<'_>) -> rusqlite::Result<StoredClick<'row>> {
    Ok(StoredClick {
        email: text(row.get_ref(1)?),
        expert_username: text(row.get_ref(2)?),
        search_query: text(row.get_ref(3)?),
        created_at: Timestamp::from_micros(0),
    })
}

pub(super) fn bad_time(id: ValueRef<'_>) -> Problem {
    Problem::BadTime(text(id).into_owned())
}

impl SqliteDb {
    pub(crate) fn read_clicks(
        &self,
        query: &Query<'_>,
        mut row_read: impl FnMut(StoredClick<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let selection = query.selection;
        let mut columns = query.columns.to_vec();
        if selection.query.is_some() {
            columns.push(Column::SearchQuery);
        }
        let has_time = columns.contains(&Column::CreatedAt);
        let mut clause = WhereClause::of(selection);
        if query.bad_time == BadTime::Skip {
            // Numbers sort before all texts and blobs after them, whatever they say.
            clause.conditions.push("typeof(created_at) = 'text'");
        }
        let order = match query.order {
            Order::Any => "",
            // By its INTEGER PRIMARY KEY a whole table is read fastest, and nearly always that is the order of time. A
            // window is found by an index on time. Forwards SQLite reads about twice as fast as backwards: it takes the next
            // row of the table from where it is, and searches for any other
            // (sqlite3BtreeTableMoveto in https://sqlite.org/src/file/src/btree.c).
            Order::Arrival if selection.window == Window::default() => " ORDER BY id",
            Order::Arrival => " ORDER BY created_at, id",
            Order::NewestFirst => " ORDER BY created_at DESC, id DESC",
        };
        let sql = format!("{} WHERE {}{order}", select(&columns), clause.sql());
        let contains_query = contains(selection.query.as_deref());
        self.read(|conn| {
            let mut statement = conn.prepare(&sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(&clause.parameters))?;
            while let Some(row) = rows.next()? {
                let click = if has_time {
                    match read_click(row) {
                        Err(Problem::BadTime(_)) if query.bad_time == BadTime::Skip => continue,
                        click => click?,
                    }
                } else {
                    read_without_time(row)?
                };
                if contains_query(&click.search_query) && row_read(click).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}
