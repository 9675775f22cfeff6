use std::{str::FromStr, time::Duration};

use jiff::{
    Span, ToSpan, Zoned,
    civil::{self, Date, Weekday},
    tz::TimeZone,
};

use super::failure::Failure;
use crate::{storage::Window, timestamp::Timestamp};

/// A period as a user writes it, which is not yet resolved with a clock and a time zone.
#[derive(Debug, Clone, Copy)]
pub enum Period {
    /// `today` or `yesterday`: the day so many days ago.
    DaysAgo(i64),
    /// `monday`: the latest day with this name, which may be today.
    Weekday(Weekday),
    /// `this week` or `last week`: Monday to Sunday, so many weeks ago.
    WeeksAgo(i64),
    /// `this month` or `last month`: the calendar month so many months ago.
    MonthsAgo(i64),
    /// `7d`, `2w` or `3mo`: so many whole days, of which today is the last.
    LastDays(Span),
    /// `24h`: so long until now.
    LastHours(Span),
    /// `2026-11-01`: this day.
    Day(Date),
    /// `2026-11`: the calendar month that begins with this day.
    Month(Date),
    /// `2026-11-01 09:30`: a local time, which is an instant.
    Local(civil::DateTime),
    /// `2026-11-01T09:30:00Z`: an RFC 3339 time with its own offset, which is an instant.
    Exact(jiff::Timestamp),
}

/// The text is not a period, or one outside the years 0 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParsePeriodError {
    /// None of the forms.
    #[error(
        "a period is today, yesterday, monday, 'this week', 'last week', 'this month', 'last month', 7d, 2w, 3mo, 24h or 90min (until now), 2026-11-01, 2026-11, '2026-11-01 09:30' (local) or 2026-11-01T09:30:00Z"
    )]
    Unknown,
    /// `3m`.
    #[error("m may mean minutes or months; write {0}min or {0}mo")]
    MinutesOrMonths(i64),
}

const UNKNOWN: ParsePeriodError = ParsePeriodError::Unknown;

impl FromStr for Period {
    type Err = ParsePeriodError;

    fn from_str(text: &str) -> Result<Self, ParsePeriodError> {
        if let Some(period) = parse_words(text) {
            return period;
        }
        if let Ok(exact) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::Exact(exact));
        }
        // jiff also accepts `20261101` and a time zone in brackets, which the help does not mention.
        if text.as_bytes().get(4) != Some(&b'-') || text.contains('[') {
            return Err(UNKNOWN);
        }
        let period = match text.len() {
            7 => format!("{text}-01").parse().map(Self::Month),
            10 => text.parse().map(Self::Day),
            11.. => text.parse().map(Self::Local),
            _ => return Err(UNKNOWN),
        };
        period.map_err(|_| UNKNOWN)
    }
}

/// Parses the forms that begin with a word or a number and a unit, in any case, with spaces, `-` or `_` between the words.
fn parse_words(text: &str) -> Option<Result<Period, ParsePeriodError>> {
    let words = text.to_lowercase().replace(['-', '_'], " ");
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let period = match &*words {
        "today" => Period::DaysAgo(0),
        "yesterday" => Period::DaysAgo(1),
        "this week" => Period::WeeksAgo(0),
        "last week" => Period::WeeksAgo(1),
        "this month" => Period::MonthsAgo(0),
        "last month" => Period::MonthsAgo(1),
        "monday" | "mon" => Period::Weekday(Weekday::Monday),
        "tuesday" | "tue" => Period::Weekday(Weekday::Tuesday),
        "wednesday" | "wed" => Period::Weekday(Weekday::Wednesday),
        "thursday" | "thu" => Period::Weekday(Weekday::Thursday),
        "friday" | "fri" => Period::Weekday(Weekday::Friday),
        "saturday" | "sat" => Period::Weekday(Weekday::Saturday),
        "sunday" | "sun" => Period::Weekday(Weekday::Sunday),
        // A minus sign is not a space.
        _ if text.starts_with('-') => return None,
        _ => return parse_length(words.strip_prefix("last ").unwrap_or(&words)),
    };
    Some(Ok(period))
}

/// Parses `7d`, `7days` and `7 days`.
fn parse_length(text: &str) -> Option<Result<Period, ParsePeriodError>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().ok()?;
    let span = Span::new();
    let (span, period): (_, fn(Span) -> Period) = match unit.trim_start() {
        "s" | "sec" | "second" | "seconds" => (span.try_seconds(number), Period::LastHours),
        "min" | "mins" | "minute" | "minutes" => (span.try_minutes(number), Period::LastHours),
        "h" | "hour" | "hours" => (span.try_hours(number), Period::LastHours),
        "d" | "day" | "days" => (span.try_days(number), Period::LastDays),
        "w" | "week" | "weeks" => (span.try_weeks(number), Period::LastDays),
        "mo" | "month" | "months" => (span.try_months(number), Period::LastDays),
        "m" => return Some(Err(ParsePeriodError::MinutesOrMonths(number))),
        _ => return None,
    };
    Some(span.map(period).map_err(|_| UNKNOWN))
}

/// How long ago, such as `6h`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age(Period);

/// The text is not an age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an age is a whole number above 0 with a unit: 30s, 90min, 6h, 2d, 1w or 3mo")]
pub(super) struct ParseAgeError;

impl FromStr for Age {
    type Err = ParseAgeError;

    fn from_str(text: &str) -> Result<Self, ParseAgeError> {
        match parse_length(text) {
            Some(Ok(Period::LastHours(span) | Period::LastDays(span))) if span.is_zero() => {
                Err(ParseAgeError)
            }
            Some(Ok(length)) => Ok(Self(length)),
            _ => Err(ParseAgeError),
        }
    }
}

impl Age {
    pub(super) fn period(self) -> Period {
        self.0
    }
}

impl Period {
    /// Whether it is another period in another time zone.
    pub(super) fn depends_on_zone(self) -> bool {
        !matches!(self, Self::LastHours(_) | Self::Exact(_))
    }

    /// The instant with which it begins, seen from `now`, whose time zone is that of the reader.
    ///
    /// # Errors
    /// When it is outside the years 0 to 9999.
    pub fn begin(self, now: &Zoned) -> Result<Timestamp, ParsePeriodError> {
        let begin = match self {
            Self::LastHours(span) => now.checked_sub(span).map(|then| then.timestamp()),
            Self::Local(datetime) => in_zone(datetime, now.time_zone()),
            Self::Exact(exact) => Ok(exact),
            _ => self
                .first_day(now.date())
                .and_then(|first| in_zone(first.into(), now.time_zone())),
        };
        within_range(begin)
    }

    /// The first instant after it. An instant ends with itself.
    ///
    /// # Errors
    /// When it is outside the years 0 to 9999.
    pub fn end(self, now: &Zoned) -> Result<Timestamp, ParsePeriodError> {
        let end = match self {
            Self::LastHours(_) => Ok(now.timestamp()),
            Self::Local(_) | Self::Exact(_) => return self.begin(now),
            _ => self
                .day_after(now.date())
                .and_then(|after| in_zone(after.into(), now.time_zone())),
        };
        within_range(end)
    }

    /// The instant of `--older-than`: so long before now, or the beginning of the period.
    ///
    /// # Errors
    /// When it is outside the years 0 to 9999.
    pub(super) fn ago(self, now: &Zoned) -> Result<Timestamp, ParsePeriodError> {
        match self {
            // To the second: as whole days, it would be up to a day less.
            Self::LastDays(span) => {
                within_range(now.checked_sub(span).map(|then| then.timestamp()))
            }
            _ => self.begin(now),
        }
    }

    /// How long it is, if it is a length of time: a month is as long as the last one.
    pub(super) fn length(self, now: &Zoned) -> Option<Duration> {
        let (Self::LastDays(span) | Self::LastHours(span)) = self else {
            return None;
        };
        let begin = now.checked_sub(span).ok()?;
        Duration::try_from(now.timestamp().duration_since(begin.timestamp())).ok()
    }

    /// The first day of a period of whole days, and otherwise today.
    fn first_day(self, today: Date) -> Result<Date, jiff::Error> {
        match self {
            Self::DaysAgo(days) => today.checked_sub(days.days()),
            Self::Weekday(weekday) => {
                today.checked_sub(i64::from(today.weekday().since(weekday)).days())
            }
            Self::WeeksAgo(weeks) => {
                let monday = i64::from(today.weekday().to_monday_zero_offset());
                today.checked_sub((monday + 7 * weeks).days())
            }
            Self::MonthsAgo(months) => today.first_of_month().checked_sub(months.months()),
            Self::LastDays(span) => today.checked_sub(span)?.tomorrow(),
            Self::Day(date) | Self::Month(date) => Ok(date),
            Self::LastHours(_) | Self::Local(_) | Self::Exact(_) => Ok(today),
        }
    }

    /// The day after the last one.
    fn day_after(self, today: Date) -> Result<Date, jiff::Error> {
        match self {
            Self::LastDays(_) => today.tomorrow(),
            Self::WeeksAgo(_) => self.first_day(today)?.checked_add(7.days()),
            Self::MonthsAgo(_) | Self::Month(_) => self.first_day(today)?.checked_add(1.month()),
            _ => self.first_day(today)?.tomorrow(),
        }
    }
}

fn within_range(
    instant: Result<jiff::Timestamp, jiff::Error>,
) -> Result<Timestamp, ParsePeriodError> {
    let timestamp = Timestamp::new(instant.map_err(|_| UNKNOWN)?);
    if timestamp == Timestamp::new(jiff::Timestamp::MIN) {
        return Err(UNKNOWN);
    }
    Ok(timestamp)
}

/// The beginning of the period that was given to `--since`.
///
/// # Errors
/// When it is outside the years 0 to 9999.
pub(super) fn resolve_since(
    since: Option<Period>,
    now: &Zoned,
) -> Result<Option<Timestamp>, Failure> {
    resolve("--since", since, |since| since.begin(now))
}

/// The window from the beginning of `since` to the end of `until`, or that of `period`.
///
/// # Errors
/// When an end is outside the years 0 to 9999, when the window has no time in it, and when `until` is a length of time: it would end
/// now, but could be taken for the time so long ago.
pub(super) fn resolve_window(
    since: Option<Period>,
    until: Option<Period>,
    period: Option<Period>,
    now: &Zoned,
) -> Result<Window, Failure> {
    if let Some(until @ (Period::LastDays(_) | Period::LastHours(_))) = until {
        let begin = resolve("--until", Some(until), |until| until.begin(now))?;
        let before = begin.map_or_else(String::new, |begin| match until {
            Period::LastDays(_) => {
                let day_before = begin.date(now.time_zone()).yesterday();
                day_before.map_or_else(|_| String::new(), |day| day.to_string())
            }
            _ => format!("'{}'", begin.local(now.time_zone())),
        });
        return Err(Failure::Usage(format!(
            "--until ends where its period ends, and a length of time ends now; for clicks from before it, write --until {before}"
        )));
    }
    let window = match period {
        Some(period) => Window {
            since: resolve("--period", Some(period), |period| period.begin(now))?,
            until: resolve("--period", Some(period), |period| period.end(now))?,
        },
        None => Window {
            since: resolve_since(since, now)?,
            until: resolve("--until", until, |until| until.end(now))?,
        },
    };
    match (window.since, window.until) {
        (Some(since), Some(until)) if since >= until => Err(Failure::Usage(match period {
            Some(_) => "--period is an instant; give a period, such as a day".to_owned(),
            None => format!(
                "--since must be before --until, but it begins at {} and --until ends at {}",
                since.local(now.time_zone()),
                until.local(now.time_zone())
            ),
        })),
        _ => Ok(window),
    }
}

/// Resolves the period that was given to `flag`; none if the flag was not given.
///
/// # Errors
/// When it is outside the years 0 to 9999.
pub(super) fn resolve(
    flag: &str,
    period: Option<Period>,
    resolve: impl FnOnce(Period) -> Result<Timestamp, ParsePeriodError>,
) -> Result<Option<Timestamp>, Failure> {
    period
        .map(resolve)
        .transpose()
        .map_err(|error| Failure::Usage(format!("{flag}: {error}")))
}

/// A local time that occurs twice is the first of the two. A local time that the clocks skip is moved forward by the gap,
/// so a day without a midnight begins with its first instant.
fn in_zone(datetime: civil::DateTime, zone: &TimeZone) -> Result<jiff::Timestamp, jiff::Error> {
    zone.to_ambiguous_timestamp(datetime).compatible()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Half past nine on the Monday after Berlin's clocks went back.
    fn now() -> Zoned {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        "2026-10-26T08:30:00Z"
            .parse::<jiff::Timestamp>()
            .unwrap()
            .to_zoned(zone)
    }

    /// The beginning and the end.
    fn resolved(text: &str) -> Option<[String; 2]> {
        let period: Period = text.parse().ok()?;
        let ends = [period.begin(&now()).ok()?, period.end(&now()).ok()?];
        Some(ends.map(|end| end.rfc3339().trim_end_matches(".000000Z").to_owned()))
    }

    #[test]
    fn every_form_that_help_names_is_accepted() {
        for (given, begin, end) in [
            ("today", "2026-10-25T23:00:00", "2026-10-26T23:00:00"),
            ("yesterday", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
            ("monday", "2026-10-25T23:00:00", "2026-10-26T23:00:00"),
            ("Tue", "2026-10-19T22:00:00", "2026-10-20T22:00:00"),
            ("sunday", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
            ("this week", "2026-10-25T23:00:00", "2026-11-01T23:00:00"),
            ("last week", "2026-10-18T22:00:00", "2026-10-25T23:00:00"),
            ("This-Month", "2026-09-30T22:00:00", "2026-10-31T23:00:00"),
            ("last_month", "2026-08-31T22:00:00", "2026-09-30T22:00:00"),
            ("1d", "2026-10-25T23:00:00", "2026-10-26T23:00:00"),
            ("7d", "2026-10-19T22:00:00", "2026-10-26T23:00:00"),
            ("7days", "2026-10-19T22:00:00", "2026-10-26T23:00:00"),
            ("last 7 days", "2026-10-19T22:00:00", "2026-10-26T23:00:00"),
            ("2w", "2026-10-12T22:00:00", "2026-10-26T23:00:00"),
            ("1mo", "2026-09-26T22:00:00", "2026-10-26T23:00:00"),
            ("3 months", "2026-07-26T22:00:00", "2026-10-26T23:00:00"),
            ("90min", "2026-10-26T07:00:00", "2026-10-26T08:30:00"),
            ("24h", "2026-10-25T08:30:00", "2026-10-26T08:30:00"),
            ("0s", "2026-10-26T08:30:00", "2026-10-26T08:30:00"),
            ("2026-10-24", "2026-10-23T22:00:00", "2026-10-24T22:00:00"),
            ("2026-10", "2026-09-30T22:00:00", "2026-10-31T23:00:00"),
        ] {
            let expected = Some([begin.to_owned(), end.to_owned()]);
            assert_eq!(resolved(given), expected, "{given}");
        }
        for (given, instant) in [
            ("2026-10-26 09:30", "2026-10-26T08:30:00"),
            ("2026-10-26T09:30:15", "2026-10-26T08:30:15"),
            ("2026-10-25 02:30", "2026-10-25T00:30:00"),
            ("2026-11-01T09:30:00Z", "2026-11-01T09:30:00"),
            ("2026-11-01T09:30:00.5+02:00", "2026-11-01T07:30:00.500000Z"),
        ] {
            let expected = Some([instant, instant].map(str::to_owned));
            assert_eq!(resolved(given), expected, "{given}");
        }
    }

    #[test]
    fn a_length_of_time_is_exactly_so_long_ago_where_it_is_an_age() {
        for (given, instant) in [
            // A day ago the clocks had not gone back until three.
            ("2d", "2026-10-24T07:30:00.000000Z"),
            ("1w", "2026-10-19T07:30:00.000000Z"),
            ("12mo", "2025-10-26T08:30:00.000000Z"),
            ("90min", "2026-10-26T07:00:00.000000Z"),
            ("last month", "2026-08-31T22:00:00.000000Z"),
            ("2026-10-24", "2026-10-23T22:00:00.000000Z"),
        ] {
            let period: Period = given.parse().unwrap();
            let ago = period.ago(&now()).unwrap().rfc3339().to_string();
            assert_eq!(ago, instant, "{given}");
        }
    }

    #[test]
    fn minutes_and_months_cannot_be_confused() {
        for given in ["3m", "3 M"] {
            let error = given.parse::<Period>().unwrap_err().to_string();
            let expected = "m may mean minutes or months; write 3min or 3mo";
            assert_eq!(error, expected, "{given}");
        }
    }

    #[test]
    fn a_day_whose_midnight_the_clocks_skip_begins_with_its_first_instant() {
        // The clocks of Havana skip from midnight to one.
        let zone = TimeZone::posix("CST5CDT,M3.2.0/0,M11.1.0/1").unwrap();
        let now = "2026-03-09T12:00:00Z"
            .parse::<jiff::Timestamp>()
            .unwrap()
            .to_zoned(zone);
        for given in ["yesterday", "2026-03-08", "2026-03-08 00:00", "sun", "2d"] {
            let period: Period = given.parse().unwrap();
            let begin = period.begin(&now).unwrap().rfc3339().to_string();
            assert_eq!(begin, "2026-03-08T05:00:00.000000Z", "{given}");
        }
    }

    #[test]
    fn everything_else_is_rejected() {
        for given in [
            "",
            "d",
            "7",
            "-7d",
            "7y",
            "1.5h",
            "now",
            "tomorrow",
            "week",
            "last",
            "last d",
            "20261101",
            "2026-13",
            "2026-13-01",
            "2026-02-30",
            "99999999999999999999d",
            "9999999d",
            "-000001-01-01",
            "2026-11-01[Europe/Berlin]",
            "é",
            "7é",
        ] {
            assert_eq!(resolved(given), None, "{given}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_period_or_rejected(text in any::<String>()) {
            let _ = resolved(&text);
        }

        #[test]
        fn any_text_like_a_period_is_one_or_rejected(text in "[-+0-9TZdhmosw:. ]{0,24}") {
            if let Ok(period) = text.parse::<Period>()
                && let (Ok(begin), Ok(end)) = (period.begin(&now()), period.end(&now()))
            {
                // Only `0d` has less than no time.
                prop_assert!(begin <= end || matches!(period, Period::LastDays(span) if span.is_zero()));
            }
        }
    }
}
