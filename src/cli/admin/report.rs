//! `leadclicks report`

mod page;

use std::{io, num::NonZeroU64, path::Path};

use clap::{ArgGroup, Args, builder::NonEmptyStringValueParser};
use jiff::{Zoned, tz::TimeZone};

use super::format::{Format, OutputArgs, ReportFormat};
use crate::{
    cli::{
        failure::Failure,
        instant::{Instant, NotAnInstant, by_clocks_of, parse_time_zone},
        output::{self, Out},
        print_error,
        progress::timed,
    },
    expert::ExpertNames,
    render::{csv, json, table},
    reports::{self, RankBy, Subject},
    storage::{Db, Selection, Window},
};

/// How many leads, experts, searches or days a table shows without `--limit`.
const TABLE_ROWS: NonZeroU64 = NonZeroU64::new(50).unwrap();
/// How many clicks a table of one expert or one lead shows without `--limit`.
const TABLE_CLICKS: NonZeroU64 = NonZeroU64::new(200).unwrap();

const QUESTIONS: &str = "Questions";
const SELECTION: &str = "Which clicks";
const OUTPUT: &str = "Output";

/// Show who clicked whom, when and how often
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("question").required(true).multiple(true)
        .args(["by_email", "by_expert", "by_query", "by_day", "expert", "email"])),
    group(ArgGroup::new("by").args(["by_email", "by_expert", "by_query", "by_day"])),
    after_help = "\
Examples:
  leadclicks report --by-email
  leadclicks report --by-email --since 7d --format csv --output week.csv
  leadclicks report --by-email --since 30d --format html --output leads.html
  leadclicks report --by-expert --since 30d
  leadclicks report --by-query --expert jdoe
  leadclicks report --by-day --since 2026-11-01 --tz Europe/Berlin
  leadclicks report --expert jdoe --limit 20
  leadclicks report --email jane@example.com

Times are local in a table and a page, and in UTC in the other formats. Days are local in all of them."
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag, and clap lets only one be given"
)]
pub(super) struct ReportArgs {
    /// All clicks grouped by lead, the lead with the latest click first
    #[arg(long, help_heading = QUESTIONS)]
    by_email: bool,
    /// The experts by their number of clicks, the most wanted first
    #[arg(long, help_heading = QUESTIONS)]
    by_expert: bool,
    /// What leads searched for before they clicked, the most frequent first; upper and lower case are the same
    #[arg(long, help_heading = QUESTIONS)]
    by_query: bool,
    /// Clicks and leads a day, the newest day first
    #[arg(long, help_heading = QUESTIONS)]
    by_day: bool,
    /// The clicks on one expert, newest first; with another question only the clicks on this expert
    #[arg(long, value_name = "USERNAME", value_parser = NonEmptyStringValueParser::new(), help_heading = QUESTIONS)]
    expert: Option<String>,
    /// The clicks of one lead, newest first; with another question only the clicks of this lead
    #[arg(long, value_parser = NonEmptyStringValueParser::new(), help_heading = QUESTIONS)]
    email: Option<String>,
    /// Only clicks after a search that this text stands in; upper and lower case are the same
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new(), help_heading = SELECTION)]
    query: Option<String>,
    /// Only clicks from this time on: today, yesterday, 90m, 24h, 7d, 2w (ago), 2026-11-01, '2026-11-01 09:30' (local
    /// time) or 2026-11-01T09:30:00Z
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = SELECTION)]
    since: Option<Instant>,
    /// Only clicks before this time, given like --since
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = SELECTION)]
    until: Option<Instant>,
    /// The time zone of local times and days, as in Europe/Berlin or UTC; the system's without it
    #[arg(long, value_name = "ZONE", value_parser = parse_time_zone, help_heading = SELECTION)]
    tz: Option<TimeZone>,
    /// At most this many leads, experts, searches, days, or clicks of one expert or lead; without it a table stops at 50,
    /// or at 200 clicks, and a page at 1000, or at 5000 clicks; a page never has more than 20000 rows
    #[arg(long, value_name = "NUMBER", value_parser = parse_limit, help_heading = OUTPUT)]
    limit: Option<NonZeroU64>,
    #[command(flatten, next_help_heading = OUTPUT)]
    output: OutputArgs<ReportFormat>,
}

/// What is asked.
enum Question {
    ByEmail,
    Ranking(RankBy),
    ByDay,
    Timeline(Subject),
}

fn parse_limit(text: &str) -> Result<NonZeroU64, &'static str> {
    text.parse()
        .map_err(|_| "a limit is a whole number, at least 1")
}

pub(super) fn run(db: &Path, args: &ReportArgs, now: &Zoned) -> Result<(), Failure> {
    args.output.check()?;
    let now = &by_clocks_of(now, args.tz.as_ref());
    let selection = selection(args, now)?;
    let db = &Db::open_for_report(db)?;
    let question = question(args, &selection);
    let format = match args.output.format {
        ReportFormat::Html => return page::write(db, question, selection, args, now),
        ReportFormat::Other(format) => format,
    };
    let zone = now.time_zone();
    match question {
        Question::ByEmail => by_email(db, &selection, args, format, zone),
        Question::Ranking(by) => ranking(db, by, &selection, args, format, zone),
        Question::ByDay => by_day(db, &selection, args, format, zone),
        Question::Timeline(subject) => timeline(db, subject, &selection, args, format, zone),
    }
}

/// One expert or one lead is a question by itself, and a condition of any other.
fn question(args: &ReportArgs, selection: &Selection) -> Question {
    match (&selection.email, &selection.expert) {
        _ if args.by_email => Question::ByEmail,
        _ if args.by_expert => Question::Ranking(RankBy::Expert),
        _ if args.by_query => Question::Ranking(RankBy::Query),
        (Some(email), _) if !args.by_day => Question::Timeline(Subject::Lead(email.clone())),
        (None, Some(username)) if !args.by_day => {
            Question::Timeline(Subject::Expert(username.clone()))
        }
        _ => Question::ByDay,
    }
}

fn selection(args: &ReportArgs, now: &Zoned) -> Result<Selection, Failure> {
    Ok(Selection::new(
        window(args, now)?,
        args.expert.as_deref(),
        args.email.as_deref(),
        args.query.as_deref(),
    ))
}

fn window(args: &ReportArgs, now: &Zoned) -> Result<Window, Failure> {
    let resolve = |flag: &str, instant: Option<Instant>| {
        instant
            .map(|instant| instant.resolve(now))
            .transpose()
            .map_err(|error: NotAnInstant| Failure::Usage(format!("{flag}: {error}")))
    };
    let window = Window {
        since: resolve("--since", args.since)?,
        until: resolve("--until", args.until)?,
    };
    match (window.since, window.until) {
        (Some(since), Some(until)) if since >= until => Err(Failure::Usage(
            "--since is not before --until, so no click can lie between them".to_owned(),
        )),
        _ => Ok(window),
    }
}

fn by_email(
    db: &Db,
    selection: &Selection,
    args: &ReportArgs,
    format: Format,
    zone: &TimeZone,
) -> Result<(), Failure> {
    let output = &args.output;
    let limit = limit(args, format, TABLE_ROWS);
    let grouped = timed(|| reports::by_lead(db, selection, limit))?;
    let nothing = (grouped.totals().clicks == 0).then_some("");
    print(db, selection, args, format, nothing, |out| match format {
        Format::Table => table::by_email(out, &grouped, &output.screen(zone)),
        Format::Csv => csv::by_email(out, &grouped, output.cells()),
        Format::Json => json::by_email(out, &grouped),
        Format::Ndjson => json::by_email_lines(out, &grouped),
    })
}

fn ranking(
    db: &Db,
    by: RankBy,
    selection: &Selection,
    args: &ReportArgs,
    format: Format,
    zone: &TimeZone,
) -> Result<(), Failure> {
    let output = &args.output;
    let limit = limit(args, format, TABLE_ROWS);
    let ranking = timed(|| reports::ranking(db, by, selection, limit))?;
    let nothing = ranking.ranked().is_empty().then_some("");
    print(db, selection, args, format, nothing, |out| match format {
        Format::Table => table::ranking(out, &ranking, &output.screen(zone)),
        Format::Csv => csv::ranking(out, &ranking, output.cells()),
        Format::Json => json::ranking(out, &ranking),
        Format::Ndjson => json::ranking_lines(out, &ranking),
    })
}

fn by_day(
    db: &Db,
    selection: &Selection,
    args: &ReportArgs,
    format: Format,
    zone: &TimeZone,
) -> Result<(), Failure> {
    let output = &args.output;
    let limit = limit(args, format, TABLE_ROWS);
    let by_day = timed(|| reports::by_day(db, selection, zone, limit))?;
    let nothing = by_day.days().is_empty().then_some("");
    print(db, selection, args, format, nothing, |out| match format {
        Format::Table => table::by_day(out, &by_day, &output.screen(zone)),
        Format::Csv => csv::by_day(out, &by_day),
        Format::Json => json::by_day(out, &by_day),
        Format::Ndjson => json::by_day_lines(out, &by_day),
    })
}

fn timeline(
    db: &Db,
    subject: Subject,
    selection: &Selection,
    args: &ReportArgs,
    format: Format,
    zone: &TimeZone,
) -> Result<(), Failure> {
    let output = &args.output;
    let limit = limit(args, format, TABLE_CLICKS);
    let timeline = timed(|| reports::timeline(db, subject, selection, limit))?;
    let nothing =
        (timeline.totals().clicks == 0).then(|| unknown_expert_hint(selection, timeline.names()));
    print(db, selection, args, format, nothing, |out| match format {
        Format::Table => table::timeline(out, &timeline, &output.screen(zone)),
        Format::Csv => csv::timeline(out, &timeline, output.cells()),
        Format::Json => json::timeline(out, &timeline),
        Format::Ndjson => json::timeline_lines(out, &timeline),
    })
}

/// Prints a report by `render`. Where there is `nothing` in it that is told, with what may help, and there is no table.
fn print(
    db: &Db,
    selection: &Selection,
    args: &ReportArgs,
    format: Format,
    nothing: Option<&str>,
    render: impl FnOnce(&mut Out) -> io::Result<()>,
) -> Result<(), Failure> {
    if let Some(hint) = nothing {
        tell_empty(db, selection, hint);
    }
    output::write(db, args.output.output.as_deref(), |out| match nothing {
        Some(_) if format == Format::Table => Ok(()),
        _ => render(out),
    })
}

/// A table is read by a person, who should not have to stop it; programs get everything.
fn limit(args: &ReportArgs, format: Format, table_default: NonZeroU64) -> Option<NonZeroU64> {
    match format {
        Format::Table => args.limit.or(Some(table_default)),
        _ => args.limit,
    }
}

/// What may help who asked for an expert that nobody has clicked.
fn unknown_expert_hint(selection: &Selection, names: &ExpertNames) -> &'static str {
    match &selection.expert {
        Some(username) if !names.is_empty() && !names.contains(username) => {
            "; see `leadclicks experts list` for the experts that are known"
        }
        _ => "",
    }
}

fn tell_empty(db: &Db, selection: &Selection, hint: &str) {
    // An email or a search does not belong into what may end in a log.
    let which = [
        selection
            .expert
            .as_ref()
            .map(|expert| format!(" on '{expert}'")),
        selection.email.as_ref().map(|_| " by this lead".to_owned()),
        selection
            .query
            .as_ref()
            .map(|_| " after such a search".to_owned()),
    ];
    let which: String = which.into_iter().flatten().collect();
    let when = if selection.window == Window::default() {
        "yet"
    } else {
        "in that time"
    };
    let sentence = format!("no clicks{which} {when} in {}{hint}", db.path().display());
    print_error("leadclicks", &sentence);
}
