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

/// Show an overview on one screen
///
/// Totals, this week compared with last week up to the same day and time, the last 30 days with their most-clicked
/// experts and most frequent searches, and the newest leads.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks summary
  leadclicks summary --tz Europe/Berlin
  leadclicks summary --format json")]
pub(super) struct SummaryArgs {
    #[command(flatten)]
    zone: ZoneArgs,
    /// Output format
    #[arg(long, value_parser = Format::parser(Format::TABLE_OR_JSON), default_value = "table")]
    format: Format,
}

pub(super) fn run(db: &Path, args: &SummaryArgs, now: &Zoned) -> Result<(), Failure> {
    let now = &args.zone.apply(now);
    let db = &Db::open_for_report(db)?;
    let summary = timed(READING_CLICKS, || reports::summary(db, now))?;
    let is_empty = summary.overall.totals.clicks == 0;
    if is_empty {
        let sentence = format!("no clicks yet in {}", db.path().display());
        print_error("leadclicks", &sentence);
    }
    output::write(db, None, |out| match args.format {
        Format::Json => Json::summary(out, &summary),
        _ if is_empty => Ok(()),
        _ => {
            let screen = output::screen(now.time_zone().clone());
            let screen = screen.for_experts(&summary.top_experts.names);
            summary::table(out, &summary, &screen)
        }
    })
}
