//! Writes reports as tables and pages for people, and as CSV, JSON and NDJSON for programs.
//!
//! A format is one file that implements [`Format`], and one line in `cli::admin::format`.

mod asked;
pub(crate) mod csv;
pub(crate) mod html;
mod ink;
pub(crate) mod json;
pub(crate) mod lines;
pub(crate) mod ndjson;
pub(crate) mod prometheus;
mod rows;
pub(crate) mod summary;
pub(crate) mod table;

use std::io::{self, Write};

use crate::{
    expert::Expert,
    reports::{ByDay, ByLead, Ranking, Timeline},
    storage::Finding,
};
use rows::List;

pub(crate) use asked::{Asked, period};
pub(crate) use ink::ColorMode;

/// A report of any kind.
#[derive(Debug)]
pub(crate) enum Report {
    ByLead(ByLead),
    /// A row for each lead.
    Leads(ByLead),
    Timeline(Timeline),
    Ranking(Ranking),
    ByDay(ByDay),
    Experts(Vec<Expert>),
    /// The findings about the database with this name.
    Check {
        name: String,
        findings: Vec<Finding>,
    },
}

impl Report {
    /// Whether the report has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.list().all == 0
    }

    fn list(&self) -> List<'_> {
        match self {
            Self::ByLead(report) => rows::by_lead(report),
            Self::Leads(report) => rows::leads(report),
            Self::Timeline(report) => rows::timeline(report),
            Self::Ranking(report) => rows::ranking(report),
            Self::ByDay(report) => rows::by_day(report),
            Self::Experts(experts) => rows::experts(experts),
            Self::Check { findings, .. } => rows::findings(findings),
        }
    }
}

/// An output format.
pub(crate) trait Format {
    /// Writes `report` and flushes `out`. CSV and NDJSON have no place for what was `asked`.
    ///
    /// # Errors
    /// When `out` can't be written to.
    fn write(&self, report: &Report, asked: &Asked, out: &mut impl Write) -> io::Result<()>;
}

/// `1 lead`, `2 leads`, `2 searches`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {}", plural(number, noun))
}

fn plural(number: u64, noun: &str) -> String {
    let ending = match number {
        1 => "",
        _ if noun.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{noun}{ending}")
}

/// The change in percent, as in `+13%`, or `=`; none if there was nothing before.
fn change(now: u64, before: u64) -> Option<String> {
    if before == 0 {
        return None;
    }
    if now == before {
        return Some("=".to_owned());
    }
    let (now, before) = (i128::from(now), i128::from(before));
    // Rounded half up.
    let percent = ((now - before) * 200 + before).div_euclid(2 * before);
    Some(format!("{percent:+}%"))
}

/// A count in the period before, with the change since, as in `8 (+13%)`, or `new`.
fn before(now: u64, before: u64) -> String {
    match change(now, before) {
        Some(change) => format!("{before} ({change})"),
        None => "new".to_owned(),
    }
}

/// A share for programs: rounded to four decimal places.
fn rounded(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::before;
    use crate::{
        click::Click,
        import::clicks::{Format, Options, parse},
        reports::ClickRow,
        text::spreadsheet::Cells,
        timestamp::Timestamp,
    };
    use proptest::prelude::*;

    #[test]
    fn a_change_is_shown_in_percent() {
        let changes = [(1, 0), (0, 8), (8, 8), (9, 8), (7, 8), (24, 8)];
        let shown = changes.map(|(now, then)| before(now, then));
        assert_eq!(
            shown,
            [
                "new",
                "8 (-100%)",
                "8 (=)",
                "8 (+13%)",
                "8 (-12%)",
                "8 (+200%)"
            ]
        );
    }

    /// Clicks with their times, many at the same one.
    pub(super) fn clicks() -> impl Strategy<Value = Vec<(Click, Timestamp)>> {
        let email = "['=+a-z\"\u{feff}]{1,4}@\\PC{1,4}".prop_filter("an email", |email| {
            Click::new(email, "jdoe", String::new()).is_ok()
        });
        let username = "['=+@-]{0,3}\\PC{0,9}x";
        let search = "['=+@\t\r\n\",-]{0,5}|.{0,9}|[\\x00-\\x7f]{0,9}";
        let click =
            (email, username, search, 0_i64..4).prop_map(|(email, username, search, second)| {
                let click = Click::new(&email, &username, search).expect("a click");
                (click, Timestamp::from_micros(second * 1_234_567))
            });
        prop::collection::vec(click, 0..6)
    }

    pub(super) fn row(click: &Click, created_at: Timestamp) -> ClickRow<'_> {
        ClickRow {
            email: click.email(),
            expert_username: click.expert_username(),
            expert_name: "Jane, \"Doe\"",
            search_query: click.search_query(),
            created_at,
        }
    }

    /// Asserts that a file of these clicks is imported unchanged: oldest first, and in reverse order if the time is the same.
    pub(super) fn assert_imported(
        file: &[u8],
        format: Format,
        cells: Cells,
        clicks: &[(Click, Timestamp)],
    ) {
        let now = clicks.iter().map(|(_, created_at)| *created_at).max();
        let now = now.unwrap_or(Timestamp::EPOCH);
        let options = Options {
            format: Some(format),
            cells,
            ..Options::default()
        };
        let imported = parse(file, &options, || now, &mut |_| ()).expect("clicks");
        let mut expected: Vec<_> = clicks.iter().rev().cloned().collect();
        expected.sort_by_key(|(_, created_at)| *created_at);
        assert!(imported.iter().eq(expected));
    }
}
