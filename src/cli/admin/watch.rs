//! `leadclicks watch`

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    ops::ControlFlow,
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
        period::{Period, resolve, resolve_since},
        print_error,
    },
    expert::ExpertNames,
    render::{
        Asked,
        lines::{self, Edge},
    },
    reports::ClickRow,
    storage::{Columns, Db, DbLocation, Feed, NewClicks, Query, Selection, Window},
    timestamp::Timestamp,
};

/// How often the database is polled: often enough that a person sees no delay, and rarely enough that it costs nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Show clicks as they arrive
///
/// Prints one line for each new click, until Ctrl-C or until the reader of a pipe ends. With --since, it prints earlier
/// clicks first, and with --after it continues where an earlier watch ended. It continues through a reset, a restart of the daemon, and the restore of a backup.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks watch
  leadclicks watch --since 1h
  leadclicks watch --expert jdoe
  leadclicks watch --format ndjson >> clicks.ndjson
  leadclicks watch --format ndjson --after 2026-11-01T09:30:00.123456Z >> clicks.ndjson
  leadclicks watch --format ndjson | jq .email

Without --since or --after, only new clicks are printed. --since is for people:
it goes by when a click happened. --after is for programs that continue where
they ended: no click is missed that was stored later, and one may repeat only
if another happened in the same microsecond. Times are local in text, and UTC
in ndjson. On a terminal, lines are cut at its edge.")]
pub(super) struct WatchArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Print the clicks from the beginning of this period on first: 90min, 24h, today, monday, 'this week', 7d (whole days),
    /// 2026-11-01, '2026-11-01 09:30' (local time) or 2026-11-01T09:30:00Z
    #[arg(long, value_name = "PERIOD", allow_hyphen_values = true)]
    since: Option<Period>,
    /// Print the clicks that were stored after the click of this time, which is the created_at of the last line of an earlier
    /// watch in ndjson: 2026-11-01T09:30:00.123456Z; or a time in the forms of --since
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "since"
    )]
    after: Option<Period>,
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
    let started = Timestamp::new(now.timestamp());
    let after = resolve("--after", args.after, |after| after.begin(now))?;
    let (mut feed, mut resume) = match after {
        Some(after) => Resume::start(db, selection, after, started)?,
        None => (Feed::start(db, selection, started)?, None),
    };
    if io::stdout().is_terminal() {
        let name = feed.name();
        print_error(
            "leadclicks",
            &format!("waiting for clicks in {name}; stop with Ctrl-C"),
        );
    }
    loop {
        let mut batch = feed.next_batch()?;
        if let Some(missing) = resume.take() {
            resume = missing.skip(&mut batch);
        }
        match print(&batch, feed.names(), args.format, now.time_zone()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            printed => printed?,
        }
        if !batch.has_more && is_closed_within(POLL_INTERVAL)? {
            return Ok(());
        }
    }
}

/// A click may be stored so long after it happened. It is a day, and an hour for clocks that differ.
const LATE_MAX: Duration = Duration::from_hours(25);

/// The click after which a watch resumes, while it was not yet read.
struct Resume {
    after: Timestamp,
}

impl Resume {
    /// Reads the clicks of the last day before `after` again, in the order in which they were stored, to find the one with that time:
    /// a click that was stored later may have happened earlier. If there is none, for instance because it was deleted,
    /// the clicks that happened later are printed.
    fn start(
        db: &DbLocation,
        selection: Selection,
        after: Timestamp,
        started: Timestamp,
    ) -> Result<(Feed, Option<Self>), Failure> {
        let mut exists = false;
        let opened = Db::open_for_report(db)?;
        let query = Query::of(&selection, Columns::CREATED_AT);
        opened.read_clicks_at(&query, &[after], |_| {
            exists = true;
            Ok(ControlFlow::Break(()))
        })?;
        let since = if exists {
            Some(after.before(LATE_MAX))
        } else {
            let name = opened.name();
            let time = &*after.rfc3339();
            let sentence = format!(
                "no click of {time} in {name}; starting with the first that happened later"
            );
            print_error("leadclicks", &sentence);
            after.next()
        };
        let selection = Selection {
            window: Window { since, until: None },
            ..selection
        };
        let feed = Feed::start(db, selection, started)?;
        Ok((feed, exists.then_some(Self { after })))
    }

    /// Removes the clicks up to the first with the time, after which another with the same time may be printed a second time.
    /// Returns itself if the click may be in a later batch.
    fn skip(self, batch: &mut NewClicks) -> Option<Self> {
        let Self { after } = self;
        if let Some(at) = batch
            .clicks
            .iter()
            .position(|click| click.created_at == after)
        {
            batch.clicks.drain(..=at);
            return None;
        }
        if batch.has_more || batch.clicks.is_empty() {
            batch.clicks.clear();
            return Some(self);
        }
        // It was deleted just now.
        batch.clicks.retain(|click| click.created_at > after);
        None
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
