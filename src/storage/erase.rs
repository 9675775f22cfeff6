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

/// A table outside [`TABLES`] that has rows with a person's email, or may have some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherTable {
    /// The table's name.
    pub(crate) table: String,
    /// The number of rows with this email; none if only the host app can read the table, by a virtual table module.
    pub(crate) rows: Option<u64>,
}

/// The clicks from before a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OldClicks {
    /// The number of clicks; at least one.
    pub(crate) clicks: u64,
    /// The number of leads.
    pub(crate) leads: u64,
    /// When the oldest happened.
    pub(crate) first: Timestamp,
    /// When the newest of them happened.
    pub(crate) last: Timestamp,
}
