//! CSV: a row a click, the header always, the same columns in both reports.

use std::{borrow::Cow, io};

use super::rounded;
use crate::{
    expert::Expert,
    reports::{ByDay, ByLead, ClickRow, RankBy, Ranking, Timeline},
    text::spreadsheet::Cells,
};

/// Writes all clicks of the report that are shown, lead by lead.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn by_email(out: impl io::Write, report: &ByLead, cells: Cells) -> io::Result<()> {
    let mut clicks = Clicks::new(out, cells)?;
    for lead in report.leads() {
        for click in lead.clicks() {
            clicks.write(&click)?;
        }
    }
    clicks.writer.flush()
}

/// Writes the clicks of a timeline as they are read.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn timeline(out: impl io::Write, report: &Timeline, cells: Cells) -> io::Result<()> {
    let mut clicks = Clicks::new(out, cells)?;
    for click in report.clicks() {
        clicks.write(&click)?;
    }
    clicks.writer.flush()
}

/// Writes a row an expert or a search.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn ranking(out: impl io::Write, report: &Ranking, cells: Cells) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let subject: &[&str] = match report.by() {
        RankBy::Expert => &["expert_username", "expert_name"],
        RankBy::Query => &["search_query"],
    };
    record(
        &mut writer,
        &[subject, &["clicks", "leads", "share", "latest_click_at"]].concat(),
    )?;
    for ranked in report.ranked() {
        let mut row = vec![cells.write(&ranked.subject)];
        if report.by() == RankBy::Expert {
            row.push(cells.write(report.names().display_name(&ranked.subject)));
        }
        row.extend([
            ranked.clicks.to_string().into(),
            ranked.leads.to_string().into(),
            rounded(report.share(ranked)).to_string().into(),
            ranked.latest_at.rfc3339().to_string().into(),
        ]);
        record(&mut writer, &row)?;
    }
    writer.flush()
}

/// Writes a row a day.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn by_day(out: impl io::Write, report: &ByDay) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    record(&mut writer, &["day", "clicks", "leads"])?;
    for day in report.days() {
        let cells = [
            day.date.to_string(),
            day.clicks.to_string(),
            day.leads.to_string(),
        ];
        record(&mut writer, &cells)?;
    }
    writer.flush()
}

/// Writes experts with the columns that `experts import` reads.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn experts(out: impl io::Write, experts: &[Expert], cells: Cells) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    record(&mut writer, &["username", "first_name", "last_name"])?;
    for expert in experts {
        let row = [&expert.username, &expert.first_name, &expert.last_name];
        record(&mut writer, &row.map(|text| cells.write(text)))?;
    }
    writer.flush()
}

struct Clicks<W: io::Write> {
    writer: csv::Writer<W>,
    cells: Cells,
}

impl<W: io::Write> Clicks<W> {
    fn new(out: W, cells: Cells) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        record(
            &mut writer,
            &[
                "email",
                "expert_username",
                "expert_name",
                "search_query",
                "created_at",
            ],
        )?;
        Ok(Self { writer, cells })
    }

    fn write(&mut self, click: &ClickRow<'_>) -> io::Result<()> {
        let created_at = click.created_at.rfc3339();
        record(
            &mut self.writer,
            &[
                self.cells.write(click.email),
                self.cells.write(click.expert_username),
                self.cells.write(click.expert_name),
                self.cells.write(click.search_query),
                Cow::Borrowed(&*created_at),
            ],
        )
    }
}

fn record<W: io::Write>(writer: &mut csv::Writer<W>, cells: &[impl AsRef<str>]) -> io::Result<()> {
    let cells = cells.iter().map(AsRef::as_ref).map(str::as_bytes);
    writer
        .write_record(cells)
        .map_err(|error| match error.into_kind() {
            // The csv crate's own conversion hides the kind, by which a reader that has left is known.
            csv::ErrorKind::Io(error) => error,
            _ => io::ErrorKind::InvalidData.into(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        import::clicks::Format,
        render::tests::{assert_imported, clicks},
    };
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_imported_as_it_was(clicks in clicks()) {
            for (guard, cells) in [(Cells::Guarded, Cells::Guarded), (Cells::Raw, Cells::Raw)] {
                let mut file = Vec::new();
                let mut writer = Clicks::new(&mut file, guard).unwrap();
                for (click, created_at) in &clicks {
                    writer.write(&crate::render::tests::row(click, *created_at)).unwrap();
                }
                writer.writer.flush().unwrap();
                drop(writer);
                assert_imported(&file, Format::Csv, cells, &clicks);
            }
        }
    }
}
