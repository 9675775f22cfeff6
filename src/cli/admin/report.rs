//! `leadclicks report`

use std::{num::NonZeroU64, path::Path};

use clap::{ArgGroup, Args};
use jiff::{Zoned, tz::TimeZone};

use super::{
    filter::{FilterArgs, ZoneArgs, find_expert},
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
    reports::{self, Gaps, RankBy, Subject},
    storage::{Db, EmailFilter, Error, Selection, Window},
    timestamp::Timestamp,
};

/// The number of rows that are shown without `--limit`.
struct Limits {
    /// In a table: as many as a person reads.
    table: NonZeroU64,
    /// In a page: as many as a phone can scroll and search without delay.
    page: NonZeroU64,
}

/// For leads, experts, searches or days.
const ROWS: Limits = Limits {
    table: NonZeroU64::new(50).unwrap(),
    page: NonZeroU64::new(1000).unwrap(),
};
/// For the clicks on one expert or of one lead.
const CLICKS: Limits = Limits {
    table: NonZeroU64::new(200).unwrap(),
    page: NonZeroU64::new(5000).unwrap(),
};
/// The number of experts or searches that a page ranks next to a list.
const SIDE_ROWS: NonZeroU64 = NonZeroU64::new(20).unwrap();

const REPORTS: &str = "Reports";
const FILTERS: &str = "Filters";
const OUTPUT: &str = "Output";

/// Show which leads clicked which experts, when and how often
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("report").required(true).multiple(true)
        .args(["by_email", "by_expert", "by_query", "by_day", "expert", "email"])),
    group(ArgGroup::new("by").args(["by_email", "by_expert", "by_query", "by_day"])),
    after_long_help = "\
Examples:
  leadclicks report --by-email
  leadclicks report --by-email --since 7d --format csv --output week.csv
  leadclicks report --by-email --since 30d --format html --output leads.html
  leadclicks report --by-expert --since 30d
  leadclicks report --by-query --expert jdoe
  leadclicks report --by-day --since 2026-11-01 --tz Europe/Berlin
  leadclicks report --expert jdoe --limit 20
  leadclicks report --email jane@example.com
  leadclicks report --email @example.com

--expert or --email without another report lists the clicks, newest first. Times are local in tables
and pages, and UTC in the other formats. Days are local in all formats."
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag, and clap lets only one be given"
)]
pub(super) struct ReportArgs {
    /// All clicks by lead; the lead with the latest click first
    #[arg(long, help_heading = REPORTS)]
    by_email: bool,
    /// The most-clicked experts
    #[arg(long, help_heading = REPORTS)]
    by_expert: bool,
    /// The most frequent searches before a click
    ///
    /// Searches that differ only in case and white space count as one.
    #[arg(long, help_heading = REPORTS)]
    by_query: bool,
    /// Clicks and leads per day, newest first
    #[arg(long, help_heading = REPORTS)]
    by_day: bool,
    #[command(flatten, next_help_heading = FILTERS)]
    filter: FilterArgs,
    /// Clicks before this time
    ///
    /// In the forms of --since.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = FILTERS)]
    until: Option<Instant>,
    #[command(flatten, next_help_heading = FILTERS)]
    zone: ZoneArgs,
    /// Show at most this many rows
    ///
    /// Leads, experts, searches, days, or clicks of one expert or lead. By default, a table stops at 50 (200 clicks) and a page
    /// at 1000 (5000 clicks). A page has at most 20000 rows.
    #[arg(long, value_name = "NUMBER", value_parser = parse_limit, help_heading = OUTPUT)]
    limit: Option<NonZeroU64>,
    /// table, html, csv, json or ndjson
    ///
    /// By default that of the extension of --output, or table.
    #[arg(long, value_parser = Format::parser(Format::REPORT), hide_possible_values = true, help_heading = OUTPUT)]
    format: Option<Format>,
    #[command(flatten, next_help_heading = OUTPUT)]
    output: OutputArgs,
}

fn parse_limit(text: &str) -> Result<NonZeroU64, &'static str> {
    text.parse()
        .map_err(|_| "a limit is a whole number of at least 1")
}

pub(super) fn run(db: &Path, args: &ReportArgs, now: &Zoned) -> Result<(), Failure> {
    let format = args.output.format(args.format, Format::REPORT)?;
    let now = &args.zone.apply(now);
    let until = resolve("--until", args.until, now)?;
    let mut selection = args.filter.selection(until, now)?;
    let db = &Db::open_for_report(db)?;
    let unknown_expert = find_expert(db, &mut selection)?;
    // In one snapshot, so that all parts of a page show the same clicks.
    let (report, page, names) = timed(READING_CLICKS, || {
        db.snapshot(|db| {
            let report = args.read(db, format, &selection, now.time_zone())?;
            let page = match format {
                Format::Html => Some(args.read_page(db, &report, &selection, now)?),
                _ => None,
            };
            Ok((report, page, db.expert_names()?))
        })
    })?;
    if report.is_empty() {
        say_empty(db, &selection, &unknown_expert.unwrap_or_default());
    }
    output::write(db, args.output.output.as_deref(), |out| match page {
        Some(page) => page.write(&report, out),
        None => args
            .output
            .write(format, &report, now.time_zone(), &names, out),
    })
}

impl ReportArgs {
    /// Reads the report. An expert or a lead is a report by itself, and a filter of any other report.
    fn read(
        &self,
        db: &Db,
        format: Format,
        selection: &Selection,
        zone: &TimeZone,
    ) -> Result<Report, Error> {
        let rows_max = self.limit(format, &ROWS);
        let ranking = |by| {
            Ok(Report::Ranking(reports::ranking(
                db, by, selection, rows_max,
            )?))
        };
        let timeline = |subject| {
            let clicks_max = self.limit(format, &CLICKS);
            let timeline = reports::timeline(db, subject, selection, clicks_max)?;
            Ok(Report::Timeline(timeline))
        };
        match (&selection.email, &selection.expert) {
            _ if self.by_email => Ok(Report::ByLead(reports::by_lead(db, selection, rows_max)?)),
            _ if self.by_expert => ranking(RankBy::Expert),
            _ if self.by_query => ranking(RankBy::Query),
            (Some(EmailFilter::Address(email)), _) if !self.by_day => {
                timeline(Subject::Lead(email.clone()))
            }
            (Some(EmailFilter::Domain(domain)), _) if !self.by_day => {
                timeline(Subject::Domain(domain.clone()))
            }
            (None, Some(username)) if !self.by_day => timeline(Subject::Expert(username.clone())),
            _ => Ok(Report::ByDay(reports::by_day(
                db,
                selection,
                zone,
                gaps(format),
                rows_max,
            )?)),
        }
    }

    /// Tables and pages have a default limit, because people and browsers read them. Programs get everything.
    fn limit(&self, format: Format, default: &Limits) -> Option<NonZeroU64> {
        match format {
            Format::Table => self.limit.or(Some(default.table)),
            Format::Html => Some(self.limit.map_or(default.page, |limit| limit.min(ROWS_MAX))),
            _ => self.limit,
        }
    }

    /// Reads what a page shows in addition to the report. It is in memory together with the report, which has at most
    /// [`ROWS_MAX`] rows, but all clicks of its leads.
    fn read_page(
        &self,
        db: &Db,
        report: &Report,
        selection: &Selection,
        now: &Zoned,
    ) -> Result<Html, Error> {
        let ranking = |by| reports::ranking(db, by, selection, Some(SIDE_ROWS));
        let queries = match report {
            Report::Timeline(_) => Some(ranking(RankBy::Query)?),
            _ => None,
        };
        Ok(Html {
            selection: selection.clone(),
            made_at: Timestamp::new(now.timestamp()),
            zone: now.time_zone().clone(),
            days: reports::by_day(db, selection, now.time_zone(), Gaps::LeftOut, None)?,
            experts: ranking(RankBy::Expert)?,
            queries,
            // `--limit` counts leads, so it does not limit their clicks.
            clicks_max: self.limit.map_or(CLICKS.page, |_| ROWS_MAX),
        })
    }
}

fn gaps(format: Format) -> Gaps {
    match format {
        Format::Table | Format::Html => Gaps::OneRow,
        _ => Gaps::LeftOut,
    }
}

fn say_empty(db: &Db, selection: &Selection, hint: &str) {
    // Without the email or domain and the search, because standard error may end in a log.
    let mut which = match &selection.expert {
        Some(expert) => format!(" on '{expert}'"),
        None => String::new(),
    };
    which += match selection.email {
        Some(EmailFilter::Address(_)) => " by this lead",
        Some(EmailFilter::Domain(_)) => " by leads of this domain",
        None => "",
    };
    if selection.query.is_some() {
        which += " with this search";
    }
    let when = if selection.window == Window::default() {
        "yet"
    } else {
        "in this period"
    };
    let sentence = format!("no clicks{which} {when} in {}{hint}", db.path().display());
    print_error("leadclicks", &sentence);
}
