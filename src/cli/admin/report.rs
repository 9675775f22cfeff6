//! `leadclicks report`

use std::{num::NonZeroU64, path::Path};

use clap::{ArgGroup, Args};
use jiff::{Zoned, tz::TimeZone};

use super::{
    filter::{FilterArgs, ZoneArgs},
    format::{Format, OutputArgs},
};
use crate::{
    cli::{
        failure::Failure,
        instant::{Instant, resolve},
        output, print_error,
        progress::{READING_CLICKS, timed},
    },
    render::{
        Format as _, Report,
        html::{Html, ROWS_MAX},
    },
    reports::{self, RankBy, Subject, Timeline},
    storage::{Db, Error, Selection, Window},
    timestamp::Timestamp,
};

/// How many rows are shown without `--limit`.
struct Limits {
    /// In a table: what a person still reads.
    table: NonZeroU64,
    /// In a page: a phone still scrolls and searches them with ease.
    page: NonZeroU64,
}

/// Of leads, experts, searches or days.
const ROWS: Limits = Limits {
    table: NonZeroU64::new(50).unwrap(),
    page: NonZeroU64::new(1000).unwrap(),
};
/// Of the clicks on one expert or of one lead.
const CLICKS: Limits = Limits {
    table: NonZeroU64::new(200).unwrap(),
    page: NonZeroU64::new(5000).unwrap(),
};
/// How many experts or searches a page ranks next to a list.
const BESIDE_ROWS: NonZeroU64 = NonZeroU64::new(20).unwrap();

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
    #[command(flatten, next_help_heading = SELECTION)]
    filter: FilterArgs,
    /// Clicks before this time, in the same forms
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = SELECTION)]
    until: Option<Instant>,
    #[command(flatten, next_help_heading = SELECTION)]
    zone: ZoneArgs,
    /// At most this many leads, experts, searches, days, or clicks of one expert or lead; without it a table stops at 50,
    /// or at 200 clicks, and a page at 1000, or at 5000 clicks; a page never has more than 20000 rows
    #[arg(long, value_name = "NUMBER", value_parser = parse_limit, help_heading = OUTPUT)]
    limit: Option<NonZeroU64>,
    /// How to print
    #[arg(long, value_parser = Format::parser(Format::REPORT), default_value = "table", help_heading = OUTPUT)]
    format: Format,
    #[command(flatten, next_help_heading = OUTPUT)]
    output: OutputArgs,
}

fn parse_limit(text: &str) -> Result<NonZeroU64, &'static str> {
    text.parse()
        .map_err(|_| "a limit is a whole number, at least 1")
}

pub(super) fn run(db: &Path, args: &ReportArgs, now: &Zoned) -> Result<(), Failure> {
    args.output.check(args.format)?;
    let now = &args.zone.apply(now);
    let until = resolve("--until", args.until, now)?;
    let selection = args.filter.selection(until, now)?;
    let db = &Db::open_for_report(db)?;
    // The parts of a page are about the same clicks.
    let (report, page) = timed(READING_CLICKS, || {
        db.snapshot(|db| {
            let report = args.read(db, &selection, now.time_zone())?;
            let page = match args.format {
                Format::Html => Some(args.read_page(db, &report, &selection, now)?),
                _ => None,
            };
            Ok((report, page))
        })
    })?;
    if report.is_empty() {
        let hint = match &report {
            Report::Timeline(timeline) => unknown_expert_hint(&selection, timeline),
            _ => "",
        };
        say_empty(db, &selection, hint);
    }
    output::write(db, args.output.output.as_deref(), |out| match page {
        Some(page) => page.write(&report, out),
        None => args
            .output
            .write(args.format, &report, now.time_zone(), out),
    })
}

impl ReportArgs {
    /// Reads what is asked. One expert or one lead is a question by itself, and a condition of any other.
    fn read(&self, db: &Db, selection: &Selection, zone: &TimeZone) -> Result<Report, Error> {
        let rows_max = self.limit(&ROWS);
        let ranking = |by| {
            Ok(Report::Ranking(reports::ranking(
                db, by, selection, rows_max,
            )?))
        };
        let timeline = |subject| {
            let clicks_max = self.limit(&CLICKS);
            let timeline = reports::timeline(db, subject, selection, clicks_max)?;
            Ok(Report::Timeline(timeline))
        };
        match (&selection.email, &selection.expert) {
            _ if self.by_email => Ok(Report::ByLead(reports::by_lead(db, selection, rows_max)?)),
            _ if self.by_expert => ranking(RankBy::Expert),
            _ if self.by_query => ranking(RankBy::Query),
            (Some(email), _) if !self.by_day => timeline(Subject::Lead(email.clone())),
            (None, Some(username)) if !self.by_day => timeline(Subject::Expert(username.clone())),
            _ => Ok(Report::ByDay(reports::by_day(
                db, selection, zone, rows_max,
            )?)),
        }
    }

    /// A table is read by a person, who should not have to stop it, and a page by a browser; programs get everything.
    fn limit(&self, default: &Limits) -> Option<NonZeroU64> {
        match self.format {
            Format::Table => self.limit.or(Some(default.table)),
            Format::Html => Some(self.limit.map_or(default.page, |limit| limit.min(ROWS_MAX))),
            Format::Csv | Format::Json | Format::Ndjson => self.limit,
        }
    }

    /// Reads what a page shows besides the report: in memory are then at most [`ROWS_MAX`] rows, but all clicks of leads,
    /// and what [`reports::by_day`] and [`reports::ranking`] count in.
    fn read_page(
        &self,
        db: &Db,
        report: &Report,
        selection: &Selection,
        now: &Zoned,
    ) -> Result<Html, Error> {
        let ranking = |by| reports::ranking(db, by, selection, Some(BESIDE_ROWS));
        let queries = match report {
            Report::Timeline(_) => Some(ranking(RankBy::Query)?),
            _ => None,
        };
        Ok(Html {
            selection: selection.clone(),
            made_at: Timestamp::new(now.timestamp()),
            zone: now.time_zone().clone(),
            days: reports::by_day(db, selection, now.time_zone(), None)?,
            experts: ranking(RankBy::Expert)?,
            queries,
            // A limit counts leads.
            clicks_max: self.limit.map_or(CLICKS.page, |_| ROWS_MAX),
        })
    }
}

/// What may help who asked for an expert that nobody has clicked.
fn unknown_expert_hint(selection: &Selection, timeline: &Timeline) -> &'static str {
    let names = &timeline.names;
    match &selection.expert {
        Some(username) if !names.is_empty() && !names.contains(username) => {
            "; see `leadclicks experts list` for the experts that are known"
        }
        _ => "",
    }
}

fn say_empty(db: &Db, selection: &Selection, hint: &str) {
    // An email or a search does not belong into what may end in a log.
    let mut which = match &selection.expert {
        Some(expert) => format!(" on '{expert}'"),
        None => String::new(),
    };
    if selection.email.is_some() {
        which += " by this lead";
    }
    if selection.query.is_some() {
        which += " after such a search";
    }
    let when = if selection.window == Window::default() {
        "yet"
    } else {
        "in that time"
    };
    let sentence = format!("no clicks{which} {when} in {}{hint}", db.path().display());
    print_error("leadclicks", &sentence);
}
