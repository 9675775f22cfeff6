//! `leadclicks check`

use std::{fs, path::Path};

use clap::Args;
use jiff::{Zoned, tz::TimeZone};

use super::format::Format;
use crate::{
    cli::{
        failure::Failure,
        output,
        progress::{CHECKING, timed},
    },
    render::{Asked, Format as _, Report, json::Json, table::Table},
    storage::{self, Depth, DiskReserve, State},
    timestamp::Timestamp,
};

/// Check database health
///
/// Checks the integrity of the file, its tables, permissions, WAL and disk, and everything that would stop leadclicksd.
/// Each problem is reported with the next step. The check is strictly read-only: every user who may run reports may run
/// it, and clicks do not wait for it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks check
  leadclicks check --quick --format json

Exit codes: 0 healthy, 1 a problem, 2 wrong usage, 4 warnings only")]
pub(super) struct CheckArgs {
    /// Skip the checks that read the whole file: integrity, foreign keys, times of clicks and number of leads
    #[arg(long)]
    quick: bool,
    /// The daemon's --disk-reserve, if it is not the default: free disk space below it is a problem
    #[arg(long, value_name = "SIZE")]
    disk_reserve: Option<DiskReserve>,
    /// Output format
    #[arg(long, value_parser = Format::parser(Format::TABLE_OR_JSON), default_value = "table")]
    format: Format,
}

pub(super) fn run(db: &Path, args: &CheckArgs, now: &Zoned) -> Result<(), Failure> {
    let depth = if args.quick {
        Depth::Quick
    } else {
        Depth::Full
    };
    // The target of a link; if there is no file, the path as it was given.
    let path = fs::canonicalize(db).unwrap_or_else(|_| db.to_owned());
    let now = Timestamp::new(now.timestamp());
    let reserve = args.disk_reserve.unwrap_or_default();
    let findings = timed(CHECKING, || storage::check(db, depth, reserve, now));
    let worst = State::worst(&findings);
    let are_worst = findings.iter().filter(|finding| finding.state == worst);
    let count = are_worst.count() as u64;
    let report = Report::Check { path, findings };
    output::print(|out| {
        if args.format == Format::Json {
            Json.write(&report, &Asked::default(), out)
        } else {
            let screen = output::screen(TimeZone::UTC);
            Table { screen }.write(&report, &Asked::default(), out)
        }
    })?;
    match worst {
        State::Ok => Ok(()),
        worst => Err(Failure::Unhealthy(worst, count)),
    }
}
