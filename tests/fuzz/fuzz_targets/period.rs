//! An argument of `--since` or `--until` is rejected, or is a period whose ends a database can contain.
#![no_main]

use std::sync::LazyLock;

use jiff::{Zoned, tz::TimeZone};
use leadclicks::{cli::Period, timestamp::Timestamp};
use libfuzzer_sys::fuzz_target;

/// Half past nine on the Monday after Berlin's clocks went back.
static NOW: LazyLock<Zoned> = LazyLock::new(|| {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a time zone");
    let now: jiff::Timestamp = "2026-10-26T08:30:00Z".parse().expect("a time");
    now.to_zoned(zone)
});

fuzz_target!(|text: &str| {
    let Ok(period) = text.parse::<Period>() else {
        return;
    };
    let (Ok(begin), Ok(end)) = (period.begin(&NOW), period.end(&NOW)) else {
        return;
    };
    let no_days = matches!(period, Period::LastDays(span) if span.is_zero());
    assert!(begin <= end || no_days, "{text}");
    for timestamp in [begin, end] {
        let written = timestamp.rfc3339();
        assert!(
            ("0000-01-01"..="9999-12-31").contains(&&written[..10]),
            "{text} is {}",
            &*written
        );
        assert_eq!(resolved(&written), timestamp, "{text}");
    }
    match period {
        Period::LastHours(_) => assert_eq!(end, Timestamp::new(NOW.timestamp()), "{text}"),
        Period::Exact(exact) => assert_eq!(begin, Timestamp::new(exact)),
        // A local time is shown as it was given, or one hour later if the clocks skipped it.
        Period::Local(datetime) => {
            let shown = begin.local(NOW.time_zone());
            let given = |hours: i64| {
                let datetime = datetime.saturating_add(jiff::Span::new().hours(hours));
                datetime.strftime("%Y-%m-%d %H:%M").to_string()
            };
            assert!(
                shown == given(0) || shown == given(1),
                "{text} is shown as {shown}"
            );
        }
        _ => {}
    }
});

fn resolved(text: &str) -> Timestamp {
    let period: Period = text.parse().expect("a time of a report is accepted");
    period
        .begin(&NOW)
        .expect("it was within the years 0 to 9999")
}
