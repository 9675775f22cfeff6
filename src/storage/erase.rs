use std::path::Path;

use super::Selection;
use crate::timestamp::Timestamp;

/// The tables of leads and clicks, those that refer to others first. Rows are only erased from those of them that the
/// database has, never from `experts`, `admin_users`, `settings` or any other table.
pub(crate) const TABLES: [&str; 6] = [
    "feedback",
    "conversations",
    "email_leads",
    "newsletter_subscribers",
    "user_events",
    "lead_clicks",
];

/// A table and its number of rows, before or after a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableRows {
    /// The table's name.
    pub(crate) table: &'static str,
    /// The number of rows.
    pub(crate) rows: u64,
}

/// The rows of one of [`TABLES`] whose column `email` has one spelling of a person's email.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpellingRows {
    /// The table's name.
    pub(crate) table: &'static str,
    /// The email as it is stored.
    pub(crate) spelling: String,
    /// The number of rows; at least one.
    pub(crate) rows: u64,
}

/// Where a search for an email in all tables found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remains {
    /// This column contains it, by itself or within a longer text.
    Column {
        table: String,
        column: String,
        /// The number of rows; at least one.
        rows: u64,
    },
    /// Only the host app can read this table.
    Unreadable { table: String },
    /// This table can't be read because the file is damaged.
    Damaged { table: String },
}

/// The clicks that a purge would delete; at least one.
#[derive(Debug)]
pub(crate) struct FoundClicks {
    /// When the oldest happened.
    pub(crate) first: Timestamp,
    /// When the newest of them happened.
    pub(crate) last: Timestamp,
    /// The number of leads.
    pub(crate) leads: u64,
    /// The leads with the most of these clicks, by canonical email.
    pub(crate) top_leads: Vec<ClicksOf>,
    /// The experts with the most of these clicks, by canonical username.
    pub(crate) top_experts: Vec<ClicksOf>,
    /// The number of clicks.
    pub(crate) count: u64,
    /// The hash of the id and of all columns of each click, in ascending order. By these they are recognized when they are read
    /// again by the selection.
    pub(super) hashes: Vec<u64>,
    pub(super) selection: Selection,
}

/// How many clicks an expert or a lead has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClicksOf {
    pub(crate) name: String,
    pub(crate) clicks: u64,
}

/// What a command deletes, by which the disk space that it needs is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletion<'a> {
    /// Rows, in many transactions.
    Steps,
    /// All rows of [`TABLES`], in one transaction, after a copy to `backup`.
    Everything { backup: Option<&'a Path> },
}
