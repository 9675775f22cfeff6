//! Instants as the database and the reports write them.

use std::{fmt, str, time::Duration};

use jiff::{
    civil,
    tz::{Offset, TimeZone},
};
use serde::{Serialize, Serializer};

/// An instant with a precision of one microsecond, in the years 0 to 9999 (UTC), which the text in the database can
/// express. The default is the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    micros: i64,
}

/// `0000-01-01T00:00:00Z` in microseconds since the Unix epoch.
const MICROS_MIN: i64 = -62_167_219_200_000_000;
/// `9999-12-30T22:00:00Z`, jiff's last second, in microseconds since the Unix epoch.
const MICROS_MAX: i64 = 253_402_207_200_000_000;

impl Timestamp {
    /// `1970-01-01T00:00:00Z`.
    pub const EPOCH: Self = Self { micros: 0 };

    /// `instant`, truncated to the microsecond and clamped to the range.
    #[must_use]
    pub fn new(instant: jiff::Timestamp) -> Self {
        Self {
            micros: instant.as_microsecond().clamp(MICROS_MIN, MICROS_MAX),
        }
    }

    /// Parses the form in the database: `YYYY-MM-DD HH:MM:SS` in UTC, with or without a fraction of a second. `None` for
    /// anything else, also for other forms of a time, because as text they would sort in the wrong order.
    #[must_use]
    pub fn parse_stored(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let datetime = parse_fixed(bytes).or_else(|| parse_fixed(&with_six_digits(bytes)?))?;
        // The last hours of 9999, which some programs write for "never", are after jiff's last instant.
        let instant = Offset::UTC
            .to_timestamp(datetime)
            .unwrap_or(jiff::Timestamp::MAX);
        Some(Self::new(instant))
    }

    /// Parses a date-time of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), truncated to the microsecond. `None` for
    /// anything else, also for other forms of ISO 8601, and for years outside the range.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if let Some(datetime) = parse_utc(bytes) {
            return Some(Self::new(Offset::UTC.to_timestamp(datetime).ok()?));
        }
        if !has_rfc3339_form(bytes) {
            return None;
        }
        let micros = text.parse::<jiff::Timestamp>().ok()?.as_microsecond();
        (MICROS_MIN..=MICROS_MAX)
            .contains(&micros)
            .then_some(Self { micros })
    }

    /// `YYYY-MM-DD HH:MM:SS.ffffff` in UTC: the form in the database, which SQLAlchemy also writes for a naive datetime.
    #[must_use]
    pub fn stored(self) -> TimestampText {
        let mut text = self.rfc3339();
        text.bytes[10] = b' ';
        text.len = STORED_LEN;
        text
    }

    /// The text that sorts before every stored text of this instant or later, and after all earlier ones, with any number
    /// of digits in their fractions (`CURRENT_TIMESTAMP` writes none). This is the shortest text of the instant, because it
    /// is a prefix of all others.
    #[must_use]
    pub fn stored_bound(self) -> TimestampText {
        let mut text = self.stored();
        text.len = text.trim_end_matches('0').len();
        if text.ends_with('.') {
            text.len = "YYYY-MM-DD HH:MM:SS".len();
        }
        text
    }

    /// `YYYY-MM-DDTHH:MM:SS.ffffffZ`, a date-time of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339).
    #[must_use]
    pub fn rfc3339(self) -> TimestampText {
        let datetime = Offset::UTC.to_datetime(self.instant());
        let mut bytes = *b"0000-00-00T00:00:00.000000Z";
        let mut put = |range: std::ops::Range<usize>, mut value: u32| {
            for byte in bytes[range].iter_mut().rev() {
                *byte = b'0' + u8::try_from(value % 10).unwrap_or(0);
                value /= 10;
            }
        };
        put(0..4, u32::from(datetime.year().unsigned_abs()));
        put(5..7, u32::from(datetime.month().unsigned_abs()));
        put(8..10, u32::from(datetime.day().unsigned_abs()));
        put(11..13, u32::from(datetime.hour().unsigned_abs()));
        put(14..16, u32::from(datetime.minute().unsigned_abs()));
        put(17..19, u32::from(datetime.second().unsigned_abs()));
        put(20..26, datetime.subsec_nanosecond().unsigned_abs() / 1000);
        TimestampText {
            bytes,
            len: bytes.len(),
        }
    }

    /// `YYYY-MM-DD HH:MM` in the time zone `zone`, for people.
    #[must_use]
    pub fn local(self, zone: &TimeZone) -> String {
        zone.to_datetime(self.instant())
            .strftime("%Y-%m-%d %H:%M")
            .to_string()
    }

    /// `YYYY-MM-DD HH:MM:SS` in the time zone `zone`, for `leadclicks watch`.
    #[must_use]
    pub fn local_seconds(self, zone: &TimeZone) -> String {
        zone.to_datetime(self.instant())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string()
    }

    /// The date in the time zone `zone`.
    #[must_use]
    pub fn date(self, zone: &TimeZone) -> civil::Date {
        zone.to_datetime(self.instant()).date()
    }

    /// The date in the time zone `zone` that begins with this instant; none if none does.
    pub(crate) fn begun_day(self, zone: &TimeZone) -> Option<civil::Date> {
        let date = self.date(zone);
        let begin = date.to_zoned(zone.clone()).ok()?;
        (Self::new(begin.timestamp()) == self).then_some(date)
    }

    /// The instant without its fraction of a second.
    #[must_use]
    pub(crate) fn second(self) -> Self {
        Self::from_micros(self.micros.div_euclid(1_000_000) * 1_000_000)
    }

    /// The time since `earlier`; zero if this is before `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros.abs_diff(earlier.micros.min(self.micros)))
    }

    /// The instant so long before.
    #[must_use]
    pub(crate) fn before(self, age: Duration) -> Self {
        let age_micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.micros.saturating_sub(age_micros))
    }

    /// The next instant; none after the last one.
    pub(crate) fn next(self) -> Option<Self> {
        (self.micros < MICROS_MAX).then_some(Self {
            micros: self.micros + 1,
        })
    }

    /// The instant so long after.
    #[must_use]
    pub(crate) fn after(self, time: Duration) -> Self {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.micros.saturating_add(micros))
    }

    pub(crate) fn micros(self) -> i64 {
        self.micros
    }

    /// The instant whose [`Timestamp::micros`] these are.
    pub(crate) fn from_micros(micros: i64) -> Self {
        Self {
            micros: micros.clamp(MICROS_MIN, MICROS_MAX),
        }
    }

    fn instant(self) -> jiff::Timestamp {
        // The range is that of jiff, so the fallback is never used.
        jiff::Timestamp::from_microsecond(self.micros).unwrap_or_default()
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

const STORED_LEN: usize = "YYYY-MM-DD HH:MM:SS.ffffff".len();

/// The text of a timestamp, on the stack, because a report formats one for each click.
#[derive(Clone, Copy)]
pub struct TimestampText {
    bytes: [u8; STORED_LEN + 1],
    len: usize,
}

impl std::ops::Deref for TimestampText {
    type Target = str;

    fn deref(&self) -> &str {
        // The bytes are always ASCII, so the fallback is never used.
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl fmt::Display for TimestampText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// The fast path for the form of nearly all rows.
fn parse_fixed(bytes: &[u8]) -> Option<civil::DateTime> {
    if bytes.len() != STORED_LEN
        || [
            bytes[4], bytes[7], bytes[10], bytes[13], bytes[16], bytes[19],
        ] != *b"-- ::."
    {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        bytes[range].iter().try_fold(0_i32, |value, byte| {
            byte.is_ascii_digit()
                .then(|| value * 10 + i32::from(byte - b'0'))
        })
    };
    let small = |range| i8::try_from(number(range)?).ok();
    civil::DateTime::new(
        i16::try_from(number(0..4)?).ok()?,
        small(5..7)?,
        small(8..10)?,
        small(11..13)?,
        small(14..16)?,
        small(17..19)?,
        number(20..26)? * 1000,
    )
    .ok()
}

/// The fast path for the form of RFC 3339 in reports.
fn parse_utc(bytes: &[u8]) -> Option<civil::DateTime> {
    let mut fixed: [u8; STORED_LEN] = bytes.strip_suffix(b"Z")?.try_into().ok()?;
    if fixed[10] != b'T' {
        return None;
    }
    fixed[10] = b' ';
    parse_fixed(&fixed)
}

/// Whether each character is of the kind that RFC 3339 requires at its position. The values are not checked.
fn has_rfc3339_form(bytes: &[u8]) -> bool {
    let matches = |bytes: &[u8], form: &[u8]| {
        bytes.len() == form.len()
            && bytes.iter().zip(form).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'T' => b"Tt ".contains(byte),
                b'+' => b"+-".contains(byte),
                form => byte == form,
            })
    };
    let Some((datetime, rest)) = bytes.split_at_checked("YYYY-MM-DDTHH:MM:SS".len()) else {
        return false;
    };
    let offset = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit());
            match digits.count() {
                0 => return false,
                digits => &fraction[digits..],
            }
        }
        _ => rest,
    };
    matches(datetime, b"0000-00-00T00:00:00")
        && (matches!(offset, b"Z" | b"z") || matches(offset, b"+00:00"))
}

/// The same text with a fraction of six digits instead of more, fewer or none. The other bytes are not checked.
fn with_six_digits(bytes: &[u8]) -> Option<[u8; STORED_LEN]> {
    let (_, fraction) = bytes.split_at_checked("YYYY-MM-DD HH:MM:SS".len())?;
    let surplus = bytes.get(STORED_LEN..).unwrap_or_default();
    if fraction == b"." || !surplus.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut fixed = *b"0000-00-00 00:00:00.000000";
    for (to, from) in fixed.iter_mut().zip(bytes) {
        *to = *from;
    }
    Some(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ends_of_the_range_have_their_text() {
        let text = |micros| Timestamp { micros }.rfc3339().to_string();
        assert_eq!(text(MICROS_MIN), "0000-01-01T00:00:00.000000Z");
        assert_eq!(text(MICROS_MAX), "9999-12-30T22:00:00.000000Z");
        assert_eq!(Timestamp::new(jiff::Timestamp::MIN).micros, MICROS_MIN);
        assert_eq!(Timestamp::new(jiff::Timestamp::MAX).micros, MICROS_MAX);
    }

    #[test]
    fn a_bound_is_the_shortest_text_of_its_instant() {
        let bound = |text| {
            Timestamp::parse_stored(text)
                .unwrap()
                .stored_bound()
                .to_string()
        };
        assert_eq!(bound("2026-11-01 10:00:00.000000"), "2026-11-01 10:00:00");
        assert_eq!(bound("2026-11-01 10:00:00.500000"), "2026-11-01 10:00:00.5");
        assert_eq!(
            bound("2026-11-01 10:00:00.000010"),
            "2026-11-01 10:00:00.00001"
        );
    }

    #[test]
    fn times_that_other_programs_store_are_read_as_utc() {
        let expected = Timestamp::parse_stored("2026-11-01 09:30:00.000000");
        assert!(expected.is_some());
        for text in [
            "2026-11-01 09:30:00",
            "2026-11-01 09:30:00.000",
            "2026-11-01 09:30:00.000000999",
        ] {
            assert_eq!(Timestamp::parse_stored(text), expected, "{text}");
        }
        let never = Timestamp::parse_stored("9999-12-31 23:59:59.000000");
        assert_eq!(never, Some(Timestamp { micros: MICROS_MAX }));
        for text in [
            "",
            "now",
            "1761989400",
            "2026-13-01 09:30:00.000000",
            "2026-11-01 09:30:0x.000000",
            "2026-11-01T09:30:00",
            "2026-11-01T09:30:00Z",
            "2026-11-01 10:30:00+01:00",
            "2026-11-01 10:30:00-01:00",
            "2026-11-01",
            "2026-11-01 09",
            "2026-11-01 09:30",
            "2026-11-01 093000",
            "2026-11-01 093000.000000",
            "2026-11-01 09:30:00.",
        ] {
            assert_eq!(Timestamp::parse_stored(text), None, "{text}");
        }
    }

    #[test]
    fn any_offset_of_rfc_3339_is_accepted() {
        let read = |text| Some(Timestamp::parse_rfc3339(text)?.rfc3339().to_string());
        for (text, utc) in [
            ("2026-11-01T09:30:00.123456Z", "2026-11-01T09:30:00.123456Z"),
            (
                "2026-11-01T09:30:00.123456789Z",
                "2026-11-01T09:30:00.123456Z",
            ),
            ("2026-11-01T09:30:00.5+02:00", "2026-11-01T07:30:00.500000Z"),
            ("2026-11-01T09:30:00-00:30", "2026-11-01T10:00:00.000000Z"),
            ("2026-11-01 09:30:00z", "2026-11-01T09:30:00.000000Z"),
            ("2026-11-01t09:30:00Z", "2026-11-01T09:30:00.000000Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(utc), "{text}");
        }
        for text in [
            "",
            "2026-11-01T09:30:00",
            "2026-11-01T09:30:00.Z",
            "2026-11-01T09:30:00,5Z",
            "2026-11-01T09:30Z",
            "2026-11-01T09:30:00+0200",
            "2026-11-01T09:30:00+02",
            "2026-11-01T09:30:00Z[UTC]",
            "20261101T093000Z",
            "2026-13-01T09:30:00.000000Z",
            "2026-11-01T24:30:00Z",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59.000000Z",
            "-000001-01-01T00:00:00Z",
            "2026-11-01T09:30:00\u{661}Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_rfc_3339_text_reads_back(micros in MICROS_MIN..=MICROS_MAX) {
            let timestamp = Timestamp { micros };
            prop_assert_eq!(Timestamp::parse_rfc3339(&timestamp.rfc3339()), Some(timestamp));
        }

        #[test]
        fn any_text_is_a_time_or_rejected(text in "[-+0-9TZtz:. ]{0,34}|.{0,34}") {
            let _ = Timestamp::parse_rfc3339(&text);
        }

        #[test]
        fn the_stored_text_reads_back_and_sorts_as_the_instants_do(
            first in MICROS_MIN + 1..MICROS_MAX,
            second in MICROS_MIN..MICROS_MAX,
        ) {
            let [first, second] = [first, second].map(|micros| Timestamp { micros });
            prop_assert_eq!(Timestamp::parse_stored(&first.stored()), Some(first));
            prop_assert_eq!(first.stored().cmp(&second.stored()), first.cmp(&second));
            prop_assert!(*first.stored_bound() <= *first.stored());
            let earlier = Timestamp { micros: first.micros - 1 };
            prop_assert!(*earlier.stored() < *first.stored_bound());
        }
    }
}
