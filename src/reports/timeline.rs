use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    num::NonZeroU64,
    ops::ControlFlow,
};

use super::{
    ClickRow,
    clicks::{ClickStore, NO_CLICK},
};
use crate::{
    expert::ExpertNames,
    storage::{BadTime, Column, Db, Error, Order, Query, Selection, StoredClick},
    text::interner::StringInterner,
    timestamp::Timestamp,
};

/// The clicks on one expert or of one lead, newest first.
#[derive(Debug)]
pub(crate) struct Timeline {
    subject: Subject,
    /// Oldest first.
    clicks: ClickStore,
    totals: TimelineTotals,
    names: ExpertNames,
}

/// Whom a timeline is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The expert with this username.
    Expert(String),
    /// The lead with this email address.
    Lead(String),
}

/// How many clicks a timeline has, and how many different leads and experts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TimelineTotals {
    /// Leads.
    pub(crate) leads: u64,
    /// Experts.
    pub(crate) experts: u64,
    /// Clicks.
    pub(crate) clicks: u64,
}

/// The clicks of `selection` that are `subject`'s, all of them or the newest `clicks_max`. Totals count every click either
/// way.
///
/// What will be shown is in memory on return: 24 bytes for each click, and some 20 bytes and the text for each different
/// email and search. With a limit there are also all different emails of the subject's clicks, to count them.
///
/// # Errors
/// When the database can't be read, or has a click whose time can't be read.
pub(crate) fn timeline(
    db: &Db,
    subject: Subject,
    selection: &Selection,
    clicks_max: Option<NonZeroU64>,
) -> Result<Timeline, Error> {
    let mut selection = selection.clone();
    match &subject {
        Subject::Expert(username) => selection.expert = Some(username.clone()),
        Subject::Lead(email) => selection.email = Some(email.clone()),
    }
    let query = Query {
        selection: &selection,
        columns: &Column::ALL,
        order: Order::Arrival,
        bad_time: BadTime::Fail,
    };
    let names = db.expert_names()?;
    let (clicks, totals) = match clicks_max {
        None => read_all(db, &query, &names)?,
        Some(clicks_max) => read_newest(db, &query, &names, clicks_max)?,
    };
    Ok(Timeline {
        subject,
        clicks,
        totals,
        names,
    })
}

fn read_all(
    db: &Db,
    query: &Query<'_>,
    names: &ExpertNames,
) -> Result<(ClickStore, TimelineTotals), Error> {
    let mut clicks = ClickStore::new();
    db.read_clicks(query, |click| {
        clicks.add(&click, names);
        ControlFlow::Continue(())
    })?;
    // Stable: of the same time the one that was read first is the older. Clicks that are nearly in order, as most are, are
    // sorted in one pass.
    clicks.as_mut_slice().sort_by_key(|click| click.created_at);
    let totals = TimelineTotals {
        leads: clicks.emails_len() as u64,
        experts: clicks.experts_len() as u64,
        clicks: clicks.len() as u64,
    };
    Ok((clicks, totals))
}

/// Keeps no more clicks in memory than it returns.
fn read_newest(
    db: &Db,
    query: &Query<'_>,
    names: &ExpertNames,
    clicks_max: NonZeroU64,
) -> Result<(ClickStore, TimelineTotals), Error> {
    let (mut leads, mut experts) = (StringInterner::new(), StringInterner::new());
    let mut newest: BinaryHeap<Reverse<Numbered>> = BinaryHeap::new();
    let mut clicks_read = 0;
    db.read_clicks(query, |click| {
        leads.number(&click.email);
        experts.number(&click.expert_username);
        clicks_read += 1;
        let is_full = newest.len() as u64 == clicks_max.get();
        let oldest = newest.peek().map(|Reverse(oldest)| oldest.click.created_at);
        if !is_full || Some(click.created_at) >= oldest {
            if is_full {
                newest.pop();
            }
            newest.push(Reverse(Numbered {
                number: clicks_read,
                click: click.into_owned(),
            }));
        }
        ControlFlow::Continue(())
    })?;
    let mut clicks = ClickStore::new();
    // Sorted by Reverse, the newest is the first.
    for Reverse(numbered) in newest.into_sorted_vec().iter().rev() {
        clicks.add(&numbered.click, names);
    }
    let totals = TimelineTotals {
        leads: leads.len() as u64,
        experts: experts.len() as u64,
        clicks: clicks_read,
    };
    Ok((clicks, totals))
}

/// A click that compares by time; of the same time the one that was read first is the older.
#[derive(Debug, PartialEq, Eq)]
struct Numbered {
    number: u64,
    click: StoredClick<'static>,
}

impl Numbered {
    fn key(&self) -> (Timestamp, u64) {
        (self.click.created_at, self.number)
    }
}

impl Ord for Numbered {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Numbered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl ClickStore {
    fn add(&mut self, click: &StoredClick<'_>, names: &ExpertNames) {
        let email = self.email_number(&click.email);
        self.push(click, email, NO_CLICK, names);
    }
}

impl Timeline {
    /// Whom it is about.
    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The experts' names.
    pub(crate) fn names(&self) -> &ExpertNames {
        &self.names
    }

    /// How many clicks, leads and experts there are, shown or not.
    pub(crate) fn totals(&self) -> TimelineTotals {
        self.totals
    }

    /// The clicks that are shown, newest first.
    pub(crate) fn clicks(&self) -> impl ExactSizeIterator<Item = ClickRow<'_>> {
        self.clicks.iter().rev().map(|click| self.clicks.row(click))
    }
}
