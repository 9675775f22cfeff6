use std::str::FromStr;

use jiff::{Span, ToSpan, Zoned, civil, tz::TimeZone};

use super::failure::Failure;
use crate::timestamp::Timestamp;

/// The argument of `--since` and `--until`, which is not yet resolved with a clock and a time zone.
#[derive(Debug, Clone, Copy)]
pub enum Instant {
    /// `today` or `yesterday`: the beginning of the day so many days ago.
    Day(i64),
    /// `7d`: this long before now, in calendar days and weeks.
    Ago(Span),
    /// `2026-11-01` or `2026-11-01 09:30`: local time; a day means its beginning.
    Local(civil::DateTime),
    /// `2026-11-01T09:30:00Z`: an RFC 3339 time with its own offset.
    Exact(jiff::Timestamp),
}

/// The text is not an instant, or is outside the years 0 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a time is today, yesterday, 90m, 24h, 7d or 2w (ago), 2026-11-01, '2026-11-01 09:30' (local) or 2026-11-01T09:30:00Z"
)]
pub struct ParseInstantError;

impl FromStr for Instant {
    type Err = ParseInstantError;

    fn from_str(text: &str) -> Result<Self, ParseInstantError> {
        match text {
            "today" => return Ok(Self::Day(0)),
            "yesterday" => return Ok(Self::Day(1)),
            _ => {}
        }
        if let Some(span) = parse_span(text) {
            return Ok(Self::Ago(span));
        }
        if let Ok(exact) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::Exact(exact));
        }
        // jiff also accepts `20261101` and a time zone in brackets, which the help does not mention.
        let looks_local = text.len() >= 10 && text.as_bytes()[4] == b'-' && !text.contains('[');
        text.parse()
            .ok()
            .filter(|_| looks_local)
            .map(Self::Local)
            .ok_or(ParseInstantError)
    }
}

impl Instant {
    /// Whether it is another instant in another time zone.
    pub(super) fn depends_on_zone(self) -> bool {
        match self {
            Self::Day(_) | Self::Local(_) => true,
            // A day may have 23 hours.
            Self::Ago(span) => span.get_days() != 0 || span.get_weeks() != 0,
            Self::Exact(_) => false,
        }
    }

    /// The instant, relative to `now`, whose time zone is that of the reader.
    ///
    /// # Errors
    /// When it is outside the years 0 to 9999.
    pub fn resolve(self, now: &Zoned) -> Result<Timestamp, ParseInstantError> {
        let instant = match self {
            Self::Day(days_ago) => now
                .date()
                .checked_sub(days_ago.days())
                .and_then(|date| in_zone(date.into(), now.time_zone())),
            Self::Ago(span) => now.checked_sub(span).map(|then| then.timestamp()),
            Self::Local(datetime) => in_zone(datetime, now.time_zone()),
            Self::Exact(exact) => Ok(exact),
        }
        .map_err(|_| ParseInstantError)?;
        let timestamp = Timestamp::new(instant);
        if timestamp == Timestamp::new(jiff::Timestamp::MIN) {
            return Err(ParseInstantError);
        }
        Ok(timestamp)
    }
}

/// A time before now, such as `6h`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age(Span);

/// The text is not an age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an age is a whole number with a unit: 30s, 90m, 6h, 2d or 1w")]
pub(super) struct ParseAgeError;

impl FromStr for Age {
    type Err = ParseAgeError;

    fn from_str(text: &str) -> Result<Self, ParseAgeError> {
        parse_span(text).map(Self).ok_or(ParseAgeError)
    }
}

impl Age {
    pub(super) fn instant(self) -> Instant {
        Instant::Ago(self.0)
    }
}

/// The instant that was given to `flag`, relative to `now`; none if the flag was not given.
///
/// # Errors
/// When it is outside the years 0 to 9999.
pub(super) fn resolve(
    flag: &str,
    instant: Option<Instant>,
    now: &Zoned,
) -> Result<Option<Timestamp>, Failure> {
    instant
        .map(|instant| instant.resolve(now))
        .transpose()
        .map_err(|error| Failure::Usage(format!("{flag}: {error}")))
}

/// A local time that occurs twice is the first of the two. A local time that the clocks skip is moved forward by the gap,
/// so a day without a midnight begins with its first instant.
fn in_zone(datetime: civil::DateTime, zone: &TimeZone) -> Result<jiff::Timestamp, jiff::Error> {
    zone.to_ambiguous_timestamp(datetime).compatible()
}

fn parse_span(text: &str) -> Option<Span> {
    let unit = text.chars().next_back()?;
    let number = &text[..text.len() - unit.len_utf8()];
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i64 = number.parse().ok()?;
    let span = Span::new();
    match unit {
        's' => span.try_seconds(number),
        'm' => span.try_minutes(number),
        'h' => span.try_hours(number),
        'd' => span.try_days(number),
        'w' => span.try_weeks(number),
        _ => return None,
    }
    .ok()
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

    fn resolved(text: &str) -> Option<String> {
        let instant: Instant = text.parse().ok()?;
        Some(instant.resolve(&now()).ok()?.rfc3339().to_string())
    }

    #[test]
    fn every_form_that_help_names_is_accepted() {
        for (given, instant) in [
            ("today", "2026-10-25T23:00:00.000000Z"),
            ("yesterday", "2026-10-24T22:00:00.000000Z"),
            ("90m", "2026-10-26T07:00:00.000000Z"),
            ("24h", "2026-10-25T08:30:00.000000Z"),
            // A day ago the clocks had not gone back until three.
            ("2d", "2026-10-24T07:30:00.000000Z"),
            ("1w", "2026-10-19T07:30:00.000000Z"),
            ("0s", "2026-10-26T08:30:00.000000Z"),
            ("2026-10-24", "2026-10-23T22:00:00.000000Z"),
            ("2026-10-26 09:30", "2026-10-26T08:30:00.000000Z"),
            ("2026-10-26T09:30:15", "2026-10-26T08:30:15.000000Z"),
            ("2026-10-25 02:30", "2026-10-25T00:30:00.000000Z"),
            ("2026-11-01T09:30:00Z", "2026-11-01T09:30:00.000000Z"),
            ("2026-11-01T09:30:00.5+02:00", "2026-11-01T07:30:00.500000Z"),
        ] {
            assert_eq!(resolved(given).as_deref(), Some(instant), "{given}");
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
        for given in ["yesterday", "2026-03-08", "2026-03-08 00:00"] {
            let instant: Instant = given.parse().unwrap();
            let begin = instant.resolve(&now).unwrap().rfc3339().to_string();
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
            "7 d",
            "7y",
            "1.5h",
            "now",
            "20261101",
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
        fn any_text_is_an_instant_or_rejected(text in any::<String>()) {
            let _ = resolved(&text);
        }

        #[test]
        fn any_text_like_a_time_is_an_instant_or_rejected(text in "[-+0-9TZdhmsw:. ]{0,24}") {
            let _ = resolved(&text);
        }
    }
}
