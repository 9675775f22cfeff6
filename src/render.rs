//! Reports as text: tables and pages for people, CSV, JSON and NDJSON for programs.
//!
//! Renderers know no SQL and write wherever they are told to; rows leave as they come wherever the report allows.

pub(crate) mod csv;
pub(crate) mod html;
mod ink;
pub(crate) mod json;
pub(crate) mod lines;
pub(crate) mod summary;
pub(crate) mod table;

pub(crate) use ink::Ink;

/// `1 lead`, `2 leads`, `2 searches`.
#[must_use]
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

/// A share of the whole as programs get it: four digits after the point.
fn rounded(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use crate::{
        click::Click,
        import::clicks::{Format, parse},
        reports::ClickRow,
        text::spreadsheet::Cells,
        timestamp::Timestamp,
    };
    use proptest::prelude::*;

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

    /// Whether a file of these clicks is read as them: oldest first, and from the end where the time is the same.
    pub(super) fn assert_imported(
        file: &[u8],
        format: Format,
        cells: Cells,
        clicks: &[(Click, Timestamp)],
    ) {
        let now = clicks.iter().map(|(_, created_at)| *created_at).max();
        let now = now.unwrap_or(Timestamp::from_micros(0));
        let imported = parse(file, Some(format), cells, || now, &mut |_| ()).expect("clicks");
        let mut expected: Vec<_> = clicks.iter().rev().cloned().collect();
        expected.sort_by_key(|(_, created_at)| *created_at);
        assert!(imported.iter().eq(expected));
    }
}
