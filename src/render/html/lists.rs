//! The lists of a page: leads with their clicks, or rows.

use std::{
    io::{self, Write},
    num::NonZeroU64,
};

use jiff::tz::TimeZone;

use super::{
    ROWS_MAX,
    text::{Domain, Email, Expert, Number, Search, Text, counted},
};
use crate::{
    render::{
        self,
        rows::{self, Cell, Column, List},
        table::percent,
    },
    reports::{ByLead, Lead, Ranking},
    timestamp::Timestamp,
};

/// Writes the leads, folded, up to `clicks_max` clicks in total.
pub(super) fn leads(
    out: &mut impl Write,
    report: &ByLead,
    clicks_max: NonZeroU64,
    zone: &TimeZone,
) -> io::Result<()> {
    let mut clicks_left = clicks_max.get();
    let mut clicks_of_shown = 0;
    let mut shown = 0;
    out.write_all(b"<div class=\"leads\">\n")?;
    for lead in report.leads() {
        if clicks_left == 0 {
            break;
        }
        write_lead(out, &lead, clicks_left, zone)?;
        clicks_left = clicks_left.saturating_sub(lead.click_count());
        clicks_of_shown += lead.click_count();
        shown += 1;
    }
    out.write_all(b"</div>\n")?;
    let totals = report.totals;
    let more = match totals.leads - shown {
        0 if clicks_of_shown <= clicks_max.get() => return Ok(()),
        // The last lead shows this too, but may be folded.
        0 => counted(clicks_of_shown - clicks_max.get(), "more click"),
        more => {
            let clicks = counted(totals.clicks - clicks_of_shown, "click");
            format!("{} with {clicks}", counted(more, "more lead"))
        }
    };
    not_shown(out, &more, totals.leads, totals.clicks, "click")
}

fn write_lead(
    out: &mut impl Write,
    lead: &Lead<'_>,
    clicks_max: u64,
    zone: &TimeZone,
) -> io::Result<()> {
    let Some(latest) = lead.clicks().next() else {
        return Ok(());
    };
    writeln!(
        out,
        "<details class=\"lead\">\n<summary><span class=\"email\">{}</span> <span class=\"count\">{}</span> {}</summary>",
        Email(lead.email()),
        counted(lead.click_count(), "click"),
        time(latest.created_at, zone)
    )?;
    table(out, &rows::of_lead(lead, clicks_max), zone)?;
    let more = lead.click_count().saturating_sub(clicks_max);
    if more > 0 {
        writeln!(
            out,
            "<p class=\"more\">{} not shown</p>",
            counted(more, "earlier click")
        )?;
    }
    writeln!(out, "</details>")
}

/// Writes the rows of a list, and the number of rows that are not shown.
pub(super) fn list(out: &mut impl Write, list: &List<'_>, zone: &TimeZone) -> io::Result<()> {
    table(out, list, zone)?;
    match list.all - list.shown {
        0 => Ok(()),
        more => {
            let more = counted(more, &format!("{} {}", list.rest, list.noun));
            not_shown(out, &more, list.all, list.all, list.noun)
        }
    }
}

/// Writes the first rows of a ranking without share and time, next to another list. `flag` is that of the full ranking.
pub(super) fn short_ranking(out: &mut impl Write, report: &Ranking, flag: &str) -> io::Result<()> {
    let list = rows::ranking(report);
    table_of(out, &list, &TimeZone::UTC, |cell| {
        !matches!(cell, Cell::Share(_) | Cell::Time(_))
    })?;
    match list.all - list.shown {
        0 => Ok(()),
        more => {
            let more = counted(more, &format!("{} {}", list.rest, list.noun));
            writeln!(
                out,
                "<p class=\"more\">{more} not shown; <code>{flag}</code> ranks all</p>"
            )
        }
    }
}

fn table(out: &mut impl Write, list: &List<'_>, zone: &TimeZone) -> io::Result<()> {
    table_of(out, list, zone, |_| true)
}

/// Writes the columns that are `shown`. If a row has a bar, it is under the first cell, which is then the heading of the row.
fn table_of(
    out: &mut impl Write,
    list: &List<'_>,
    zone: &TimeZone,
    shown: impl Fn(&Cell<'_>) -> bool,
) -> io::Result<()> {
    out.write_all(b"<table>\n<thead><tr>")?;
    let columns = list.for_people(&list.sample);
    let begins_with_lead =
        matches!(columns.first(), Some(first) if matches!(first.cell, Cell::Email(_)));
    for (number, column) in columns.into_iter().enumerate() {
        let class = match column.cell {
            Cell::Bar { .. } => continue,
            Cell::Email(_) | Cell::Expert { .. } if number > 0 && !begins_with_lead => {
                " class=\"who\""
            }
            Cell::Email(_) if begins_with_lead => " class=\"main\"",
            _ if column.info.is_wide => " class=\"wide\"",
            Cell::Search(_) => "",
            ref cell => class(cell),
        };
        if shown(&column.cell) {
            write!(out, "<th scope=\"col\"{class}>{}</th>", column.info.header)?;
        }
    }
    out.write_all(b"</tr></thead>\n<tbody>\n")?;
    (list.rows)(&mut |row| {
        out.write_all(b"<tr>")?;
        let bar = row.iter().find_map(|column| bar(&column.cell));
        for (number, Column { info, cell }) in list.for_people(row).into_iter().enumerate() {
            match &bar {
                _ if matches!(cell, Cell::Bar { .. }) || !shown(cell) => {}
                Some(bar) if number == 0 => {
                    write!(out, "<th scope=\"row\">{}{bar}</th>", text(cell, zone))?;
                }
                _ if info.is_wide && matches!(cell, Cell::Search(_)) => {
                    write!(out, "<td class=\"search wide\">{}</td>", text(cell, zone))?;
                }
                _ if info.is_wide => {
                    write!(out, "<td class=\"wide\">{}</td>", text(cell, zone))?;
                }
                _ => write!(out, "<td{}>{}</td>", class(cell), text(cell, zone))?,
            }
        }
        out.write_all(b"</tr>\n")
    })?;
    out.write_all(b"</tbody>\n</table>\n")
}

fn class(cell: &Cell<'_>) -> &'static str {
    match cell {
        Cell::Count(_) => " class=\"number\"",
        Cell::Before { .. } => " class=\"number before\"",
        Cell::Share(_) => " class=\"number share\"",
        Cell::Search(_) => " class=\"search\"",
        _ => "",
    }
}

/// A cell as people read it.
pub(super) fn text(cell: &Cell<'_>, zone: &TimeZone) -> String {
    match *cell {
        Cell::Word(text) | Cell::Text(text) => Text(text).to_string(),
        Cell::Email(email) => Email(email).to_string(),
        Cell::Domain(domain) => Domain(domain).to_string(),
        Cell::Expert { username, name } => Expert { username, name }.to_string(),
        Cell::Search(query) => Search(query).to_string(),
        Cell::SearchSubject(query) if query.trim().is_empty() => {
            "<span class=\"none\">(no search)</span>".to_owned()
        }
        Cell::SearchSubject(query) => format!("<span class=\"search\">{}</span>", Search(query)),
        Cell::Finding { found, .. } => Text(found).to_string(),
        Cell::Count(count) => Number(count).to_string(),
        Cell::Before { now, before } => render::before(now, before),
        Cell::Share(share) => Text(&percent(share)).to_string(),
        Cell::Time(at) => time(at, zone),
        Cell::Day(date) => date.strftime("%a %Y-%m-%d").to_string(),
        Cell::Gap(days) => format!("… {} days", Number(days.into())),
        Cell::Bar { .. } => String::new(),
    }
}

/// A bar in proportion to the largest value. Every value above zero is visible. The number is next to it.
fn bar(cell: &Cell<'_>) -> Option<String> {
    let Cell::Bar { value, max, .. } = *cell else {
        return None;
    };
    let width = (u128::from(value) * 1000).div_ceil(u128::from(max.max(1)));
    Some(format!(
        "<svg class=\"bar\" viewBox=\"0 0 1000 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{width}\" height=\"1\"/></svg>"
    ))
}

/// The day and the time, which may be on two lines.
pub(super) fn time(at: Timestamp, zone: &TimeZone) -> String {
    let local = at.local(zone);
    let (date, time) = local.split_once(' ').unwrap_or((&local, ""));
    format!(
        "<time datetime=\"{}\"><span>{date}</span> <span>{time}</span></time>",
        &*at.rfc3339()
    )
}

/// Writes that `more` is missing, and the `limit` that shows all, or that a page can't hold so many `rows`.
fn not_shown(
    out: &mut impl Write,
    more: &str,
    limit: u64,
    rows: u64,
    noun: &str,
) -> io::Result<()> {
    write!(out, "<p class=\"more\">{more} not shown; ")?;
    if rows <= ROWS_MAX.get() {
        writeln!(out, "<code>--limit {limit}</code> shows all</p>")
    } else {
        let most = counted(ROWS_MAX.get(), noun);
        writeln!(
            out,
            "a page holds at most {most}; <code>--format csv</code> has all</p>"
        )
    }
}
