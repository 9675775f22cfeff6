//! The questions that the admin asks: which leads clicked whom, who clicked one expert, who is wanted most, and when.
//!
//! Clicks come newest first, ties by id descending. No read transaction is open while a report is printed: a
//! reader that waits for a pager or a slow pipe would keep the daemon's WAL growing.

mod by_day;
mod by_email;
mod distinct;
mod ranking;
mod selection;
mod summary;
mod texts;
mod timeline;
mod watch;

use std::borrow::Cow;

use rusqlite::types::{Value, ValueRef};
use serde::Serialize;

use crate::{
    store::{Problem, text_of},
    timestamp::Timestamp,
};

pub use by_day::{ByDay, Day, by_day};
pub use by_email::{ByEmail, Lead, by_email};
pub use ranking::{RankBy, Ranked, Ranking, ranking};
pub use selection::{Selection, Window};
pub use summary::{NewLead, SUMMARY_DAYS, SUMMARY_ROWS, Summary, summary};
pub use timeline::{Click, Subject, Timeline, TimelineTotals, timeline};
pub use watch::{News, Watch};

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

/// What texts have in common that differ only in upper and lower case, whatever part of a longer text they are.
fn in_any_case(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        // Which of the two stands there depends on what follows.
        .map(|character| if character == 'ς' { 'σ' } else { character })
        .collect()
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
