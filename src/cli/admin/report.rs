//! `leadclicks report`

use std::{num::NonZeroU64, path::Path};

use clap::{ArgGroup, Args, builder::NonEmptyStringValueParser};
use jiff::{Zoned, tz::TimeZone};

use super::format::{Format, OutputArgs};
use crate::{
    cli::{
        failure::Failure,
        instant::{Instant, by_clocks_of, parse_time_zone, resolve},
        output, print_error,
        progress::timed,
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
    let now = &by_clocks_of(now, args.tz.as_ref());
    let selection = args.selection(now)?;
    let db = &Db::open_for_report(db)?;
    // The parts of a page are about the same clicks.
    let (report, page) = timed(|| {
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
    fn selection(&self, now: &Zoned) -> Result<Selection, Failure> {
        let window = Window {
            since: resolve("--since", self.since, now)?,
            until: resolve("--until", self.until, now)?,
        };
        if let (Some(since), Some(until)) = (window.since, window.until)
            && since >= until
        {
            return Err(Failure::Usage(
                "--since is not before --until, so no click can lie between them".to_owned(),
            ));
        }
        Ok(Selection::new(
            window,
            self.expert.as_deref(),
            self.email.as_deref(),
            self.query.as_deref(),
        ))
    }

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
            _ => self.limit,
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
    let names = timeline.names();
    match &selection.expert {
        Some(username) if !names.is_empty() && !names.contains(username) => {
            "; see `leadclicks experts list` for the experts that are known"
        }
        _ => "",
    }
}

fn say_empty(db: &Db, selection: &Selection, hint: &str) {
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
