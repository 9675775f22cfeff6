use std::{borrow::Cow, ops::BitOr};

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

/// A set of columns of `lead_clicks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Columns(u8);

impl Columns {
    pub(crate) const EMAIL: Self = Self(1);
    pub(crate) const EXPERT_USERNAME: Self = Self(2);
    pub(crate) const SEARCH_QUERY: Self = Self(4);
    pub(crate) const CREATED_AT: Self = Self(8);
    pub(crate) const ALL: Self = Self(15);

    /// Each column and its name in the database, in the order of every SELECT.
    pub(super) const NAMES: [(Self, &'static str); 4] = [
        (Self::EMAIL, "email"),
        (Self::EXPERT_USERNAME, "expert_username"),
        (Self::SEARCH_QUERY, "search_query"),
        (Self::CREATED_AT, "created_at"),
    ];

    pub(super) fn contains(self, column: Self) -> bool {
        self.0 & column.0 != 0
    }
}

impl BitOr for Columns {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
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
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) selection: &'a Selection,
    pub(crate) columns: Columns,
    pub(crate) order: Order,
    pub(crate) bad_time: BadTime,
    /// Is called with the email of each selected click; if it returns false, the click is not read any further.
    pub(crate) is_wanted: Option<&'a dyn Fn(&str) -> bool>,
}

impl<'a> Query<'a> {
    /// These columns of the clicks in any order; a click whose time can't be read is an error.
    pub(crate) fn of(selection: &'a Selection, columns: Columns) -> Self {
        Self {
            selection,
            columns,
            order: Order::Any,
            bad_time: BadTime::Fail,
            is_wanted: None,
        }
    }

    pub(crate) fn in_order(self, order: Order) -> Self {
        Self { order, ..self }
    }
}
