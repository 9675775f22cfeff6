//! `leadclicks report`

use std::num::NonZeroU64;

use clap::{ArgGroup, Args};
use jiff::{Zoned, tz::TimeZone};

use super::{
    filter::{
        ExcludeArgs, FilterArgs, SegmentArgs, UnknownExpert, WindowArgs, ZoneArgs, find_experts,
    },
    format::{Format, OutputArgs, PageArgs},
};
use crate::{
    cli::{
        failure::Failure,
        output, print_error,
        progress::{READING_CLICKS, timed},
    },
    render::{
        Asked, Format as _, Report,
        html::{Html, Look, ROWS_MAX},
        period,
    },
    reports::{self, Comparison, Gaps, History, LeadOrder, RankBy, Ranking, Subject},
    storage::{Db, DbLocation, EmailFilter, Error, Selection, Window},
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
/// The options that only `--help` shows, so that `-h` fits on a screen.
const RARE: [&str; 11] = [
    "audience",
    "separator",
    "title",
    "mail",
    "until",
    "not_expert",
    "new",
    "returning",
    "exclude",
    "tz",
    "sort",
];

/// Show which leads clicked which experts, when and how often
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("report").required(true).multiple(true)
        .args(["by_email", "leads", "by_expert", "by_query", "by_day", "expert", "email"])),
    group(ArgGroup::new("by").args(["by_email", "leads", "by_expert", "by_query", "by_day"])),
    mut_args(|arg| {
        let is_rare = RARE.contains(&arg.get_id().as_str());
        if is_rare { arg.hide_short_help(true) } else { arg }
    }),
    after_long_help = "\
Examples:
  leadclicks report --by-email
  leadclicks report --by-email --since 7d --format csv --output week.csv
  leadclicks report --by-email --since 30d --format html --output leads.html
  leadclicks report --leads --period 'this week' --sort clicks
  leadclicks report --leads --new --period 'last week' --format html --mail
  leadclicks report --leads --expert jdoe --not-expert zoe --period 'last month'
  leadclicks report --leads --returning 14d --since monday --exclude @example.com
  leadclicks report --leads --format csv --output contacts.csv
  leadclicks report --by-expert --period 'this month' --compare
  leadclicks report --by-query --expert jdoe
  leadclicks report --by-day --since 2026-11-01 --tz Europe/Berlin
  leadclicks report --expert jdoe --limit 20
  leadclicks report --email jane@example.com
  leadclicks report --email @example.com

--expert or --email without another report lists the clicks, newest first.
Times are local in tables and pages, and UTC in the other formats. Days are
local in all formats."
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag, and clap lets only one be given"
)]
pub(super) struct ReportArgs {
    /// All clicks, grouped by lead
    #[arg(long, help_heading = REPORTS)]
    by_email: bool,
    /// A row for each lead
    ///
    /// With the clicks, experts, first and latest click, most-clicked expert and latest search.
    #[arg(long, help_heading = REPORTS)]
    leads: bool,
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
    #[command(flatten, next_help_heading = FILTERS)]
    window: WindowArgs,
    /// Compare with the period before, which is as long
    #[arg(long, help_heading = FILTERS)]
    compare: bool,
    #[command(flatten, next_help_heading = FILTERS)]
    segment: SegmentArgs,
    #[command(flatten, next_help_heading = FILTERS)]
    exclude: ExcludeArgs,
    #[command(flatten, next_help_heading = FILTERS)]
    zone: ZoneArgs,
    /// With --by-email or --leads: which leads come first
    ///
    /// By default, those with the latest click.
    #[arg(long, value_name = "ORDER", value_enum, help_heading = OUTPUT)]
    sort: Option<LeadOrder>,
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
    page: PageArgs,
    #[command(flatten, next_help_heading = OUTPUT)]
    output: OutputArgs,
}

fn parse_limit(text: &str) -> Result<NonZeroU64, &'static str> {
    text.parse()
        .map_err(|_| "a limit is a whole number of at least 1")
}

pub(super) fn run(db: &DbLocation, args: &ReportArgs, now: &Zoned) -> Result<(), Failure> {
    let format = args.output.format(args.format, Format::REPORT)?;
    let look = &args.page.look(format)?;
    if args.sort.is_some() && !args.by_email && !args.leads {
        let error = "--sort is only for --by-email and --leads";
        return Err(Failure::Usage(error.to_owned()));
    }
    let now = &args.zone.apply(now);
    let mut selection = args.filter.selection(args.window.resolve(now)?)?;
    selection.excluded = args.exclude.emails()?;
    let db = &Db::open_for_report(db)?;
    let unknown = find_experts(db, "--expert", &mut selection.experts)?;
    if selection.experts.len() > 1 && !args.is_grouped() && selection.email.is_none() {
        let error = "several --expert need another report, for instance --leads or --by-email";
        return Err(Failure::Usage(error.to_owned()));
    }
    let before = if args.compare {
        Some(Selection {
            window: args.window.before(selection.window, now)?,
            ..selection.clone()
        })
    } else {
        None
    };
    let segment = args.segment.resolve(db, selection.window, now)?;
    // In one snapshot, so that all parts of a page show the same clicks.
    let (report, page, comparison, names) = timed(READING_CLICKS, || {
        db.snapshot(|db| {
            let asked = Selections {
                now: segment.select(db, &selection)?,
                before: match &before {
                    Some(before) => Some(segment.select(db, before)?),
                    None => None,
                },
            };
            let report = args.read(db, format, &asked, now)?;
            let page = match format {
                Format::Html => Some(args.read_page(db, &report, &asked, look, now)?),
                _ => None,
            };
            let comparison = match &asked.before {
                Some(before) => Some(Comparison::of(db, &asked.now, before)?),
                None => None,
            };
            Ok((report, page, comparison, db.expert_names()?))
        })
    })?;
    let asked = Asked {
        window: selection.window,
        excluded: selection.excluded.clone(),
        segment,
        comparison,
    };
    let hint = say_unknown(&unknown, report.is_empty() && selection.experts.len() == 1);
    if report.is_empty() {
        say_empty(db, &selection, &asked, now.time_zone(), hint);
    }
    say_notes(format, &report, &asked, now.time_zone());
    output::write(db, args.output.output.as_deref(), |out| match page {
        Some(page) => page.write(&report, &asked, out),
        None => args
            .output
            .write(format, &report, &asked, now.time_zone(), &names, out),
    })
}

/// The clicks of a report, and those of the period before if it is compared.
struct Selections {
    now: Selection,
    before: Option<Selection>,
}

impl Selections {
    fn ranking(&self, db: &Db, by: RankBy, rows_max: Option<NonZeroU64>) -> Result<Ranking, Error> {
        let mut ranking = reports::ranking(db, by, &self.now, rows_max)?;
        if let Some(before) = &self.before {
            ranking.compare(db, before)?;
        }
        Ok(ranking)
    }
}

impl ReportArgs {
    /// Reads the report. An expert or a lead is a report by itself, and a filter of any other report.
    fn read(
        &self,
        db: &Db,
        format: Format,
        asked: &Selections,
        now: &Zoned,
    ) -> Result<Report, Error> {
        let selection = &asked.now;
        let rows_max = self.limit(format, &ROWS);
        let by_lead = || reports::by_lead(db, selection, self.sort.unwrap_or_default(), rows_max);
        let ranking = |by| Ok(Report::Ranking(asked.ranking(db, by, rows_max)?));
        let timeline = |subject| {
            let clicks_max = self.limit(format, &CLICKS);
            let timeline = reports::timeline(db, subject, selection, clicks_max)?;
            Ok(Report::Timeline(timeline))
        };
        match (&selection.email, &*selection.experts) {
            _ if self.by_email => Ok(Report::ByLead(by_lead()?)),
            _ if self.leads => Ok(Report::Leads(by_lead()?)),
            _ if self.by_expert => ranking(RankBy::Expert),
            _ if self.by_query => ranking(RankBy::Query),
            (Some(EmailFilter::Address(email)), _) if !self.by_day => {
                timeline(Subject::Lead(email.clone()))
            }
            (Some(EmailFilter::Domain(domain)), _) if !self.by_day => {
                timeline(Subject::Domain(domain.clone()))
            }
            (None, [username]) if !self.by_day => timeline(Subject::Expert(username.clone())),
            _ => Ok(Report::ByDay(reports::by_day(
                db,
                selection,
                now,
                gaps(format),
                rows_max,
            )?)),
        }
    }

    /// Whether the report is not a list of clicks.
    fn is_grouped(&self) -> bool {
        self.by_email || self.leads || self.by_expert || self.by_query || self.by_day
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
        asked: &Selections,
        look: &Look,
        now: &Zoned,
    ) -> Result<Html, Error> {
        let selection = &asked.now;
        let ranking = |by| asked.ranking(db, by, Some(SIDE_ROWS));
        let queries = match report {
            Report::Timeline(_) => Some(ranking(RankBy::Query)?),
            _ => None,
        };
        Ok(Html {
            selection: selection.clone(),
            made_at: Timestamp::new(now.timestamp()),
            zone: now.time_zone().clone(),
            days: reports::by_day(db, selection, now, Gaps::LeftOut, None)?,
            experts: ranking(RankBy::Expert)?,
            queries,
            // `--limit` counts leads, so it does not limit their clicks.
            clicks_max: self.limit.map_or(CLICKS.page, |_| ROWS_MAX),
            look: look.clone(),
        })
    }
}

fn gaps(format: Format) -> Gaps {
    match format {
        Format::Table | Format::Html => Gaps::OneRow,
        _ => Gaps::LeftOut,
    }
}

/// Prints which experts are unknown. If the only one is why the report is empty, returns how to go on for the sentence about that
/// instead.
fn say_unknown(unknown: &[UnknownExpert], is_reason: bool) -> &str {
    match unknown {
        [only] if is_reason => return &only.hint,
        _ => {}
    }
    for UnknownExpert { text, hint } in unknown {
        let sentence = format!("--expert '{text}' has no clicks yet{hint}");
        print_error("leadclicks", &sentence);
    }
    ""
}

/// Prints what was asked for, if the output has no place for it: CSV and NDJSON never, and an empty table.
fn say_notes(format: Format, report: &Report, asked: &Asked, zone: &TimeZone) {
    let is_empty = report.is_empty();
    match format {
        Format::Csv | Format::Ndjson => {}
        Format::Table if is_empty => {}
        _ => return,
    }
    let mut asked = asked.clone();
    if is_empty {
        // The sentence about that has it.
        asked.window = Window::default();
    }
    for note in asked.notes(zone) {
        print_error("leadclicks", &note);
    }
}

fn say_empty(db: &Db, selection: &Selection, asked: &Asked, zone: &TimeZone, hint: &str) {
    // Without the email or domain and the search, because standard error may end in a log.
    let mut which = match &*selection.experts {
        [] => String::new(),
        experts => format!(" on {}", either(experts)),
    };
    which += match selection.email {
        Some(EmailFilter::Address(_)) => " by this lead",
        Some(EmailFilter::Domain(_)) => " by leads of this domain",
        None => "",
    };
    which += match asked.segment.history {
        History::Any => "",
        History::New => " by new leads",
        History::Returning(_) => " by leads who came back",
    };
    if !asked.segment.not_experts.is_empty() {
        let others = either(&asked.segment.not_experts);
        which = format!("{which} by leads without a click on {others}");
    }
    if selection.query.is_some() {
        which += " with this search";
    }
    let when = match period(selection.window, zone) {
        None => "yet".to_owned(),
        Some(period) => format!("in this period ({period})"),
    };
    let excluded = if selection.excludes_email() {
        "; --exclude or LEADCLICKS_EXCLUDE leaves them out"
    } else {
        ""
    };
    let sentence = format!("no clicks{which} {when} in {}{hint}{excluded}", db.name());
    print_error("leadclicks", &sentence);
}

/// `'jdoe' or 'zoe'`.
fn either(experts: &[String]) -> String {
    let experts: Vec<String> = experts.iter().map(|expert| format!("'{expert}'")).collect();
    experts.join(" or ")
}
