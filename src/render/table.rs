//! Tables for people: local time, the width of the terminal, and nothing that steers it.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Row, Table as Grid, TableStyle,
    Width,
};
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use super::{
    ColorMode, Format, Report, counted, ink,
    rows::{self, Cell, Column, List},
};
use crate::{
    reports::{ByDay, ByLead, Lead},
    storage::TableRows,
    text::{visible, visible_path},
};

/// For whom a table is made.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    /// The terminal's width in columns.
    pub(crate) width: u16,
    /// The reader's time zone.
    pub(crate) zone: TimeZone,
    /// Whether it shows colours.
    pub(crate) colors: ColorMode,
}

/// Tables for a screen.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) screen: Screen,
}

/// The blanks that comfy-table puts before and after a cell.
const PADDING: (u16, u16) = (1, 1);

/// How many of a lead's clicks a report by email shows: one busy lead must not push all others off the screen.
const LEAD_CLICKS_MAX: u64 = 50;

/// What the time and the blanks between three columns take, in columns.
const TIME_AND_BLANKS: u16 = 26;
/// From how many columns on a table has room for whole bars.
const WIDE: u16 = 100;

/// How many lines a row takes at most if strangers wrote it: a search may have 2,000 characters, and one such must not push
/// all others off the screen. The other formats have it whole.
const ROW_LINES_MAX: usize = 8;

const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

impl Format for Table {
    /// A report without rows is not written at all.
    fn write(&self, report: &Report, out: &mut impl Write) -> io::Result<()> {
        match report {
            _ if report.is_empty() => return out.flush(),
            Report::ByLead(report) => {
                self.by_lead(report, out)?;
                return out.flush();
            }
            Report::ByDay(report) => self.sparkline(report, out)?,
            Report::Check { path, .. } => writeln!(out, "{}\n", visible_path(path))?,
            Report::Timeline(_) | Report::Ranking(_) | Report::Experts(_) => {}
        }
        self.list(&report.list(), out)?;
        out.flush()
    }
}

impl Table {
    /// Writes tables and their numbers of rows.
    ///
    /// # Errors
    /// When `out` can't be written to.
    pub(crate) fn tables(&self, tables: &[TableRows], out: &mut impl Write) -> io::Result<()> {
        self.list(&rows::tables(tables), out)
    }

    /// Writes what all rows have in common, the rows, and what is counted.
    fn list(&self, list: &List<'_>, out: &mut impl Write) -> io::Result<()> {
        let colors = self.screen.colors;
        if let Some(subject) = &list.subject {
            writeln!(out, "{}\n", colors.heading(self.text(&subject.cell)))?;
        }
        let columns = list.for_people(&list.sample);
        let mut grid = self.new_grid();
        grid.set_header(columns.iter().map(|column| column.info.header));
        self.add_rows(&mut grid, list)?;
        self.constrain(&mut grid, &columns);
        print(out, &grid, Header::Line, colors)?;
        if list.totals.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        self.footer(list, out)?;
        if list.all > list.shown {
            let rest = format!("{} {}", list.rest, list.noun);
            let rest = counted(list.all - list.shown, &rest);
            self.not_shown(&rest, list.all, out)?;
        }
        Ok(())
    }

    fn add_rows(&self, grid: &mut Grid, list: &List<'_>) -> io::Result<()> {
        (list.rows)(&mut |row| {
            let columns = list.for_people(row);
            let mut cells = Row::from(columns.iter().map(|column| self.text(&column.cell)));
            if columns.iter().any(|column| is_strangers(&column.cell)) {
                cells.max_height(ROW_LINES_MAX);
            }
            grid.add_row(cells);
            Ok(())
        })
    }

    /// Decides which columns may be wrapped: first a search, which is only read, before an address or a name, which is
    /// copied.
    fn constrain(&self, grid: &mut Grid, columns: &[&Column<'_>]) {
        let has_search = columns
            .iter()
            .any(|column| matches!(column.cell, Cell::Search(_)));
        let name_max = self.screen.width.saturating_sub(TIME_AND_BLANKS) * 3 / 5;
        let widths = grid.column_max_content_widths();
        for ((column, width), grid_column) in columns.iter().zip(widths).zip(grid.column_iter_mut())
        {
            match column.cell {
                Cell::Email(_) | Cell::Expert { .. } if has_search => {
                    grid_column.set_constraint(exactly(width.min(name_max)));
                }
                Cell::Count(_) | Cell::Share(_) => {
                    grid_column.set_cell_alignment(CellAlignment::Right);
                    grid_column.set_constraint(ColumnConstraint::ContentWidth);
                }
                Cell::Word(_) | Cell::Time(_) | Cell::Bar { .. } => {
                    grid_column.set_constraint(ColumnConstraint::ContentWidth);
                }
                _ => {}
            }
        }
    }

    /// Writes what there is in all, and by which clocks it is shown.
    fn footer(&self, list: &List<'_>, out: &mut impl Write) -> io::Result<()> {
        let counts = list
            .totals
            .iter()
            .map(|(number, noun)| counted(*number, noun));
        let mut footer = counts.collect::<Vec<_>>().join(", ");
        if let Some(dated) = list.dated {
            footer = format!("{footer}; {}", times(&self.screen, dated));
        }
        writeln!(out, "{}", self.screen.colors.aside(footer))
    }

    fn not_shown(&self, more: &str, all: u64, out: &mut impl Write) -> io::Result<()> {
        let line = format!("{more} not shown; --limit {all} shows all");
        writeln!(out, "{}", self.screen.colors.aside(line))
    }

    /// Writes each lead with its clicks under it, and a footer that counts what is shown and what is not.
    fn by_lead(&self, report: &ByLead, out: &mut impl Write) -> io::Result<()> {
        let expert_width = report
            .leads()
            .flat_map(|lead| {
                lead.clicks()
                    .take(usize::try_from(LEAD_CLICKS_MAX).unwrap_or(usize::MAX))
            })
            .map(|click| expert(click.expert_username, click.expert_name).width())
            .max()
            .unwrap_or_default();
        // A table for each lead, all of the same widths: a heading over them leaves the clicks the whole line.
        let expert_width = u16::try_from(expert_width).map_or(self.screen.width / 3, |width| {
            width.min(self.screen.width / 3)
        });
        for lead in report.leads() {
            self.lead(&lead, expert_width, out)?;
        }
        self.footer(&rows::by_lead(report), out)?;
        let (totals, shown) = (report.totals, report.shown());
        let more_leads = totals.leads - shown.leads;
        if more_leads > 0 {
            let more = format!(
                "{} with {}",
                counted(more_leads, "more lead"),
                counted(totals.clicks - shown.clicks, "click")
            );
            self.not_shown(&more, totals.leads, out)?;
        }
        Ok(())
    }

    fn lead(&self, lead: &Lead<'_>, expert_width: u16, out: &mut impl Write) -> io::Result<()> {
        let colors = self.screen.colors;
        let mut grid = self.new_grid();
        self.add_rows(&mut grid, &rows::of_lead(lead, LEAD_CLICKS_MAX))?;
        grid.set_constraints([ColumnConstraint::ContentWidth, exactly(expert_width)]);
        indent(&mut grid);
        let email = visible(lead.email());
        let clicks = counted(lead.click_count(), "click");
        writeln!(out, "{}  {}", colors.heading(&email), colors.aside(clicks))?;
        print(out, &grid, Header::None, colors)?;
        let more = lead.click_count().saturating_sub(LEAD_CLICKS_MAX);
        if more > 0 {
            // Without the address: a stranger has chosen it, and somebody may paste the line into a shell.
            let line = format!(
                "  {} not shown; report --email with --limit {} shows all",
                counted(more, "more click"),
                lead.click_count()
            );
            writeln!(out, "{}", colors.aside(line))?;
        }
        writeln!(out)
    }

    /// Writes a character for each of the newest days, as far as there is room.
    fn sparkline(&self, report: &ByDay, out: &mut impl Write) -> io::Result<()> {
        // Room for a date and two blanks on both sides.
        let days_max = usize::from(self.screen.width).saturating_sub(26);
        let days = &*report.days;
        let days = days.get(..days_max).unwrap_or(days);
        if let [newest, .., oldest] | [newest @ oldest] = days {
            let clicks: Vec<u64> = days.iter().rev().map(|day| day.clicks).collect();
            let line = self.screen.colors.drawing(ink::sparkline(&clicks));
            writeln!(out, " {} {line} {}\n", oldest.date, newest.date)?;
        }
        Ok(())
    }

    fn new_grid(&self) -> Grid {
        let mut grid = Grid::new();
        grid.load_style(STYLE)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.screen.width);
        grid
    }

    /// A cell as people read it.
    fn text(&self, cell: &Cell<'_>) -> String {
        match *cell {
            Cell::Word(word) => word.to_owned(),
            Cell::Text(text) | Cell::Email(text) | Cell::Search(text) => visible(text).into_owned(),
            Cell::Expert { username, name } => expert(username, name),
            Cell::SearchSubject(text) => search_subject(text).into_owned(),
            Cell::Finding { found, next } => {
                let text = next.map_or(Cow::Borrowed(found), |next| {
                    format!("{found}; {next}").into()
                });
                visible(&text).into_owned()
            }
            Cell::Count(count) => count.to_string(),
            Cell::Share(share) => percent(share),
            Cell::Time(time) => time.local(&self.screen.zone),
            Cell::Day(date) => date.strftime("%a %Y-%m-%d").to_string(),
            Cell::Bar {
                value,
                max,
                columns: [narrow, wide],
            } => {
                let is_narrow = self.screen.width < WIDE;
                ink::bar(value, max, if is_narrow { narrow } else { wide })
            }
        }
    }
}

fn is_strangers(cell: &Cell<'_>) -> bool {
    matches!(
        cell,
        Cell::Email(_) | Cell::Expert { .. } | Cell::Search(_) | Cell::SearchSubject(_)
    )
}

/// What was searched for as people read it.
pub(super) fn search_subject(text: &str) -> Cow<'_, str> {
    match text.trim() {
        "" => Cow::Borrowed("(no search)"),
        text => visible(text),
    }
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

/// An expert's name and username.
pub(super) fn expert(username: &str, name: &str) -> String {
    let (username, name) = (visible(username), visible(name));
    if username == name {
        name.into_owned()
    } else {
        format!("{name} ({username})")
    }
}

/// By which clocks the `dated` are shown.
pub(super) fn times(screen: &Screen, dated: &str) -> String {
    match zone_name(&screen.zone) {
        Some(name) => format!("{dated} in {name}"),
        None => format!("local {dated}"),
    }
}

/// The zone's name; none if the system knows its clocks but not what they are called.
pub(super) fn zone_name(zone: &TimeZone) -> Option<&str> {
    zone.iana_name().or(zone.is_unknown().then_some("UTC"))
}

fn exactly(columns: u16) -> ColumnConstraint {
    ColumnConstraint::Absolute(Width::Fixed(columns.saturating_add(PADDING.0 + PADDING.1)))
}

fn indent(grid: &mut Grid) {
    if let Some(first) = grid.column_mut(0) {
        first.set_padding((PADDING.0 + 1, PADDING.1));
    }
}

/// Whether a table has a line of headings over it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    None,
    Line,
}

/// Without the blanks that pad the last column: they would wrap when the window is made narrower.
fn print(out: &mut impl Write, grid: &Grid, header: Header, colors: ColorMode) -> io::Result<()> {
    for (number, line) in grid.trim_fmt().lines().enumerate() {
        if number == 0 && header == Header::Line {
            writeln!(out, "{}", colors.heading(line))?;
        } else {
            writeln!(out, "{}", colors.with_bar(line))?;
        }
    }
    Ok(())
}
