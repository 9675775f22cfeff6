//! What a report was asked for that is not in its rows: every format shows it.

use jiff::tz::TimeZone;

use super::{change, counted};
use crate::{
    reports::{Comparison, Segment},
    storage::{EmailFilter, Window},
    text::visible,
    timestamp::Timestamp,
};

/// What was asked for. The formats for people and JSON contain it; for CSV and NDJSON it is printed to standard error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) window: Window,
    pub(crate) segment: Segment,
    /// The leads whose clicks are left out.
    pub(crate) excluded: Vec<EmailFilter>,
    /// The period before, if the report is compared with it.
    pub(crate) comparison: Option<Comparison>,
}

impl Asked {
    /// A line for each part; none for a report on everything.
    pub(crate) fn notes(&self, zone: &TimeZone) -> Vec<String> {
        let period = period(self.window, zone).map(|period| format!("period: {period}"));
        let excluded = self.excluded().map(|emails| format!("excluded: {emails}"));
        let before = self
            .before(zone)
            .map(|before| format!("period before: {before}"));
        [period, before, excluded].into_iter().flatten().collect()
    }
}

impl Asked {
    /// The period before with its totals, and how they have changed; none if the report is not compared.
    pub(super) fn before(&self, zone: &TimeZone) -> Option<String> {
        let comparison = self.comparison?;
        let window = period(comparison.window, zone)?;
        Some(format!("{window}, {}", totals_before(comparison)))
    }

    /// The leads whose clicks are left out; none if there are none.
    pub(super) fn excluded(&self) -> Option<String> {
        let emails: Vec<String> = self.excluded.iter().map(EmailFilter::to_string).collect();
        (!emails.is_empty()).then(|| visible(&emails.join(", ")).into_owned())
    }
}

/// The totals of the period before, and how they have changed.
pub(super) fn totals_before(comparison: Comparison) -> String {
    let Comparison { now, before, .. } = comparison;
    let clicks = counted(before.clicks, "click");
    let leads = counted(before.leads, "lead");
    let change = |now, before, noun: &str| {
        let change = change(now, before)?;
        let change = if now == before { "as many" } else { &*change };
        Some(format!("{change} {noun}"))
    };
    let changes = [
        change(now.clicks, before.clicks, "clicks"),
        change(now.leads, before.leads, "leads"),
    ];
    let changes: Vec<String> = changes.into_iter().flatten().collect();
    match &*changes {
        [] => format!("{clicks} by {leads}"),
        changes => format!("{clicks} by {leads}; now {}", changes.join(", ")),
    }
}

/// The window for people; none if it has no end. Whole days are days: `Mon 2026-11-23 to Sun 2026-11-29`.
pub(crate) fn period(window: Window, zone: &TimeZone) -> Option<String> {
    let day = |at: Timestamp| Some(at.begun_day(zone)?.strftime("%a %Y-%m-%d").to_string());
    let since = window
        .since
        .map(|since| day(since).unwrap_or_else(|| since.local(zone)));
    // The last day inside, if the window ends with a day.
    let last = window.until.and_then(|until| {
        let last = until.begun_day(zone)?.yesterday().ok()?;
        Some(last.strftime("%a %Y-%m-%d").to_string())
    });
    let before = window.until.map(|until| until.local(zone));
    match (since, last, before) {
        (None, None, None) => None,
        (Some(since), None, None) => Some(format!("since {since}")),
        (Some(since), Some(last), _) if since == last => Some(since),
        (Some(since), Some(end), _) | (Some(since), None, Some(end)) => {
            Some(format!("{since} to {end}"))
        }
        (None, Some(last), _) => Some(format!("until {last}")),
        (None, None, Some(before)) => Some(format!("before {before}")),
    }
}
