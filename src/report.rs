//! The questions that the admin asks: which leads clicked whom, and who clicked one expert.
//!
//! Rows come newest first, ties by id descending. No read transaction is open while a report is printed: a
//! reader that waits for a pager or a slow pipe would keep the daemon's WAL growing.

mod by_email;
mod by_expert;
mod texts;

use std::borrow::Cow;

use rusqlite::types::{Value, ValueRef};
use serde::Serialize;

use crate::{
    store::{Problem, text_of},
    timestamp::Timestamp,
};

pub use by_email::{ByEmail, Lead, by_email};
pub use by_expert::{ByExpert, ExpertClick, by_expert};

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

fn text(value: ValueRef<'_>) -> Cow<'_, str> {
    match value {
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes),
        other => Cow::Owned(text_of(other)),
    }
}

fn created_at(value: ValueRef<'_>, id: ValueRef<'_>) -> Result<Timestamp, Problem> {
    Timestamp::parse_stored(&text(value)).ok_or_else(|| Problem::BadTime(text_of(id)))
}
