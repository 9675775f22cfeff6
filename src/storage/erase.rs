use crate::timestamp::Timestamp;

/// The tables of leads and clicks, in this order: what refers to others first. From those of them that the database
/// has, rows are erased; never from `experts`, `admin_users`, `settings` or anything else.
pub(crate) const TABLES: [&str; 6] = [
    "feedback",
    "conversations",
    "email_leads",
    "newsletter_subscribers",
    "user_events",
    "lead_clicks",
];

/// A table and how many rows it has, or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableRows {
    /// The table's name.
    pub(crate) table: &'static str,
    /// Its rows.
    pub(crate) rows: u64,
}

/// A table outside [`TABLES`] that has rows with a person's email, or may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// The table's name.
    pub(crate) table: String,
    /// Its rows with this email; none if only the host app can read it, by a module of its own.
    pub(crate) rows: Option<u64>,
}

/// The clicks from before a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OldClicks {
    /// How many clicks; at least one.
    pub(crate) clicks: u64,
    /// Of how many leads.
    pub(crate) leads: u64,
    /// When the oldest was stored.
    pub(crate) first: Timestamp,
    /// When the newest of them was stored.
    pub(crate) last: Timestamp,
}
