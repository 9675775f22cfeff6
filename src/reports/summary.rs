use std::{cmp::Reverse, collections::HashMap, num::NonZeroU64, ops::ControlFlow};

use jiff::{ToSpan, Zoned, civil::Date};

use super::{
    Comparison, Day, Gaps, RankBy, Ranking, Totals, by_day, for_each_click, ranking, window_earlier,
};
use crate::{
    click::{canonical_email, canonical_username},
    storage::{Columns, Db, Error, Order, Query, Selection, Window},
    text::{groups::TextGroups, memory},
    timestamp::Timestamp,
};

/// The number of days that the chart and the rankings of a summary cover, including today.
pub(crate) const SUMMARY_DAYS: usize = 30;

/// An overview.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) overall: Overall,
    /// Since Monday 00:00.
    pub(crate) this_week: Totals,
    /// The week before, up to the same day and time.
    pub(crate) last_week_by_now: Totals,
    /// The week before, Monday to Sunday.
    pub(crate) last_week: Totals,
    /// The week before that one.
    pub(crate) week_before_last: Totals,
    /// The last [`SUMMARY_DAYS`] days, ending with today.
    pub(crate) days: Vec<Day>,
    /// The most-clicked experts of those days.
    pub(crate) top_experts: Ranking,
    /// The most frequent searches before the clicks of those days.
    pub(crate) top_queries: Ranking,
}

/// The part of a summary that covers all clicks.
#[derive(Debug)]
pub(crate) struct Overall {
    /// All leads and clicks.
    pub(crate) totals: Totals,
    /// The number of different experts who were clicked.
    pub(crate) experts: u64,
    /// When the first click happened; none if there is no click.
    pub(crate) first_at: Option<Timestamp>,
    /// When the latest click happened.
    pub(crate) latest_at: Option<Timestamp>,
    /// The leads whose first clicks are the newest.
    pub(crate) newest_leads: Vec<NewLead>,
}

/// A lead with the first click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewLead {
    /// The lead's email address.
    pub(crate) email: String,
    /// The time of the first click.
    pub(crate) first_at: Timestamp,
    /// The expert of the first click.
    pub(crate) expert_username: String,
    /// The expert's name; the username if there is none.
    pub(crate) expert_name: String,
    /// The search before the first click; may be empty.
    pub(crate) search_query: String,
    /// The number of the lead's clicks.
    pub(crate) clicks: u64,
}

/// Summarises the clicks of `all`, which has no window, in one snapshot of the database. Weeks and days are in the time zone of `now`.
/// Names at most `rows_max` experts, searches and leads.
///
/// Reads all clicks once, and those of the last 30 days three more times. Needs 80 bytes of memory for each lead, and what the
/// reports of those days need; no text is in memory but those that are shown.
///
/// # Errors
/// As [`by_day`].
pub(crate) fn summary(
    db: &Db,
    all: &Selection,
    now: &Zoned,
    rows_max: NonZeroU64,
) -> Result<Summary, Error> {
    db.snapshot(|db| {
        let today = now.date();
        // Clicks with a time after today count in no week and no day.
        let tomorrow = begin_of(today, 1, now);
        let month = within(all, month(now));
        let monday = 0 - i32::from(today.weekday().to_monday_zero_offset());
        let this_week = Window {
            since: begin_of(today, monday, now),
            until: tomorrow,
        };
        let week_of = |monday| Window {
            since: begin_of(today, monday, now),
            until: begin_of(today, monday + 7, now),
        };
        let last_week_by_now = Window {
            since: begin_of(today, monday - 7, now),
            until: now
                .checked_sub(7.days())
                .ok()
                .map(|then| Timestamp::new(then.timestamp())),
        };
        Ok(Summary {
            overall: read_all(db, all, rows_max)?,
            this_week: totals(db, &within(all, this_week))?,
            last_week_by_now: totals(db, &within(all, last_week_by_now))?,
            last_week: totals(db, &within(all, week_of(monday - 7)))?,
            week_before_last: totals(db, &within(all, week_of(monday - 14)))?,
            days: last_days(db, &month, now)?,
            top_experts: ranking(db, RankBy::Expert, &month, Some(rows_max))?,
            top_queries: ranking(db, RankBy::Query, &month, Some(rows_max))?,
        })
    })
}

impl Summary {
    /// Compares the last [`SUMMARY_DAYS`] days with as many before. `all` and `now` are those of the summary.
    ///
    /// # Errors
    /// As [`Ranking::compare`].
    pub(crate) fn compare(
        &mut self,
        db: &Db,
        all: &Selection,
        now: &Zoned,
    ) -> Result<Option<Comparison>, Error> {
        let month = within(all, month(now));
        let Window {
            since: Some(since),
            until: Some(until),
        } = month.window
        else {
            return Ok(None);
        };
        // Not the month before, where these days are a month.
        let length = days(SUMMARY_DAYS).days();
        let Some(window) = window_earlier(length, since, until, now) else {
            return Ok(None);
        };
        let before = within(all, window);
        self.top_experts.compare(db, &before)?;
        self.top_queries.compare(db, &before)?;
        Comparison::of(db, &month, &before).map(Some)
    }
}

/// The last [`SUMMARY_DAYS`] days, ending with today.
fn month(now: &Zoned) -> Window {
    Window {
        since: begin_of(now.date(), 1 - days(SUMMARY_DAYS), now),
        until: begin_of(now.date(), 1, now),
    }
}

fn days(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The beginning of the day `days_later` days after `date`; none if that is outside the calendar.
fn begin_of(date: Date, days_later: i32, now: &Zoned) -> Option<Timestamp> {
    let begin = date
        .checked_add(days_later.days())
        .and_then(|date| date.to_zoned(now.time_zone().clone()));
    Some(Timestamp::new(begin.ok()?.timestamp()))
}

fn within(all: &Selection, window: Window) -> Selection {
    Selection {
        window,
        ..all.clone()
    }
}

/// The number of the selected clicks and their leads.
///
/// # Errors
/// When the database can't be read, and when memory is refused.
pub(crate) fn totals(db: &Db, selection: &Selection) -> Result<Totals, Error> {
    let mut leads = TextGroups::new(canonical_email);
    let mut clicks = 0;
    let query = Query::of(selection, Columns::EMAIL);
    for_each_click(db, &query, |click| {
        leads.group(&click.email)?;
        clicks += 1;
        Ok(())
    })?;
    Ok(Totals {
        leads: leads.len(),
        clicks,
    })
}

fn last_days(db: &Db, month: &Selection, now: &Zoned) -> Result<Vec<Day>, Error> {
    let counted = by_day(db, month, now, Gaps::LeftOut, None)?;
    let today = now.date();
    let mut days: Vec<Day> = std::iter::successors(Some(today), |date| date.yesterday().ok())
        .take(SUMMARY_DAYS)
        .map(|date| {
            let counted = counted.days.iter().find(|day| day.date == date);
            counted.copied().unwrap_or(Day::without_clicks(date))
        })
        .collect();
    days.reverse();
    Ok(days)
}

/// A lead while the clicks are read.
struct LeadEntry {
    /// The number of the email.
    email: u32,
    first_at: Timestamp,
    /// The number of the lead's first click, in the order in which clicks are read.
    first: u64,
    clicks: u64,
}

fn read_all(db: &Db, all: &Selection, rows_max: NonZeroU64) -> Result<Overall, Error> {
    let mut emails = TextGroups::new(canonical_email);
    let mut experts = TextGroups::new(canonical_username);
    let mut leads: Vec<LeadEntry> = Vec::new();
    let mut latest_at: Option<Timestamp> = None;
    let mut clicks = 0;
    let columns = Columns::EMAIL | Columns::EXPERT_USERNAME | Columns::CREATED_AT;
    let query = Query::of(all, columns).in_order(Order::Arrival);
    for_each_click(db, &query, |click| {
        let created_at = click.created_at;
        let email = emails.group(&click.email)?;
        experts.group(&click.expert_username)?;
        latest_at = latest_at.max(Some(created_at));
        match leads.get_mut(email as usize) {
            None => {
                let lead = LeadEntry {
                    email,
                    first_at: created_at,
                    first: clicks,
                    clicks: 1,
                };
                memory::push(&mut leads, lead)?;
            }
            Some(lead) => {
                lead.clicks += 1;
                if created_at < lead.first_at {
                    (lead.first_at, lead.first) = (created_at, clicks);
                }
            }
        }
        clicks += 1;
        Ok(())
    })?;
    let totals = Totals {
        leads: leads.len() as u64,
        clicks,
    };
    let first_at = leads.iter().map(|lead| lead.first_at).min();
    leads.sort_unstable_by_key(|lead| Reverse((lead.first_at, lead.first)));
    leads.truncate(usize::try_from(rows_max.get()).unwrap_or(usize::MAX));
    Ok(Overall {
        totals,
        experts: experts.len(),
        first_at,
        latest_at,
        newest_leads: first_clicks(db, all, &leads, &emails)?,
    })
}

/// Reads the first clicks of `leads`. The first pass keeps no texts in memory, because there may be millions of leads with long
/// searches.
fn first_clicks(
    db: &Db,
    all: &Selection,
    leads: &[LeadEntry],
    emails: &TextGroups,
) -> Result<Vec<NewLead>, Error> {
    let mut instants: Vec<Timestamp> = leads.iter().map(|lead| lead.first_at).collect();
    instants.sort_unstable();
    instants.dedup();
    let names = db.expert_names()?;
    let mut missing: HashMap<u32, &LeadEntry> =
        leads.iter().map(|lead| (lead.email, lead)).collect();
    let mut found = Vec::new();
    db.read_clicks_at(&Query::of(all, Columns::ALL), &instants, |click| {
        let email = emails.find(&click.email);
        if let Some(email) = email
            && let Some(lead) = missing.get(&email)
            && lead.first_at == click.created_at
        {
            let expert_username = canonical_username(&click.expert_username);
            found.push((
                lead.first,
                NewLead {
                    email: canonical_email(&click.email).into_owned(),
                    first_at: lead.first_at,
                    expert_name: names.display_name(&expert_username).to_owned(),
                    expert_username: expert_username.into_owned(),
                    search_query: click.search_query.to_string(),
                    clicks: lead.clicks,
                },
            ));
            missing.remove(&email);
        }
        Ok(if missing.is_empty() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    found.sort_by_key(|(number, lead)| Reverse((lead.first_at, *number)));
    Ok(found.into_iter().map(|(_, lead)| lead).collect())
}
