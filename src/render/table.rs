//! Tables for people: local time, the width of the terminal, and nothing that steers it.

use std::{
    io::{self, Write},
    ops::RangeInclusive,
    path::Path,
};

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Row, Table, TableStyle, Width,
};
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use super::{Ink, counted, ink};
use crate::{
    expert::Expert,
    reports::{ByDay, ByLead, RankBy, Ranking, Subject, Timeline, TimelineTotals, Totals},
    storage::{Finding, TableRows},
    text::visible,
};

/// For whom a table is made.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    /// The terminal's width in columns.
    pub(crate) width: u16,
    /// The reader's time zone.
    pub(crate) zone: TimeZone,
    /// Whether it shows colours.
    pub(crate) ink: Ink,
}

/// The blanks that comfy-table puts before and after a cell.
const PADDING: (u16, u16) = (1, 1);

/// How many of a lead's clicks a report by email shows: one busy lead must not push all others off the screen.
const LEAD_CLICKS_MAX: usize = 50;

/// What the time and the blanks between three columns take, in columns.
const TIME_AND_BLANKS: u16 = 26;
/// From how many columns on a table has room for whole bars.
const WIDE: u16 = 100;
/// How wide a bar in a table is at the most, in characters.
const BAR_COLUMNS: u16 = 10;

/// How many lines a click takes at the most: a search may have 2,000 characters, and one such must not push all others
/// off the screen. The other formats have it whole.
const ROW_LINES_MAX: usize = 8;

const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Writes each lead with its clicks under it, and a footer that counts what is shown and what is not.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn by_email(mut out: impl Write, report: &ByLead, screen: &Screen) -> io::Result<()> {
    let expert_width = report
        .leads()
        .flat_map(|lead| lead.clicks().take(LEAD_CLICKS_MAX))
        .map(|click| expert(click.expert_username, click.expert_name).width())
        .max()
        .unwrap_or_default();
    // A table for each lead, all of the same widths: a heading over them leaves the clicks the whole line.
    let columns = [
        ColumnConstraint::ContentWidth,
        exactly(expert_width.min(usize::from(screen.width) / 3)),
    ];
    for lead in report.leads() {
        let mut table = new_table(screen);
        for click in lead.clicks().take(LEAD_CLICKS_MAX) {
            table.add_row(row([
                click.created_at.local(&screen.zone),
                expert(click.expert_username, click.expert_name),
                visible(click.search_query).into_owned(),
            ]));
        }
        table.set_constraints(columns);
        indent(&mut table);
        let email = visible(lead.email());
        let clicks = counted(lead.click_count(), "click");
        let ink = screen.ink;
        writeln!(out, "{}  {}", ink.heading(&email), ink.aside(clicks))?;
        print(&mut out, &table, Header::None, ink)?;
        let more = lead.click_count().saturating_sub(LEAD_CLICKS_MAX as u64);
        if more > 0 {
            let more = counted(more, "more click");
            // Without the address: a stranger has chosen it, and somebody may paste the line into a shell.
            let line = format!(
                "  {more} not shown; report --email with --limit {} shows all",
                lead.click_count()
            );
            writeln!(out, "{}", ink.aside(line))?;
        }
        writeln!(out)?;
    }
    let totals = report.totals();
    let counts = [
        counted(totals.leads, "lead"),
        counted(totals.clicks, "click"),
    ];
    footer(&mut out, &counts, screen, "times")?;
    let more = Totals {
        leads: totals.leads - report.shown().leads,
        clicks: totals.clicks - report.shown().clicks,
    };
    if more.leads > 0 {
        let more_leads = counted(more.leads, "more lead");
        let more = format!("{more_leads} with {}", counted(more.clicks, "click"));
        not_shown(&mut out, &more, totals.leads, screen)?;
    }
    out.flush()
}

/// Writes the clicks of a timeline, and a footer that counts what is shown and what is not.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn timeline(mut out: impl Write, report: &Timeline, screen: &Screen) -> io::Result<()> {
    let totals = report.totals();
    let subject = report.subject();
    let (title, other) = match subject {
        Subject::Expert(username) => (
            expert(username, report.names().display_name(username)),
            "Lead",
        ),
        Subject::Lead(email) => (visible(email).into_owned(), "Expert"),
    };
    let mut table = new_table(screen);
    table.set_header(["Time", other, "Search"]);
    let mut shown = 0;
    let mut other_width = other.len();
    for click in report.clicks() {
        let other = match subject {
            Subject::Expert(_) => visible(click.email).into_owned(),
            Subject::Lead(_) => expert(click.expert_username, click.expert_name),
        };
        other_width = other_width.max(other.width());
        table.add_row(row([
            click.created_at.local(&screen.zone),
            other,
            visible(click.search_query).into_owned(),
        ]));
        shown += 1;
    }
    // An address is copied, a search is only read.
    table.set_constraints([
        ColumnConstraint::ContentWidth,
        exactly(other_width.min(usize::from(screen.width.saturating_sub(TIME_AND_BLANKS)) * 3 / 5)),
    ]);
    writeln!(out, "{}\n", screen.ink.heading(title))?;
    print(&mut out, &table, Header::Line, screen.ink)?;
    writeln!(out)?;
    let TimelineTotals {
        leads,
        experts,
        clicks,
    } = totals;
    let others = match subject {
        Subject::Expert(_) => counted(leads, "lead"),
        Subject::Lead(_) => counted(experts, "expert"),
    };
    footer(
        &mut out,
        &[others, counted(clicks, "click")],
        screen,
        "times",
    )?;
    let more = clicks - shown;
    if more > 0 {
        not_shown(&mut out, &counted(more, "more click"), clicks, screen)?;
    }
    out.flush()
}

/// Writes the first places with a bar each, and a footer that counts what is shown and what is not.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn ranking(mut out: impl Write, report: &Ranking, screen: &Screen) -> io::Result<()> {
    let (title, noun) = match report.by() {
        RankBy::Expert => ("Expert", "expert"),
        RankBy::Query => ("Search", "search"),
    };
    let mut table = new_table(screen);
    table.set_header([title, "Clicks", "Share", "Leads", "Latest click", ""]);
    let most = report.ranked().first().map_or(0, |first| first.clicks);
    let bar_columns = if screen.width < WIDE {
        BAR_COLUMNS / 2
    } else {
        BAR_COLUMNS
    };
    for ranked in report.ranked() {
        table.add_row(row([
            ranked_subject(report, &ranked.subject),
            ranked.clicks.to_string(),
            percent(report.share(ranked)),
            ranked.leads.to_string(),
            ranked.latest_at.local(&screen.zone),
            ink::bar(ranked.clicks, most, bar_columns),
        ]));
    }
    align_right(&mut table, 1..=3);
    keep_width(&mut table, 1..=5);
    print(&mut out, &table, Header::Line, screen.ink)?;
    writeln!(out)?;
    let totals = report.totals();
    let counts = [
        counted(report.ranked_in_all(), noun),
        counted(totals.leads, "lead"),
        counted(totals.clicks, "click"),
    ];
    footer(&mut out, &counts, screen, "times")?;
    let all = report.ranked_in_all();
    let more = all - report.ranked().len() as u64;
    if more > 0 {
        not_shown(
            &mut out,
            &counted(more, &format!("more {noun}")),
            all,
            screen,
        )?;
    }
    out.flush()
}

/// A share that is not nothing does not look like it.
pub(super) fn percent(share: f64) -> String {
    const LEAST: f64 = 0.0005;
    if share > 0.0 && share < LEAST {
        "<0.1%".to_owned()
    } else {
        format!("{:.1}%", share * 100.0)
    }
}

/// An expert with the name, or a search, as a person reads it.
pub(super) fn ranked_subject(report: &Ranking, subject: &str) -> String {
    match report.by() {
        RankBy::Expert => expert(subject, report.names().display_name(subject)),
        RankBy::Query if subject.trim().is_empty() => "(no search)".to_owned(),
        RankBy::Query => visible(subject.trim()).into_owned(),
    }
}

/// Writes a sparkline of the days that are shown, the days with a bar each, and a footer that counts what is shown and
/// what is not.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn by_day(mut out: impl Write, report: &ByDay, screen: &Screen) -> io::Result<()> {
    if let (Some(newest), Some(oldest)) = (report.days().first(), report.days().last()) {
        let mut clicks: Vec<u64> = report.days().iter().map(|day| day.clicks).collect();
        // Room for a date and two blanks on both sides.
        clicks.truncate(usize::from(screen.width).saturating_sub(26));
        clicks.reverse();
        let from = report.days().get(clicks.len() - 1).unwrap_or(oldest).date;
        let line = screen.ink.drawing(ink::sparkline(&clicks));
        writeln!(out, " {from} {line} {}\n", newest.date)?;
    }
    let mut table = new_table(screen);
    table.set_header(["Day", "Clicks", "Leads", ""]);
    let days = report.days().iter();
    let most = days.clone().map(|day| day.clicks).max().unwrap_or_default();
    for day in days {
        table.add_row([
            day.date.strftime("%a %Y-%m-%d").to_string(),
            day.clicks.to_string(),
            day.leads.to_string(),
            ink::bar(day.clicks, most, BAR_COLUMNS * 2),
        ]);
    }
    align_right(&mut table, 1..=2);
    print(&mut out, &table, Header::Line, screen.ink)?;
    writeln!(out)?;
    let totals = report.totals();
    let counts = [
        counted(report.days_in_all(), "day"),
        counted(totals.leads, "lead"),
        counted(totals.clicks, "click"),
    ];
    footer(&mut out, &counts, screen, "days")?;
    let all = report.days_in_all();
    let more = all - report.days().len() as u64;
    if more > 0 {
        not_shown(&mut out, &counted(more, "earlier day"), all, screen)?;
    }
    out.flush()
}

/// Writes the experts and how many they are.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn experts(mut out: impl Write, experts: &[Expert], screen: &Screen) -> io::Result<()> {
    let mut table = new_table(screen);
    table.set_header(["Username", "First name", "Last name"]);
    for expert in experts {
        let cells = [&expert.username, &expert.first_name, &expert.last_name];
        table.add_row(cells.map(|cell| visible(cell).into_owned()));
    }
    print(&mut out, &table, Header::Line, screen.ink)?;
    let experts = counted(experts.len() as u64, "expert");
    writeln!(out, "\n{}", screen.ink.aside(experts))?;
    out.flush()
}

/// Writes tables and their numbers of rows.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn table_rows(
    mut out: impl Write,
    tables: &[TableRows],
    screen: &Screen,
) -> io::Result<()> {
    let mut table = new_table(screen);
    table.set_header(["Table", "Rows"]);
    for entry in tables {
        table.add_row([entry.table.to_owned(), entry.rows.to_string()]);
    }
    align_right(&mut table, 1..=1);
    print(&mut out, &table, Header::Line, screen.ink)
}

/// Writes the database's path, what was checked of it, how that is, and what to do where it is not in order.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn checks(
    mut out: impl Write,
    path: &Path,
    lines: &[Finding],
    screen: &Screen,
) -> io::Result<()> {
    let path = path.display().to_string();
    writeln!(out, "{}\n", visible(&path))?;
    let mut table = new_table(screen);
    table.set_header(["Check", "State", "Found"]);
    for line in lines {
        let found = match &line.next {
            None => line.found.clone(),
            Some(next) => format!("{}; {next}", line.found),
        };
        table.add_row([line.check, line.state.name(), &*visible(&found)]);
    }
    let fixed = || ColumnConstraint::ContentWidth;
    table.set_constraints([fixed(), fixed()]);
    print(&mut out, &table, Header::Line, screen.ink)?;
    out.flush()
}

fn new_table(screen: &Screen) -> Table {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(screen.width);
    table
}

/// A row of at most [`ROW_LINES_MAX`] lines; what is cut ends in `…`.
fn row<const CELLS: usize>(cells: [String; CELLS]) -> Row {
    let mut row = Row::from(cells);
    row.max_height(ROW_LINES_MAX);
    row
}

fn exactly(columns: usize) -> ColumnConstraint {
    let columns = u16::try_from(columns).unwrap_or(u16::MAX);
    ColumnConstraint::Absolute(Width::Fixed(columns.saturating_add(PADDING.0 + PADDING.1)))
}

fn indent(table: &mut Table) {
    if let Some(first) = table.column_mut(0) {
        first.set_padding((PADDING.0 + 1, PADDING.1));
    }
}

fn align_right(table: &mut Table, columns: RangeInclusive<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Lets others of the columns be wrapped.
fn keep_width(table: &mut Table, columns: RangeInclusive<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// Whether a table has a line of headings over it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    None,
    Line,
}

/// Without the blanks that pad the last column: they would wrap when the window is made narrower.
fn print(out: &mut impl Write, table: &Table, header: Header, ink: Ink) -> io::Result<()> {
    for (number, line) in table.trim_fmt().lines().enumerate() {
        if number == 0 && header == Header::Line {
            writeln!(out, "{}", ink.heading(line))?;
        } else {
            writeln!(out, "{}", ink.with_bar(line))?;
        }
    }
    Ok(())
}

pub(super) fn expert(username: &str, name: &str) -> String {
    let (username, name) = (visible(username), visible(name));
    if username == name {
        name.into_owned()
    } else {
        format!("{name} ({username})")
    }
}

/// Writes what there is in all, and by which zone's clocks the `dated` are told.
fn footer(out: &mut impl Write, counts: &[String], screen: &Screen, dated: &str) -> io::Result<()> {
    let counts = counts.join(", ");
    writeln!(
        out,
        "{}",
        screen
            .ink
            .aside(format!("{counts}; {}", times(screen, dated)))
    )
}

/// By which clocks the `dated` are told.
pub(super) fn times(screen: &Screen, dated: &str) -> String {
    match zone_name(&screen.zone) {
        Some(name) => format!("{dated} in {name}"),
        None => format!("local {dated}"),
    }
}

/// The zone's name; none where the system tells its clocks but not what they are called.
pub(super) fn zone_name(zone: &TimeZone) -> Option<&str> {
    zone.iana_name().or(zone.is_unknown().then_some("UTC"))
}

fn not_shown(out: &mut impl Write, more: &str, all: u64, screen: &Screen) -> io::Result<()> {
    let line = format!("{more} not shown; --limit {all} shows all");
    writeln!(out, "{}", screen.ink.aside(line))
}
