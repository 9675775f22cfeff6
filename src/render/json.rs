//! JSON: one object in the shapes of frontend/src/admin/types.ts.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::{
    Asked, Format, Report, rounded,
    rows::{self, Column, List, Value},
};
use crate::{
    reports::{ByLead, Summary},
    storage::{EmailFilter, Window},
};

/// The JSON format. Text is exact.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Json;

impl Format for Json {
    fn write(&self, report: &Report, asked: &Asked, out: &mut impl Write) -> io::Result<()> {
        let mut object = Object::begin(out)?;
        object.asked(asked)?;
        match report {
            Report::ByLead(report) => by_lead(&mut object, report)?,
            _ => object.list(&report.list())?,
        }
        object.finish()
    }
}

impl Json {
    /// Writes an object with everything that the screen of the summary has.
    ///
    /// # Errors
    /// When `out` can't be written to.
    pub(crate) fn summary(
        out: &mut impl Write,
        summary: &Summary,
        asked: &Asked,
    ) -> io::Result<()> {
        let overall = &summary.overall;
        let mut object = Object::begin(out)?;
        object.asked(asked)?;
        object.columns(&rows::totals(overall.totals))?;
        object.value("experts", &overall.experts)?;
        object.value("first_click_at", &overall.first_at)?;
        object.value("latest_click_at", &overall.latest_at)?;
        for (name, totals) in [
            ("this_week", summary.this_week),
            ("last_week_by_now", summary.last_week_by_now),
            ("last_week", summary.last_week),
            ("week_before_last", summary.week_before_last),
        ] {
            object.name(name)?;
            self::object(object.out, rows::totals(totals).iter())?;
        }
        object.rows("days", &rows::days(&summary.days))?;
        object.rows("top_experts", &rows::ranking(&summary.top_experts))?;
        object.rows("top_queries", &rows::ranking(&summary.top_queries))?;
        object.rows("newest_leads", &rows::new_leads(&overall.newest_leads))?;
        object.finish()
    }
}

fn by_lead(object: &mut Object<'_, impl Write>, report: &ByLead) -> io::Result<()> {
    object.name("leads")?;
    object.out.write_all(b"[")?;
    for (number, lead) in report.leads().enumerate() {
        if number > 0 {
            object.out.write_all(b",")?;
        }
        let mut object = Object::begin(object.out)?;
        object.list(&rows::of_lead(&lead, u64::MAX))?;
        object.end()?;
    }
    object.out.write_all(b"]")
}

/// Writes an object with the values of `columns`.
pub(super) fn object<'r, 'c: 'r>(
    out: &mut impl Write,
    columns: impl Iterator<Item = &'r Column<'c>>,
) -> io::Result<()> {
    let mut object = Object::begin(out)?;
    for column in columns {
        object.column(column)?;
    }
    object.end()
}

/// An object that is written field by field.
struct Object<'a, W> {
    out: &'a mut W,
    is_empty: bool,
}

impl<'a, W: Write> Object<'a, W> {
    fn begin(out: &'a mut W) -> io::Result<Self> {
        out.write_all(b"{")?;
        Ok(Self {
            out,
            is_empty: true,
        })
    }

    fn end(self) -> io::Result<()> {
        self.out.write_all(b"}")
    }

    /// Ends the outermost object.
    fn finish(self) -> io::Result<()> {
        self.out.write_all(b"}\n")?;
        self.out.flush()
    }

    /// Writes a field's name, which needs no escapes.
    fn name(&mut self, name: &str) -> io::Result<()> {
        let before: &[u8] = if self.is_empty { b"\"" } else { b",\"" };
        self.is_empty = false;
        self.out.write_all(before)?;
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(b"\":")
    }

    fn value(&mut self, name: &str, value: &impl Serialize) -> io::Result<()> {
        self.name(name)?;
        Ok(serde_json::to_writer(&mut *self.out, value)?)
    }

    fn column(&mut self, column: &Column<'_>) -> io::Result<()> {
        column
            .values()
            .try_for_each(|(name, value)| self.value(name, &value))
    }

    fn columns(&mut self, columns: &[Column<'_>]) -> io::Result<()> {
        columns.iter().try_for_each(|column| self.column(column))
    }

    /// Writes what was asked for, if it was.
    fn asked(&mut self, asked: &Asked) -> io::Result<()> {
        let Window { since, until } = asked.window;
        for (name, end) in [("since", since), ("until", until)] {
            if let Some(end) = end {
                self.value(name, &end)?;
            }
        }
        if let Some(comparison) = asked.comparison {
            self.name("before")?;
            let mut object = Object::begin(self.out)?;
            let Window { since, until } = comparison.window;
            object.value("since", &since)?;
            object.value("until", &until)?;
            object.columns(&rows::totals(comparison.before))?;
            object.end()?;
        }
        if !asked.excluded.is_empty() {
            let excluded = asked.excluded.iter().map(EmailFilter::to_string);
            self.value("excluded", &excluded.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Writes the fields before a list, and the list.
    fn list(&mut self, list: &List<'_>) -> io::Result<()> {
        self.columns(list.subject.as_slice())?;
        self.columns(&list.head)?;
        self.rows(list.name, list)
    }

    fn rows(&mut self, name: &str, list: &List<'_>) -> io::Result<()> {
        self.name(name)?;
        let mut before: &[u8] = b"[";
        (list.rows)(&mut |row| {
            self.out.write_all(before)?;
            before = b",";
            object(self.out, list.without_subject(row))
        })?;
        if before == b"[" {
            self.out.write_all(before)?;
        }
        self.out.write_all(b"]")
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Share(share) => serializer.serialize_f64(rounded(*share)),
            Self::Time(time) => time.serialize(serializer),
            Self::Day(date) => serializer.collect_str(date),
        }
    }
}
