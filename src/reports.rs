//! The reports: clicks by lead, the clicks on one expert or of one lead, the most-clicked experts, the most frequent
//! searches, and clicks by day; and the expert whom a report is about.
//!
//! A report is a plain value. It is read completely before it is printed, because a read transaction that waits for a pager
//! or a slow pipe would let the daemon's WAL grow. Clicks are listed newest first, ties by id descending.

mod by_day;
mod by_lead;
mod clicks;
mod compare;
mod find_expert;
mod lead_order;
mod leads_by_group;
mod ranking;
mod segment;
mod summary;
mod timeline;

use std::ops::ControlFlow;

use crate::{
    expert::ExpertNames,
    storage::{Db, Error, Query, StoredClick},
    text::memory::OutOfMemory,
    timestamp::Timestamp,
};

pub(crate) use by_day::{ByDay, Day, Gaps, by_day};
pub(crate) use by_lead::{ByLead, Experts, Lead, LeadOverview, by_lead};
pub(crate) use compare::{Comparison, window_before, window_earlier};
pub(crate) use find_expert::{FoundExpert, NamedExpert, find_expert};
pub(crate) use lead_order::LeadOrder;
pub(crate) use ranking::{RankBy, Ranked, Ranking, ranking};
pub(crate) use segment::{History, Segment};
use summary::totals;
pub(crate) use summary::{NewLead, Summary, summary};
pub(crate) use timeline::{Subject, Timeline, timeline};

/// A click as a report shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClickRow<'a> {
    /// The lead's email address.
    pub(crate) email: &'a str,
    /// The expert's username.
    pub(crate) expert_username: &'a str,
    /// The expert's first and last name; the username if the expert is unknown or has no name.
    pub(crate) expert_name: &'a str,
    /// The lead's search before the click; may be empty.
    pub(crate) search_query: &'a str,
    /// When the click happened.
    pub(crate) created_at: Timestamp,
}

impl<'a> ClickRow<'a> {
    /// The row of a click whose username has its canonical form.
    pub(crate) fn of(click: &'a StoredClick<'_>, names: &'a ExpertNames) -> Self {
        Self {
            email: &click.email,
            expert_username: &click.expert_username,
            expert_name: names.display_name(&click.expert_username),
            search_query: &click.search_query,
            created_at: click.created_at,
        }
    }
}

/// The number of leads and clicks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) leads: u64,
    pub(crate) clicks: u64,
}

/// Passes each click of `selection` to `row`.
///
/// # Errors
/// When the database can't be read, or holds a click whose time can't be read, or `row` is refused memory.
fn for_each_click(
    db: &Db,
    query: &Query<'_>,
    mut row: impl FnMut(StoredClick<'_>) -> Result<(), OutOfMemory>,
) -> Result<(), Error> {
    db.read_clicks(query, |click| row(click).map(ControlFlow::Continue))
}
