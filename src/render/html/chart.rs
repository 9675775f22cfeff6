//! A chart of the clicks per day, as an SVG.

use std::io::{self, Write};

use jiff::{Span, ToSpan, civil::Date};

use super::{
    BAR_COLOR,
    text::{Number, counted},
};
use crate::reports::Day;

/// More columns would be narrower than two pixels on a phone.
const COLUMNS_MAX: usize = 120;
/// A chart with so few columns does not take the whole width of the page.
const COLUMNS_FEW: usize = 7;
/// A chart with fewer columns has no label in the middle.
const COLUMNS_WITH_MIDDLE: usize = 9;

/// The height of the chart, in SVG units.
const HEIGHT: u64 = 1000;
/// The width of the slot of a column, in SVG units.
const SLOT_WIDTH: usize = 10;
/// The width of the column in its slot.
const COLUMN_WIDTH: usize = 8;

/// The time that one column covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Day,
    /// From Monday to Sunday.
    Week,
    Month,
    /// So many years, beginning with a multiple of this number.
    Years(i16),
}

/// With a century per column, the chart can cover all years.
const UNITS: [Unit; 6] = [
    Unit::Day,
    Unit::Week,
    Unit::Month,
    Unit::Years(1),
    Unit::Years(10),
    Unit::Years(100),
];

impl Unit {
    /// The first day of the unit that contains `date`.
    fn begin(self, date: Date) -> Date {
        match self {
            Self::Day => date,
            Self::Week => {
                let days = i32::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(days.days()).unwrap_or(date)
            }
            Self::Month => date.first_of_month(),
            Self::Years(years) => {
                let first = date.year().div_euclid(years) * years;
                Date::new(first, 1, 1).unwrap_or(date)
            }
        }
    }

    fn span(self) -> Span {
        match self {
            Self::Day => 1.day(),
            Self::Week => 1.week(),
            Self::Month => 1.month(),
            Self::Years(years) => years.years(),
        }
    }

    /// The first days of the units from that of `first` to that of `last`.
    fn begins(self, first: Date, last: Date) -> impl Iterator<Item = Date> {
        std::iter::successors(Some(self.begin(first)), move |begin| {
            begin.checked_add(self.span()).ok()
        })
        .take_while(move |begin| *begin <= last)
    }

    /// The caption, for example `Clicks per day`.
    fn caption(self) -> String {
        let unit = match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Years(1) => "year",
            Self::Years(years) => return format!("Clicks per {years} years"),
        };
        format!("Clicks per {unit}")
    }

    /// The name of the unit that begins on `begin`.
    fn name(self, begin: Date) -> String {
        let last = || {
            let next = begin.checked_add(self.span());
            next.and_then(Date::yesterday).unwrap_or(Date::MAX)
        };
        match self {
            Self::Day => begin.strftime("%a %Y-%m-%d").to_string(),
            Self::Week => format!("{begin} to {}", last()),
            Self::Month => begin.strftime("%B %Y").to_string(),
            Self::Years(1) => begin.year().to_string(),
            Self::Years(_) => format!("{} to {}", begin.year(), last().year()),
        }
    }

    /// The label of the unit under the chart.
    fn label(self, begin: Date) -> String {
        match self {
            Self::Day | Self::Week => begin.to_string(),
            Self::Month => begin.strftime("%Y-%m").to_string(),
            Self::Years(_) => begin.year().to_string(),
        }
    }
}

#[derive(Clone)]
struct Column {
    begin: Date,
    clicks: u64,
    /// Only for days: the leads of several days can't be added, because a lead may have clicked on more than one.
    leads: Option<u64>,
}

/// Writes a chart that covers `first` to `last` and all of `days`, which are newest first.
pub(super) fn write(out: &mut impl Write, days: &[Day], first: Date, last: Date) -> io::Result<()> {
    let (unit, columns) = chart(days, first, last, COLUMNS_MAX);
    let most = columns.iter().map(|column| column.clicks).max();
    let top = round_top(most.unwrap_or_default());
    let few = if columns.len() <= COLUMNS_FEW {
        " few"
    } else {
        ""
    };
    let caption = unit.caption();
    writeln!(
        out,
        "<figure class=\"chart{few}\">\n<figcaption>{caption}</figcaption>"
    )?;
    writeln!(
        out,
        "<div class=\"scale\" aria-hidden=\"true\" hidden><span>{}</span><span>{}</span><span>0</span></div>",
        Number(top),
        Number(top / 2)
    )?;
    writeln!(
        out,
        "<svg viewBox=\"0 0 {} {HEIGHT}\" width=\"100%\" height=\"144\" fill=\"{BAR_COLOR}\" preserveAspectRatio=\"none\" role=\"img\" aria-labelledby=\"chart-title chart-text\">",
        columns.len() * SLOT_WIDTH
    )?;
    writeln!(out, "<title id=\"chart-title\">{caption}</title>")?;
    writeln!(
        out,
        "<desc id=\"chart-text\">{}</desc>",
        description(unit, &columns)
    )?;
    let half = HEIGHT / 2;
    writeln!(
        out,
        "<path class=\"grid\" fill=\"none\" stroke=\"#999\" vector-effect=\"non-scaling-stroke\" d=\"M0 0H{0}M0 {half}H{0}M0 {HEIGHT}H{0}\"/>",
        columns.len() * SLOT_WIDTH
    )?;
    for (number, column) in columns.iter().enumerate() {
        write_column(out, unit, column, number, top, columns.len())?;
    }
    out.write_all(b"</svg>\n")?;
    write_axis(out, unit, &columns)?;
    out.write_all(b"</figure>\n")
}

/// The unit of a chart of at most `columns_max` columns, and the columns.
fn chart(days: &[Day], first: Date, last: Date, columns_max: usize) -> (Unit, Vec<Column>) {
    let first = days.last().map_or(first, |day| day.date.min(first));
    let last = days.first().map_or(last, |day| day.date.max(last));
    let unit = unit(first, last, columns_max);
    (unit, columns(unit, days, first, last))
}

/// The caption of a chart of at most `rows_max` rows, and the names and clicks of the rows.
pub(super) fn rows(
    days: &[Day],
    first: Date,
    last: Date,
    rows_max: usize,
) -> (String, impl Iterator<Item = (String, u64)> + Clone) {
    let (unit, columns) = chart(days, first, last, rows_max);
    let named = columns
        .into_iter()
        .map(move |column| (unit.name(column.begin), column.clicks));
    (unit.caption(), named)
}

/// Writes the labels of the first and the last column, and one in the middle if there is room.
fn write_axis(out: &mut impl Write, unit: Unit, columns: &[Column]) -> io::Result<()> {
    let middle = columns
        .get(columns.len() / 2)
        .filter(|_| columns.len() >= COLUMNS_WITH_MIDDLE);
    let last = columns.last().filter(|_| columns.len() > 1);
    out.write_all(b"<div class=\"axis\" aria-hidden=\"true\">")?;
    for column in [columns.first(), middle, last].into_iter().flatten() {
        write!(out, "<span>{}</span> ", unit.label(column.begin))?;
    }
    out.write_all(b"</div>\n")
}

/// The smallest unit that needs no more than `columns_max` columns.
fn unit(first: Date, last: Date, columns_max: usize) -> Unit {
    let fits = |unit: &Unit| unit.begins(first, last).nth(columns_max).is_none();
    UNITS.into_iter().find(fits).unwrap_or(Unit::Years(100))
}

fn columns(unit: Unit, days: &[Day], first: Date, last: Date) -> Vec<Column> {
    let mut columns: Vec<Column> = unit
        .begins(first, last)
        .map(|begin| Column {
            begin,
            clicks: 0,
            leads: (unit == Unit::Day).then_some(0),
        })
        .collect();
    for day in days {
        let after = columns.partition_point(|column| column.begin <= day.date);
        let Some(column) = after.checked_sub(1).and_then(|at| columns.get_mut(at)) else {
            continue;
        };
        column.clicks += day.clicks;
        if let Some(leads) = &mut column.leads {
            *leads += day.leads;
        }
    }
    columns
}

/// The next of 2, 4, 6, 8, 10, 20, 40 and so on, so that its half is also a whole number.
fn round_top(most: u64) -> u64 {
    let mut ten: u64 = 1;
    while most > ten.saturating_mul(10) {
        ten = ten.saturating_mul(10);
    }
    let step = ten.saturating_mul(2);
    most.div_ceil(step).max(1).saturating_mul(step)
}

/// Writes a slot as high as the chart, for the pointer, and the column in it.
fn write_column(
    out: &mut impl Write,
    unit: Unit,
    column: &Column,
    number: usize,
    top: u64,
    columns: usize,
) -> io::Result<()> {
    let left = number * SLOT_WIDTH;
    let name = unit.name(column.begin);
    let clicks = counted(column.clicks, "click");
    write!(out, "<g><title>{name}: {clicks}")?;
    if let Some(leads) = column.leads.filter(|_| column.clicks > 0) {
        write!(out, " by {}", counted(leads, "lead"))?;
    }
    write!(
        out,
        "</title><rect class=\"place\" fill=\"none\" x=\"{left}\" width=\"{SLOT_WIDTH}\" height=\"{HEIGHT}\"/>"
    )?;
    if column.clicks > 0 {
        let part = u128::from(column.clicks) * u128::from(HEIGHT);
        let height = u64::try_from(part.div_ceil(u128::from(top))).unwrap_or(HEIGHT);
        // A single column does not fill the chart.
        let width = if columns < 4 {
            2 * columns
        } else {
            COLUMN_WIDTH
        };
        write!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\"/>",
            left + (SLOT_WIDTH - width) / 2,
            HEIGHT.saturating_sub(height)
        )?;
    }
    writeln!(out, "</g>")
}

/// The text of the chart for screen readers.
fn description(unit: Unit, columns: &[Column]) -> String {
    let (Some(first), Some(last)) = (columns.first(), columns.last()) else {
        return String::new();
    };
    // The first, if several have the same number.
    let most = columns.iter().rev().max_by_key(|column| column.clicks);
    let most = most.map_or(String::new(), |most| {
        let clicks = counted(most.clicks, "click");
        format!(". Maximum: {}, {clicks}", unit.name(most.begin))
    });
    format!(
        "From {} to {}{most}.",
        unit.name(first.begin),
        unit.name(last.begin)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn day(text: &str, clicks: u64) -> Day {
        Day {
            date: date(text),
            days: 1,
            clicks,
            leads: 1,
        }
    }

    #[test]
    fn a_long_time_has_a_larger_unit_so_that_columns_stay_visible() {
        for (first, last, expected, count) in [
            ("2026-11-22", "2026-11-22", Unit::Day, 1),
            ("2026-01-01", "2026-04-30", Unit::Day, 120),
            ("2026-01-01", "2026-05-01", Unit::Week, 18),
            ("2024-01-01", "2026-04-19", Unit::Week, 120),
            ("2024-01-01", "2026-04-20", Unit::Month, 28),
            ("2000-01-01", "2010-01-01", Unit::Years(1), 11),
            ("1000-01-01", "2010-01-01", Unit::Years(10), 102),
            ("0000-01-01", "9999-12-31", Unit::Years(100), 100),
        ] {
            let unit = unit(date(first), date(last), COLUMNS_MAX);
            let begins = unit.begins(date(first), date(last)).count();
            assert_eq!((unit, begins), (expected, count), "{first} to {last}");
        }
    }

    #[test]
    fn a_column_has_all_clicks_of_its_days() {
        let days = [
            day("2026-11-22", 4),
            day("2026-11-16", 2),
            day("2026-11-15", 1),
        ];
        let columns = columns(Unit::Week, &days, date("2026-11-11"), date("2026-11-22"));
        let named: Vec<_> = columns
            .iter()
            .map(|column| (Unit::Week.name(column.begin), column.clicks))
            .collect();
        assert_eq!(
            named,
            [
                ("2026-11-09 to 2026-11-15".to_owned(), 1),
                ("2026-11-16 to 2026-11-22".to_owned(), 6)
            ]
        );
    }

    #[test]
    fn every_unit_has_a_name() {
        let names = UNITS.map(|unit| unit.name(unit.begin(date("2026-11-22"))));
        assert_eq!(
            names,
            [
                "Sun 2026-11-22",
                "2026-11-16 to 2026-11-22",
                "November 2026",
                "2026",
                "2020 to 2029",
                "2000 to 2099",
            ]
        );
        assert_eq!(Unit::Years(100).name(date("9900-01-01")), "9900 to 9999");
    }

    #[test]
    fn the_scale_ends_at_a_round_number_with_a_whole_half() {
        let tops = [0, 1, 2, 3, 7, 10, 11, 21, 99, 100, 101, 999].map(round_top);
        assert_eq!(tops, [2, 2, 2, 4, 8, 10, 20, 40, 100, 100, 200, 1000]);
        assert!(round_top(u64::MAX) >= u64::MAX / 2);
    }
}
