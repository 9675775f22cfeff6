//! The questions that the admin asks: which leads clicked whom, who clicked one expert, which experts and searches are the
//! most frequent, and when.
//!
//! A report is a plain value, which is read completely before it is printed: a reader that waits for a pager or a slow pipe
//! would keep the daemon's WAL growing. Clicks are listed newest first, ties by id descending.

mod by_day;
mod by_lead;
mod clicks;
mod leads_by_group;
mod ranking;
mod summary;
mod timeline;

use serde::Serialize;

use crate::{expert::ExpertNames, storage::StoredClick, timestamp::Timestamp};

pub(crate) use by_day::{ByDay, Day, by_day};
pub(crate) use by_lead::{ByLead, Lead, by_lead};
pub(crate) use ranking::{RankBy, Ranked, Ranking, ranking};
pub(crate) use summary::{Summary, summary};
pub(crate) use timeline::{Subject, Timeline, TimelineTotals, timeline};

/// A click as a report shows it. The fields are the columns of the CSV, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ClickRow<'a> {
    /// The lead's email address.
    pub(crate) email: &'a str,
    /// The expert's username.
    pub(crate) expert_username: &'a str,
    /// The expert's first and last name; the username if the expert is unknown or has no name.
    pub(crate) expert_name: &'a str,
    /// What the lead had searched for; may be empty.
    pub(crate) search_query: &'a str,
    /// When the click was stored.
    pub(crate) created_at: Timestamp,
}

impl<'a> ClickRow<'a> {
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

/// How many leads and clicks there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Leads.
    pub(crate) leads: u64,
    /// Clicks.
    pub(crate) clicks: u64,
}
