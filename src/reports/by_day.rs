use std::{collections::BTreeMap, num::NonZeroU64};

use jiff::{ToSpan, Zoned, civil::Date, tz::TimeZone};

use super::{Totals, for_each_click, leads_by_group::LeadsByGroup};
use crate::{
    click::canonical_email,
    storage::{Columns, Db, Error, Query, Selection, Window},
    text::groups::TextGroups,
    timestamp::Timestamp,
};

/// The selected clicks by day, the newest day first. It includes days without a click between days with one, and up to the ends of
/// the window, as [`Gaps`] says, but none after today.
#[derive(Debug)]
pub(crate) struct ByDay {
    /// The days that are shown, the newest first.
    pub(crate) days: Vec<Day>,
    /// The number of [`ByDay::days`] without a limit.
    pub(crate) rows_in_all: u64,
    /// The number of days that are listed one by one, shown or not.
    pub(crate) days_in_all: u64,
    /// All selected leads and clicks, shown or not.
    pub(crate) totals: Totals,
}

/// A day in a [`ByDay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day {
    /// The date in the time zone of the report.
    pub(crate) date: Date,
    /// The number of days, more than 1 for a run of days without clicks that ends with `date`.
    pub(crate) days: u32,
    /// The number of clicks.
    pub(crate) clicks: u64,
    /// The number of different leads who clicked.
    pub(crate) leads: u64,
}

/// What becomes of a long run of days without clicks. A single click that was dated by a wrong clock would otherwise add
/// thousands of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gaps {
    /// More than 31 such days are one row: people see the other days within the 50 rows of a table.
    OneRow,
    /// More than 366 such days are left out. Programs get every day of shorter runs.
    LeftOut,
}

impl Gaps {
    /// The longest run that is listed day by day.
    fn days_max(self) -> u32 {
        match self {
            Self::OneRow => 31,
            Self::LeftOut => 366,
        }
    }
}

/// Counts the clicks of `selection` by the days in the time zone of `now`, and keeps the `rows_max` newest rows. The totals
/// always count all clicks.
///
/// Needs 20 to 39 bytes of memory for each different spelling of an email, and up to 6 for each pair of a day and a lead.
///
/// # Errors
/// When the database can't be read, or holds a click whose time can't be read, and when memory is refused.
pub(crate) fn by_day(
    db: &Db,
    selection: &Selection,
    now: &Zoned,
    gaps: Gaps,
    rows_max: Option<NonZeroU64>,
) -> Result<ByDay, Error> {
    // The days in the order of their first click. A day's number is its index.
    let mut counted: Vec<Day> = Vec::new();
    let mut numbers: BTreeMap<Date, u32> = BTreeMap::new();
    let mut emails = TextGroups::new(canonical_email);
    let mut leads = LeadsByGroup::default();
    let mut dates = Dates::new(now.time_zone());
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
    let ends = ends(selection.window, now);
    Ok(newest_rows(
        &counted, &numbers, ends, gaps, rows_max, totals,
    ))
}

/// The first and the last day of the window, as far as it has ends. A window without an end ends today.
fn ends(window: Window, now: &Zoned) -> [Option<Date>; 2] {
    let zone = now.time_zone();
    let first = window.since.map(|since| since.date(zone));
    let last = match window.until {
        Some(until) => Some(Timestamp::from_micros(until.micros() - 1).date(zone)),
        None => first.map(|_| now.date()),
    };
    [first, last.min(Some(now.date()))]
}

/// The days from the last to the first, with those without a click.
fn newest_rows(
    counted: &[Day],
    numbers: &BTreeMap<Date, u32>,
    [first, last]: [Option<Date>; 2],
    gaps: Gaps,
    rows_max: Option<NonZeroU64>,
    totals: Totals,
) -> ByDay {
    let mut report = ByDay {
        days: Vec::new(),
        rows_in_all: 0,
        days_in_all: 0,
        totals,
    };
    let mut add = |day: Day| {
        report.rows_in_all += 1;
        report.days_in_all += u64::from(day.days == 1);
        if rows_max.is_none_or(|max| report.rows_in_all <= max.get()) {
            report.days.push(day);
        }
    };
    // Lists the days after `date` and up to `last`.
    let add_empty = |add: &mut dyn FnMut(Day), date: Date, last: Option<Date>| {
        let Some(last) = last.filter(|last| *last > date) else {
            return;
        };
        let empty = (last - date).get_days().unsigned_abs();
        if empty <= gaps.days_max() {
            std::iter::successors(Some(last), |date| date.yesterday().ok())
                .take(empty as usize)
                .for_each(|date| add(Day::without_clicks(date)));
        } else if gaps == Gaps::OneRow {
            add(Day {
                days: empty,
                ..Day::without_clicks(last)
            });
        }
    };
    let mut last = last;
    for (&date, &number) in numbers.iter().rev() {
        add_empty(&mut add, date, last);
        add(counted[number as usize]);
        last = date.yesterday().ok();
    }
    // The days from the first one up to the day before the first click.
    if let Some(before_first) = first.and_then(|first| first.yesterday().ok())
        && !numbers.is_empty()
    {
        add_empty(&mut add, before_first, last);
    }
    report
}

impl Day {
    /// The first of the days.
    pub(crate) fn first(&self) -> Date {
        let first = self.date.checked_sub(i64::from(self.days - 1).days());
        first.unwrap_or(self.date)
    }

    /// A day without clicks.
    pub(crate) fn without_clicks(date: Date) -> Self {
        Self {
            date,
            days: 1,
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
