//! Tables for people: local times, fitted to the width of the terminal, without control characters.

use std::{
    borrow::Cow,
    collections::HashSet,
    io::{self, Write},
};

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Row, Table as Grid, TableStyle,
    Width,
};
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use super::{
    Asked, ColorMode, Format, Report, counted, ink,
    rows::{self, Cell, Column, List},
};
use crate::{
    click::fold,
    expert::ExpertNames,
    reports::{ByDay, ByLead, Lead},
    storage::{FoundClicks, SpellingRows, TableRows},
    text::visible,
};

/// The terminal and the reader of a table.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    /// The terminal's width in columns.
    pub(crate) width: u16,
    /// The reader's time zone.
    pub(crate) zone: TimeZone,
    /// Whether the terminal shows colours.
    pub(crate) colors: ColorMode,
    /// The names that several experts have, folded. If they are unknown, all experts are shown with their usernames.
    pub(crate) shared_names: Option<HashSet<String>>,
}

impl Screen {
    /// The same for a report about experts with these names.
    pub(crate) fn for_experts(self, names: &ExpertNames) -> Self {
        Self {
            shared_names: Some(names.shared()),
            ..self
        }
    }

    /// An expert as people read it: the name, or the username if there is no name, or both if other experts have the same name.
    pub(super) fn expert(&self, username: &str, name: &str) -> String {
        match &self.shared_names {
            Some(shared) if !shared.contains(&*fold(name)) => visible(name).into_owned(),
            _ => expert(username, name),
        }
    }
}

/// The table format.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) screen: Screen,
}

/// The spaces that comfy-table writes before and after a cell.
const PADDING: (u16, u16) = (1, 1);

/// The most clicks of one lead in a report by lead, so that a busy lead does not push all others off the screen.
const LEAD_CLICKS_MAX: u64 = 50;

/// A table of at least this width has long bars.
const WIDE: u16 = 100;
/// A table of at least this width has all columns.
pub(super) const WIDE_COLUMNS: u16 = 120;

/// The most lines of a row with text from visitors: a search may have 2,000 characters, and must not push all other rows off
/// the screen. The formats for programs have the whole text.
const ROW_LINES_MAX: usize = 8;

/// A name is wrapped at its longest word before an email is wrapped at all, because an email may be copied. A shorter word counts as
/// [`NAME_COLUMNS_MIN`], and a longer one as [`NAME_COLUMNS_MAX`].
const NAME_COLUMNS_MIN: u16 = 10;
const NAME_COLUMNS_MAX: u16 = 20;

/// Columns are dropped from a narrow table before emails and searches get less than this. Most emails are shorter; a visitor may
/// choose a longer one.
const EMAIL_COLUMNS_MIN: u16 = 30;
const SEARCH_COLUMNS_MIN: u16 = 10;

/// How many columns are dropped at most; see [`ColumnInfo::dropped`](rows::ColumnInfo::dropped).
const DROPPED_MAX: u8 = 3;

/// In a report by lead, the columns of an indented time, and of all spaces.
const LEAD_TIME_COLUMNS: u16 = 25;

const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

impl Format for Table {
    /// Writes nothing for a report without rows.
    fn write(&self, report: &Report, asked: &Asked, out: &mut impl Write) -> io::Result<()> {
        match report {
            _ if report.is_empty() => return out.flush(),
            Report::ByLead(report) => self.by_lead(report, out)?,
            Report::ByDay(days) => {
                self.sparkline(days, out)?;
                self.list(&report.list(), out)?;
            }
            Report::Check { name, .. } => {
                writeln!(out, "{}\n", visible(name))?;
                self.list(&report.list(), out)?;
            }
            Report::Leads(_) | Report::Timeline(_) | Report::Ranking(_) | Report::Experts(_) => {
                self.list(&report.list(), out)?;
            }
        }
        for note in asked.notes(&self.screen.zone) {
            writeln!(out, "{}", self.screen.colors.aside(note))?;
        }
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

    /// Writes the spellings of a person's email, with their tables and numbers of rows.
    ///
    /// # Errors
    /// When `out` can't be written to.
    pub(crate) fn spellings(
        &self,
        spellings: &[SpellingRows],
        out: &mut impl Write,
    ) -> io::Result<()> {
        self.list(&rows::spellings(spellings), out)
    }

    /// Writes the experts and the leads with the most of the clicks that were found.
    ///
    /// # Errors
    /// When `out` can't be written to.
    pub(crate) fn found_clicks(
        &self,
        found: &FoundClicks,
        names: &ExpertNames,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let (experts, leads) = (rows::experts_of(found, names), rows::leads_of(found));
        self.list(&experts, out)?;
        self.more(&experts, out)?;
        writeln!(out)?;
        self.list(&leads, out)?;
        self.more(&leads, out)
    }

    /// Writes the subject, the rows, and the totals.
    fn list(&self, list: &List<'_>, out: &mut impl Write) -> io::Result<()> {
        let colors = self.screen.colors;
        if let Some(subject) = &list.subject {
            let subject = match subject.cell {
                Cell::Expert { username, name } => expert(username, name),
                cell => self.text(&cell),
            };
            writeln!(out, "{}\n", colors.heading(subject))?;
        }
        let columns = self.columns(list, &list.sample);
        let mut grid = self.new_grid();
        grid.set_header(columns.iter().map(|column| column.info.header));
        self.add_rows(&mut grid, list)?;
        let dropped = self.constrain(&mut grid, &columns);
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
        self.left_out(list, &dropped, out)
    }

    /// Writes how many rows are not shown.
    fn more(&self, list: &List<'_>, out: &mut impl Write) -> io::Result<()> {
        let more = list.all - list.shown;
        if more == 0 {
            return Ok(());
        }
        let line = counted(more, &format!("more {}", list.noun));
        writeln!(out, " {}", self.screen.colors.aside(line))
    }

    /// The columns for which there is room.
    fn columns<'r, 'c>(&self, list: &List<'_>, row: &'r [Column<'c>]) -> Vec<&'r Column<'c>> {
        let mut columns = list.for_people(row);
        columns.retain(|column| column.info.screen_min <= self.screen.width);
        columns
    }

    /// Writes which columns have no room: those of wider screens, and those that were dropped.
    fn left_out(
        &self,
        list: &List<'_>,
        dropped: &[&'static str],
        out: &mut impl Write,
    ) -> io::Result<()> {
        let all = list.for_people(&list.sample);
        let wide: Vec<_> = all
            .iter()
            .filter(|column| {
                (self.screen.width + 1..=WIDE_COLUMNS).contains(&column.info.screen_min)
                    || dropped.contains(&column.info.header)
            })
            .map(|column| column.info.header)
            .collect();
        let wide = match &*wide {
            [] => return Ok(()),
            [only] => (*only).to_owned(),
            [others @ .., end] => format!("{} and {end}", others.join(", ")),
        };
        let line = format!("a window of {WIDE_COLUMNS} columns also shows: {wide}");
        writeln!(out, "{}", self.screen.colors.aside(line))
    }

    fn add_rows(&self, grid: &mut Grid, list: &List<'_>) -> io::Result<()> {
        (list.rows)(&mut |row| {
            let columns = self.columns(list, row);
            let mut cells = Row::from(columns.iter().map(|column| self.text(&column.cell)));
            if columns.iter().any(|column| is_from_visitor(&column.cell)) {
                cells.max_height(ROW_LINES_MAX);
            }
            grid.add_row(cells);
            Ok(())
        })
    }

    /// Decides which columns may be wrapped: a search, which is only read, before an email or a name, which may be copied. Returns
    /// the headers of the columns that are dropped so that emails and usernames are not wrapped.
    fn constrain(&self, grid: &mut Grid, columns: &[&Column<'_>]) -> Vec<&'static str> {
        let contents = grid.column_max_content_widths();
        let measured = columns.iter().zip(contents).enumerate();
        let mut fitted: Vec<Fitted<'_>> = measured
            .map(|(number, (column, content))| {
                let least = match column.cell {
                    Cell::Expert { .. } => {
                        let cells = grid.column_cells_iter(number).flatten();
                        let names = cells.map(|cell| least_columns(&cell.content()));
                        let header = columns_of(column.info.header);
                        content.min(names.fold(header, u16::max))
                    }
                    Cell::Email(_) => content.min(EMAIL_COLUMNS_MIN),
                    Cell::Search(_) => content.min(SEARCH_COLUMNS_MIN),
                    _ => content,
                };
                Fitted {
                    column,
                    content,
                    least,
                }
            })
            .collect();
        let dropped = self.drop_columns(&mut fitted);
        let mut names = self.name_widths(&fitted).into_iter();
        for (column, grid_column) in columns.iter().zip(grid.column_iter_mut()) {
            match column.cell {
                _ if dropped.contains(&column.info.header) => {
                    grid_column.set_constraint(ColumnConstraint::Hidden);
                }
                Cell::Email(_) | Cell::Expert { .. } => {
                    grid_column.set_constraint(exactly(names.next().unwrap_or_default()));
                }
                Cell::Count(_) | Cell::Before { .. } | Cell::Share(_) => {
                    grid_column.set_cell_alignment(CellAlignment::Right);
                    grid_column.set_constraint(ColumnConstraint::ContentWidth);
                }
                Cell::Word(_) | Cell::Time(_) | Cell::Bar { .. } => {
                    grid_column.set_constraint(ColumnConstraint::ContentWidth);
                }
                _ => {}
            }
        }
        dropped
    }

    /// Removes columns until the others have room, and returns their headers.
    fn drop_columns(&self, fitted: &mut Vec<Fitted<'_>>) -> Vec<&'static str> {
        let mut dropped = Vec::new();
        for order in 1..=DROPPED_MAX {
            let needed: u32 = fitted.iter().map(|fitted| u32::from(fitted.least)).sum();
            let needed = needed + u32::from(spaces(fitted.len()));
            if needed <= self.screen.width.into() || self.screen.width >= WIDE_COLUMNS {
                break;
            }
            let is_next = |fitted: &Fitted<'_>| fitted.column.info.dropped == Some(order);
            if let Some(next) = fitted.iter().position(is_next) {
                dropped.push(fitted.remove(next).column.info.header);
            }
        }
        dropped
    }

    /// The widths of the columns of emails and names: what they need, as long as a search next to them has the rest that it needs,
    /// or a fair part of it. Names become narrower before emails.
    fn name_widths(&self, fitted: &[Fitted<'_>]) -> Vec<u16> {
        let is_name = |cell: &Cell<'_>| matches!(cell, Cell::Email(_) | Cell::Expert { .. });
        let (mut names, mut least) = (Vec::new(), Vec::new());
        let (mut search, mut others) = (0, 0);
        for fitted in fitted {
            match &fitted.column.cell {
                cell if is_name(cell) => {
                    let is_email = matches!(cell, Cell::Email(_));
                    names.push(fitted.content);
                    least.push(if is_email { u16::MAX } else { fitted.least });
                }
                Cell::Search(_) => search += fitted.content,
                _ => others += fitted.content,
            }
        }
        let room = self.screen.width.saturating_sub(others);
        let room = room.saturating_sub(spaces(fitted.len()));
        share(room, names, &least, search)
    }

    /// Writes the totals, and the time zone.
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

    /// Writes each lead with its clicks, and a footer with the totals and what is not shown.
    fn by_lead(&self, report: &ByLead, out: &mut impl Write) -> io::Result<()> {
        // One table per lead, all with the same widths. The lead is a heading above it, so the clicks have the whole line.
        let shown = report.leads().flat_map(|lead| {
            lead.clicks()
                .take(usize::try_from(LEAD_CLICKS_MAX).unwrap_or(usize::MAX))
        });
        let (mut expert, mut least, mut search) = (0, 0, 0);
        for click in shown {
            let name = self.screen.expert(click.expert_username, click.expert_name);
            expert = expert.max(columns_of(&name));
            least = least_columns(&name).max(least);
            search = search.max(columns_of(&visible(click.search_query)));
        }
        let room = self.screen.width.saturating_sub(LEAD_TIME_COLUMNS);
        let expert_width = share(room, vec![expert], &[least], search)[0];
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
            // Without the email: a visitor has chosen it, and somebody may paste the line into a shell.
            let line = format!(
                "  {} not shown; report --email with --limit {} shows all",
                counted(more, "more click"),
                lead.click_count()
            );
            writeln!(out, "{}", colors.aside(line))?;
        }
        writeln!(out)
    }

    /// Writes one character for each of the newest days that fit, and one for a long run of days without clicks.
    fn sparkline(&self, report: &ByDay, out: &mut impl Write) -> io::Result<()> {
        // Room for a date and spaces on both sides.
        let days_max = usize::from(self.screen.width).saturating_sub(26);
        let days = &*report.days;
        let days = days.get(..days_max).unwrap_or(days);
        if let [newest, .., oldest] | [newest @ oldest] = days {
            let clicks: Vec<u64> = days.iter().rev().map(|day| day.clicks).collect();
            let line = ink::sparkline(&clicks);
            let line = line
                .chars()
                .zip(days.iter().rev())
                .map(|(column, day)| if day.days > 1 { '…' } else { column });
            let line = self.screen.colors.drawing(line.collect::<String>());
            writeln!(out, " {} {line} {}\n", oldest.first(), newest.date)?;
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
            Cell::Domain(domain) => at_domain(domain),
            Cell::Expert { username, name } => self.screen.expert(username, name),
            Cell::SearchSubject(text) => search_subject(text).into_owned(),
            Cell::Finding { found, next } => {
                let text = next.map_or(Cow::Borrowed(found), |next| {
                    format!("{found}; {next}").into()
                });
                visible(&text).into_owned()
            }
            Cell::Count(count) => count.to_string(),
            Cell::Before { now, before } => super::before(now, before),
            Cell::Share(share) => percent(share),
            Cell::Time(time) => time.local(&self.screen.zone),
            Cell::Day(date) => date.strftime("%a %Y-%m-%d").to_string(),
            Cell::Gap(days) => format!("… {days} days"),
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

fn is_from_visitor(cell: &Cell<'_>) -> bool {
    matches!(
        cell,
        Cell::Email(_) | Cell::Expert { .. } | Cell::Search(_) | Cell::SearchSubject(_)
    )
}

/// A search as the subject of a row, for people.
pub(super) fn search_subject(text: &str) -> Cow<'_, str> {
    match text.trim() {
        "" => Cow::Borrowed("(no search)"),
        text => visible(text),
    }
}

/// A share in percent. A small share does not look like zero.
pub(super) fn percent(share: f64) -> String {
    const LEAST: f64 = 0.0005;
    if share > 0.0 && share < LEAST {
        "<0.1%".to_owned()
    } else {
        format!("{:.1}%", share * 100.0)
    }
}

/// A domain as `--email` takes it.
pub(super) fn at_domain(domain: &str) -> String {
    format!("@{}", visible(domain))
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

/// The note about the time zone, for example `times in UTC`.
pub(super) fn times(screen: &Screen, dated: &str) -> String {
    match zone_name(&screen.zone) {
        Some(name) => format!("{dated} in {name}"),
        None => format!("local {dated}"),
    }
}

/// The name of the time zone; none if the system does not know its name.
pub(crate) fn zone_name(zone: &TimeZone) -> Option<&str> {
    zone.iana_name().or(zone.is_unknown().then_some("UTC"))
}

/// The columns of names that need `names` columns next to a search that needs `search`, if all have `room`. If that is too little,
/// the search gets at least a fair part of it. Then the widest becomes narrower, and first of those that have more than their `least`.
fn share(room: u16, mut names: Vec<u16>, least: &[u16], search: u16) -> Vec<u16> {
    // Two fifths next to one name, and a quarter next to two.
    let parts = u16::try_from(names.len()).unwrap_or(1) * 3 + 2;
    let room = room.saturating_sub(search.min(room.saturating_mul(2) / parts));
    while names.iter().map(|name| u32::from(*name)).sum::<u32>() > u32::from(room) {
        let above_least = names.iter().zip(least).map(|(name, least)| name > least);
        let widest = above_least.zip(&names).enumerate();
        let Some((widest, _)) = widest.max_by_key(|(_, rank)| *rank) else {
            break;
        };
        names[widest] -= 1;
    }
    names
}

fn exactly(columns: u16) -> ColumnConstraint {
    ColumnConstraint::Absolute(Width::Fixed(columns.saturating_add(PADDING.0 + PADDING.1)))
}

fn indent(grid: &mut Grid) {
    if let Some(first) = grid.column_mut(0) {
        first.set_padding((PADDING.0 + 1, PADDING.1));
    }
}

/// A column of a table that is fitted to the screen.
struct Fitted<'a> {
    column: &'a Column<'a>,
    /// The width of the widest cell.
    content: u16,
    /// The width below which other columns are dropped.
    least: u16,
}

/// The width at which a name is not yet wrapped within a word.
fn least_columns(name: &str) -> u16 {
    let words = name.split(' ').map(columns_of);
    let longest = words.max().unwrap_or_default();
    longest.clamp(NAME_COLUMNS_MIN, NAME_COLUMNS_MAX)
}

fn columns_of(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// The spaces of so many columns. Between two columns there is one more than their padding.
fn spaces(columns: usize) -> u16 {
    (u16::try_from(columns).unwrap_or(1) * (PADDING.0 + PADDING.1 + 1)).saturating_sub(1)
}

/// Whether a table begins with a line of headers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    None,
    Line,
}

/// Prints without the padding of the last column, which would wrap if the window is made narrower.
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
