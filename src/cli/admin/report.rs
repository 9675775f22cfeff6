//! `leadclicks report`

use std::{num::NonZeroU64, path::Path};

use clap::{ArgGroup, Args};
use jiff::Zoned;

use super::format::{Format, OutputArgs};
use crate::{
    cli::{
        failure::Failure,
        instant::{Instant, NotAnInstant},
        output, print_error,
    },
    render::{csv, json, table},
    report::{self, ByExpert, Window},
    store::Db,
};

/// How many leads a by-email table shows without `--limit`.
const TABLE_LEADS: NonZeroU64 = NonZeroU64::new(50).unwrap();
/// How many clicks a one-expert table shows without `--limit`.
const TABLE_CLICKS: NonZeroU64 = NonZeroU64::new(200).unwrap();

/// Show who clicked whom
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("question").required(true).args(["by_email", "expert"])),
    after_help = "\
Examples:
  leadclicks report --by-email
  leadclicks report --by-email --since 7d --format csv --output week.csv
  leadclicks report --expert jdoe --limit 20

Times are local in a table, and in UTC in the other formats."
)]
pub(super) struct ReportArgs {
    /// All clicks grouped by lead, the lead with the latest click first
    #[arg(long)]
    by_email: bool,
    /// The clicks on one expert, newest first
    #[arg(long, value_name = "USERNAME")]
    expert: Option<String>,
    /// Only clicks from this time on: 90m, 24h, 7d, 2w (ago), 2026-11-01, '2026-11-01 09:30' (local time) or
    /// 2026-11-01T09:30:00Z
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<Instant>,
    /// Only clicks before this time, given like --since
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<Instant>,
    /// At most this many leads, or clicks of one expert; a table stops at 50 leads or 200 clicks without it
    #[arg(long, value_name = "NUMBER", value_parser = parse_limit)]
    limit: Option<NonZeroU64>,
    #[command(flatten)]
    output: OutputArgs,
}

fn parse_limit(text: &str) -> Result<NonZeroU64, &'static str> {
    text.parse()
        .map_err(|_| "a limit is a whole number, at least 1")
}

pub(super) fn run(db: &Path, args: &ReportArgs, now: &Zoned) -> Result<(), Failure> {
    args.output.check()?;
    let window = window(args, now)?;
    let db = Db::open_for_report(db)?;
    match &args.expert {
        // Stored usernames are trimmed.
        Some(username) => report_by_expert(&db, username.trim(), window, args),
        None => report_by_email(&db, window, args),
    }
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

fn report_by_email(db: &Db, window: Window, args: &ReportArgs) -> Result<(), Failure> {
    let output = &args.output;
    let limit = limit(args, TABLE_LEADS);
    let grouped = report::by_email(db, window, limit)?;
    let is_empty = grouped.totals().clicks == 0;
    if is_empty {
        tell_empty(db, "no clicks", window, "");
    }
    output::write(db, output.output.as_deref(), |out| match output.format {
        Format::Table if is_empty => Ok(()),
        Format::Table => table::by_email(out, &grouped, &output::screen()),
        Format::Csv => csv::by_email(out, &grouped, output.guard()),
        Format::Json => json::by_email(out, &grouped),
        Format::Ndjson => json::by_email_lines(out, &grouped),
    })
}

fn report_by_expert(
    db: &Db,
    username: &str,
    window: Window,
    args: &ReportArgs,
) -> Result<(), Failure> {
    let output = &args.output;
    let mut clicks: ByExpert<'_> =
        report::by_expert(db, username, window, limit(args, TABLE_CLICKS))?;
    let is_empty = clicks.is_empty()?;
    if is_empty {
        let hint = if clicks.is_known() {
            ""
        } else {
            "; see `leadclicks experts list` for the experts that are known"
        };
        tell_empty(db, &format!("no clicks on '{username}'"), window, hint);
    }
    output::write(db, output.output.as_deref(), |out| match output.format {
        Format::Table if is_empty => Ok(()),
        Format::Table => table::by_expert(out, clicks, &output::screen()),
        Format::Csv => csv::by_expert(out, clicks, output.guard()),
        Format::Json => json::by_expert(out, clicks),
        Format::Ndjson => json::by_expert_lines(out, clicks),
    })
}

/// A table is read by a person, who should not have to stop it; programs get everything.
fn limit(args: &ReportArgs, table_default: NonZeroU64) -> Option<NonZeroU64> {
    match args.output.format {
        Format::Table => args.limit.or(Some(table_default)),
        _ => args.limit,
    }
}

fn tell_empty(db: &Db, nothing: &str, window: Window, hint: &str) {
    let when = if window == Window::default() {
        "yet"
    } else {
        "in that time"
    };
    let sentence = format!("{nothing} {when} in {}{hint}", db.path().display());
    print_error("leadclicks", &sentence);
}
