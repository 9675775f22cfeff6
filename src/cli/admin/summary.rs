//! `leadclicks summary`

use clap::Args;
use jiff::Zoned;

use super::{
    filter::{ExcludeArgs, ZoneArgs},
    format::Format,
};
use crate::{
    cli::{
        failure::Failure,
        output, print_error,
        progress::{READING_CLICKS, timed},
    },
    render::{Asked, json::Json, summary},
    reports,
    storage::{Db, DbLocation, Selection},
};

/// Show an overview on one screen
///
/// Totals, this week compared with last week up to the same day and time, the last 30 days with their most-clicked
/// experts and most frequent searches, and the newest leads.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks summary
  leadclicks summary --compare --tz Europe/Berlin
  leadclicks summary --format json")]
pub(super) struct SummaryArgs {
    /// Compare the last 30 days with the 30 days before
    #[arg(long)]
    compare: bool,
    #[command(flatten)]
    exclude: ExcludeArgs,
    #[command(flatten)]
    zone: ZoneArgs,
    /// Output format
    #[arg(long, value_parser = Format::parser(Format::TABLE_OR_JSON), default_value = "table")]
    format: Format,
}

pub(super) fn run(db: &DbLocation, args: &SummaryArgs, now: &Zoned) -> Result<(), Failure> {
    let now = &args.zone.apply(now);
    let selection = Selection {
        excluded: args.exclude.emails()?,
        ..Selection::default()
    };
    let db = &Db::open_for_report(db)?;
    let (summary, comparison) = timed(READING_CLICKS, || {
        db.snapshot(|db| {
            let mut summary = reports::summary(db, &selection, now)?;
            let comparison = if args.compare {
                summary.compare(db, &selection, now)?
            } else {
                None
            };
            Ok((summary, comparison))
        })
    })?;
    let asked = Asked {
        excluded: selection.excluded,
        comparison,
        ..Asked::default()
    };
    let is_empty = summary.overall.totals.clicks == 0;
    if is_empty {
        let sentence = format!("no clicks yet in {}", db.name());
        print_error("leadclicks", &sentence);
        for note in asked.notes(now.time_zone()) {
            print_error("leadclicks", &note);
        }
    }
    output::write(db, None, |out| match args.format {
        Format::Json => Json::summary(out, &summary, &asked),
        _ if is_empty => Ok(()),
        _ => {
            let screen = output::screen(now.time_zone().clone());
            let screen = screen.for_experts(&summary.top_experts.names);
            summary::table(out, &summary, &asked, &screen)
        }
    })
}
