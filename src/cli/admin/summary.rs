//! `leadclicks summary`

use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::Zoned;

use super::{
    filter::{ExcludeArgs, ZoneArgs},
    format::{Format, PageArgs, by_extension},
};
use crate::{
    cli::{
        failure::Failure,
        output, print_error,
        progress::{READING_CLICKS, timed},
    },
    render::{Asked, html, json::Json, summary},
    reports,
    storage::{Db, DbLocation, Selection},
    timestamp::Timestamp,
};

/// Show an overview on one screen
///
/// Totals, this week compared with last week up to the same day and time, last week compared with the week before, the last
/// 30 days with their most-clicked experts and most frequent searches, and the newest leads.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks summary
  leadclicks summary --compare --tz Europe/Berlin
  leadclicks summary --compare --output summary.html
  leadclicks summary --format html --mail --title 'Leads of the week'
  leadclicks summary --format json")]
pub(super) struct SummaryArgs {
    /// Compare the last 30 days with the 30 days before
    #[arg(long)]
    compare: bool,
    #[command(flatten)]
    exclude: ExcludeArgs,
    #[command(flatten)]
    zone: ZoneArgs,
    /// table, html or json
    ///
    /// By default that of the extension of --output, or table.
    #[arg(long, value_parser = Format::parser(Format::SUMMARY), hide_possible_values = true)]
    format: Option<Format>,
    #[command(flatten)]
    page: PageArgs,
    /// Write to this file, whose extension is the format
    ///
    /// The file appears complete or not at all. - is standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The number of experts, searches and leads: as many as fit on one screen.
const ROWS: NonZeroU64 = NonZeroU64::new(5).unwrap();
/// In a page or a mail, which scroll.
const PAGE_ROWS: NonZeroU64 = NonZeroU64::new(10).unwrap();

pub(super) fn run(db: &DbLocation, args: &SummaryArgs, now: &Zoned) -> Result<(), Failure> {
    let extension = args.output.as_deref().and_then(Path::extension);
    let by_extension = || extension.map(|name| by_extension(name, Format::SUMMARY));
    let format = match args.format {
        Some(format) => format,
        None => by_extension().unwrap_or(Ok(Format::Table))?,
    };
    let look = &args.page.look(format)?;
    let rows_max = match format {
        Format::Html => PAGE_ROWS,
        _ => ROWS,
    };
    let now = &args.zone.apply(now);
    let selection = Selection {
        excluded: args.exclude.emails()?,
        ..Selection::default()
    };
    let db = &Db::open_for_report(db)?;
    let (summary, comparison) = timed(READING_CLICKS, || {
        db.snapshot(|db| {
            let mut summary = reports::summary(db, &selection, now, rows_max)?;
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
    output::write(db, args.output.as_deref(), |out| match format {
        Format::Json => Json::summary(out, &summary, &asked),
        Format::Html => {
            let made_at = Timestamp::new(now.timestamp());
            html::summary(out, &summary, &asked, look, made_at, now.time_zone())
        }
        _ if is_empty => Ok(()),
        _ => {
            let screen = output::screen(now.time_zone().clone());
            let screen = screen.for_experts(&summary.top_experts.names);
            summary::table(out, &summary, &asked, &screen)
        }
    })
}
