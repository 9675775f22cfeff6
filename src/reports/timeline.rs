use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    num::NonZeroU64,
};

use super::{
    ClickRow,
    clicks::{ClickStore, NO_CLICK},
    for_each_click,
};
use crate::{
    click::{canonical_email, canonical_username},
    expert::ExpertNames,
    storage::{Columns, Db, EmailFilter, Error, Order, Query, Selection, StoredClick},
    text::{groups::TextGroups, memory::OutOfMemory},
    timestamp::Timestamp,
};

/// The clicks on one expert, of one lead or of the leads of a domain, newest first.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) subject: Subject,
    /// Oldest first.
    clicks: ClickStore,
    /// All selected clicks, leads and experts, shown or not.
    pub(crate) totals: TimelineTotals,
    /// The experts' names.
    pub(crate) names: ExpertNames,
}

/// Whose clicks a timeline has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The expert with this username.
    Expert(String),
    /// The lead with this email address.
    Lead(String),
    /// The leads whose email addresses are of this domain.
    Domain(String),
}

/// The number of clicks in a timeline, and of different leads and experts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TimelineTotals {
    pub(crate) leads: u64,
    pub(crate) experts: u64,
    pub(crate) clicks: u64,
}

/// The clicks of `subject` in `selection`, all of them or the newest `clicks_max`. The totals always count all clicks.
///
/// Needs 24 bytes of memory for each click that is shown, and about 20 bytes plus the text for each different email and
/// search, and up to a quarter more while it grows. With a limit, it also needs 20 to 39 bytes for each different email and
/// username of the subject's clicks, to count them.
///
/// # Errors
/// When the database can't be read, or holds a click whose time can't be read, and when memory is refused.
pub(crate) fn timeline(
    db: &Db,
    subject: Subject,
    selection: &Selection,
    clicks_max: Option<NonZeroU64>,
) -> Result<Timeline, Error> {
    let mut selection = selection.clone();
    match &subject {
        Subject::Expert(username) => selection.experts = vec![username.clone()],
        Subject::Lead(email) => selection.email = Some(EmailFilter::Address(email.clone())),
        Subject::Domain(domain) => selection.email = Some(EmailFilter::Domain(domain.clone())),
    }
    let names = db.expert_names()?;
    let (clicks, totals) = match clicks_max {
        None => read_all(db, &selection, &names)?,
        Some(clicks_max) => read_newest(db, &selection, &names, clicks_max)?,
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
    selection: &Selection,
    names: &ExpertNames,
) -> Result<(ClickStore, TimelineTotals), Error> {
    let mut clicks = ClickStore::default();
    let query = Query::of(selection, Columns::ALL).in_order(Order::Arrival);
    for_each_click(db, &query, |click| clicks.add(&click, names))?;
    // A stable sort: of two clicks with the same time, the one that was read first is older. It needs only one pass if the
    // clicks are nearly in order, as most are.
    clicks.clicks.sort_by_key(|click| click.created_at);
    let totals = TimelineTotals {
        leads: clicks.emails.len() as u64,
        experts: clicks.experts.len() as u64,
        clicks: clicks.clicks.len() as u64,
    };
    Ok((clicks, totals))
}

/// Keeps only the clicks in memory that it returns.
fn read_newest(
    db: &Db,
    selection: &Selection,
    names: &ExpertNames,
    clicks_max: NonZeroU64,
) -> Result<(ClickStore, TimelineTotals), Error> {
    let mut leads = TextGroups::new(canonical_email);
    let mut experts = TextGroups::new(canonical_username);
    let mut newest: BinaryHeap<Reverse<Numbered>> = BinaryHeap::new();
    let mut clicks_read = 0;
    let query = Query::of(selection, Columns::ALL).in_order(Order::Arrival);
    for_each_click(db, &query, |click| {
        leads.group(&click.email)?;
        experts.group(&click.expert_username)?;
        clicks_read += 1;
        let is_full = newest.len() as u64 == clicks_max.get();
        let oldest = newest.peek().map(|Reverse(oldest)| oldest.click.created_at);
        if !is_full || Some(click.created_at) >= oldest {
            if is_full {
                newest.pop();
            }
            newest.push(Reverse(Numbered {
                number: clicks_read,
                click: click.into_canonical(),
            }));
        }
        Ok(())
    })?;
    let mut clicks = ClickStore::default();
    // Sorted by Reverse, so the newest is first.
    for Reverse(numbered) in newest.into_sorted_vec().iter().rev() {
        clicks
            .add(&numbered.click, names)
            .map_err(|refused| db.error(refused))?;
    }
    let totals = TimelineTotals {
        leads: leads.len(),
        experts: experts.len(),
        clicks: clicks_read,
    };
    Ok((clicks, totals))
}

/// A click that is ordered by time, and then by the order in which clicks were read.
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
    fn add(&mut self, click: &StoredClick<'_>, names: &ExpertNames) -> Result<(), OutOfMemory> {
        let email = self.emails.group(&click.email)?;
        self.push(click, email, NO_CLICK, names)?;
        Ok(())
    }
}

impl Timeline {
    /// The clicks that are shown, newest first.
    pub(crate) fn clicks(&self) -> impl ExactSizeIterator<Item = ClickRow<'_>> + Clone {
        let newest_first = self.clicks.clicks.iter().rev();
        newest_first.map(|click| self.clicks.row(click))
    }
}
