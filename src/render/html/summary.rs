//! The summary as a page or a mail.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::{
    Form, Heading, Look, MAIL_ROWS, RankingText, chart, foot, head,
    lists::{self, Ids, Links},
    mail::Mail,
    ranking_text,
    text::{Text, counted},
};
use crate::{
    render::{Asked, asked::totals_before, change, plural, rows, table::zone_name},
    reports::{Ranking, Summary, Totals},
    timestamp::Timestamp,
};

const NEWEST: &str = "Newest leads and their first clicks";

/// Writes the summary.
///
/// # Errors
/// When `out` can't be written to.
pub(crate) fn summary(
    out: &mut impl Write,
    summary: &Summary,
    asked: &Asked,
    look: &Look,
    made_at: Timestamp,
    zone: &TimeZone,
) -> io::Result<()> {
    let heading = heading(summary, asked, look, made_at, zone);
    let is_empty = summary.overall.totals.clicks == 0;
    let days: Vec<_> = summary.days.iter().rev().copied().collect();
    let (first, last) = match &*summary.days {
        [first, .., last] if !is_empty => (first.date, last.date),
        _ => return nothing(out, &heading, look, zone),
    };
    let month = counted(days.len() as u64, "day");
    let experts = format!("Top experts of the last {month}");
    let searches = format!("Top searches of the last {month}");
    let newest = rows::new_leads(&summary.overall.newest_leads);
    if look.form == Form::Mail {
        let mut mail = Mail::new(&heading, zone);
        mail.heading(&experts);
        mail.ranking(&summary.top_experts, MAIL_ROWS)?;
        mail.heading(&searches);
        mail.ranking(&summary.top_queries, MAIL_ROWS)?;
        mail.heading(NEWEST);
        mail.list(&newest)?;
        mail.chart(&days, first, last);
        return mail.finish(out);
    }
    head(out, &heading)?;
    heading.write(out)?;
    out.write_all(b"<main>\n")?;
    chart::write(out, &days, first, last)?;
    let links = Links::of_new_leads(&summary.overall.newest_leads, &summary.top_experts);
    out.write_all(b"<div class=\"lists two\">\n")?;
    for (heading, ranking) in [
        (&experts, &summary.top_experts),
        (&searches, &summary.top_queries),
    ] {
        section(out, heading, ranking, &links)?;
    }
    writeln!(out, "</div>\n<section>\n<h2>{NEWEST}</h2>")?;
    lists::list(out, &newest, &links, Ids::Leads, zone)?;
    out.write_all(b"</section>\n</main>\n")?;
    foot(out)
}

fn section(
    out: &mut impl Write,
    heading: &str,
    ranking: &Ranking,
    links: &Links<'_>,
) -> io::Result<()> {
    writeln!(out, "<section>\n<h2>{heading}</h2>")?;
    let RankingText { flag, .. } = ranking_text(ranking.by);
    lists::short_ranking(out, ranking, links, flag)?;
    out.write_all(b"</section>\n")
}

fn nothing(
    out: &mut impl Write,
    heading: &Heading,
    look: &Look,
    zone: &TimeZone,
) -> io::Result<()> {
    if look.form == Form::Mail {
        let mut mail = Mail::new(heading, zone);
        mail.nothing();
        return mail.finish(out);
    }
    head(out, heading)?;
    heading.write(out)?;
    out.write_all(b"<main>\n<p class=\"nothing\">No clicks.</p>\n</main>\n")?;
    foot(out)
}

fn by_leads(totals: Totals) -> String {
    let clicks = counted(totals.clicks, "click");
    format!("{clicks} by {}", counted(totals.leads, "lead"))
}

fn heading(
    summary: &Summary,
    asked: &Asked,
    look: &Look,
    made_at: Timestamp,
    zone: &TimeZone,
) -> Heading {
    let now = summary.this_week;
    let overall = &summary.overall;
    let mut facts = Vec::new();
    if let Some(first) = overall.first_at {
        facts.push(("Since", first.date(zone).to_string()));
    }
    let changed = |now: Totals, before: Totals| {
        let change = change(now.clicks, before.clicks).map(|change| format!(" ({change})"));
        format!("{}{}", by_leads(before), change.unwrap_or_default())
    };
    let (last, before_last) = (summary.last_week, summary.week_before_last);
    facts.push((
        "At this point last week",
        changed(now, summary.last_week_by_now),
    ));
    facts.push((
        "Last week",
        format!(
            "{}; the week before {}",
            by_leads(last),
            changed(last, before_last)
        ),
    ));
    if let Some(comparison) = asked.comparison {
        facts.push(("30 days before", totals_before(comparison)));
    }
    if let Some(excluded) = asked.excluded() {
        facts.push(("Excluded", Text(&excluded).to_string()));
    }
    let zone_name = zone_name(zone).unwrap_or("local");
    facts.push(("Time zone", Text(zone_name).to_string()));
    facts.push(("Created", lists::time(made_at, zone)));
    let total = |number, noun: &str, of| (number, format!("{}{of}", plural(number, noun)));
    Heading {
        title: look.title("Summary".to_owned()),
        page_title: look.page_title("Summary"),
        facts,
        totals: vec![
            total(now.clicks, "click", " this week"),
            total(now.leads, "lead", " this week"),
            total(overall.totals.clicks, "click", " in all"),
            total(overall.totals.leads, "lead", " in all"),
            total(overall.experts, "expert", " in all"),
        ],
    }
}
