//! `leadclicks check`

use std::fs;

use clap::Args;
use jiff::{Zoned, tz::TimeZone};

use super::format::Format;
use crate::{
    cli::{
        db_path,
        failure::Failure,
        output,
        period::{Age, resolve},
        progress::{CHECKING, timed},
    },
    render::{Asked, Format as _, Report, json::Json, prometheus::Prometheus, table::Table},
    storage::{self, Checks, DaemonCheck, DbLocation, Depth, DiskReserve, State},
    timestamp::Timestamp,
};

/// Check database health
///
/// Checks that leadclicksd runs, the integrity of the file, its tables, permissions, WAL and disk, and everything that would stop
/// leadclicksd; of a server its settings, standbys and rights. Each problem is reported with the next step. The check is strictly
/// read-only: every user who may run reports may run it, and clicks do not wait for it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leadclicks check
  leadclicks check --quick --format json
  leadclicks check --quick --max-age 6h
  leadclicks check --quick --format prometheus

Exit codes: 0 healthy, 1 a problem, 2 wrong usage, 4 warnings only")]
pub(super) struct CheckArgs {
    /// Skip the checks that read the whole database: integrity, foreign keys, times of clicks and number of leads
    #[arg(long)]
    quick: bool,
    /// The daemon's --disk-reserve, if it is not the default: free disk space below it is a problem. Not for a server
    #[arg(long, value_name = "SIZE")]
    disk_reserve: Option<DiskReserve>,
    /// Warn if the newest click is older than this, such as 90min, 6h or 2d
    #[arg(long, value_name = "TIME")]
    max_age: Option<Age>,
    /// Do not check that leadclicksd runs on the database (which is never checked on a server), and has set WAL mode: for a backup
    #[arg(long)]
    offline: bool,
    /// Output format
    #[arg(long, value_parser = Format::parser(Format::CHECK), default_value = "table")]
    format: Format,
}

pub(super) fn run(db: &DbLocation, args: &CheckArgs, now: &Zoned) -> Result<(), Failure> {
    let depth = if args.quick {
        Depth::Quick
    } else {
        Depth::Full
    };
    let name = match db {
        // The target of a link; if there is no file, the path as it was given.
        DbLocation::File(path) => fs::canonicalize(path)
            .unwrap_or_else(|_| path.clone())
            .display()
            .to_string(),
        #[cfg(feature = "postgres")]
        DbLocation::Server(_) => db.to_string(),
    };
    let checks = Checks {
        depth,
        reserve: db_path::disk_reserve(db, args.disk_reserve).map_err(Failure::Usage)?,
        now: Timestamp::new(now.timestamp()),
        newest_since: resolve("--max-age", args.max_age.map(Age::period), |age| {
            age.ago(now)
        })?,
        daemon: if args.offline {
            DaemonCheck::Skipped
        } else {
            DaemonCheck::IfLive
        },
    };
    let findings = timed(CHECKING, || storage::check(db, &checks));
    let worst = State::worst(&findings);
    let are_worst = findings.iter().filter(|finding| finding.state == worst);
    let count = are_worst.count() as u64;
    let report = Report::Check { name, findings };
    output::print(|out| match args.format {
        Format::Json => Json.write(&report, &Asked::default(), out),
        Format::Prometheus => Prometheus.write(&report, &Asked::default(), out),
        _ => {
            let screen = output::screen(TimeZone::UTC);
            Table { screen }.write(&report, &Asked::default(), out)
        }
    })?;
    match worst {
        State::Ok => Ok(()),
        worst => Err(Failure::Unhealthy(worst, count)),
    }
}
