//! JSON in the shapes that frontend programs know, and NDJSON with a flat object a click. Both are exact: no
//! character is changed.

use std::io::{self, Write};

use serde::Serialize;

use super::{Error, for_each_row};
use crate::{
    experts::Expert,
    report::{ByEmail, ByExpert, ClickRow},
    timestamp::Timestamp,
};

/// Writes `{"leads":[{"email":…,"clicks":[…]}]}` and a line break.
///
/// # Errors
/// When `out` takes no more.
pub fn by_email(mut out: impl Write, report: &ByEmail) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Click<'a> {
        expert_username: &'a str,
        expert_name: &'a str,
        search_query: &'a str,
        created_at: Timestamp,
    }
    let mut leads = List::begin(&mut out, b"{\"leads\":[")?;
    for lead in report.leads() {
        leads.separate()?;
        leads.out.write_all(b"{\"email\":")?;
        value(leads.out, lead.email())?;
        let mut clicks = List::begin(leads.out, b",\"clicks\":[")?;
        for click in lead.clicks() {
            clicks.item(&Click {
                expert_username: click.expert_username,
                expert_name: click.expert_name,
                search_query: click.search_query,
                created_at: click.created_at,
            })?;
        }
        clicks.out.write_all(b"]}")?;
    }
    out.write_all(b"]}\n")?;
    Ok(out.flush()?)
}

/// Writes `{"expert_username":…,"expert_name":…,"clicks":[…]}` and a line break, the clicks as they are read.
///
/// # Errors
/// When `out` takes no more, or the database can't be read on.
pub fn by_expert(mut out: impl Write, report: ByExpert<'_>) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Click<'a> {
        email: &'a str,
        search_query: &'a str,
        created_at: Timestamp,
    }
    out.write_all(b"{\"expert_username\":")?;
    value(&mut out, report.username())?;
    out.write_all(b",\"expert_name\":")?;
    value(&mut out, report.name())?;
    let mut clicks = List::begin(&mut out, b",\"clicks\":[")?;
    for_each_row(report, |click| {
        clicks.item(&Click {
            email: click.email,
            search_query: click.search_query,
            created_at: click.created_at,
        })
    })?;
    out.write_all(b"]}\n")?;
    Ok(out.flush()?)
}

/// Writes `{"experts":[{"username":…,"first_name":…,"last_name":…}]}` and a line break.
///
/// # Errors
/// When `out` takes no more.
pub fn experts(mut out: impl Write, experts: &[Expert]) -> Result<(), Error> {
    let mut list = List::begin(&mut out, b"{\"experts\":[")?;
    for expert in experts {
        list.item(expert)?;
    }
    out.write_all(b"]}\n")?;
    Ok(out.flush()?)
}

/// Writes a line a click, each an object with the same fields as the CSV's columns.
///
/// # Errors
/// When `out` takes no more.
pub fn by_email_lines(mut out: impl Write, report: &ByEmail) -> Result<(), Error> {
    for lead in report.leads() {
        for click in lead.clicks() {
            line(&mut out, &click)?;
        }
    }
    Ok(out.flush()?)
}

/// Writes a line a click as they are read, as [`by_email_lines`] does.
///
/// # Errors
/// When `out` takes no more, or the database can't be read on.
pub fn by_expert_lines(mut out: impl Write, report: ByExpert<'_>) -> Result<(), Error> {
    for_each_row(report, |click: &ClickRow<'_>| line(&mut out, click))?;
    Ok(out.flush()?)
}

/// Writes a line an expert.
///
/// # Errors
/// When `out` takes no more.
pub fn expert_lines(mut out: impl Write, experts: &[Expert]) -> Result<(), Error> {
    for expert in experts {
        line(&mut out, expert)?;
    }
    Ok(out.flush()?)
}

/// A JSON array that is written item by item.
struct List<'a, W> {
    out: &'a mut W,
    is_empty: bool,
}

impl<'a, W: Write> List<'a, W> {
    fn begin(out: &'a mut W, opening: &[u8]) -> io::Result<Self> {
        out.write_all(opening)?;
        Ok(Self {
            out,
            is_empty: true,
        })
    }

    fn separate(&mut self) -> io::Result<()> {
        if !self.is_empty {
            self.out.write_all(b",")?;
        }
        self.is_empty = false;
        Ok(())
    }

    fn item(&mut self, item: &impl Serialize) -> io::Result<()> {
        self.separate()?;
        value(self.out, item)
    }
}

fn value(out: &mut impl Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    Ok(serde_json::to_writer(out, value)?)
}

fn line(out: &mut impl Write, item: &impl Serialize) -> io::Result<()> {
    value(out, item)?;
    out.write_all(b"\n")
}
