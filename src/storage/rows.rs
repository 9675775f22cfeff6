use std::borrow::Cow;

use super::Selection;
use crate::timestamp::Timestamp;

/// A click as it is stored. A column that was not asked for is empty; the time is the Unix epoch then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StoredClick<'a> {
    /// The lead's email address.
    pub(crate) email: Cow<'a, str>,
    /// The expert's username.
    pub(crate) expert_username: Cow<'a, str>,
    /// What the lead had searched for; may be empty.
    pub(crate) search_query: Cow<'a, str>,
    /// When the click was stored.
    pub(crate) created_at: Timestamp,
}

impl StoredClick<'_> {
    /// The click with its own copies of all texts.
    pub(crate) fn into_owned(self) -> StoredClick<'static> {
        StoredClick {
            email: Cow::Owned(self.email.into_owned()),
            expert_username: Cow::Owned(self.expert_username.into_owned()),
            search_query: Cow::Owned(self.search_query.into_owned()),
            created_at: self.created_at,
        }
    }
}

/// A column of `lead_clicks` besides the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Email,
    ExpertUsername,
    SearchQuery,
    CreatedAt,
}

impl Column {
    /// All of them, in the order of every SELECT.
    pub(crate) const ALL: [Self; 4] = [
        Self::Email,
        Self::ExpertUsername,
        Self::SearchQuery,
        Self::CreatedAt,
    ];

    /// Its name in the database.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::ExpertUsername => "expert_username",
            Self::SearchQuery => "search_query",
            Self::CreatedAt => "created_at",
        }
    }
}

/// The order in which clicks are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Whichever is fastest.
    Any,
    /// Of two clicks of the same time the one with the smaller id comes first. Others come in the order of ids or of
    /// time, whichever is faster: a stable sort by time brings them into order, and mostly they are.
    Arrival,
    /// By time, the newest first; of the same time the one with the larger id first.
    NewestFirst,
}

/// What becomes of a click whose stored time can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadTime {
    /// Reading ends with an error.
    Fail,
    /// The click is skipped, as is one whose time is not stored as text.
    Skip,
}

/// What is read of which clicks.
#[derive(Debug, Clone)]
pub(crate) struct Query<'a> {
    pub(crate) selection: &'a Selection,
    pub(crate) columns: &'a [Column],
    pub(crate) order: Order,
    pub(crate) bad_time: BadTime,
}
