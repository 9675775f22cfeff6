//! `leadclicks summary`

use std::path::Path;

use clap::Args;
use jiff::{Zoned, tz::TimeZone};

use super::format::TableOrJson;
use crate::{
    cli::{
        failure::Failure,
        instant::{by_clocks_of, parse_time_zone},
        output, print_error,
        progress::timed,
    },
    render::{json, summary},
    reports,
    storage::Db,
};

/// Show what there is to know on one screen
///
/// Totals, this week against last week up to the same day and time, the last 30 days, the experts and searches of those
/// days, and the newest leads.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks summary
  leadclicks summary --tz Europe/Berlin
  leadclicks summary --format json")]
pub(super) struct SummaryArgs {
    /// The time zone of local times, days and weeks, as in Europe/Berlin or UTC; the system's without it
    #[arg(long, value_name = "ZONE", value_parser = parse_time_zone)]
    tz: Option<TimeZone>,
    /// How to print
    #[arg(long, value_enum, default_value_t = TableOrJson::Table)]
    format: TableOrJson,
}

pub(super) fn run(db: &Path, args: &SummaryArgs, now: &Zoned) -> Result<(), Failure> {
    let now = &by_clocks_of(now, args.tz.as_ref());
    let db = &Db::open_for_report(db)?;
    let all = timed(|| reports::summary(db, now))?;
    let is_empty = all.totals.clicks == 0;
    if is_empty {
        let sentence = format!("no clicks yet in {}", db.path().display());
        print_error("leadclicks", &sentence);
    }
    output::write(db, None, |out| match args.format {
        TableOrJson::Table if is_empty => Ok(()),
        TableOrJson::Table => summary::table(out, &all, &output::screen(now.time_zone().clone())),
        TableOrJson::Json => json::summary(out, &all),
    })
}
