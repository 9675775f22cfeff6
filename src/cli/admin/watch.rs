//! `leadclicks watch`

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    time::Duration,
};

use clap::{Args, ValueEnum};
use jiff::{Zoned, tz::TimeZone};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::filter::{ExcludeArgs, FilterArgs, UnknownExpert, ZoneArgs, find_experts};
use crate::{
    cli::{
        failure::Failure,
        output,
        period::{Period, resolve_since},
        print_error,
    },
    expert::ExpertNames,
    render::{
        Asked,
        lines::{self, Edge},
    },
    reports::ClickRow,
    storage::{Db, DbLocation, Feed, NewClicks, Selection, Window},
    timestamp::Timestamp,
};

/// How often the database is polled: often enough that a person sees no delay, and rarely enough that it costs nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Show clicks as they arrive
///
/// Prints one line for each new click, until Ctrl-C or until the reader of a pipe ends. With --since, it prints earlier
/// clicks first. It continues through a reset, a restart of the daemon, and the restore of a backup.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks watch
  leadclicks watch --since 1h
  leadclicks watch --expert jdoe
  leadclicks watch --format ndjson >> clicks.ndjson

Without --since, only new clicks are printed. Times are local in text, and UTC in ndjson. On a
terminal, lines are cut at its edge.")]
pub(super) struct WatchArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Print the clicks from the beginning of this period on first: 90min, 24h, today, monday, 'this week', 7d (whole days),
    /// 2026-11-01, '2026-11-01 09:30' (local time) or 2026-11-01T09:30:00Z
    #[arg(long, value_name = "PERIOD", allow_hyphen_values = true)]
    since: Option<Period>,
    #[command(flatten)]
    exclude: ExcludeArgs,
    #[command(flatten)]
    zone: ZoneArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line per click, for people
    Text,
    /// One JSON object per line
    Ndjson,
}

pub(super) fn run(db: &DbLocation, args: &WatchArgs, now: &Zoned) -> Result<(), Failure> {
    let now = &args.zone.apply(now);
    let since = resolve_since(args.since, now)?;
    let mut selection = args.filter.selection(Window { since, until: None })?;
    selection.excluded = args.exclude.emails()?;
    if !selection.experts.is_empty() {
        warn_of_unknown_experts(&Db::open_for_report(db)?, &mut selection)?;
    }
    let asked = Asked {
        excluded: selection.excluded.clone(),
        ..Asked::default()
    };
    for note in asked.notes(now.time_zone()) {
        print_error("leadclicks", &note);
    }
    let mut feed = Feed::start(db, selection, Timestamp::new(now.timestamp()))?;
    if io::stdout().is_terminal() {
        let name = feed.name();
        print_error(
            "leadclicks",
            &format!("waiting for clicks in {name}; stop with Ctrl-C"),
        );
    }
    loop {
        let batch = feed.next_batch()?;
        match print(&batch, feed.names(), args.format, now.time_zone()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            printed => printed?,
        }
        if !batch.has_more && is_closed_within(POLL_INTERVAL)? {
            return Ok(());
        }
    }
}

fn warn_of_unknown_experts(db: &Db, selection: &mut Selection) -> Result<(), Failure> {
    let name = db.name();
    for UnknownExpert { text, hint } in find_experts(db, "--expert", &mut selection.experts)? {
        let sentence = format!("no clicks on '{text}' yet in {name}{hint}");
        print_error("leadclicks", &sentence);
    }
    Ok(())
}

fn print(
    batch: &NewClicks,
    names: &ExpertNames,
    format: Format,
    zone: &TimeZone,
) -> io::Result<()> {
    if batch.clicks.is_empty() {
        return Ok(());
    }
    // Each time, because the window can be resized.
    let screen = output::screen(zone.clone()).for_experts(names);
    // It is line-buffered, so each line is passed on when it is complete.
    let mut stdout = io::stdout().lock();
    let edge = if stdout.is_terminal() {
        Edge::Terminal
    } else {
        Edge::Open
    };
    for click in &batch.clicks {
        let click = ClickRow::of(click, names);
        match format {
            Format::Text => lines::text(&mut stdout, &click, &screen, edge)?,
            Format::Ndjson => lines::json(&mut stdout, &click)?,
        }
    }
    stdout.flush()
}

/// Waits for `time`, or until the other end of standard output is closed, and returns whether it is. Without this, a command
/// that has nothing to print would not notice.
fn is_closed_within(time: Duration) -> io::Result<bool> {
    let stdout = io::stdout();
    // Errors and hang-ups are always reported.
    let mut stdout = [PollFd::new(&stdout, PollFlags::empty())];
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    match poll(&mut stdout, Some(&time)) {
        // The process was stopped and continued.
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let closed = PollFlags::ERR | PollFlags::HUP;
    Ok(stdout[0].revents().intersects(closed))
}
