//! `leadclicks watch`

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    path::Path,
    time::Duration,
};

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};
use jiff::{Zoned, tz::TimeZone};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    cli::{
        failure::Failure,
        instant::{Instant, NotAnInstant, by_clocks_of, parse_time_zone},
        output, print_error,
    },
    expert::ExpertNames,
    render::lines::{self, Edge},
    reports::ClickRow,
    storage::{Batch, Feed, Selection, Window},
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
    /// Only the clicks on this expert
    #[arg(long, value_name = "USERNAME", value_parser = NonEmptyStringValueParser::new())]
    expert: Option<String>,
    /// Only the clicks of this lead
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    email: Option<String>,
    /// Only clicks after a search that this text stands in; upper and lower case are the same
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    query: Option<String>,
    /// First those from this time on: today, yesterday, 90m, 24h, 7d, 2w (ago), 2026-11-01, '2026-11-01 09:30' (local
    /// time) or 2026-11-01T09:30:00Z; without it only new ones
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<Instant>,
    /// The time zone of local times and days, as in Europe/Berlin or UTC; the system's without it
    #[arg(long, value_name = "ZONE", value_parser = parse_time_zone)]
    tz: Option<TimeZone>,
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
    let now = &by_clocks_of(now, args.tz.as_ref());
    let mut feed = Feed::start(db, selection(args, now)?)?;
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

fn selection(args: &WatchArgs, now: &Zoned) -> Result<Selection, Failure> {
    let since = args
        .since
        .map(|since| since.resolve(now))
        .transpose()
        .map_err(|error: NotAnInstant| Failure::Usage(format!("--since: {error}")))?;
    Ok(Selection::new(
        Window { since, until: None },
        args.expert.as_deref(),
        args.email.as_deref(),
        args.query.as_deref(),
    ))
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
