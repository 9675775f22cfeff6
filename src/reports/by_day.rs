use std::{collections::BTreeMap, num::NonZeroU64};

use jiff::{civil::Date, tz::TimeZone};

use super::{Totals, for_each_click, leads_by_group::LeadsByGroup};
use crate::{
    click::canonical_email,
    storage::{Columns, Db, Error, Query, Selection},
    text::groups::TextGroups,
    timestamp::Timestamp,
};

/// The selected clicks by day, the newest day first. It includes days without a click between days with one.
#[derive(Debug)]
pub(crate) struct ByDay {
    /// The days that are shown, the newest first.
    pub(crate) days: Vec<Day>,
    /// The number of days from the first click to the last, shown or not.
    pub(crate) days_in_all: u64,
    /// All selected leads and clicks, shown or not.
    pub(crate) totals: Totals,
}

/// A day in a [`ByDay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day {
    /// The date in the time zone of the report.
    pub(crate) date: Date,
    /// The number of clicks.
    pub(crate) clicks: u64,
    /// The number of different leads who clicked.
    pub(crate) leads: u64,
}

/// Counts the clicks of `selection` by the days of `zone`, and keeps the `days_max` newest days. The totals
/// always count all clicks.
///
/// Needs 20 to 39 bytes of memory for each different spelling of an email, and up to 6 for each pair of a day and a lead.
///
/// # Errors
/// When the database can't be read, or holds a click whose time can't be read, and when memory is refused.
pub(crate) fn by_day(
    db: &Db,
    selection: &Selection,
    zone: &TimeZone,
    days_max: Option<NonZeroU64>,
) -> Result<ByDay, Error> {
    // The days in the order of their first click. A day's number is its index.
    let mut counted: Vec<Day> = Vec::new();
    let mut numbers: BTreeMap<Date, u32> = BTreeMap::new();
    let mut emails = TextGroups::new(canonical_email);
    let mut leads = LeadsByGroup::default();
    let mut dates = Dates::new(zone);
    let query = Query::of(selection, Columns::EMAIL | Columns::CREATED_AT);
    for_each_click(db, &query, |click| {
        let email = emails.group(&click.email)?;
        let date = dates.of(click.created_at);
        let number = *numbers.entry(date).or_insert_with(|| {
            counted.push(Day::without_clicks(date));
            // There are less than four million dates.
            u32::try_from(counted.len() - 1).unwrap_or(u32::MAX)
        });
        counted[number as usize].clicks += 1;
        leads.add(number, email)
    })?;
    let leads = leads
        .count(numbers.len())
        .map_err(|refused| db.error(refused))?;
    for (day, leads) in counted.iter_mut().zip(leads) {
        day.leads = leads;
    }
    let totals = Totals {
        leads: emails.len(),
        clicks: counted.iter().map(|day| day.clicks).sum(),
    };
    let (days, days_in_all) = newest_days(&counted, &numbers, days_max);
    Ok(ByDay {
        days,
        days_in_all,
        totals,
    })
}

/// The days from the last to the first, including those without a click, and the number of days without a limit.
fn newest_days(
    counted: &[Day],
    numbers: &BTreeMap<Date, u32>,
    days_max: Option<NonZeroU64>,
) -> (Vec<Day>, u64) {
    let (Some((&first, _)), Some((&last, _))) =
        (numbers.first_key_value(), numbers.last_key_value())
    else {
        return (Vec::new(), 0);
    };
    let days_in_all = u64::from((last - first).get_days().unsigned_abs()) + 1;
    let days_max = days_max.map_or(days_in_all, |max| max.get().min(days_in_all));
    let days = std::iter::successors(Some(last), |date| date.yesterday().ok())
        .take(usize::try_from(days_max).unwrap_or(usize::MAX))
        .map(|date| match numbers.get(&date) {
            Some(&number) => counted[number as usize],
            None => Day::without_clicks(date),
        })
        .collect();
    (days, days_in_all)
}

impl Day {
    /// A day without clicks.
    pub(crate) fn without_clicks(date: Date) -> Self {
        Self {
            date,
            clicks: 0,
            leads: 0,
        }
    }
}

/// Converts instants, most of which are in order, to dates.
struct Dates<'a> {
    zone: &'a TimeZone,
    minute: i64,
    date: Date,
}

impl<'a> Dates<'a> {
    fn new(zone: &'a TimeZone) -> Self {
        let epoch = Timestamp::EPOCH;
        Self {
            zone,
            minute: 0,
            date: epoch.date(zone),
        }
    }

    /// Asks the time zone only if the minute changes: clocks are changed only at full minutes.
    fn of(&mut self, instant: Timestamp) -> Date {
        const MINUTE_MICROS: i64 = 60_000_000;
        let minute = instant.micros().div_euclid(MINUTE_MICROS);
        if minute != self.minute {
            self.minute = minute;
            self.date = instant.date(self.zone);
        }
        self.date
    }
}
