//! Tables for people: local time, the width of the terminal, and nothing that steers it.

use std::io::{self, Write};

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Row, Table, TableStyle, Width,
};
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use super::{Error, counted};
use crate::{
    experts::Expert,
    report::{ByEmail, ByExpert, Totals},
    reset::TableRows,
    visible::visible,
};

/// For whom a table is made.
#[derive(Debug, Clone)]
pub struct Screen {
    /// The terminal's width in columns.
    pub width: u16,
    /// The reader's time zone.
    pub zone: TimeZone,
}

/// The blanks that comfy-table puts before and after a cell.
const PADDING: (u16, u16) = (1, 1);

/// How many lines a click takes at the most: a search may have 2,000 characters, and one such must not push all others
/// off the screen. The other formats have it whole.
const ROW_LINES_MAX: usize = 8;

const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Writes each lead with its clicks under it, and a footer that counts what is shown and what is not.
///
/// # Errors
/// When `out` takes no more.
pub fn by_email(mut out: impl Write, report: &ByEmail, screen: &Screen) -> Result<(), Error> {
    let expert_width = report
        .leads()
        .flat_map(|lead| lead.clicks())
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
        for click in lead.clicks() {
            table.add_row(row([
                click.created_at.local(&screen.zone),
                expert(click.expert_username, click.expert_name),
                visible(click.search_query).into_owned(),
            ]));
        }
        table.set_constraints(columns);
        indent(&mut table);
        let email = visible(lead.email());
        writeln!(out, "{email}  {}", counted(lead.click_count(), "click"))?;
        print(&mut out, &table)?;
        writeln!(out)?;
    }
    let limited = Limited::Leads;
    footer(&mut out, report.shown(), report.totals(), limited, screen)
}

/// Writes the clicks on one expert, and a footer that counts what is shown and what is not.
///
/// # Errors
/// When `out` takes no more, or the database can't be read on.
pub fn by_expert(mut out: impl Write, report: ByExpert<'_>, screen: &Screen) -> Result<(), Error> {
    let totals = report.totals()?;
    let title = expert(report.username(), report.name());
    let mut table = new_table(screen);
    table.set_header(["Time", "Lead", "Search"]);
    let mut shown = Totals::default();
    for click in report {
        let click = click?;
        table.add_row(row([
            click.created_at.local(&screen.zone),
            visible(&click.email).into_owned(),
            visible(&click.search_query).into_owned(),
        ]));
        shown.clicks += 1;
    }
    table.set_constraints([ColumnConstraint::ContentWidth]);
    writeln!(out, "{title}\n")?;
    print(&mut out, &table)?;
    writeln!(out)?;
    footer(&mut out, shown, totals, Limited::Clicks, screen)
}

/// Writes the experts and how many they are.
///
/// # Errors
/// When `out` takes no more.
pub fn experts(mut out: impl Write, experts: &[Expert], screen: &Screen) -> Result<(), Error> {
    let mut table = new_table(screen);
    table.set_header(["Username", "First name", "Last name"]);
    for expert in experts {
        let cells = [&expert.username, &expert.first_name, &expert.last_name];
        table.add_row(cells.map(|cell| visible(cell).into_owned()));
    }
    print(&mut out, &table)?;
    writeln!(out, "\n{}", counted(experts.len() as u64, "expert"))?;
    Ok(out.flush()?)
}

/// Writes tables and their numbers of rows.
///
/// # Errors
/// When `out` takes no more.
pub fn table_rows(mut out: impl Write, tables: &[TableRows], width: u16) -> io::Result<()> {
    let screen = Screen {
        width,
        zone: TimeZone::UTC,
    };
    let mut table = new_table(&screen);
    table.set_header(["Table", "Rows"]);
    for entry in tables {
        table.add_row([entry.table.to_owned(), entry.rows.to_string()]);
    }
    if let Some(rows) = table.column_mut(1) {
        rows.set_cell_alignment(CellAlignment::Right);
    }
    print(&mut out, &table)
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

/// Without the blanks that pad the last column: they would wrap when the window is made narrower.
fn print(out: &mut impl Write, table: &Table) -> io::Result<()> {
    writeln!(out, "{}", table.trim_fmt())
}

fn expert(username: &str, name: &str) -> String {
    let (username, name) = (visible(username), visible(name));
    if username == name {
        name.into_owned()
    } else {
        format!("{name} ({username})")
    }
}

/// What a report's limit counts.
#[derive(Clone, Copy)]
enum Limited {
    Leads,
    Clicks,
}

fn footer(
    out: &mut impl Write,
    shown: Totals,
    totals: Totals,
    limited: Limited,
    screen: &Screen,
) -> Result<(), Error> {
    let leads = counted(totals.leads, "lead");
    let clicks = counted(totals.clicks, "click");
    let zone = match screen.zone.iana_name() {
        Some(name) => format!("times in {name}"),
        None if screen.zone.is_unknown() => "times in UTC".to_owned(),
        None => "local times".to_owned(),
    };
    // A click may arrive between counting and listing.
    let more_clicks = totals.clicks.saturating_sub(shown.clicks);
    writeln!(out, "{leads}, {clicks}; {zone}")?;
    if more_clicks > 0 {
        match limited {
            Limited::Leads => writeln!(
                out,
                "{} with {} not shown; --limit {} shows all",
                counted(totals.leads - shown.leads, "more lead"),
                counted(more_clicks, "click"),
                totals.leads
            )?,
            Limited::Clicks => writeln!(
                out,
                "{} not shown; --limit {} shows all",
                counted(more_clicks, "more click"),
                totals.clicks
            )?,
        }
    }
    Ok(out.flush()?)
}
