//! CSV: a row a click, the header always, the same columns in both reports.

use std::{borrow::Cow, io};

use super::{Error, Next, for_each_row, rounded};
use crate::{
    experts::Expert,
    report::{ByDay, ByEmail, ClickRow, RankBy, Ranking, Timeline},
    spreadsheet,
};

/// What happens to a cell that a spreadsheet would run as a formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// It gets a `'` before it; see [`spreadsheet`].
    Quote,
    /// It stays as it is, for programs.
    Off,
}

impl Guard {
    fn apply(self, cell: &str) -> Cow<'_, str> {
        match self {
            Self::Quote => spreadsheet::guarded(cell),
            Self::Off => Cow::Borrowed(cell),
        }
    }
}

/// Writes all clicks of the report that are shown, lead by lead.
///
/// # Errors
/// When `out` takes no more.
pub fn by_email(out: impl io::Write, report: &ByEmail, guard: Guard) -> Result<(), Error> {
    let mut clicks = Clicks::new(out, guard)?;
    for lead in report.leads() {
        for click in lead.clicks() {
            clicks.write(&click)?;
        }
    }
    Ok(clicks.writer.flush()?)
}

/// Writes the clicks of a timeline as they are read.
///
/// # Errors
/// When `out` takes no more, or the database can't be read on.
pub fn timeline(out: impl io::Write, report: Timeline<'_>, guard: Guard) -> Result<(), Error> {
    let mut clicks = Clicks::new(out, guard)?;
    for_each_row(report, |next| match next {
        Next::Row(click) => clicks.write(click),
        Next::Wait => clicks.writer.flush(),
    })?;
    Ok(clicks.writer.flush()?)
}

/// Writes a row an expert or a search.
///
/// # Errors
/// When `out` takes no more.
pub fn ranking(out: impl io::Write, report: &Ranking, guard: Guard) -> Result<(), Error> {
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
        let mut cells = vec![guard.apply(&ranked.subject)];
        if report.by() == RankBy::Expert {
            cells.push(guard.apply(report.names().of(&ranked.subject)));
        }
        cells.extend([
            ranked.clicks.to_string().into(),
            ranked.leads.to_string().into(),
            rounded(report.share(ranked)).to_string().into(),
            ranked.latest_at.rfc3339().to_string().into(),
        ]);
        record(&mut writer, &cells)?;
    }
    Ok(writer.flush()?)
}

/// Writes a row a day.
///
/// # Errors
/// When `out` takes no more.
pub fn by_day(out: impl io::Write, report: &ByDay) -> Result<(), Error> {
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
    Ok(writer.flush()?)
}

/// Writes experts with the columns that `experts import` reads.
///
/// # Errors
/// When `out` takes no more.
pub fn experts(out: impl io::Write, experts: &[Expert], guard: Guard) -> Result<(), Error> {
    let mut writer = csv::Writer::from_writer(out);
    record(&mut writer, &["username", "first_name", "last_name"])?;
    for expert in experts {
        let cells = [&expert.username, &expert.first_name, &expert.last_name];
        record(&mut writer, &cells.map(|cell| guard.apply(cell)))?;
    }
    Ok(writer.flush()?)
}

struct Clicks<W: io::Write> {
    writer: csv::Writer<W>,
    guard: Guard,
}

impl<W: io::Write> Clicks<W> {
    fn new(out: W, guard: Guard) -> io::Result<Self> {
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
        Ok(Self { writer, guard })
    }

    fn write(&mut self, click: &ClickRow<'_>) -> io::Result<()> {
        let created_at = click.created_at.rfc3339();
        record(
            &mut self.writer,
            &[
                self.guard.apply(click.email),
                self.guard.apply(click.expert_username),
                self.guard.apply(click.expert_name),
                self.guard.apply(click.search_query),
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
        import::clicks::{Cells, Format},
        render::tests::{assert_imported, clicks},
    };
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_imported_as_it_was(clicks in clicks()) {
            for (guard, cells) in [(Guard::Quote, Cells::Guarded), (Guard::Off, Cells::Raw)] {
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
