use std::{cell::RefCell, cmp::Reverse, num::NonZeroU64, ops::ControlFlow};

use super::{
    ClickRow, Totals,
    clicks::{ClickStore, NO_CLICK},
    for_each_click,
    lead_order::{LeadOrder, first_leads},
};
use crate::{
    click::fold,
    expert::ExpertNames,
    storage::{Columns, Db, Error, Order, Query, Selection, StoredClick},
    text::memory::{self, OutOfMemory},
    timestamp::Timestamp,
};

/// The selected clicks grouped by lead, in a [`LeadOrder`].
#[derive(Debug)]
pub(crate) struct ByLead {
    clicks: ClickStore,
    leads: Vec<LeadEntry>,
    /// All selected leads and clicks, shown or not.
    pub(crate) totals: Totals,
    /// On which experts the clicks are.
    pub(crate) experts: Experts,
    /// The number of the email that was counted last.
    counted: u32,
}

/// The experts of a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Experts {
    Any,
    One,
}

#[derive(Debug)]
struct LeadEntry {
    /// The number of the lead's email.
    email: u32,
    click_count: u32,
    /// The click that was read last; after [`ByLead::sort`], the latest click.
    latest: u32,
    latest_at: Timestamp,
    /// Whether any click was read after a later one.
    is_out_of_order: bool,
}

/// Groups the clicks of `selection` by lead, for all leads or the first `leads_max`. The totals always count all leads.
///
/// Needs 24 bytes of memory for each click, about 50 bytes plus the email for each lead, and about 20 bytes plus the text
/// for each different search, and up to a quarter more while it grows.
///
/// # Errors
/// When the database can't be read, or holds a click whose time can't be read, and when memory is refused.
pub(crate) fn by_lead(
    db: &Db,
    selection: &Selection,
    order: LeadOrder,
    leads_max: Option<NonZeroU64>,
) -> Result<ByLead, Error> {
    let mut report = match leads_max {
        Some(leads_max) if order != LeadOrder::Latest => db.snapshot(|db| {
            let (first, totals) = first_leads(db, selection, order, leads_max)?;
            let selection = Selection {
                leads: Some(first),
                ..selection.clone()
            };
            let first = by_latest(db, &selection, None)?;
            Ok(ByLead { totals, ..first })
        })?,
        _ => by_latest(db, selection, leads_max)?,
    };
    report.reorder(order);
    Ok(report)
}

/// The report in the order of the latest clicks.
fn by_latest(
    db: &Db,
    selection: &Selection,
    leads_max: Option<NonZeroU64>,
) -> Result<ByLead, Error> {
    let names = db.expert_names()?;
    let mut report = ByLead {
        clicks: ClickStore::default(),
        leads: Vec::new(),
        totals: Totals::default(),
        experts: match *selection.experts {
            [_] => Experts::One,
            _ => Experts::Any,
        },
        counted: 0,
    };
    // Both scans see the same clicks.
    db.snapshot(|db| {
        if let Some(leads_max) = leads_max {
            report.choose_newest_leads(db, selection, leads_max)?;
        }
        let cell = RefCell::new(&mut report);
        let is_wanted = |email: &str| cell.borrow_mut().count(email, leads_max);
        let query = Query {
            is_wanted: Some(&is_wanted),
            ..Query::of(selection, Columns::ALL).in_order(Order::Arrival)
        };
        for_each_click(db, &query, |click| cell.borrow_mut().add(&click, &names))
    })?;
    report.totals.leads = report.clicks.emails.len() as u64;
    report.sort();
    Ok(report)
}

impl ByLead {
    /// Gives the `leads_max` leads with the latest clicks the first numbers. If there are fewer leads, this reads all
    /// clicks, so a limit that is not reached costs a second scan.
    fn choose_newest_leads(
        &mut self,
        db: &Db,
        selection: &Selection,
        leads_max: NonZeroU64,
    ) -> Result<(), Error> {
        let query = Query::of(selection, Columns::EMAIL).in_order(Order::NewestFirst);
        db.read_clicks(&query, |click| {
            let email = self.clicks.emails.group(&click.email)?;
            self.add_if_new(email)?;
            Ok(if self.leads.len() as u64 == leads_max.get() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })
    }

    /// Counts a click of the lead with this email; returns whether the lead is shown.
    fn count(&mut self, email: &str, leads_max: Option<NonZeroU64>) -> Result<bool, OutOfMemory> {
        self.totals.clicks += 1;
        self.counted = self.clicks.emails.group(email)?;
        if leads_max.is_none() {
            self.add_if_new(self.counted)?;
        }
        Ok((self.counted as usize) < self.leads.len())
    }

    /// Adds the click that was counted last.
    fn add(&mut self, click: &StoredClick<'_>, names: &ExpertNames) -> Result<(), OutOfMemory> {
        let email = self.counted;
        let Some(lead) = self.leads.get_mut(email as usize) else {
            return Ok(());
        };
        if lead.click_count > 0 && click.created_at < lead.latest_at {
            lead.is_out_of_order = true;
        }
        lead.latest = self.clicks.push(click, email, lead.latest, names)?;
        lead.latest_at = click.created_at;
        lead.click_count += 1;
        Ok(())
    }

    /// A lead has the number of its email. With a limit, later emails have no lead.
    fn add_if_new(&mut self, email: u32) -> Result<(), OutOfMemory> {
        if email as usize == self.leads.len() {
            let lead = LeadEntry {
                email,
                click_count: 0,
                latest: NO_CLICK,
                latest_at: Timestamp::EPOCH,
                is_out_of_order: false,
            };
            memory::push(&mut self.leads, lead)?;
        }
        Ok(())
    }

    /// Sorts the leads and their clicks by time. Of two clicks in the same microsecond, the one that was read later is
    /// newer.
    fn sort(&mut self) {
        for lead in self.leads.iter_mut().filter(|lead| lead.is_out_of_order) {
            lead.sort(&mut self.clicks);
        }
        self.leads
            .sort_unstable_by_key(|lead| Reverse((lead.latest_at, lead.latest)));
    }

    /// Orders leads that are in the order of their latest clicks.
    fn reorder(&mut self, order: LeadOrder) {
        if order == LeadOrder::Latest {
            return;
        }
        let mut leads = std::mem::take(&mut self.leads);
        // A stable sort, so leads that are equal stay in their order.
        leads.sort_by_cached_key(|entry| {
            let lead = Lead {
                report: self,
                entry,
            };
            Reverse(match order {
                LeadOrder::Latest => 0,
                LeadOrder::Clicks => i64::from(entry.click_count),
                LeadOrder::Experts => lead.overview().experts.cast_signed(),
                LeadOrder::First => lead.overview().first_at.micros(),
            })
        });
        self.leads = leads;
    }

    /// The leads that are shown, each with all its selected clicks.
    pub(crate) fn leads(&self) -> impl ExactSizeIterator<Item = Lead<'_>> {
        self.leads.iter().map(|entry| Lead {
            report: self,
            entry,
        })
    }

    /// The leads and clicks that are shown.
    pub(crate) fn shown(&self) -> Totals {
        Totals {
            leads: self.leads.len() as u64,
            clicks: self.clicks.clicks.len() as u64,
        }
    }
}

impl LeadEntry {
    /// Links the lead's clicks again, ordered by time and then by the order in which they were read.
    fn sort(&mut self, clicks: &mut ClickStore) {
        let mut sorted = Vec::new();
        let mut next = self.latest;
        while let Some(click) = clicks.get(next) {
            sorted.push((click.created_at, next));
            next = click.older;
        }
        sorted.sort_unstable();
        let mut older = NO_CLICK;
        for &(_, number) in &sorted {
            clicks.clicks[number as usize].older = older;
            older = number;
        }
        self.latest = older;
        if let Some(&(latest_at, _)) = sorted.last() {
            self.latest_at = latest_at;
        }
    }
}

/// A lead in [`ByLead`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lead<'a> {
    report: &'a ByLead,
    entry: &'a LeadEntry,
}

impl<'a> Lead<'a> {
    /// The lead's email address.
    pub(crate) fn email(&self) -> &'a str {
        self.report.clicks.emails.key(self.entry.email)
    }

    /// The number of the lead's selected clicks.
    pub(crate) fn click_count(&self) -> u64 {
        self.entry.click_count.into()
    }

    /// The lead's clicks, newest first.
    pub(crate) fn clicks(&self) -> impl Iterator<Item = ClickRow<'a>> + use<'a> {
        let clicks = &self.report.clicks;
        std::iter::successors(clicks.get(self.entry.latest), |click| {
            clicks.get(click.older)
        })
        .map(|click| clicks.row(click))
    }
}

/// A lead in one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeadOverview<'a> {
    /// The lead's email address.
    pub(crate) email: &'a str,
    /// The number of clicks.
    pub(crate) clicks: u64,
    /// The number of different experts who were clicked.
    pub(crate) experts: u64,
    /// When the first click happened.
    pub(crate) first_at: Timestamp,
    /// When the latest click happened.
    pub(crate) latest_at: Timestamp,
    /// The username of the expert with the most clicks; of several, the one who was clicked last.
    pub(crate) top_username: &'a str,
    /// That expert's name; the username if there is none.
    pub(crate) top_name: &'a str,
    /// The latest search that is not blank; empty if there is none.
    pub(crate) latest_search: &'a str,
}

impl<'a> Lead<'a> {
    /// The lead's selected clicks in one row.
    pub(crate) fn overview(&self) -> LeadOverview<'a> {
        let mut overview = LeadOverview {
            email: self.email(),
            clicks: self.click_count(),
            ..LeadOverview::default()
        };
        // Each click with its place, the newest first.
        let mut clicked: Vec<(&str, usize, &str)> = Vec::new();
        for (place, click) in self.clicks().enumerate() {
            if place == 0 {
                overview.latest_at = click.created_at;
            }
            overview.first_at = click.created_at;
            if overview.latest_search.is_empty() && !is_blank(click.search_query) {
                overview.latest_search = click.search_query;
            }
            clicked.push((click.expert_username, place, click.expert_name));
        }
        clicked.sort_unstable();
        let experts = clicked.chunk_by(|one, next| one.0 == next.0);
        overview.experts = experts.clone().count() as u64;
        if let Some(&[(username, _, name), ..]) =
            experts.max_by_key(|clicks| (clicks.len(), Reverse(clicks[0].1)))
        {
            (overview.top_username, overview.top_name) = (username, name);
        }
        overview
    }
}

/// Whether a search has only white space and invisible characters.
fn is_blank(search: &str) -> bool {
    fold(search).trim().is_empty()
}
