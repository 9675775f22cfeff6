use std::{cmp::Reverse, num::NonZeroU64, ops::ControlFlow};

use super::{
    ClickRow, Totals,
    clicks::{ClickStore, NO_CLICK},
};
use crate::{
    expert::ExpertNames,
    storage::{BadTime, Column, Db, Error, Order, Query, Selection, StoredClick},
    timestamp::Timestamp,
};

/// The selected clicks grouped by lead; the lead with the latest click first.
#[derive(Debug)]
pub(crate) struct ByLead {
    clicks: ClickStore,
    leads: Vec<LeadEntry>,
    totals: Totals,
}

#[derive(Debug)]
struct LeadEntry {
    /// The number of the lead's email.
    email: u32,
    click_count: u32,
    /// The click that was read last, and from [`ByLead::sort`] on the latest.
    latest: u32,
    latest_at: Timestamp,
    /// Whether some click was read after a later one.
    is_out_of_order: bool,
}

/// Groups the clicks of `selection` by lead, all of them or those of the first `leads_max` leads. Totals count every
/// lead either way.
///
/// Everything that will be shown is in memory on return: 24 bytes for each click, some 50 bytes and the email's text for
/// each lead, and some 20 bytes and the text for each different search.
///
/// # Errors
/// When the database can't be read, or has a click whose time can't be read.
pub(crate) fn by_lead(
    db: &Db,
    selection: &Selection,
    leads_max: Option<NonZeroU64>,
) -> Result<ByLead, Error> {
    let names = db.expert_names()?;
    let mut report = ByLead {
        clicks: ClickStore::new(),
        leads: Vec::new(),
        totals: Totals::default(),
    };
    // Both scans see the same clicks.
    db.snapshot(|db| {
        if let Some(leads_max) = leads_max {
            report.choose_newest_leads(db, selection, leads_max)?;
        }
        let query = Query {
            selection,
            columns: &Column::ALL,
            order: Order::Arrival,
            bad_time: BadTime::Fail,
        };
        db.read_clicks(&query, |click| {
            report.add(&click, leads_max, &names);
            ControlFlow::Continue(())
        })
    })?;
    report.totals.leads = report.clicks.emails_len() as u64;
    report.sort();
    Ok(report)
}

impl ByLead {
    /// Numbers the `leads_max` leads who clicked last before all others. If there are fewer this reads all clicks, so that
    /// a limit that is never reached costs a second reading.
    fn choose_newest_leads(
        &mut self,
        db: &Db,
        selection: &Selection,
        leads_max: NonZeroU64,
    ) -> Result<(), Error> {
        let query = Query {
            selection,
            columns: &[Column::Email],
            order: Order::NewestFirst,
            bad_time: BadTime::Fail,
        };
        db.read_clicks(&query, |click| {
            let email = self.clicks.email_number(&click.email);
            self.add_if_new(email);
            if self.leads.len() as u64 == leads_max.get() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    fn add(&mut self, click: &StoredClick<'_>, leads_max: Option<NonZeroU64>, names: &ExpertNames) {
        self.totals.clicks += 1;
        let email = self.clicks.email_number(&click.email);
        if leads_max.is_none() {
            self.add_if_new(email);
        }
        let Some(lead) = self.leads.get_mut(email as usize) else {
            return;
        };
        if lead.click_count > 0 && click.created_at < lead.latest_at {
            lead.is_out_of_order = true;
        }
        lead.latest = self.clicks.push(click, email, lead.latest, names);
        lead.latest_at = click.created_at;
        lead.click_count += 1;
    }

    /// Emails and leads have the same numbers, as far as there are leads.
    fn add_if_new(&mut self, email: u32) {
        if email as usize == self.leads.len() {
            self.leads.push(LeadEntry {
                email,
                click_count: 0,
                latest: NO_CLICK,
                latest_at: Timestamp::from_micros(0),
                is_out_of_order: false,
            });
        }
    }

    /// Sorts the leads and their clicks by time. Of two clicks of the same microsecond the one that was read later is the
    /// newer.
    fn sort(&mut self) {
        for lead in self.leads.iter_mut().filter(|lead| lead.is_out_of_order) {
            lead.sort(&mut self.clicks);
        }
        self.leads
            .sort_unstable_by_key(|lead| Reverse((lead.latest_at, lead.latest)));
    }

    /// The leads that are shown, each with all its selected clicks.
    pub(crate) fn leads(&self) -> impl ExactSizeIterator<Item = Lead<'_>> {
        self.leads.iter().map(|entry| Lead {
            report: self,
            entry,
        })
    }

    /// All selected leads and clicks, shown or not.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// The leads and clicks that are shown.
    pub(crate) fn shown(&self) -> Totals {
        Totals {
            leads: self.leads.len() as u64,
            clicks: self.clicks.len() as u64,
        }
    }
}

impl LeadEntry {
    /// Chains the lead's clicks anew, by time; of the same time, the one that was read later is the newer.
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
            clicks.as_mut_slice()[number as usize].older = older;
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
        self.report.clicks.email(self.entry.email)
    }

    /// How many selected clicks the lead has.
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
