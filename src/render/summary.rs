//! The summary on one screen: 22 lines of 80 characters, so that the prompts before and after it fit on a terminal of 24.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::{
    Asked, asked, change, counted, ink,
    table::{Screen, search_subject, times},
};
use crate::{
    reports::{RankBy, Ranking, Summary, Totals},
    text::{
        columns::{cut, padded},
        visible,
    },
};

/// In a wider summary, related columns would be too far apart.
const COLUMNS_MAX: usize = 120;
/// The height of the chart of days, in lines.
const CHART_LINES: u16 = 2;
/// The space between two columns.
const GAP: usize = 2;
/// The widths of a count and of the bar after it.
const COUNT_COLUMNS: usize = 7;
const BAR_COLUMNS: u16 = 8;

/// Writes the summary, for a database with at least one click.
///
/// # Errors
/// When `out` can't be written to.
pub(crate) fn table(
    mut out: impl Write,
    summary: &Summary,
    asked: &Asked,
    screen: &Screen,
) -> io::Result<()> {
    let columns = usize::from(screen.width).min(COLUMNS_MAX);
    totals(&mut out, summary, columns, screen)?;
    chart(&mut out, summary, columns, screen)?;
    rankings(&mut out, summary, columns, screen)?;
    newest_leads(&mut out, summary, columns, screen)?;
    let before = asked.comparison.map(|comparison| {
        let totals = asked::totals_before(comparison);
        format!("{} days before: {totals}", summary.days.len())
    });
    let excluded = asked.excluded().map(|emails| format!("excluded: {emails}"));
    for note in before.into_iter().chain(excluded) {
        writeln!(out, "{}", screen.colors.aside(note))?;
    }
    out.flush()
}

fn totals(
    out: &mut impl Write,
    summary: &Summary,
    columns: usize,
    screen: &Screen,
) -> io::Result<()> {
    let experts = counted(summary.overall.experts, "expert");
    let since = summary
        .overall
        .first_at
        .map(|first| format!(" since {}", first.date(&screen.zone)));
    writeln!(
        out,
        "{} on {experts}{}",
        screen.colors.heading(by_leads(summary.overall.totals)),
        since.unwrap_or_default()
    )?;
    let (now, before) = (summary.this_week, summary.last_week_by_now);
    let line = weeks(
        ["This week", "at this point last week"],
        now,
        before,
        columns,
    );
    writeln!(out, "{line}")?;
    let (last, before) = (summary.last_week, summary.week_before_last);
    let line = weeks(["Last week", "the week before"], last, before, columns);
    writeln!(out, "{line}\n")
}

/// A week compared with the one before.
fn weeks([week, week_before]: [&str; 2], now: Totals, before: Totals, columns: usize) -> String {
    let change = change(now.clicks, before.clicks).map(|change| format!(" ({change})"));
    let change = change.unwrap_or_default();
    let weeks = |leads: &str| {
        format!(
            "{week}: {}; {week_before}: {}{leads}{change}",
            by_leads(now),
            before.clicks
        )
    };
    let mut line = weeks(&format!(" by {}", before.leads));
    if line.width() > columns {
        line = weeks("");
    }
    cut(&line, columns).into_owned()
}

fn by_leads(totals: Totals) -> String {
    let clicks = counted(totals.clicks, "click");
    format!("{clicks} by {}", counted(totals.leads, "lead"))
}

fn chart(
    out: &mut impl Write,
    summary: &Summary,
    columns: usize,
    screen: &Screen,
) -> io::Result<()> {
    let clicks: Vec<u64> = summary.days.iter().map(|day| day.clicks).collect();
    let (Some(first), Some(last)) = (summary.days.first(), summary.days.last()) else {
        return Ok(());
    };
    let most = summary.days.iter().max_by_key(|day| day.clicks);
    let most = most.filter(|day| day.clicks > 0).map(|day| {
        let clicks = counted(day.clicks, "click");
        format!(", maximum {clicks} on {}", day.date)
    });
    let heading = format!("Last {} days", clicks.len());
    writeln!(
        out,
        "{}{}",
        screen.colors.heading(heading),
        screen.colors.aside(most.unwrap_or_default())
    )?;
    let day_columns = ((columns - 1) / clicks.len()).clamp(1, 3);
    let wide: Vec<u64> = clicks
        .iter()
        .flat_map(|clicks| std::iter::repeat_n(*clicks, day_columns))
        .collect();
    for line in ink::chart(&wide, CHART_LINES) {
        writeln!(out, " {}", screen.colors.drawing(line.trim_end()))?;
    }
    let (first, last) = (first.date.to_string(), last.date.to_string());
    let between = wide.len().saturating_sub(first.len() + last.len());
    let dates = format!("{first}{}{last}", " ".repeat(between.max(1)));
    writeln!(out, " {}\n", screen.colors.aside(dates))
}

/// Writes both rankings next to each other.
fn rankings(
    out: &mut impl Write,
    summary: &Summary,
    columns: usize,
    screen: &Screen,
) -> io::Result<()> {
    let half = (columns - GAP) / 2;
    let experts = ranked_lines(&summary.top_experts, half, screen);
    let queries = ranked_lines(&summary.top_queries, half, screen);
    let headings = ["experts", "searches"].map(|what| {
        let title = format!("Top {what} of the last {} days", summary.days.len());
        padded(&title, half)
    });
    writeln!(
        out,
        "{}{}{}",
        screen.colors.heading(&headings[0]),
        " ".repeat(GAP),
        screen.colors.heading(headings[1].trim_end())
    )?;
    for number in 0..experts.len().max(queries.len()) {
        let empty = (String::new(), String::new());
        let [(expert, expert_bar), (query, query_bar)] =
            [&experts, &queries].map(|lines| lines.get(number).unwrap_or(&empty));
        let gap = " ".repeat(half + GAP - expert.width() - expert_bar.width());
        let [expert_bar, query_bar] = [expert_bar, query_bar].map(|bar| screen.colors.drawing(bar));
        let line = format!("{expert}{expert_bar}{gap}{query}{query_bar}");
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out)
}

/// The rows with their counts, and their bars.
fn ranked_lines(ranking: &Ranking, columns: usize, screen: &Screen) -> Vec<(String, String)> {
    let subject_columns = columns - 1 - COUNT_COLUMNS - 1 - usize::from(BAR_COLUMNS);
    ranking
        .ranked
        .iter()
        .map(|row| {
            let subject = match ranking.by {
                RankBy::Expert => {
                    screen.expert(&row.subject, ranking.names.display_name(&row.subject))
                }
                RankBy::Query => search_subject(&row.subject).into_owned(),
            };
            let subject = padded(&subject, subject_columns);
            let line = format!(" {subject}{:>COUNT_COLUMNS$} ", row.clicks);
            let bar = if ranking.is_compared {
                let change = change(row.clicks, row.clicks_before);
                cut(&change.unwrap_or("new".to_owned()), BAR_COLUMNS.into()).into_owned()
            } else {
                ink::bar(row.clicks, ranking.clicks_max(), BAR_COLUMNS)
            };
            (line, bar)
        })
        .collect()
}

fn newest_leads(
    out: &mut impl Write,
    summary: &Summary,
    columns: usize,
    screen: &Screen,
) -> io::Result<()> {
    writeln!(
        out,
        "{}{}",
        screen.colors.heading("Newest leads"),
        screen.colors.aside(format!(
            " and their first clicks; {}",
            times(screen, "times")
        ))
    )?;
    for lead in &summary.overall.newest_leads {
        let time = lead.first_at.local(&screen.zone);
        let rest = columns - 1 - time.width() - 3 * GAP;
        let (email_columns, name_columns) = (rest * 2 / 5, rest * 7 / 20);
        let email = padded(&visible(&lead.email), email_columns);
        let name = padded(
            &screen.expert(&lead.expert_username, &lead.expert_name),
            name_columns,
        );
        let query_columns = rest - email_columns - name_columns;
        let query = visible(&lead.search_query);
        let query = cut(&query, query_columns);
        let gap = " ".repeat(GAP);
        let line = format!(" {time}{gap}{email}{gap}{name}{gap}{query}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
