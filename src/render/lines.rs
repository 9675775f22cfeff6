//! One line per click, for `leadclicks watch`.

use std::io::{self, Write};

use super::{
    ndjson,
    table::{Screen, expert},
};
use crate::{
    reports::ClickRow,
    text::{
        columns::{at_least, cut, padded},
        visible,
    },
};

/// The columns of an email and of an expert where lines have any length: the fewest, so that most lines are aligned.
const OPEN_COLUMNS: [usize; 2] = [22, 18];
/// The same on a terminal, where longer texts are cut: as many as most need.
const WIDEST_COLUMNS: [usize; 2] = [36, 30];
/// The space between two cells.
const GAP: &str = "  ";

/// Where a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// At the width of the terminal, to which a longer line is cut.
    Terminal,
    /// Lines have any length.
    Open,
}

/// Writes a line for people: the time, the lead, the expert and the search. On a terminal, all lines are aligned, so emails and
/// names are cut that leave less than a third of the room for the search.
///
/// # Errors
/// When `out` can't be written to.
pub(crate) fn text(
    mut out: impl Write,
    click: &ClickRow<'_>,
    screen: &Screen,
    edge: Edge,
) -> io::Result<()> {
    let time = click.created_at.local_seconds(&screen.zone);
    let (email, query) = (visible(click.email), visible(click.search_query));
    let (username, name) = (click.expert_username, click.expert_name);
    let line = match edge {
        Edge::Terminal => {
            let columns = usize::from(screen.width);
            let room = columns.saturating_sub(time.len() + 3 * GAP.len());
            let email_columns = (room * 2 / 5).min(WIDEST_COLUMNS[0]);
            let expert_columns = (room * 3 / 10).min(WIDEST_COLUMNS[1]);
            let email = padded(&email, email_columns);
            let expert = padded(&screen.expert(username, name), expert_columns);
            let line = [&*time, &*email, &*expert, &*query].join(GAP);
            cut(line.trim_end(), columns).into_owned()
        }
        Edge::Open => {
            let email = at_least(&email, OPEN_COLUMNS[0]);
            let expert = at_least(&expert(username, name), OPEN_COLUMNS[1]);
            let line = [&*time, &*email, &*expert, &*query].join(GAP);
            line.trim_end().to_owned()
        }
    };
    match line.strip_prefix(&*time) {
        Some(rest) => writeln!(out, "{}{rest}", screen.colors.aside(time)),
        None => writeln!(out, "{line}"),
    }
}

/// Writes a line for programs: an object with the fields of a report's NDJSON.
///
/// # Errors
/// When `out` can't be written to.
pub(crate) fn json(mut out: impl Write, click: &ClickRow<'_>) -> io::Result<()> {
    // In one write, so that a reader never gets half a line.
    let mut line = Vec::new();
    ndjson::line(&mut line, &click.columns())?;
    out.write_all(&line)
}
