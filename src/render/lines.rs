//! A click a line, for those who watch clicks arrive.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::{
    columns::{at_least, cut},
    table::{Screen, expert},
};
use crate::{report::ClickRow, visible::visible};

/// How many columns an email and an expert take at the least, so that most lines stand below each other.
const EMAIL_COLUMNS: usize = 22;
const EXPERT_COLUMNS: usize = 18;

/// Where a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// At the terminal's width, which a longer one is cut to.
    Terminal,
    /// Nowhere.
    Open,
}

/// Writes a line for people: the time, the lead, the expert and the search.
///
/// # Errors
/// When `out` takes no more.
pub fn text(
    mut out: impl Write,
    click: &ClickRow<'_>,
    screen: &Screen,
    edge: Edge,
) -> io::Result<()> {
    let time = click.created_at.local_seconds(&screen.zone);
    let email = at_least(&visible(click.email), EMAIL_COLUMNS);
    let expert = at_least(
        &expert(click.expert_username, click.expert_name),
        EXPERT_COLUMNS,
    );
    let line = format!("{time}  {email}  {expert}  {}", visible(click.search_query));
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
pub fn json(mut out: impl Write, click: &ClickRow<'_>) -> io::Result<()> {
    // Whole lines: who reads them while they come never meets half of one.
    let mut line = serde_json::to_vec(click)?;
    line.push(b'\n');
    out.write_all(&line)
}
