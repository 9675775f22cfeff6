use rusqlite::{
    Connection,
    functions::{Context, FunctionFlags},
    types::Value,
};

use super::{in_any_case, text, text_value};
use crate::timestamp::Timestamp;

/// Which clicks a report is about: those that keep every condition that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// When they were stored.
    pub window: Window,
    /// The username of the expert who was clicked, to the letter.
    pub expert: Option<String>,
    /// The lead's email address; upper and lower case of ASCII letters are the same.
    pub email: Option<String>,
    /// A text that stands in the search; upper and lower case are the same.
    pub query: Option<String>,
}

/// When the clicks were stored: from `since` on and before `until`. Half-open, so that adjoining windows share no click.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// The first instant that counts; from the beginning where there is none.
    pub since: Option<Timestamp>,
    /// The first instant that no longer counts; up to now where there is none.
    pub until: Option<Timestamp>,
}

/// Conditions of SQL that are joined by AND, and their parameters in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    sql: String,
    parameters: Vec<Value>,
}

/// Whether SQLite may find the clicks by an index on the expert or the email.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Indexes {
    Any,
    /// The plus keeps an index on the column from being used (<https://sqlite.org/optoverview.html>).
    OnTimeOnly,
}

impl Selection {
    /// The clicks in `window` as people ask for them: `expert` and `email` are trimmed, and the email is in small letters, as
    /// clicks are stored.
    #[must_use]
    pub fn new(
        window: Window,
        expert: Option<&str>,
        email: Option<&str>,
        query: Option<&str>,
    ) -> Self {
        Self {
            window,
            expert: expert.map(|text| text.trim().to_owned()),
            email: email.map(|text| text.trim().to_ascii_lowercase()),
            query: query.map(str::to_owned),
        }
    }

    /// All conditions, for a query on a connection that `prepare` has seen.
    pub(super) fn conditions(&self) -> Conditions {
        let mut conditions = self.window.conditions();
        conditions.extend(self.subject(Indexes::Any));
        conditions
    }

    /// The conditions but for the window's.
    pub(super) fn subject(&self, indexes: Indexes) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(expert) = &self.expert {
            let condition = match indexes {
                Indexes::Any => "expert_username = ?",
                Indexes::OnTimeOnly => "+expert_username = ?",
            };
            conditions.add(condition, [text_value(expert)]);
        }
        if let Some(email) = &self.email {
            let condition = match indexes {
                Indexes::Any => "email = ? COLLATE NOCASE",
                Indexes::OnTimeOnly => "+email = ? COLLATE NOCASE",
            };
            conditions.add(condition, [text_value(email)]);
        }
        if let Some(query) = &self.query {
            conditions.add(
                "contains_in_any_case(search_query, ?)",
                [text_value(&in_any_case(query))],
            );
        }
        conditions
    }
}

impl Window {
    /// The conditions compare text, which sorts as the instants do.
    pub(super) fn conditions(self) -> Conditions {
        let mut conditions = Conditions::default();
        let bounds = [
            ("created_at >= ?", self.since),
            ("created_at < ?", self.until),
        ];
        for (condition, at) in bounds {
            if let Some(at) = at {
                conditions.add(condition, [text_value(&at.stored_bound())]);
            }
        }
        conditions
    }
}

impl Conditions {
    pub(super) fn add(&mut self, condition: &str, parameters: impl IntoIterator<Item = Value>) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(condition);
        self.parameters.extend(parameters);
    }

    pub(super) fn extend(&mut self, others: Self) {
        if !others.sql.is_empty() {
            self.add(&others.sql, others.parameters);
        }
    }

    /// What stands behind WHERE.
    pub(super) fn sql(&self) -> &str {
        if self.sql.is_empty() {
            "TRUE"
        } else {
            &self.sql
        }
    }

    /// The parameters, with `more` behind them.
    pub(super) fn parameters_and<const N: usize>(
        &self,
        more: [Value; N],
    ) -> impl rusqlite::Params + use<'_, N> {
        rusqlite::params_from_iter(self.parameters.iter().cloned().chain(more))
    }

    pub(super) fn parameters(&self) -> impl rusqlite::Params + use<'_> {
        rusqlite::params_from_iter(&self.parameters)
    }
}

/// Gives `conn` the function that [`Selection::query`] is found by. SQLite's own know upper and lower case of ASCII
/// letters only.
pub(super) fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    let contains = |context: &mut Context<'_>| {
        let query = text(context.get_raw(0));
        let part = context.get_raw(1).as_str()?;
        Ok(in_any_case(&query).contains(part))
    };
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_scalar_function("contains_in_any_case", 2, flags, contains)
}
