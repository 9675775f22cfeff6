use std::{borrow::Cow, ops::BitOr};

use super::Selection;
use crate::{
    click::{Click, ClickId, canonical_email, canonical_username},
    text::memory::OutOfMemory,
    timestamp::Timestamp,
};

/// A stored click, with its texts as they were stored: an earlier version or a host app may have stored other spellings
/// than the canonical form. Columns that were not requested are empty, and the time is then the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StoredClick<'a> {
    /// The lead's email address.
    pub(crate) email: Cow<'a, str>,
    /// The expert's username.
    pub(crate) expert_username: Cow<'a, str>,
    /// What the lead had searched for; may be empty.
    pub(crate) search_query: Cow<'a, str>,
    /// When the click happened.
    pub(crate) created_at: Timestamp,
    /// The id by which its page identifies the click, if it has one.
    pub(crate) click_id: Option<ClickId>,
}

impl StoredClick<'_> {
    /// The click with owned texts, and with its email and username in their canonical form.
    pub(crate) fn into_canonical(self) -> StoredClick<'static> {
        StoredClick {
            email: Cow::Owned(canonical_email(&self.email).into_owned()),
            expert_username: Cow::Owned(canonical_username(&self.expert_username).into_owned()),
            search_query: Cow::Owned(self.search_query.into_owned()),
            created_at: self.created_at,
            click_id: self.click_id,
        }
    }
}

/// A click to import, with its id if it has one, its time, and its number in the file.
pub(crate) type NumberedClick = (Click, Option<ClickId>, Timestamp, usize);

/// Clicks that have arrived since the last poll.
#[derive(Debug, Default)]
pub(crate) struct NewClicks {
    /// Oldest first, with emails and usernames in their canonical form.
    pub(crate) clicks: Vec<StoredClick<'static>>,
    /// Whether there may be more already, so that the caller should poll again at once.
    pub(crate) has_more: bool,
}

/// A set of columns of `lead_clicks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Columns(u8);

impl Columns {
    pub(crate) const EMAIL: Self = Self(1);
    pub(crate) const EXPERT_USERNAME: Self = Self(2);
    pub(crate) const SEARCH_QUERY: Self = Self(4);
    pub(crate) const CREATED_AT: Self = Self(8);
    /// All that reports show.
    pub(crate) const ALL: Self = Self(15);
    /// Not part of `ALL`: a host app's table may lack it, and then no click has an id.
    pub(crate) const CLICK_ID: Self = Self(16);

    /// Each column of `ALL` and its name in the database, in the order of every SELECT.
    pub(super) const NAMES: [(Self, &'static str); 4] = [
        (Self::EMAIL, "email"),
        (Self::EXPERT_USERNAME, "expert_username"),
        (Self::SEARCH_QUERY, "search_query"),
        (Self::CREATED_AT, "created_at"),
    ];

    pub(super) fn contains(self, column: Self) -> bool {
        self.0 & column.0 != 0
    }

    pub(super) fn without(self, column: Self) -> Self {
        Self(self.0 & !column.0)
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
    /// The fastest one.
    Any,
    /// Nearly always the order of time. A stable sort by time makes it exact: clicks of the same time are in the order of
    /// their ids.
    Arrival,
    /// By time, the newest first; clicks of the same time by id, the largest first.
    NewestFirst,
}

/// How to treat a click whose stored time can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnInvalidTime {
    /// Reading ends with an error.
    Fail,
    /// The click is skipped, and so is any whose time is not stored as text.
    Skip,
}

/// Whether clicks with this email are read.
type IsWanted<'a> = dyn Fn(&str) -> Result<bool, OutOfMemory> + 'a;

/// Which columns of which clicks are read, and in which order.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) selection: &'a Selection,
    pub(crate) columns: Columns,
    pub(crate) order: Order,
    pub(crate) on_invalid_time: OnInvalidTime,
    /// Called with the email of each selected click. If it returns false, the click is skipped.
    pub(crate) is_wanted: Option<&'a IsWanted<'a>>,
}

impl<'a> Query<'a> {
    /// These columns of the selected clicks in any order. A time that can't be read is an error.
    pub(crate) fn of(selection: &'a Selection, columns: Columns) -> Self {
        Self {
            selection,
            columns,
            order: Order::Any,
            on_invalid_time: OnInvalidTime::Fail,
            is_wanted: None,
        }
    }

    pub(crate) fn in_order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// The columns to read: those of the query, and those that its conditions are about.
    pub(super) fn columns_to_read(&self) -> Columns {
        let mut columns = self.columns | Columns::EMAIL;
        if !self.selection.experts.is_empty() {
            columns = columns | Columns::EXPERT_USERNAME;
        }
        if self.selection.query.is_some() {
            columns = columns | Columns::SEARCH_QUERY;
        }
        columns
    }
}
