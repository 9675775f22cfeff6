use jiff::{Span, ToSpan, Zoned, civil, tz::TimeZone};

use super::{Totals, totals};
use crate::{
    storage::{Db, Error, Selection, Window},
    timestamp::Timestamp,
};

/// A period and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// The clicks of the period.
    pub(crate) now: Totals,
    /// The period before.
    pub(crate) window: Window,
    /// The clicks of the period before.
    pub(crate) before: Totals,
}

impl Comparison {
    /// Counts the clicks of a selection, and of the same selection in the period before.
    ///
    /// # Errors
    /// When the database can't be read, and when memory is refused.
    pub(crate) fn of(db: &Db, now: &Selection, before: &Selection) -> Result<Self, Error> {
        Ok(Self {
            now: totals(db, now)?,
            window: before.window,
            before: totals(db, before)?,
        })
    }
}

/// The period before `window`, which has as many months if the window has whole months, as many days if it has whole days, and is
/// otherwise as long. If the window ends after `now`, the period before ends at the same day and time. None if the window has no
/// beginning, or if the period before is outside the calendar.
pub(crate) fn window_before(window: Window, now: &Zoned) -> Option<Window> {
    let zone = now.time_zone();
    let since = window.since?;
    let midnight = |at: Timestamp| at.begun_day(zone);
    let end = match window.until {
        Some(until) => until,
        None if midnight(since).is_some() => {
            Timestamp::new(begin_of(now.date().tomorrow().ok()?, zone)?)
        }
        None => Timestamp::new(now.timestamp()),
    };
    let length = match (midnight(since), midnight(end)) {
        (Some(first), Some(after)) if first.day() == 1 && after.day() == 1 => {
            let months = |date: civil::Date| i32::from(date.year()) * 12 + i32::from(date.month());
            (months(after) - months(first)).months()
        }
        (Some(first), Some(after)) => (after - first).get_days().days(),
        _ => Span::new()
            .try_microseconds(end.micros() - since.micros())
            .ok()?,
    };
    window_earlier(length, since, end, now)
}

/// The period that begins `length` before `since`, and ends there, or, if `end` is after `now`, at the same day and time as `now`.
/// None if it is outside the calendar.
pub(crate) fn window_earlier(
    length: Span,
    since: Timestamp,
    end: Timestamp,
    now: &Zoned,
) -> Option<Window> {
    let zone = now.time_zone();
    let earlier = |at: &Zoned| Some(Timestamp::new(at.checked_sub(length).ok()?.timestamp()));
    let begin = jiff::Timestamp::from_microsecond(since.micros()).ok()?;
    let begin = earlier(&begin.to_zoned(zone.clone()))?;
    let until = earlier(now)?.min(since).max(begin);
    let until = if end.micros() > Timestamp::new(now.timestamp()).micros() {
        until
    } else {
        since
    };
    Some(Window {
        since: Some(begin),
        until: Some(until),
    })
}

fn begin_of(date: civil::Date, zone: &TimeZone) -> Option<jiff::Timestamp> {
    Some(date.to_zoned(zone.clone()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_before_has_as_many_months_or_days_or_is_as_long() {
        // Half past nine on the Monday after Berlin's clocks went back.
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |text: &str| -> jiff::Timestamp {
            let local: civil::DateTime = text.parse().unwrap();
            local.to_zoned(zone.clone()).unwrap().timestamp()
        };
        let now = at("2026-10-26 09:30").to_zoned(zone.clone());
        let shown = |end: Option<Timestamp>| end.map(|end| end.local(&zone));
        for (since, until, begin, end) in [
            (
                "2026-10-01 00:00",
                "2026-11-01 00:00",
                "2026-09-01 00:00",
                "2026-09-26 09:30",
            ),
            (
                "2026-08-01 00:00",
                "2026-10-01 00:00",
                "2026-06-01 00:00",
                "2026-08-01 00:00",
            ),
            (
                "2026-10-19 00:00",
                "2026-10-26 00:00",
                "2026-10-12 00:00",
                "2026-10-19 00:00",
            ),
            (
                "2026-10-26 00:00",
                "2026-11-02 00:00",
                "2026-10-19 00:00",
                "2026-10-19 09:30",
            ),
            (
                "2026-10-26 00:00",
                "2026-10-27 00:00",
                "2026-10-25 00:00",
                "2026-10-25 09:30",
            ),
            (
                "2026-10-20 00:00",
                "",
                "2026-10-13 00:00",
                "2026-10-19 09:30",
            ),
            // The night had one hour more.
            (
                "2026-10-25 09:30",
                "",
                "2026-10-24 10:30",
                "2026-10-25 09:30",
            ),
            (
                "2026-10-26 07:30",
                "2026-10-26 08:30",
                "2026-10-26 06:30",
                "2026-10-26 07:30",
            ),
        ] {
            let window = Window {
                since: Some(Timestamp::new(at(since))),
                until: (!until.is_empty()).then(|| Timestamp::new(at(until))),
            };
            let before = window_before(window, &now).unwrap();
            let found = [shown(before.since), shown(before.until)];
            assert_eq!(
                found,
                [Some(begin.to_owned()), Some(end.to_owned())],
                "{since} {until}"
            );
        }
        assert_eq!(window_before(Window::default(), &now), None);
    }
}
