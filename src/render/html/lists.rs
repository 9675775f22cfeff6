//! What a page lists: leads with their clicks, clicks, experts and searches by their number of clicks, days.

use std::{
    io::{self, Write},
    num::NonZeroU64,
};

use jiff::tz::TimeZone;

use super::{
    ROWS_MAX,
    text::{Email, Expert, Number, Search, Text, counted},
};
use crate::{
    render::table::percent,
    reports::{ByDay, ByLead, ClickRow, Day, Lead, RankBy, Ranked, Ranking, Subject, Timeline},
    timestamp::Timestamp,
};

/// What all clicks of a table have in common, and so needs no column.
#[derive(Debug, Clone, Copy)]
enum Known {
    Lead,
    Expert,
}

/// Writes the leads, folded, until they have `clicks_max` clicks in all.
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
    let totals = report.totals();
    let more = match totals.leads - shown {
        0 if clicks_of_shown <= clicks_max.get() => return Ok(()),
        // The lead itself says so too, but may be folded.
        0 => counted(clicks_of_shown - clicks_max.get(), "more click"),
        more => {
            let clicks = counted(totals.clicks - clicks_of_shown, "click");
            format!("{} with {clicks}", counted(more, "more lead"))
        }
    };
    let rest = Rest {
        limit: totals.leads,
        rows: totals.clicks,
        noun: "click",
    };
    not_shown(out, &more, &rest)
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
    begin_table(out, &[("", "Time"), ("who", "Expert"), ("", "Search")])?;
    let clicks_max_here = usize::try_from(clicks_max).unwrap_or(usize::MAX);
    for click in lead.clicks().take(clicks_max_here) {
        write_click(out, &click, Known::Lead, zone)?;
    }
    end_table(out)?;
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

/// Writes the clicks on an expert or of a lead.
pub(super) fn clicks(out: &mut impl Write, report: &Timeline, zone: &TimeZone) -> io::Result<()> {
    let (known, other) = match report.subject() {
        Subject::Expert(_) => (Known::Expert, "Lead"),
        Subject::Lead(_) => (Known::Lead, "Expert"),
    };
    begin_table(out, &[("", "Time"), ("who", other), ("", "Search")])?;
    for click in report.clicks() {
        write_click(out, &click, known, zone)?;
    }
    end_table(out)?;
    let all = report.totals().clicks;
    match all - report.clicks().len() as u64 {
        0 => Ok(()),
        more => not_shown(out, &counted(more, "more click"), &Rest::rows(all, "click")),
    }
}

fn write_click(
    out: &mut impl Write,
    click: &ClickRow<'_>,
    known: Known,
    zone: &TimeZone,
) -> io::Result<()> {
    write!(out, "<tr><td>{}</td><td>", time(click.created_at, zone))?;
    match known {
        Known::Expert => write!(out, "{}", Email(click.email))?,
        Known::Lead => write!(
            out,
            "{}",
            Expert {
                username: click.expert_username,
                name: click.expert_name,
            }
        )?,
    }
    writeln!(
        out,
        "</td><td class=\"search\">{}</td></tr>",
        Search(click.search_query)
    )
}

/// Writes the first places with a bar each.
pub(super) fn ranking(out: &mut impl Write, report: &Ranking, zone: &TimeZone) -> io::Result<()> {
    let (title, noun) = ranked_words(report);
    let columns = [
        ("", title),
        ("number", "Clicks"),
        ("number share", "Share"),
        ("number", "Leads"),
        ("", "Latest click"),
    ];
    begin_table(out, &columns)?;
    for ranked in report.ranked() {
        begin_ranked(out, report, ranked)?;
        writeln!(
            out,
            "<td class=\"number share\">{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
            Text(&percent(report.share(ranked))),
            Number(ranked.leads),
            time(ranked.latest_at, zone)
        )?;
    }
    end_table(out)?;
    let all = report.ranked_in_all();
    match all - report.ranked().len() as u64 {
        0 => Ok(()),
        more => {
            let more = counted(more, &format!("more {noun}"));
            not_shown(out, &more, &Rest::rows(all, noun))
        }
    }
}

/// Writes the first places in brief, beside something else.
pub(super) fn short_ranking(out: &mut impl Write, report: &Ranking) -> io::Result<()> {
    let (title, noun) = ranked_words(report);
    begin_table(
        out,
        &[("", title), ("number", "Clicks"), ("number", "Leads")],
    )?;
    for ranked in report.ranked() {
        begin_ranked(out, report, ranked)?;
        writeln!(
            out,
            "<td class=\"number\">{}</td></tr>",
            Number(ranked.leads)
        )?;
    }
    end_table(out)?;
    let flag = match report.by() {
        RankBy::Expert => "--by-expert",
        RankBy::Query => "--by-query",
    };
    match report.ranked_in_all() - report.ranked().len() as u64 {
        0 => Ok(()),
        more => {
            let more = counted(more, &format!("more {noun}"));
            writeln!(
                out,
                "<p class=\"more\">{more} not shown; <code>{flag}</code> ranks all</p>"
            )
        }
    }
}

/// What is ranked, as a heading and as a noun.
fn ranked_words(report: &Ranking) -> (&'static str, &'static str) {
    match report.by() {
        RankBy::Expert => ("Expert", "expert"),
        RankBy::Query => ("Search", "search"),
    }
}

/// A row's first two cells.
fn begin_ranked(out: &mut impl Write, report: &Ranking, ranked: &Ranked) -> io::Result<()> {
    let subject = &*ranked.subject;
    out.write_all(b"<tr><th scope=\"row\">")?;
    match report.by() {
        RankBy::Expert => write!(
            out,
            "{}",
            Expert {
                username: subject,
                name: report.names().display_name(subject),
            }
        )?,
        RankBy::Query if subject.trim().is_empty() => {
            out.write_all(b"<span class=\"none\">(no search)</span>")?;
        }
        RankBy::Query => write!(out, "<span class=\"search\">{}</span>", Search(subject))?,
    }
    let most = report.ranked().first().map_or(0, |first| first.clicks);
    write!(
        out,
        "{}</th><td class=\"number\">{}</td>",
        bar(ranked.clicks, most),
        Number(ranked.clicks)
    )
}

/// Writes the newest days with a bar each, of all that there are.
pub(super) fn days(out: &mut impl Write, report: &ByDay, days_max: NonZeroU64) -> io::Result<()> {
    let days_max = usize::try_from(days_max.get()).unwrap_or(usize::MAX);
    let all = report.days();
    let shown: &[Day] = all.get(..days_max).unwrap_or(all);
    begin_table(
        out,
        &[("", "Day"), ("number", "Clicks"), ("number", "Leads")],
    )?;
    let most = shown.iter().map(|day| day.clicks).max().unwrap_or_default();
    for day in shown {
        writeln!(
            out,
            "<tr><th scope=\"row\">{}{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            day.date.strftime("%a %Y-%m-%d"),
            bar(day.clicks, most),
            Number(day.clicks),
            Number(day.leads)
        )?;
    }
    end_table(out)?;
    match (all.len() - shown.len()) as u64 {
        0 => Ok(()),
        more => not_shown(
            out,
            &counted(more, "earlier day"),
            &Rest::rows(all.len() as u64, "day"),
        ),
    }
}

/// The classes and the texts of the columns.
fn begin_table(out: &mut impl Write, columns: &[(&str, &str)]) -> io::Result<()> {
    out.write_all(b"<table>\n<thead><tr>")?;
    for (class, text) in columns {
        match *class {
            "" => write!(out, "<th scope=\"col\">{text}</th>")?,
            class => write!(out, "<th scope=\"col\" class=\"{class}\">{text}</th>")?,
        }
    }
    out.write_all(b"</tr></thead>\n<tbody>\n")
}

fn end_table(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"</tbody>\n</table>\n")
}

/// A bar as long as `value` is to `max`; what is not nothing can be seen. The number stands beside it.
fn bar(value: u64, max: u64) -> String {
    let part = u128::from(value) * 1000;
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 1000 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{}\" height=\"1\"/></svg>",
        part.div_ceil(u128::from(max.max(1)))
    )
}

/// The day and the time, which may stand in two lines.
pub(super) fn time(at: Timestamp, zone: &TimeZone) -> String {
    let local = at.local(zone);
    let (date, time) = local.split_once(' ').unwrap_or((&local, ""));
    format!(
        "<time datetime=\"{}\"><span>{date}</span> <span>{time}</span></time>",
        &*at.rfc3339()
    )
}

/// What it takes to show everything.
struct Rest {
    /// The limit that would be needed.
    limit: u64,
    /// How many rows that would be.
    rows: u64,
    /// What a row is.
    noun: &'static str,
}

impl Rest {
    /// Of a list whose limit counts its rows.
    fn rows(rows: u64, noun: &'static str) -> Self {
        Self {
            limit: rows,
            rows,
            noun,
        }
    }
}

fn not_shown(out: &mut impl Write, more: &str, rest: &Rest) -> io::Result<()> {
    let Rest { limit, rows, noun } = rest;
    write!(out, "<p class=\"more\">{more} not shown; ")?;
    if *rows <= ROWS_MAX.get() {
        writeln!(out, "<code>--limit {limit}</code> shows all</p>")
    } else {
        let most = counted(ROWS_MAX.get(), noun);
        writeln!(
            out,
            "a page holds {most} at the most, <code>--format csv</code> has all</p>"
        )
    }
}
