//! One line per click, for `leadclicks watch`.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::{
    ndjson,
    table::{Screen, expert},
};
use crate::{
    reports::ClickRow,
    text::{
        columns::{at_least, cut},
        visible,
    },
};

/// The fewest columns of an email and of an expert, so that most lines are aligned.
const EMAIL_COLUMNS: usize = 22;
const EXPERT_COLUMNS: usize = 18;
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

/// Writes a line for people: the time, the lead, the expert and the search. On a terminal, an email is cut if it would leave
/// no columns for the expert, because visitors choose its length.
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
    let email = visible(click.email);
    let email = match edge {
        Edge::Terminal => {
            // One more column for the mark of a search that is cut.
            let others = time.len() + 2 * GAP.len() + EXPERT_COLUMNS + 1;
            let columns = usize::from(screen.width).saturating_sub(others);
            cut(&email, columns.max(EMAIL_COLUMNS))
        }
        Edge::Open => Cow::Borrowed(&*email),
    };
    let email = at_least(&email, EMAIL_COLUMNS);
    let expert = at_least(
        &expert(click.expert_username, click.expert_name),
        EXPERT_COLUMNS,
    );
    let query = visible(click.search_query);
    let line = [&*time, &*email, &*expert, &*query].join(GAP);
    let line = match edge {
        Edge::Terminal => cut(line.trim_end(), usize::from(screen.width)),
        Edge::Open => Cow::Borrowed(line.trim_end()),
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
