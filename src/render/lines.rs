//! A click a line, for those who watch clicks arrive.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::table::{Screen, expert};
use crate::{
    reports::ClickRow,
    text::{
        columns::{at_least, cut},
        visible,
    },
};

/// How many columns an email and an expert take at the least, so that most lines stand below each other.
const EMAIL_COLUMNS: usize = 22;
const EXPERT_COLUMNS: usize = 18;
/// What stands between two cells.
const GAP: &str = "  ";

/// Where a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// At the terminal's width, which a longer one is cut to.
    Terminal,
    /// Nowhere.
    Open,
}

/// Writes a line for people: the time, the lead, the expert and the search. On a terminal an email is cut where it
/// would leave no columns for the expert: visitors choose how long it is.
///
/// # Errors
/// When `out` takes no more.
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
            // The last column is for what says that the search is cut off.
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
        Some(rest) => writeln!(out, "{}{rest}", screen.ink.aside(time)),
        None => writeln!(out, "{line}"),
    }
}

/// Writes a line for programs: a JSON object with the fields of a report's NDJSON.
///
/// # Errors
/// When `out` takes no more.
pub(crate) fn json(mut out: impl Write, click: &ClickRow<'_>) -> io::Result<()> {
    // Whole lines: who reads them while they come never meets half of one.
    let mut line = serde_json::to_vec(click)?;
    line.push(b'\n');
    out.write_all(&line)
}
