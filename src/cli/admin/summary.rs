//! `leadclicks summary`

use std::path::Path;

use clap::Args;
use jiff::Zoned;

use super::{filter::ZoneArgs, format::Format};
use crate::{
    cli::{
        failure::Failure,
        output, print_error,
        progress::{READING_CLICKS, timed},
    },
    render::{json::Json, summary},
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
    #[command(flatten)]
    zone: ZoneArgs,
    /// How to print
    #[arg(long, value_parser = Format::parser(Format::TABLE_OR_JSON), default_value = "table")]
    format: Format,
}

pub(super) fn run(db: &Path, args: &SummaryArgs, now: &Zoned) -> Result<(), Failure> {
    let now = &args.zone.apply(now);
    let db = &Db::open_for_report(db)?;
    let all = timed(READING_CLICKS, || reports::summary(db, now))?;
    let is_empty = all.overall.totals.clicks == 0;
    if is_empty {
        let sentence = format!("no clicks yet in {}", db.path().display());
        print_error("leadclicks", &sentence);
    }
    output::write(db, None, |out| match args.format {
        Format::Json => Json::summary(out, &all),
        _ if is_empty => Ok(()),
        _ => summary::table(out, &all, &output::screen(now.time_zone().clone())),
    })
}
