//! Reading clicks.

use std::{borrow::Cow, ops::ControlFlow};

use tokio_postgres::{
    Row,
    types::{FromSql, ToSql, Type, accepts, to_sql_checked},
};

use super::PostgresDb;
use crate::{
    click::ClickId,
    storage::{
        Cause, Columns, EmailFilter, Error, OnInvalidTime, Order, Query, Selection, StoredClick,
        Window,
    },
    text::memory::OutOfMemory,
    timestamp::Timestamp,
};

/// From the Unix epoch to the server's, 2000-01-01, in microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The first instant that a [`Timestamp`] can have, and the first after all of them, in microseconds since the Unix epoch.
const YEAR_0: i64 = -62_167_219_200_000_000;
const YEAR_10000: i64 = 253_402_300_800_000_000;

/// A `timestamptz` or `timestamp` on the wire, in microseconds since the server's epoch. `infinity` is the largest number.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireTime(i64);

impl WireTime {
    pub(super) fn new(time: Timestamp) -> Self {
        Self(time.micros() - EPOCH_MICROS)
    }

    /// None if it is not within the years that a [`Timestamp`] can have.
    pub(super) fn timestamp(self) -> Option<Timestamp> {
        let micros = self.0.checked_add(EPOCH_MICROS)?;
        (YEAR_0..YEAR_10000)
            .contains(&micros)
            .then(|| Timestamp::from_micros(micros))
    }
}

impl<'a> FromSql<'a> for WireTime {
    fn from_sql(
        wire_type: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        i64::from_sql(wire_type, raw).map(Self)
    }

    accepts!(TIMESTAMPTZ, TIMESTAMP);
}

impl ToSql for WireTime {
    fn to_sql(
        &self,
        wire_type: &Type,
        out: &mut tokio_postgres::types::private::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.to_sql(wire_type, out)
    }

    accepts!(TIMESTAMPTZ, TIMESTAMP);
    to_sql_checked!();
}

/// Selects the columns that [`read_click`] reads, with NULL for those that are not requested. `click_id` is the last.
pub(super) fn select(columns: Columns) -> String {
    format!("SELECT {} FROM lead_clicks", self::columns(columns))
}

fn columns(columns: Columns) -> String {
    let click_id = if columns.contains(Columns::CLICK_ID) {
        "click_id::text"
    } else {
        "NULL::text"
    };
    let columns = Columns::NAMES.map(|(column, name)| {
        let is_time = column == Columns::CREATED_AT;
        match (columns.contains(column), is_time) {
            (true, true) => name.to_owned(),
            (true, false) => format!("{name}::text"),
            (false, true) => "NULL::timestamptz".to_owned(),
            (false, false) => "NULL::text".to_owned(),
        }
    });
    format!("id::int8, {}, {click_id}", columns.join(", "))
}

/// A text of a row, empty if it is NULL.
pub(super) fn text(row: &Row, index: usize) -> Result<&str, Cause> {
    let text: Option<&str> = row.try_get(index)?;
    Ok(text.unwrap_or_default())
}

/// Reads a click from a row of [`select`].
///
/// # Errors
/// If its time can't be read.
pub(super) fn read_click(row: &Row) -> Result<StoredClick<'_>, Cause> {
    Ok(StoredClick {
        created_at: read_time(row)?,
        ..read_without_time(row)?
    })
}

/// As [`read_click`], with the Unix epoch as its time.
pub(super) fn read_without_time(row: &Row) -> Result<StoredClick<'_>, Cause> {
    Ok(StoredClick {
        email: Cow::Borrowed(text(row, 1)?),
        expert_username: Cow::Borrowed(text(row, 2)?),
        search_query: Cow::Borrowed(text(row, 3)?),
        created_at: Timestamp::EPOCH,
        // A host app may store something else there.
        click_id: ClickId::parse(text(row, 5)?).ok(),
    })
}

pub(super) fn read_id(row: &Row) -> Result<i64, Cause> {
    Ok(row.try_get(0)?)
}

fn read_time(row: &Row) -> Result<Timestamp, Cause> {
    let time: Option<WireTime> = row.try_get(4)?;
    match time.and_then(WireTime::timestamp) {
        Some(time) => Ok(time),
        None => Err(Cause::InvalidTime(read_id(row)?.to_string())),
    }
}

/// SQL conditions that are joined by AND, and their parameters in order.
#[derive(Default)]
pub(super) struct WhereClause {
    conditions: Vec<String>,
    parameters: Vec<(Box<dyn ToSql + Sync>, Type)>,
}

impl WhereClause {
    /// `condition` is followed by the number of the parameter.
    fn add(&mut self, condition: &str, value: impl ToSql + Sync + 'static, wire_type: Type) {
        self.parameters.push((Box::new(value), wire_type));
        let number = self.parameters.len();
        self.conditions
            .push(condition.replace('?', &format!("${number}")));
    }

    pub(super) fn sql(&self) -> String {
        if self.conditions.is_empty() {
            "TRUE".to_owned()
        } else {
            self.conditions.join(" AND ")
        }
    }

    pub(super) fn parameters(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.parameters
            .iter()
            .map(|(value, wire_type)| (&**value, wire_type.clone()))
            .collect()
    }
}

impl PostgresDb {
    /// The window of `selection`, and the spellings of its email and username that are stored. All other conditions are for
    /// [`Selection::matcher`].
    pub(super) fn where_clause(&self, selection: &Selection) -> Result<WhereClause, Cause> {
        let Window { since, until } = selection.window;
        let time_type = self.clicks.time.wire_type();
        let mut clause = WhereClause::default();
        if let Some(since) = since {
            clause.add("created_at >= ?", WireTime::new(since), time_type.clone());
        }
        if let Some(until) = until {
            clause.add("created_at < ?", WireTime::new(until), time_type);
        }
        let matcher = selection.matcher();
        // A domain may have millions of spellings.
        if matches!(selection.email, Some(EmailFilter::Address(_))) {
            let spellings =
                self.spellings("lead_clicks", "email", |text| matcher.matches_email(text))?;
            clause.add("email = ANY(?)", spellings, Type::TEXT_ARRAY);
        }
        if !selection.experts.is_empty() {
            let spellings = self.spellings("lead_clicks", "expert_username", |text| {
                matcher.matches_expert(text)
            })?;
            clause.add("expert_username = ANY(?)", spellings, Type::TEXT_ARRAY);
        }
        Ok(clause)
    }

    /// The stored texts of a column that mean the same email or username, each once. The server compares with them
    /// exactly, so it can use an index and need not send the rest.
    pub(super) fn spellings(
        &self,
        table: &str,
        column: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Cause> {
        let mut found = Vec::new();
        // In the order of bytes, because another collation may take different texts as equal.
        let sql = format!(
            "SELECT DISTINCT {column}::text COLLATE \"C\" FROM {table} WHERE {column} IS NOT NULL"
        );
        self.for_each_row(&sql, &[], |row| {
            let stored = text(row, 0)?;
            if is_wanted(stored) {
                found.push(stored.to_owned());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    pub(crate) fn read_clicks(
        &self,
        query: &Query<'_>,
        mut row_read: impl FnMut(StoredClick<'_>) -> Result<ControlFlow<()>, OutOfMemory>,
    ) -> Result<(), Error> {
        self.snapshot(|db| {
            db.run(|| {
                let clause = db.where_clause(query.selection)?;
                db.read_rows(query, &clause, |_, click| Ok(row_read(click)?))
            })
        })
    }

    /// As [`PostgresDb::read_clicks`], with the rows, which have another column: the number of the transaction that wrote them.
    /// Only inside [`PostgresDb::snapshot`].
    pub(super) fn read_clicks_with_versions(
        &self,
        query: &Query<'_>,
        row_read: impl FnMut(&Row, StoredClick<'_>) -> Result<ControlFlow<()>, Cause>,
    ) -> Result<(), Cause> {
        let clause = self.where_clause(query.selection)?;
        let columns = format!("{}, xmin::text::int8", columns(Columns::ALL));
        self.read_rows_of(&columns, query, &clause, row_read)
    }

    pub(crate) fn read_clicks_at(
        &self,
        query: &Query<'_>,
        instants: &[Timestamp],
        mut row_read: impl FnMut(StoredClick<'_>) -> Result<ControlFlow<()>, OutOfMemory>,
    ) -> Result<(), Error> {
        let times: Vec<WireTime> = instants.iter().copied().map(WireTime::new).collect();
        let selection = Selection {
            window: Window::default(),
            ..query.selection.clone()
        };
        let query = Query {
            selection: &selection,
            columns: query.columns | Columns::CREATED_AT,
            order: Order::Arrival,
            ..*query
        };
        self.snapshot(|db| {
            db.run(|| {
                let mut clause = db.where_clause(&selection)?;
                let array = match db.clicks.time.wire_type() {
                    Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
                    _ => Type::TIMESTAMPTZ_ARRAY,
                };
                clause.add("created_at = ANY(?)", times, array);
                db.read_rows(&query, &clause, |_, click| Ok(row_read(click)?))
            })
        })
    }

    fn read_rows(
        &self,
        query: &Query<'_>,
        clause: &WhereClause,
        row_read: impl FnMut(&Row, StoredClick<'_>) -> Result<ControlFlow<()>, Cause>,
    ) -> Result<(), Cause> {
        let mut columns = query.columns_to_read();
        if self.clicks.click_id.is_none() {
            columns = columns.without(Columns::CLICK_ID);
        }
        let query = Query { columns, ..*query };
        self.read_rows_of(&self::columns(columns), &query, clause, row_read)
    }

    /// `columns` are those of the SELECT.
    fn read_rows_of(
        &self,
        columns: &str,
        query: &Query<'_>,
        clause: &WhereClause,
        mut row_read: impl FnMut(&Row, StoredClick<'_>) -> Result<ControlFlow<()>, Cause>,
    ) -> Result<(), Cause> {
        let selection = query.selection;
        let order = match query.order {
            Order::Any => "",
            // Without a window the order of the primary key is fastest, and nearly always the order of time.
            Order::Arrival if selection.window == Window::default() => " ORDER BY id",
            Order::Arrival => " ORDER BY created_at, id",
            Order::NewestFirst => " ORDER BY created_at DESC, id DESC",
        };
        let sql = format!(
            "SELECT {columns} FROM lead_clicks WHERE {}{order}",
            clause.sql()
        );
        let matcher = selection.matcher();
        self.for_each_row(&sql, &clause.parameters(), |row| {
            let mut click = read_without_time(row)?;
            if !matcher.matches(&click) {
                return Ok(ControlFlow::Continue(()));
            }
            if let Some(is_wanted) = query.is_wanted
                && !is_wanted(&click.email)?
            {
                return Ok(ControlFlow::Continue(()));
            }
            if query.columns.contains(Columns::CREATED_AT) {
                match read_time(row) {
                    Err(Cause::InvalidTime(_)) if query.on_invalid_time == OnInvalidTime::Skip => {
                        return Ok(ControlFlow::Continue(()));
                    }
                    created_at => click.created_at = created_at?,
                }
            }
            row_read(row, click)
        })
    }
}
