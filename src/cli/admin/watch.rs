//! `leadclicks watch`

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    path::Path,
    time::Duration,
};

use clap::{Args, ValueEnum};
use jiff::{Zoned, tz::TimeZone};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::filter::{FilterArgs, ZoneArgs};
use crate::{
    cli::{failure::Failure, output, print_error},
    expert::ExpertNames,
    render::lines::{self, Edge},
    reports::ClickRow,
    storage::{Batch, Feed},
};

/// How often the database is asked whether it has changed: often enough that a person sees no delay, seldom enough that
/// it costs nothing.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Show clicks as they arrive
///
/// Prints a line for each new click, until it is stopped with Ctrl-C or nobody reads any more. It goes on through a
/// reset, and when the daemon is restarted or another database is put in place of this one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks watch
  leadclicks watch --since 1h
  leadclicks watch --expert jdoe
  leadclicks watch --format ndjson >> clicks.ndjson

Times are local in text, and in UTC in ndjson. A line is cut at the edge of the terminal, and only there.")]
pub(super) struct WatchArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    zone: ZoneArgs,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a click, for people
    Text,
    /// A JSON object a line
    Ndjson,
}

pub(super) fn run(db: &Path, args: &WatchArgs, now: &Zoned) -> Result<(), Failure> {
    let now = &args.zone.apply(now);
    let mut feed = Feed::start(db, args.filter.selection(None, now)?)?;
    if io::stdout().is_terminal() {
        let path = feed.path().display();
        print_error(
            "leadclicks",
            &format!("waiting for clicks in {path}; Ctrl-C ends it"),
        );
    }
    loop {
        let batch = feed.next_batch()?;
        match print(&batch, feed.names(), args.format, now.time_zone()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            printed => printed?,
        }
        if !batch.has_more && reader_leaves_within(LOOK_EVERY)? {
            return Ok(());
        }
    }
}

fn print(batch: &Batch, names: &ExpertNames, format: Format, zone: &TimeZone) -> io::Result<()> {
    if batch.clicks.is_empty() {
        return Ok(());
    }
    // Asked each time, because a window can be made narrower.
    let screen = output::screen(zone.clone());
    // It passes on each line as soon as it is whole.
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

/// Waits for `time`, or until the other end of standard output is closed: a command that prints nothing would never
/// notice.
fn reader_leaves_within(time: Duration) -> io::Result<bool> {
    let stdout = io::stdout();
    // Errors and hang-ups are told without being asked for.
    let mut stdout = [PollFd::new(&stdout, PollFlags::empty())];
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    match poll(&mut stdout, Some(&time)) {
        // Who was stopped and goes on looks again.
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let closed = PollFlags::ERR | PollFlags::HUP;
    Ok(stdout[0].revents().intersects(closed))
}
