//! A text in the database is rejected, or is a time that reads back unchanged and sorts as text in the order of its instant.
#![no_main]

use jiff::{civil::DateTime, tz::Offset};
use leadclicks::timestamp::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some(timestamp) = Timestamp::parse_stored(text) else {
        return;
    };
    assert_eq!(
        Timestamp::parse_stored(&timestamp.stored()),
        Some(timestamp)
    );
    assert!(
        *timestamp.stored_bound() <= *text,
        "{text} sorts before {}",
        &*timestamp.stored_bound()
    );
    if let Ok(datetime) = text.parse::<DateTime>() {
        let end = jiff::Timestamp::MAX;
        let instant = Offset::UTC.to_timestamp(cut(datetime)).unwrap_or(end);
        assert_eq!(timestamp, Timestamp::new(instant), "{text}");
    }
    assert!(has_the_form(text), "{text}");
});

/// Truncated to microseconds, which is the most that leadclicks stores.
fn cut(datetime: DateTime) -> DateTime {
    let micros = datetime.subsec_nanosecond() / 1000;
    let cut = datetime.with().subsec_nanosecond(micros * 1000).build();
    cut.expect("a valid time with fewer digits")
}

/// `YYYY-MM-DD HH:MM:SS`, and a fraction of at least one digit or none.
fn has_the_form(text: &str) -> bool {
    let digits_as_zeros = text.replace(|c: char| c.is_ascii_digit(), "0");
    match digits_as_zeros.strip_prefix("0000-00-00 00:00:00") {
        Some("") => true,
        Some(fraction) => fraction.starts_with(".0") && fraction[1..].trim_matches('0').is_empty(),
        None => false,
    }
}
