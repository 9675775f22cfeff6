use std::{collections::BTreeMap, num::NonZeroU64, ops::ControlFlow};

use jiff::{civil::Date, tz::TimeZone};

use super::{Totals, leads_by_group::LeadsByGroup};
use crate::{
    storage::{BadTime, Column, Db, Error, Order, Query, Selection},
    text::interner::StringInterner,
    timestamp::Timestamp,
};

/// The selected clicks by day, the newest day first. Days without a click in between are there, too.
#[derive(Debug)]
pub(crate) struct ByDay {
    days: Vec<Day>,
    days_in_all: u64,
    totals: Totals,
}

/// A day in a [`ByDay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day {
    /// The date, on the clocks of the zone that was asked for.
    pub(crate) date: Date,
    /// How many clicks there were.
    pub(crate) clicks: u64,
    /// By how many different leads.
    pub(crate) leads: u64,
}

/// Counts the clicks of `selection` by the days of `zone`, and keeps the `days_max` newest days. Totals count every
/// click either way.
///
/// # Errors
/// When the database can't be read, or holds a click whose time is none.
pub(crate) fn by_day(
    db: &Db,
    selection: &Selection,
    zone: &TimeZone,
    days_max: Option<NonZeroU64>,
) -> Result<ByDay, Error> {
    // The days in the order in which they came; a day's place is its number.
    let mut counted: Vec<Day> = Vec::new();
    let mut numbers: BTreeMap<Date, u32> = BTreeMap::new();
    let mut emails = StringInterner::new();
    let mut leads = LeadsByGroup::default();
    let mut dates = Dates::new(zone);
    let query = Query {
        selection,
        columns: &[Column::Email, Column::CreatedAt],
        order: Order::Any,
        bad_time: BadTime::Fail,
    };
    db.read_clicks(&query, |click| {
        let email = emails.number(&click.email);
        let date = dates.of(click.created_at);
        let number = *numbers.entry(date).or_insert_with(|| {
            counted.push(Day::without_clicks(date));
            // There are less than four million dates.
            u32::try_from(counted.len() - 1).unwrap_or(u32::MAX)
        });
        counted[number as usize].clicks += 1;
        leads.add(number, email);
        ControlFlow::Continue(())
    })?;
    for (day, leads) in counted.iter_mut().zip(leads.count(numbers.len())) {
        day.leads = leads;
    }
    let totals = Totals {
        leads: emails.len() as u64,
        clicks: counted.iter().map(|day| day.clicks).sum(),
    };
    let (days, days_in_all) = newest_days(&counted, &numbers, days_max);
    Ok(ByDay {
        days,
        days_in_all,
        totals,
    })
}

/// The days from the last to the first, those without a click among them, and how many there are without a limit.
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
    /// A day on which nobody clicked.
    #[must_use]
    pub(crate) fn without_clicks(date: Date) -> Self {
        Self {
            date,
            clicks: 0,
            leads: 0,
        }
    }
}

impl ByDay {
    /// The newest days, the newest first.
    #[must_use]
    pub(crate) fn days(&self) -> &[Day] {
        &self.days
    }

    /// How many days there are from the first click to the last, shown or not.
    #[must_use]
    pub(crate) fn days_in_all(&self) -> u64 {
        self.days_in_all
    }

    /// All selected leads and clicks, shown or not.
    #[must_use]
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }
}

/// The dates of instants that mostly come in order.
struct Dates<'a> {
    zone: &'a TimeZone,
    minute: i64,
    date: Date,
}

impl<'a> Dates<'a> {
    fn new(zone: &'a TimeZone) -> Self {
        let epoch = Timestamp::from_micros(0);
        Self {
            zone,
            minute: 0,
            date: epoch.date(zone),
        }
    }

    /// Looks into the zone once for each minute: clocks are only ever changed at a full one.
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
