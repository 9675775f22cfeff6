use std::{cmp::Reverse, num::NonZeroU64};

use super::{Totals, for_each_click, leads_by_group::LeadsByGroup};
use crate::{
    click::{canonical_email, canonical_username},
    storage::{Columns, Db, Error, LeadSet, Order, Query, Selection},
    text::{
        groups::TextGroups,
        memory::{self, OutOfMemory},
    },
    timestamp::Timestamp,
};

/// Which leads come first. Of two that are equal, the one with the latest click.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LeadOrder {
    /// Those with the latest click
    #[default]
    Latest,
    /// Those with the most clicks
    Clicks,
    /// Those who clicked the most different experts
    Experts,
    /// Those whose first click is the newest
    First,
}

/// The counts of a lead.
struct Counts {
    clicks: i64,
    first_at: Timestamp,
    /// The time and the number of the latest click, in the order in which clicks are read.
    latest: (Timestamp, u64),
}

/// The first `leads_max` leads of `selection`, and the totals of all.
///
/// Needs 20 to 39 bytes of memory for each different spelling of an email, and 37 more for each lead; by experts, also up to 6 for each
/// pair of a lead and an expert.
///
/// # Errors
/// When the database can't be read, or holds a click whose time can't be read, and when memory is refused.
pub(super) fn first_leads(
    db: &Db,
    selection: &Selection,
    order: LeadOrder,
    leads_max: NonZeroU64,
) -> Result<(LeadSet, Totals), Error> {
    let mut emails = TextGroups::new(canonical_email);
    let mut experts = TextGroups::new(canonical_username);
    let mut leads: Vec<Counts> = Vec::new();
    let mut experts_by_lead = LeadsByGroup::default();
    let mut clicks = 0;
    let columns = Columns::EMAIL | Columns::EXPERT_USERNAME | Columns::CREATED_AT;
    let query = Query::of(selection, columns).in_order(Order::Arrival);
    for_each_click(db, &query, |click| {
        let latest = (click.created_at, clicks);
        clicks += 1;
        let email = emails.group(&click.email)?;
        if order == LeadOrder::Experts {
            let expert = experts.group(&click.expert_username)?;
            experts_by_lead.add(email, expert)?;
        }
        match leads.get_mut(email as usize) {
            None => {
                let lead = Counts {
                    clicks: 1,
                    first_at: click.created_at,
                    latest,
                };
                memory::push(&mut leads, lead)?;
            }
            Some(lead) => {
                lead.clicks += 1;
                lead.first_at = lead.first_at.min(click.created_at);
                lead.latest = lead.latest.max(latest);
            }
        }
        Ok(())
    })?;
    let totals = Totals {
        leads: leads.len() as u64,
        clicks,
    };
    let experts = match order {
        LeadOrder::Experts => experts_by_lead
            .count(leads.len())
            .map_err(|refused| db.error(refused))?,
        _ => Vec::new(),
    };
    let rank = |number: u32| {
        let lead = &leads[number as usize];
        let first = match order {
            LeadOrder::Latest => 0,
            LeadOrder::Clicks => lead.clicks,
            LeadOrder::Experts => experts[number as usize].cast_signed(),
            LeadOrder::First => lead.first_at.micros(),
        };
        Reverse((first, lead.latest))
    };
    let are_in = mark_first(leads.len(), leads_max, rank).map_err(|refused| db.error(refused))?;
    Ok((LeadSet::new(emails, are_in, false), totals))
}

/// Marks the `first_max` numbers with the lowest ranks.
fn mark_first<Rank: Ord>(
    len: usize,
    first_max: NonZeroU64,
    rank: impl Fn(u32) -> Rank,
) -> Result<Vec<bool>, OutOfMemory> {
    let mut numbers: Vec<u32> = Vec::new();
    memory::reserve(&mut numbers, len)?;
    numbers.extend((0..).take(len));
    let first_max = usize::try_from(first_max.get()).unwrap_or(usize::MAX);
    let mut are_in = Vec::new();
    memory::reserve(&mut are_in, len)?;
    are_in.resize(len, first_max >= len);
    if first_max < len {
        numbers.select_nth_unstable_by_key(first_max, |&number| rank(number));
        for &number in &numbers[..first_max] {
            are_in[number as usize] = true;
        }
    }
    Ok(are_in)
}
